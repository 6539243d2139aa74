//! The read model of a batch and its writers: text, JSON, JSONL, CSV, JUnit XML, Markdown, traces for Perfetto; filters, totals,
//! causes and the summary.
//!
//! The flow, in one direction: [`Records`] folds the core's events into one [`TaskRecord`] for each task that
//! finishes; a [`TaskFilter`] selects tasks; a [`ResultWriter`] writes them in a [`Format`]; and the [`Summary`] adds
//! them up ([`batch_core::stats::Totals`], [`ExecutionTimes`]), with failures grouped into [`Causes`]. A store makes the same
//! records from its rows. Nothing here knows a database, a clock or a terminal. Memory is bounded: finished tasks are
//! forgotten, and outputs are copied from their files piece by piece. [`files`] has the files it writes and reads.
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
#[cfg(unix)]
mod blocking;
mod cause;
mod causes;
mod color;
mod csv;
#[cfg(unix)]
mod descriptor;
mod error;
mod events;
mod filter;
mod format;
mod joblog;
mod json;
mod junit;
mod live;
mod markdown;
mod metadata;
mod number;
mod ordered;
mod perfetto;
mod plain_file;
mod record;
mod records;
mod results_folder;
mod stream;
mod summary;
mod text;
mod times;
mod unnamed;
mod visible;
mod writer;

pub mod files {
    //! Files that appear whole or not at all, outputs that are read without following links, and streams that others share.

    pub use crate::atomic_file::{AtomicFile, FileHandle, private_file_in};
    #[cfg(unix)]
    pub use crate::blocking::Blocking;
    pub use crate::plain_file::{open_output, open_plain, refuse_links_of_others};
    pub use crate::stream::{copy_stream, tail};
}

pub use cause::{Cause, CauseId, ParseCauseIdError};
pub use causes::{CauseGroup, Causes, cause_of};
pub use color::Color;
pub use error::ExportError;
pub use filter::{FilterError, TaskFilter};
pub use format::{Format, UnknownFormat};
pub use json::write_task_json;
pub use live::{LiveStyle, Printed, Started};
pub use number::rfc3339;
pub use record::{AttemptEnd, AttemptRecord, TaskRecord};
pub use records::{Records, cancelled_text};
pub use summary::Summary;
pub use times::{ExecutionTimes, TimeSpread};
pub use visible::{Visible, VisibleLines};
pub use writer::{
    ResultWriter, WriterOptions, command_lines, job_log, result_writer, results_folder,
};
