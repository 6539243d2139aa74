//! Foreign text made short and harmless: escaped first and truncated then, so that what is shown keeps its limit.
//!
//! Lengths are bytes of what is shown.

use batch_export::{Visible, VisibleLines};
use serde_json::Value;

/// A text of at most `limit` bytes; what is cut off is marked by `…`.
pub(crate) fn truncate(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let end = boundary(text, limit.saturating_sub('…'.len_utf8()));
    format!("{}…", &text[..end])
}

/// The last place at or before `at` bytes where a character begins.
fn boundary(text: &str, at: usize) -> usize {
    let is_begin = |at: &usize| text.is_char_boundary(*at);
    (0..=at.min(text.len())).rev().find(is_begin).unwrap_or(0)
}

/// A text with what steers a terminal escaped, of at most `limit` bytes.
pub(crate) fn visible(text: &str, limit: usize) -> String {
    // No character takes less room when it is escaped, so what follows these is cut anyway.
    let end = boundary(text, limit.saturating_add(4));
    truncate(&Visible(&text[..end]).to_string(), limit)
}

/// Which end of a long text is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Head,
    Tail,
}

/// One end of a text that takes no more than `limit` bytes, neither as lines that begin with `| ` nor in JSON, and how
/// many characters of the text it means. A line break at the end of the text is not shown.
pub(crate) fn excerpt(text: &str, end: End, limit: usize) -> (&str, usize) {
    let (text, last) = match text.strip_suffix('\n') {
        Some(text) => (text, 1),
        None => (text, 0),
    };
    let mut room = limit.saturating_sub(MARK.len());
    let mut fits = |c: char| {
        let cost = quoted_len(c).max(json_len(c));
        let is_room = cost <= room;
        room = room.saturating_sub(cost);
        is_room
    };
    let (mut bytes, mut characters) = (0, 0);
    let mut take = |c: char| {
        bytes += c.len_utf8();
        characters += 1;
    };
    match end {
        End::Head => text.chars().take_while(|c| fits(*c)).for_each(&mut take),
        End::Tail => (text.chars().rev())
            .take_while(|c| fits(*c))
            .for_each(&mut take),
    }
    let excerpt = match end {
        End::Head => &text[..bytes],
        End::Tail => &text[text.len() - bytes..],
    };
    let is_last_shown = end == End::Tail || bytes == text.len();
    (excerpt, characters + if is_last_shown { last } else { 0 })
}

/// A text as lines that begin with `| `.
pub(crate) fn quote(text: &str) -> String {
    let lines = text.split('\n');
    let lines: Vec<String> = lines
        .map(|line| format!("{MARK}{}", VisibleLines(line)))
        .collect();
    lines.join("\n")
}

const MARK: &str = "| ";

/// The bytes that a character takes in a quote.
fn quoted_len(c: char) -> usize {
    match c {
        '\n' => 1 + MARK.len(),
        c => VisibleLines(c.encode_utf8(&mut [0; 4])).to_string().len(),
    }
}

/// The bytes that a character takes in a text of JSON.
fn json_len(c: char) -> usize {
    match c {
        '"' | '\\' | '\n' | '\r' | '\t' => 2,
        c if c < ' ' => 6,
        c => c.len_utf8(),
    }
}

/// A JSON value of at most `limit` bytes, and a note on what is missing: its long texts are truncated, and if that is not
/// enough, so is its own text.
pub(crate) fn truncate_json(value: &Value, limit: usize) -> Value {
    let mut longest = limit;
    while longest > SHORTEST {
        let short = with_short_texts(value, longest);
        if short.to_string().len() <= limit {
            return short;
        }
        longest /= 2;
    }
    with_note(&value.to_string(), limit).into()
}

/// Truncated texts keep this much, most of which is the note on what is missing.
const SHORTEST: usize = 48;

fn with_short_texts(value: &Value, limit: usize) -> Value {
    match value {
        Value::String(text) if text.len() > limit => with_note(text, limit).into(),
        Value::Array(list) => list
            .iter()
            .map(|item| with_short_texts(item, limit))
            .collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, field)| (name.clone(), with_short_texts(field, limit)))
            .collect(),
        other => other.clone(),
    }
}

/// The head of a text, with a note on how much is missing. As JSON it takes no more than `limit` bytes.
fn with_note(text: &str, limit: usize) -> String {
    let mut room = limit.saturating_sub(44);
    let head: String = text
        .chars()
        .take_while(|c| {
            let cost = json_len(*c);
            let is_room = cost <= room;
            room = room.saturating_sub(cost);
            is_room
        })
        .collect();
    let missing = text[head.len()..].chars().count();
    format!("{head}… ({missing} characters more)")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn truncation_is_marked() {
        assert_eq!(truncate("abcdef", 6), "abcdef");
        assert_eq!(truncate("abcdefg", 6), "abc…");
        assert_eq!(visible("a\u{1b}b", 20), r"a\u{1b}b");
        let value = json!({ "stdout": "x".repeat(200), "exit_code": 1 });
        let shown = truncate_json(&value, 100).to_string();
        let head = "x".repeat(6);
        assert_eq!(
            shown,
            format!(r#"{{"exit_code":1,"stdout":"{head}… (194 characters more)"}}"#)
        );
        let list = json!(vec![7; 1_000]);
        let shown = truncate_json(&list, 100);
        assert!(
            shown
                .as_str()
                .unwrap()
                .ends_with("… (1945 characters more)"),
            "{shown}"
        );
    }

    #[test]
    fn an_end_of_a_text_is_quoted_line_by_line() {
        let text = "one\ntwo\nthree";
        assert_eq!(quote(text), "| one\n| two\n| three");
        assert_eq!(excerpt(text, End::Head, 100), (text, 13));
        assert_eq!(excerpt(text, End::Head, 10), ("one\ntw", 6));
        assert_eq!(excerpt(text, End::Tail, 12), ("wo\nthree", 8));
        assert_eq!(excerpt("a\n", End::Head, 10), ("a", 2));
    }

    proptest! {
        #[test]
        fn no_text_breaks_a_limit_or_its_quotes(text in r"(\PC|[\x00-\x1f\n\n\u{202e}\\]){0,200}", most in 50_usize..400) {
            for end in [End::Head, End::Tail] {
                let (excerpt, taken) = excerpt(&text, end, most);
                let (shown, whole) = (quote(excerpt), text.chars().count());
                let as_json = Value::from(excerpt).to_string().len();
                prop_assert!(shown.len() <= most && as_json <= most && taken <= whole);
                prop_assert!(shown.split('\n').all(|line| line.starts_with("| ")));
                prop_assert!(!shown.chars().any(|c| c.is_control() && c != '\n' && c != '\t'));
                // No character takes more than twice the room in JSON that it takes here.
                prop_assert!(taken == whole || 2 * shown.len() + 12 > most);
            }
            prop_assert!(visible(&text, most).len() <= most);
            let nested = json!({ "a": [text.clone(), { "b": text }] });
            let shown = truncate_json(&nested, most).to_string();
            prop_assert!(shown.len() <= most + 2, "{} of {most}: {shown}", shown.len());
        }
    }
}
