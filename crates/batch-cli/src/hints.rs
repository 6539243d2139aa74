//! What can be done next, as commands of `bex`. The layers below give data; the advice is made here and nowhere else.

use std::fmt;
use std::io::ErrorKind;
use std::path::Path;

use batch_actions::{ActionError, Advice, BatchStatus, Explanation, Home};
use batch_core::BatchId;
use batch_store::{BatchFile, Loss, StoreError};
use serde_json::Value;

use crate::exit::CliError;

/// The option by which a command finds a batch: `-b b7` where it is in the state folder, `--store FILE` elsewhere.
/// Every hint that names a command shows this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Naming {
    batch: String,
    /// The file, as a shell takes it.
    elsewhere: Option<String>,
}

impl Naming {
    /// How the batch in a file is named.
    pub(crate) fn new(batch: impl fmt::Display, file: &Path) -> Self {
        Self::in_home(&Home::of_environment(), batch.to_string(), file)
    }

    /// How the batch of a status is named.
    pub(crate) fn of(status: &BatchStatus) -> Self {
        Self::new(&status.batch, &status.file)
    }

    fn in_home(home: &Home, batch: String, file: &Path) -> Self {
        let usual = batch.parse().ok().map(|id| home.file(id));
        let is_usual = usual.is_some_and(|usual| usual == BatchFile::new(file));
        let elsewhere = (!is_usual).then(|| quoted(&file.to_string_lossy()));
        Self { batch, elsewhere }
    }

    /// The batch in a file of which nothing else is known.
    fn of_file(file: &Path) -> Self {
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        Self::new(name, file)
    }

    /// What removes the batch.
    fn removal(&self) -> String {
        match &self.elsewhere {
            None => format!("bex rm {}", self.batch),
            Some(file) => format!("rm {file} {file}.lease"),
        }
    }

    /// A task for a verb that takes tasks: its full name says the batch, too.
    fn task(&self, task: impl fmt::Display) -> String {
        match &self.elsewhere {
            None => task.to_string(),
            Some(_) => format!("{task} {self}"),
        }
    }

    /// How to take a step with the batch.
    pub(crate) fn step(&self, step: &Advice) -> Option<String> {
        Some(match step {
            Advice::Start => format!("start it with: bex start {self}"),
            Advice::Resume => format!("continue with: bex resume {self}"),
            Advice::Kill => format!("end it with: bex stop --kill {self}"),
            Advice::GiveAgain(missing) => {
                let again = match &missing.file {
                    Some(tasks) => {
                        let store = self.elsewhere.as_ref();
                        let store =
                            store.map_or_else(String::new, |file| format!("--store {file} "));
                        format!("with: bex run --resume {store}{}", quoted(tasks))
                    }
                    None => "as a new batch".to_owned(),
                };
                format!(
                    "give them again {again}, or remove it with: {}",
                    self.removal()
                )
            }
            Advice::Release(task) => format!("let it run with: bex release {}", self.task(task)),
            Advice::Retry(task) => format!("run it again with: bex retry {}", self.task(task)),
            Advice::Explain(task) => format!("see: bex why {}", self.task(task)),
            Advice::Continue(pids) => {
                let pids: Vec<String> = pids.iter().map(ToString::to_string).collect();
                format!("let it go on with: kill -CONT {}", pids.join(" "))
            }
            _ => return None,
        })
    }
}

impl fmt::Display for Naming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.elsewhere {
            None => write!(f, "-b {}", self.batch),
            Some(file) => write!(f, "--store {file}"),
        }
    }
}

/// A text as a shell takes it.
pub(crate) fn quoted(text: &str) -> String {
    shlex::try_quote(text).map_or_else(|_| text.to_owned(), |quoted| quoted.into_owned())
}

/// An error, and what can be done about it.
pub(crate) fn with_hint(error: &CliError) -> String {
    match error {
        CliError::Action(error) => with_hint_for(error),
        other => other.to_string(),
    }
}

/// The same for an error of an action.
pub(crate) fn with_hint_for(error: &ActionError) -> String {
    match of_error(error) {
        Some(hint) => format!("{error}; {hint}"),
        None => error.to_string(),
    }
}

