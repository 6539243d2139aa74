//! What `bex run` makes tasks of, opened: sources of items, or standard input in pieces: [`items`].

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{BufReader, IsTerminal, Read};
use std::os::fd::{AsFd as _, OwnedFd};

use batch_export::files::Blocking;
use batch_input::{BlockSize, Blocks, ItemOptions, ItemSource, Items, PerTask};
use batch_process::command_line_room;

use crate::args::{ItemArgs, SourceWords};
use crate::exit::CliError;

/// Enough for most lines at once, and little for a source of a few items.
const BUFFER: usize = 64 << 10;

/// A block of `--pipe` is at most so large, where nothing else is said.
const BLOCK: u64 = 10 << 20;

/// What is read at a time of an input that is cut into blocks.
const PIPE_BUFFER: usize = 1 << 20;

/// The items of all sources; of standard input where there is none.
pub(crate) fn items(args: &ItemArgs, sources: Vec<SourceWords>) -> Result<Items, CliError> {
    if args.pipe {
        return blocks(args, &sources);
    }
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

/// Pieces of standard input.
fn blocks(args: &ItemArgs, sources: &[SourceWords]) -> Result<Items, CliError> {
    if let Some(source) = sources.first() {
        return Err(CliError::Usage(format!(
            "{} gives items, and --pipe gives pieces of standard input; leave one of them out",
            source.separator
        )));
    }
    refuse_terminal("nothing to cut into blocks; pipe it in (… | bex run --pipe -- CMD)")?;
    let size = match args.records {
        Some(records) => BlockSize::Records(records),
        None => BlockSize::Bytes(args.block.unwrap_or(BLOCK)),
    };
    let input = Blocking::new(File::from(stdin_handle()?));
    let input = BufReader::with_capacity(PIPE_BUFFER, input);
    let end = if args.null { 0 } else { b'\n' };
    Ok(Items::blocks(Blocks::new(input, end, size)))
}

/// Standard input without the buffer of the standard library, in which every byte would be copied once more.
fn stdin_handle() -> Result<OwnedFd, CliError> {
    let handle = std::io::stdin().as_fd().try_clone_to_owned();
    handle.map_err(|error| CliError::System("read standard input", error))
}

fn refuse_terminal(message: &str) -> Result<(), CliError> {
    match std::io::stdin().is_terminal() {
        true => Err(CliError::Usage(message.to_owned())),
        false => Ok(()),
    }
}

/// Standard input, where nobody said that items come from it.
fn standard_input(null: bool) -> Result<ItemSource, CliError> {
    refuse_terminal(
        "no items; pipe them in, one a line, or give them after ::: (bex run -- CMD ::: ITEM…)",
    )?;
    Ok(stream(Blocking::new(std::io::stdin()), null))
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
        return Ok(stream(Blocking::new(std::io::stdin()), null).named("standard input"));
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
