//! Noticing that a batch is taken away while it is worked on: [`Watch`].

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Loss, StoreError};
use crate::file::BatchFile;
use crate::inode::{FileId, Inode};
use crate::store::Store;

/// The files of a batch as they were when its executor began.
#[derive(Debug)]
pub struct Watch {
    batch: BatchFile,
    inode: Inode,
    beside: Vec<(PathBuf, FileId)>,
    header: Header,
}

/// What the first bytes of a database say of its age. No write takes any of it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    is_database: bool,
    changes: u32,
    pages: u32,
}

impl BatchFile {
    /// The error of an executor that lost its batch.
    pub fn lost(&self, loss: Loss) -> StoreError {
        StoreError::Lost {
            path: self.shown().to_owned(),
            loss,
        }
    }
}

impl Store {
    /// Fails where the batch is not at its path any more: it was removed, or another one put there.
    ///
    /// # Errors
    /// When that is so, or the system does not tell.
    pub fn check_there(&self) -> Result<(), StoreError> {
        match gone(&self.file, &self.inode) {
            Ok(None) => Ok(()),
            Ok(Some(loss)) => Err(self.file.lost(loss)),
            Err(error) => Err(StoreError::io("look at", self.file.path(), error)),
        }
    }
}

/// Whether a database is gone from its path.
fn gone(batch: &BatchFile, inode: &Inode) -> io::Result<Option<Loss>> {
    if FileId::at(batch.path())? == Some(inode.id()) {
        return Ok(None);
    }
    Ok(Some(match inode.links()? {
        0 => Loss::Removed,
        _ => Loss::Moved(inode.current_path()),
    }))
}

impl Watch {
    /// Looks at the batch and what is beside it.
    pub(crate) fn new(batch: BatchFile, inode: Inode) -> io::Result<Self> {
        let mut beside = Vec::new();
        let (log, memory) = batch.log_and_memory();
        for path in [batch.lease_path(), log, memory, batch.folder()] {
            if let Some(id) = FileId::at(&path)? {
                beside.push((path, id));
            }
        }
        let header = Header::of(&inode)?;
        Ok(Self {
            batch,
            inode,
            beside,
            header,
        })
    }

    /// Takes the log of a batch away that is gone: it would be taken for that of whatever is in its place.
    pub fn remove_log(&self) {
        let (log, memory) = self.batch.log_and_memory();
        let is_ours = |path: &Path| {
            let ours = self.beside.iter().find(|(known, _)| known == path);
            ours.is_some_and(|(_, id)| FileId::at(path).is_ok_and(|there| there == Some(*id)))
        };
        if is_ours(&log) {
            // Emptied, nothing of it gets into the file when SQLite closes it.
            let _ = OpenOptions::new().write(true).truncate(true).open(&log);
            let _ = fs::remove_file(&log);
        }
        if is_ours(&memory) {
            let _ = fs::remove_file(&memory);
        }
    }

    /// What of it is lost now.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn loss(&mut self) -> Result<Option<Loss>, StoreError> {
        self.look()
            .map_err(|error| StoreError::io("look at", self.batch.path(), error))
    }

    fn look(&mut self) -> io::Result<Option<Loss>> {
        let inode = &self.inode;
        if let Some(loss) = gone(&self.batch, inode)? {
            return Ok(Some(loss));
        }
        for (path, id) in &self.beside {
            if FileId::at(path)? != Some(*id) {
                return Ok(Some(Loss::Beside(path.clone())));
            }
        }
        let header = Header::of(inode)?;
        if !header.may_follow(self.header) {
            return Ok(Some(Loss::Overwritten));
        }
        self.header = header;
        Ok(None)
    }
}

impl Header {
    fn of(inode: &Inode) -> io::Result<Self> {
        let bytes = inode.first_bytes::<100>()?;
        let number =
            |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        Ok(Self {
            is_database: bytes.starts_with(b"SQLite format 3\0"),
            changes: number(24),
            pages: number(28),
        })
    }

    /// Whether a database that was like the other one can be like this now: it counts its changes, and never shrinks.
    fn may_follow(self, before: Self) -> bool {
        self.is_database >= before.is_database
            && self.changes >= before.changes
            && self.pages >= before.pages
    }
}
