//! Adds tasks to a new batch, works on it in this process, and reads what became of them.

use batch_actions::{
    AddRequest, BatchRequest, Engine, EngineOptions, Home, Mode, State, Target, add, status,
};
use batch_core::TaskSpec;
use batch_runtime::Registry;
use batch_store::{BatchFile, Durability};

fn registry() -> Registry {
    Registry::new().with_fn("greet", |_| async { Ok(Default::default()) })
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let home = Home::new(folder.path());
    let request = AddRequest {
        tasks: vec![TaskSpec::new("greet"); 3],
        target: Target::New(BatchRequest::default()),
        catalog: &registry(),
    };
    let file = BatchFile::new(add(&home, request)?.file);

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let engine = Engine::start(EngineOptions {
            file: file.clone(),
            durability: Durability::Full,
            mode: Mode::Execute,
            registry: &|_, _| registry(),
            observe: &mut |_, _| {},
            sinks: Vec::new(),
            feeding: false,
            max_concurrent: None,
            most_at_once: None,
            unpause: true,
        })
        .await?;
        engine.watch_requests().await?;
        engine.finish().await
    })?;

    assert_eq!(status(&file, false)?.state, State::Completed);
    Ok(())
}
