//! The tokio executor for task batches: [`Executor`], [`Handler`], [`RunHandle`].
//!
//! `batch-core` decides what runs next; this crate runs it. A *driver* owns one batch and is the only one to
//! touch it. Handlers perform attempts on the tokio runtime, sinks take in what happened on threads of their
//! own, and a [`RunHandle`] lets any task or thread steer the run.
//!
//! ```text
//! RunHandle ── commands ─► driver ── jobs ─► workers ── Handler::run
//!                           │  ▲                │
//!                           │  └─── reports ────┘
//!                           └─ events ─► sinks, each on its own thread
//! ```
//!
//! A batch that is kept in a file comes in with [`Executor::with_batch`], and its journal is a [`Sink`] that
//! can [`sync`](Sink::sync). The driver waits for that only before tasks that must not run twice. Results of
//! earlier tasks come from a [`ResultSource`].
//!
//! A thousand tasks with retries:
//!
//! ```
//! use std::num::NonZeroU32;
//! use batch_core::{BatchSettings, Failure, Json, Output, Status, TaskSpec};
//! use batch_runtime::{Executor, Registry};
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
//! let run = Executor::new(registry).with_settings(settings).start();
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

mod apart;
mod cancel;
mod chain;
mod clock;
mod driver;
mod durable;
mod executor;
mod handle;
mod handler;
mod masking;
pub mod params;
mod policy;
mod sink;
mod start_runtime;
mod sync_point;
mod worker;

pub use apart::apart;
pub use batch_core::Urgency;
pub use cancel::CancelToken;
pub use clock::wall_clock;
pub use durable::{ResultSource, SourceError, StartLog};
pub use executor::{Executor, RunEnd, RunReport};
pub use handle::{Gone, RunHandle, RunningTask, ShortOf, Snapshot, SubmitError};
pub use handler::{AttemptError, Handler, OnCancel, Registry, TaskContext};
pub use policy::{SpecPolicy, backoff_delay};
pub use sink::{Sink, SinkError};
pub use start_runtime::start_runtime;
