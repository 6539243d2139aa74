//! Who works on a batch: the [`Lease`], an OS lock that ends with its process.
//!
//! The lock is on a file beside the database, since closing any handle on the database would drop SQLite's
//! own locks. The file says who holds it, why the batch stands still (a full disk cannot be told in the
//! database), and which attempts were started: that is one write into a place of its own before a task
//! begins, so that a task that kills its executor at once is known all the same.
//!
//! ```text
//! byte 0    pid, mark, boot and run of the holder, as text
//! byte 512  a note: why the batch stands still
//! byte 1024 eight bytes for each slot: task and attempt, little endian
//! ```

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use batch_core::TaskId;
use batch_export::open_plain;

use crate::error::StoreError;
use crate::file::BatchFile;
use crate::own_file::open_own;

const NOTE: u64 = 512;
const SLOTS: u64 = 1_024;
const SLOT: usize = 8;
/// No more slots are read than this many bytes hold.
const MOST: u64 = 8 << 20;

/// The right to work on a batch. Given up when dropped, and by the end of the process in any case.
#[derive(Debug)]
pub struct Lease {
    file: File,
    path: PathBuf,
}

/// A process that holds a lease, or held it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holder {
    /// Its number.
    pub pid: u32,
    /// Its number and start time: `PID-START`.
    pub mark: String,
    /// The start of the system it ran on.
    pub boot: String,
    /// Its run; 0 for one that only obeyed a request.
    pub run: u32,
    /// Why the batch stands still, as it noted it; see [`Notice`].
    pub note: Option<Box<str>>,
}

/// The lease was not given.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Somebody works on the batch.
    #[error("the batch is being worked on by process {}", .0.pid)]
    Held(Holder),
    /// The file cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What the last holder left in the lease, if it did not end well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftInLease {
    /// Who it was.
    pub holder: Option<Holder>,
    /// The attempts it had started last in each of its slots. Most of them ended long ago.
    pub started: HashMap<TaskId, u32>,
}

impl Lease {
    /// Takes the lease of a batch that exists, signs it, and gives what a dead holder left in it. The attempts
    /// it started stay in the file until [`forget_started`](Self::forget_started).
    ///
    /// # Errors
    /// When another process has it, there is no such batch, or the file cannot be used.
    pub fn take(batch: &BatchFile, holder: &Holder) -> Result<(Self, LeftInLease), LeaseError> {
        let mut lease = Self::take_unsigned(batch)?;
        let left =
            read_left(&lease.file).map_err(|error| StoreError::io("open", &lease.path, error))?;
        lease.sign(holder)?;
        Ok((lease, left))
    }

    /// Takes the lease of a batch that is to go: nothing is written for that, so it works on a full disk.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub fn take_unsigned(batch: &BatchFile) -> Result<Self, LeaseError> {
        let path = batch.lease_path();
        let failed = |error| StoreError::io("open", &path, error);
        let file = loop {
            if !batch.path().exists() {
                return Err(StoreError::Missing(batch.path().to_owned()).into());
            }
            batch.check_writable()?;
            let file = open_to_lock(&path, batch).map_err(failed)?;
            match lock(&file) {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(LeaseError::Held(read_holder(&file))),
                Err(TryLockError::Error(error)) => return Err(failed(error).into()),
            }
            // Whoever removed the batch meanwhile has removed this file too; the lock on it is worth nothing.
            if is_at(&file, &path).map_err(failed)? {
                break file;
            }
        };
        Ok(Self { file, path })
    }

    /// Whether somebody works on a batch, and who.
    ///
    /// # Errors
    /// When the file cannot be read; there need not be one.
    pub fn holder(batch: &BatchFile) -> Result<Option<Holder>, StoreError> {
        let path = batch.lease_path();
        let file = match open_plain(&path, OpenOptions::new().read(true)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io("open", &path, error)),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(None),
            Err(TryLockError::WouldBlock) => Ok(Some(read_holder(&file))),
            Err(TryLockError::Error(error)) => Err(StoreError::io("lock", &path, error)),
        }
    }

    /// Writes down who holds the lease from now on, without a note.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn sign(&mut self, holder: &Holder) -> Result<(), StoreError> {
        let Holder {
            pid,
            mark,
            boot,
            run,
            note: _,
        } = holder;
        let text = format!("{pid}\n{mark}\n{boot}\n{run}\n");
        // Up to the slots: what a dead holder noted is no longer true.
        let mut bytes = [0; SLOTS as usize];
        let length = text.len().min(NOTE as usize);
        bytes[..length].copy_from_slice(&text.as_bytes()[..length]);
        self.file
            .write_all_at(&bytes, 0)
            .map_err(|error| StoreError::io("write", &self.path, error))
    }

    /// Forgets the attempts that the last holder had started: what became of them is on record.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn forget_started(&mut self) -> Result<(), StoreError> {
        self.file
            .set_len(SLOTS)
            .map_err(|error| StoreError::io("write", &self.path, error))
    }

    /// A second handle on the same lease, for [`Notice`].
    ///
    /// # Errors
    /// When the system has no handle left.
    pub fn notice(&self) -> io::Result<Notice> {
        Ok(Notice {
            file: self.file.try_clone()?,
        })
    }

    /// A second handle on the same lease, for [`Started`].
    ///
    /// # Errors
    /// When the system has no handle left.
    pub fn started(&self) -> io::Result<Started> {
        Ok(Started {
            file: self.file.try_clone()?,
            buffer: Vec::new(),
        })
    }

    /// Gives the lease up and leaves no trace of it, as the file it was taken for turned out to be no batch.
    pub fn discard(self) {
        // Under the lock, and whoever waits for it sees that the file has gone.
        let _ = std::fs::remove_file(&self.path);
    }

    /// Gives the lease up after a good end: nothing is left to tell.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn release(self) -> io::Result<()> {
        self.file.set_len(0)
    }
}

