//! Reading a shell script: [`Scanner`] says in which quotes its places are, and gives its words to [`Commands`].

use crate::shell_commands::{Commands, Opening};
use crate::shell_words::Quoting;

/// What the scanner is inside of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Frame {
    /// `"…"`
    Double,
    /// `(…)`, `$(…)`
    Paren,
    /// `((…))`, `$((…))`, with the parentheses open in it.
    Arithmetic(u32),
    /// `$[…]`, with the brackets open in it.
    Bracket(u32),
    /// `${…}`
    Brace,
    /// `` `…` ``
    Backtick,
}

/// A here-document that begins at the next line.
struct Here {
    end: Vec<u8>,
    strip_tabs: bool,
    /// Nothing is expanded in it.
    is_quoted: bool,
    /// The commands that read it.
    pipeline: usize,
}

/// Reads a script from its beginning to its end.
pub(crate) struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    places: &'a [usize],
    found: Vec<Quoting>,
    stack: Vec<Frame>,
    here: Vec<Here>,
    /// The next byte begins a word.
    word_start: bool,
    unclear: bool,
    commands: Commands,
}

/// A script that nests more quotes, parentheses and expansions is not read: what takes its places is unclear.
const MOST_NESTED: usize = 100;

impl<'a> Scanner<'a> {
    /// A script and its places.
    pub(crate) fn new(text: &'a [u8], places: &'a [usize]) -> Self {
        Self {
            text,
            at: 0,
            places,
            found: Vec::with_capacity(places.len()),
            stack: Vec::new(),
            here: Vec::new(),
            word_start: true,
            unclear: false,
            commands: Commands::default(),
        }
    }

    /// Reads all of it: in what each place is, and the commands.
    pub(crate) fn scan(mut self) -> (Vec<Quoting>, Commands) {
        self.read();
        if self.is_too_deep() {
            // What follows may make code of any of them.
            self.unclear = true;
            self.found.clear();
        }
        // A place past the end is in no script.
        self.note(usize::MAX, Quoting::Unclear);
        (self.found, self.commands)
    }

    fn read(&mut self) {
        while self.at < self.text.len() && !self.is_too_deep() {
            self.step();
        }
    }

    fn is_too_deep(&self) -> bool {
        self.stack.len() > MOST_NESTED
    }

    /// Notes the places before `end` that are not noted yet.
    fn note(&mut self, end: usize, quoting: Quoting) {
        let quoting = if self.unclear {
            Quoting::Unclear
        } else {
            quoting
        };
        while self
            .places
            .get(self.found.len())
            .is_some_and(|place| *place < end)
        {
            self.found.push(quoting);
        }
    }

    /// Goes on to `end`, with everything up to there standing in `quoting`.
    fn take(&mut self, end: usize, quoting: Quoting) {
        let end = end.clamp(self.at + 1, self.text.len().max(self.at + 1));
        self.note(end, quoting);
        self.at = end;
    }

    fn is_next(&self, text: &[u8]) -> bool {
        self.text[self.at..].starts_with(text)
    }

    fn is_place(&self, at: usize) -> bool {
        self.places.binary_search(&at).is_ok()
    }

    /// The offset of the next `byte` from `from` on, or the end.
    fn find(&self, byte: u8, from: usize) -> usize {
        let from = from.min(self.text.len());
        let found = self.text[from..].iter().position(|b| *b == byte);
        found.map_or(self.text.len(), |found| from + found)
    }

    /// In what the current place is, as far as the frames around it say.
    ///
    /// Inside `$(…)` a script begins anew, even in double quotes; but not in what is read twice.
    fn quoting(&self) -> Quoting {
        if self.stack.contains(&Frame::Backtick) {
            return Quoting::Backticks;
        }
        match self.stack.last() {
            _ if self.stack.contains(&Frame::Brace) => Quoting::Expansion,
            _ if self.calculates() => Quoting::Calculated,
            Some(Frame::Double) => Quoting::DoubleQuotes,
            _ => Quoting::Bare,
        }
    }

    fn calculates(&self) -> bool {
        let calculates = |frame: &Frame| matches!(frame, Frame::Arithmetic(_) | Frame::Bracket(_));
        self.stack.iter().any(calculates)
    }

    fn is_in_double(&self) -> bool {
        self.stack.last() == Some(&Frame::Double)
    }

