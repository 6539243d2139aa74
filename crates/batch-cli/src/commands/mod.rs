//! One file per command, or for a few that are much alike.

pub(crate) mod add;
pub(crate) mod change;
pub(crate) mod completions;
pub(crate) mod execute;
pub(crate) mod list;
pub(crate) mod logs;
pub(crate) mod man;
pub(crate) mod mcp;
pub(crate) mod remove;
pub(crate) mod resume;
pub(crate) mod run;
pub(crate) mod show;
pub(crate) mod start;
pub(crate) mod status;
pub(crate) mod stop;
pub(crate) mod template;
pub(crate) mod tool;
pub(crate) mod wait;
pub(crate) mod wanted;
pub(crate) mod watch;
