//! A folder for each task, for scripts that want files: [`ResultsFolder`].

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use batch_core::outcome::Stream;

use crate::atomic_file::{failed, private};
use crate::error::ExportError;
use crate::joblog::exit_of;
use crate::plain_file::open_plain;
use crate::record::TaskRecord;
use crate::stream::copy_stream;
use crate::summary::Summary;
use crate::writer::ResultWriter;

/// Writes `NUMBER/stdout`, `NUMBER/stderr` and, last, `NUMBER/exit` for each task that ran, as it ends. `exit` holds the
/// exit code as a shell has it: 128 and the number of the signal for one that a signal ended.
pub(crate) struct ResultsFolder(PathBuf);

impl ResultsFolder {
    pub(crate) fn new(folder: &Path) -> Result<Self, ExportError> {
        make(folder)?;
        Ok(Self(folder.to_owned()))
    }
}

fn make(folder: &Path) -> Result<(), ExportError> {
    let made = fs::create_dir_all(folder);
    made.map_err(|error| failed("make the folder", folder, error))
}

/// Not at one stroke, as a result file is, and not synced: that would take longer than most tasks. The last one of a task
/// says that the others are whole.
fn write_file(
    path: PathBuf,
    write: impl FnOnce(&mut File) -> Result<(), ExportError>,
) -> Result<(), ExportError> {
    let mut options = File::options();
    let options = private(options.write(true).create(true).truncate(true));
    let mut file = open_plain(&path, options).map_err(|error| failed("create", &path, error))?;
    write(&mut file).map_err(|error| match error {
        ExportError::Write(error) => failed("write", &path, error),
        error => error,
    })
}

impl ResultWriter for ResultsFolder {
    fn task(&mut self, record: &TaskRecord) -> Result<(), ExportError> {
        if record.attempts.is_empty() || !record.status.is_final() {
            return Ok(());
        }
        let folder = self.0.join(record.task.get().to_string());
        make(&folder)?;
        let nothing = Stream::default();
        let output = record.output.as_deref();
        let stdout = output.map_or(&nothing, |output| &output.stdout);
        let stderr = output.map_or(&nothing, |output| &output.stderr);
        for (name, stream) in [("stdout", stdout), ("stderr", stderr)] {
            write_file(folder.join(name), |file| copy_stream(stream, file))?;
        }
        let code = match exit_of(record) {
            (_, signal @ 1..) => 128 + signal,
            (code, _) => code,
        };
        write_file(folder.join("exit"), |file| Ok(writeln!(file, "{code}")?))
    }

    fn flush(&mut self) -> Result<(), ExportError> {
        Ok(())
    }

    fn finish(&mut self, _summary: &Summary) -> Result<(), ExportError> {
        Ok(())
    }
}
