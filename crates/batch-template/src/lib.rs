//! Placeholders in texts and documents, and how values are written where they are, so that data never becomes
//! code.
//!
//! A task uses the result of another one as `{{ tasks.fetch.result.body.id }}`, the cell of a table as
//! `{{ row.name }}`, a secret of the environment as `{{ env.TOKEN }}`. This crate finds such placeholders, looks the
//! values up, and writes them in. Nothing here schedules or runs anything; all of it is a function of its arguments.
//!
//! The flow, in one direction:
//!
//! ```text
//! text ─► Template ─► Placeholder ─► look-up (follow, part) ─► Filter ─► Encoding at the place ─► text
//! ```
//!
//! - [`Template`]: a text taken apart at its placeholders. One parser takes `{}`, `{{ … }}` and `${ … }`, by its
//!   [`Delimiters`]. [`placeholders`] finds those of a document of parameters.
//! - [`Segment`]: a step of a path; [`follow`] goes along one in a tree, [`part`] in a text, without a tree of it.
//! - [`Datum`]: a value as it was written, so that digits and the order of fields stay.
//! - [`Filter`]: `trim`, `json`, `int`, `float`, `text`, `url`, or a further path.
//! - [`Encodings`]: how each place of a document takes values. A place is plain text, or code of a shell, of Python or
//!   of JavaScript, where a value is written as one word or one literal, or code for which there is no safe way, or
//!   data with a grammar of its own: a URL, a form, JSON, a header.
//! - [`Functions`]: which function takes values how. Its handler says so, and nobody else.
//! - [`fill`] and [`fill_root`] put all of this together. They refuse a placeholder in quotes, and a value that turns
//!   itself or another argument into code.
//! - [`references`] says which tasks a task refers to, so that a plan learns it.
//! - [`Secrets`] masks the values of variables wherever they come back; [`shown_params`] and [`shown_result`] are what
//!   views show of a task.
//!
//! # Data is not code
//!
//! `echo {{ row.x }}` is a script, and `$(rm -r ~)` a cell. Each function says at which places of its parameters it
//! takes code, and of which language:
//!
//! ```
//! use batch_core::Json;
//! use batch_template::{Encoding, Encodings, ShellRules, fill, follow};
//!
//! let row = serde_json::json!({"x": "$(rm -r ~)"});
//! let fill_script = |script: &str| {
//!     let params = Json::from(serde_json::json!({"script": script}));
//!     let shell = Encoding::Shell(ShellRules::default());
//!     fill(
//!         &params,
//!         &|placeholder| follow(&row, &placeholder.path).map(|cell| cell.clone().into()),
//!         &|_params| Encodings::text().with("script", shell),
//!     )
//! };
//!
//! let filled = fill_script("echo {{ row.x }}").unwrap();
//! assert_eq!(filled.to_value()["script"], "echo '$(rm -r ~)'");
//!
//! // In double quotes a quoted word is not read as one word: it is refused, and nothing runs.
//! let problems = fill_script("echo \"{{ row.x }}\"").unwrap_err();
//! assert_eq!(problems[0].message, "{{ row.x }} is in double quotes");
//! ```
//!
//! Which places are code depends on other parameters, too: in `["bash", "-c", "{{ row.x }}"]` the third argument is,
//! in `["bash", "x.sh", "{{ row.x }}"]` it is not. [`code_in_command`] knows the interpreters and the programs that
//! start them, [`ShellScan`] the quotes of a script and what its commands read as code.

#![forbid(unsafe_code)]

mod canonical;
mod code_words;
mod datum;
mod document;
mod encoding;
mod fill;
mod filter;
mod functions;
mod interpreters;
mod label;
mod parts;
mod path;
mod percent;
mod places;
mod references;
mod rename;
mod secrets;
mod shell_check;
mod shell_commands;
mod shell_scan;
mod shell_words;
mod spots;
mod template;
mod variables;

pub use canonical::canonical_params;
pub use datum::Datum;
pub use document::{escape_braces, map_texts, may_have_placeholders, placeholders};
pub use encoding::Encoding;
pub use fill::{EncodingsOf, fill, fill_root};
pub use filter::Filter;
pub use functions::Functions;
pub use interpreters::{Code, CommandCode, Language, UNKNOWN, code_in_command};
pub use label::{command_line, shell_command, short_label, task_label};
pub use parts::{Delimiters, Meaning, Part, Template};
pub use path::{Segment, follow, part};
pub use places::Encodings;
pub use references::{SLOT_ROOT, references};
pub use rename::rename_tasks;
pub use secrets::{MASK, Secrets, is_secret_name, shown_params, shown_result, shown_url};
pub use shell_words::{Inherited, Quoting, ShellRules, ShellScan, quote_for_shell};
pub use template::{Placeholder, TemplateError};
pub use variables::{VARIABLE_ROOT, check_variable, fill_variables, variable_of, variables};
