//! An open batch file: [`Store`].

use std::path::Path;

use batch_core::{BatchId, BatchSettings, Time};
use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::error::{RowError, StoreError};
use crate::file::BatchFile;
use crate::inode::Inode;
use crate::lease::{Lease, wait_until_here};
use crate::open;
use crate::schema::{Durability, ITEMS_SINCE};
use crate::settings::{self, BatchInfo};
use crate::shape;

/// An open batch file. Any number of processes may have the same one open; writes take turns.
///
/// All that changes the state of tasks is written by the one who holds the [`Lease`](crate::Lease); tasks and
/// requests may be added by anybody.
#[derive(Debug)]
pub struct Store {
    pub(crate) connection: Connection,
    /// Closed after the connection; see [`Inode`].
    pub(crate) inode: Inode,
    pub(crate) file: BatchFile,
    pub(crate) batch: BatchId,
    /// Its tasks can have items: it is of a version that keeps them.
    pub(crate) has_items: bool,
}

impl Store {
    /// Opens a batch file to read and write.
    ///
    /// # Errors
    /// When it is missing, no batch file, of a later version, or cannot be brought up to date.
    pub fn open(file: BatchFile, durability: Durability) -> Result<Self, StoreError> {
        Self::open_as(file, true, durability)
    }

    /// Opens a batch file to read.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_read(file: BatchFile) -> Result<Self, StoreError> {
        Self::open_as(file, false, Durability::Full)
    }

    pub(crate) fn open_as(
        file: BatchFile,
        write: bool,
        durability: Durability,
    ) -> Result<Self, StoreError> {
        // Before SQLite opens it, and closed after that.
        let inode = file.open_inode()?;
        wait_until_here(&file, &inode)?;
        let connection = open::open(&file, write, durability)?;
        let version =
            connection.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0));
        let version = version.map_err(|error| StoreError::sqlite(file.path(), error))?;
        let mut store = Self {
            connection,
            inode,
            file,
            batch: BatchId::default(),
            has_items: version >= ITEMS_SINCE,
        };
        store.batch = store.info()?.batch;
        Ok(store)
    }

    /// Whether a lease is that of the file that this has open.
    pub fn is_of(&self, lease: &Lease) -> bool {
        self.inode.id() == lease.file_id()
    }

    /// From now on waits only for some hundredths of a second for others that write, as the one who uses it tries again by
    /// itself.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn wait_briefly(&mut self) -> Result<(), StoreError> {
        open::wait_briefly(&mut self.connection).map_err(|error| self.error(error))
    }

    /// The file and what is beside it.
    pub fn file(&self) -> &BatchFile {
        &self.file
    }

    /// The number of the batch.
    pub fn batch(&self) -> BatchId {
        self.batch
    }

    /// What the file says of the batch as a whole.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn info(&self) -> Result<BatchInfo, StoreError> {
        self.read(settings::read)
    }

    /// Changes how the batch is run, and gives what holds from now on.
    ///
    /// # Errors
    /// When it cannot be read or written; nothing has changed then.
    pub fn change_settings(
        &mut self,
        change: impl FnOnce(&mut BatchSettings),
    ) -> Result<BatchSettings, StoreError> {
        let changed = || -> Result<BatchSettings, RowError> {
            let transaction = begin(&mut self.connection)?;
            let mut settings = settings::read(&transaction)?.settings;
            change(&mut settings);
            settings::write_settings(&transaction, &settings)?;
            transaction.commit()?;
            Ok(settings)
        };
        changed().map_err(|error| StoreError::of_row(self.file.path(), error))
    }

    /// Notes that the batch is paused, and why, or that it is not.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set_paused(&mut self, reason: Option<&str>) -> Result<(), StoreError> {
        self.write(|connection| match reason {
            Some(reason) => settings::put(connection, "paused", &reason),
            None => settings::remove(connection, "paused"),
        })
    }

    /// Notes that all items of the batch are in it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn note_all_read(&mut self) -> Result<(), StoreError> {
        self.write(|connection| settings::remove(connection, "unread"))
    }

    /// A number that changes whenever another connection has written.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn version(&self) -> Result<i64, StoreError> {
        self.read(|file| Ok(file.pragma_query_value(None, "data_version", |row| row.get(0))?))
    }

    /// Moves what is in the write-ahead log into the file, so that the file alone is the batch.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn checkpoint(&self) -> Result<(), StoreError> {
        self.read(|file| Ok(file.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?))
    }

    /// Tries to make room on a full disk: what is in the write-ahead log goes into the file, now and from now on after each
    /// commit. That may need room itself; nothing is lost where it fails.
    pub fn shrink_log(&self) {
        let _ = self
            .connection
            .execute_batch("PRAGMA wal_autocheckpoint = 1");
        let _ = self.checkpoint();
    }

    /// Lets the file grow to this many pages and no further, as a full disk does; 0 changes nothing. Gives the
    /// number of pages it has.
    ///
    /// # Errors
    /// When SQLite refuses.
    #[cfg(feature = "test-support")]
    pub fn limit_pages(&self, most: u32) -> Result<u32, StoreError> {
        let limit = || {
            if most > 0 {
                self.connection.query_row(
                    &format!("PRAGMA max_page_count = {most}"),
                    [],
                    |_| Ok(()),
                )?;
            }
            self.connection
                .pragma_query_value(None, "page_count", |row| row.get(0))
        };
        limit().map_err(|error| self.error(error))
    }

    pub(crate) fn path(&self) -> &Path {
        self.file.path()
    }

    pub(crate) fn error(&self, error: impl Into<RowError>) -> StoreError {
        StoreError::of_row(self.path(), error.into())
    }

    /// Reads something.
    pub(crate) fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, RowError>,
    ) -> Result<T, StoreError> {
        work(&self.connection).map_err(|error| self.error(error))
    }

    /// Runs writes in one transaction: all of them happen or none.
    pub(crate) fn write<T>(
        &mut self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let run = |connection: &mut Connection| {
            let transaction = begin(connection)?;
            let result = work(&transaction)?;
            transaction.commit()?;
            Ok(result)
        };
        run(&mut self.connection).map_err(|error| StoreError::sqlite(self.file.path(), error))
    }
}

/// Begins a transaction that writes. It waits for its turn here, so that it need not later.
pub(crate) fn begin(connection: &mut Connection) -> rusqlite::Result<Transaction<'_>> {
    connection.transaction_with_behavior(TransactionBehavior::Immediate)
}

/// A time as a column.
pub(crate) fn micros(time: Time) -> i64 {
    shape::column(time.as_micros())
}
