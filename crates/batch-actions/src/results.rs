//! What became of the tasks of a batch: [`results`], to any writer in any format.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use batch_core::Status;
use batch_export::{
    AtomicFile, CauseGroup, Causes, Filter, Format, ResultWriter, Summary, Totals, WriterOptions,
    result_writer,
};
use batch_store::{BatchFile, Store};

use crate::choice::Choice;
use crate::error::ActionError;
use crate::now;
use crate::standing::Standing;

/// Which results, and how they are written.
#[derive(Clone, Debug)]
pub struct ResultsRequest {
    /// Which tasks.
    pub tasks: Choice,
    /// What narrows them further.
    pub more: Filter,
    /// In which form.
    pub options: WriterOptions,
    /// So many tasks of those are left out at the front.
    pub offset: u64,
    /// So many tasks at most.
    pub limit: Option<u64>,
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
    let mut writer = result_writer(&request.options, out, err)?;
    let written = write(&store, request, writer.as_mut())?;
    let mut summary = summary_of(&store)?;
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
    let standing = Standing::of(store)?;
    let mut selection = standing.to_read(&resolved.selection);
    selection.without_outputs = request.options.format == Format::None;
    let (mut found, mut written) = (0, 0);
    store.for_each_task::<ActionError>(&selection, |mut record| {
        standing.show(&mut record);
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
    more: &Filter,
) -> Result<Summary, ActionError> {
    if tasks.is_all() && more.is_empty() {
        return summary_of(store);
    }
    let resolved = tasks.resolve(store)?;
    let standing = Standing::of(store)?;
    let mut selection = standing.to_read(&resolved.selection);
    selection.without_outputs = true;
    let mut summary = Summary::new(store.batch());
    store.for_each_task::<ActionError>(&selection, |mut record| {
        standing.show(&mut record);
        if resolved.matches(&record) && more.matches(&record) {
            summary.add(&record);
        }
        Ok(true)
    })?;
    Ok(summary)
}

/// The summary of a batch from its sums.
///
/// # Errors
/// When the file cannot be read.
pub fn summary_of(store: &Store) -> Result<Summary, ActionError> {
    let standing = Standing::of(store)?;
    let overview = store.overview()?;
    let batch = store.batch();
    let counts = Status::ALL.map(|status| (status, standing.count(&overview, status)));
    let mut totals = Totals::from_counts(counts);
    totals.executed = overview.executed();
    totals.total_execution_time = overview.execution_time();
    totals.retries = overview.retries();
    totals.flaky = overview.flaky();
    totals.first_start = overview.first_start();
    totals.last_end = overview.last_end();
    let mut groups = Vec::new();
    for (index, found) in overview.causes.iter().enumerate() {
        // Only so many are shown with their names.
        let named = index < Causes::SHOWN;
        let sample = match named {
            true => store.task(found.sample_task)?,
            false => None,
        };
        groups.push(CauseGroup {
            cause: Arc::new(found.cause.clone()),
            tasks: found.tasks,
            sample_task: batch.task(found.sample_task),
            sample_name: sample
                .map(|record| record.spec.label().to_owned())
                .unwrap_or_default(),
        });
    }
    let causes = Causes::from_groups(groups, 0);
    let mut summary = Summary::from_parts(batch, totals, causes);
    summary.name.clone_from(&overview.info.settings.name);
    summary.elapsed = overview.elapsed();
    Ok(summary)
}
