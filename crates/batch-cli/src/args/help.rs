//! `bex --help`, with the verbs in groups: clap puts headings over options, and not over commands.

use std::ffi::OsString;
use std::fmt::Write as _;

use clap::{Command, CommandFactory, FromArgMatches};

use super::Cli;
use super::advice::with_advice;
use super::blank::refuse_blank;

/// The verbs, in the order they are shown in.
const GROUPS: &[(&str, &[&str])] = &[
    ("Run tasks", &["run", "add", "start", "resume", "stop"]),
    (
        "Change a batch, also while it runs",
        &["pause", "set", "cancel", "release", "retry", "clear"],
    ),
    (
        "See what happens and what happened",
        &[
            "status", "list", "watch", "wait", "show", "why", "logs", "results", "export",
        ],
    ),
    ("For agents and other programs", &["tool", "mcp"]),
    (
        "Housekeeping",
        &["rm", "prune", "template", "completions", "man", "help"],
    ),
];

const EXAMPLES: &str = "\
Examples:
  ls *.wav | bex run -- flac -s {}      run a command for each line, to the end
  bex add -- make docs                  add a task to the latest batch, or to a first one
  bex start                             run it in the background
  bex wait --timeout 1m; bex results    wait, then read

Commands on a batch take -b ID (default: the latest batch) and --json.";

/// Reads the command line.
///
/// # Errors
/// What clap has to say: mistakes, and also help and version.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let mut command = command();
    let args: Vec<OsString> = args.into_iter().collect();
    let matches = match command.try_get_matches_from_mut(&args) {
        Ok(matches) => matches,
        Err(error) => return Err(with_advice(error, &mut command, &args)),
    };
    refuse_blank(&mut command, &matches)?;
    Cli::from_arg_matches(&matches)
}

fn command() -> Command {
    let command = Cli::command();
    let groups = groups(&command);
    command.help_template(format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{groups}Options:\n{{options}}\n\n{EXAMPLES}"
    ))
}

fn groups(command: &Command) -> String {
    let mut text = String::new();
    for (heading, verbs) in GROUPS {
        let _ = writeln!(text, "{heading}:");
        for verb in *verbs {
            let _ = writeln!(text, "  {verb:<12} {}", about(command, verb));
        }
        text.push('\n');
    }
    text
}

/// What a verb does, in a line. clap makes `help` only when it has read the arguments.
fn about(command: &Command, verb: &str) -> String {
    let known = command.find_subcommand(verb).and_then(Command::get_about);
    known.map_or_else(
        || "Print the help of a command".to_owned(),
        ToString::to_string,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_stands_in_one_group() {
        let command = Cli::command();
        let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set());
        let mut there: Vec<&str> = verbs.map(Command::get_name).chain(["help"]).collect();
        let mut shown: Vec<&str> = GROUPS
            .iter()
            .flat_map(|(_, verbs)| *verbs)
            .copied()
            .collect();
        there.sort_unstable();
        shown.sort_unstable();
        assert_eq!(shown, there);
    }
}
