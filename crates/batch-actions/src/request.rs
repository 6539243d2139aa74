//! Having something done to a batch: [`request`], by the process that works on it, or by ourselves when nobody does.
//!
//! There is no daemon to ask. When an executor has the lease, the request goes into the file and the executor
//! answers it; otherwise this process takes the lease for a moment and handles the request itself, through the
//! same code.

use std::time::Duration;

use batch_process::{Signal, boot_id, end_run, signal_process, wake_guardian};
use batch_runtime::Registry;
use batch_store::requests::RequestState;
use batch_store::{BatchFile, Durability, Holder, Lease, LeaseNote, Obstacle, Store};

use crate::clock::{Poll, now};
use crate::control::{Answer, Control, ControlReply, Refusal, Stop};
use crate::engine::{Claim, Engine, EngineOptions, Mode, obstacle_of};
use crate::error::ActionError;
use crate::outlived::end_outlived;
use crate::state_reason::Silence;

/// How long an executor may take to answer. It needs some seconds to load a batch with millions of tasks.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// How long it may take before we look whether it is for lack of space on the disk, or because of another program.
const OBSTACLE_TIMEOUT: Duration = Duration::from_secs(1);

/// Who is to be stopped is told by a signal when another program has held the file for this long.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// The one who asks for anything else waits so long for that program.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the end of a process may take that was killed.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);

const ANSWER_POLL: Duration = Duration::from_millis(5);

/// Has something done to a batch. Dropped before it is done, the request is taken back where that is still
/// possible.
///
/// # Errors
/// When it is refused, or the file cannot be used.
pub async fn request(file: &BatchFile, control: Control) -> Result<ControlReply, ActionError> {
    let poll = Poll::every(ANSWER_POLL).within(ANSWER_TIMEOUT);
    loop {
        if let Some(reply) = request_executor(file, control.clone()).await? {
            return Ok(reply);
        }
        match alone(file, control.clone()).await {
            // Someone was faster; ask them. A lock that is no executor's keeps us from both.
            Err(ActionError::Running { .. }) if poll.again().await => {}
            done => return done,
        }
    }
}

/// Has something done to a batch by the executor that works on it; `None` when there is none, or none any more.
///
/// # Errors
/// When it is refused, or the file cannot be used.
pub async fn request_executor(
    file: &BatchFile,
    control: Control,
) -> Result<Option<ControlReply>, ActionError> {
    let poll = Poll::every(ANSWER_POLL).within(ANSWER_TIMEOUT);
    loop {
        match Lease::holder(file)? {
            None => return Ok(None),
            // Another one who handles a request of their own has it for a moment.
            Some(holder) if holder.run == 0 => {}
            Some(holder) => match Silence::of(&holder) {
                // What it keeps of the file it keeps from us as well: nothing is written.
                Some(silence) => return without_life(file, &control, &holder, silence).await,
                None => {
                    if let Some(reply) = request_holder(file, &control, &holder).await? {
                        return reply.map(Some).map_err(ActionError::from);
                    }
                }
            },
        }
        if !poll.again().await {
            return Err(no_answer(file, Lease::holder(file)?.unwrap_or_default()));
        }
    }
}

