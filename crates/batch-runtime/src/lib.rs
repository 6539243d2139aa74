//! Runs task batches on tokio: [`RunBuilder`], [`Handler`], [`RunHandle`].
//!
//! `batch-core` decides what runs next; this crate runs it. A *driver* owns one batch, and nothing else touches
//! it. Handlers perform attempts on the tokio runtime, sinks take in what happened on threads of their
//! own, and a [`RunHandle`] lets any task or thread control the run.
//!
//! ```text
//! RunHandle ── requests ─► driver ── jobs ─► workers ── Handler::run
//!                           │  ▲                │
//!                           │  └─── reports ────┘
//!                           └─ events ─► sinks, each on its own thread
//! ```
//!
//! A batch that is kept in a file comes in with [`RunBuilder::with_batch`], and its journal is a [`Sink`] that
//! can [`sync`](Sink::sync). The driver waits for that only before tasks that must not run twice. Results of
//! earlier tasks come from a [`durable::ResultSource`].
//!
//! A thousand tasks with retries:
//!
//! ```
//! use std::num::NonZeroU32;
//! use batch_core::{BatchSettings, Failure, Json, Output, Status, TaskSpec};
//! use batch_runtime::{RunBuilder, Registry};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let registry = Registry::new().with_fn("double", |task| async move {
//!     let n: i64 = task.params()?;
//!     if n % 10 == 0 && task.attempt == 1 {
//!         return Err(Failure::error("unlucky at first").into());
//!     }
//!     Ok(Output::from_value(Json::new(&(n * 2)).expect("a number is JSON")))
//! });
//! let settings = BatchSettings::with_slots(NonZeroU32::new(8).unwrap());
//! let run = RunBuilder::new(registry).with_settings(settings).start();
//! let tasks = (0..1000)
//!     .map(|n| Ok(TaskSpec::new("double").with_params(&n)?.with_max_retries(3)))
//!     .collect::<Result<Vec<_>, serde_json::Error>>()?;
//! run.submit(tasks).await?;
//! let report = run.finish().await;
//! assert_eq!(report.stats.count(Status::Completed), 1000);
//! assert_eq!(report.stats.flaky, 100);
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

/// The code of the README compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod builder;
mod cancel;
mod chain;
mod clock;
mod driver;
pub mod durable;
mod handle;
mod handler;
mod masking;
mod offload;
pub mod params;
mod policy;
mod sink;
mod start_runtime;
mod sync_point;
mod worker;

pub use batch_core::control::Urgency;
pub use builder::{RunBuilder, RunEnd, RunReport};
pub use cancel::CancelToken;
pub use clock::wall_clock;
pub use handle::{
    RequestError, ResourceShortage, RunEnded, RunHandle, RunningTask, Snapshot, SubmitError,
};
pub use handler::{AttemptError, Handler, OnCancel, Registry, TaskContext};
pub use offload::offload;
pub use policy::backoff_delay;
pub use sink::{Sink, SinkError};
pub use start_runtime::start_runtime;
