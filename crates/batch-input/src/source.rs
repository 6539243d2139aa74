//! Text that knows its lines: [`Source`].
//!
//! The fields of a task are slices of one JSON text. Where a slice begins tells the line it came from: by
//! counting line ends, or, for text that was made from another format, by a table of marks.

use std::cell::Cell;

use memchr::memchr_iter;

/// A JSON text and where it came from.
pub(crate) struct Source<'a> {
    text: &'a str,
    lines: Lines,
    /// An offset whose line is known: that of the task being read.
    anchor: Cell<(usize, u32)>,
    /// The offset whose line was asked for last: what is asked for next mostly is behind it.
    last: Cell<(usize, u32)>,
}

/// How the lines of a text are known.
pub(crate) enum Lines {
    /// By counting, from line 1 on.
    Counted,
    /// By (offset, line) pairs in ascending order: each holds up to the next.
    Marks(Vec<(usize, u32)>),
    /// The whole text came from one line.
    Fixed(u32),
}

impl<'a> Source<'a> {
    pub(crate) fn new(text: &'a str, lines: Lines) -> Self {
        Self {
            text,
            lines,
            anchor: Cell::new((0, 1)),
            last: Cell::new((0, 1)),
        }
    }

    /// The line on which a slice of the text begins.
    pub(crate) fn line(&self, part: &str) -> u32 {
        let offset = self.offset(part);
        match &self.lines {
            Lines::Fixed(line) => *line,
            Lines::Marks(marks) => {
                let after = marks.partition_point(|(start, _)| *start <= offset);
                after.checked_sub(1).map_or(1, |index| marks[index].1)
            }
            Lines::Counted => {
                let known = [self.anchor.get(), self.last.get()].into_iter();
                let before = known.filter(|(from, _)| *from <= offset);
                let (from, line) = before.max().unwrap_or((0, 1));
                let line = line.saturating_add(count_lines(&self.text.as_bytes()[from..offset]));
                self.last.set((offset, line));
                line
            }
        }
    }

    /// The line as by [`line`](Self::line), from which later ones are counted.
    pub(crate) fn anchor(&self, part: &str) -> u32 {
        let line = self.line(part);
        self.anchor.set((self.offset(part), line));
        line
    }

    fn offset(&self, part: &str) -> usize {
        let distance = part.as_ptr().addr().wrapping_sub(self.text.as_ptr().addr());
        distance.min(self.text.len())
    }
}

fn count_lines(text: &[u8]) -> u32 {
    u32::try_from(memchr_iter(b'\n', text).count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_know_their_lines() {
        let text = "a\nb\n\nc";
        let source = Source::new(text, Lines::Counted);
        assert_eq!(source.line(&text[5..]), 4);
        assert_eq!(source.anchor(&text[2..]), 2);
        assert_eq!((source.line(&text[5..]), source.line(text)), (4, 1));
        let source = Source::new(text, Lines::Marks(vec![(0, 7), (3, 9)]));
        assert_eq!((source.line(&text[2..]), source.line(&text[3..])), (7, 9));
    }
}