    fn step(&mut self) {
        if let Ok(place) = self.places.binary_search(&self.at) {
            self.word_start = false;
            self.commands.place(place);
            return self.take(self.at + 1, self.quoting());
        }
        match self.stack.last().copied() {
            None | Some(Frame::Paren) => self.step_bare(),
            Some(frame) => self.step_inside(frame),
        }
    }

    fn step_bare(&mut self) {
        let begins_word = std::mem::replace(&mut self.word_start, false);
        let quoting = self.quoting();
        let byte = self.text[self.at];
        match byte {
            b'\'' => self.single_quoted(),
            b'\\' => self.escaped(),
            b'"' | b'`' | b'$' => self.opening(),
            b'#' if begins_word => {
                let end = self.find(b'\n', self.at);
                self.take(end, Quoting::Comment);
            }
            b'<' | b'>' | b'&' | b'|' | b';' | b' ' | b'\t' => self.operator(byte),
            b'(' if self.is_next(b"((") => {
                self.commands.expansion(b"", true);
                self.push(2, Frame::Arithmetic(2));
            }
            b'(' => self.parenthesis(1, Opening::List),
            b')' => {
                self.stack.pop();
                self.commands.close(!self.is_in_double());
                self.take(self.at + 1, quoting);
                self.word_start = self.stack.last() != Some(&Frame::Double);
            }
            b'\n' => self.line_end(),
            // A pattern of `case` may end with a lone `)`, which would seem to close `"$(`.
            b'c' if begins_word && self.is_next(b"case") => {
                self.unclear |= self.stack.iter().any(|frame| *frame != Frame::Paren);
                b"case".iter().for_each(|byte| self.commands.byte(*byte));
                self.take(self.at + 4, quoting);
            }
            _ => {
                self.commands.byte(byte);
                self.take(self.at + 1, quoting);
            }
        }
    }

    /// At an operator, or the space between words.
    fn operator(&mut self, byte: u8) {
        let quoting = self.quoting();
        let after_redirect = self.at > 0 && matches!(self.text[self.at - 1], b'<' | b'>');
        self.word_start = true;
        if self.is_next(b"<<<") {
            self.commands.redirect(true);
            return self.take(self.at + 3, quoting);
        }
        if self.is_next(b"<<") {
            self.commands.redirect(false);
            return self.here_operator();
        }
        if self.is_next(b"<(") || self.is_next(b">(") {
            return self.parenthesis(2, Opening::Process);
        }
        let length = match byte {
            b' ' | b'\t' => {
                self.commands.end_word();
                1
            }
            b'&' | b'|' if after_redirect => 1,
            b'<' | b'>' => {
                self.commands.redirect(false);
                1
            }
            b'&' if self.is_next(b"&>") => {
                self.commands.redirect(false);
                2
            }
            b'|' if self.is_next(b"|&") => {
                self.commands.end_command(true);
                2
            }
            b'|' if !self.is_next(b"||") => {
                self.commands.end_command(true);
                1
            }
            _ => {
                self.commands.end_command(false);
                1 + usize::from(self.is_next(b"||") || self.is_next(b"&&"))
            }
        };
        self.take(self.at + length, quoting);
    }

    /// At the `(` of a list of commands, of this length with what belongs to it.
    fn parenthesis(&mut self, length: usize, opening: Opening) {
        self.commands.open(opening);
        self.push(length, Frame::Paren);
        self.word_start = true;
    }

    fn step_inside(&mut self, frame: Frame) {
        let quoting = self.quoting();
        match (frame, self.text[self.at]) {
            (_, b'\\') => {
                let escaped = self.text.get(self.at + 1).copied();
                self.commands.quoted(escaped.as_slice());
                self.take(self.at + 2, quoting);
            }
            (Frame::Double, b'"')
            | (Frame::Brace, b'}')
            | (Frame::Backtick, b'`')
            | (Frame::Bracket(1), b']') => {
                self.stack.pop();
                self.take(self.at + 1, quoting);
            }
            (Frame::Backtick, _) => self.take(self.at + 1, quoting),
            (Frame::Arithmetic(open), b'(') => self.set(Frame::Arithmetic(open + 1)),
            (Frame::Bracket(open), b'[') => self.set(Frame::Bracket(open + 1)),
            (Frame::Bracket(open), b']') => self.set(Frame::Bracket(open - 1)),
            (Frame::Arithmetic(1), b')') => {
                self.stack.pop();
                self.take(self.at + 1, quoting);
                self.word_start = true;
            }
            (Frame::Arithmetic(open), b')') => self.set(Frame::Arithmetic(open - 1)),
            (Frame::Double, byte) if !matches!(byte, b'`' | b'$') => {
                self.commands.quoted(&[byte]);
                self.take(self.at + 1, quoting);
            }
            (_, b'\'') if !self.stack.contains(&Frame::Double) => self.single_quoted(),
            // Shells differ on what a quote means there.
            (_, b'\'') => {
                self.unclear = true;
                self.take(self.at + 1, quoting);
            }
            (_, b'`' | b'$' | b'"') => self.opening(),
            (Frame::Arithmetic(_) | Frame::Bracket(_), byte) if is_name(byte) => {
                let name = self.name_at(self.at);
                self.commands.calculated(name);
                self.take(self.at + name.len(), quoting);
            }
            _ => self.take(self.at + 1, quoting),
        }
    }

