//! The sources of items that `bex run` is given, opened: [`items`].

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{BufReader, IsTerminal, Read};

use batch_input::{ItemOptions, ItemSource, Items, PerTask};
use batch_process::command_line_room;

use crate::args::{ItemArgs, SourceWords};
use crate::exit::CliError;

/// Enough for most lines at once, and little for a source of a few items.
const BUFFER: usize = 64 << 10;

/// The items of all sources; of standard input where there is none.
pub(crate) fn items(args: &ItemArgs, sources: Vec<SourceWords>) -> Result<Items, CliError> {
    let options = ItemOptions {
        separator: args.separator().map_err(CliError::Usage)?,
        header: args.header.is_some(),
        per_task: match (args.max_args, args.fill) {
            (Some(count), _) => PerTask::Count(count),
            (None, true) => PerTask::Fill(command_line_room()),
            (None, false) => PerTask::One,
        },
    };
    let groups = match sources.is_empty() {
        true => vec![vec![standard_input(args.null)?]],
        false => groups(sources, args.null)?,
    };
    Items::product(groups, options).map_err(|error| CliError::Usage(error.to_string()))
}

/// Standard input, where nobody said that items come from it.
fn standard_input(null: bool) -> Result<ItemSource, CliError> {
    match std::io::stdin().is_terminal() {
        true => Err(CliError::Usage(
            "no items; pipe them in, one a line, or give them after ::: (bex run -- CMD ::: ITEM…)"
                .to_owned(),
        )),
        false => Ok(stream(std::io::stdin(), null)),
    }
}

fn groups(sources: Vec<SourceWords>, null: bool) -> Result<Vec<Vec<ItemSource>>, CliError> {
    let files = sources.iter().filter(|source| source.are_files());
    let inputs = files.flat_map(|source| &source.words);
    if inputs.filter(|word| *word == "-").count() > 1 {
        let message = "standard input (-) can be one source only";
        return Err(CliError::Usage(message.to_owned()));
    }
    let mut groups: Vec<Vec<ItemSource>> = Vec::new();
    for source in sources {
        let separator = source.separator;
        let mut push = |is_zipped: bool, source: ItemSource| match (is_zipped, groups.last_mut()) {
            (false, _) => {
                groups.push(vec![source]);
                Ok(())
            }
            (true, Some(group)) => {
                group.push(source);
                Ok(())
            }
            (true, None) => Err(CliError::Usage(format!(
                "{separator} goes with the source before it, and there is none; begin with {}",
                separator.trim_end_matches('+')
            ))),
        };
        let is_zipped = source.is_zipped();
        if !source.are_files() {
            push(is_zipped, ItemSource::list(source.words))?;
            continue;
        }
        if source.words.is_empty() {
            let message = format!("{separator} needs the name of a file, or - for standard input");
            return Err(CliError::Usage(message));
        }
        for word in &source.words {
            push(is_zipped, file(word, null)?)?;
        }
    }
    Ok(groups)
}

/// The items of a file; `-` is standard input.
fn file(name: &OsString, null: bool) -> Result<ItemSource, CliError> {
    let shown = name.to_string_lossy();
    if name == OsStr::new("-") {
        return Ok(stream(std::io::stdin(), null).named("standard input"));
    }
    let unread = |error| CliError::Usage(format!("cannot read the items in {shown}: {error}"));
    let opened = File::open(name).and_then(|file| match file.metadata()?.is_dir() {
        true => Err(std::io::ErrorKind::IsADirectory.into()),
        false => Ok(file),
    });
    Ok(stream(opened.map_err(unread)?, null).named(shown))
}

fn stream(input: impl Read + Send + 'static, null: bool) -> ItemSource {
    let input = BufReader::with_capacity(BUFFER, input);
    match null {
        true => ItemSource::nul_separated(input),
        false => ItemSource::lines(input),
    }
}
