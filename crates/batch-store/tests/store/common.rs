//! A batch with its file, driven by hand in virtual time.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use batch_core::stats::Totals;
use batch_core::{
    Batch, BatchId, BatchSettings, Claim, ClaimToken, Event, Failure, FailureKind, Outcome, Output,
    RunId, Status, TaskId, TaskSpec, Time, restore::Restorer,
};
use batch_export::{Records, TaskRecord};
use batch_store::{
    BatchFile, Durability, EndCause, Holder, Journal, LeftBehind, NewBatch, Origin, Selection,
    Store, StoreError, lock,
};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::model;

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
    /// Every event that was given to the journal, without those that died with an executor.
    pub(crate) events: Vec<Event>,
    /// How many of them were written.
    written: usize,
    /// What a run shows live.
    pub(crate) live: Live,
}

/// What the run of now shows of its tasks.
pub(crate) struct Live {
    pub(crate) records: Records,
    pub(crate) finished: BTreeMap<TaskId, TaskRecord>,
}

impl Live {
    fn new() -> Self {
        Self {
            records: Records::new(BatchId::default()),
            finished: BTreeMap::new(),
        }
    }

    /// As the results on standard output: with what earlier runs left.
    fn take(&mut self, events: &[Event], earlier: impl Fn(&Event) -> Option<TaskRecord>) {
        for event in events {
            let finished = self.records.apply(event);
            if let Some(left) = earlier(event) {
                self.finished.remove(&left.task);
                self.records.go_on_from(left);
            }
            self.finished
                .extend(finished.map(|record| (record.task, record)));
        }
    }
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
            written: 0,
            live: Live::new(),
        }
    }

    /// Adds tasks by the file, as everybody does, and has the batch take them up.
    pub(crate) fn add(&mut self, tasks: &[(TaskSpec, Vec<TaskId>)]) {
        {
            let mut store = lock(&self.store);
            let mut adding = store.adding(self.now).unwrap();
            adding
                .add(
                    tasks.iter().map(|(spec, needs)| {
                        (spec, needs.iter().copied().map(Into::into).collect())
                    }),
                )
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
        let mut retry = |_: &TaskSpec, failure: &Failure, _: u32| {
            Some(failure.retry_after.unwrap_or(Duration::from_secs(1)))
        };
        self.batch
            .report(claim.token, outcome, &mut retry, self.now)
            .unwrap();
        self.record();
    }

    /// An attempt that was given out does not begin after all.
    pub(crate) fn postpone(&mut self, index: usize) {
        let claim = self.claims.remove(index);
        self.started.remove(&claim.token.task);
        self.batch.postpone(claim.token, self.now).unwrap();
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
        let store = lock(&self.store);
        self.live.take(&events, |event| match event {
            Event::Reopened { task, attempts, .. } => store.task_after(*task, *attempts).unwrap(),
            _ => None,
        });
        drop(store);
        self.events.extend(events);
    }

    pub(crate) fn flush(&mut self) -> Result<(), StoreError> {
        self.journal.flush()?;
        self.written = self.events.len();
        Ok(())
    }

    pub(crate) fn flush_all(&mut self) -> Result<(), StoreError> {
        self.journal.flush_all()?;
        self.written = self.events.len();
        Ok(())
    }

    /// The clock is set back.
    pub(crate) fn set_back(&mut self, hours: u8) {
        let micros = u64::from(hours) * 3_600_000_000;
        self.now = Time::from_micros(self.now.as_micros() - micros);
    }

    /// The executor dies: what was not written is gone. Another one takes over.
    pub(crate) fn die(&mut self) {
        self.die_with(false);
    }

    /// The executor dies before anything that it had given out has begun.
    pub(crate) fn die_before_starts(&mut self) {
        self.started.clear();
        self.die_with(true);
    }

    fn die_with(&mut self, knows_all_starts: bool) {
        let left = LeftBehind {
            started: std::mem::take(&mut self.started),
            knows_all_starts,
            run: self.run,
            last_seen: lock(&self.store).last_run().unwrap().unwrap().seen_at,
            was_stopped: false,
        };
        self.claims.clear();
        self.events.truncate(self.written);
        self.reopen_file(&left);
    }

    /// The executor ends well, and another one takes over.
    pub(crate) fn take_over(&mut self) {
        self.take_over_after(Duration::ZERO);
    }

    /// The executor ends well, and another one takes over a while later.
    pub(crate) fn take_over_after(&mut self, rest: Duration) {
        for index in (0..self.claims.len()).rev() {
            self.report(index, Outcome::Interrupted(None));
        }
        self.flush_all().unwrap();
        lock(&self.store)
            .end_run(self.run, &EndCause::Stopped, self.now, None)
            .unwrap();
        self.started.clear();
        self.now = self.now.after(rest);
        self.reopen_file(&LeftBehind::default());
    }

    fn reopen_file(&mut self, left: &LeftBehind) {
        let mut store = Store::open(self.file.clone(), Durability::Fast).unwrap();
        self.run = store.begin_run(&holder(), self.now).unwrap();
        self.store = Arc::new(Mutex::new(store));
        let mut restorer = Restorer::new(settings(), RunId(self.run));
        self.journal = Journal::new(Arc::clone(&self.store), self.run);
        self.journal.set_recovering(Some(left));
        let (journal, all) = (&mut self.journal, &mut self.events);
        self.live = Live::new();
        let live = &mut self.live;
        let store = lock(&self.store);
        store
            .load(&mut restorer, left, self.now, |events| {
                journal.take(events);
                live.take(events, |event| match event {
                    Event::Submitted { task, .. } => store.begun(*task, *task).unwrap().pop(),
                    _ => None,
                });
                all.extend_from_slice(events);
            })
            .unwrap();
        drop(store);
        self.batch = restorer.into_batch();
        self.flush_all().unwrap();
        self.journal.set_recovering(None);
    }

    /// What the file says, put into another batch.
    pub(crate) fn read_back(&self) -> Batch {
        let mut restorer = Restorer::new(settings(), RunId(self.run));
        lock(&self.store)
            .load(&mut restorer, &LeftBehind::default(), self.now, |_| {})
            .unwrap();
        restorer.into_batch()
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
        self.flush_all().unwrap();
        self.check_record();
        let on_record = self.on_record();
        for index in 0..self.batch.next_id().index() {
            let task = TaskId::from_index(index);
            if let Some(status) = self.batch.status(task) {
                assert_eq!(on_record.get(&task), Some(&status), "task {task}");
            }
        }
        let running = on_record
            .values()
            .filter(|status| **status == Status::Running);
        assert_eq!(self.open_attempts(), running.count(), "attempts under way");
    }

    /// Checks that the file says what had happened when it was last written, and agrees with itself.
    pub(crate) fn check_record(&self) {
        let records = self.records();
        model::check(&self.events[..self.written], &records);
        self.check_sums(&records);
    }

    /// All tasks on record, as another process reads them.
    pub(crate) fn records(&self) -> Vec<TaskRecord> {
        let store = Store::open_read(self.file.clone()).unwrap();
        let mut found = Vec::new();
        store
            .for_each_task::<StoreError>(&Selection::default(), |record| {
                found.push(record);
                Ok(true)
            })
            .unwrap();
        found
    }

    fn check_sums(&self, records: &[TaskRecord]) {
        let overview = lock(&self.store).overview().unwrap();
        assert_eq!(overview.totals.tasks(), records.len() as u64);
        for status in Status::ALL {
            let counted = records.iter().filter(|record| record.status == status);
            assert_eq!(
                overview.totals.count(status),
                counted.count() as u64,
                "{status}"
            );
        }
        let (mut all, mut finished) = (Totals::default(), Totals::default());
        for record in records {
            all += record.totals();
            if record.status.is_final() {
                finished += record.totals();
            }
        }
        assert_eq!(overview.totals.execution_time, all.execution_time);
        assert_eq!(
            (
                overview.totals.executed,
                overview.totals.retries,
                overview.totals.flaky
            ),
            (finished.executed, finished.retries, finished.flaky),
            "executed, retries and flaky"
        );
        let mut causes: BTreeMap<_, u64> = BTreeMap::new();
        for cause in records.iter().filter_map(|record| record.cause.as_ref()) {
            *causes.entry(cause.id()).or_default() += 1;
        }
        assert_eq!(
            causes.values().sum::<u64>(),
            overview.totals.count(Status::Failed)
        );
        let told = overview
            .causes
            .iter()
            .map(|told| (told.cause.id(), told.tasks));
        assert_eq!(told.collect::<BTreeMap<_, _>>(), causes);
        for told in &overview.causes {
            let sample = records
                .iter()
                .find(|record| record.id() == told.sample_task);
            let cause = sample.and_then(|record| record.cause.as_ref());
            assert_eq!(cause.map(|cause| cause.id()), Some(told.cause.id()));
        }
    }

    /// How many attempts the file says are under way.
    fn open_attempts(&self) -> usize {
        let count: i64 = Connection::open(self.file.path())
            .unwrap()
            .query_row(
                "SELECT count(*) FROM attempts WHERE ended_us IS NULL",
                [],
                |row| row.get(0),
            )
            .unwrap();
        count.try_into().unwrap()
    }
}

pub(crate) fn holder() -> Holder {
    Holder {
        pid: 1,
        mark: "1-1".to_owned(),
        boot: "boot".to_owned(),
        run: 1,
        ..Holder::default()
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
