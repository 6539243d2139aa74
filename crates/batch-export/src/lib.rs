//! The read model of a batch, and its writers.
//!
//! What became of tasks, for whoever reads it: records, the causes of failures, totals, which tasks are wanted, the
//! summary; and how that goes out: text, JSON, JSONL, CSV. The core decides and tells events; nothing here decides.
//!
//! The flow, in one direction: [`Records`] folds the core's events into one [`TaskRecord`] for each task
//! that finishes; a [`TaskFilter`] says which are wanted; a [`ResultWriter`] writes them in a [`Format`]; and
//! the [`Summary`] adds them up, with its failures grouped into [`Causes`]. Nothing here knows a database, a clock or a terminal. Memory is bounded:
//! finished tasks are forgotten, and large outputs are copied from their files piece by piece.
//!
//! ```
//! use std::sync::Arc;
//! use batch_core::{BatchId, Event, Status, TaskId, TaskSpec, Time};
//! use batch_export::{TaskFilter, Format, Records, Summary, WriterOptions, result_writer};
//!
//! let task = TaskId::new(1).expect("not zero");
//! let events = [
//!     Event::Submitted { task, at: Time::ZERO, spec: Arc::new(TaskSpec::new("simulate")) },
//!     Event::Finished { task, at: Time::ZERO, status: Status::Completed, reason: None, retries: 0 },
//! ];
//!
//! let batch = BatchId::default();
//! let filter = TaskFilter::parse("status:completed")?;
//! let mut out = Vec::new();
//! let mut records = Records::new(batch);
//! let mut summary = Summary::new(batch);
//! let mut writer = result_writer(&WriterOptions::new(Format::Jsonl), &mut out, std::io::sink())?;
//! for record in events.iter().filter_map(|event| records.apply(event)) {
//!     summary.add(&record);
//!     if filter.matches(&record) {
//!         writer.task(&record)?;
//!     } else {
//!         writer.skip(record.task)?;
//!     }
//! }
//! writer.finish(&summary)?;
//! drop(writer);
//! assert!(out.starts_with(br#"{"task_id":"b1.1","id":null"#));
//! assert_eq!(summary.to_string(), "1 task: 1 completed");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod atomic_file;
mod cause;
mod causes;
mod csv;
mod error;
mod filter;
mod format;
mod json;
mod metadata;
mod number;
mod ordered;
mod plain_file;
mod record;
mod records;
mod stream;
mod summary;
mod text;
mod times;
mod unnamed;
mod visible;
mod writer;

pub use atomic_file::{AtomicFile, FileHandle};
pub use cause::{Cause, CauseId, ParseCauseIdError};
pub use causes::{CauseGroup, Causes, cause_of};
pub use error::ExportError;
pub use filter::{FilterError, TaskFilter};
pub use format::{Format, UnknownFormat};
pub use json::write_task_json;
pub use number::rfc3339;
pub use plain_file::{open_output, open_plain};
pub use record::{AttemptEnd, AttemptRecord, TaskRecord};
pub use records::{Records, cancelled_text};
pub use stream::{copy_stream, tail};
pub use summary::{Summary, Totals};
pub use times::{ExecutionTimes, TimeSpread};
pub use visible::{Visible, VisibleLines};
pub use writer::{ResultWriter, WriterOptions, result_writer};
