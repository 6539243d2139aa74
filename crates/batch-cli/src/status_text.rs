//! How a batch is progressing, for people: [`StatusText`].

use std::fmt;
use std::time::Duration;

use batch_actions::BatchStatus;
use batch_core::duration::ShortDuration;
use batch_export::{Causes, Visible};

use crate::hints;
use crate::paint::painted;

/// A status in a few lines, in which all texts from outside are made visible. Ends without a line break.
pub(crate) struct StatusText<'a> {
    pub(crate) status: &'a BatchStatus,
    /// In colours.
    pub(crate) paints: bool,
}

impl fmt::Display for StatusText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, paints } = self;
        write!(f, "{}", status.batch)?;
        if let Some(name) = &status.name {
            write!(f, " ({})", Visible(name))?;
        }
        let state = painted(status.state.predicate(), status.state, *paints);
        write!(f, " {state}")?;
        if let Some(pid) = status.pid {
            write!(f, " (process {pid}, {} at once)", status.max_concurrent)?;
        }
        if let Some(reason) = hints::reason(status) {
            write!(f, ": {}", Visible(&reason))?;
        }
        let of = format!("{} of {}", status.finished(), status.total);
        let tasks = if status.total == 1 { "task" } else { "tasks" };
        write!(
            f,
            "\nProgress: {:.1}% ({of} {tasks})\n{}",
            status.progress,
            status.counts()
        )?;
        if status.flaky > 0 {
            write!(f, " ({} flaky)", status.flaky)?;
        }
        if let Some(spread) = status.execution_times.filter(|_| status.completed > 1) {
            write!(f, "\nexecution time: {spread}")?;
        }
        if let Some(rate) = status.rate.filter(|rate| *rate > 0.0) {
            write!(f, "\n{rate:.1} tasks a second")?;
            if let Some(left) = status.seconds_left {
                let left = Duration::try_from_secs_f64(left).unwrap_or_default();
                write!(f, ", about {} left", ShortDuration(left))?;
            }
        }
        if !status.causes.is_empty() {
            let causes = Causes::from_groups(status.causes.iter().cloned(), 0);
            write!(f, "\n{causes}")?;
        }
        for task in status.running_tasks.iter().flatten() {
            if status.interrupted > 0 {
                write!(f, "\n  interrupted {}  {}", task.task, Visible(&task.label))?;
                continue;
            }
            let time = Duration::try_from_secs_f64(task.seconds).unwrap_or_default();
            write!(
                f,
                "\n  running {}  {}  {}",
                task.task,
                Visible(&task.label),
                ShortDuration(time)
            )?;
            if task.attempt > 1 {
                write!(f, " (attempt {})", task.attempt)?;
            }
        }
        Ok(())
    }
}
