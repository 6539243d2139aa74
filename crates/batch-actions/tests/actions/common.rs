//! A home of batches, and engines that work on them.

use std::path::Path;
use std::sync::Arc;

use batch_actions::{
    AddReply, AddRequest, BatchRequest, Choice, Control, Engine, EngineOptions, Finished, Home,
    Target, add,
};
use batch_core::{BatchSettings, Failure, Json, Output, Plan, SettingsRequest, TaskSpec};
use batch_process::DiskSpaceWatch;
use batch_runtime::Registry;
use batch_store::{BatchFile, Durability, Origin};
use tempfile::TempDir;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, LocalSet};

/// A home that is removed with it.
pub(crate) struct Place {
    folder: TempDir,
    pub(crate) home: Home,
    /// Lets the tasks of the function `wait` end, one for each notice.
    pub(crate) gate: Arc<Notify>,
}

impl Place {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            home: Home::new(folder.path()),
            folder,
            gate: Arc::default(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The functions `fine`, `bad`, `loud` with much to say, and `wait`.
    fn registry(&self) -> Registry {
        let gate = Arc::clone(&self.gate);
        Registry::new()
            .with_fn("fine", |_| async { Ok(Output::default()) })
            .with_fn("bad", |_| async { Err(Failure::error("bad").into()) })
            .with_fn("loud", |_| async {
                let text = "x".repeat(20_000);
                Ok(Output::from_value(
                    Json::new(&text).expect("a text is JSON"),
                ))
            })
            .with_fn("wait", move |_| {
                let gate = Arc::clone(&gate);
                async move {
                    gate.notified().await;
                    Ok(Output::default())
                }
            })
    }

    pub(crate) fn request(&self, key: Option<&str>) -> BatchRequest {
        let mut settings = BatchSettings::with_slots(4.try_into().unwrap());
        settings.key = key.map(str::to_owned);
        BatchRequest {
            settings,
            origin: Origin::default(),
            durability: Durability::Fast,
            file: None,
        }
    }

    pub(crate) fn add_new(
        &self,
        key: Option<&str>,
        tasks: Vec<TaskSpec>,
    ) -> Result<AddReply, batch_actions::ActionError> {
        self.add(self.request(key), tasks)
    }

    pub(crate) fn add(
        &self,
        request: BatchRequest,
        tasks: Vec<TaskSpec>,
    ) -> Result<AddReply, batch_actions::ActionError> {
        let target = Target::New(request);
        let catalog = &self.registry();
        let request = AddRequest {
            tasks,
            target,
            settings: SettingsRequest::default(),
            catalog,
        };
        add(&self.home, request)
    }

    pub(crate) fn plan(&self, tasks: Vec<TaskSpec>) -> Plan {
        Plan::check(tasks, &self.registry()).unwrap()
    }

    /// A batch of these tasks.
    pub(crate) fn batch(&self, tasks: Vec<TaskSpec>) -> BatchFile {
        BatchFile::new(self.add_new(None, tasks).unwrap().file)
    }

    pub(crate) fn add_to(&self, file: &BatchFile, tasks: Vec<TaskSpec>) -> AddReply {
        let request = AddRequest {
            tasks,
            target: Target::Batch(file.clone()),
            settings: SettingsRequest::default(),
            catalog: &self.registry(),
        };
        add(&self.home, request).unwrap()
    }

    pub(crate) async fn engine(&self, file: &BatchFile, feeding: bool) -> Engine {
        let registry = |_: &Path, _: Arc<dyn DiskSpaceWatch>| self.registry();
        let options = EngineOptions {
            durability: Durability::Fast,
            feeding,
            ..EngineOptions::new(file.clone(), &registry)
        };
        Engine::start(options).await.unwrap()
    }

    /// Works on a batch until all is done.
    pub(crate) async fn finish(&self, file: &BatchFile) -> Finished {
        let engine = self.engine(file, false).await;
        engine.watch_requests().await.unwrap();
        engine.finish().await.unwrap()
    }
}

pub(crate) fn task(function: &str) -> TaskSpec {
    TaskSpec::new(function)
}

/// A request about some tasks, by their numbers.
pub(crate) fn about(numbers: &[u32], control: fn(Choice) -> Control) -> Control {
    control(Choice::of(numbers.iter().map(u32::to_string)))
}

pub(crate) fn cancel(tasks: Choice) -> Control {
    Control::Cancel { tasks }
}

pub(crate) fn retry(tasks: Choice) -> Control {
    Control::Retry { tasks }
}

pub(crate) fn clear(tasks: Choice) -> Control {
    Control::Clear { tasks }
}

/// An engine that is attended to while the test does something else.
pub(crate) fn attend(engine: Engine) -> JoinHandle<Finished> {
    tokio::task::spawn_local(async move {
        engine.watch_requests().await.unwrap();
        engine.finish().await.unwrap()
    })
}

/// Runs a test on one thread, as an executor does.
pub(crate) fn on_one_thread(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, test);
}
