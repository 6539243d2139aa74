//! How words stand in a shell script: [`ShellScan`] says in which quotes a place is and what reads it once more,
//! [`quote_for_shell`] writes data as one word.
//!
//! A replacement in a script is safe only where a word in single quotes is read as just that word. The scanner
//! knows the POSIX shell and the parts of bash that change what quotes mean. Where it cannot tell, it says so,
//! and the place is refused: a wrong refusal costs the author a variable, a wrong yes runs data as code.

use crate::interpreters::Code;
use crate::shell_commands::{Commands, OpenCommand};

/// How a shell reads a script, where shells differ, and what its author allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShellRules {
    /// It is zsh or of the family of ksh, whose builtins calculate more of their arguments, as `[ x -eq 1 ]`.
    pub is_eager: bool,
    /// Values may stand where the script makes code of its words.
    pub allow_code: bool,
}

/// In what a place of a script stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quoting {
    /// In none: a quoted word can stand here.
    Bare,
    /// Between single quotes.
    SingleQuotes,
    /// Between double quotes.
    DoubleQuotes,
    /// Between backticks.
    Backticks,
    /// In a here-document or the word that ends one.
    HereDocument,
    /// In a comment.
    Comment,
    /// In `${…}`, which reads its content anew.
    Expansion,
    /// Where the shell calculates: it runs the code that it finds in subscripts.
    Calculated,
    /// Where the shell reads the name of a variable, which runs the code in a subscript.
    Evaluated,
    /// In code that a command of the script runs.
    Code(Code),
    /// Right after a backslash.
    AfterBackslash,
    /// Right after a `$`, or after a variable's name, which it would make longer.
    AfterDollar,
    /// The script is too intricate to tell.
    Unclear,
}

impl Quoting {
    /// Why a replacement cannot stand there and how to mend it; `None` where it can.
    ///
    /// The first text goes after the name of the placeholder: "… stands in single quotes".
    pub fn refusal(self) -> Option<(String, String)> {
        const REMOVE: &str = "remove the quotes: the value is quoted when it is filled in";
        const VARIABLE: &str = "put it into a variable first: x=VALUE; then use \"$x\"";
        const ALLOW: &str = "--allow-code, or allow_code in a task, lets it through";
        let (what, help) = match self {
            Self::Bare => return None,
            Self::Calculated => {
                let what = "comes to where the shell calculates, which runs code in its operands";
                let help = format!(
                    "let another program calculate (expr, bc), or compare with [ … ]; {ALLOW}"
                );
                return Some((what.to_owned(), help));
            }
            Self::Evaluated => {
                let what = "stands where the shell reads a name, which runs code in its subscript";
                return Some((what.to_owned(), format!("write the name yourself; {ALLOW}")));
            }
            Self::Code(code) => return Some((code.refusal(), code.help("VALUE"))),
            Self::SingleQuotes => ("stands in single quotes", REMOVE),
            Self::DoubleQuotes => ("stands in double quotes", REMOVE),
            Self::Backticks => (
                "stands in backticks",
                "write $(…) in place of the backticks",
            ),
            Self::HereDocument => ("stands in a here-document", VARIABLE),
            Self::Comment => ("stands in a comment", "take it out of the comment"),
            Self::Expansion => ("stands in ${…}", VARIABLE),
            Self::AfterBackslash => ("stands after a backslash", "remove the backslash"),
            Self::AfterDollar => (
                "stands right after a $ or a variable",
                "write ${NAME} or set a space between",
            ),
            Self::Unclear => ("stands where its quotes cannot be told for sure", VARIABLE),
        };
        Some((what.to_owned(), help.to_owned()))
    }
}

/// A script, read once: what its places stand in.
#[derive(Clone, Debug, Default)]
pub struct ShellScan {
    /// For each place, in their order.
    pub quoting: Vec<Quoting>,
    /// Commands that read their arguments in a way that depends on the values.
    open: Vec<OpenCommand>,
}

