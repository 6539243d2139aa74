//! How words stand in a shell script: [`quoting_at`] says in which quotes a place is, [`quote_for_shell`]
//! writes data as one word.
//!
//! A replacement in a script is safe only where a word in single quotes is read as just that word. The scanner
//! knows the POSIX shell and the parts of bash that change what quotes mean. Where it cannot tell, it says so,
//! and the place is refused: a wrong refusal costs the author a variable, a wrong yes runs data as code.

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
    /// In `${…}` or arithmetic, which reads its content anew.
    Expansion,
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
    pub const fn refusal(self) -> Option<(&'static str, &'static str)> {
        const REMOVE: &str = "remove the quotes: the value is quoted when it is filled in";
        const VARIABLE: &str = "put it into a variable first: x=VALUE; then use \"$x\"";
        Some(match self {
            Self::Bare => return None,
            Self::SingleQuotes => ("stands in single quotes", REMOVE),
            Self::DoubleQuotes => ("stands in double quotes", REMOVE),
            Self::Backticks => (
                "stands in backticks",
                "write $(…) in place of the backticks",
            ),
            Self::HereDocument => ("stands in a here-document", VARIABLE),
            Self::Comment => ("stands in a comment", "take it out of the comment"),
            Self::Expansion => ("stands in ${…} or arithmetic", VARIABLE),
            Self::AfterBackslash => ("stands after a backslash", "remove the backslash"),
            Self::AfterDollar => (
                "stands right after a $ or a variable",
                "write ${NAME} or set a space between",
            ),
            Self::Unclear => ("stands where its quotes cannot be told for sure", VARIABLE),
        })
    }
}

/// In what each of the places (byte offsets, ascending) of a script stands.
///
/// What is at the places is taken as an ordinary letter.
///
/// ```
/// use batch_core::{Quoting, quoting_at};
/// assert_eq!(quoting_at(b"echo {} '{}'", &[5, 9]), [Quoting::Bare, Quoting::SingleQuotes]);
/// ```
pub fn quoting_at(script: &[u8], places: &[usize]) -> Vec<Quoting> {
    let mut scanner = Scanner::new(script, places);
    while scanner.at < script.len() {
        scanner.step();
    }
    // A place past the end is in no script.
    scanner.note(usize::MAX, Quoting::Unclear);
    scanner.found
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

/// What the scanner is inside of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Frame {
    /// `"…"`
    Double,
    /// `(…)`, `$(…)`
    Paren,
    /// `((…))`, `$((…))`, with the parentheses open in it.
    Arithmetic(u32),
    /// `${…}`
    Brace,
    /// `` `…` ``
    Backtick,
}

