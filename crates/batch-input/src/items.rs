//! The items of command mode, and what several sources of them come to: [`Items`], which gives a [`Row`] for each
//! task.

mod error;
mod row;
mod separator;
mod source;

use std::ffi::OsString;
use std::io::BufRead;

pub use error::{ItemError, ItemPlace, ItemProblem};
pub use row::Row;
pub use separator::ColumnSeparator;
pub use source::ItemSource;

use crate::blocks::Blocks;
use crate::item_template::Columns;
use source::Reading;

pub use batch_core::catalog::MAX_ARGUMENT;

/// How many items of a source a task gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PerTask {
    /// One.
    #[default]
    One,
    /// How many, and what is left at the end; with 0 it is run for each, and gets none.
    Count(usize),
    /// As many as fit into a command line of this many bytes, counted as the kernel does: each argument with its
    /// closing NUL and a pointer to it.
    Fill(usize),
}

/// How items become rows.
#[derive(Clone, Debug, Default)]
pub struct ItemOptions {
    /// Splits each item into columns.
    pub separator: Option<ColumnSeparator>,
    /// The first item of each source names it, or its columns.
    pub header: bool,
    /// How many items of a source a task gets.
    pub per_task: PerTask,
}

/// The product of groups of sources, in each of which sources are zipped: a row for each combination, in bounded
/// memory.
///
/// The last group runs through first. The items of the first group are read as they come, those of the others are
/// kept.
pub struct Items {
    groups: Vec<Vec<ItemSource>>,
    /// In place of items, which tasks then have none of.
    blocks: Option<Blocks>,
    options: ItemOptions,
    /// The names of the columns, once they are read.
    names: Option<Vec<String>>,
    product: Product,
}

/// Where a product of several groups has come to.
#[derive(Default)]
struct Product {
    /// The rows of the groups after the first, once they are read.
    kept: Option<Vec<Vec<Row>>>,
    first: Row,
    /// The next row of each; `None` when the first group is to move on.
    at: Option<Vec<usize>>,
}

/// Sources that do not go together, or not with the options.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ItemsError {
    /// Lists that are zipped have not the same length.
    #[error(
        "{one} has {here}, {other} has {there}; sources that are zipped have as many items as each other"
    )]
    Uneven {
        /// The one source.
        one: String,
        /// How many items it has.
        here: usize,
        /// The other.
        other: String,
        /// How many it has.
        there: usize,
    },
    /// Several items for each task go with one source of undivided items.
    #[error("several items for each task go with one source of items, without columns and names")]
    Several,
}

impl Items {
    /// The lines of an input.
    pub fn lines(input: impl BufRead + Send + 'static) -> Self {
        Self::of_one(ItemSource::lines(input))
    }

    /// The records of an input with NUL bytes between them, as `find -print0` writes it.
    pub fn nul_separated(input: impl BufRead + Send + 'static) -> Self {
        Self::of_one(ItemSource::nul_separated(input))
    }

    /// Whether there is one alone, as far as that is known.
    pub(crate) fn is_single(&self) -> bool {
        self.blocks.is_none()
            && !self.options.header
            && self
                .groups
                .iter()
                .flatten()
                .all(|source| source.left() == Some(1))
    }

    /// The items of a list, such as the command line's.
    pub fn list(items: Vec<OsString>) -> Self {
        Self::of_one(ItemSource::list(items))
    }

    fn of_one(source: ItemSource) -> Self {
        Self {
            groups: vec![vec![source]],
            blocks: None,
            options: ItemOptions::default(),
            names: None,
            product: Product::default(),
        }
    }

    /// Pieces of an input: a task for each, which reads it on standard input.
    pub fn blocks(blocks: Blocks) -> Self {
        Self {
            blocks: Some(blocks),
            ..Self::list(Vec::new())
        }
    }

    pub(crate) fn blocks_mut(&mut self) -> Option<&mut Blocks> {
        self.blocks.as_mut()
    }

