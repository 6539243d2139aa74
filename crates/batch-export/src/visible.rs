//! Text from outside made safe to show to a person: [`Visible`], [`VisibleLines`].
//!
//! What is shown is what is there: a text can neither steer a terminal, nor turn the direction of writing, nor hide
//! a part of itself. Control characters (Cc), format characters (Cf) and the separators of lines and paragraphs (Zl,
//! Zp) are written as escapes, such as `\u{1b}`. Every text for a person that is not ours goes through here, on its
//! way into a message or, at the latest, on the way out.

use std::fmt::{self, Write};

/// Shows a text in one line, such as a name. Line ends and tabs are escaped as well.
///
/// ```
/// assert_eq!(batch_export::Visible("a\u{1b}[2J\nb").to_string(), r"a\u{1b}[2J\nb");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Visible<'a>(pub &'a str);

/// Shows a text of lines, such as what a program printed: as [`Visible`], but for line feeds and tabs, which stay.
#[derive(Clone, Copy, Debug)]
pub struct VisibleLines<'a>(pub &'a str);

impl Visible<'_> {
    /// The beginning, of at most this many characters, with `…` where there is more. No escape is cut in two.
    ///
    /// ```
    /// assert_eq!(batch_export::Visible("a\u{1b}bcd").cut(8), r"a\u{1b}…");
    /// ```
    pub fn cut(&self, most: usize) -> String {
        let mut shown = String::new();
        let (mut length, mut end) = (0, 0);
        for c in self.0.chars() {
            let before = shown.len();
            let _ = push(&mut shown, c);
            length += shown[before..].chars().count();
            if length > most {
                shown.truncate(end);
                shown.push('…');
                return shown;
            }
            // Up to here there is room for the mark as well.
            if length < most {
                end = shown.len();
            }
        }
        shown
    }
}

impl Visible<'_> {
    /// The beginning and the end, of at most this many characters, with `…` between them where there is more. No escape is
    /// cut in two.
    ///
    /// ```
    /// assert_eq!(batch_export::Visible("convert long-name.png").cut_middle(12), "conver…e.png");
    /// ```
    pub fn cut_middle(&self, most: usize) -> String {
        let length = |c: char| match is_hidden(c) {
            true => c.escape_default().count(),
            false => 1,
        };
        // Not all of a long text is looked at.
        let mut chars = self.0.chars();
        let fits = chars.try_fold(0, |sum, c| Some(sum + length(c)).filter(|sum| *sum <= most));
        if fits.is_some() {
            return self.to_string();
        }
        let half = |room: usize, chars: &mut dyn Iterator<Item = (usize, char)>| {
            let mut left = room;
            let taken = chars.take_while(|(_, c)| {
                let fits = length(*c) <= left;
                left -= length(*c).min(left);
                fits
            });
            taken.last().map(|(at, c)| (at, at + c.len_utf8()))
        };
        let room = most.saturating_sub(1);
        let head = half(room - room / 2, &mut self.0.char_indices()).map_or(0, |(_, end)| end);
        let tail = half(room / 2, &mut self.0.char_indices().rev());
        let tail = tail.map_or(self.0.len(), |(begin, _)| begin);
        format!("{}…{}", Self(&self.0[..head]), Self(&self.0[tail..]))
    }
}

impl fmt::Display for Visible<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some((at, found)) = rest.char_indices().find(|(_, c)| is_hidden(*c)) {
            f.write_str(&rest[..at])?;
            push(f, found)?;
            rest = &rest[at + found.len_utf8()..];
        }
        f.write_str(rest)
    }
}

impl fmt::Display for VisibleLines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in self.0.split_inclusive(['\n', '\t']) {
            let text = part.trim_end_matches(['\n', '\t']);
            Visible(text).fmt(f)?;
            f.write_str(&part[text.len()..])?;
        }
        Ok(())
    }
}

fn push(to: &mut impl Write, c: char) -> fmt::Result {
    if !is_hidden(c) {
        return to.write_char(c);
    }
    c.escape_default().try_for_each(|c| to.write_char(c))
}

/// Whether a character is of the categories Cc, Cf, Zl or Zp.
fn is_hidden(c: char) -> bool {
    if (' '..='~').contains(&c) {
        return false;
    }
    c.is_control()
        || matches!(c,
            '\u{ad}'
            | '\u{600}'..='\u{605}'
            | '\u{61c}'
            | '\u{6dd}'
            | '\u{70f}'
            | '\u{890}'..='\u{891}'
            | '\u{8e2}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{110bd}'
            | '\u{110cd}'
            | '\u{13430}'..='\u{1343f}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use regex_syntax::hir::{Class, HirKind};

    #[test]
    fn what_steers_is_escaped_and_the_rest_stays() {
        let text = "ä\tb\r\n\u{7f}\u{9b}1m\u{202e}";
        let shown = "ä\\tb\\r\\n\\u{7f}\\u{9b}1m\\u{202e}";
        assert_eq!(Visible(text).to_string(), shown);
        assert_eq!(
            VisibleLines("a\u{1b}\n\n\tb\r\n").to_string(),
            "a\\u{1b}\n\n\tb\\r\n"
        );
    }

    #[test]
    fn every_character_of_these_categories_is_escaped() {
        let hir = regex_syntax::parse(r"[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]").unwrap();
        let HirKind::Class(Class::Unicode(class)) = hir.kind() else {
            panic!("a class");
        };
        let mut count = 0;
        for c in class.iter().flat_map(|range| range.start()..=range.end()) {
            count += 1;
            assert!(is_hidden(c), "{:x}", u32::from(c));
        }
        assert!(count > 200, "{count}");
        for c in [
            'a', ' ', 'ä', '漢', '🙂', '\u{301}', '\u{a0}', '\u{3000}', '\\',
        ] {
            assert!(!is_hidden(c), "{c:?}");
        }
    }

    #[test]
    fn a_cut_stays_within_its_limit() {
        assert_eq!(Visible("abc").cut(3), "abc");
        assert_eq!(Visible("abcd").cut(3), "ab…");
        assert_eq!(Visible("\u{1b}\u{1b}").cut(7), "\\u{1b}…");
        assert_eq!(Visible("\u{1b}\u{1b}").cut(6), "…");
        assert_eq!(Visible("漢字漢字").cut(3), "漢字…");
    }

    #[test]
    fn a_long_text_keeps_its_beginning_and_its_end() {
        assert_eq!(Visible("abcdef").cut_middle(6), "abcdef");
        assert_eq!(Visible("abcdefg").cut_middle(6), "abc…fg");
        assert_eq!(Visible("abcdefg").cut_middle(1), "…");
        assert_eq!(Visible("\u{1b}abcdef\u{1b}").cut_middle(12), "\\u{1b}…");
        assert_eq!(Visible("漢字漢字漢").cut_middle(4), "漢字…漢");
    }

    proptest::proptest! {
        #[test]
        fn nothing_hidden_is_left(text: String, most in 1usize..40) {
            let shown = Visible(&text).to_string();
            proptest::prop_assert!(!shown.chars().any(is_hidden));
            let middle = Visible(&text).cut_middle(most);
            proptest::prop_assert!(middle.chars().count() <= most && !middle.chars().any(is_hidden));
            proptest::prop_assert!(middle == shown || middle.contains('…'));
            let cut = Visible(&text).cut(most);
            proptest::prop_assert!(cut.chars().count() <= most && !cut.chars().any(is_hidden));
            proptest::prop_assert!(cut == shown || shown.starts_with(cut.trim_end_matches('…')));
        }
    }
}
