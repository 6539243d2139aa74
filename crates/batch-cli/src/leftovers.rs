//! Telling of processes that tasks left: [`left_behind`] at the end of a run, [`outlived`] of a dead executor,
//! [`tell_not_ended`] by the guardian.

use batch_process::Leftover;

use crate::reply::tell;
use crate::terminal::erase_left_bar;

/// How many are told of one by one.
const NAMED: usize = 20;

/// Those that a run left, and that were ended with it.
pub(crate) fn left_behind(left: &[Leftover]) -> Vec<String> {
    lines(left, |left, task| match left.ended {
        true => format!(
            "{task} left process {} behind ({}); ended",
            left.pid, left.program
        ),
        false => format!("could not be ended: {left}, left behind by {task}"),
    })
}

/// Those that a dead executor left, and that were ended later on.
pub(crate) fn outlived(left: &[Leftover]) -> Vec<String> {
    lines(left, |left, task| match left.ended {
        true => format!(
            "process {} of {task} outlived its executor ({}); ended",
            left.pid, left.program
        ),
        false => format!("could not be ended: {left} of {task}, which outlived its executor"),
    })
}

/// For commands that end them beside what they do.
pub(crate) fn tell_outlived(left: &[Leftover]) {
    for line in outlived(left) {
        tell(format_args!("bex: {line}"));
    }
}

/// What the guardian does on the terminal of a killed executor: it takes its bar away, and tells of those that it left and
/// that could not be ended.
pub(crate) fn tell_not_ended(left: &[Leftover]) {
    erase_left_bar();
    for line in lines(left, |left, task| {
        format!("could not be ended: {left}, left by {task} of a killed executor")
    }) {
        tell(format_args!("bex: {line}"));
    }
}

/// A line for each of the first ones, those that run still before the others, and one for the rest.
fn lines(left: &[Leftover], line: impl Fn(&Leftover, &str) -> String) -> Vec<String> {
    let (ended, running): (Vec<_>, Vec<_>) = left.iter().partition(|left| left.ended);
    let named = running.into_iter().chain(ended).take(NAMED);
    let mut lines: Vec<String> = named
        .map(|left| line(left, left.task.as_deref().unwrap_or("a task")))
        .collect();
    if let Some(more) = left.len().checked_sub(NAMED).filter(|more| *more > 0) {
        lines.push(format!("… and {more} more"));
    }
    lines
}
