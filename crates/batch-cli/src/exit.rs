//! How `bex` ends: [`Exit`], the one table of exit codes, and [`CliError`].

use std::process::ExitCode;

use batch_actions::{ActionError, BatchStatus, State, StateReason, Waited, is_output_closed};
use batch_core::{
    Stats,
    settings::Halt,
    text::{Counted, first_of},
};
use batch_export::Visible;
use batch_input::Problem;
use batch_process::Limit;
use batch_runtime::{RunEnd, RunReport};
use batch_store::StoreError;

/// The exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Every task completed.
    Completed,
    /// It ran to the end; some tasks failed or were cancelled.
    SomeFailed,
    /// Wrong usage or invalid input; nothing ran.
    Usage,
    /// The tool itself failed.
    Broken,
    /// The batch was stopped or cancelled before its end.
    Stopped,
    /// A wait limit was reached, and it still runs.
    WaitLimit,
    /// Ended by a signal.
    Signal(u8),
}

impl Exit {
    fn code(self) -> u8 {
        match self {
            Self::Completed => 0,
            Self::SomeFailed => 1,
            Self::Usage => 2,
            Self::Broken => 3,
            Self::Stopped => 5,
            Self::WaitLimit => 6,
            Self::Signal(number) => 128 + number,
        }
    }
}

/// How something ended that an exit code tells.
pub(crate) enum Outcome<'a> {
    /// A run.
    Run {
        report: &'a RunReport,
        /// The signal that ended it.
        signal: Option<u8>,
        /// Tasks that are not finished.
        open: u64,
        /// Some tasks failed or were cancelled.
        failed: bool,
        /// When the batch asks to be ended.
        halt: Halt,
    },
    /// Waiting for a batch.
    Waited(Waited, &'a BatchStatus),
}

impl Exit {
    /// The exit code of an outcome.
    pub(crate) fn of(outcome: Outcome<'_>) -> Self {
        match outcome {
            Outcome::Run {
                signal: Some(signal),
                ..
            } => Self::Signal(signal),
            Outcome::Run {
                report,
                open,
                failed,
                halt,
                ..
            } => match report.end {
                RunEnd::NothingStarts => Self::Broken,
                // What is left is held, and waits for someone.
                RunEnd::Finished | RunEnd::Stopped if open > 0 => Self::Stopped,
                RunEnd::Finished if failed => Self::SomeFailed,
                RunEnd::Finished => Self::Completed,
                // It was ended as was asked for.
                RunEnd::CutShort if is_halted(halt, &report.stats) => match halt.is_of_success() {
                    true => Self::Completed,
                    false => Self::SomeFailed,
                },
                RunEnd::CutShort | RunEnd::Stopped => Self::Stopped,
                RunEnd::SinkFailed if is_output_closed(report) => Self::Stopped,
                RunEnd::SinkFailed => Self::Broken,
            },
            Outcome::Waited(waited, status) => match (waited, status.state) {
                (Waited::TimedOut | Waited::Silent, _) => Self::WaitLimit,
                (_, State::Completed) => Self::Completed,
                (_, State::Failed) if status.timed_out => Self::Stopped,
                (_, State::Failed) if has_succeeded(status) => Self::Completed,
                (_, State::Failed) => Self::SomeFailed,
                (Waited::Reached, _) if status.failed > 0 => Self::SomeFailed,
                (Waited::Reached, _) => Self::Completed,
                (Waited::Done | Waited::AtRest, _) => Self::Stopped,
            },
        }
    }

    /// The exit code of a batch as it is, with no time to wait.
    pub(crate) fn now(status: &BatchStatus) -> Self {
        let waited = match (status.state, status.pid) {
            (State::Completed | State::Failed, _) => Waited::Reached,
            (_, Some(_)) => Waited::TimedOut,
            (_, None) => Waited::AtRest,
        };
        Self::of(Outcome::Waited(waited, status))
    }
}

/// Whether a batch was ended as enough of its tasks had completed.
fn has_succeeded(status: &BatchStatus) -> bool {
    matches!(status.reason, Some(StateReason::Halted(halt)) if halt.is_of_success())
}

/// Whether as many tasks have ended as a batch asks for to be ended.
pub(crate) fn is_halted(halt: Halt, stats: &Stats) -> bool {
    halt.is_reached(&|status| stats.count(status), stats.total())
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a command did not do its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// The arguments do not go together.
    #[error("{0}")]
    Usage(String),
    /// The input is wrong; all that is wrong with it.
    #[error("{}", list(.0))]
    Input(Vec<Problem>),
    /// A file cannot be read.
    #[error(transparent)]
    Read(#[from] batch_input::ReadError),
    /// Something asked of a stored batch was not done.
    #[error(transparent)]
    Action(#[from] ActionError),
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] batch_mcp_client::ConfigError),
    /// Results cannot be written.
    #[error(transparent)]
    Export(#[from] batch_export::ExportError),
    /// The limits of the system allow not even one task.
    #[error("no task can run: {}; {}", .0, advice(.0))]
    Limit(Limit),
    /// Something else of ours failed.
    #[error("cannot {0}: {1}")]
    System(&'static str, std::io::Error),
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        Self::Action(error.into())
    }
}

impl CliError {
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) | Self::Input(_) | Self::Read(_) | Self::Config(_) => Exit::Usage,
            Self::Action(ActionError::Incomplete { .. }) => Exit::Stopped,
            Self::Action(error) if error.is_usage() => Exit::Usage,
            Self::Action(_) => Exit::Broken,
            Self::Export(_) | Self::Limit(_) | Self::System(..) => Exit::Broken,
        }
    }
}

fn advice(limit: &Limit) -> &'static str {
    match limit {
        Limit::OpenFiles { .. } => "raise it, as with ulimit -n 1024",
        _ => "raise it, or end what uses them up",
    }
}

fn list(problems: &[Problem]) -> String {
    let count = Counted(problems.len() as u64, "problem");
    let line = |problem: &Problem| format!("  {}", Visible(&problem.to_string()));
    let lines = first_of(problems, line, "\n");
    format!("{count} in the input; nothing was run\n{lines}")
}
