//! Keeps a batch in a file, records what happens to it, and reads it back.

use std::sync::{Arc, Mutex};

use batch_core::{
    BatchId, BatchSettings, Outcome, Output, RunId, Status, TaskSpec, Time, no_retries,
    restore::Restorer,
};
use batch_store::{
    BatchFile, Durability, EndCause, Holder, Journal, LeftBehind, NewBatch, Origin, Store, lock,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let file = BatchFile::new(folder.path().join("b1.db"));
    let new = NewBatch {
        batch: BatchId::default(),
        settings: BatchSettings::default(),
        origin: Origin::default(),
        created_at: Time::ZERO,
    };
    let mut store = Store::create(file.clone(), &new, Durability::Full)?;
    let mut adding = store.adding(Time::ZERO)?;
    adding.add([(&TaskSpec::new("simulate"), Vec::new())])?;
    adding.commit()?;

    let run = store.begin_run(&Holder::default(), Time::ZERO)?;
    let mut restorer = Restorer::new(new.settings.clone(), RunId(run));
    store.load(&mut restorer, &LeftBehind::default(), Time::ZERO, |_| {})?;
    let mut batch = restorer.into_batch();
    let store = Arc::new(Mutex::new(store));
    let mut journal = Journal::new(Arc::clone(&store), run);

    let now = Time::from_micros(1_000);
    let claim = batch.claim(now).ok_or("one task is ready")?;
    let done = Outcome::Completed(Some(Arc::new(Output::default())));
    batch.report(claim.token, done, &mut no_retries, now)?;
    let mut events = Vec::new();
    batch.take_events(&mut events);
    journal.take(&events);
    journal.flush_all()?;
    lock(&store).end_run(run, &EndCause::Finished, now, None)?;

    let read = Store::open_read(file)?.overview()?;
    assert_eq!(read.totals.count(Status::Completed), 1);
    Ok(())
}