    /// The letters, digits and underscores from a byte on.
    fn name_at(&self, from: usize) -> &'a [u8] {
        let text: &'a [u8] = self.text;
        let rest = text.get(from..).unwrap_or_default();
        let in_name = |(at, byte): &(usize, &u8)| is_name(**byte) && !self.is_place(from + at);
        let length = rest.iter().enumerate().take_while(in_name).count();
        &rest[..length]
    }

    fn set(&mut self, frame: Frame) {
        self.stack.pop();
        self.push(1, frame);
    }

    /// Goes past an opening of this length.
    fn push(&mut self, length: usize, frame: Frame) {
        let quoting = self.quoting();
        self.take(self.at + length, quoting);
        self.stack.push(frame);
    }

    /// At one of `"`, `` ` ``, `$`.
    fn opening(&mut self) {
        let in_double = self.is_in_double();
        if self.is_next(b"\"") {
            self.commands.quoted(b"");
            self.push(1, Frame::Double);
        } else if self.is_next(b"`") {
            self.backtick();
        } else if self.is_next(b"$((") {
            self.commands.expansion(b"", !in_double);
            self.push(3, Frame::Arithmetic(2));
        } else if self.is_next(b"$[") {
            self.commands.expansion(b"", !in_double);
            self.push(2, Frame::Bracket(1));
        } else if self.is_next(b"$(") {
            self.parenthesis(2, Opening::Substitution);
        } else if self.is_next(b"${") {
            self.brace();
        } else if self.is_next(b"$'") && !in_double {
            // Newer shells read `\'` in it as a quote, older ones as its end.
            let end = self.find(b'\'', self.at + 2);
            let text: &'a [u8] = self.text;
            self.unclear |= text[self.at..end].ends_with(b"\\");
            // Its escapes are not read: what it says is not known.
            let is_plain = !text[self.at + 2..end].contains(&b'\\');
            let known = if is_plain {
                &text[self.at + 2..end]
            } else {
                b"\0"
            };
            self.commands.quoted(known);
            self.take(end + 1, Quoting::SingleQuotes);
        } else {
            self.variable();
        }
    }

    /// At a backtick. What is up to the next one is a script of its own.
    fn backtick(&mut self) {
        let (from, mut end) = (self.at + 1, self.at + 1);
        let mut inner = Vec::new();
        while let Some(byte) = self.text.get(end).filter(|byte| **byte != b'`') {
            let is_escape =
                *byte == b'\\' && matches!(self.text.get(end + 1), Some(b'\\' | b'`' | b'$'));
            end += usize::from(is_escape);
            inner.push(self.text[end]);
            end += 1;
        }
        let has_place = self.places.iter().any(|place| (from..end).contains(place));
        if has_place || end >= self.text.len() {
            return self.push(1, Frame::Backtick);
        }
        let mut scanner = Scanner::new(&inner, &[]);
        std::mem::swap(&mut scanner.commands, &mut self.commands);
        scanner.commands.open(Opening::Substitution);
        scanner.read();
        scanner.commands.close(!self.is_in_double());
        std::mem::swap(&mut scanner.commands, &mut self.commands);
        self.take(end + 1, self.quoting());
    }

    /// At `${`.
    fn brace(&mut self) {
        let text: &'a [u8] = self.text;
        let inner = &text[self.at + 2..self.find(b'}', self.at)];
        let flags = match inner {
            [b'!' | b'#', ..] => 1,
            [b'(', ..] => inner
                .iter()
                .position(|byte| *byte == b')')
                .map_or(0, |end| end + 1),
            _ => 0,
        };
        let name = self.name_at(self.at + 2 + flags);
        let name = if name.is_empty() {
            inner.get(..1).unwrap_or_default()
        } else {
            name
        };
        self.commands.expansion(name, !self.is_in_double());
        let rest = inner.get(flags + name.len()..).unwrap_or_default();
        // `${!x}`, `${x@P}` and flags of zsh read the value once more.
        if self.calculates() || (flags > 0 && inner[0] != b'#') || rest.starts_with(b"@") {
            self.commands.calculated(name);
        }
        let has_operand = match rest {
            [b'[', ..] => true,
            [b':', next, ..] => !b"-+=?".contains(next),
            _ => false,
        };
        if has_operand {
            for name in rest.split(|byte| !is_name(*byte)) {
                self.commands.calculated(name);
            }
        }
        self.push(2, Frame::Brace);
    }

    /// At a `$` with a name, or nothing, after it.
    fn variable(&mut self) {
        let quoting = self.quoting();
        let name = self.name_at(self.at + 1);
        let known = match (name, self.text.get(self.at + 1)) {
            ([digit, ..], _) if digit.is_ascii_digit() => &name[..1],
            ([], Some(b'@' | b'*')) => &self.text[self.at + 1..self.at + 2],
            _ => name,
        };
        self.commands.expansion(known, !self.is_in_double());
        if self.calculates() {
            self.commands.calculated(known);
        }
        self.take(self.at + 1 + name.len(), quoting);
        if self.is_place(self.at) {
            self.commands.expansion(b"", true);
            let refused = if quoting == Quoting::Bare {
                Quoting::AfterDollar
            } else {
                quoting
            };
            self.take(self.at + 1, refused);
        }
    }

    fn escaped(&mut self) {
        let quoting = self.quoting();
        self.take(self.at + 1, quoting);
        if self.at < self.text.len() {
            let refused = if quoting == Quoting::Bare {
                Quoting::AfterBackslash
            } else {
                quoting
            };
            if self.text[self.at] != b'\n' {
                self.commands.quoted(&self.text[self.at..=self.at]);
            }
            self.take(self.at + 1, refused);
        }
    }

    fn single_quoted(&mut self) {
        let end = self.find(b'\'', self.at + 1);
        let text: &'a [u8] = self.text;
        self.commands.quoted(&text[self.at + 1..end]);
        self.take(end + 1, Quoting::SingleQuotes);
    }

    /// At `<<`: remembers the word that ends the here-document.
    fn here_operator(&mut self) {
        let strip_tabs = self.is_next(b"<<-");
        let mut at = self.at + if strip_tabs { 3 } else { 2 };
        while matches!(self.text.get(at), Some(b' ' | b'\t')) {
            at += 1;
        }
        let mut end = Vec::new();
        let mut quote = None;
        while let Some(&byte) = self.text.get(at) {
            match (quote, byte) {
                (None, b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' | b'(' | b')' | b'<' | b'>') => {
                    break;
                }
                (None, b'\'' | b'"') => quote = Some(byte),
                (Some(open), byte) if open == byte => quote = None,
                (None, b'\\') => {
                    at += 1;
                    end.extend(self.text.get(at));
                }
                _ => end.push(byte),
            }
            at += 1;
        }
        let is_quoted = self.text[self.at..at.min(self.text.len())]
            .iter()
            .any(|byte| b"'\"\\".contains(byte));
        let pipeline = self.commands.here_document();
        self.here.push(Here {
            end,
            strip_tabs,
            is_quoted,
            pipeline,
        });
        self.take(at, Quoting::HereDocument);
    }

    /// At the end of a line: goes past the here-documents that begin there.
    fn line_end(&mut self) {
        self.word_start = true;
        let quoting = self.quoting();
        self.commands.end_command(false);
        self.take(self.at + 1, quoting);
        for here in std::mem::take(&mut self.here) {
            while self.at < self.text.len() {
                let end = self.find(b'\n', self.at);
                let mut line = &self.text[self.at..end];
                while let (true, Some(rest)) = (here.strip_tabs, line.strip_prefix(b"\t")) {
                    line = rest;
                }
                let is_end = line == here.end;
                if is_end {
                    self.take(end + 1, Quoting::HereDocument);
                    break;
                }
                if !here.is_quoted {
                    self.commands.here_line(line, here.pipeline);
                }
                self.take(end + 1, Quoting::HereDocument);
            }
        }
    }
}

/// Whether a byte can be a part of the name of a variable.
pub(crate) const fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}
