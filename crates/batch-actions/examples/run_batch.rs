//! Adds tasks to a new batch, works on it in this process, and reads what became of them.

use batch_actions::{
    AddRequest, BatchRequest, Engine, EngineOptions, Home, State, Target, add, status,
};
use batch_core::{SettingsRequest, TaskSpec};
use batch_runtime::Registry;
use batch_store::BatchFile;

fn registry() -> Registry {
    Registry::new().with_fn("greet", |_| async { Ok(Default::default()) })
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let home = Home::new(folder.path());
    let request = AddRequest {
        tasks: vec![TaskSpec::new("greet"); 3],
        target: Target::New(BatchRequest::default()),
        settings: SettingsRequest::default(),
        catalog: &registry(),
    };
    let file = BatchFile::new(add(&home, request)?.file);

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let options = EngineOptions::new(file.clone(), &|_, _| registry());
        let engine = Engine::start(options).await?;
        engine.watch_requests().await?;
        engine.finish().await
    })?;

    assert_eq!(status(&file, false)?.state, State::Completed);
    Ok(())
}
