//! What is printed while tasks run and beside their results: the options of `bex run` and `bex resume`.

use std::path::PathBuf;

use clap::Args;

/// What is printed while tasks run, and what is written beside their results.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ShownArgs {
    /// Print lines as they come, with the name of the task in front; with one task at a time (-j1) all it prints, at once
    #[arg(long, conflicts_with = "keep_order")]
    pub(crate) live: bool,

    /// Print the name of the task before each of its lines, also without --live
    #[arg(long)]
    pub(crate) tag_output: bool,

    /// Write a log with the columns of GNU parallel's --joblog, a line for each task as it ends
    #[arg(long, value_name = "FILE")]
    pub(crate) joblog: Option<PathBuf>,

    /// Write the files stdout, stderr and exit of each task to DIR/NUMBER, as it ends
    #[arg(long = "results", value_name = "DIR")]
    pub(crate) results_folder: Option<PathBuf>,

    /// Print results and errors alone: no progress, no summary
    #[arg(short, long, conflicts_with = "progress")]
    pub(crate) quiet: bool,

    /// Print the command of each task to standard error as it starts
    #[arg(short, long)]
    pub(crate) verbose: bool,

    /// Print the summary at the end in any case, also with --quiet
    #[arg(long)]
    pub(crate) summary: bool,
}
