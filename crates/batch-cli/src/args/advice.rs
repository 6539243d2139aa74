//! What to write in place of what other tools understand: [`with_advice`]. The one who comes from xargs, parallel or a shell
//! loop types their options, or a command without the `--` before it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, Error};

use crate::hints::quoted;

/// Options of other tools, and what does the same here, or why nothing does.
const OTHERS: &[(&[&str], &str)] = &[
    (
        &[
            "-P",
            "--jobs",
            "--max-procs",
            "--threads",
            "--workers",
            "--concurrency",
            "--parallel",
        ],
        "-j N sets how many tasks run at once",
    ),
    (
        &["-I", "-i", "--replace", "-J"],
        "the placeholder is always {}: bex run -- CMD {} ::: ITEM…",
    ),
    (
        &["-L", "-l", "--max-lines", "--max-replace-args"],
        "-n N gives each command N items, -X as many as fit",
    ),
    (
        &["--bar", "--eta", "--progress-bar"],
        "a terminal shows a bar with the time left by itself; --progress bar|plain|none chooses",
    ),
    (
        &["--dryrun", "--just-print", "--recon", "--noop", "--no-op"],
        "--dry-run shows what would run",
    ),
    (
        &["--will-cite", "--citation", "--bibtex", "--no-notice"],
        "there is no notice to silence; leave it out",
    ),
    (
        &["--retries", "--attempts", "--tries"],
        "--max-retries N runs a failed task up to N times more",
    ),
    (
        &["--resume-failed", "--retry-failed"],
        "every run is kept: bex retry; bex resume runs what failed again",
    ),
    (
        &["--tagstring", "--tag-string", "--ctag", "--ctagstring"],
        "--tag-output writes the name of each task before its lines",
    ),
    (
        &["-t", "--trace"],
        "-v shows the command line of each task when it starts; --dry-run shows them and runs none",
    ),
    (
        &["-p", "--interactive"],
        "no task asks before it runs; --dry-run shows what would run",
    ),
    (
        &["-r", "--no-run-if-empty"],
        "without items nothing runs; leave it out",
    ),
    (
        &["-x", "--exit", "--exact"],
        "a command line that is too long is always refused; leave it out",
    ),
    (
        &["-a", "--arg-file"],
        ":::: FILE reads items from a file: bex run -- CMD :::: FILE",
    ),
    (
        &["-d", "--delimiter", "--eof", "-E", "-e"],
        "items are lines, or with -0 end with a NUL byte; --colsep splits a line into columns",
    ),
    (
        &["--xargs", "-m", "-s", "--max-chars"],
        "-X gives each command as many items as fit",
    ),
    (
        &["-u", "--ungroup", "--lb", "--line-buffer", "--linebuffer"],
        "--live prints the lines of tasks while they run",
    ),
    (
        &["--group", "--compress"],
        "the output of a task is kept together and printed when it ends; leave it out",
    ),
    (
        &["--files"],
        "--results DIR keeps the output of each task in files",
    ),
    (
        &["--link", "--xapply"],
        ":::+ zips a source with the one before it: bex run -- CMD {1} {2} ::: a b :::+ 1 2",
    ),
    (
        &["--wd", "--workdir"],
        "--cwd DIR sets the working folder of the tasks",
    ),
    (
        &["--halt-on-error"],
        "--halt now,fail=1 ends the batch at the first failure",
    ),
    (
        &["--process-slot-var"],
        "the slot is {%}, and BEX_SLOT in the environment of the task",
    ),
    (
        &["--plus"],
        "{..} and the other placeholders are always known; leave it out",
    ),
    (
        &[
            "-S",
            "--sshlogin",
            "--slf",
            "--sshloginfile",
            "--trc",
            "--transferfile",
            "--return",
        ],
        "tasks run on this machine only",
    ),
    (
        &["--load", "--memfree", "--memsuspend", "--noswap"],
        "tasks are limited by number: -j N; bex set -j N changes it while they run",
    ),
    (&["--nice"], "run all of it so: nice -n 10 bex run …"),
    (
        &["--quote", "--shellquote"],
        "items are arguments of their own, or quoted with --shell; leave it out",
    ),
    (&["--shuf"], "shuffle the items: shuf FILE | bex run -- CMD"),
    (
        &["--fail-early", "--stop-on-error", "--exit-on-error"],
        "--fail-fast ends the batch at the first task that fails",
    ),
    (
        &["--semaphore", "--sem", "--fg", "--bg", "--wait"],
        "fill a batch and wait for it: bex add -- CMD; bex start; bex wait",
    ),
    (
        &["-c", "--command"],
        "a command comes after --, a line of shell with --shell: bex run --shell 'CMD {}' ::: ITEM…",
    ),
    (
        &["-D"],
        "--depends-on TASK has a task of bex add wait for another",
    ),
    (
        &["--keep"],
        "-k or --keep-order writes results in the order of the tasks",
    ),
];

