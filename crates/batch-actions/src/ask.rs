//! Having something done to a batch: [`ask`], by whoever works on it, or by ourselves when nobody does.
//!
//! There is no daemon to ask. When an executor has the lease, the request goes into the file and the executor
//! answers it; otherwise this process takes the lease for a moment and obeys the request itself, through the
//! same code.

use std::time::Duration;

use batch_runtime::Registry;
use batch_store::{BatchFile, Durability, Holder, Lease, Store};
use tokio::time::{Instant, sleep};

use crate::control::{Answer, Control, ControlReply};
use crate::engine::{Engine, EngineOptions, Mode};
use crate::error::ActionError;
use crate::home::now;

/// How long an executor may take to answer. It needs some seconds to load a batch with millions of tasks.
const PATIENCE: Duration = Duration::from_secs(60);

const LOOK: Duration = Duration::from_millis(5);

/// Has something done to a batch.
///
/// # Errors
/// When it is refused, or the file cannot be used.
pub async fn ask(file: &BatchFile, control: Control) -> Result<ControlReply, ActionError> {
    let began = Instant::now();
    loop {
        match Lease::holder(file)? {
            None => match alone(file, control.clone()).await {
                // Somebody was faster; ask them.
                Err(ActionError::Running { .. }) => {}
                done => return done,
            },
            // Another one who obeys a request of their own has it for a moment.
            Some(holder) if holder.run == 0 => sleep(LOOK).await,
            Some(holder) => {
                if let Some(reply) = ask_holder(file, &control, &holder).await? {
                    return reply.map_err(ActionError::Refused);
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
    let mut store = Store::open(file.clone(), Durability::Full)?;
    let body = serde_json::to_string(control).expect("requests are JSON");
    let request = store.ask(&body, now())?;
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(reply) = store.reply_to(request)? {
            let answer = serde_json::from_str(&reply)
                .unwrap_or_else(|error| Err(format!("the answer is not understood: {error}")));
            return Ok(Some(answer));
        }
        let gone = Lease::holder(file)?.is_none();
        if (gone || Instant::now() > until) && store.take_back(request)? {
            return match gone {
                true => Ok(None),
                false => Err(no_answer(file, holder.clone())),
            };
        }
        sleep(LOOK).await;
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
            holder,
            seconds: PATIENCE.as_secs(),
        },
        Err(error) => error.into(),
    }
}
