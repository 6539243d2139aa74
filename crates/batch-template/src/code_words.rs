//! Where in Python and JavaScript code a literal can be put: not inside strings, which it would end.

/// Why a placeholder cannot be at a place, and how to fix it; `None` where it can.
pub(crate) type Refusal = Option<(&'static str, &'static str)>;

const IN_STRING: Refusal = Some((
    "is in a string of the code",
    "remove the quotes: the value is written as a literal with its own",
));
const IN_COMMENT: Refusal = Some(("is in a comment", "take it out of the comment"));
const IN_REGEX: Refusal = Some(("is in a regular expression", "use new RegExp(…)"));
const UNCLEAR: Refusal = Some((
    "is where its quotes cannot be determined",
    "put it into a variable first, at the beginning of the code",
));

/// For each place (byte offsets, ascending), whether a literal of Python can be there.
pub(crate) fn refused_in_python(code: &str, places: &[usize]) -> Vec<Refusal> {
    let mut scan = Scan::new(code, places);
    let mut unclear = false;
    while let Some(byte) = scan.peek() {
        match byte {
            b'#' => {
                let end = scan.find(b"\n", scan.at);
                scan.take(end, IN_COMMENT);
            }
            b'"' | b'\'' => unclear |= python_string(&mut scan, byte),
            _ => scan.take(scan.at + 1, if unclear { UNCLEAR } else { None }),
        }
    }
    scan.finish()
}

/// Goes past a string; gives whether its end is uncertain.
fn python_string(scan: &mut Scan<'_>, quote: u8) -> bool {
    let prefix = scan.word_before();
    let formatted = prefix.len() <= 2 && prefix.iter().any(|b| b"fFtT".contains(b));
    let triple = [quote; 3];
    let end: &[u8] = if scan.code[scan.at..].starts_with(&triple) {
        &triple
    } else {
        &triple[..1]
    };
    let begin = scan.at;
    scan.take(begin + end.len(), IN_STRING);
    let mut open = 0_i32;
    while let Some(byte) = scan.peek() {
        match byte {
            b'\\' => scan.take(scan.at + 2, IN_STRING),
            _ if scan.code[scan.at..].starts_with(end) => {
                scan.take(scan.at + end.len(), IN_STRING);
                // Since 3.12 the same quote may open a string inside the braces.
                return formatted && open != 0;
            }
            b'\n' if end.len() == 1 => return formatted && open != 0,
            _ => {
                open += i32::from(byte == b'{') - i32::from(byte == b'}');
                scan.take(scan.at + 1, IN_STRING);
            }
        }
    }
    false
}

/// For each place (byte offsets, ascending), whether a literal of JavaScript can be there.
pub(crate) fn refused_in_javascript(code: &str, places: &[usize]) -> Vec<Refusal> {
    let mut scan = Scan::new(code, places);
    // The braces open in each `${…}` around the place.
    let mut inside: Vec<u32> = Vec::new();
    while let Some(byte) = scan.peek() {
        match (byte, inside.last_mut()) {
            (b'"' | b'\'', _) => javascript_string(&mut scan, byte),
            (b'`', _) => template_text(&mut scan, &mut inside),
            (b'{', Some(open)) => {
                *open += 1;
                scan.take(scan.at + 1, None);
            }
            (b'}', Some(0)) => {
                inside.pop();
                template_text(&mut scan, &mut inside);
            }
            (b'}', Some(open)) => {
                *open -= 1;
                scan.take(scan.at + 1, None);
            }
            (b'/', _) => slash(&mut scan),
            _ => scan.take(scan.at + 1, None),
        }
    }
    scan.finish()
}

fn javascript_string(scan: &mut Scan<'_>, quote: u8) {
    scan.take(scan.at + 1, IN_STRING);
    while let Some(byte) = scan.peek() {
        match byte {
            b'\\' => scan.take(scan.at + 2, IN_STRING),
            b'\n' => return,
            _ => scan.take(scan.at + 1, IN_STRING),
        }
        if byte == quote {
            return;
        }
    }
}

/// Goes past the text of a template literal, from its backtick or a closing brace on.
fn template_text(scan: &mut Scan<'_>, inside: &mut Vec<u32>) {
    scan.take(scan.at + 1, IN_STRING);
    while let Some(byte) = scan.peek() {
        match byte {
            b'\\' => scan.take(scan.at + 2, IN_STRING),
            b'`' => return scan.take(scan.at + 1, IN_STRING),
            b'$' if scan.code[scan.at..].starts_with(b"${") => {
                inside.push(0);
                return scan.take(scan.at + 2, IN_STRING);
            }
            _ => scan.take(scan.at + 1, IN_STRING),
        }
    }
}

