//! The terminal, which results, messages and the bar share: [`TerminalWriter`], [`tell`] and [`Bar`].
//!
//! The bar is below all that was printed, and the cursor stays at its *beginning*: to take it away is to erase what is
//! below the cursor, whatever a resize has made of its lines meanwhile. Rows are never counted upwards, so no line of
//! output is erased with them.

use std::fmt::{self, Write as _};
use std::io::{self, BufReader, IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use batch_export::VisibleLines;
use batch_export::files::Blocking;
use rustix::termios::tcgetwinsize;
use unicode_width::UnicodeWidthChar;

use crate::paint::paints;

/// The widest bar, in columns.
const WIDEST: usize = 30;

/// There is one for this process.
static TERMINAL: Mutex<Terminal> = Mutex::new(Terminal {
    bar: None,
    is_drawn: false,
    is_mid_line: false,
    is_written: false,
});

struct Terminal {
    bar: Option<Bar>,
    is_drawn: bool,
    /// What was printed last has not ended its line.
    is_mid_line: bool,
    /// An output is on its way: more of it follows until it is flushed.
    is_written: bool,
}

/// How far something has come, and what is told of it, the first line beside the bar and others below it.
pub(crate) struct Bar {
    pub(crate) done: u64,
    pub(crate) total: u64,
    pub(crate) text: String,
}

fn terminal() -> MutexGuard<'static, Terminal> {
    TERMINAL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Shows a bar in place of the one that is shown, if one is. Standard error must be a terminal.
pub(crate) fn show(bar: Bar) {
    let mut terminal = terminal();
    terminal.bar = Some(bar);
    if !terminal.is_written {
        terminal.draw();
    }
}

/// Takes the bar away until it is shown again.
pub(crate) fn hide() {
    let mut terminal = terminal();
    terminal.erase();
    terminal.bar = None;
}

/// Takes away the bar of another process that has died and shared this terminal: the cursor is at its beginning.
pub(crate) fn erase_left_bar() {
    if io::stderr().is_terminal() && !is_dumb() {
        let _ = Blocking::new(io::stderr()).write_all(b"\x1b[J");
    }
}

/// Prints a line to standard error, with what is hidden in it made visible, above the bar. When that takes nothing, as on
/// a full disk, there is nobody to tell.
pub(crate) fn tell(text: fmt::Arguments<'_>) {
    let mut terminal = terminal();
    terminal.erase();
    let end_of_line = match terminal.is_mid_line && io::stderr().is_terminal() {
        true => "\n",
        false => "",
    };
    // In one piece: others write to it too.
    let line = format!("{end_of_line}{}\n", VisibleLines(&text.to_string()));
    let _ = Blocking::new(io::stderr()).write_all(line.as_bytes());
    terminal.is_mid_line &= end_of_line.is_empty();
    terminal.draw();
}

/// Whether a terminal understands nothing but text.
pub(crate) fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// Standard input, with a buffer. To be asked for once: what is in the buffer is in no other.
pub(crate) fn stdin() -> BufReader<Blocking<io::Stdin>> {
    BufReader::new(Blocking::new(io::stdin()))
}

/// Standard output, unbuffered.
pub(crate) fn stdout() -> TerminalWriter<Blocking<io::Stdout>> {
    TerminalWriter::new(Blocking::new(io::stdout()))
}

/// Standard error, unbuffered.
pub(crate) fn stderr() -> TerminalWriter<Blocking<io::Stderr>> {
    TerminalWriter::new(Blocking::new(io::stderr()))
}

/// Writes above the bar where that is on the same terminal. Between a write and the next flush there is no bar, as more
/// of the line may follow.
pub(crate) struct TerminalWriter<W> {
    inner: W,
    is_terminal: bool,
}

impl<W> TerminalWriter<W> {
    pub(crate) fn new(inner: W) -> Self
    where
        W: AsFd,
    {
        let is_terminal = inner.as_fd().is_terminal();
        Self { inner, is_terminal }
    }

    pub(crate) fn is_terminal(&self) -> bool {
        self.is_terminal
    }
}

impl<W: Write> Write for TerminalWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.is_terminal {
            return self.inner.write(bytes);
        }
        let mut terminal = terminal();
        terminal.erase();
        let written = self.inner.write(bytes)?;
        if let Some(last) = bytes[..written].last() {
            terminal.is_mid_line = *last != b'\n';
            terminal.is_written = true;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()?;
        if self.is_terminal {
            let mut terminal = terminal();
            terminal.is_written = false;
            terminal.draw();
        }
        Ok(())
    }
}

