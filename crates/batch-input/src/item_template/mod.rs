//! Templates of command mode: what is made of the values of a task: [`CommandTemplate`], [`ShellTemplate`],
//! [`FunctionTemplate`].
//!
//! `{}` is the item, `{.}` without its extension, `{..}` without two of them, `{/}` its base name, `{//}` its folder,
//! `{/.}` its base name without the extension; `{2}` and `{2/.}` are those of the second source or column, `{name}`
//! and `{name/.}` of one with a name. `{#}` is the number of the task, `{%}` the slot it runs in. What other tools
//! have beside these is refused, and all other braces are literal: `awk '{print $1}'` works.

mod columns;
mod command;
mod error;
mod function;
mod json;
mod part;
mod shell;
mod stdin;
mod text;

use batch_core::Json;
use batch_template::Part;

pub use columns::Columns;
pub use command::CommandTemplate;
pub use error::ItemTemplateError;
pub use function::FunctionTemplate;
pub use shell::ShellTemplate;
pub use stdin::StdinTemplate;
pub use text::TextTemplate;

pub(crate) use json::push_text;

use crate::items::{ItemProblem, MAX_ARGUMENT, Row};
use json::Filled;
use part::{ItemPart, Placed, split};

/// What is made of the values of each task.
#[derive(Clone, Debug)]
pub enum ItemTemplate {
    /// A command with arguments.
    Command(CommandTemplate),
    /// A line of shell.
    Shell(ShellTemplate),
    /// Any function with parameters.
    Function(FunctionTemplate),
}

/// The reusable memory of making parameters.
#[derive(Default)]
pub(crate) struct Scratch {
    filled: Filled,
    json: String,
    /// What the template came to for the number of values of the last row that was not the usual one.
    command: Option<command::Expanded>,
    script: Option<shell::Expanded>,
}

impl ItemTemplate {
    /// The parameters of its function for a row.
    pub(crate) fn params_in(&self, row: &Row, scratch: &mut Scratch) -> Result<Json, ItemProblem> {
        match self {
            Self::Command(template) => template.params_in(row, scratch),
            Self::Shell(template) => template.params_in(row, scratch),
            Self::Function(template) => template.params(row),
        }
    }

    /// How much of a command line is used up by an item more, or without one by all else.
    pub(crate) fn size(&self, item: Option<&[u8]>) -> usize {
        match self {
            Self::Command(template) => template.size(item),
            Self::Shell(template) => template.size(item),
            Self::Function(_) => 0,
        }
    }

    /// The most that [`size`](Self::size) may come to, where a command line takes this many bytes.
    pub(crate) fn room(&self, line: usize) -> usize {
        match self {
            Self::Command(_) => line,
            // The script is one argument.
            Self::Shell(_) | Self::Function(_) => line.min(MAX_ARGUMENT),
        }
    }
}

/// A piece of an argument or a script.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(Vec<u8>),
    Part(Placed),
}

impl Piece {
    /// All values, as what is appended to a template without a placeholder.
    fn item() -> Self {
        Self::Part(Placed {
            part: ItemPart::All(part::Form::Whole),
            name: "{}".into(),
        })
    }

    /// Appends what it is for a row, where it is an argument or is in one.
    fn push(&self, row: &Row, to: &mut Filled) {
        match self {
            Self::Literal(literal) => to.bytes.extend_from_slice(literal),
            Self::Part(placed) if placed.part == ItemPart::Slot => to.slots.push(to.bytes.len()),
            Self::Part(placed) => placed.part.push(row, &mut to.bytes),
        }
    }

    fn placed(&self) -> Option<&Placed> {
        match self {
            Self::Part(placed) => Some(placed),
            Self::Literal(_) => None,
        }
    }

    fn is_all(&self) -> bool {
        self.placed()
            .is_some_and(|placed| matches!(placed.part, ItemPart::All(_)))
    }

    /// The piece with one column in place of all of them.
    fn with_column(&self, column: usize) -> Self {
        match self {
            Self::Part(Placed {
                part: ItemPart::All(form),
                name,
            }) => Self::Part(Placed {
                part: ItemPart::Column(column, *form),
                name: name.clone(),
            }),
            other => other.clone(),
        }
    }
}

/// Takes bytes apart at the placeholders in them.
fn pieces(bytes: &[u8], columns: &Columns) -> Result<Vec<Piece>, ItemTemplateError> {
    let mut pieces = Vec::new();
    for chunk in bytes.utf8_chunks() {
        for part in split(chunk.valid(), columns)? {
            match part {
                Part::Text(text) => push_literal(text.as_bytes(), &mut pieces),
                Part::Value(placed) => pieces.push(Piece::Part(placed)),
            }
        }
        push_literal(chunk.invalid(), &mut pieces);
    }
    Ok(pieces)
}

fn push_literal(bytes: &[u8], pieces: &mut Vec<Piece>) {
    match pieces.last_mut() {
        _ if bytes.is_empty() => {}
        Some(Piece::Literal(before)) => before.extend_from_slice(bytes),
        _ => pieces.push(Piece::Literal(bytes.to_vec())),
    }
}

fn placed_in<'p>(pieces: impl IntoIterator<Item = &'p Piece>) -> impl Iterator<Item = &'p Placed> {
    pieces.into_iter().filter_map(Piece::placed)
}

/// How many columns placeholders name by their numbers: the highest of these.
fn columns_named<'p>(placed: impl IntoIterator<Item = &'p Placed>) -> usize {
    let columns = placed.into_iter().map(|placed| match placed.part {
        ItemPart::Column(column, _) => column + 1,
        _ => 0,
    });
    columns.max().unwrap_or(0)
}

/// Refuses a row that has no value for one of the placeholders.
fn check_columns<'p>(
    row: &Row,
    placed: impl IntoIterator<Item = &'p Placed>,
) -> Result<(), ItemProblem> {
    let missing = |placed: &&Placed| matches!(placed.part, ItemPart::Column(column, _) if column >= row.len());
    match placed.into_iter().find(missing) {
        None => Ok(()),
        Some(placed) => Err(ItemProblem::Template(format!(
            "{} stands for nothing here: the number of values is {}",
            placed.name,
            row.len()
        ))),
    }
}

fn check_length(argument: &[u8]) -> Result<(), ItemProblem> {
    match argument.len() {
        length if length > MAX_ARGUMENT => Err(ItemProblem::TooLong { length }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
