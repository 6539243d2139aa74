//! The languages that code can be in, and a private place for it to run from.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use batch_core::{Encoding, Failure, FailureKind};
use batch_process::{find_program, shortage};
use batch_runtime::{AttemptError, TaskContext};

/// A language that code can be in.
#[derive(Clone, Copy)]
pub(crate) enum Language {
    Python,
    Node,
    Terminal,
}

impl Language {
    /// The names of the runtimes, for messages.
    pub(crate) const NAMES: &str = "\"python\", \"nodejs\" or \"terminal\"";

    pub(crate) fn of(runtime: &str) -> Option<Self> {
        match runtime {
            "python" => Some(Self::Python),
            "nodejs" => Some(Self::Node),
            "terminal" => Some(Self::Terminal),
            _ => None,
        }
    }

    /// The interpreters that will do, the best first.
    const fn programs(self) -> [&'static str; 2] {
        match self {
            Self::Python => ["python3", "python"],
            Self::Node => ["node", "nodejs"],
            Self::Terminal => ["bash", "sh"],
        }
    }

    pub(crate) const fn file_name(self) -> &'static str {
        match self {
            Self::Python => "code.py",
            Self::Node => "code.js",
            Self::Terminal => "code.sh",
        }
    }

    /// What stands before the file: output is to be there when the process is killed.
    pub(crate) const fn options(self) -> &'static [&'static str] {
        match self {
            Self::Python => &["-u"],
            Self::Node | Self::Terminal => &[],
        }
    }

    pub(crate) const fn encoding(self) -> Encoding {
        match self {
            Self::Python => Encoding::Python,
            Self::Node => Encoding::JavaScript,
            Self::Terminal => Encoding::Shell,
        }
    }

    /// The interpreter, looked up once.
    pub(crate) fn interpreter(self) -> Result<&'static Path, Failure> {
        static FOUND: [OnceLock<Option<PathBuf>>; 3] = [const { OnceLock::new() }; 3];
        let [best, other] = self.programs();
        let found =
            FOUND[self as usize].get_or_init(|| [best, other].into_iter().find_map(find_program));
        found.as_deref().ok_or_else(|| {
            let message = format!("neither {best} nor {other} is in PATH; install one of them");
            Failure::new(FailureKind::SpawnError, message).permanent()
        })
    }
}

/// A private folder for one attempt, gone when dropped.
pub(crate) struct Workshop(PathBuf);

impl Workshop {
    pub(crate) fn open(folder: &Path, task: &TaskContext) -> Result<Self, AttemptError> {
        let path = folder.join(format!("code-{}-{}", task.id, task.attempt));
        // One left by an earlier run of the same name would only be in the way.
        let _ = fs::remove_dir_all(&path);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .map_err(|error| cannot_write(&path, &error))?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn write(&self, name: &str, content: &str) -> Result<PathBuf, AttemptError> {
        let path = self.path(name);
        fs::write(&path, content).map_err(|error| cannot_write(&path, &error))?;
        Ok(path)
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn cannot_write(path: &Path, error: &std::io::Error) -> AttemptError {
    if let Some(what) = shortage(error) {
        return AttemptError::Busy(what);
    }
    let message = format!("cannot write {}: {error}", path.display());
    Failure::new(FailureKind::SpawnError, message).into()
}
