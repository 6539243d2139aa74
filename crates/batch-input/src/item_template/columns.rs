//! What the placeholders of a template can mean: [`Columns`].

use batch_core::text::nearest;

/// The values that a task gets, as far as they are known before there is a row.
#[derive(Clone, Debug)]
pub struct Columns {
    values: Values,
    names: Option<Vec<String>>,
    /// They go somewhere, so that a command without a placeholder does not get them as arguments.
    are_used: bool,
    /// Any name may be one of theirs.
    is_open: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Values {
    /// One of each source or column, this many.
    Count(usize),
    /// One of each column, however many there are.
    Unknown,
    /// Items of one source, at most this many.
    Items(Option<usize>),
}

impl Columns {
    /// The item alone.
    pub const fn one() -> Self {
        Self::count(1)
    }

    /// One value from each of this many sources.
    pub(crate) const fn count(count: usize) -> Self {
        Self {
            values: Values::Count(count),
            names: None,
            are_used: false,
            is_open: false,
        }
    }

    /// The columns of lines, not known before they are read.
    pub(crate) const fn unknown() -> Self {
        Self {
            values: Values::Unknown,
            names: None,
            are_used: false,
            is_open: false,
        }
    }

    /// Whatever there may be, for a look at a text before that is known.
    pub(super) fn any() -> Self {
        Self {
            is_open: true,
            ..Self::unknown()
        }
    }

    /// Columns with names.
    pub(crate) fn named(names: Vec<String>) -> Self {
        Self {
            values: Values::Count(names.len()),
            names: Some(names),
            are_used: false,
            is_open: false,
        }
    }

    /// Several items of one source, at most this many; 0 for tasks that get none.
    pub(crate) const fn items(most: Option<usize>) -> Self {
        Self {
            values: Values::Items(most),
            names: None,
            are_used: false,
            is_open: false,
        }
    }

    /// The same, where a command without a placeholder does not get the values as arguments.
    #[must_use]
    pub fn used_elsewhere(&self) -> Self {
        Self {
            are_used: true,
            ..self.clone()
        }
    }

    /// Whether a command without a placeholder gets the values as arguments.
    pub(super) fn are_appended(&self) -> bool {
        !self.are_used && !self.is_none()
    }

    /// Whether a task gets one value, so that `{}` is a part of a text like any other.
    pub(super) fn is_one(&self) -> bool {
        matches!(self.values, Values::Count(1) | Values::Items(Some(1)))
    }

    /// Whether a task gets several items of one source, and an argument with `{}` is repeated for each.
    pub(super) const fn is_repeated(&self) -> bool {
        matches!(self.values, Values::Items(_))
    }

    /// Whether a task gets no item.
    pub(super) fn is_none(&self) -> bool {
        matches!(self.values, Values::Count(0) | Values::Items(Some(0)))
    }

    /// How many values a row has, where that is known; else at least as many as are `named`.
    pub(super) fn usual(&self, named: usize) -> usize {
        match self.values {
            Values::Count(count) | Values::Items(Some(count)) => count,
            // Two show what becomes of several.
            Values::Unknown | Values::Items(None) => named.max(2),
        }
    }

    /// The column with a number as it is written, from 1.
    ///
    /// # Errors
    /// In words, when there is none.
    pub(super) fn numbered(&self, digits: &str) -> Result<usize, String> {
        let number: usize = digits.parse().unwrap_or(usize::MAX);
        let Some(column) = number.checked_sub(1) else {
            return Err("sources and columns are counted from 1".to_owned());
        };
        let (count, what) = match self.values {
            Values::Unknown => return Ok(column),
            Values::Count(count) if self.names.is_some() => (count, "columns"),
            Values::Count(count) => (count, "sources of items"),
            Values::Items(Some(count)) => (count, "items for a command"),
            Values::Items(None) => {
                return Err(
                    "with -X nobody knows how many items a command gets; write {}".to_owned(),
                );
            }
        };
        match column < count {
            true => Ok(column),
            false => Err(format!("the number of {what} is {count}")),
        }
    }

    /// The column with a name; `None` where columns have no names.
    ///
    /// # Errors
    /// In words, when there is none.
    pub(super) fn called(&self, name: &str) -> Option<Result<usize, String>> {
        let names = match &self.names {
            None if self.is_open => return Some(Ok(0)),
            names => names.as_ref()?,
        };
        if let Some(column) = names.iter().position(|known| known == name) {
            return Some(Ok(column));
        }
        let known = || names.iter().map(String::as_str);
        Some(Err(match nearest(name, known()) {
            Some(near) => format!("no column is called {name:?}; did you mean {near:?}?"),
            None => {
                let names: Vec<&str> = known().collect();
                format!(
                    "no column is called {name:?}; the names are {}",
                    names.join(", ")
                )
            }
        }))
    }
}