/// Asks by the file. `None` when the executor ended or fell silent before it answered: nothing was done then.
async fn request_holder(
    file: &BatchFile,
    control: &Control,
    holder: &Holder,
) -> Result<Option<Answer>, ActionError> {
    let poll = Poll::every(ANSWER_POLL);
    let mut request = match Request::put(file, control).await? {
        Ok(request) => request,
        // It may hang in the middle of writing.
        Err(_) if is_silent_or_gone(file)? => return Ok(None),
        Err(obstacle) => return by_signal(file, control, holder, obstacle, false).map(Some),
    };
    loop {
        match request.store.request_state(request.number)? {
            RequestState::Answered(reply) => {
                request.waits = false;
                return Ok(Some(serde_json::from_str(&reply).unwrap_or_else(|error| {
                    let what = format!("the answer is not understood: {error}");
                    Err(Refusal::Other(what))
                })));
            }
            RequestState::Dropped => return Ok(None),
            RequestState::Open => {}
        }
        let there = Lease::holder(file)?;
        let gone = there.is_none();
        let silent = there.as_ref().is_some_and(|now| now.silence().is_some());
        let told = there.and_then(|holder| obstacle_in(&holder));
        let told = told.filter(|_| !silent && poll.elapsed() > OBSTACLE_TIMEOUT);
        if gone || silent || told.is_some() || poll.elapsed() > ANSWER_TIMEOUT {
            match (request.take_back()?, told) {
                (TakenBack::Done | TakenBack::NotNow(_), _) if silent => return Ok(None),
                // It has just been answered or dropped: the next look tells.
                (TakenBack::TooLate, _) => {}
                (_, Some(obstacle)) => {
                    let waits = request.waits;
                    return by_signal(file, control, holder, obstacle, waits).map(Some);
                }
                (TakenBack::Done, None) if gone => return Ok(None),
                (TakenBack::Done, None) => return Err(no_answer(file, holder.clone())),
                // It has ended, as was asked for.
                (TakenBack::NotNow(_), None) if gone && control.is_stop() => {
                    return Ok(Some(Ok(ControlReply::default())));
                }
                (TakenBack::NotNow(obstacle), None) => {
                    return Err(obstacle.error(file.path()).into());
                }
            }
        }
        poll.again().await;
    }
}

fn is_silent_or_gone(file: &BatchFile) -> Result<bool, ActionError> {
    Ok(Lease::holder(file)?.is_none_or(|holder| holder.silence().is_some()))
}

/// An executor that hangs handles nothing. It can be killed, and what it has left running with it.
async fn without_life(
    file: &BatchFile,
    control: &Control,
    holder: &Holder,
    silence: Silence,
) -> Result<Option<ControlReply>, ActionError> {
    let is_kill = matches!(control, Control::Stop { how: Stop::Kill });
    let killed = is_kill && holder.boot == boot_id() && {
        let killed = signal_process(&holder.mark, Signal::Kill);
        killed.map_err(|error| ActionError::io("kill the executor of", file.shown(), error))?
    };
    if !killed {
        return Err(ActionError::Silent {
            silence,
            batch: Store::open_read(file.clone())?.batch(),
            file: file.shown().to_owned(),
        });
    }
    // Its guardian ends what it leaves, and goes then.
    let woken = wake_guardian(&holder.mark);
    woken.map_err(|error| ActionError::io("wake the guardian of", file.shown(), error))?;
    let poll = Poll::every(ANSWER_POLL).within(KILL_TIMEOUT);
    while Lease::holder(file)?.is_some_and(|now| now.mark == holder.mark) && poll.again().await {}
    end_run(&holder.mark, Duration::ZERO).await;
    Ok(Some(ControlReply::default()))
}

/// What an executor says that it waits for.
fn obstacle_in(holder: &Holder) -> Option<Obstacle> {
    match holder.note.as_ref()? {
        LeaseNote::DiskFull => Some(Obstacle::DiskFull),
        LeaseNote::FileBusy => Some(Obstacle::Busy),
        _ => None,
    }
}

/// A request that waits in the file. Taken back when nobody waits for the answer any more.
struct Request {
    store: Store,
    number: i64,
    waits: bool,
}

impl Request {
    /// Puts it into the file, or tells what is in the way, for another program that holds the file after a while.
    async fn put(
        file: &BatchFile,
        control: &Control,
    ) -> Result<Result<Self, Obstacle>, ActionError> {
        let limit = match control.is_stop() {
            true => STOP_TIMEOUT,
            false => BUSY_TIMEOUT,
        };
        let poll = Poll::every(ANSWER_POLL).within(limit);
        let mut store = Store::open(file.clone(), Durability::Full)?;
        store.wait_briefly()?;
        let body = serde_json::to_string(control).expect("requests are JSON");
        loop {
            let error = match store.add_request(&body, now()) {
                Ok(number) => {
                    return Ok(Ok(Self {
                        store,
                        number,
                        waits: true,
                    }));
                }
                Err(error) => error,
            };
            match error.obstacle() {
                None => return Err(error.into()),
                Some(Obstacle::Busy) if !is_silent_or_gone(file)? && poll.again().await => {}
                Some(obstacle) => return Ok(Err(obstacle)),
            }
        }
    }

