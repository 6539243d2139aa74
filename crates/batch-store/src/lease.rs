//! Who works on a batch: the [`Lease`], an OS lock that ends with its process.
//!
//! The lock is on the database itself, so it is the same by every name. The file beside it says who holds it, why
//! the batch waits (a full disk cannot be told in the database), and which attempts were started: that is
//! one write into a place of its own before a task begins, so that a task that kills its executor at once is known
//! all the same. It is locked as well, for systems that have no lock on the database.
//!
//! ```text
//! byte 0    pid, mark, boot and run of the holder and the number of the database file, as text
//! byte 496  when the holder last gave a sign of life, in microseconds that the system was awake, little endian; 0 while it gives none
//! byte 512  a note, as JSON: why the batch waits, runs fewer tasks at once or is being stopped
//! byte 1024 eight bytes for each slot: task and attempt, little endian
//! ```

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use batch_core::TaskId;
use batch_export::files::open_plain;
use batch_process::awake_time;

use crate::error::StoreError;
use crate::file::BatchFile;
use crate::holder::{BEAT, Holder, LeaseNote, NOTE, NOTE_BYTES, SLOTS, read_signed};
use crate::inode::{FileId, Inode, InodeLock};
use crate::own_file::open_own;
use crate::watch::Watch;

const SLOT: usize = 8;
/// No more slots are read than this many bytes hold.
const MOST: u64 = 8 << 20;

/// How long to wait for the process that works on a batch under another name to notice it and stop.
const ELSEWHERE_TIMEOUT: Duration = Duration::from_secs(10);

/// The right to work on a batch. Given up when dropped, and by the end of the process in any case.
#[derive(Debug)]
pub struct Lease {
    lock: InodeLock,
    file: File,
    path: PathBuf,
    batch: BatchFile,
}

/// The lease was not given.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Someone works on the batch.
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
        let left = lease.sign_first(holder)?;
        Ok((lease, left))
    }

    /// Takes the lease of a batch that is to go: nothing is written for that, so it works on a full disk.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub fn take_unsigned(batch: &BatchFile) -> Result<Self, LeaseError> {
        batch.check_writable()?;
        let lock = lock_database(batch)?;
        Ok(Self::of_lock(batch, lock)?)
    }

    /// Makes a lease of the lock on a new database.
    pub(crate) fn of_new(
        batch: &BatchFile,
        lock: InodeLock,
        holder: &Holder,
    ) -> Result<Self, StoreError> {
        let mut lease = Self::of_lock(batch, lock)?;
        lease.sign(holder)?;
        Ok(lease)
    }

    fn of_lock(batch: &BatchFile, lock: InodeLock) -> Result<Self, StoreError> {
        let path = batch.lease_path();
        let failed = |error| StoreError::io("open", &path, error);
        let file = open_to_lock(&path, batch).map_err(failed)?;
        // Ours, as the database is; it may take a moment.
        lock_briefly(&file).map_err(|error| failed(error.into()))?;
        Ok(Self {
            lock,
            file,
            path,
            batch: batch.clone(),
        })
    }

    /// Signs it, and gives what a dead holder left in it.
    fn sign_first(&mut self, holder: &Holder) -> Result<LeftInLease, StoreError> {
        let left = self.left()?;
        self.sign(holder)?;
        Ok(left)
    }

    /// What the lease says: of a dead holder, as long as it is not signed.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn left(&self) -> Result<LeftInLease, StoreError> {
        read_left(&self.file).map_err(|error| StoreError::io("read", &self.path, error))
    }

    /// Whether someone works on a batch, and who. One that does so under another name, or whose lease was removed,
    /// is nobody in particular, and will notice it.
    ///
    /// # Errors
    /// When the files cannot be read; there need not be any.
    pub fn holder(batch: &BatchFile) -> Result<Option<Holder>, StoreError> {
        match Inode::open(batch.path()) {
            Ok(database) => holder_of(batch, &database),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::io("open", batch.path(), error)),
        }
    }

    /// Who last signed the lease of a batch, whether it still has it or not; `None` where that cannot be told.
    pub fn last_holder(batch: &BatchFile) -> Option<Holder> {
        let database = FileId::at(batch.path()).ok()??.to_string();
        let file = open_plain(&batch.lease_path(), OpenOptions::new().read(true)).ok()?;
        let signed = read_signed(&file).ok()??;
        (signed.database == database).then_some(signed.holder)
    }

    /// The file that it is about.
    pub(crate) fn file_id(&self) -> FileId {
        self.lock.inode().id()
    }

    /// Watches the files that the lease is about.
    ///
    /// # Errors
    /// When they cannot be looked at.
    pub fn watch(&self) -> Result<Watch, StoreError> {
        Watch::new(self.batch.clone(), self.lock.inode().clone())
            .map_err(|error| StoreError::io("look at", self.batch.path(), error))
    }

    /// Gives a sign of life, or says that none is to be expected from now on.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn beat(&self, is_expected: bool) -> io::Result<()> {
        let micros = match is_expected {
            true => u64::try_from(awake_time().as_micros()).unwrap_or(u64::MAX),
            false => 0,
        };
        self.file.write_all_at(&micros.to_le_bytes(), BEAT)
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
            beat: _,
        } = holder;
        let database = self.lock.inode().id();
        let text = format!("{pid}\n{mark}\n{boot}\n{run}\n{database}\n");
        // Up to the slots: what a dead holder noted is no longer true.
        let mut bytes = [0; SLOTS as usize];
        let length = text.len().min(BEAT as usize);
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

    /// Gives the lease up after a good end: nothing is left to tell.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn release(self) -> io::Result<()> {
        self.file.set_len(0)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Second handles, such as a [`Notice`], may live on.
        let _ = self.file.unlock();
    }
}

