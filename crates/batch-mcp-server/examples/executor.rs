//! A background executor as small as it can be: works on the batch whose file is named, and tells its parent.
//!
//! The tests of this crate start it; `bex execute` is the whole one.

use std::path::Path;
use std::process::ExitCode;

use batch_actions::{ActionError, Engine, EngineOptions, StartReply, tell_parent};
use batch_handlers::{HandlerConfig, standard_registry};
use batch_store::{BatchFile, Durability};

fn main() -> ExitCode {
    let Some(file) = std::env::args_os().nth(1) else {
        return ExitCode::from(2);
    };
    // What started it may end before it does.
    let _ = batch_process::new_session();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("the system has threads");
    match runtime.block_on(work(BatchFile::new(file))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(3),
    }
}

async fn work(file: BatchFile) -> Result<(), ActionError> {
    let engine = begin(file)
        .await
        .inspect_err(|error| tell_parent(Err(error.into())))?;
    let attended = engine.watch_requests().await;
    engine.finish().await?;
    attended
}

async fn begin(file: BatchFile) -> Result<Engine, ActionError> {
    let registry = |folder: &Path, disk_space| {
        standard_registry(&HandlerConfig {
            disk_space: Some(disk_space),
            ..HandlerConfig::new(folder.to_owned())
        })
    };
    let engine = Engine::start(EngineOptions {
        durability: Durability::Fast,
        ..EngineOptions::new(file, &registry)
    })
    .await?;
    tell_parent(Ok(StartReply::of(&engine)?));
    let _ = batch_process::close_stdio();
    Ok(engine)
}