/// Notes in a lease what its holder has to say.
#[derive(Debug)]
pub struct Notice {
    file: File,
}

impl Notice {
    /// Notes why the batch stands still; an empty text takes the note away.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn note(&self, text: &str) -> io::Result<()> {
        let mut bytes = [0; (SLOTS - NOTE) as usize];
        let length = text.len().min(bytes.len());
        bytes[..length].copy_from_slice(&text.as_bytes()[..length]);
        self.file.write_all_at(&bytes, NOTE)
    }
}

/// Notes which attempts are started, before they are.
#[derive(Debug)]
pub struct Started {
    file: File,
    buffer: Vec<u8>,
}

impl Started {
    /// Notes attempts with the slots they run in.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn note(
        &mut self,
        attempts: impl IntoIterator<Item = (u32, TaskId, u32)>,
    ) -> io::Result<()> {
        let mut slots: Vec<(u32, TaskId, u32)> = attempts.into_iter().collect();
        slots.sort_unstable();
        // Slots in a row are written together.
        for row in slots.chunk_by(|a, b| a.0 + 1 == b.0) {
            self.buffer.clear();
            for (_, task, attempt) in row {
                self.buffer.extend_from_slice(&task.get().to_le_bytes());
                self.buffer.extend_from_slice(&attempt.to_le_bytes());
            }
            let at = SLOTS + u64::from(row[0].0) * SLOT as u64;
            self.file.write_all_at(&self.buffer, at)?;
        }
        Ok(())
    }
}

fn open_to_lock(path: &Path, batch: &BatchFile) -> io::Result<File> {
    open_own(
        path,
        batch.path(),
        OpenOptions::new().read(true).write(true),
    )
}