impl ShellScan {
    /// Reads a script with places (byte offsets, ascending), each of which is taken as an ordinary letter.
    ///
    /// ```
    /// use batch_core::{Quoting, ShellRules, ShellScan};
    /// let scan = ShellScan::new(b"echo {} '{}'", &[5, 9], ShellRules::default());
    /// assert_eq!(scan.quoting, [Quoting::Bare, Quoting::SingleQuotes]);
    /// let scan = ShellScan::new(b"sh -c {}", &[6], ShellRules::default());
    /// assert!(matches!(scan.quoting[0], Quoting::Code(_)));
    /// ```
    pub fn new(script: &[u8], places: &[usize], rules: ShellRules) -> Self {
        let mut scanner = Scanner::new(script, places);
        while scanner.at < script.len() {
            scanner.step();
        }
        // A place past the end is in no script.
        scanner.note(usize::MAX, Quoting::Unclear);
        let mut quoting = scanner.found;
        let checked = scanner.commands.check(rules, false);
        if rules.allow_code {
            return Self {
                quoting,
                open: Vec::new(),
            };
        }
        for (place, why) in checked.refused {
            if let Some(found @ Quoting::Bare) = quoting.get_mut(place) {
                *found = why;
            }
        }
        Self {
            quoting,
            open: checked.open,
        }
    }

    /// Whether a script makes code of its arguments, `$1` and so on.
    pub(crate) fn runs_arguments(script: &[u8]) -> bool {
        let mut scanner = Scanner::new(script, &[]);
        while scanner.at < script.len() {
            scanner.step();
        }
        let checked = scanner.commands.check(ShellRules::default(), true);
        !checked.refused.is_empty()
    }

    /// Whether [`code_in`](Self::code_in) can find anything.
    pub fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// The first of the values, by place, that a command of the script would run as code, as `-eCODE` of perl.
    pub fn code_in(&self, values: &[&[u8]]) -> Option<(usize, Code)> {
        self.open.iter().find_map(|command| command.code_in(values))
    }
}

/// Appends `word` so that a POSIX shell reads it as one word of exactly these bytes.
///
/// Plain words stay as they are; the others go between single quotes. The word must not hold a NUL byte.
///
/// ```
/// let mut line = b"echo ".to_vec();
/// batch_core::quote_for_shell(b"it's", &mut line);
/// assert_eq!(line, br"echo 'it'\''s'");
/// ```
pub fn quote_for_shell(word: &[u8], to: &mut Vec<u8>) {
    if is_plain(word) {
        to.extend_from_slice(word);
        return;
    }
    to.push(b'\'');
    for &byte in word {
        if byte == b'\'' {
            to.extend_from_slice(br"'\''");
        } else {
            to.push(byte);
        }
    }
    to.push(b'\'');
}

/// Whether a shell takes the word as it is, wherever it stands. A number could become part of a redirection
/// (`2>file`), and `done` end a loop, so these are quoted.
fn is_plain(word: &[u8]) -> bool {
    const RESERVED: [&[u8]; 17] = [
        b"case",
        b"coproc",
        b"do",
        b"done",
        b"elif",
        b"else",
        b"esac",
        b"fi",
        b"for",
        b"function",
        b"if",
        b"in",
        b"select",
        b"then",
        b"time",
        b"until",
        b"while",
    ];
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"_./:@+-".contains(b);
    word.iter().all(plain) && !word.iter().all(u8::is_ascii_digit) && !RESERVED.contains(&word)
}

const fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

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

struct Scanner<'a> {
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

