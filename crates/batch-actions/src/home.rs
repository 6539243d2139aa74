//! Where batches are: [`Home`], the state folder.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::num::{NonZeroU32, NonZeroUsize};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use batch_core::{BatchId, BatchSettings, TaskSpec};
use batch_export::files::open_plain;
use batch_store::files::{open_own, own_folder, private_folder, remove_dead_files};
use batch_store::identity::{ContentHash, first_key_name};
use batch_store::lease::LeftInLease;
use batch_store::{BatchFile, Durability, NewBatch, Origin, Store, StoreError};

use crate::clock::now;
use crate::engine::{Claim, me, refuse_network};
use crate::error::ActionError;
use crate::status::{BatchStatus, State, status_of};

/// The state folder.
///
/// ```text
/// batches/b7.db …     the batches, see `BatchFile`
/// batches/.ids        the last number given out; locked while one is
/// batches/keys/       for each key the number of its batch
/// templates/          saved templates
/// ```
#[derive(Clone, Debug)]
pub struct Home {
    folder: PathBuf,
}

/// Between two looks at whether another process still makes a batch.
const IDS_POLL: Duration = Duration::from_millis(10);

/// After this long people are told what is waited for.
const IDS_QUIET: Duration = Duration::from_secs(5);

/// How long someone waits who cannot be told to end.
const IDS_TIMEOUT: Duration = Duration::from_secs(60);

/// The file of a key holds a number and a path.
const LONGEST_KEY_FILE: u64 = 64 * 1024;

/// A batch that is to be made.
#[derive(Clone, Debug, Default)]
pub struct BatchRequest {
    /// Its settings.
    pub settings: BatchSettings,
    /// Where it comes from.
    pub origin: Origin,
    /// How much survives what.
    pub durability: Durability,
    /// Elsewhere than in the state folder.
    pub file: Option<PathBuf>,
}

