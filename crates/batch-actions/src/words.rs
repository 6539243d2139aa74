//! How a batch is getting on, in words: the texts of [`State`] and [`BatchStatus`].

use std::fmt;
use std::time::Duration;

use batch_core::ShortDuration;
use batch_export::{Causes, Visible};

use crate::engine::STOPPING;
use crate::status::{BatchStatus, State};

impl State {
    /// The name: `new`, `running`, …
    pub const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Incomplete => "incomplete",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::Interrupted => "interrupted",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }

    /// The state in a sentence: `b7 is …`.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Failed => "done, with failures",
            other => other.name(),
        }
    }

    /// Whether every task is finished.
    pub const fn is_done(self) -> bool {
        matches!(self, Self::Completed | Self::Failed)
    }

    /// Whether nothing more will happen by itself.
    pub const fn is_at_rest(self) -> bool {
        !matches!(self, Self::Running | Self::Paused | Self::Incomplete)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl BatchStatus {
    /// Whether an executor works on it that has been told to stop.
    pub fn is_stopping(&self) -> bool {
        self.pid.is_some() && self.reason.as_deref() == Some(STOPPING)
    }

    /// How many tasks are completed, failed or cancelled.
    pub const fn finished(&self) -> u64 {
        self.completed + self.failed + self.cancelled
    }

    /// The counts in one line.
    pub fn counts(&self) -> String {
        let mut parts = Vec::new();
        for (count, what) in [
            (self.completed, "completed"),
            (self.failed, "failed"),
            (self.cancelled, "cancelled"),
            (self.running, "running"),
            (self.interrupted, "cut off"),
            (self.queued - self.interrupted, "queued"),
        ] {
            if count > 0 {
                parts.push(format!("{count} {what}"));
            }
        }
        match parts.is_empty() {
            true => "no tasks".to_owned(),
            false => parts.join(", "),
        }
    }
}

impl fmt::Display for BatchStatus {
    /// A few lines for people. Ends without a line break.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.batch)?;
        if let Some(name) = &self.name {
            write!(f, " ({})", Visible(name))?;
        }
        write!(f, " is {}", self.state.in_words())?;
        if let Some(pid) = self.pid {
            write!(f, " (process {pid}, {} at once)", self.max_concurrent)?;
        }
        if let Some(reason) = &self.reason {
            write!(f, ": {reason}")?;
        }
        let of = format!("{} of {}", self.finished(), self.total);
        let tasks = if self.total == 1 { "task" } else { "tasks" };
        write!(
            f,
            "\nProgress: {:.1}% ({of} {tasks})\n{}",
            self.progress,
            self.counts()
        )?;
        if self.flaky > 0 {
            write!(f, " ({} flaky)", self.flaky)?;
        }
        if let Some(spread) = self.execution_times.filter(|_| self.completed > 1) {
            write!(f, "\nexecution time: {spread}")?;
        }
        if let Some(rate) = self.rate.filter(|rate| *rate > 0.0) {
            write!(f, "\n{rate:.1} tasks a second")?;
            if let Some(left) = self.seconds_left {
                let left = Duration::try_from_secs_f64(left).unwrap_or_default();
                write!(f, ", about {} left", ShortDuration(left))?;
            }
        }
        if !self.causes.is_empty() {
            let causes = Causes::from_groups(self.causes.iter().cloned(), 0);
            write!(f, "\n{causes}")?;
        }
        for task in self.running_tasks.iter().flatten() {
            if self.interrupted > 0 {
                write!(f, "\n  cut off {}  {}", task.task, Visible(&task.label))?;
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
