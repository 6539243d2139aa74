//! Results written from a batch file: [`WholeResults`] when a run is over, [`print_results`] to standard output.

use std::io;
use std::sync::Arc;

use batch_actions::{ActionError, Choice, DiskSpace, ResultsRequest, results};
use batch_export::files::AtomicFile;
use batch_export::{Format, Summary};
use batch_store::BatchFile;

use crate::exit::CliError;
use crate::output::{OutputPlan, PatientFile, SharedDiskSpace};
use crate::terminal::{TerminalWriter, stderr, stdout};

/// Results of a whole batch, of which a part ran before: written from its file when the run is over.
pub(crate) struct WholeResults {
    request: ResultsRequest,
    file: Option<AtomicFile>,
    disk_space: SharedDiskSpace,
}

impl WholeResults {
    /// Takes over what cannot be written as the tasks finish: files and documents. Text and raw output are
    /// shown as they come.
    pub(crate) fn of(output: &mut OutputPlan) -> Option<Self> {
        let format = output.options.format;
        let as_they_come = matches!(
            format,
            Format::Text | Format::Raw | Format::Events | Format::None
        );
        let all_at_once = !as_they_come || output.opened.is_some();
        all_at_once.then(|| Self::new(output))
    }

    /// Takes over whatever was asked for.
    pub(crate) fn new(output: &mut OutputPlan) -> Self {
        let request = ResultsRequest {
            tasks: Choice::default(),
            options: output.options.clone(),
            more: output.filter.clone(),
            offset: 0,
            limit: None,
        };
        output.options.format = Format::None;
        Self {
            request,
            file: output.opened.take(),
            disk_space: SharedDiskSpace::default(),
        }
    }

    /// Has the file wait for room as the run does.
    pub(crate) fn set_disk_space(&self, disk_space: &Arc<DiskSpace>) {
        self.disk_space.set(disk_space);
    }

    /// Writes them.
    pub(crate) fn write(self, batch: &BatchFile) -> Result<(), CliError> {
        let Some(file) = self.file else {
            return print_results(batch, &self.request).map(drop);
        };
        self.disk_space.run_is_over();
        let handle = TerminalWriter::new(PatientFile {
            file: file.handle()?,
            disk_space: self.disk_space,
        });
        results(batch, &self.request, handle, io::sink())?;
        Ok(file.commit()?)
    }
}

/// Prints results and gives the summary; `None` when who reads has seen enough.
pub(crate) fn print_results(
    file: &BatchFile,
    request: &ResultsRequest,
) -> Result<Option<Summary>, CliError> {
    match results(file, request, stdout(), stderr()) {
        Err(ActionError::Export(error)) if error.is_broken_pipe() => Ok(None),
        done => Ok(Some(done?.0)),
    }
}