/// Notes in a lease what its holder has to say.
#[derive(Debug)]
pub struct Notice {
    file: File,
}

impl Notice {
    /// Notes what is to be said of the run; `None` takes the note away.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn note(&self, note: Option<&LeaseNote>) -> io::Result<()> {
        let note = note.map(LeaseNote::bytes).unwrap_or_default();
        let mut bytes = [0; NOTE_BYTES];
        let length = note.len().min(bytes.len());
        bytes[..length].copy_from_slice(&note[..length]);
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

    /// Forgets the attempt in a slot: it did not begin after all.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn forget(&mut self, slot: u32) -> io::Result<()> {
        let at = SLOTS + u64::from(slot) * SLOT as u64;
        self.file.write_all_at(&[0; SLOT], at)
    }
}

fn open_to_lock(path: &Path, batch: &BatchFile) -> io::Result<File> {
    open_own(
        path,
        batch.path(),
        OpenOptions::new().read(true).write(true),
    )
}

/// Locks the database at the path of a batch.
fn lock_database(batch: &BatchFile) -> Result<InodeLock, LeaseError> {
    loop {
        let database = batch.open_inode()?;
        let id = database.id();
        let failed = |error| StoreError::io("lock", batch.path(), error);
        match database.try_lock().map_err(failed)? {
            // The one who removed the batch meanwhile, or put another one there, has made this lock worth nothing.
            Ok(_) if FileId::at(batch.path()).map_err(failed)? != Some(id) => {}
            Ok(lock) => return Ok(lock),
            Err(database) => {
                // It may have been let go just now.
                if let Some(holder) = holder_of(batch, &database)? {
                    return Err(LeaseError::Held(holder));
                }
            }
        }
    }
}

fn holder_of(batch: &BatchFile, database: &Inode) -> Result<Option<Holder>, StoreError> {
    let path = batch.lease_path();
    let failed = |error| StoreError::io("read", &path, error);
    let is_locked = database.is_locked().map_err(failed)?;
    let file = match open_plain(&path, OpenOptions::new().read(true)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(is_locked.then(Holder::default));
        }
        Err(error) => return Err(failed(error)),
    };
    match (is_locked, file.try_lock_shared()) {
        (false, Ok(())) => Ok(None),
        (true, Ok(())) => Ok(Some(Holder::default())),
        (_, Err(TryLockError::WouldBlock)) => {
            // One that has signed nothing yet, or lets go just now, is nobody in particular.
            let signed = read_signed(&file).ok().flatten();
            let of_this = signed.filter(|signed| signed.database == database.id().to_string());
            Ok(Some(
                of_this.map(|signed| signed.holder).unwrap_or_default(),
            ))
        }
        (_, Err(TryLockError::Error(error))) => Err(failed(error)),
    }
}

/// Waits until nobody works on a batch under another name, or with a lease that was removed: what that process
/// knows of the batch is not in the files here.
pub(crate) fn wait_until_here(batch: &BatchFile, database: &Inode) -> Result<(), StoreError> {
    let until = Instant::now() + ELSEWHERE_TIMEOUT;
    loop {
        let is_ours = database.is_ours();
        let elsewhere = |holder: &Holder| !is_ours && *holder == Holder::default();
        match holder_of(batch, database) {
            Ok(holder) if holder.as_ref().is_some_and(elsewhere) => {}
            // Another user's, which only its owner may read: who works there is not for us to know.
            Err(error) if error.is_denied() => return Ok(()),
            other => return other.map(drop),
        }
        if Instant::now() >= until {
            return Err(StoreError::Elsewhere(batch.shown().to_owned()));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Locks the file of a lease. Who only looks for the holder has it locked for some microseconds as well, so one
/// refusal says nothing yet.
fn lock_briefly(file: &File) -> Result<(), TryLockError> {
    for _ in 0..10 {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(1)),
            other => return other,
        }
    }
    file.try_lock()
}

fn read_left(file: &File) -> io::Result<LeftInLease> {
    let holder = read_signed(file)?.map(|signed| signed.holder);
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
            ..Holder::default()
        }
    }

    fn full(run: u32) -> Holder {
        Holder {
            note: Some(LeaseNote::DiskFull),
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
        let note = LeaseNote::DiskFull;
        lease.notice().unwrap().note(Some(&note)).unwrap();
        let task = |number| TaskId::new(number).unwrap();
        let mut started = lease.started().unwrap();
        started
            .note([(1, task(5), 1), (0, task(4), 2), (7, task(9), 1)])
            .unwrap();
        started.note([(0, task(5), 2)]).unwrap();
        // One that did not begin after all leaves no trace.
        started.note([(2, task(6), 1)]).unwrap();
        started.forget(2).unwrap();

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
