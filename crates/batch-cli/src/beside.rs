//! What is printed while tasks run and written beside their results: [`Beside`].

use std::sync::Arc;

use batch_export::files::FileHandle;
use batch_export::{
    ExportError, Format, LiveStyle, ResultWriter, WriterOptions, command_lines, job_log,
    result_writer, results_folder,
};

use crate::args::ShownArgs;
use crate::live::LiveQueue;
use crate::output::{PatientFile, SharedDiskSpace};
use crate::paint::paints;
use crate::terminal::{TerminalWriter, stderr, stdout};

/// A writer that does not end before the run.
pub(crate) type Writer = Box<dyn ResultWriter>;

/// What is asked for beside the results.
#[derive(Default)]
pub(crate) struct Beside {
    pub(crate) shown: ShownArgs,
    /// One task runs at a time.
    pub(crate) alone: bool,
    /// A batch goes on that has run before.
    pub(crate) goes_on: bool,
    /// The log of the tasks, once it is open.
    joblog: Option<FileHandle>,
    folder: Option<Writer>,
}

impl Beside {
    pub(crate) fn new(shown: &ShownArgs) -> Self {
        Self {
            shown: shown.clone(),
            ..Self::default()
        }
    }

    /// Opens the files, so that one that cannot be made is told before anything runs.
    pub(crate) fn open_files(&mut self) -> Result<(), ExportError> {
        let joblog = self.shown.joblog.as_deref();
        let joblog = joblog.map(|path| FileHandle::growing(path, self.goes_on));
        self.joblog = joblog.transpose()?;
        let folder = self.shown.results_folder.as_deref();
        self.folder = folder.map(results_folder).transpose()?;
        Ok(())
    }

    /// The writers.
    pub(crate) fn open(self, disk_space: &SharedDiskSpace) -> Result<Vec<Writer>, ExportError> {
        let mut writers: Vec<Writer> = self.folder.into_iter().collect();
        if self.shown.live {
            let mut options = WriterOptions::new(Format::Raw);
            options.live = Some(LiveStyle {
                alone: self.alone && !self.shown.tag_output,
                color: paints(&std::io::stdout()),
            });
            writers.push(result_writer(&options, stdout(), stderr())?);
        }
        if let Some(file) = self.joblog {
            let has_header = file.is_empty();
            let file = PatientFile {
                file,
                disk_space: disk_space.clone(),
            };
            writers.push(job_log(TerminalWriter::new(file), has_header)?);
        }
        if self.shown.verbose {
            writers.push(command_lines(stderr()));
        }
        Ok(writers)
    }

    /// Where what tasks print waits to be shown, if it is shown while they run.
    pub(crate) fn queue(&self, format: Format) -> Option<Arc<LiveQueue>> {
        (self.shown.live || format == Format::Events).then(Arc::default)
    }
}