impl Terminal {
    fn erase(&mut self) {
        if self.is_drawn {
            self.is_drawn = false;
            let _ = Blocking::new(io::stderr()).write_all(b"\r\x1b[J");
        }
    }

    fn draw(&mut self) {
        let Some(bar) = &self.bar else { return };
        let (columns, rows) = size();
        let lines = bar.lines(columns, rows);
        let mut drawn = String::from(if self.is_mid_line { "\n" } else { "\r" });
        for (index, line) in lines.iter().enumerate() {
            let end = if index + 1 < lines.len() {
                "\n"
            } else {
                "\x1b[J\r"
            };
            let _ = write!(drawn, "{line}\x1b[K{end}");
        }
        if lines.len() > 1 {
            let _ = write!(drawn, "\x1b[{}A", lines.len() - 1);
        }
        let _ = Blocking::new(io::stderr()).write_all(drawn.as_bytes());
        self.is_mid_line = false;
        self.is_drawn = true;
    }
}

/// The columns and rows of the terminal; those of old where it does not tell.
fn size() -> (usize, usize) {
    let size = tcgetwinsize(io::stderr()).ok();
    let or = |told: Option<u16>, usual| told.filter(|told| *told > 0).unwrap_or(usual).into();
    (
        or(size.map(|size| size.ws_col), 80),
        or(size.map(|size| size.ws_row), 24),
    )
}

impl Bar {
    /// Its lines, none of which fills a row: one that does may or may not go on in the next.
    fn lines(&self, columns: usize, rows: usize) -> Vec<String> {
        let columns = columns.saturating_sub(1).max(1);
        let width = (columns * 3 / 8).min(WIDEST);
        let mut lines = self.text.lines();
        let beside = columns.saturating_sub(width + 1);
        let first = format!(
            "{} {}",
            self.drawn(width),
            fit(lines.next().unwrap_or_default(), beside)
        );
        // With none left for what is above, there would be nothing to see.
        let below = lines
            .map(|line| fit(line, columns))
            .take(rows.saturating_sub(2));
        std::iter::once(first).chain(below).collect()
    }

    fn drawn(&self, width: usize) -> String {
        let share = self.done.min(self.total) as f64 / self.total.max(1) as f64;
        let full = (share * width as f64) as usize;
        let (full, rest) = ("█".repeat(full), "░".repeat(width - full));
        match paints(&io::stderr()) {
            false => format!("{full}{rest}"),
            true => format!("\x1b[36m{full}\x1b[0m\x1b[2m{rest}\x1b[0m"),
        }
    }
}

/// The beginning of a line that fits into this many columns, with `…` where there is more.
fn fit(line: &str, columns: usize) -> String {
    let width = |c: char| c.width().unwrap_or(0);
    if line.chars().map(width).sum::<usize>() <= columns {
        return line.to_owned();
    }
    let mut room = columns.saturating_sub(1);
    let fitting = line
        .chars()
        .take_while(|c| match room.checked_sub(width(*c)) {
            Some(left) => {
                room = left;
                true
            }
            None => false,
        });
    let mut fitted: String = fitting.collect();
    if columns > 0 {
        fitted.push('…');
    }
    fitted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn width(line: &str) -> usize {
        let mut plain = line.to_owned();
        for code in ["\x1b[36m", "\x1b[2m", "\x1b[0m"] {
            plain = plain.replace(code, "");
        }
        plain.chars().map(|c| c.width().unwrap_or(0)).sum()
    }

    #[test]
    fn no_line_fills_a_row_however_narrow_the_terminal_is() {
        let bar = Bar {
            done: 7,
            total: 9,
            text: "7/9 done, 1.0/s\n  b1.8 漢字漢字漢字漢字漢字漢字 3s\n  b1.9 x 2s".to_owned(),
        };
        for columns in 1..200 {
            let lines = bar.lines(columns, 24);
            assert_eq!(lines.len(), 3);
            for line in &lines {
                assert!(width(line) < columns.max(3), "{columns}: {line:?}");
            }
        }
        assert_eq!(bar.lines(80, 2).len(), 1);
        let line = &bar.lines(80, 24)[0];
        assert!(
            line.contains(&"█".repeat(22)) && line.ends_with("7/9 done, 1.0/s"),
            "{line:?}"
        );
    }

    #[test]
    fn a_bar_of_nothing_and_of_more_than_all_is_drawn() {
        for (done, total, full) in [(0, 0, 0), (9, 3, 10), (1, 3, 3)] {
            let bar = Bar {
                done,
                total,
                text: String::new(),
            };
            assert_eq!(bar.drawn(10).matches('█').count(), full);
        }
    }
}
