//! What a batch task can do: commands, shell, code, custom functions, HTTP and simulation.
//!
//! Each function is a [`Handler`](batch_runtime::Handler); [`standard_registry`] holds them all under the
//! names that task files use:
//!
//! | function | parameters | result |
//! |---|---|---|
//! | `command` | `argv, cwd, env, stdin` | `exit_code, stdout, stderr` |
//! | `shell` | `script, shell, cwd, env, stdin` | the same |
//! | `code_execution` | `runtime, code, cwd, env, stdin` | the same |
//! | `custom_function` | `code, args, cwd, env, stdin` | what `process(**args)` returns |
//! | `http` | `method, url, headers, body, timeout` | `status, headers, body` |
//! | `simulate` | `duration, fail` | nothing |

#![forbid(unsafe_code)]

mod check;
mod code;
mod command;
mod http;
mod language;
mod masked_file;
mod masked_tap;
mod process;
mod simulate;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use batch_process::{CaptureLimits, DiskSpaceWatch, LiveOutput, Scratch};
use batch_runtime::Registry;

use crate::code::{CodeHandler, FunctionHandler};
use crate::command::{CommandHandler, ShellHandler};
use crate::http::HttpHandler;
use crate::language::CodePlace;
use crate::simulate::SimulateHandler;

/// What the handlers need to know.
#[derive(Clone, Debug)]
pub struct HandlerConfig {
    /// A private folder for large outputs.
    pub folder: PathBuf,
    /// Where code is while it runs.
    pub scratch: Scratch,
    /// Output past this many bytes a stream goes to a file in that folder.
    pub in_memory: usize,
    /// When a process has run for this long, its output goes to files in that folder as it comes, for
    /// others to read along; see [`CaptureLimits::live_after`]. `None`: not before its end.
    pub live_after: Option<Duration>,
    /// Hears what processes print, as they print it, with secrets masked.
    pub live: Option<Arc<dyn LiveOutput>>,
    /// Hears of outputs and code that wait, as there is no room for them on the disk.
    pub disk_space: Option<Arc<dyn DiskSpaceWatch>>,
}

impl HandlerConfig {
    /// Keeps up to 256 KiB of each output in memory, and shows none before the end.
    pub fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            scratch: Scratch::default(),
            in_memory: CaptureLimits::DEFAULT_IN_MEMORY,
            live_after: None,
            live: None,
            disk_space: None,
        }
    }
}

/// All functions of this crate.
pub fn standard_registry(config: &HandlerConfig) -> Registry {
    let capture = Arc::new(CaptureLimits {
        folder: config.folder.clone(),
        in_memory: config.in_memory,
        live_after: config.live_after,
        live: config.live.clone(),
        disk_space: config.disk_space.clone(),
    });
    let capture = || Arc::clone(&capture);
    let place = || CodePlace {
        scratch: config.scratch.clone(),
        capture: capture(),
    };
    Registry::new()
        .with("command", CommandHandler { capture: capture() })
        .with("shell", ShellHandler { capture: capture() })
        .with("code_execution", CodeHandler { place: place() })
        .with("custom_function", FunctionHandler { place: place() })
        .with("http", HttpHandler::default())
        .with("simulate", SimulateHandler)
}