/// An error of clap, with what to write instead where something of another tool was written.
pub(super) fn with_advice(error: Error, command: &mut Command, args: &[OsString]) -> Error {
    let verb = args
        .get(1)
        .and_then(|verb| verb.to_str())
        .unwrap_or_default();
    let advice = match (error.kind(), verb) {
        (ErrorKind::InvalidValue, "resume") => keeps_nothing(&error),
        (ErrorKind::UnknownArgument, "run" | "add") => unknown_argument(&error, command, args),
        (ErrorKind::InvalidSubcommand, _)
            if error.get(ContextKind::SuggestedSubcommand).is_none() =>
        {
            let name = context(&error, ContextKind::InvalidSubcommand);
            name.map(|name| {
                format!(
                    "{name:?} is not a verb of bex; to run a command: {}",
                    run("run", &args[1..])
                )
            })
        }
        _ => None,
    };
    let Some(advice) = advice else {
        return error;
    };
    let kind = error.kind();
    match command.find_subcommand_mut(verb) {
        Some(verb) => verb.error(kind, advice),
        None => command.error(kind, advice),
    }
}

/// A batch that was kept until now cannot be resumed without keeping it.
fn keeps_nothing(error: &Error) -> Option<String> {
    let is_durability = context(error, ContextKind::InvalidArg)?.starts_with("--durability");
    let is_none = context(error, ContextKind::InvalidValue)? == "none";
    (is_durability && is_none)
        .then(|| "--durability none goes with bex run; a batch that is kept stays so".to_owned())
}

fn unknown_argument(error: &Error, command: &Command, args: &[OsString]) -> Option<String> {
    let unknown = context(error, ContextKind::InvalidArg)?;
    let verb = args[1].to_str()?;
    let at = args
        .iter()
        .position(|arg| arg.to_string_lossy().starts_with(&*unknown))?;
    if let Some(first) = command_before(command, args, at) {
        return Some(format!(
            "a command comes after --: {}",
            run(verb, &args[first..])
        ));
    }
    let known = OTHERS.iter().find(|(names, _)| names.contains(&&*unknown));
    known.map(|(_, way)| format!("{unknown} is not an option of bex {verb}: {way}"))
}

/// Where the command begins that the arguments before another one hold: a word that is no option and no file.
fn command_before(command: &Command, args: &[OsString], at: usize) -> Option<usize> {
    if args[1] == "add" {
        let is_word = !args[at].to_string_lossy().starts_with('-');
        return is_word.then_some(at);
    }
    let before = command.clone().try_get_matches_from(&args[..at]).ok()?;
    let (_, run) = before.subcommand()?;
    let file = run.get_one::<PathBuf>("file")?;
    if file.exists() {
        return None;
    }
    args[..at].iter().position(|arg| Path::new(arg) == file)
}

/// How the words of a command are run, as a shell takes it.
fn run(verb: &str, words: &[OsString]) -> String {
    let words = words.iter().map(|word| match &*word.to_string_lossy() {
        // A shell takes it as it is, and it is read better so.
        placeholder @ ("{}" | "{.}" | "{/}" | "{//}" | "{#}" | ":::") => placeholder.to_owned(),
        word => quoted(word),
    });
    let words: Vec<String> = words.collect();
    format!("bex {verb} -- {}", words.join(" "))
}

