//! How tasks come in: JSON, JSONL, YAML, CSV with a template, command lines with items.
//!
//! This is the first step of the flow: bytes become [`TaskSpec`](batch_core::TaskSpec)s. What they mean together
//! (unknown functions, dependencies, limits) is the business of `batch_core::Plan`, the next step.
//!
//! - [`read_task_file`] and [`read_tasks`] read whole files and report all problems at once, each with its file,
//!   line, task and a way to fix it. The result is a [`TaskFile`].
//! - [`read_csv`] makes a task of each row of a table, with a [`RowTemplate`].
//! - A [`SavedTemplate`] is a task file with declared parameters; a [`TemplateFolder`] keeps such files by name.
//! - [`TaskStream`] makes a task of each input line, one at a time and in bounded memory: for
//!   `bex run -- CMD {} < lines`. Its parts are [`Items`], of one source or several, and the [`ItemTemplate`]s.
//!
//! All formats go through one pass that reads the fields of a task from JSON text; YAML and CSV are turned into such
//! text first, with a note of where it came from. So they agree in every detail.

#![forbid(unsafe_code)]

mod blocks;
mod fields;
mod file;
mod item_template;
mod items;
mod jsonl;
mod matrix;
mod options;
mod params;
mod problem;
mod read;
mod row_template;
mod rows;
mod scope;
mod settings;
mod source;
mod start_time;
mod stream;
mod task;
mod task_template;
mod template;
mod yaml;

pub use blocks::{BlockSize, Blocks};
pub use file::{Format, ReadError, ReadOptions, TaskFile, TemplateSource};
pub use item_template::{
    Columns, CommandTemplate, FunctionTemplate, ItemTemplate, ItemTemplateError, ShellTemplate,
    StdinTemplate, TextTemplate,
};
pub use items::{
    ColumnSeparator, ItemError, ItemOptions, ItemPlace, ItemProblem, ItemSource, Items, ItemsError,
    MAX_ARGUMENT, PerTask, Row,
};
pub use problem::{Problem, TaskLabel};
pub use read::{read_task_file, read_tasks};
pub use row_template::RowTemplate;
pub use rows::read_csv;
pub use start_time::{StartTimeError, start_time};
pub use stream::TaskStream;
pub use template::{
    OpenTemplateError, Param, ParamType, SaveTemplateError, SavedTemplate, TemplateContents,
    TemplateFolder, TemplateInfo,
};
