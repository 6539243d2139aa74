//! Where the items of `bex run` come from, and how many a task gets: [`ItemArgs`], and the [`SourceWords`] behind the
//! command.

use std::ffi::{OsStr, OsString};

use batch_input::ColumnSeparator;
use clap::Args;

use super::verb;

/// Options of items.
#[derive(Debug, Args)]
#[command(next_help_heading = "Items")]
pub(crate) struct ItemArgs {
    /// Items on standard input and in files end with a NUL byte, not a line feed
    #[arg(short = '0', long)]
    pub(crate) null: bool,

    /// Split items into columns, {1} {2} …: tab, comma, semicolon (as tables, with quotes), or a regular expression;
    /// of a table in FILE or --rows: what is between its cells
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

    /// What each command reads on standard input: a file, also one named by placeholders, or the item itself
    #[arg(long, value_name = "FILE|item", conflicts_with = "pipe")]
    pub(crate) stdin: Option<OsString>,

    /// Cut standard input into blocks at line ends, and give one to each command on its standard input
    #[arg(long, conflicts_with_all = ["max_args", "fill", "colsep", "header"])]
    pub(crate) pipe: bool,

    /// With --pipe: how large a block is at most, such as 512k or 1G [default: 10M]
    #[arg(long, value_name = "SIZE", requires = "pipe", value_parser = parse_size)]
    pub(crate) block: Option<u64>,

    /// With --pipe: how many lines a block has
    #[arg(long, value_name = "N", requires = "pipe", conflicts_with = "block", value_parser = parse_size)]
    pub(crate) records: Option<u64>,
}

/// A number of more than nothing, in thousands, millions … of two where a letter says so.
fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => 64,
    };
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.parse::<u64>().ok().filter(|_| is_number);
    let size = number.and_then(|number| number.checked_mul(1_u64.checked_shl(shift)?));
    size.filter(|size| *size > 0)
        .ok_or_else(|| "it is a number of 1 or more, such as 500, 64k, 10M or 1G".to_owned())
}

impl ItemArgs {
    /// One of the options that is given and no table has, if any is.
    pub(crate) fn given(&self) -> Option<&'static str> {
        let options = [
            ("-0", self.null),
            ("--header", self.header.is_some()),
            ("-n", self.max_args.is_some()),
            ("-X", self.fill),
            ("--stdin", self.stdin.is_some()),
            ("--pipe", self.pipe),
        ];
        let mut given = options.into_iter().filter(|(_, is_given)| *is_given);
        given.next().map(|(option, _)| option)
    }

    /// What is between the columns of items.
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
    let is_run = verb(&args).is_some_and(|verb| verb == "run");
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
    fn sizes_have_letters() {
        for (text, size) in [
            ("1", 1),
            ("512k", 512 << 10),
            ("10M", 10 << 20),
            ("2GiB", 2 << 30),
        ] {
            assert_eq!(parse_size(text), Ok(size));
        }
        for wrong in ["", "0", "0k", "k", "+1", "-1", "1.5M", "1x", "99999999999T"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
    }

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
        for global in [&["--color", "never"][..], &["--color=never"]] {
            let args = [&["bex"], global, &["run", "x", ":::", "a"]].concat();
            let (_, sources) = split_sources(args.into_iter().map(OsString::from));
            assert_eq!(sources[0].words, ["a"]);
        }
        let args = ["bex", "add", "--", "parallel", "x", ":::", "a"].map(OsString::from);
        let (all, sources) = split_sources(args.clone().into_iter());
        assert_eq!((all, sources), (args.to_vec(), Vec::new()));
    }
}