/// A here-document that begins at the next line.
struct Here {
    end: Vec<u8>,
    strip_tabs: bool,
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
        let expands = |frame: &Frame| matches!(frame, Frame::Brace | Frame::Arithmetic(_));
        match self.stack.last() {
            _ if self.stack.iter().any(expands) => Quoting::Expansion,
            Some(Frame::Double) => Quoting::DoubleQuotes,
            _ => Quoting::Bare,
        }
    }

    fn step(&mut self) {
        match self.stack.last().copied() {
            None | Some(Frame::Paren) => self.step_bare(),
            Some(frame) => self.step_inside(frame),
        }
    }

    fn step_bare(&mut self) {
        let begins_word = std::mem::replace(&mut self.word_start, false);
        let quoting = self.quoting();
        match self.text[self.at] {
            _ if self.is_place(self.at) => self.take(self.at + 1, quoting),
            b'\'' => self.single_quoted(),
            b'\\' => self.escaped(),
            b'"' | b'`' | b'$' => self.opening(),
            b'#' if begins_word => {
                let end = self.find(b'\n', self.at);
                self.take(end, Quoting::Comment);
            }
            b'<' if self.is_next(b"<<<") => self.take(self.at + 3, quoting),
            b'<' if self.is_next(b"<<") => self.here_operator(),
            b'(' if self.is_next(b"((") => self.push(2, Frame::Arithmetic(2)),
            b'(' => {
                self.push(1, Frame::Paren);
                self.word_start = true;
            }
            b')' => {
                self.stack.pop();
                self.take(self.at + 1, quoting);
                self.word_start = true;
            }
            b'\n' => self.line_end(),
            b' ' | b'\t' | b';' | b'&' | b'|' | b'<' | b'>' => {
                self.take(self.at + 1, quoting);
                self.word_start = true;
            }
            // A pattern of `case` may end with a lone `)`, which would seem to close `"$(`.
            b'c' if begins_word && self.is_next(b"case") => {
                self.unclear |= self.stack.iter().any(|frame| *frame != Frame::Paren);
                self.take(self.at + 4, quoting);
            }
            _ => self.take(self.at + 1, quoting),
        }
    }

    fn step_inside(&mut self, frame: Frame) {
        let quoting = self.quoting();
        match (frame, self.text[self.at]) {
            _ if self.is_place(self.at) => self.take(self.at + 1, quoting),
            (_, b'\\') => self.take(self.at + 2, quoting),
            (Frame::Double, b'"') | (Frame::Brace, b'}') | (Frame::Backtick, b'`') => {
                self.stack.pop();
                self.take(self.at + 1, quoting);
            }
            (Frame::Backtick, _) => self.take(self.at + 1, quoting),
            (Frame::Arithmetic(open), b'(') => self.set(Frame::Arithmetic(open + 1)),
            (Frame::Arithmetic(1), b')') => {
                self.stack.pop();
                self.take(self.at + 1, quoting);
                self.word_start = true;
            }
            (Frame::Arithmetic(open), b')') => self.set(Frame::Arithmetic(open - 1)),
            (Frame::Arithmetic(_) | Frame::Brace, b'\'')
                if !self.stack.contains(&Frame::Double) =>
            {
                self.single_quoted();
            }
            // Shells differ on what a quote means there.
            (Frame::Arithmetic(_) | Frame::Brace, b'\'') => {
                self.unclear = true;
                self.take(self.at + 1, quoting);
            }
            (_, b'`' | b'$') | (Frame::Arithmetic(_) | Frame::Brace, b'"') => self.opening(),
            _ => self.take(self.at + 1, quoting),
        }
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
        let in_double = self.stack.last() == Some(&Frame::Double);
        if self.is_next(b"\"") {
            self.push(1, Frame::Double);
        } else if self.is_next(b"`") {
            self.push(1, Frame::Backtick);
        } else if self.is_next(b"$((") {
            self.push(3, Frame::Arithmetic(2));
        } else if self.is_next(b"$(") {
            self.push(2, Frame::Paren);
            self.word_start = true;
        } else if self.is_next(b"${") {
            self.push(2, Frame::Brace);
        } else if self.is_next(b"$'") && !in_double {
            // Newer shells read `\'` in it as a quote, older ones as its end.
            let end = self.find(b'\'', self.at + 2);
            self.unclear |= self.text[self.at..end].ends_with(b"\\");
            self.take(end + 1, Quoting::SingleQuotes);
        } else {
            self.variable();
        }
    }

    /// At a `$` with a name, or nothing, after it.
    fn variable(&mut self) {
        let quoting = self.quoting();
        self.take(self.at + 1, quoting);
        let is_name = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
        while self.at < self.text.len() && !self.is_place(self.at) && is_name(&self.text[self.at]) {
            self.take(self.at + 1, quoting);
        }
        if self.is_place(self.at) {
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
            self.take(self.at + 1, refused);
        }
    }

    fn single_quoted(&mut self) {
        let end = self.find(b'\'', self.at + 1);
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
        self.here.push(Here { end, strip_tabs });
        self.take(at, Quoting::HereDocument);
    }

    /// At the end of a line: goes past the here-documents that begin there.
    fn line_end(&mut self) {
        self.word_start = true;
        let quoting = self.quoting();
        self.take(self.at + 1, quoting);
        for here in std::mem::take(&mut self.here) {
            while self.at < self.text.len() {
                let end = self.find(b'\n', self.at);
                let mut line = &self.text[self.at..end];
                while let (true, Some(rest)) = (here.strip_tabs, line.strip_prefix(b"\t")) {
                    line = rest;
                }
                let is_end = line == here.end;
                self.take(end + 1, Quoting::HereDocument);
                if is_end {
                    break;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Quoting::{
        AfterBackslash, AfterDollar, Backticks, Bare, Comment, DoubleQuotes, Expansion,
        HereDocument, SingleQuotes, Unclear,
    };

    /// What is told of each `@` in a script.
    fn at_signs(script: &str) -> Vec<Quoting> {
        let places: Vec<usize> = script.match_indices('@').map(|(at, _)| at).collect();
        quoting_at(script.as_bytes(), &places)
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
                vec![Expansion, Bare, Expansion, Bare],
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
            proptest::prop_assert_eq!(quoting_at(&script, &[place]).len(), 1);
        }

        #[test]
        fn intricate_scripts_are_scanned_to_their_end(script in "[`'\"$(){}<#\\\\a \n@]{0,40}") {
            at_signs(&script);
        }
    }
}