    /// Takes it back. Where the file cannot be written it stays, and is handled when that is over, if someone is there
    /// for that.
    fn take_back(&mut self) -> Result<TakenBack, ActionError> {
        match self.store.take_back(self.number) {
            Ok(true) => {
                self.waits = false;
                Ok(TakenBack::Done)
            }
            Ok(false) => Ok(TakenBack::TooLate),
            Err(error) => match error.obstacle() {
                Some(obstacle) => Ok(TakenBack::NotNow(obstacle)),
                None => Err(error.into()),
            },
        }
    }
}

enum TakenBack {
    Done,
    /// It waited no more.
    TooLate,
    NotNow(Obstacle),
}

impl Drop for Request {
    fn drop(&mut self) {
        if self.waits {
            // One that cannot be taken back is handled all the same.
            let _ = self.take_back();
        }
    }
}

/// A file that cannot be written passes nothing on. To stop, the executor is told by a signal.
fn by_signal(
    file: &BatchFile,
    control: &Control,
    holder: &Holder,
    obstacle: Obstacle,
    waits: bool,
) -> Result<Answer, ActionError> {
    let signal = match control {
        Control::Stop { how: Stop::Kill } => Signal::Quit,
        // What runs could not be recorded if it were let to its end.
        Control::Stop { .. } => Signal::Terminate,
        _ => {
            return Err(ActionError::NotNow {
                batch: Store::open_read(file.clone())?.batch(),
                holder: Box::new(holder.clone()),
                obstacle,
                waits,
                file: file.shown().to_owned(),
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
    if control.is_stop() {
        let batch = Store::open_read(file.clone())?.batch();
        let leftovers = end_outlived(file).await;
        return match leftovers.is_empty() {
            true => Err(ActionError::Refused(format!("nothing runs {batch}"))),
            // Its executor did, and what it ran was to end.
            false => Ok(ControlReply {
                leftovers,
                ..ControlReply::default()
            }),
        };
    }
    let claim = Claim::take(file, Durability::Full, Mode::Control).await?;
    let engine = control_engine(claim).await?;
    let leftovers = engine.leftovers().to_vec();
    let reply = engine.handle_command(control).await;
    engine.run().close();
    let finished = engine.finish().await?;
    // What was in the way of the journal is why the request was not handled.
    match (finished.lost, obstacle_of(&finished.report)) {
        (Some(lost), _) => Err(lost.into()),
        (None, Some(obstacle)) => Err(obstacle.error(file.path()).into()),
        (None, None) => Ok(ControlReply {
            leftovers,
            ..reply?
        }),
    }
}

/// Obeys requests on a batch that this process has claimed, one after the other.
pub(crate) async fn handle_claimed(
    mut claim: Claim,
    controls: impl IntoIterator<Item = Control>,
) -> Result<Claim, ActionError> {
    for control in controls {
        let engine = control_engine(claim).await?;
        let reply = engine.handle_command(control).await;
        engine.run().close();
        claim = engine.finish_claimed(Durability::Full).await?;
        reply?;
    }
    Ok(claim)
}

/// An engine that starts nothing, and handles.
async fn control_engine(claim: Claim) -> Result<Engine, ActionError> {
    let options = EngineOptions {
        mode: Mode::Control,
        unpause: false,
        ..EngineOptions::new(claim.file().clone(), &|_, _| Registry::new())
    };
    Engine::start_claimed(claim, options).await
}

fn no_answer(file: &BatchFile, holder: Holder) -> ActionError {
    match Store::open_read(file.clone()) {
        Ok(store) => ActionError::NoAnswer {
            batch: store.batch(),
            holder: Box::new(holder),
            seconds: ANSWER_TIMEOUT.as_secs(),
        },
        Err(error) => error.into(),
    }
}
