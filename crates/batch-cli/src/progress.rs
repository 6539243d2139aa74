//! What a person sees while a batch runs: [`Screen`], and the task that keeps it up to date.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use batch_core::{BatchId, Status, duration::ShortDuration};
use batch_export::Visible;
use batch_runtime::{RunHandle, Snapshot};
use batch_template::task_label;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::args::Progress;
use crate::reply::tell;

const BAR_INTERVAL: Duration = Duration::from_millis(200);
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// How many slow tasks the bar names.
const SLOWEST: usize = 3;

/// The part of the terminal that is ours. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Screen {
    bar: Option<ProgressBar>,
    lines: bool,
    quiet: bool,
}

impl Screen {
    pub(crate) fn new(progress: Progress) -> Self {
        let bar = match progress {
            Progress::Auto => io::stderr().is_terminal(),
            Progress::Bar => true,
            Progress::Plain | Progress::None => false,
        };
        let lines = !bar && progress != Progress::None;
        Self {
            bar: bar.then(|| new_bar(ProgressDrawTarget::stderr_with_hz(10))),
            lines,
            quiet: progress == Progress::None,
        }
    }

    /// Whether nothing but errors is to be shown.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// A writer whose output does not get mixed up with the bar.
    pub(crate) fn writer<W: Write + IsTerminal>(&self, inner: W) -> ScreenWriter<W> {
        let bar = self.bar.clone().filter(|_| inner.is_terminal());
        ScreenWriter { inner, bar }
    }

    /// Shows a message to a person.
    pub(crate) fn say(&self, message: &str) {
        let print = || tell(format_args!("bex: {message}"));
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    /// Takes the bar away.
    pub(crate) fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// Keeps the screen up to date for as long as the run goes on. `all_known` tells whether all tasks of the batch
    /// are in the run: before that there is no total, and nobody knows what is left.
    pub(crate) async fn follow(
        self,
        run: RunHandle,
        batch: BatchId,
        all_known: impl Fn(&Snapshot) -> bool,
    ) {
        let interval = match (&self.bar, self.lines) {
            (Some(_), _) => BAR_INTERVAL,
            (None, true) => LINE_INTERVAL,
            (None, false) => return,
        };
        loop {
            tokio::time::sleep(interval).await;
            let Ok(snapshot) = run.snapshot().await else {
                return;
            };
            let line = line(&snapshot, all_known(&snapshot));
            match &self.bar {
                Some(bar) => draw(bar, &snapshot, batch, line),
                None => tell(format_args!("bex: {line}")),
            }
        }
    }
}

/// A bar with a message.
pub(crate) fn new_bar(target: ProgressDrawTarget) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{bar:30.cyan/dim} {msg}").expect("the template is valid");
    ProgressBar::with_draw_target(Some(1), target).with_style(style)
}

fn draw(bar: &ProgressBar, snapshot: &Snapshot, batch: BatchId, mut message: String) {
    bar.set_length(snapshot.stats.total().max(1));
    bar.set_position(snapshot.stats.finished());
    for task in snapshot.running.iter().take(SLOWEST) {
        let running = ShortDuration(snapshot.at.since(task.started));
        let label = Visible(&task_label(&task.spec)).cut_middle(40);
        let _ = write!(message, "\n  {} {label} {running}", batch.task(task.task));
    }
    bar.set_message(message);
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
        if wide && left.high > Duration::from_secs(2) {
            let _ = write!(
                text,
                ", {} to {} left",
                ShortDuration(left.low),
                ShortDuration(left.high)
            );
        } else {
            let _ = write!(text, ", {} left", ShortDuration(left.likely));
        }
    }
    if snapshot.paused {
        text.push_str(", paused");
    }
    text
}

/// Writes around the bar.
pub(crate) struct ScreenWriter<W> {
    inner: W,
    bar: Option<ProgressBar>,
}

impl<W: Write> Write for ScreenWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Self { inner, bar } = self;
        match bar {
            Some(bar) => bar.suspend(|| inner.write(bytes)),
            None => inner.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