impl<'a> Scanner<'a> {
    fn new(text: &'a [u8], places: &'a [usize]) -> Self {
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

    /// In what the current place stands, as far as the frames around it say.
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
            b'(' => self.parenthesis(1, false),
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
            return self.parenthesis(2, true);
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
    fn parenthesis(&mut self, length: usize, is_process: bool) {
        self.commands.open(is_process);
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
            self.parenthesis(2, false);
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

    /// At a backtick. What stands up to the next one is a script of its own.
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
        scanner.commands.open(false);
        while scanner.at < inner.len() {
            scanner.step();
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use Quoting::{
        AfterBackslash, AfterDollar, Backticks, Bare, Calculated, Comment, DoubleQuotes, Expansion,
        HereDocument, SingleQuotes, Unclear,
    };

    /// What is told of each `@` in a script.
    fn at_signs(script: &str) -> Vec<Quoting> {
        let places: Vec<usize> = script.match_indices('@').map(|(at, _)| at).collect();
        ShellScan::new(script.as_bytes(), &places, ShellRules::default()).quoting
    }

    #[test]
    fn bare_words_are_told_from_quoted_ones() {
        for (script, expected) in [
            ("@", vec![Bare]),
            (
                "a @ '@' \"@\" @",
                vec![Bare, SingleQuotes, DoubleQuotes, Bare],
            ),
            ("a=@ b='x'@\"y\"@", vec![Bare, Bare, Bare]),
            ("`ls @` @", vec![Backticks, Bare]),
            ("\"`ls @`\" @", vec![Backticks, Bare]),
            ("echo \\@ \\\\@ \\'@", vec![AfterBackslash, Bare, Bare]),
            (
                "echo $@ $HOME@ $HOME/@ ${HOME}@",
                vec![AfterDollar, AfterDollar, Bare, Bare],
            ),
            ("echo 'it'\\''s' @", vec![Bare]),
            ("# don't @\necho @", vec![Comment, Bare]),
            ("echo a#b'@' x;# '@\n@", vec![SingleQuotes, Comment, Bare]),
            ("echo \"a # @\" # \"@", vec![DoubleQuotes, Comment]),
            ("echo 'open @", vec![SingleQuotes]),
            ("awk '{print $1}' @ | sed \"s/a/b/\" > @", vec![Bare, Bare]),
        ] {
            assert_eq!(at_signs(script), expected, "{script}");
        }
    }

    #[test]
    fn expansions_nest() {
        for (script, expected) in [
            ("x=\"$(cat @)\" @ \"@\"", vec![Bare, Bare, DoubleQuotes]),
            (
                "\"$(echo \"@\" '@' @)@\"",
                vec![DoubleQuotes, SingleQuotes, Bare, DoubleQuotes],
            ),
            ("\"$(echo \")\" @)\" @", vec![Bare, Bare]),
            ("${x:-@} \"${x:-@}\" @", vec![Expansion, Expansion, Bare]),
            (
                "$((1 + @)) @ ((@)) @",
                vec![Calculated, Bare, Calculated, Bare],
            ),
            ("$((1 << 2)) \n@", vec![Bare]),
            ("(cd a; ls @) $(ls @) @", vec![Bare, Bare, Bare]),
            (
                "case @ in (a) x @;; b) y '@';; esac; @",
                vec![Bare, Bare, SingleQuotes, Bare],
            ),
            ("\"$(case a in b) echo \"@\";; esac)\"", vec![Unclear]),
            (
                "$(case a in b) echo @ '@';; esac) @",
                vec![Bare, SingleQuotes, Bare],
            ),
            ("echo $'a' @ $'\\'' @", vec![Bare, Unclear]),
            ("\"${x:-'}\" @", vec![Unclear]),
        ] {
            assert_eq!(at_signs(script), expected, "{script}");
        }
    }

    #[test]
    fn here_documents_are_seen() {
        for (script, expected) in [
            ("cat <<E @\n@ '\nE\n@", vec![Bare, HereDocument, Bare]),
            (
                "cat <<'E' <<-\"F G\"\n@\nE\n\t@\n\tF G\n@",
                vec![HereDocument, HereDocument, Bare],
            ),
            ("cat <<E\n@\n E\n@", vec![HereDocument, HereDocument]),
            ("cat <<< @", vec![Bare]),
            ("cat <<@\n@", vec![HereDocument, HereDocument]),
            ("x=$(cat <<E\n@ )\nE\n) @", vec![HereDocument, Bare]),
        ] {
            assert_eq!(at_signs(script), expected, "{script}");
        }
    }

    #[test]
    fn words_are_quoted_where_a_shell_could_read_more_into_them() {
        for (word, quoted) in [
            ("a/b-c.txt", "a/b-c.txt"),
            ("", "''"),
            ("a b", "'a b'"),
            ("it's", "'it'\\''s'"),
            ("$(x)", "'$(x)'"),
            ("2", "'2'"),
            ("done", "'done'"),
            ("A=b", "'A=b'"),
            ("~", "'~'"),
        ] {
            let mut line = Vec::new();
            quote_for_shell(word.as_bytes(), &mut line);
            assert_eq!(line, quoted.as_bytes());
        }
    }

    proptest::proptest! {
        #[test]
        fn quoted_words_come_back_unchanged(words in proptest::collection::vec("[^\0]*", 1..6)) {
            let mut line = Vec::new();
            for word in &words {
                quote_for_shell(word.as_bytes(), &mut line);
                line.push(b' ');
            }
            let line = String::from_utf8(line).unwrap();
            proptest::prop_assert_eq!(shlex::split(&line), Some(words));
        }

        #[test]
        fn any_script_is_scanned_to_its_end(script: Vec<u8>, place in 0usize..64) {
            let scan = ShellScan::new(&script, &[place], ShellRules::default());
            proptest::prop_assert_eq!(scan.quoting.len(), 1);
        }

        #[test]
        fn intricate_scripts_are_scanned_to_their_end(script in "[`'\"$(){}<#\\\\a \n@]{0,40}") {
            at_signs(&script);
        }
    }
}
