//! What an engine is asked for: [`EngineOptions`].

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

use batch_core::Event;
use batch_process::DiskSpaceWatch;
use batch_runtime::{Registry, Sink};
use batch_store::{BatchFile, Durability, Store};

/// What an engine is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Run the tasks.
    Execute,
    /// Obey one request, and start nothing.
    Control,
}

/// Sees the tasks of a batch as they are loaded.
pub type Observer<'a> = &'a mut dyn FnMut(&Store, &[Event]);

/// How work on a batch is taken up.
pub struct EngineOptions<'a> {
    /// The batch.
    pub file: BatchFile,
    /// How much survives what.
    pub durability: Durability,
    /// What is to be done.
    pub mode: Mode,
    /// Makes the handlers for a batch, given the folder for its large outputs, and whom to tell when those find no
    /// room.
    pub registry: &'a dyn Fn(&Path, Arc<dyn DiskSpaceWatch>) -> Registry,
    /// Sees the events of the tasks that are open from the start, before any other.
    pub observe: Option<Observer<'a>>,
    /// Sinks beside the journal.
    pub sinks: Vec<Box<dyn Sink>>,
    /// Whether more tasks come from this process: the run does not end before [`Engine::all_added`](super::Engine::all_added).
    pub feeding: bool,
    /// It stays when all is done, and waits for more tasks until it is stopped.
    pub stay: bool,
    /// More tasks at once, or fewer, than the batch says.
    pub max_concurrent: Option<NonZeroU32>,
    /// How many tasks the limits of the system allow at once, whatever is asked for.
    pub most_at_once: Option<NonZeroU32>,
    /// Let a paused batch go on.
    pub unpause: bool,
}

impl<'a> EngineOptions<'a> {
    /// To run what is in a batch, as it asks for itself.
    pub fn new(
        file: BatchFile,
        registry: &'a dyn Fn(&Path, Arc<dyn DiskSpaceWatch>) -> Registry,
    ) -> Self {
        Self {
            file,
            durability: Durability::Full,
            mode: Mode::Execute,
            registry,
            observe: None,
            sinks: Vec::new(),
            feeding: false,
            stay: false,
            max_concurrent: None,
            most_at_once: None,
            unpause: true,
        }
    }
}
