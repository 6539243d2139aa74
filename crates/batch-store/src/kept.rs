//! Outputs that are too large for the database: [`KeptName`], the name of one, and [`KeptFolder`], where they are.
//!
//! A row says a name, never a place. So a batch can be moved and copied, and no row leads out of the batch's own
//! folder, the one who wrote the file. They are read by [`batch_export::files::open_output`], which follows no link.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, unlinkat};
use rustix::io::Errno;

/// The name of a file in the folder of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct KeptName(String);

impl KeptName {
    /// The name that a row of a task says, if it is one. Earlier versions wrote whole paths at times; the file is the
    /// one of that name in the batch's own folder. A name that bex gave to the output of another task is none.
    pub(crate) fn of_row(text: &str, task: u32) -> Option<Self> {
        let is_name = text.starts_with('/') || !text.contains('/');
        let name = Self::of_path(Path::new(text))?;
        let is_of_task = name.task().is_none_or(|of| of == task);
        (is_name && is_of_task && !name.0.contains('\0')).then_some(name)
    }

    /// The name of the file at a path, wherever that is.
    pub(crate) fn of_path(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        Some(Self(name.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The number of the task in a name that bex gives, such as `b7.42-x7Gd.stdout`. Earlier versions masked an output in
    /// a copy beside it, `b7.42-x7Gd.stdout.masked`.
    pub(crate) fn task(&self) -> Option<u32> {
        let (batch, rest) = self.0.split_once('.')?;
        let number = batch.strip_prefix('b')?;
        number.parse::<u32>().ok()?;
        let (task, rest) = rest.split_once('-')?;
        let rest = rest.strip_suffix(".masked").unwrap_or(rest);
        let is_output = rest.ends_with(".stdout") || rest.ends_with(".stderr");
        task.parse().ok().filter(|_| is_output)
    }
}

/// The folder of a batch's large outputs, open: what is removed is removed there, wherever the path leads by then.
#[derive(Debug)]
pub(crate) struct KeptFolder {
    open: OwnedFd,
    path: PathBuf,
}

impl KeptFolder {
    /// Opens the folder; `None` when there is none.
    ///
    /// # Errors
    /// When it cannot be read, and when it is a link.
    pub(crate) fn open(path: &Path) -> io::Result<Option<Self>> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match openat(CWD, path, flags, Mode::empty()) {
            Ok(open) => Ok(Some(Self {
                open,
                path: path.to_owned(),
            })),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The plain files in it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn files(&self) -> io::Result<Vec<KeptName>> {
        self.names(FileType::RegularFile)
    }

    /// Removes the folders that code lay in while it ran, and gives their number.
    pub(crate) fn remove_code(&self) -> usize {
        let folders = self.names(FileType::Directory).unwrap_or_default();
        let code = folders.iter().filter(|name| name.0.starts_with("code-"));
        code.filter(|name| fs::remove_dir_all(self.path.join(name.as_str())).is_ok())
            .count()
    }

    fn names(&self, kind: FileType) -> io::Result<Vec<KeptName>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.open)? {
            let entry = entry?;
            match entry.file_name().to_str() {
                Ok(name) if entry.file_type() == kind => names.push(KeptName(name.to_owned())),
                _ => {}
            }
        }
        Ok(names)
    }

    /// Removes a file.
    ///
    /// # Errors
    /// When there is none, or the system refuses.
    pub(crate) fn remove(&self, name: &KeptName) -> io::Result<()> {
        Ok(unlinkat(&self.open, name.as_str(), AtFlags::empty())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_names_a_file_of_the_folder_or_none() {
        let name = |text: &str| KeptName::of_row(text, 2).map(|name| name.0);
        let own = "b1.2-x.stdout";
        for text in [own, "/elsewhere/b1.db.files/b1.2-x.stdout"] {
            assert_eq!(name(text).as_deref(), Some(own), "{text}");
        }
        assert_eq!(name("/etc/shadow").as_deref(), Some("shadow"));
        for text in [
            "",
            ".",
            "..",
            "/",
            "/..",
            "../victim",
            "a/b",
            "./a",
            "a/",
            "a/..",
            "a\0b",
            "b1.3-x.stdout",
        ] {
            assert_eq!(name(text), None, "{text:?}");
        }
    }

    #[test]
    fn names_that_bex_gives_say_their_task() {
        let task = |name: &str| KeptName(name.to_owned()).task();
        assert_eq!(task("b7.42-x7Gd.stdout"), Some(42));
        assert_eq!(task("b7.42-x7Gd.stderr"), Some(42));
        assert_eq!(task("b7.42-x7Gd.stdout.masked"), Some(42));
        for name in [
            "b7.42-x7Gd",
            "notes.txt",
            "7.42-x.stdout",
            "b7.x-y.stdout",
            "b7.42.stdout",
            "b7.42-x7Gd.masked",
        ] {
            assert_eq!(task(name), None, "{name}");
        }
    }
}
