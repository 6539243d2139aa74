//! Foreign text made safe to show: [`Visible`].

use std::fmt::{self, Write};

/// Shows a text with its control characters escaped (`\u{1b}`, `\n`), so that it can neither steer a
/// terminal nor break a line. Tabs stay.
///
/// ```
/// assert_eq!(batch_export::Visible("a\u{1b}[2Jb").to_string(), r"a\u{1b}[2Jb");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Visible<'a>(pub &'a str);

impl fmt::Display for Visible<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some((at, found)) = rest.char_indices().find(|(_, c)| is_hidden(*c)) {
            f.write_str(&rest[..at])?;
            for c in found.escape_default() {
                f.write_char(c)?;
            }
            rest = &rest[at + found.len_utf8()..];
        }
        f.write_str(rest)
    }
}

/// Control characters, and those that turn the direction of writing and so can disguise a text.
fn is_hidden(c: char) -> bool {
    (c.is_control() && c != '\t')
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_is_escaped_and_the_rest_stays() {
        let text = "ä\tb\r\n\u{7f}\u{9b}1m\u{202e}";
        assert_eq!(
            Visible(text).to_string(),
            "ä\tb\\r\\n\\u{7f}\\u{9b}1m\\u{202e}"
        );
    }
}
