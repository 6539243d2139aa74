//! Where events go: [`Sink`], each on a thread of its own behind a bounded channel.

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use batch_core::Event;
use tokio::sync::{Notify, mpsc};

/// How many groups of events a sink may lag behind before the driver waits for it.
const LAG: usize = 64;

/// Takes in what happened, in order, on a thread of its own; it may block on a disk or a pipe.
///
/// A sink that falls behind slows the run down, and nothing is lost or held without bound.
pub trait Sink: Send + 'static {
    /// Takes in events.
    ///
    /// # Errors
    /// When they cannot be kept. The run is then stopped, and its report says why.
    fn on_events(&mut self, events: &[Event]) -> Result<(), SinkError>;
}

/// Why a sink could not keep what it was given.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct SinkError(#[from] pub Box<dyn std::error::Error + Send + Sync>);

impl<F> Sink for F
where
    F: FnMut(&[Event]) + Send + 'static,
{
    fn on_events(&mut self, events: &[Event]) -> Result<(), SinkError> {
        self(events);
        Ok(())
    }
}

/// The sinks of a run, as the driver sees them.
#[derive(Default)]
pub(crate) struct Sinks {
    threads: Vec<SinkThread>,
    trouble: Arc<Trouble>,
}

struct SinkThread {
    events: mpsc::Sender<Arc<Vec<Event>>>,
    thread: JoinHandle<()>,
}

/// The first error of a sink.
#[derive(Default)]
pub(crate) struct Trouble {
    error: Mutex<Option<SinkError>>,
    pub(crate) came: Notify,
}

impl Sinks {
    pub(crate) fn start(sinks: Vec<Box<dyn Sink>>) -> Self {
        let trouble = Arc::new(Trouble::default());
        let threads = sinks
            .into_iter()
            .map(|sink| SinkThread::start(sink, Arc::clone(&trouble)))
            .collect();
        Self { threads, trouble }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.threads.is_empty()
    }

    pub(crate) async fn send(&self, events: &Arc<Vec<Event>>) {
        for sink in &self.threads {
            // A sink that failed has hung up and said why.
            let _ = sink.events.send(Arc::clone(events)).await;
        }
    }

    pub(crate) fn trouble(&self) -> &Arc<Trouble> {
        &self.trouble
    }

    /// Waits until every sink has taken in everything.
    pub(crate) async fn finish(self) -> Option<SinkError> {
        let threads: Vec<_> = self.threads.into_iter().map(|sink| sink.thread).collect();
        let joined = tokio::task::spawn_blocking(move || {
            threads
                .into_iter()
                .map(JoinHandle::join)
                .filter(Result::is_err)
                .count()
        });
        let panicked = joined.await.unwrap_or(0);
        let error = self
            .trouble
            .error
            .lock()
            .expect("no sink panics with the lock")
            .take();
        error.or_else(|| (panicked > 0).then(|| SinkError("a sink panicked".into())))
    }
}

impl SinkThread {
    fn start(mut sink: Box<dyn Sink>, trouble: Arc<Trouble>) -> Self {
        let (events, mut inbox) = mpsc::channel::<Arc<Vec<Event>>>(LAG);
        let thread = std::thread::spawn(move || {
            while let Some(events) = inbox.blocking_recv() {
                if let Err(error) = sink.on_events(&events) {
                    let mut first = trouble.error.lock().expect("no sink panics with the lock");
                    first.get_or_insert(error);
                    trouble.came.notify_one();
                    return;
                }
            }
        });
        Self { events, thread }
    }
}
