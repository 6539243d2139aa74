//! Having something done to a batch: [`ask`], by whoever works on it, or by ourselves when nobody does.
//!
//! There is no daemon to ask. When an executor has the lease, the request goes into the file and the executor
//! answers it; otherwise this process takes the lease for a moment and obeys the request itself, through the
//! same code.

use std::time::Duration;

use batch_process::{Signal, signal_process};
use batch_runtime::Registry;
use batch_store::{Asked, BatchFile, Durability, Holder, Lease, Store, StoreError};
use tokio::time::{Instant, sleep};

use crate::control::{Answer, Control, ControlReply, Stop};
use crate::engine::{DISK_FULL, Engine, EngineOptions, Mode};
use crate::error::ActionError;
use crate::home::now;

/// How long an executor may take to answer. It needs some seconds to load a batch with millions of tasks.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long it may take before we look whether it is for want of room on the disk.
const NO_ROOM_PATIENCE: Duration = Duration::from_secs(1);

const LOOK: Duration = Duration::from_millis(5);

/// Has something done to a batch. Dropped before it is done, the request is taken back where that is still
/// possible.
///
/// # Errors
/// When it is refused, or the file cannot be used.
pub async fn ask(file: &BatchFile, control: Control) -> Result<ControlReply, ActionError> {
    let began = Instant::now();
    loop {
        if let Some(reply) = ask_executor(file, control.clone()).await? {
            return Ok(reply);
        }
        match alone(file, control.clone()).await {
            // Somebody was faster; ask them. A lock that is no executor's keeps us from both.
            Err(ActionError::Running { .. }) if began.elapsed() < PATIENCE => sleep(LOOK).await,
            done => return done,
        }
    }
}

/// Has something done to a batch by the executor that works on it; `None` when there is none, or none any more.
///
/// # Errors
/// When it is refused, or the file cannot be used.
pub async fn ask_executor(
    file: &BatchFile,
    control: Control,
) -> Result<Option<ControlReply>, ActionError> {
    let began = Instant::now();
    loop {
        match Lease::holder(file)? {
            None => return Ok(None),
            // Another one who obeys a request of their own has it for a moment.
            Some(holder) if holder.run == 0 => sleep(LOOK).await,
            Some(holder) => {
                if let Some(reply) = ask_holder(file, &control, &holder).await? {
                    return reply.map(Some).map_err(ActionError::Refused);
                }
            }
        }
        if began.elapsed() > PATIENCE {
            return Err(no_answer(file, Lease::holder(file)?.unwrap_or_default()));
        }
    }
}

/// Asks by the file. `None` when the executor ended before it answered: nothing was done then.
async fn ask_holder(
    file: &BatchFile,
    control: &Control,
    holder: &Holder,
) -> Result<Option<Answer>, ActionError> {
    let began = Instant::now();
    let mut request = match Request::put(file, control) {
        Err(ActionError::Store(error)) if error.is_full() => {
            return without_room(file, control, holder, false).map(Some);
        }
        put => put?,
    };
    loop {
        match request.store.asked(request.number)? {
            Asked::Answered(reply) => {
                request.waits = false;
                let answer = serde_json::from_str(&reply)
                    .unwrap_or_else(|error| Err(format!("the answer is not understood: {error}")));
                return Ok(Some(answer));
            }
            Asked::Dropped => return Ok(None),
            Asked::Open => {}
        }
        let now = Lease::holder(file)?;
        let gone = now.is_none();
        let is_full = now.is_some_and(|holder| holder.note.as_deref() == Some(DISK_FULL));
        let no_room = is_full && began.elapsed() > NO_ROOM_PATIENCE;
        if gone || no_room || began.elapsed() > PATIENCE {
            match request.take_back()? {
                // It has just been answered or dropped: the next look tells.
                TakenBack::TooLate => {}
                _ if no_room && !gone => {
                    let waits = request.waits;
                    return without_room(file, control, holder, waits).map(Some);
                }
                TakenBack::Done if gone => return Ok(None),
                TakenBack::Done => return Err(no_answer(file, holder.clone())),
                TakenBack::NoRoom => return Err(StoreError::Full(file.path().to_owned()).into()),
            }
        }
        sleep(LOOK).await;
    }
}

/// A request that waits in the file. Taken back when nobody waits for the answer any more.
struct Request {
    store: Store,
    number: i64,
    waits: bool,
}

impl Request {
    fn put(file: &BatchFile, control: &Control) -> Result<Self, ActionError> {
        let mut store = Store::open(file.clone(), Durability::Full)?;
        let body = serde_json::to_string(control).expect("requests are JSON");
        let number = store.ask(&body, now())?;
        Ok(Self {
            store,
            number,
            waits: true,
        })
    }

    /// Takes it back. On a full disk it stays, and is obeyed when there is room, if somebody is there for that.
    fn take_back(&mut self) -> Result<TakenBack, ActionError> {
        match self.store.take_back(self.number) {
            Err(error) if error.is_full() => Ok(TakenBack::NoRoom),
            Ok(false) => Ok(TakenBack::TooLate),
            done => {
                done?;
                self.waits = false;
                Ok(TakenBack::Done)
            }
        }
    }
}

enum TakenBack {
    Done,
    /// It waited no more.
    TooLate,
    NoRoom,
}

impl Drop for Request {
    fn drop(&mut self) {
        if self.waits {
            // One that cannot be taken back is obeyed all the same.
            let _ = self.take_back();
        }
    }
}

/// On a full disk the file passes nothing on. To stop, the executor is told by a signal.
fn without_room(
    file: &BatchFile,
    control: &Control,
    holder: &Holder,
    waits: bool,
) -> Result<Answer, ActionError> {
    let signal = match control {
        Control::Stop { how: Stop::Kill } => Signal::Quit,
        // What runs could not be recorded if it were let to its end.
        Control::Stop { .. } => Signal::Terminate,
        _ => {
            return Err(ActionError::NoRoom {
                batch: Store::open_read(file.clone())?.batch(),
                holder: Box::new(holder.clone()),
                waits,
            });
        }
    };
    match signal_process(&holder.mark, signal) {
        Ok(_) => Ok(Ok(ControlReply::default())),
        Err(error) => Err(ActionError::io("stop the executor of", file.path(), error)),
    }
}

/// Obeys a request on a batch that nobody works on.
async fn alone(file: &BatchFile, control: Control) -> Result<ControlReply, ActionError> {
    if let Control::Stop { .. } = control {
        let batch = Store::open_read(file.clone())?.batch();
        return Err(ActionError::Refused(format!("nothing runs {batch}")));
    }
    let engine = Engine::start(EngineOptions {
        file: file.clone(),
        durability: Durability::Full,
        mode: Mode::Control,
        registry: &|_, _| Registry::new(),
        observe: &mut |_, _| {},
        sinks: Vec::new(),
        feeding: false,
        max_concurrent: None,
        most_at_once: None,
        unpause: false,
    })
    .await?;
    let reply = engine.obey(control).await;
    engine.run().close();
    engine.finish().await?;
    reply
}

fn no_answer(file: &BatchFile, holder: Holder) -> ActionError {
    match Store::open_read(file.clone()) {
        Ok(store) => ActionError::NoAnswer {
            batch: store.batch(),
            holder: Box::new(holder),
            seconds: PATIENCE.as_secs(),
        },
        Err(error) => error.into(),
    }
}
