//! What a person sees while a batch runs: [`Screen`], and the task that keeps it up to date.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::time::Duration;

use batch_core::{BatchId, Status, duration::ShortDuration};
use batch_export::Visible;
use batch_runtime::{RunHandle, Snapshot};
use batch_template::task_label;

use crate::args::{Progress, ResultArgs};
use crate::terminal::{Bar, is_dumb, show, tell};

const BAR_INTERVAL: Duration = Duration::from_millis(200);
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// How many slow tasks the bar names.
const SLOWEST: usize = 3;

/// What is shown while a batch runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Screen {
    has_bar: bool,
    lines: bool,
    summary: SummaryWanted,
}

/// When the summary is shown.
#[derive(Clone, Copy, Debug)]
enum SummaryWanted {
    Always,
    OfFailures,
    Never,
}

impl Screen {
    pub(crate) fn new(progress: Progress) -> Self {
        let has_bar = io::stderr().is_terminal()
            && match progress {
                Progress::Auto => !is_dumb() && stays_here(),
                Progress::Bar => true,
                Progress::Plain | Progress::None => false,
            };
        Self {
            has_bar,
            lines: !has_bar && progress != Progress::None,
            summary: match progress {
                Progress::None => SummaryWanted::OfFailures,
                _ => SummaryWanted::Always,
            },
        }
    }

    /// As the options say. What goes through as it is, of one task at a time, has the terminal for itself.
    pub(crate) fn of(args: &ResultArgs, alone: bool) -> Self {
        let shown = &args.shown;
        let mut screen = Self::new(match shown.quiet {
            true => Progress::None,
            false => args.progress,
        });
        if shown.live && alone && args.progress == Progress::Auto {
            screen.has_bar = false;
            screen.lines = false;
        }
        if shown.quiet {
            screen.summary = SummaryWanted::Never;
        }
        if shown.summary {
            screen.summary = SummaryWanted::Always;
        }
        screen
    }

    /// Whether the summary is shown, of a run in which some tasks failed or none.
    pub(crate) fn shows_summary(self, failed: bool) -> bool {
        match self.summary {
            SummaryWanted::Always => true,
            SummaryWanted::OfFailures => failed,
            SummaryWanted::Never => false,
        }
    }

    /// Whether there is a bar.
    pub(crate) fn has_bar(self) -> bool {
        self.has_bar
    }

    /// Shows a message to a person.
    pub(crate) fn say(self, message: &str) {
        tell(format_args!("bex: {message}"));
    }

    /// Keeps the screen up to date for as long as the run goes on. `all_known` tells whether all tasks of the batch
    /// are in the run: before that there is no total, and nobody knows what is left.
    pub(crate) async fn follow(
        self,
        run: RunHandle,
        batch: BatchId,
        all_known: impl Fn(&Snapshot) -> bool,
    ) {
        let interval = match (self.has_bar, self.lines) {
            (true, _) => BAR_INTERVAL,
            (false, true) => LINE_INTERVAL,
            (false, false) => return,
        };
        loop {
            tokio::time::sleep(interval).await;
            let Ok(snapshot) = run.snapshot().await else {
                return;
            };
            let line = line(&snapshot, all_known(&snapshot));
            match self.has_bar {
                true => show(bar(&snapshot, batch, line)),
                false => tell(format_args!("bex: {line}")),
            }
        }
    }
}

/// Whether what is printed to standard output is seen on the terminal above the bar, or goes to a file or nowhere. What
/// goes to another program may come back to the terminal at any time, and would be erased with the bar.
fn stays_here() -> bool {
    let stdout = io::stdout().as_fd().try_clone_to_owned().map(File::from);
    let kind = stdout.and_then(|stdout| stdout.metadata());
    kind.is_ok_and(|stdout| stdout.is_file() || stdout.file_type().is_char_device())
}

fn bar(snapshot: &Snapshot, batch: BatchId, mut text: String) -> Bar {
    for task in snapshot.running.iter().take(SLOWEST) {
        let running = ShortDuration(snapshot.at.since(task.started));
        let label = Visible(&task_label(&task.spec)).cut_middle(40);
        let _ = write!(text, "\n  {} {label} {running}", batch.task(task.task));
    }
    Bar {
        done: snapshot.stats.finished(),
        total: snapshot.stats.total(),
        text,
    }
}

/// Counts, rate and what is left, in one line.
fn line(snapshot: &Snapshot, all_known: bool) -> String {
    let stats = &snapshot.stats;
    let mut text = if all_known {
        format!("{}/{} done", stats.finished(), stats.total())
    } else {
        format!("{} done", stats.finished())
    };
    for (count, what) in [
        (stats.count(Status::Failed), "failed"),
        (stats.count(Status::Cancelled), "cancelled"),
        (stats.count(Status::Running), "running"),
    ] {
        if count > 0 {
            let _ = write!(text, ", {count} {what}");
        }
    }
    let _ = write!(text, ", {:.1}/s", stats.rate(snapshot.at));
    if let Some(left) = snapshot.remaining.filter(|_| all_known) {
        let wide = left.high.saturating_sub(left.low) > left.likely / 3;
        let high = ShortDuration(left.high);
        if wide && left.low.is_zero() {
            let _ = write!(text, ", up to {high} left");
        } else if wide && left.high > Duration::from_secs(2) {
            let _ = write!(text, ", {} to {high} left", ShortDuration(left.low));
        } else {
            let _ = write!(text, ", {} left", ShortDuration(left.likely));
        }
    }
    if snapshot.paused {
        text.push_str(", paused");
    }
    text
}
