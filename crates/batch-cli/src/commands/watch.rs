//! `bex watch`: a batch as it gets on, until it is done or nothing works on it.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use batch_actions::{ActionError, BatchStatus, Home, Until, Waited, follow, status, wait};
use batch_export::{Format, VisibleLines, WriterOptions, result_writer};
use batch_store::{BatchFile, Store};

use crate::args::{Progress, WatchArgs};
use crate::exit::{CliError, Exit, Outcome};
use crate::hints::status_json;
use crate::progress::Screen;
use crate::reply::{print, print_line};
use crate::runtime::runtime;
use crate::status_text::StatusText;
use crate::terminal::{Bar, hide, show, stdout};

/// Between two looks on a terminal, and between two lines elsewhere.
const BAR_POLL: Duration = Duration::from_millis(500);
const LINE_POLL: Duration = Duration::from_secs(1);

pub(crate) fn run(args: &WatchArgs) -> Result<Exit, CliError> {
    let file = args.batch.find(&Home::of_environment())?;
    if args.json {
        return events(&file);
    }
    let is_seen = io::stdout().is_terminal() && Screen::new(Progress::Auto).has_bar();
    let mut view = match is_seen {
        true => View::Bar,
        false => View::Lines(String::new()),
    };
    let runtime = runtime()?;
    // Open throughout, to tell a batch that was taken away from one that never was there.
    let store = Store::open_read(file.clone()).map_err(ActionError::from)?;
    let or_lost = |error| match store.check_there() {
        Ok(()) => error,
        Err(lost) => ActionError::from(lost),
    };
    let mut pause = Duration::ZERO;
    loop {
        let looked = runtime.block_on(wait(&file, Until::Done, Some(pause)));
        let (waited, now) = looked.map_err(or_lost)?;
        if waited != Waited::TimedOut {
            hide();
            print(false, &(), || {
                StatusText {
                    status: &now,
                    paints: false,
                }
                .to_string()
            })?;
            return Ok(Exit::of(Outcome::Waited(waited, &now)));
        }
        pause = view.interval();
        let status = status(&file, true).map_err(or_lost)?;
        // The end, where it came in between, is shown once and as the end.
        if status.pid.is_some() && !view.show(&status)? {
            // Who reads has seen enough.
            return Ok(Exit::Completed);
        }
    }
}

/// The status, what has happened and what happens, and the status again when it has changed and at the end, a line each.
fn events(file: &BatchFile) -> Result<Exit, CliError> {
    let runtime = runtime()?;
    let mut told = StatusLines::default();
    let mut is_read = told.tell(&status(file, true)?)?;
    let mut writer = result_writer(&WriterOptions::new(Format::Events), stdout(), io::sink())?;
    let mut next = Instant::now() + LINE_POLL;
    let mut look = || {
        if next <= Instant::now() {
            next = Instant::now() + LINE_POLL;
            // What cannot be read shows in the next look at what happens.
            is_read &= status(file, true).is_ok_and(|now| told.tell(&now).unwrap_or(false));
        }
        is_read
    };
    match runtime.block_on(follow(file, true, writer.as_mut(), &mut look)) {
        Err(ActionError::Export(error)) if error.is_broken_pipe() => return Ok(Exit::Completed),
        // The status says so as well.
        Err(ActionError::Silent { .. }) => {}
        followed => followed?,
    }
    if !is_read {
        return Ok(Exit::Completed);
    }
    let (waited, now) = runtime.block_on(wait(file, Until::Done, Some(Duration::ZERO)))?;
    print_status(&now)?;
    Ok(Exit::of(Outcome::Waited(waited, &now)))
}

/// The status among the events.
#[derive(Default)]
struct StatusLines(String);

impl StatusLines {
    /// Prints it, where it has changed; `false` when nobody reads any more.
    fn tell(&mut self, status: &BatchStatus) -> Result<bool, CliError> {
        let line = short(status);
        // The end, where it came in between, is told once and as the end.
        if status.pid.is_none() || line == self.0 {
            return Ok(true);
        }
        self.0 = line;
        print_status(status)
    }
}

/// Prints the status as one of the events; `false` when nobody reads any more.
fn print_status(status: &BatchStatus) -> Result<bool, CliError> {
    let mut json = status_json(status);
    json["type"] = "status".into();
    print_line(&json.to_string())
}

/// The status in one line.
fn short(status: &BatchStatus) -> String {
    format!("{} {}: {}", status.batch, status.state, status.counts())
}

/// How the batch is shown.
enum View {
    Bar,
    /// The last line.
    Lines(String),
}

impl View {
    fn interval(&self) -> Duration {
        match self {
            Self::Bar => BAR_POLL,
            Self::Lines(_) => LINE_POLL,
        }
    }

    /// Shows it; `false` when nobody reads any more.
    fn show(&mut self, status: &BatchStatus) -> Result<bool, CliError> {
        match self {
            Self::Bar => {
                let text = StatusText {
                    status,
                    paints: false,
                }
                .to_string();
                show(Bar {
                    done: status.finished(),
                    total: status.total,
                    text: VisibleLines(&text).to_string().replace('\n', "\n  "),
                });
                Ok(true)
            }
            Self::Lines(last) => {
                let line = short(status);
                if *last == line {
                    return Ok(true);
                }
                *last = line;
                print_line(&VisibleLines(last).to_string())
            }
        }
    }
}