impl Home {
    /// A state folder.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
        }
    }

    /// `BEX_HOME`, else `$XDG_STATE_HOME/bex`, else `~/.local/state/bex`. The standard of `XDG_STATE_HOME` has a relative
    /// path ignored.
    pub fn of_environment() -> Self {
        let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
        let state = set("XDG_STATE_HOME").map(PathBuf::from);
        let folder = match (set("BEX_HOME"), state.filter(|state| state.is_absolute())) {
            (Some(home), _) => home.into(),
            (None, Some(state)) => state.join("bex"),
            (None, None) => {
                let home = env::home_dir().unwrap_or_else(|| "/".into());
                home.join(".local/state/bex")
            }
        };
        Self { folder }
    }

    /// The folder of saved templates.
    pub fn templates(&self) -> PathBuf {
        self.folder.join("templates")
    }

    fn batches(&self) -> PathBuf {
        self.folder.join("batches")
    }

    /// The file of a batch, whether there is one or not.
    pub fn file(&self, batch: BatchId) -> BatchFile {
        BatchFile::new(self.batches().join(format!("{batch}.db")))
    }

    /// The batches there are, the first one first.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn batches_there(&self) -> Result<Vec<BatchId>, ActionError> {
        let folder = self.batches();
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(ActionError::state_folder("read", folder, error)),
        };
        let mut batches: Vec<BatchId> = entries
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name();
                name.to_str()?.strip_suffix(".db")?.parse().ok()
            })
            .collect();
        batches.sort_unstable();
        Ok(batches)
    }

    /// The file of a batch that exists: the one named, else the latest.
    ///
    /// # Errors
    /// When there is none.
    pub fn find(&self, batch: Option<BatchId>) -> Result<BatchFile, ActionError> {
        let there = self.batches_there()?;
        match batch {
            None => there
                .last()
                .map(|latest| self.file(*latest))
                .ok_or(ActionError::NoBatch),
            Some(batch) if there.contains(&batch) => Ok(self.file(batch)),
            Some(batch) => {
                let latest = there.last().copied();
                Err(ActionError::UnknownBatch { batch, latest })
            }
        }
    }

    /// The batch that a text names: by its number, `b7` or `7`, or by its name. Of several with the name it is the latest;
    /// a number that no batch has may be the name of one.
    ///
    /// # Errors
    /// When there is none.
    pub fn named(&self, text: &str) -> Result<BatchId, ActionError> {
        let number = text.parse().ok();
        let number = number.or_else(|| BatchId::new(text.parse().ok()?));
        let is_there = |batch: &BatchId| {
            let file = self.file(*batch);
            file.path().exists() || file.is_half_removed()
        };
        if let Some(batch) = number.filter(is_there) {
            return Ok(batch);
        }
        let has_name = |store: &Store| Some(store.info().ok()?.settings.name? == text);
        if let Some(batch) = self.latest(|store| has_name(store).unwrap_or(false))? {
            return Ok(batch);
        }
        let latest = self.batches_there()?.last().copied();
        Err(match number {
            Some(batch) => ActionError::UnknownBatch { batch, latest },
            None => ActionError::UnknownBatchName {
                name: text.to_owned(),
                latest,
            },
        })
    }

    /// The batch that tasks are added to where none is named: the latest that was made by adding tasks and is not
    /// finished.
    pub(crate) fn queue(&self) -> Result<Option<BatchFile>, ActionError> {
        let is_open = |status: BatchStatus| match status.state {
            State::Incomplete => false,
            // An empty one is yet to be filled.
            state => status.total == 0 || !state.is_done(),
        };
        let found = self.latest(|store| {
            store.info().is_ok_and(|info| info.origin.way == "add")
                && status_of(store).is_ok_and(is_open)
        })?;
        Ok(found.map(|batch| self.file(batch)))
    }

    /// The latest batch of a kind. One that cannot be read is of none.
    fn latest(&self, is_it: impl Fn(&Store) -> bool) -> Result<Option<BatchId>, ActionError> {
        let mut there = self.batches_there()?.into_iter().rev();
        Ok(there.find(|batch| {
            let store = Store::open_read(self.file(*batch));
            store.is_ok_and(|store| is_it(&store))
        }))
    }

    /// The file of a batch that is to be removed: as [`find`](Self::find), or one that is half removed already.
    ///
    /// # Errors
    /// When there is none.
    pub fn find_to_remove(&self, batch: BatchId) -> Result<BatchFile, ActionError> {
        let file = self.file(batch);
        match file.is_half_removed() {
            true => Ok(file),
            false => self.find(Some(batch)),
        }
    }

    /// Batches that are half removed, as the one who did it was killed.
    pub(crate) fn half_removed(&self) -> Vec<(BatchId, BatchFile)> {
        let entries = fs::read_dir(self.batches()).into_iter().flatten().flatten();
        let (mut whole, mut parts) = (BTreeSet::new(), BTreeSet::new());
        for entry in entries {
            let name = entry.file_name();
            let named = name.to_str().and_then(|name| name.split_once(".db"));
            let named =
                named.and_then(|(batch, rest)| Some((batch.parse::<BatchId>().ok()?, rest)));
            match named {
                Some((batch, "")) => whole.insert(batch),
                Some((batch, _)) => parts.insert(batch),
                None => continue,
            };
        }
        let batches = parts.difference(&whole);
        let files = batches.map(|batch| (*batch, self.file(*batch)));
        files.filter(|(_, file)| file.is_half_removed()).collect()
    }

    /// Removes what processes left here that were killed: files that were to become batches, copies and templates. What
    /// a living process makes stays.
    pub(crate) fn remove_debris(&self) {
        // Batches are made under this lock, and nobody locks them one by one. Who has it now may leave something, for
        // the next one who looks.
        if self.batches().is_dir()
            && let Ok(Some(_ids)) = self.try_lock_ids()
        {
            remove_dead_files(&self.batches(), ".new-");
        }
        remove_dead_files(&self.batches(), ".bex-");
        remove_dead_files(&self.templates(), ".tmp");
    }

    /// Makes a batch without tasks, with the next number.
    ///
    /// # Errors
    /// When its file cannot be made.
    pub fn create(&self, request: &BatchRequest) -> Result<Store, ActionError> {
        let claim = self.create_locked(&mut self.lock_ids()?, request, &[], 0)?;
        let file = claim.file().clone();
        // Nobody else has heard of it yet.
        claim.release()?;
        Ok(Store::open(file, request.durability)?)
    }

    /// Makes a batch of its first tasks, with the next number, that nobody else works on before this process does.
    ///
    /// # Errors
    /// When its file cannot be made.
    pub fn create_claimed(
        &self,
        mut ids: Ids,
        request: &BatchRequest,
        tasks: &[TaskSpec],
    ) -> Result<Claim, ActionError> {
        self.create_locked(&mut ids, request, tasks, 1)
    }

    /// `run` is the run that begins with it, 0 for none.
    pub(crate) fn create_locked(
        &self,
        ids: &mut Ids,
        request: &BatchRequest,
        tasks: &[TaskSpec],
        run: u32,
    ) -> Result<Claim, ActionError> {
        for (_, file) in self.half_removed() {
            // Else the next one does it.
            let _ = file.remove();
        }
        let batch = ids.next(&self.batches_there()?)?;
        let file = match &request.file {
            Some(path) => BatchFile::new(path),
            None => self.file(batch),
        };
        refuse_network(file.path())?;
        let new = NewBatch {
            batch,
            settings: request.settings.clone(),
            origin: request.origin.clone(),
            created_at: now(),
        };
        let created = Store::create_held(file, &new, tasks, request.durability, &me(run));
        let (store, lease) = created.map_err(|error| match error {
            StoreError::Io { what, path, error } if request.file.is_none() => {
                ActionError::state_folder(what, path, error)
            }
            other => other.into(),
        })?;
        Ok(Claim {
            store,
            lease,
            left: LeftInLease::default(),
            begun_run: run,
        })
    }

    /// The last batch that was made of the same task file, or the one in the file that is asked for.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn last_of(&self, request: &BatchRequest) -> Result<Option<BatchFile>, ActionError> {
        if let Some(path) = &request.file {
            return Ok(path.exists().then(|| BatchFile::new(path)));
        }
        let of_file = |store: &Store| {
            let info = store.info();
            info.is_ok_and(|info| info.origin.file == request.origin.file)
        };
        let found = self.latest(of_file)?;
        Ok(found.map(|batch| self.file(batch)))
    }

    /// The numbers of batches, for this process alone: waits for others who make batches, however long that takes. May be
    /// dropped while it waits.
    ///
    /// # Errors
    /// When they cannot be locked.
    pub async fn ids(&self) -> Result<Ids, ActionError> {
        let mut wait = IdsWait::new();
        loop {
            if let Some(ids) = self.try_lock_ids()? {
                return Ok(ids);
            }
            wait.tell(self);
            tokio::time::sleep(IDS_POLL).await;
        }
    }

    /// The same for who cannot be told to end meanwhile, and gives up after a minute.
    pub(crate) fn lock_ids(&self) -> Result<Ids, ActionError> {
        let mut wait = IdsWait::new();
        loop {
            if let Some(ids) = self.try_lock_ids()? {
                return Ok(ids);
            }
            wait.tell(self);
            if wait.begun.elapsed() >= IDS_TIMEOUT {
                let why = "another bex that makes a batch has had it locked for a minute; end it, or try again later";
                let error = io::Error::new(io::ErrorKind::TimedOut, why);
                return Err(ActionError::io("lock", self.ids_path(), error));
            }
            std::thread::sleep(IDS_POLL);
        }
    }

    /// Locks the numbers; `None` while another process makes a batch.
    fn try_lock_ids(&self) -> Result<Option<Ids>, ActionError> {
        let (folder, path) = (self.batches(), self.ids_path());
        private_folder(&folder)
            .map_err(|error| ActionError::state_folder("make the folder", &folder, error))?;
        let file = open_own(&path, &folder, OpenOptions::new().read(true).write(true));
        let locked = file.and_then(|file| match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        });
        match locked {
            Ok(file) => Ok(file.map(|file| Ids { file, path })),
            Err(error) => Err(ActionError::state_folder("lock", path, error)),
        }
    }

    fn ids_path(&self) -> PathBuf {
        self.batches().join(".ids")
    }

    /// The file of the batch with a key, if there is one.
    ///
    /// # Errors
    /// When that cannot be found out.
    pub fn of_key(&self, key: &str) -> Result<Option<BatchFile>, ActionError> {
        let names = [ContentHash::of_name(key).to_string(), first_key_name(key)];
        let mut found = None;
        for path in names.map(|name| self.key_path(&name)) {
            match read_key(&path) {
                Ok(bytes) => {
                    found = Some(bytes);
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(ActionError::state_folder("read", path, error)),
            }
        }
        let Some(bytes) = found else {
            return Ok(None);
        };
        let mut lines = bytes.splitn(2, |byte| *byte == b'\n');
        let number = lines.next().unwrap_or_default();
        let elsewhere = lines.next().filter(|path| !path.is_empty());
        let batch: Option<BatchId> = str::from_utf8(number)
            .ok()
            .and_then(|number| number.trim().parse().ok());
        let file = match (elsewhere, batch) {
            (Some(path), _) => Some(BatchFile::new(OsStr::from_bytes(path))),
            (None, batch) => batch.map(|batch| self.file(batch)),
        };
        Ok(file.filter(|file| file.path().exists()))
    }

    /// Notes the batch of a key: its number, and its file where that is elsewhere.
    pub(crate) fn set_key(&self, key: &str, store: &Store) -> Result<(), ActionError> {
        let path = self.key_path(&ContentHash::of_name(key).to_string());
        let folder = self.batches().join("keys");
        let write = || {
            own_folder(&folder, &self.batches())?;
            let mut file = open_own(&path, &folder, OpenOptions::new().write(true))?;
            // Not before it is known whose file it is.
            file.set_len(0)?;
            let mut text = store.batch().to_string().into_bytes();
            if *store.file() != self.file(store.batch()) {
                text.push(b'\n');
                text.extend_from_slice(store.file().path().as_os_str().as_bytes());
            }
            file.write_all(&text)
        };
        write().map_err(|error| ActionError::state_folder("write", &path, error))
    }

    fn key_path(&self, name: &str) -> PathBuf {
        self.batches().join("keys").join(name)
    }
}