/// What to do about the name of a task file that is none: it is a command without `--` before it, or a line of shell.
pub(crate) fn no_such_file(name: &str, items: Option<&[OsString]>) -> String {
    let mut words = vec![OsString::from(name)];
    if let Some(items) = items {
        words.push(":::".into());
        words.extend_from_slice(items);
    }
    let command = match name.contains(char::is_whitespace) {
        true => run("run", &words).replacen("bex run -- ", "bex run --shell ", 1),
        false => run("run", &words),
    };
    format!("there is no file {name}; to run a command for each item: {command}")
}

fn context(error: &Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::args::{Cli, parse};

    fn told(words: &[&str]) -> String {
        let args = ["bex"].iter().chain(words).map(OsString::from);
        let error = parse(args).expect_err("it is refused");
        let text = error.to_string();
        text.lines().next().unwrap_or_default().to_owned()
    }

    #[test]
    fn a_command_without_dashes_is_told_with_them() {
        for (words, told_so) in [
            (&["run", "echo", "{}"][..], "bex run -- echo {}"),
            (&["run", "-j", "4", "echo", "{}"], "bex run -- echo {}"),
            (&["run", "echo", "a b", "c"], "bex run -- echo 'a b' c"),
            (&["run", "grep", "-c", "x"], "bex run -- grep -c x"),
            (&["run", "tar", "--czf", "x"], "bex run -- tar --czf x"),
            (&["add", "make", "docs"], "bex add -- make docs"),
            (&["add", "--new", "make", "-B"], "bex add -- make -B"),
            (&["gzip", "-9", "{}"], "bex run -- gzip -9 {}"),
        ] {
            let told = told(words);
            assert!(told.ends_with(told_so), "{words:?}: {told}");
        }
    }

    #[test]
    fn options_of_other_tools_are_answered_with_ours() {
        for (words, told_so) in [
            (
                &["run", "-P", "4", "--", "x"][..],
                "-P is not an option of bex run: -j N",
            ),
            (
                &["run", "-P4", "--", "x"],
                "-P is not an option of bex run: -j N",
            ),
            (
                &["run", "--jobs=4", "--", "x"],
                "--jobs is not an option of bex run: -j N",
            ),
            (
                &["run", "-I{}", "--", "x"],
                "-I is not an option of bex run: the placeholder",
            ),
            (
                &["run", "-I", "%", "--", "x"],
                "-I is not an option of bex run: the placeholder",
            ),
            (&["run", "--retries", "3", "--", "x"], "--max-retries N"),
            (&["run", "--bar", "--", "x"], "--progress bar|plain|none"),
            (&["run", "--will-cite", "--", "x"], "leave it out"),
            (&["run", "--dryrun", "--", "x"], "--dry-run"),
        ] {
            let told = told(words);
            assert!(told.contains(told_so), "{words:?}: {told}");
        }
        // One that is only mistyped has clap's own suggestion.
        assert!(told(&["run", "--fail-fats", "--", "x"]).contains("unexpected argument"));
        assert!(told(&["stauts"]).contains("unrecognized subcommand"));
    }

    #[test]
    fn what_bex_knows_is_not_taken_for_another_tools() {
        let cli = Cli::command();
        let run = cli.find_subcommand("run").unwrap();
        for (names, _) in OTHERS {
            for name in *names {
                let known = run.get_arguments().any(|arg| {
                    let long = arg.get_long().map(|long| format!("--{long}"));
                    let short = arg.get_short().map(|short| format!("-{short}"));
                    long.as_deref() == Some(*name) || short.as_deref() == Some(*name)
                });
                assert!(!known, "{name}");
            }
        }
    }

    #[test]
    fn the_name_of_a_file_that_is_not_there_is_a_command() {
        let items = [OsString::from("a")];
        assert_eq!(
            no_such_file("echo", Some(&items)),
            "there is no file echo; to run a command for each item: bex run -- echo ::: a"
        );
        assert!(no_such_file("echo {}", Some(&items)).ends_with("bex run --shell 'echo {}' ::: a"));
        assert!(no_such_file("tasks.yml", None).ends_with("bex run -- tasks.yml"));
    }
}
