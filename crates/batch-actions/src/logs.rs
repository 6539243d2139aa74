//! What a task printed: [`logs`], also while it runs.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::time::Duration;

use batch_core::{Stream, TaskId};
use batch_export::copy_stream;
use batch_store::{BatchFile, Lease, Store};
use tokio::time::sleep;

use crate::choice::find_task;
use crate::error::ActionError;

const LOOK: Duration = Duration::from_millis(100);

/// Which output of a task.
#[derive(Clone, Debug, Default)]
pub struct LogsRequest {
    /// The task.
    pub task: String,
    /// The attempt; the last one by default.
    pub attempt: Option<u32>,
    /// Go on while it runs.
    pub follow: bool,
}

/// Writes what a task printed: its standard output to `out`, its standard error to `err`.
///
/// While it runs, what it printed in its first second may still be missing.
///
/// # Errors
/// When there is no such task or attempt, or something cannot be read or written.
pub async fn logs(
    file: &BatchFile,
    request: &LogsRequest,
    out: &mut (impl Write + Send),
    err: &mut (impl Write + Send),
) -> Result<(), ActionError> {
    let store = Store::open_read(file.clone())?;
    let task = find_task(&store, &request.task)?;
    let mut live = Live::new(file, &store, task);
    loop {
        let under_way = store.under_way(task)?.map(|(attempt, _)| attempt);
        let wanted = request.attempt.or(under_way);
        // An executor that died prints nothing more, whatever the file says is under way.
        let goes_on = request.follow && Lease::holder(file)?.is_some();
        if under_way.is_some() && wanted == under_way {
            live.copy(out, err)?;
            if goes_on {
                sleep(LOOK).await;
                continue;
            }
            return Ok(());
        }
        let record = store.task(task)?;
        let last = record.and_then(|record| record.attempts.last().map(|last| last.attempt));
        let known = |attempt: &u32| (1..=last.unwrap_or(0)).contains(attempt);
        let Some(attempt) = request.attempt.or(last).filter(known) else {
            if goes_on {
                sleep(LOOK).await;
                continue;
            }
            return match request.attempt {
                Some(attempt) => Err(no_attempt(&store, task, attempt, last)),
                None => Ok(()),
            };
        };
        let output = store.output_of(task, attempt)?.unwrap_or_default();
        live.rest(&output.stdout, &output.stderr, out, err)?;
        return Ok(());
    }
}

fn no_attempt(store: &Store, task: TaskId, attempt: u32, last: Option<u32>) -> ActionError {
    let task = store.batch().task(task);
    let there = match last {
        None => "it has not run yet".to_owned(),
        Some(last) => format!("its last is {last}"),
    };
    ActionError::Refused(format!("{task} has no attempt {attempt}; {there}"))
}

/// The files that a running task writes to, and how much of them was shown.
struct Live {
    folder: PathBuf,
    prefix: String,
    shown: [u64; 2],
}

const ENDINGS: [&str; 2] = [".stdout", ".stderr"];

impl Live {
    fn new(file: &BatchFile, store: &Store, task: TaskId) -> Self {
        Self {
            folder: file.folder(),
            prefix: format!("{}-", store.batch().task(task)),
            shown: [0; 2],
        }
    }

    fn copy<'a>(
        &mut self,
        out: &'a mut dyn Write,
        err: &'a mut dyn Write,
    ) -> Result<(), ActionError> {
        let folder = self.folder.clone();
        let failed = |error| ActionError::io("read", &folder, error);
        let to = [out, err];
        for (index, (ending, to)) in ENDINGS.iter().zip(to).enumerate() {
            if let Some(path) = self.latest(ending) {
                let copied = copy_from(&path, self.shown[index], to).map_err(failed)?;
                self.shown[index] += copied;
            }
        }
        Ok(())
    }

    /// The file of the present attempt: the youngest.
    fn latest(&self, ending: &str) -> Option<PathBuf> {
        let entries = std::fs::read_dir(&self.folder).ok()?;
        entries
            .flatten()
            .filter(|entry| {
                let name = entry.file_name();
                let name = name.to_string_lossy();
                name.starts_with(&self.prefix) && name.ends_with(ending)
            })
            .max_by_key(|entry| entry.metadata().and_then(|meta| meta.modified()).ok())
            .map(|entry| entry.path())
    }

    /// What of a finished output was not shown yet.
    fn rest<'a>(
        &self,
        stdout: &Stream,
        stderr: &Stream,
        out: &'a mut dyn Write,
        err: &'a mut dyn Write,
    ) -> Result<(), ActionError> {
        for (stream, to, shown) in [(stdout, out, self.shown[0]), (stderr, err, self.shown[1])] {
            let mut to = Skip { to, skip: shown };
            copy_stream(stream, &mut to)?;
            to.flush()
                .map_err(|error| ActionError::io("write", "the output", error))?;
        }
        Ok(())
    }
}

fn copy_from(path: &std::path::Path, from: u64, to: &mut dyn Write) -> io::Result<u64> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        // It has just ended.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    file.seek(SeekFrom::Start(from))?;
    let mut buffer = vec![0; 64 * 1024];
    let mut copied = 0;
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            to.flush()?;
            return Ok(copied);
        }
        to.write_all(&buffer[..count])?;
        copied += count as u64;
    }
}

/// A writer that leaves out the first bytes.
struct Skip<'a> {
    to: &'a mut dyn Write,
    skip: u64,
}

impl Write for Skip<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left_out = usize::try_from(self.skip)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        self.skip -= left_out as u64;
        self.to.write_all(&bytes[left_out..])?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