    /// The product of groups of sources; those of a group are zipped.
    ///
    /// # Errors
    /// When lists that are zipped have not the same length, or the options do not go with the sources.
    pub fn product(
        mut groups: Vec<Vec<ItemSource>>,
        options: ItemOptions,
    ) -> Result<Self, ItemsError> {
        let mut number = 0;
        let is_many = groups.iter().map(Vec::len).sum::<usize>() > 1;
        for source in groups.iter_mut().flatten() {
            number += 1;
            if is_many && source.name().is_none() {
                *source = std::mem::replace(source, ItemSource::list(Vec::new()))
                    .named(format!("source {number}"));
            }
        }
        let is_divided = options.separator.is_some() || options.header;
        if options.per_task != PerTask::One && (is_many || is_divided) {
            return Err(ItemsError::Several);
        }
        if !options.header {
            groups.iter().try_for_each(|group| check_lengths(group))?;
        }
        Ok(Self {
            groups,
            blocks: None,
            options,
            names: None,
            product: Product::default(),
        })
    }

    /// How many items of a source a task gets.
    pub const fn per_task(&self) -> PerTask {
        self.options.per_task
    }

    /// Whether they are all there, so that nobody waits for the next one.
    pub(crate) fn is_list(&self) -> bool {
        self.blocks.is_none() && self.groups.iter().flatten().all(ItemSource::is_list)
    }

    /// Whether the names of the columns are still to be read, for which an input may keep one waiting.
    pub const fn awaits_names(&self) -> bool {
        self.options.header && self.names.is_none()
    }

    /// What placeholders can mean. `None` where a source is empty that was to name its columns: then there is no
    /// row either.
    ///
    /// # Errors
    /// When the names cannot be read.
    pub fn columns(&mut self) -> Option<Result<Columns, ItemError>> {
        if self.awaits_names() {
            match self.read_names()? {
                Ok(names) => self.names = Some(names),
                Err(error) => return Some(Err(error)),
            }
        }
        if self.blocks.is_some() {
            return Some(Ok(Columns::items(Some(0))));
        }
        let sources: usize = self.groups.iter().map(Vec::len).sum();
        Some(Ok(match (self.options.per_task, &self.names) {
            (PerTask::Count(most), _) => Columns::items(Some(most)),
            (PerTask::Fill(_), _) => Columns::items(None),
            (PerTask::One, Some(names)) => Columns::named(names.clone()),
            (PerTask::One, None) if self.options.separator.is_some() => Columns::unknown(),
            (PerTask::One, None) => Columns::count(sources),
        }))
    }

    fn read_names(&mut self) -> Option<Result<Vec<String>, ItemError>> {
        let mut all = Vec::new();
        let separator = self.options.separator.as_ref();
        for source in self.groups.iter_mut().flatten() {
            let reading = Reading {
                separator,
                is_even: false,
                is_zipped: false,
            };
            match source.header(reading)? {
                Ok(names) => all.extend(names),
                Err(error) => return Some(Err(error)),
            }
        }
        let mut before = all.iter().enumerate();
        let twice = before.find(|(at, name)| !name.is_empty() && all[..*at].contains(name));
        Some(match twice {
            Some((_, name)) => Err(ItemError {
                place: None,
                problem: ItemProblem::Template(format!(
                    "the name {name:?} is given to two columns; rename one of them"
                )),
            }),
            None => Ok(all),
        })
    }

    /// Adds the values of the next combination to a row; `None` at the end.
    ///
    /// # Errors
    /// When an item cannot be part of a task: the next call goes on after it.
    pub fn next_row(&mut self, row: &mut Row) -> Option<Result<(), ItemError>> {
        if let Some(blocks) = &mut self.blocks {
            return blocks.next_block();
        }
        match self.groups.len() {
            1 => self.next_of(0, row),
            _ => self.next_of_product(row),
        }
    }

