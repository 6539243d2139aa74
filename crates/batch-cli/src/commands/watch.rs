//! `bex watch`: a batch as it gets on, until it is done or nothing works on it.

use std::io::{self, IsTerminal};
use std::time::Duration;

use batch_actions::{ActionError, BatchStatus, Home, Until, Waited, status, wait};
use batch_export::VisibleLines;
use batch_store::Store;

use crate::args::{Progress, WatchArgs};
use crate::exit::{CliError, Exit, Outcome};
use crate::hints::status_json;
use crate::progress::Screen;
use crate::reply::{print, print_line};
use crate::runtime::runtime;
use crate::status_text::StatusText;
use crate::terminal::{Bar, hide, show};

/// Between two looks on a terminal, and between two lines elsewhere.
const BAR_POLL: Duration = Duration::from_millis(500);
const LINE_POLL: Duration = Duration::from_secs(1);

pub(crate) fn run(args: &WatchArgs) -> Result<Exit, CliError> {
    let file = args.batch.find(&Home::of_environment())?;
    let is_seen = io::stdout().is_terminal() && Screen::new(Progress::Auto).has_bar();
    let mut view = match !args.json && is_seen {
        true => View::Bar,
        false => View::Lines {
            json: args.json,
            last: String::new(),
        },
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
            print(args.json, &status_json(&now), || {
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

/// How the batch is shown.
enum View {
    Bar,
    Lines { json: bool, last: String },
}

impl View {
    fn interval(&self) -> Duration {
        match self {
            Self::Bar => BAR_POLL,
            Self::Lines { .. } => LINE_POLL,
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
            Self::Lines { json, last } => {
                let line = format!("{} {}: {}", status.batch, status.state, status.counts());
                if *last == line {
                    return Ok(true);
                }
                *last = line;
                match json {
                    true => print_line(&status_json(status).to_string()),
                    false => print_line(&VisibleLines(last).to_string()),
                }
            }
        }
    }
}