fn of_error(error: &ActionError) -> Option<String> {
    Some(match error {
        ActionError::NoBatch => "make one with: bex add -- CMD, or bex run".to_owned(),
        ActionError::UnknownBatch {
            latest: Some(_), ..
        }
        | ActionError::UnknownBatchName {
            latest: Some(_), ..
        } => "bex list shows all".to_owned(),
        ActionError::SettingsDiffer { .. } => {
            "leave them out, or add the tasks to a new batch with: bex add --new".to_owned()
        }
        ActionError::OtherBatch { task, .. } => format!("name its batch with -b {}", task.batch),
        ActionError::Running {
            batch,
            holder,
            file,
        } => {
            let naming = Naming::new(batch, file);
            match holder.run {
                0 => return None,
                _ => format!("stop it with: bex stop {naming}"),
            }
        }
        ActionError::NotNow { batch, file, .. } => {
            format!("end it with: bex stop {}", Naming::new(batch, file))
        }
        ActionError::Silent { batch, file, .. } => {
            return Naming::new(batch, file).step(&Advice::Kill);
        }
        ActionError::Incomplete {
            batch,
            missing,
            file,
        } => return Naming::new(batch, file).step(&Advice::GiveAgain(missing.clone())),
        ActionError::StateFolder { error, .. } if error.kind() != ErrorKind::StorageFull => {
            "set BEX_HOME to a folder that you can write, or keep no batch: bex run --durability none"
                .to_owned()
        }
        ActionError::Store(error) => return of_store_error(error),
        _ => return None,
    })
}

fn of_store_error(error: &StoreError) -> Option<String> {
    let elsewhere =
        |file: &Path| Naming::in_home(&Home::new("/"), BatchId::default().to_string(), file);
    match error {
        StoreError::Exists(file) => Some(format!(
            "choose another name, or continue that batch with: bex resume {}",
            elsewhere(file)
        )),
        StoreError::Lost {
            loss: Loss::Moved(Some(file)),
            ..
        } => elsewhere(file).step(&Advice::Resume),
        StoreError::Lost {
            path,
            loss: Loss::Beside(_),
        } => Naming::of_file(path).step(&Advice::Resume),
        _ => None,
    }
}

/// Why a batch is in its state, and what can be done about it.
pub(crate) fn reason(status: &BatchStatus) -> Option<String> {
    let reason = status.reason.as_ref()?;
    let next = reason.advice();
    Some(match next.and_then(|next| Naming::of(status).step(&next)) {
        Some(hint) => format!("{reason}; {hint}"),
        None => reason.to_string(),
    })
}

/// The same for sentences that need something to say.
pub(crate) fn reason_text(status: &BatchStatus) -> String {
    reason(status).unwrap_or_default()
}

/// A status as JSON.
pub(crate) fn status_json(status: &BatchStatus) -> Value {
    let mut json = serde_json::to_value(status).expect("replies are JSON");
    if let Some(reason) = reason(status) {
        json["reason"] = reason.into();
    }
    json
}

/// Why a task is as it is, and what can be done about it.
pub(crate) fn explained(explanation: &Explanation, status: &BatchStatus) -> String {
    let next = explanation.next.as_ref();
    match next.and_then(|next| Naming::of(status).step(next)) {
        Some(hint) => {
            let (first, rest) = hint.split_at(1);
            format!("{explanation} {}{rest}.", first.to_uppercase())
        }
        None => explanation.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_has_its_number_at_home_and_its_file_elsewhere() {
        let home = Home::new("/state");
        let named = |file: &str| Naming::in_home(&home, "b7".to_owned(), Path::new(file));
        let usual = named("/state/batches/b7.db");
        assert_eq!(
            (usual.to_string(), usual.task("b7.2")),
            ("-b b7".to_owned(), "b7.2".to_owned())
        );
        // Another number is there.
        for file in ["/state/batches/b8.db", "b7.db"] {
            assert_eq!(named(file).to_string(), format!("--store {file}"));
        }
        let spaced = named("my batch.db");
        assert_eq!(spaced.task("b7.2"), "b7.2 --store 'my batch.db'");
    }
}