/// At a `/`: a comment, a regular expression, or a division.
fn slash(scan: &mut Scan<'_>) {
    let rest = &scan.code[scan.at..];
    if rest.starts_with(b"//") {
        let end = scan.find(b"\n", scan.at);
        scan.take(end, IN_COMMENT);
    } else if rest.starts_with(b"/*") {
        let end = scan.find(b"*/", scan.at + 2);
        scan.take(end + 2, IN_COMMENT);
    } else if scan.begins_operand() {
        let mut in_class = false;
        scan.take(scan.at + 1, IN_REGEX);
        while let Some(byte) = scan.peek() {
            match byte {
                b'\n' => return,
                b'\\' => scan.take(scan.at + 2, IN_REGEX),
                _ => scan.take(scan.at + 1, IN_REGEX),
            }
            match byte {
                b'[' => in_class = true,
                b']' => in_class = false,
                b'/' if !in_class => return,
                _ => {}
            }
        }
    } else {
        scan.take(scan.at + 1, None);
    }
}

/// The code, how far it is read, and what was found for the places.
struct Scan<'a> {
    code: &'a [u8],
    at: usize,
    places: &'a [usize],
    found: Vec<Refusal>,
}

impl<'a> Scan<'a> {
    fn new(code: &'a str, places: &'a [usize]) -> Self {
        Self {
            code: code.as_bytes(),
            at: 0,
            places,
            found: Vec::with_capacity(places.len()),
        }
    }

    fn peek(&self) -> Option<u8> {
        self.code.get(self.at).copied()
    }

    fn take(&mut self, end: usize, refusal: Refusal) {
        self.at = end.clamp(self.at + 1, self.code.len().max(self.at + 1));
        while self
            .places
            .get(self.found.len())
            .is_some_and(|place| *place < self.at)
        {
            self.found.push(refusal);
        }
    }

    fn find(&self, what: &[u8], from: usize) -> usize {
        let from = from.min(self.code.len());
        let found = self.code[from..]
            .windows(what.len())
            .position(|w| w == what);
        found.map_or(self.code.len(), |found| from + found)
    }

    /// The letters right before the current place.
    fn word_before(&self) -> &'a [u8] {
        let before = &self.code[..self.at];
        let is_word = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_' || !b.is_ascii();
        let length = before.iter().rev().take_while(|b| is_word(b)).count();
        &before[before.len() - length..]
    }

    /// Whether an operand begins at the current place, so that a `/` opens a regular expression.
    fn begins_operand(&self) -> bool {
        let before = self.code[..self.at].trim_ascii_end();
        let word = Scan {
            code: self.code,
            at: before.len(),
            places: &[],
            found: Vec::new(),
        }
        .word_before();
        match before.last() {
            None => true,
            Some(_) if !word.is_empty() => {
                matches!(
                    word,
                    b"return"
                        | b"typeof"
                        | b"case"
                        | b"in"
                        | b"of"
                        | b"void"
                        | b"delete"
                        | b"await"
                )
            }
            Some(b')' | b']' | b'"' | b'\'' | b'`') => false,
            Some(_) => true,
        }
    }

    fn finish(mut self) -> Vec<Refusal> {
        self.found.resize(self.places.len(), None);
        self.found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `.` for each `@` that can be replaced, `!` for the others.
    fn at_signs(scan: fn(&str, &[usize]) -> Vec<Refusal>, code: &str) -> String {
        let places: Vec<usize> = code.match_indices('@').map(|(at, _)| at).collect();
        let found = scan(code, &places);
        assert_eq!(found.len(), places.len());
        found
            .iter()
            .map(|refusal| if refusal.is_none() { '.' } else { '!' })
            .collect()
    }

    #[test]
    fn strings_of_python_are_seen() {
        for (code, expected) in [
            ("print(@)", "."),
            ("print('@', \"@\", @)", "!!."),
            ("x = 'it\\'s @' + @", "!."),
            ("x = \"\"\"a \"@\" \n @\"\"\" + @", "!!."),
            ("x = '' + @", "."),
            ("# don't @\nx = @", "!."),
            ("x = r'\\' + '@", "."),
            ("x = f'{a}' + @", "."),
            ("x = f\"{d[\"@\"]}\"", "!"),
        ] {
            assert_eq!(at_signs(refused_in_python, code), expected, "{code}");
        }
    }

    #[test]
    fn strings_of_javascript_are_seen() {
        for (code, expected) in [
            ("f(@)", "."),
            ("f('@', \"@\", @)", "!!."),
            ("f(`@ ${@} ${ {a: '@', b: @} } @`, @)", "!.!.!."),
            ("f(`${`@${@}`}`, @)", "!.."),
            ("// don't @\nf(@)", "!."),
            ("/* don't @ */ f(@)", "!."),
            ("s.replace(/'/g, '@', @)", "!."),
            ("s.replace(/[/']@/g, '@', @)", "!!."),
            ("a / b; '@' / @", "!."),
            ("return /\"/.test(@)", "."),
        ] {
            assert_eq!(at_signs(refused_in_javascript, code), expected, "{code}");
        }
    }
}
