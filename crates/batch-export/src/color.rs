//! Colours of what became of tasks: [`Color`].

use batch_core::Status;

/// The colour of what became of a task, for a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Color {
    /// Green.
    Completed,
    /// Yellow: it completed, and not on the first try.
    Flaky,
    /// Red.
    Failed,
    /// Magenta.
    Cancelled,
}

impl Color {
    /// That of a task; `None` while it is not finished.
    pub const fn of(status: Status, flaky: bool) -> Option<Self> {
        match status {
            Status::Completed if flaky => Some(Self::Flaky),
            Status::Completed => Some(Self::Completed),
            Status::Failed => Some(Self::Failed),
            Status::Cancelled => Some(Self::Cancelled),
            Status::Queued | Status::Running => None,
        }
    }

    /// A text in this colour, which must steer no terminal by itself.
    pub fn paint(self, text: &str) -> String {
        let code = match self {
            Self::Completed => 32,
            Self::Flaky => 33,
            Self::Failed => 31,
            Self::Cancelled => 35,
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}
