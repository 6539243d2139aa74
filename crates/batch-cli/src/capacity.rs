//! What the system allows: [`guarded`], [`most_at_once`], and [`follow_shortage`].

use std::num::NonZeroU32;

use batch_actions::StateReason;
use batch_process::{Limit, guard, raise_limits, shortage};
use batch_runtime::RunHandle;

use crate::exit::CliError;
use crate::leftovers::tell_not_ended;
use crate::progress::Screen;

/// Puts a guardian above this process. Where that is not possible for another reason than that the system is short of
/// something, there is none.
pub(crate) fn guarded() -> Result<guard::Guarded, CliError> {
    match guard::enter(tell_not_ended) {
        Ok(guarded) => Ok(guarded),
        Err(error) if shortage(&error).is_some() => {
            Err(CliError::System("start the executor", error))
        }
        Err(_) => Ok(guard::Guarded::alone()),
    }
}

/// How many tasks the limits of the system allow at once, where they are fewer than are wanted.
pub(crate) fn limited_to(wanted: NonZeroU32) -> Result<Option<(NonZeroU32, Limit)>, Limit> {
    // Where the limits cannot be read or raised, it shows when a task does not start.
    let Some((tasks, limit)) = raise_limits(wanted.get().into())
        .ok()
        .and_then(|capacity| Some((capacity.tasks, capacity.limit?)))
    else {
        return Ok(None);
    };
    let tasks = NonZeroU32::new(u32::try_from(tasks).unwrap_or(u32::MAX));
    tasks.map_or_else(
        || Err(limit.clone()),
        |tasks| Ok(Some((tasks, limit.clone()))),
    )
}

/// The same for a run in the foreground: says so where they are fewer.
pub(crate) fn most_at_once(
    wanted: NonZeroU32,
    screen: &Screen,
) -> Result<Option<NonZeroU32>, CliError> {
    let Some((most, limit)) = limited_to(wanted).map_err(CliError::Limit)? else {
        return Ok(None);
    };
    screen.say(&fewer(most, wanted, &limit));
    Ok(Some(most))
}

/// That fewer tasks run at once than were asked for.
pub(crate) fn fewer(most: NonZeroU32, wanted: NonZeroU32, limit: &Limit) -> String {
    format!("running at most {most} at once, not {wanted}: {limit}")
}

/// Tells when the system becomes short of something and when it is so no more, for as long as it is polled.
pub(crate) async fn follow_shortage(run: &RunHandle, screen: &Screen) {
    let mut shortage = run.shortage();
    let mut told = None;
    while shortage.changed().await.is_ok() {
        let short = shortage.borrow_and_update().clone();
        match (&told, &short) {
            (None, Some(short)) => screen.say(&StateReason::from(short).to_string()),
            (Some(before), None) => screen.say(&ended(before)),
            _ => {}
        }
        told = short;
    }
}

fn ended(before: &batch_runtime::ResourceShortage) -> String {
    format!(
        "no longer short of {}; running {} at once again",
        before.what, before.requested
    )
}