    /// Tells a problem with the item read last of the source that is read as it comes.
    pub fn error(&self, problem: ItemProblem) -> ItemError {
        let source = self.groups.first().and_then(|group| group.first());
        match source {
            Some(source) => source.error(problem),
            None => ItemError {
                place: None,
                problem,
            },
        }
    }

    fn next_of_product(&mut self, row: &mut Row) -> Option<Result<(), ItemError>> {
        if self.product.kept.is_none() {
            match self.keep() {
                Ok(kept) => self.product.kept = Some(kept),
                Err(error) => return Some(Err(error)),
            }
        }
        if self.product.at.is_none() {
            let mut first = std::mem::take(&mut self.product.first);
            first.clear();
            let next = self.next_of(0, &mut first);
            self.product.first = first;
            match next? {
                Ok(()) => self.product.at = Some(vec![0; self.groups.len() - 1]),
                Err(error) => return Some(Err(error)),
            }
        }
        self.product.combine(row)
    }

    /// Reads the groups after the first.
    fn keep(&mut self) -> Result<Vec<Vec<Row>>, ItemError> {
        let mut kept = Vec::new();
        for group in 1..self.groups.len() {
            let mut rows = Vec::new();
            let mut row = Row::default();
            while let Some(next) = self.next_of(group, &mut row) {
                next?;
                rows.push(std::mem::take(&mut row));
            }
            kept.push(rows);
        }
        Ok(kept)
    }

    /// Adds the next items of the sources of a group.
    fn next_of(&mut self, group: usize, row: &mut Row) -> Option<Result<(), ItemError>> {
        let sources: usize = self.groups.iter().map(Vec::len).sum();
        let group = &mut self.groups[group];
        let reading = Reading {
            separator: self.options.separator.as_ref(),
            is_even: sources > 1 || self.options.header,
            is_zipped: group.len() > 1,
        };
        let (first, others) = group.split_first_mut()?;
        let mut next = first.next_row(reading, row);
        let is_over = next.is_none();
        for other in others {
            let its = other.next_row(reading, row);
            next = match (next, its) {
                (Some(Err(error)), _) | (_, Some(Err(error))) => Some(Err(error)),
                (Some(Ok(())), None) => Some(Err(first.error(ItemProblem::Uneven {
                    shorter: other.name().unwrap_or_default().to_owned(),
                }))),
                (None, Some(Ok(()))) if is_over => Some(Err(other.error(ItemProblem::Uneven {
                    shorter: first.name().unwrap_or_default().to_owned(),
                }))),
                (next, _) => next,
            };
        }
        next
    }
}

impl Product {
    /// Adds the combination that comes next; `None` where a group is empty.
    fn combine(&mut self, row: &mut Row) -> Option<Result<(), ItemError>> {
        let (kept, at) = (self.kept.as_ref()?, self.at.as_mut()?);
        row.extend(&self.first);
        for (rows, at) in kept.iter().zip(at.iter()) {
            row.extend(rows.get(*at)?);
        }
        let mut places = kept.iter().zip(at.iter_mut()).rev();
        let is_done = places.all(|(rows, at)| {
            *at += 1;
            let is_over = *at == rows.len();
            *at = if is_over { 0 } else { *at };
            is_over
        });
        if is_done {
            self.at = None;
        }
        Some(Ok(()))
    }
}

/// Refuses lists that are zipped and have not the same length.
fn check_lengths(group: &[ItemSource]) -> Result<(), ItemsError> {
    let name = |source: &ItemSource| source.name().unwrap_or_default().to_owned();
    let mut lists = group
        .iter()
        .filter_map(|source| Some((source.left()?, source)));
    let Some((here, one)) = lists.next() else {
        return Ok(());
    };
    match lists.find(|(there, _)| *there != here) {
        None => Ok(()),
        Some((there, other)) => Err(ItemsError::Uneven {
            one: name(one),
            here,
            other: name(other),
            there,
        }),
    }
}

#[cfg(test)]
mod tests;
