//! The values that one task is made of: [`Row`].

/// The values of one task, in the order of their columns, and its number.
///
/// ```
/// let row = batch_input::Row::of(1, [b"a".as_slice(), b"1"]);
/// assert_eq!((row.get(0), row.get(2)), (Some(b"a".as_slice()), None));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// From 1.
    pub number: u64,
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Row {
    /// A row of these values.
    pub fn of<'v>(number: u64, values: impl IntoIterator<Item = &'v [u8]>) -> Self {
        let mut row = Self {
            number,
            ..Self::default()
        };
        values.into_iter().for_each(|value| row.push(value));
        row
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The value of a column, from 0.
    pub fn get(&self, column: usize) -> Option<&[u8]> {
        let end = *self.ends.get(column)?;
        let begin = column.checked_sub(1).map_or(0, |before| self.ends[before]);
        Some(&self.bytes[begin..end])
    }

    /// All values.
    pub fn values(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).filter_map(|column| self.get(column))
    }

    /// The values as people see them.
    pub(crate) fn shown(&self) -> String {
        let values: Vec<_> = self.values().map(String::from_utf8_lossy).collect();
        values.join(" ")
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Takes the values from a column on away.
    pub(crate) fn truncate(&mut self, columns: usize) {
        self.ends.truncate(columns);
        self.bytes.truncate(self.ends.last().copied().unwrap_or(0));
    }

    pub(crate) fn push(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
        self.ends.push(self.bytes.len());
    }

    pub(crate) fn extend(&mut self, other: &Self) {
        other.values().for_each(|value| self.push(value));
    }

    /// Adds a value that `write` appends to what is there.
    pub(crate) fn push_with<T>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        let written = write(&mut self.bytes);
        self.ends.push(self.bytes.len());
        written
    }
}
