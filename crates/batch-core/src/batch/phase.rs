//! Where a batch is as a whole: [`Flow`] and [`Course`].

use crate::status::StopReason;

/// Whether a batch starts attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) enum Flow {
    #[default]
    Open,
    /// Not before it is resumed.
    Paused,
    /// No more in this run. What is paused meanwhile stays so for the next one.
    Stopping { paused: bool },
}

/// Whether all tasks of a batch have their turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) enum Course {
    #[default]
    Full,
    /// All tasks that were open at some time were cancelled; those that came later have their turn.
    CutShort,
    /// Its time was up or a failure ended it: tasks that come later are cancelled as well.
    Over(StopReason),
}

impl Flow {
    pub(super) fn is_paused(self) -> bool {
        matches!(self, Self::Paused | Self::Stopping { paused: true })
    }

    pub(super) fn is_stopping(self) -> bool {
        matches!(self, Self::Stopping { .. })
    }

    /// The same flow, paused or resumed.
    pub(super) fn with_paused(self, paused: bool) -> Self {
        match self {
            Self::Stopping { .. } => Self::Stopping { paused },
            Self::Open | Self::Paused if paused => Self::Paused,
            Self::Open | Self::Paused => Self::Open,
        }
    }

    /// The same flow, stopped.
    pub(super) fn stopped(self) -> Self {
        Self::Stopping {
            paused: self.is_paused(),
        }
    }
}
