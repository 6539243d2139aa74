//! What a task printed: [`logs`], also while it runs.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::time::Duration;

use batch_core::{Output, TaskId};
use batch_export::files::{copy_stream, open_output};
use batch_store::{BatchFile, Selection, Store};

use crate::choice::find_task;
use crate::clock::Poll;
use crate::error::ActionError;
use crate::live_view::holder_of;
use crate::state_reason::Silence;

const OUTPUT_POLL: Duration = Duration::from_millis(100);

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
/// Followed, a task that waits is waited for, and one that is tried again is followed into its next attempt, as
/// long as someone works on the batch. While it runs, what it printed in its first second may still be missing.
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
    let mut next = request.attempt;
    let poll = Poll::every(OUTPUT_POLL);
    loop {
        // The holder first: one that ends in between has written its last word before it lets go.
        let holder = match request.follow {
            true => holder_of(file)?,
            false => None,
        };
        store.check_there()?;
        let now = Attempts::of(&store, task)?;
        while let Some(attempt) = next.or(now.latest()).filter(|next| now.has_ended(*next)) {
            let output = store.output_of(task, attempt)?.unwrap_or_default();
            live.rest(attempt, &output, out, err)?;
            next = Some(attempt.saturating_add(1));
            if request.attempt.is_some() {
                return Ok(());
            }
        }
        let running = now
            .under_way
            .filter(|running| next.is_none_or(|next| next == *running));
        if let Some(attempt) = running {
            next = running;
            live.begin(&store, task, attempt)?;
            live.copy(out, err)?;
        }
        // An executor that died prints nothing more, whatever the file says is under way.
        if let Some(silence) = holder.as_ref().and_then(Silence::of) {
            return Err(ActionError::Silent {
                silence,
                batch: store.batch(),
                file: file.shown().to_owned(),
            });
        }
        if holder.is_none() || now.is_final {
            return match request.attempt {
                Some(attempt) if running.is_none() => {
                    Err(no_attempt(&store, task, attempt, now.last))
                }
                _ => Ok(()),
            };
        }
        poll.again().await;
    }
}

/// The attempts of a task at a moment.
struct Attempts {
    under_way: Option<u32>,
    /// The last one that has ended.
    last: Option<u32>,
    /// No other will come.
    is_final: bool,
}

impl Attempts {
    fn of(store: &Store, task: TaskId) -> Result<Self, ActionError> {
        // In this order an attempt that ends in between is seen under way and ended, and not neither.
        let under_way = store.under_way(task)?.map(|(attempt, _)| attempt);
        let selection = Selection {
            tasks: Some(vec![task]),
            ..Selection::states(&[])
        };
        let (mut last, mut is_final) = (None, true);
        store.for_each_task::<ActionError>(&selection, |record| {
            last = record.attempts.last().map(|last| last.attempt);
            is_final = record.status.is_final();
            Ok(false)
        })?;
        Ok(Self {
            under_way,
            last,
            is_final,
        })
    }

    /// The one to be shown where none was asked for.
    fn latest(&self) -> Option<u32> {
        self.under_way.or(self.last)
    }

    fn has_ended(&self, attempt: u32) -> bool {
        (1..=self.last.unwrap_or(0)).contains(&attempt) && attempt < u32::MAX
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

/// The files that the running attempt writes to, and how much of them was shown.
pub(crate) struct Live {
    folder: PathBuf,
    prefix: String,
    attempt: Option<u32>,
    shown: [u64; 2],
    /// What earlier attempts left in the folder.
    earlier: Vec<PathBuf>,
}

const ENDINGS: [&str; 2] = [".stdout", ".stderr"];

impl Live {
    pub(crate) fn new(file: &BatchFile, store: &Store, task: TaskId) -> Self {
        Self {
            folder: file.folder(),
            prefix: format!("{}-", store.batch().task(task)),
            attempt: None,
            shown: [0; 2],
            earlier: Vec::new(),
        }
    }

    /// Turns to an attempt of which nothing was shown yet.
    pub(crate) fn begin(
        &mut self,
        store: &Store,
        task: TaskId,
        attempt: u32,
    ) -> Result<(), ActionError> {
        if self.attempt == Some(attempt) {
            return Ok(());
        }
        self.attempt = Some(attempt);
        self.shown = [0; 2];
        // Of attempts that have ended, as this one has not.
        self.earlier = store.kept_files(task)?;
        Ok(())
    }

    pub(crate) fn copy<'a>(
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
            .filter(|entry| !self.earlier.contains(&entry.path()))
            .max_by_key(|entry| entry.metadata().and_then(|meta| meta.modified()).ok())
            .map(|entry| entry.path())
    }

    /// What of a finished output was not shown yet.
    pub(crate) fn rest<'a>(
        &self,
        attempt: u32,
        output: &Output,
        out: &'a mut dyn Write,
        err: &'a mut dyn Write,
    ) -> Result<(), ActionError> {
        let [stdout, stderr] = match self.attempt == Some(attempt) {
            true => self.shown,
            false => [0; 2],
        };
        for (stream, to, shown) in [(&output.stdout, out, stdout), (&output.stderr, err, stderr)] {
            let mut to = Skip { to, skip: shown };
            copy_stream(stream, &mut to)?;
            to.flush()
                .map_err(|error| ActionError::io("write", "the output", error))?;
        }
        Ok(())
    }
}

fn copy_from(path: &std::path::Path, from: u64, to: &mut dyn Write) -> io::Result<u64> {
    let mut file = match open_output(path) {
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
