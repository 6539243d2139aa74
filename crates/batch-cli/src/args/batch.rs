//! Which batch a verb is about: [`BatchArgs`], [`WholeBatchArgs`].

use std::path::PathBuf;

use batch_actions::{ActionError, Home, find_task};
use batch_core::{BatchId, ids::FullTaskId};
use batch_store::{BatchFile, Store};
use clap::Args;

use crate::exit::CliError;
use crate::hints::with_hint_for;

/// The variable that names the batch where no option does.
const VARIABLE: &str = "BEX_BATCH";

/// Which batch.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct BatchArgs {
    /// The batch: b7, 7, or its name [default: BEX_BATCH, else the latest]
    #[arg(short, long, value_name = "BATCH")]
    pub(crate) batch: Option<String>,

    /// A batch file that is elsewhere
    #[arg(long, value_name = "FILE", conflicts_with = "batch")]
    pub(crate) store: Option<PathBuf>,
}

/// Which batch, for verbs that take no tasks: it may be named without an option.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct WholeBatchArgs {
    #[command(flatten)]
    batch: BatchArgs,

    /// The batch: b7, 7, or its name
    #[arg(value_name = "BATCH", conflicts_with_all = ["batch", "store"])]
    named: Option<String>,
}

/// What the arguments of a verb that takes tasks name.
pub(crate) struct Named {
    /// The batch.
    pub(crate) file: BatchFile,
    /// The tasks.
    pub(crate) tasks: Vec<String>,
    /// The batch is where tasks may be, and is meant as a whole.
    pub(crate) is_whole: bool,
}

impl WholeBatchArgs {
    /// The file of the batch.
    pub(crate) fn find(&self, home: &Home) -> Result<BatchFile, CliError> {
        match &self.named {
            Some(name) => named(home, name),
            None => self.batch.find(home),
        }
    }
}

impl BatchArgs {
    /// The file of the batch.
    pub(crate) fn find(&self, home: &Home) -> Result<BatchFile, CliError> {
        match self.chosen(home)? {
            Some(file) => Ok(file),
            None => Ok(home.find(None)?),
        }
    }

    /// The file of the batch that an option or the variable names.
    pub(crate) fn chosen(&self, home: &Home) -> Result<Option<BatchFile>, CliError> {
        if let Some(file) = self.given(home)? {
            return Ok(Some(file));
        }
        let variable = std::env::var_os(VARIABLE).filter(|name| !name.is_empty());
        let Some(name) = variable else {
            return Ok(None);
        };
        let found = home.named(&name.to_string_lossy());
        let found = found.and_then(|batch| home.find(Some(batch)));
        found
            .map(Some)
            .map_err(|error| CliError::Usage(format!("{VARIABLE}: {}", with_hint_for(&error))))
    }

    /// The file of the batch that an option names.
    fn given(&self, home: &Home) -> Result<Option<BatchFile>, CliError> {
        match (&self.store, &self.batch) {
            (Some(path), _) => Ok(Some(BatchFile::new(path))),
            (None, Some(name)) => named(home, name).map(Some),
            (None, None) => Ok(None),
        }
    }

    /// The batch that tasks are in, and the tasks: the first word may name the batch, and a full name such as b7.42 says
    /// it as well, where no option does.
    pub(crate) fn find_with(&self, home: &Home, words: &[String]) -> Result<Named, CliError> {
        let tasks = |file| Named {
            file,
            tasks: words.to_vec(),
            is_whole: false,
        };
        let Some(first) = words.first() else {
            return Ok(tasks(self.find(home)?));
        };
        if let Some(file) = self.given(home)? {
            return Ok(tasks(file));
        }
        // A range of tasks begins with the first of them.
        let mut full = words
            .iter()
            .filter_map(|word| word.split(' ').next()?.parse().ok());
        if let Some(FullTaskId { batch, .. }) = full.next() {
            return Ok(tasks(home.find(Some(batch))?));
        }
        let usual = self.find(home);
        if let Ok(file) = &usual
            && is_task(file, first)?
        {
            return Ok(tasks(file.clone()));
        }
        // A number alone is that of a task.
        let is_number = first.parse::<u32>().is_ok();
        match home.named(first) {
            Ok(batch) if !is_number => Ok(Named {
                file: home.find(Some(batch))?,
                tasks: words[1..].to_vec(),
                is_whole: words.len() == 1,
            }),
            Err(unknown @ ActionError::UnknownBatch { .. }) if !is_number => Err(unknown.into()),
            _ => Ok(tasks(usual?)),
        }
    }

    /// The batch that a task is in.
    pub(crate) fn find_one(&self, home: &Home, task: &String) -> Result<BatchFile, CliError> {
        let named = self.find_with(home, std::slice::from_ref(task))?;
        if named.is_whole {
            let message = format!("{task} is a batch; name one of its tasks, as in b7.42");
            return Err(CliError::Usage(message));
        }
        Ok(named.file)
    }
}

/// The file of the batch that a text names.
fn named(home: &Home, name: &str) -> Result<BatchFile, CliError> {
    Ok(home.find(Some(home.named(name)?))?)
}

/// Whether a batch has a task of this name.
fn is_task(file: &BatchFile, name: &str) -> Result<bool, CliError> {
    // One that cannot be read is told by who reads it next.
    let Ok(store) = Store::open_read(file.clone()) else {
        return Ok(true);
    };
    match find_task(&store, name) {
        Err(ActionError::UnknownTask { .. }) => Ok(false),
        Ok(_) | Err(_) => Ok(true),
    }
}

/// Reads batches for verbs that take several.
pub(crate) fn all_named(home: &Home, names: &[String]) -> Result<Vec<BatchId>, ActionError> {
    names.iter().map(|name| home.named(name)).collect()
}
