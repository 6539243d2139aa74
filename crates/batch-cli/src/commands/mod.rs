//! One file per command.

pub(crate) mod completions;
pub(crate) mod dry_run;
pub(crate) mod man;
pub(crate) mod run;
