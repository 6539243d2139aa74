//! Where the items of `bex run` come from, and how many a task gets: [`ItemArgs`], and the [`SourceWords`] behind the
//! command.

use std::ffi::{OsStr, OsString};

use batch_input::ColumnSeparator;
use clap::Args;

/// Options of items.
#[derive(Debug, Args)]
#[command(next_help_heading = "Items")]
pub(crate) struct ItemArgs {
    /// Items on standard input and in files end with a NUL byte, not a line feed
    #[arg(short = '0', long)]
    pub(crate) null: bool,

    /// Split items into columns, {1} {2} …: tab, comma, semicolon (as tables, with quotes), or a regular expression
    #[arg(long, visible_alias = "sep", value_name = "SEPARATOR")]
    pub(crate) colsep: Option<String>,

    /// The first item of each source names it or its columns, for {NAME}; after ::: also NAME=
    #[arg(long, value_name = ":", num_args = 0..=1, default_missing_value = ":", value_parser = [":"])]
    pub(crate) header: Option<String>,

    /// Give each command N items; with 0 it is run for each, and gets none
    #[arg(
        short = 'n',
        long,
        visible_short_alias = 'N',
        value_name = "N",
        conflicts_with = "fill"
    )]
    pub(crate) max_args: Option<usize>,

    /// Give each command as many items as fit into a command line
    #[arg(short = 'X', long)]
    pub(crate) fill: bool,
}

impl ItemArgs {
    /// One of the options that is given, if any is.
    pub(crate) fn given(&self) -> Option<&'static str> {
        let options = [
            ("-0", self.null),
            ("--colsep", self.colsep.is_some()),
            ("--header", self.header.is_some()),
            ("-n", self.max_args.is_some()),
            ("-X", self.fill),
        ];
        let mut given = options.into_iter().filter(|(_, is_given)| *is_given);
        given.next().map(|(option, _)| option)
    }

    /// What stands between the columns of items.
    ///
    /// # Errors
    /// In words, when it is no regular expression.
    pub(crate) fn separator(&self) -> Result<Option<ColumnSeparator>, String> {
        let parsed = self.colsep.as_deref().map(str::parse).transpose();
        parsed.map_err(|error| format!("--colsep: {error}"))
    }
}

/// A source of items as it is written: what follows `:::`, `:::+`, `::::` or `::::+`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SourceWords {
    pub(crate) separator: &'static str,
    pub(crate) words: Vec<OsString>,
}

impl SourceWords {
    const SEPARATORS: [&'static str; 4] = [":::", ":::+", "::::", "::::+"];

    /// The words are the names of files.
    pub(crate) fn are_files(&self) -> bool {
        self.separator.starts_with("::::")
    }

    /// It goes with the source before it.
    pub(crate) fn is_zipped(&self) -> bool {
        self.separator.ends_with('+')
    }

    /// The files that are read, but for standard input.
    pub(crate) fn files(sources: &[Self]) -> impl Iterator<Item = &OsStr> {
        let files = sources.iter().filter(|source| source.are_files());
        let words = files.flat_map(|source| &source.words);
        words.map(OsString::as_os_str).filter(|word| *word != "-")
    }

    fn separator(word: &OsStr) -> Option<&'static str> {
        let mut known = Self::SEPARATORS.into_iter();
        known.find(|separator| *separator == word)
    }
}

/// Takes the sources of `bex run` off the arguments, from the first `:::` or its like on: they are data, and none of
/// them is an option. To other verbs such a word is one like any other.
pub(crate) fn split_sources(
    args: impl Iterator<Item = OsString>,
) -> (Vec<OsString>, Vec<SourceWords>) {
    let mut args: Vec<OsString> = args.collect();
    let is_run = args.get(1).is_some_and(|verb| verb == "run");
    let mut words = args.iter();
    let first = words.position(|arg| is_run && SourceWords::separator(arg).is_some());
    let mut sources: Vec<SourceWords> = Vec::new();
    for word in first.map(|at| args.split_off(at)).into_iter().flatten() {
        match (SourceWords::separator(&word), sources.last_mut()) {
            (None, Some(source)) => source.words.push(word),
            (None, None) => {}
            (Some(separator), _) => sources.push(SourceWords {
                separator,
                words: Vec::new(),
            }),
        }
    }
    (args, sources)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_never_options() {
        let args = [
            "bex", "run", "--shell", "x", ":::", "-j", "a", ":::+", "::::", "f", "-",
        ];
        let (args, sources) = split_sources(args.map(OsString::from).into_iter());
        assert_eq!(args, ["bex", "run", "--shell", "x"]);
        let found: Vec<_> = sources
            .iter()
            .map(|s| (s.separator, s.words.len()))
            .collect();
        assert_eq!(found, [(":::", 2), (":::+", 0), ("::::", 2)]);
        assert_eq!(sources[0].words, ["-j", "a"]);
        assert_eq!(SourceWords::files(&sources).collect::<Vec<_>>(), ["f"]);
        let args = ["bex", "add", "--", "parallel", "x", ":::", "a"].map(OsString::from);
        let (all, sources) = split_sources(args.clone().into_iter());
        assert_eq!((all, sources), (args.to_vec(), Vec::new()));
    }
}
