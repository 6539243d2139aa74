//! A batch with its file, driven by hand in virtual time.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use batch_core::{
    Batch, BatchId, BatchSettings, Claim, ClaimToken, Event, Failure, FailureKind, Outcome, Output,
    RunId, Status, TaskId, TaskSpec, Time,
};
use batch_store::{
    BatchFile, Durability, Holder, Journal, LeftBehind, NewBatch, Origin, Selection, Store, lock,
};
use tempfile::TempDir;

/// A batch, its journal and its file.
pub(crate) struct Bench {
    /// Removed with it.
    _folder: TempDir,
    pub(crate) file: BatchFile,
    pub(crate) store: Arc<Mutex<Store>>,
    pub(crate) batch: Batch,
    pub(crate) journal: Journal,
    pub(crate) now: Time,
    pub(crate) run: u32,
    /// Claims that are out.
    pub(crate) claims: Vec<Claim>,
    /// What a lease would know: the last attempt started of each task, in this run.
    started: HashMap<TaskId, u32>,
    /// Every event that was given to the journal, for folds beside it.
    pub(crate) events: Vec<Event>,
}

pub(crate) const SLOTS: u32 = 4;

pub(crate) fn settings() -> BatchSettings {
    BatchSettings::with_slots(SLOTS.try_into().unwrap())
}

