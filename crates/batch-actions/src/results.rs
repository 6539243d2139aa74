//! What became of the tasks of a batch: [`results`], to any writer in any format.

use std::io::Write;
use std::path::Path;

use batch_core::Status;
use batch_export::files::AtomicFile;
use batch_export::{
    Causes, Format, ResultWriter, Summary, TaskFilter, WriterOptions, result_writer,
};
use batch_store::{BatchFile, Store};

use crate::choice::Choice;
use crate::clock::now;
use crate::error::ActionError;
use crate::live_view::LiveView;

/// Which results, and how they are written.
#[derive(Clone, Debug)]
pub struct ResultsRequest {
    /// Which tasks.
    pub tasks: Choice,
    /// What narrows them further.
    pub more: TaskFilter,
    /// In which form.
    pub options: WriterOptions,
    /// How many tasks of those are left out at the front.
    pub offset: u64,
    /// How many tasks at most.
    pub limit: Option<u64>,
}

impl ResultsRequest {
    fn is_of_all(&self) -> bool {
        self.tasks.is_all() && self.more.is_empty() && self.limit.is_none()
    }
}

/// Writes results, and gives the summary of the whole batch and the number of tasks written.
///
/// # Errors
/// When the choice is wrong, the batch cannot be read, or the results cannot be written.
pub fn results(
    file: &BatchFile,
    request: &ResultsRequest,
    out: impl Write + Send,
    err: impl Write + Send,
) -> Result<(Summary, u64), ActionError> {
    let store = Store::open_read(file.clone())?;
    let mut options = request.options.clone();
    options.batch_file = Some(file.shown().to_owned());
    let mut writer = result_writer(&options, out, err)?;
    let written = write(&store, request, writer.as_mut())?;
    let mut summary = summary_of(&store)?;
    // Who asks for a few tasks need not wait until all have been looked at.
    if options.format.is_document() || request.is_of_all() {
        summary.times = store.execution_times()?;
    }
    summary.exported_at = now();
    writer.finish(&summary)?;
    Ok((summary, written))
}

/// Writes results to a file, which appears whole or not at all.
///
/// # Errors
/// As [`results`].
pub fn export(
    file: &BatchFile,
    request: &ResultsRequest,
    path: &Path,
) -> Result<(Summary, u64), ActionError> {
    let target = AtomicFile::create(path)?;
    let done = results(file, request, target.handle()?, std::io::sink())?;
    target.commit()?;
    Ok(done)
}

fn write(
    store: &Store,
    request: &ResultsRequest,
    writer: &mut dyn ResultWriter,
) -> Result<u64, ActionError> {
    ActionError::refuse_incomplete(store.file(), &store.info()?)?;
    let resolved = request.tasks.resolve(store)?;
    let view = LiveView::of(store)?;
    let mut selection = view.to_read(&resolved.selection);
    selection.without_outputs = request.options.format == Format::None;
    let (mut found, mut written) = (0, 0);
    store.for_each_task::<ActionError>(&selection, |mut record| {
        view.show(&mut record);
        let wanted = resolved.matches(&record) && request.more.matches(&record);
        found += u64::from(wanted);
        if request.limit.is_some_and(|limit| written >= limit) {
            return Ok(false);
        }
        if wanted && found > request.offset {
            writer.task(&record)?;
            written += 1;
        } else {
            writer.skip(record.task)?;
        }
        Ok(true)
    })?;
    Ok(written)
}

/// The summary of the tasks chosen, which may be all.
///
/// # Errors
/// When the choice is wrong, or the file cannot be read.
pub fn summary_of_chosen(
    store: &Store,
    tasks: &Choice,
    more: &TaskFilter,
) -> Result<Summary, ActionError> {
    if tasks.is_all() && more.is_empty() {
        let mut summary = summary_of(store)?;
        summary.times = store.execution_times()?;
        return Ok(summary);
    }
    let resolved = tasks.resolve(store)?;
    let view = LiveView::of(store)?;
    let mut selection = view.to_read(&resolved.selection);
    selection.without_outputs = true;
    let mut summary = Summary::new(store.batch());
    store.for_each_task::<ActionError>(&selection, |mut record| {
        view.show(&mut record);
        if resolved.matches(&record) && more.matches(&record) {
            summary.add(&record);
        }
        Ok(true)
    })?;
    Ok(summary)
}

/// The summary of a batch from its sums, without its execution times: those are in no sum.
///
/// # Errors
/// When the file cannot be read.
pub fn summary_of(store: &Store) -> Result<Summary, ActionError> {
    let view = LiveView::of(store)?;
    let overview = store.overview()?;
    let batch = store.batch();
    let counts = Status::ALL.map(|status| (status, view.count(&overview, status)));
    let totals = overview.totals.with_counts(counts);
    let causes = Causes::from_groups(overview.causes.iter().cloned(), 0);
    let mut summary = Summary::from_parts(batch, totals, causes);
    summary.name.clone_from(&overview.info.settings.name);
    summary.elapsed = overview.elapsed();
    Ok(summary)
}
