//! What can go wrong while results are written: [`ExportError`].

use std::io;
use std::path::PathBuf;

/// Results could not be written whole.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The place the results go to refused them.
    #[error("cannot write the results: {0}")]
    Write(io::Error),
    /// An output that was kept in a file could not be read back whole.
    #[error("cannot read the kept output {}: {error}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        error: io::Error,
    },
    /// Results that had to wait for their turn could not be kept aside.
    #[error(
        "cannot keep results aside in a temporary file: {0}; free some space, or set TMPDIR to a folder with free space"
    )]
    Spool(io::Error),
    /// The file of the results could not be made.
    #[error("cannot {action} {}: {error}", .path.display())]
    File {
        /// What was tried, such as `create`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What went wrong.
        error: io::Error,
    },
}

impl ExportError {
    /// Whether the reader of the results went away, as with `bex results | head`: a reason to end
    /// quietly.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Write(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// The same error where the place written to was the spool and not the results.
    pub(crate) fn in_spool(self) -> Self {
        match self {
            Self::Write(error) => Self::Spool(error),
            other => other,
        }
    }
}

impl From<io::Error> for ExportError {
    /// An error of the writer that results go to.
    fn from(error: io::Error) -> Self {
        Self::Write(error)
    }
}
