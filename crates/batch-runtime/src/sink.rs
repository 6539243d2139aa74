//! Where events go: [`Sink`], each on a thread of its own behind a bounded channel.

use std::sync::{Arc, Mutex};
use std::thread::Thread;
use std::time::Duration;

use batch_core::Event;
use tokio::sync::mpsc::error::{TryRecvError, TrySendError};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::sync_point::Ack;

/// How many groups of events a sink may lag behind before the driver waits for it.
const LAG: usize = 64;

/// The same in the bytes that tasks left, in pieces of [`PIECE`]: 64 MiB.
const HEAVIEST: u32 = 1024;

/// The unit of that room, in bytes.
const PIECE: usize = 64 * 1024;

/// How long a sink without messages looks for more by itself: a driver that is busy need not wake it for each.
const LINGER: Duration = Duration::from_micros(200);

/// Takes in what happened, in order, on a thread of its own; it may block on a disk or a pipe.
///
/// A sink that falls behind slows the run down, and nothing is lost or held without bound. While it has no
/// room the driver still handles commands, so a sink may itself hold a [`RunHandle`](crate::RunHandle) and
/// pause the run. But the run is over only when every sink has taken in everything: one that waits for
/// something that may never come (room on a disk) has to give up with an error when the run is stopped.
pub trait Sink: Send + 'static {
    /// Takes in events.
    ///
    /// # Errors
    /// When they cannot be kept. The run is then stopped, its report says why, and nothing more is asked of
    /// the sink.
    fn on_events(&mut self, events: &[Event]) -> Result<(), SinkError>;

    /// Nothing waits at the moment: time to write what was gathered.
    ///
    /// A sink that has reason not to do it yet gives the time after which it is asked again. Until then events
    /// may be kept back, so that they come together; a sync is not.
    ///
    /// # Errors
    /// As for [`on_events`](Self::on_events).
    fn rest(&mut self) -> Result<Option<Duration>, SinkError> {
        Ok(None)
    }

    /// Returns when all that was taken in so far is where it survives the end of the process.
    ///
    /// # Errors
    /// As for [`on_events`](Self::on_events).
    fn sync(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    /// Ends the work: the run is over and no more events come. The sink is dropped next.
    ///
    /// # Errors
    /// When something could not be kept. The report of the run says why.
    fn finish(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
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
    failure: Arc<SinkFailure>,
}

struct SinkThread {
    messages: mpsc::Sender<Weighed>,
    /// For what is heavy among the messages that wait.
    room: Arc<Semaphore>,
    /// To be woken; none where it could not be started.
    thread: Option<Thread>,
    /// Closed when the sink has taken in everything and is gone.
    ended: oneshot::Receiver<Never>,
}

/// What is never sent.
enum Never {}

/// What the driver passes to a sink.
pub(crate) enum Message {
    /// What happened, and the bytes that tasks left in it.
    Events(Arc<Vec<Event>>, usize),
    Sync(Ack),
}

/// A message with the room that it takes until it was taken in.
type Weighed = (Message, Option<OwnedSemaphorePermit>);

impl Message {
    /// How much of the room it takes that there is for what tasks left; most take none.
    fn weight(&self) -> u32 {
        let Self::Events(_, bytes) = self else {
            return 0;
        };
        u32::try_from(bytes / PIECE).map_or(HEAVIEST, |pieces| pieces.min(HEAVIEST))
    }
}

/// The first error of a sink.
#[derive(Default)]
pub(crate) struct SinkFailure {
    error: Mutex<Option<SinkError>>,
    pub(crate) came: Notify,
}

impl Sinks {
    pub(crate) fn start(sinks: Vec<Box<dyn Sink>>) -> Self {
        let failure = Arc::new(SinkFailure::default());
        let threads = sinks
            .into_iter()
            .map(|sink| SinkThread::start(sink, Arc::clone(&failure)))
            .collect();
        Self { threads, failure }
    }

    pub(crate) fn len(&self) -> usize {
        self.threads.len()
    }

    /// Passes a message to a sink, or gives it back when that has no room.
    pub(crate) fn try_send(&self, sink: usize, message: Message) -> Result<(), Message> {
        let sink = &self.threads[sink];
        let urgent = matches!(message, Message::Sync(_));
        let room = match message.weight() {
            0 => Ok(None),
            weight => Arc::clone(&sink.room)
                .try_acquire_many_owned(weight)
                .map(Some),
        };
        let Ok(room) = room else {
            sink.wake();
            return Err(message);
        };
        let sent = match sink.messages.try_send((message, room)) {
            Err(TrySendError::Full((message, _))) => Err(message),
            // A sink that failed has hung up and said why.
            Ok(()) | Err(TrySendError::Closed(_)) => Ok(()),
        };
        if urgent || sent.is_err() {
            sink.wake();
        }
        sent
    }

    /// Waits until a sink has room for a message, or has failed.
    pub(crate) async fn room(&self, sink: usize, message: &Message) {
        let sink = &self.threads[sink];
        let _ = sink.room.acquire_many(message.weight()).await;
        let _ = sink.messages.reserve().await;
    }

    pub(crate) fn failure(&self) -> &Arc<SinkFailure> {
        &self.failure
    }

    /// Waits until every sink has taken in everything.
    pub(crate) async fn finish(self) -> Option<SinkError> {
        let close = |sink: SinkThread| {
            drop(sink.messages);
            if let Some(thread) = sink.thread {
                thread.unpark();
            }
            sink.ended
        };
        let ended: Vec<_> = self.threads.into_iter().map(close).collect();
        for sink in ended {
            // One that panicked has raised the alarm.
            let _ = sink.await;
        }
        self.failure.lock().take()
    }
}

impl SinkThread {
    fn wake(&self) {
        if let Some(thread) = &self.thread {
            thread.unpark();
        }
    }

    fn start(sink: Box<dyn Sink>, failure: Arc<SinkFailure>) -> Self {
        let (messages, mut inbox) = mpsc::channel(LAG);
        let (end, ended) = oneshot::channel();
        let alarm = Alarm(Arc::clone(&failure));
        let work = move || {
            // Dropped in the reverse order, also by a panic.
            let _end: oneshot::Sender<Never> = end;
            let mut sink = sink;
            let alarm = alarm;
            let kept = serve(sink.as_mut(), &mut inbox).and_then(|()| sink.finish());
            if let Err(error) = kept {
                alarm.0.raise(error);
            }
        };
        let started = std::thread::Builder::new().name("sink".into()).spawn(work);
        let thread = started.map_err(|error| failure.raise(SinkError(Box::new(NoThread(error)))));
        Self {
            messages,
            room: Arc::new(Semaphore::new(HEAVIEST as usize)),
            thread: thread.ok().map(|handle| handle.thread().clone()),
            ended,
        }
    }
}

/// Takes in messages until the run is over.
fn serve(sink: &mut dyn Sink, inbox: &mut mpsc::Receiver<Weighed>) -> Result<(), SinkError> {
    let mut asked = Vec::new();
    while let Some(first) = next(sink, inbox)? {
        // One sync answers all that were asked for meanwhile, as a disk takes its time for each.
        let more = std::iter::from_fn(|| inbox.try_recv().ok()).take(LAG);
        for (message, _room) in std::iter::once(first).chain(more) {
            match message {
                Message::Events(events, _) => sink.on_events(&events)?,
                Message::Sync(ack) => asked.push(ack),
            }
        }
        if !asked.is_empty() {
            sink.sync()?;
            asked.drain(..).for_each(Ack::give);
        }
    }
    Ok(())
}

/// The next message, for which the sink may rest; `None` when the run is over.
fn next(
    sink: &mut dyn Sink,
    inbox: &mut mpsc::Receiver<Weighed>,
) -> Result<Option<Weighed>, SinkError> {
    let mut lingered = false;
    loop {
        match inbox.try_recv() {
            Ok(message) => return Ok(Some(message)),
            Err(TryRecvError::Disconnected) => return Ok(None),
            Err(TryRecvError::Empty) => match sink.rest()? {
                None if lingered => return Ok(inbox.blocking_recv()),
                // Woken early when it matters: for a sync, when there is no room, at the end.
                None => std::thread::park_timeout(LINGER),
                Some(time) => std::thread::park_timeout(time),
            },
        }
        lingered = true;
    }
}

/// A sink has no thread to work on.
#[derive(Debug, thiserror::Error)]
#[error("cannot start a thread to keep what happens: {0}")]
struct NoThread(std::io::Error);

impl SinkFailure {
    /// Whether a sink has failed.
    pub(crate) fn has_come(&self) -> bool {
        self.lock().is_some()
    }

    fn raise(&self, error: SinkError) {
        self.lock().get_or_insert(error);
        self.came.notify_one();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<SinkError>> {
        self.error.lock().expect("no sink panics with the lock")
    }
}

/// Tells the driver when a sink panics, as nobody joins its thread before the end.
struct Alarm(Arc<SinkFailure>);

impl Drop for Alarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.raise(SinkError("a sink panicked".into()));
        }
    }
}
