//! An empty value is a mistake, whatever the option: [`refuse_blank`]. It comes from a variable that is not set, and taken for
//! "no choice" it would mean everything.

use clap::error::ErrorKind;
use clap::{Arg, ArgMatches, Command, Error};

/// The words of a command, of which only the first must name something.
const WORDS: &str = "command";

/// A blank separates columns as well as any other text.
const SEPARATOR: &str = "colsep";

/// Refuses an option or argument whose value is empty or blank.
pub(super) fn refuse_blank(command: &mut Command, matches: &ArgMatches) -> Result<(), Error> {
    if let Some((verb, matches)) = matches.subcommand()
        && let Some(verb) = command.find_subcommand_mut(verb)
    {
        return refuse_blank(verb, matches);
    }
    let mut blank = command.get_arguments().filter(|arg| is_blank(arg, matches));
    let Some(name) = blank.next().map(name_of) else {
        return Ok(());
    };
    drop(blank);
    let message = format!("{name} is empty; give it a text, or omit it");
    Err(command.error(ErrorKind::InvalidValue, message))
}

fn name_of(arg: &Arg) -> String {
    match (arg.get_long(), arg.get_value_names()) {
        (Some(long), _) => format!("--{long}"),
        (None, Some([name, ..])) => name.to_string(),
        (None, _) => arg.get_id().to_string(),
    }
}

fn is_blank(arg: &Arg, matches: &ArgMatches) -> bool {
    let id = arg.get_id().as_str();
    if !arg.get_action().takes_values() || !matches.contains_id(id) {
        return false;
    }
    let mut values = matches.get_raw(id).unwrap_or_default();
    let most = if id == WORDS { 1 } else { usize::MAX };
    let blank = |value: &std::ffi::OsStr| match id {
        SEPARATOR => value.is_empty(),
        _ => value.to_string_lossy().trim().is_empty(),
    };
    values.len() == 0 || values.by_ref().take(most).any(blank)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use clap::CommandFactory;

    use super::*;
    use crate::args::{Cli, parse};

    /// Every verb, also those below another, with its options.
    fn verbs(command: &Command, before: &[String]) -> Vec<(Vec<String>, Command)> {
        let below = command.get_subcommands().flat_map(|verb| {
            let path = [before, &[verb.get_name().to_owned()]].concat();
            verbs(verb, &path)
        });
        let below: Vec<_> = below.collect();
        match below.is_empty() {
            true => vec![(before.to_vec(), command.clone())],
            false => below,
        }
    }

    /// The arguments that a verb must have.
    fn required(verb: &[String]) -> &'static [&'static str] {
        match verb.join(" ").as_str() {
            "show" | "why" | "logs" | "rm" | "template show" | "template rm" => &["b1"],
            "template save" => &["name", "file"],
            "export" => &["-o", "out.json"],
            "execute" => &["file"],
            "completions" => &["bash"],
            "mcp" => &["--http"],
            _ => &[],
        }
    }

    #[test]
    fn no_option_of_any_verb_takes_an_empty_value() {
        let mut tried = 0;
        for (verb, command) in verbs(&Cli::command(), &[]) {
            let options = command.get_arguments().filter(|arg| {
                let long = arg.get_long();
                arg.get_action().takes_values() && long.is_some_and(|long| long != "help")
            });
            for option in options {
                let blanks: &[&str] = match option.get_id().as_str() {
                    SEPARATOR => &[""],
                    _ => &["", " "],
                };
                for blank in blanks {
                    let given = format!("--{}={blank}", option.get_long().unwrap());
                    let words = std::iter::once("bex".to_owned()).chain(verb.clone());
                    let words = words.chain(required(&verb).iter().map(ToString::to_string));
                    let words: Vec<String> = words.chain([given.clone()]).collect();
                    let error = parse(words.into_iter().map(OsString::from))
                        .expect_err(&format!("{verb:?} {given:?}"));
                    let is_known = matches!(
                        error.kind(),
                        ErrorKind::InvalidValue
                            | ErrorKind::ValueValidation
                            | ErrorKind::MissingRequiredArgument
                            | ErrorKind::ArgumentConflict
                    );
                    assert!(is_known, "{verb:?} {given:?}: {error}");
                    tried += 1;
                }
            }
        }
        assert!(tried > 200, "{tried}");
    }

    #[test]
    fn an_empty_argument_is_none() {
        for args in [
            &["cancel", ""][..],
            &["cancel", "--filter", ""],
            &["retry", "--filter", "  "],
            &["results", "--tag", ""],
            &["results", "--tag", "a,"],
            &["run", "--", "", "x"],
            &["add", "--", ""],
            &["add", "--shell", ""],
            &["logs", ""],
            &["mcp", "--http", "--host", ""],
            &["template", "show", ""],
        ] {
            let args = ["bex"].iter().chain(args).map(OsString::from);
            let error = parse(args.clone()).expect_err(&format!("{:?}", args.collect::<Vec<_>>()));
            assert_eq!(error.kind(), ErrorKind::InvalidValue, "{error}");
        }
        let words = ["bex", "add", "--", "printf", "", " "].map(OsString::from);
        parse(words).unwrap();
    }
}
