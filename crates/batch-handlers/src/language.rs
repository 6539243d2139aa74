//! The languages that code can be in, and a private place for it to run from.

use std::fs::{self, DirBuilder, OpenOptions};
use std::future::ready;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use batch_core::{Failure, FailureKind, control::Urgency};
use batch_process::{CaptureLimits, Scratch, find_program, shortage, until_space};
use batch_runtime::{AttemptError, TaskContext};
use batch_template::Encoding;

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

    /// How values are written in its code.
    pub(crate) fn encoding(self) -> Encoding {
        match self {
            Self::Python => Encoding::Python,
            Self::Node => Encoding::JavaScript,
            Self::Terminal => Encoding::of_script("sh"),
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

    /// What is before the file: output is to be there when the process is killed.
    pub(crate) const fn options(self) -> &'static [&'static str] {
        match self {
            Self::Python => &["-u"],
            Self::Node | Self::Terminal => &[],
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

/// Where code is while it runs.
pub(crate) struct CodePlace {
    pub(crate) scratch: Scratch,
    pub(crate) capture: Arc<CaptureLimits>,
}

impl CodePlace {
    /// A private folder for one attempt with these files. While the disk is full it waits, until the attempt is ended.
    pub(crate) async fn open(
        &self,
        task: &TaskContext,
        files: &[(&str, &str)],
    ) -> Result<Workshop, AttemptError> {
        let ended = task.cancel.reached(Urgency::End);
        let open = || {
            let name = format!("code-{}-{}", task.id, task.attempt);
            let folder = self.scratch.folder();
            ready(folder.and_then(|folder| Workshop::open(folder.join(name), files)))
        };
        let opened = until_space(self.capture.disk_space.as_ref(), ended, open).await;
        opened.map_err(|error| {
            if let Some(what) = shortage(&error) {
                return AttemptError::Busy(what);
            }
            let folder = std::env::temp_dir();
            let message = format!(
                "the code cannot be written to a folder in {}: {error}; set TMPDIR to one that can be written",
                folder.display()
            );
            Failure::new(FailureKind::SpawnError, message).into()
        })
    }
}

/// A private folder for one attempt, gone when dropped.
pub(crate) struct Workshop(PathBuf);

impl Workshop {
    fn open(path: PathBuf, files: &[(&str, &str)]) -> io::Result<Self> {
        // One left by an earlier run of the same name would only be in the way.
        let _ = fs::remove_dir_all(&path);
        DirBuilder::new().mode(0o700).create(&path)?;
        let workshop = Self(path);
        for (name, content) in files {
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(workshop.path(name))?;
            file.write_all(content.as_bytes())?;
        }
        Ok(workshop)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