impl Bench {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = BatchFile::new(folder.path().join("b1.db"));
        let now = Time::from_micros(1_000_000_000_000_000);
        let new = NewBatch {
            batch: BatchId::default(),
            settings: settings(),
            origin: Origin::default(),
            created_at: now,
        };
        // What survives a power failure is not the matter here, and this is faster.
        let mut store = Store::create(file.clone(), &new, Durability::Fast).unwrap();
        let run = store.begin_run(&holder(), now).unwrap();
        let store = Arc::new(Mutex::new(store));
        Self {
            batch: Batch::for_run(settings(), RunId(run)),
            journal: Journal::new(Arc::clone(&store), run),
            _folder: folder,
            file,
            store,
            now,
            run,
            claims: Vec::new(),
            started: HashMap::new(),
            events: Vec::new(),
        }
    }

    /// Adds tasks by the file, as everybody does, and has the batch take them up.
    pub(crate) fn add(&mut self, tasks: &[(TaskSpec, Vec<TaskId>)]) {
        {
            let mut store = lock(&self.store);
            let mut adding = store.adding(self.now).unwrap();
            adding
                .add(tasks.iter().map(|(spec, needs)| (spec, needs.clone())))
                .unwrap();
            adding.commit().unwrap();
        }
        self.admit();
    }

    pub(crate) fn admit(&mut self) {
        loop {
            let added = lock(&self.store)
                .added_since(self.batch.next_id(), 3)
                .unwrap();
            if added.is_empty() {
                break;
            }
            for past in added {
                self.batch.restore(past, self.now);
            }
        }
        self.record();
    }

    pub(crate) fn claim(&mut self) -> Option<ClaimToken> {
        let claim = self.batch.claim(self.now)?;
        let token = claim.token;
        self.started.insert(token.task, token.attempt);
        self.claims.push(claim);
        self.record();
        Some(token)
    }

    pub(crate) fn report(&mut self, index: usize, outcome: Outcome) {
        let claim = self.claims.remove(index);
        let mut retry = |_: &TaskSpec, _: &Failure, _: u32| Some(Duration::from_secs(1));
        self.batch
            .report(claim.token, outcome, &mut retry, self.now)
            .unwrap();
        self.record();
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now = self.now.after(time);
        self.batch.handle_timers(self.now);
        self.record();
    }

    /// Gives the journal what has happened.
    pub(crate) fn record(&mut self) {
        let mut events = Vec::new();
        self.batch.take_events(&mut events);
        self.journal.take(&events);
        self.events.extend(events);
    }

    /// The executor dies: what was not written is gone. Another one takes over.
    pub(crate) fn die(&mut self) {
        let left = LeftBehind {
            started: std::mem::take(&mut self.started),
            run: self.run,
            last_seen: lock(&self.store).last_run().unwrap().unwrap().seen_at,
        };
        self.claims.clear();
        self.reopen_file(&left);
    }

    /// The executor ends well, and another one takes over.
    pub(crate) fn take_over(&mut self) {
        for index in (0..self.claims.len()).rev() {
            self.report(index, Outcome::Interrupted);
        }
        self.journal.flush_all().unwrap();
        lock(&self.store)
            .end_run(self.run, "stopped", self.now, None)
            .unwrap();
        self.started.clear();
        self.reopen_file(&LeftBehind::default());
    }

    fn reopen_file(&mut self, left: &LeftBehind) {
        let mut store = Store::open(self.file.clone(), Durability::Fast).unwrap();
        self.run = store.begin_run(&holder(), self.now).unwrap();
        self.store = Arc::new(Mutex::new(store));
        self.batch = Batch::for_run(settings(), RunId(self.run));
        self.journal = Journal::new(Arc::clone(&self.store), self.run);
        self.journal.set_recovering(Some(left.run));
        let (journal, all) = (&mut self.journal, &mut self.events);
        lock(&self.store)
            .load(&mut self.batch, left, self.now, |events| {
                journal.take(events);
                all.extend_from_slice(events);
            })
            .unwrap();
        self.journal.flush_all().unwrap();
        self.journal.set_recovering(None);
    }

    /// What the file says, put into another batch.
    pub(crate) fn read_back(&self) -> Batch {
        let mut batch = Batch::for_run(settings(), RunId(self.run));
        lock(&self.store)
            .load(&mut batch, &LeftBehind::default(), self.now, |_| {})
            .unwrap();
        batch
    }

    /// The statuses that the file tells.
    pub(crate) fn on_record(&self) -> BTreeMap<TaskId, Status> {
        let mut found = BTreeMap::new();
        lock(&self.store)
            .for_each_task::<batch_store::StoreError>(&Selection::default(), |record| {
                found.insert(record.task, record.status);
                Ok(true)
            })
            .unwrap();
        found
    }

    /// Checks that the file, flushed, says what the batch is, and agrees with itself.
    pub(crate) fn check(&mut self) {
        self.journal.flush_all().unwrap();
        let on_record = self.on_record();
        for index in 0..self.batch.next_id().index() {
            let task = TaskId::from_index(index);
            if let Some(status) = self.batch.status(task) {
                assert_eq!(on_record.get(&task), Some(&status), "task {task}");
            }
        }
        self.check_sums(&on_record);
    }

    fn check_sums(&self, on_record: &BTreeMap<TaskId, Status>) {
        let overview = lock(&self.store).overview().unwrap();
        for status in Status::ALL {
            let counted = on_record.values().filter(|found| **found == status).count();
            assert_eq!(overview.count(status), counted as u64, "{status}");
        }
        let failed: u64 = overview.causes.iter().map(|cause| cause.tasks).sum();
        assert_eq!(failed, overview.count(Status::Failed), "causes");
    }
}

pub(crate) fn holder() -> Holder {
    Holder {
        pid: 1,
        mark: "1-1".to_owned(),
        boot: "boot".to_owned(),
        run: 1,
    }
}

pub(crate) fn failed(code: i32, stderr: &str) -> Outcome {
    let failure = Failure::new(FailureKind::ExitCode(code), format!("exit code {code}"));
    Outcome::Failed(Arc::new(failure.with_output(Output {
        stderr: stderr.as_bytes().to_vec().into(),
        ..Output::default()
    })))
}

pub(crate) fn completed(stdout: &str) -> Outcome {
    Outcome::Completed(Some(Arc::new(Output {
        stdout: stdout.as_bytes().to_vec().into(),
        ..Output::default()
    })))
}
