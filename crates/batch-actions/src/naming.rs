//! How hints name a batch and its tasks on the command line: [`Naming`].

use std::fmt;
use std::path::Path;

use batch_store::BatchFile;

use crate::home::Home;

/// The option by which a command finds a batch: `-b b7` where it lies in the state folder, `--store FILE`
/// elsewhere. Every hint that names a command shows this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Naming {
    batch: String,
    /// The file, as a shell takes it.
    elsewhere: Option<String>,
}

impl Naming {
    /// How the batch in a file is named.
    pub fn new(batch: impl fmt::Display, file: &Path) -> Self {
        Self::in_home(&Home::of_environment(), batch.to_string(), file)
    }

    fn in_home(home: &Home, batch: String, file: &Path) -> Self {
        let usual = batch.parse().ok().map(|id| home.file(id));
        let is_usual = usual.is_some_and(|usual| usual == BatchFile::new(file));
        let elsewhere = (!is_usual).then(|| quoted(&file.to_string_lossy()));
        Self { batch, elsewhere }
    }

    /// What removes the batch.
    pub(crate) fn removal(&self) -> String {
        match &self.elsewhere {
            None => format!("bex rm {}", self.batch),
            Some(file) => format!("rm {file} {file}.lease"),
        }
    }

    /// A task for a verb that takes tasks: its full name says the batch, too.
    pub fn task(&self, task: impl fmt::Display) -> String {
        match &self.elsewhere {
            None => task.to_string(),
            Some(_) => format!("{task} {self}"),
        }
    }
}

/// A text as a shell takes it.
pub(crate) fn quoted(text: &str) -> String {
    shlex::try_quote(text).map_or_else(|_| text.to_owned(), |quoted| quoted.into_owned())
}

impl fmt::Display for Naming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.elsewhere {
            None => write!(f, "-b {}", self.batch),
            Some(file) => write!(f, "--store {file}"),
        }
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
        // Another number lies there.
        for file in ["/state/batches/b8.db", "b7.db"] {
            assert_eq!(named(file).to_string(), format!("--store {file}"));
        }
        let spaced = named("my batch.db");
        assert_eq!(spaced.task("b7.2"), "b7.2 --store 'my batch.db'");
    }
}
