//! `bex watch`: a batch as it gets on, until it is done or nothing works on it.

use std::io::{self, IsTerminal};
use std::time::Duration;

use batch_actions::{BatchStatus, Home, Until, Waited, status, wait};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::args::WatchArgs;
use crate::commands::run::runtime;
use crate::commands::wait::exit;
use crate::exit::{CliError, Exit};
use crate::reply::{print, print_line};

/// Between two looks on a terminal, and between two lines elsewhere.
const LOOK: Duration = Duration::from_millis(500);
const LINE: Duration = Duration::from_secs(1);

pub(crate) fn run(args: &WatchArgs) -> Result<Exit, CliError> {
    let file = args.batch.find(&Home::of_environment())?;
    let mut view = match !args.json && io::stdout().is_terminal() {
        true => View::Bar(new_bar()),
        false => View::Lines {
            json: args.json,
            last: String::new(),
        },
    };
    let runtime = runtime()?;
    loop {
        let status = status(&file, true)?;
        if !view.show(&status)? {
            // Who reads has seen enough.
            return Ok(Exit::Completed);
        }
        let (waited, now) = runtime.block_on(wait(&file, Until::Done, Some(view.interval())))?;
        if waited != Waited::TimedOut {
            view.end();
            print(args.json, &now, || now.to_string())?;
            return Ok(exit(waited, &now));
        }
    }
}

/// How the batch is shown.
enum View {
    Bar(ProgressBar),
    Lines { json: bool, last: String },
}

impl View {
    fn interval(&self) -> Duration {
        match self {
            Self::Bar(_) => LOOK,
            Self::Lines { .. } => LINE,
        }
    }

    /// Shows it; `false` when nobody reads any more.
    fn show(&mut self, status: &BatchStatus) -> Result<bool, CliError> {
        match self {
            Self::Bar(bar) => {
                bar.set_length(status.total.max(1));
                bar.set_position(status.finished());
                bar.set_message(status.to_string().replace('\n', "\n  "));
                Ok(true)
            }
            Self::Lines { json, last } => {
                let counts = status.counts();
                if *last == counts {
                    return Ok(true);
                }
                *last = counts;
                print_line(&match json {
                    true => serde_json::to_string(status).expect("replies are JSON"),
                    false => format!("{} {}: {last}", status.batch, status.state),
                })
            }
        }
    }

    fn end(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

fn new_bar() -> ProgressBar {
    let style =
        ProgressStyle::with_template("{bar:30.cyan/dim} {msg}").expect("the template is valid");
    ProgressBar::with_draw_target(Some(1), ProgressDrawTarget::stdout()).with_style(style)
}