/// Whether a file still lies at its path.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let here = file.metadata()?;
    match std::fs::metadata(path) {
        Ok(there) => Ok((here.dev(), here.ino()) == (there.dev(), there.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Locks the file. Who only looks for the holder has it locked for some microseconds as well, so one refusal
/// says nothing yet.
fn lock(file: &File) -> Result<(), TryLockError> {
    for _ in 0..10 {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(1)),
            other => return other,
        }
    }
    file.try_lock()
}

/// One that has signed nothing yet, or lets go just now, is nobody in particular.
fn read_holder(file: &File) -> Holder {
    read_signed(file).ok().flatten().unwrap_or_default()
}

/// Who signed, and what it noted. Read at once: a holder that lets go meanwhile is there with its note, or not at
/// all.
fn read_signed(file: &File) -> io::Result<Option<Holder>> {
    let mut bytes = [0; SLOTS as usize];
    let length = file.read_at(&mut bytes, 0)?;
    let (signed, note) = bytes[..length].split_at(length.min(NOTE as usize));
    Ok(parse_holder(&text(signed), text(note)))
}

fn parse_holder(signed: &str, note: String) -> Option<Holder> {
    let mut lines = signed.lines();
    Some(Holder {
        pid: lines.next()?.parse().ok()?,
        mark: lines.next()?.to_owned(),
        boot: lines.next()?.to_owned(),
        run: lines.next()?.parse().ok()?,
        note: (!note.is_empty()).then(|| note.into()),
    })
}

/// A text that ends with a zero byte or with its place.
fn text(bytes: &[u8]) -> String {
    let text = bytes.split(|byte| *byte == 0).next();
    String::from_utf8_lossy(text.unwrap_or_default()).into_owned()
}

fn read_left(file: &File) -> io::Result<LeftInLease> {
    let holder = read_signed(file)?;
    let mut bytes = Vec::new();
    let length = file.metadata()?.len();
    if length > SLOTS {
        let mut slots = file;
        io::Seek::seek(&mut slots, io::SeekFrom::Start(SLOTS))?;
        slots.take(MOST).read_to_end(&mut bytes)?;
    }
    let word = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().expect("four bytes"));
    let started = bytes
        .chunks_exact(SLOT)
        .filter_map(|slot| Some((TaskId::new(word(&slot[..4]))?, word(&slot[4..]))));
    let mut latest: HashMap<TaskId, u32> = HashMap::new();
    for (task, attempt) in started {
        let known = latest.entry(task).or_default();
        *known = attempt.max(*known);
    }
    Ok(LeftInLease {
        holder,
        started: latest,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(run: u32) -> Holder {
        Holder {
            pid: 7,
            mark: "7-99".to_owned(),
            boot: "b".to_owned(),
            run,
            note: None,
        }
    }

    fn full(run: u32) -> Holder {
        Holder {
            note: Some("the disk is full".into()),
            ..holder(run)
        }
    }

    fn batch_in(folder: &tempfile::TempDir) -> BatchFile {
        let batch = BatchFile::new(folder.path().join("b1.db"));
        std::fs::write(batch.path(), "").unwrap();
        batch
    }

    #[test]
    fn one_holder_at_a_time_and_what_it_started_outlives_it() {
        let folder = tempfile::tempdir().unwrap();
        let batch = batch_in(&folder);
        assert_eq!(Lease::holder(&batch).unwrap(), None);
        let (mut lease, left) = Lease::take(&batch, &holder(0)).unwrap();
        assert_eq!(left, LeftInLease::default());
        assert_eq!(Lease::holder(&batch).unwrap(), Some(holder(0)));
        lease.sign(&holder(3)).unwrap();
        lease.notice().unwrap().note("the disk is full").unwrap();
        let task = |number| TaskId::new(number).unwrap();
        let mut started = lease.started().unwrap();
        started
            .note([(1, task(5), 1), (0, task(4), 2), (7, task(9), 1)])
            .unwrap();
        started.note([(0, task(5), 2)]).unwrap();

        let refused = Lease::take(&batch, &holder(4)).unwrap_err();
        assert!(
            matches!(&refused, LeaseError::Held(by) if *by == full(3)),
            "{refused}"
        );
        assert_eq!(Lease::holder(&batch).unwrap(), Some(full(3)));
        drop((lease, started));

        let (mut lease, left) = Lease::take(&batch, &holder(4)).unwrap();
        assert_eq!(left.holder, Some(full(3)));
        let cut_off = HashMap::from([(task(5), 2), (task(9), 1)]);
        assert_eq!(left.started, cut_off);
        assert_eq!(Lease::holder(&batch).unwrap(), Some(holder(4)));
        // This one dies before it has seen to them.
        drop(lease);
        let left = Lease::take(&batch, &holder(5));
        (lease, _) = left.unwrap();
        lease.forget_started().unwrap();
        drop(lease);
        let (lease, left) = Lease::take(&batch, &holder(6)).unwrap();
        assert_eq!(left.started, HashMap::new());
        assert_eq!(left.holder, Some(holder(5)));
        lease.release().unwrap();
        let (_, left) = Lease::take(&batch, &holder(7)).unwrap();
        assert_eq!(left, LeftInLease::default());
    }

    #[test]
    fn a_batch_that_is_removed_meanwhile_has_no_lease() {
        let folder = tempfile::tempdir().unwrap();
        let batch = batch_in(&folder);
        let (lease, _) = Lease::take(&batch, &holder(1)).unwrap();
        batch.remove().unwrap();
        let missing = Lease::take(&batch, &holder(2)).unwrap_err();
        assert!(matches!(missing, LeaseError::Store(StoreError::Missing(_))));
        assert!(!batch.lease_path().exists());
        // Made anew, it is another batch, and nobody has its lease.
        std::fs::write(batch.path(), "").unwrap();
        let (_new, _) = Lease::take(&batch, &holder(2)).unwrap();
        drop(lease);
        assert_eq!(Lease::holder(&batch).unwrap(), Some(holder(2)));
    }

    #[test]
    fn junk_in_the_file_is_no_trap() {
        let folder = tempfile::tempdir().unwrap();
        let batch = batch_in(&folder);
        for junk in [vec![0xff; 3], vec![0xff; 1_500], vec![b'\n'; 2_000]] {
            std::fs::write(batch.lease_path(), junk).unwrap();
            let (_, left) = Lease::take(&batch, &holder(1)).unwrap();
            assert_eq!(left.holder, None);
        }
    }
}
