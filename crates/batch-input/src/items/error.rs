//! What is wrong with an item: [`ItemError`], [`ItemProblem`].

use std::fmt;
use std::io;

use super::MAX_ARGUMENT;

/// An item that cannot become a task. The items after it can still be read.
#[derive(Debug, thiserror::Error)]
pub struct ItemError {
    /// Where it is; `None` for what is wrong with all of them.
    pub place: Option<ItemPlace>,
    /// What is wrong with it.
    #[source]
    pub problem: ItemProblem,
}

/// Where an item is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemPlace {
    /// The file it is from, or how else its source is told from others.
    pub source: Option<String>,
    /// Whether `number` counts lines, records or items.
    pub unit: &'static str,
    /// Which one, from 1.
    pub number: u64,
}

/// What is wrong with an item.
#[derive(Debug, thiserror::Error)]
pub enum ItemProblem {
    /// An argument of a process ends at a NUL byte.
    #[error("it holds a NUL byte, which no argument can; with NUL between the items, use -0")]
    Nul,
    /// Longer than [`MAX_ARGUMENT`].
    #[error(
        "it makes an argument of {length} bytes, and the system takes {MAX_ARGUMENT} at most; give large data in a file"
    )]
    TooLong {
        /// The bytes there are, or as many as were read before giving up.
        length: usize,
    },
    /// Parameters of functions are text.
    #[error("it is not UTF-8, and {0} text")]
    NotUtf8(&'static str),
    /// It would be run as code.
    #[error("it becomes code that {0} runs; --allow-code lets it through")]
    Code(batch_template::Code),
    /// A value cannot be put where the placeholder is.
    #[error("{0}")]
    Params(String),
    /// Another task has its id.
    #[error("its id would be {id:?}, which task {other} has; write {{}} or {{#}} into the id")]
    IdTaken {
        /// The id.
        id: String,
        /// The task, from 1.
        other: u64,
    },
    /// The input could not be read on.
    #[error("cannot read the input: {0}")]
    Read(#[source] io::Error),
    /// Two sources that are zipped have not the same number of items.
    #[error(
        "there is no item for it in {shorter}; sources that are zipped with :::+ or ::::+ have one item for each of the others"
    )]
    Uneven {
        /// The source that ended.
        shorter: String,
    },
    /// An empty line among lines that are zipped: left out, those after it would go with others.
    #[error("it is empty, and among lines that are zipped each counts; remove it, or use -0")]
    EmptyInZip,
    /// A row with another number of columns than the first.
    #[error("it has {columns} columns, and {expected} are expected as in the first one")]
    Ragged {
        /// How many it has.
        columns: usize,
        /// How many the first has.
        expected: usize,
    },
    /// A quote that begins a cell and is never closed.
    #[error(
        "the double quote that begins a cell here is not closed; a quote inside a quoted cell is written twice, and --colsep with a regular expression takes quotes as they are"
    )]
    OpenQuote,
    /// The template cannot be used with the names that the header gives, or with this many values.
    #[error("{0}")]
    Template(String),
}

impl fmt::Display for ItemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        write!(f, "{}", self.problem)
    }
}

impl fmt::Display for ItemPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(source) = &self.source {
            write!(f, "{source}: ")?;
        }
        write!(f, "{} {}", self.unit, self.number)
    }
}