fn read_key(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = open_plain(path, OpenOptions::new().read(true))?;
    file.take(LONGEST_KEY_FILE).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// How long others have been waited for who make batches.
struct IdsWait {
    begun: Instant,
    told: bool,
}

impl IdsWait {
    fn new() -> Self {
        Self {
            begun: Instant::now(),
            told: false,
        }
    }

    /// Tells of it, once and not at once.
    fn tell(&mut self, home: &Home) {
        if !self.told && self.begun.elapsed() >= IDS_QUIET {
            self.told = true;
            let path = home.ids_path();
            let path = path.display();
            tracing::warn!("waiting for another bex that makes a batch: it has {path} locked");
        }
    }
}

/// The numbers of batches, locked.
#[derive(Debug)]
pub struct Ids {
    file: File,
    path: PathBuf,
}

impl Ids {
    /// A number that no batch has or had.
    fn next(&mut self, there: &[BatchId]) -> Result<BatchId, ActionError> {
        let mut step = || {
            let mut text = String::new();
            self.file.rewind()?;
            self.file.read_to_string(&mut text)?;
            let last: u32 = text.trim().parse().unwrap_or_default();
            let highest = there.last().map_or(0, |batch| batch.get());
            let next = last.max(highest).saturating_add(1);
            // In one write, over the one before and never shorter: at no moment is there no number.
            self.file.rewind()?;
            self.file.write_all(format!("{next:<10}\n").as_bytes())?;
            Ok(next)
        };
        let next = step().map_err(|error| ActionError::state_folder("write", &self.path, error))?;
        Ok(BatchId::new(next).expect("one more than another number"))
    }
}

/// How many tasks run at once where nobody says: as many as there are processors.
pub fn default_slots() -> NonZeroU32 {
    let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    NonZeroU32::new(u32::try_from(processors).unwrap_or(u32::MAX)).unwrap_or(NonZeroU32::MIN)
}
