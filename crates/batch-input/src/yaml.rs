//! YAML: turned into JSON text with a note of the lines, so that the one pass over the fields serves it, too.
//!
//! Plain scalars are read so that nothing is lost: `null`, `~` and nothing are null, `true` and `false` are
//! themselves, a number is what JSON reads as one, and everything else is text. So `0644`, `0x1F`, `1_000`, `no` and
//! `2024-05-01` stay the text they are. A tag says what its author means (`scalar_json`, `check_collection`): `!!str` makes a text, `!!binary` bytes, and any other
//! is taken where it changes nothing and refused where it would.

use std::collections::HashMap;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};
use serde_json::Value;

use crate::item_template::push_text;
use crate::scope::{Report, shortened};

/// What aliases may make of a file, in bytes. A few lines of aliases of aliases can mean gigabytes.
const MOST_FROM_ALIASES: usize = 64 << 20;

/// What the parser says where a quote is not closed.
const UNCLOSED: [&str; 3] = [
    "quoted scalar, found unexpected end of stream",
    "quoted scalar, found unexpected document indicator",
    "invalid indentation in quoted scalar",
];

/// The JSON text, and for its places the lines they came from.
pub(crate) type Converted = (String, Vec<(usize, u32)>);

/// Turns one YAML document into JSON text. What cannot be turned is reported.
pub(crate) fn to_json(text: &str, report: &mut Report) -> Option<Converted> {
    let mut writer = Writer::default();
    for event in Parser::new_from_str(text) {
        let step = event
            .map_err(|error| Refused {
                line: error.marker().line(),
                column: Some(error.marker().col() + 1),
                message: format!("not well-formed YAML: {}", error.info()),
                help: UNCLOSED
                    .iter()
                    .any(|told| error.info().ends_with(told))
                    .then_some("a quote is not closed"),
            })
            .and_then(|(event, span)| writer.event(event, span));
        if let Err(refused) = step {
            let line = u32::try_from(refused.line).unwrap_or(u32::MAX);
            report.add(line, refused.message, refused.help);
            if let Some(problem) = report.problems.last_mut() {
                problem.column = refused.column.and_then(|column| u32::try_from(column).ok());
            }
            return None;
        }
    }
    if writer.documents == 0 {
        report.add(
            0,
            "the file is empty",
            Some("an empty list of tasks is written []"),
        );
        return None;
    }
    Some((writer.json, writer.marks))
}

/// Why a text is not taken.
struct Refused {
    line: usize,
    column: Option<usize>,
    message: String,
    help: Option<&'static str>,
}

/// A sequence or mapping that is open.
enum Frame {
    Sequence {
        anchor: usize,
        start: usize,
        empty: bool,
    },
    /// `key`: the next scalar is a key.
    Mapping {
        anchor: usize,
        start: usize,
        empty: bool,
        key: bool,
    },
}

#[derive(Default)]
struct Writer {
    json: String,
    marks: Vec<(usize, u32)>,
    open: Vec<Frame>,
    /// Where the JSON of each anchor is.
    anchors: HashMap<usize, Range<usize>>,
    from_aliases: usize,
    documents: usize,
}

impl Writer {
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Refused> {
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    let help = "keep one document in a file";
                    return Err(refused(span, "a second document begins", help));
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                let is_plain = style == ScalarStyle::Plain;
                let json = scalar_json(&text, is_plain, tag.as_deref(), span)?;
                self.scalar(&text, json, is_plain && tag.is_none(), anchor, span)?;
            }
            Event::SequenceStart(anchor, tag) => {
                check_collection(tag.as_deref(), "seq", span)?;
                let start = self.begin_value(span)?;
                self.json.push('[');
                let empty = true;
                self.open.push(Frame::Sequence {
                    anchor,
                    start,
                    empty,
                });
            }
            Event::MappingStart(anchor, tag) => {
                check_collection(tag.as_deref(), "map", span)?;
                let start = self.begin_value(span)?;
                self.json.push('{');
                let (empty, key) = (true, true);
                self.open.push(Frame::Mapping {
                    anchor,
                    start,
                    empty,
                    key,
                });
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(anchor) => self.alias(anchor, span)?,
            _ => {}
        }
        Ok(())
    }

    /// Writes what an anchor means once more.
    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), Refused> {
        let start = self.begin_value(span)?;
        let Some(range) = self.anchors.get(&anchor).cloned() else {
            let help = "write the value out";
            return Err(refused(
                span,
                "an alias (*…) for a name or for what it stands in",
                help,
            ));
        };
        self.from_aliases += range.len();
        if self.from_aliases > MOST_FROM_ALIASES {
            return Err(refused(
                span,
                "the aliases (*…) stand for more than 64 MiB",
                "use fewer",
            ));
        }
        let value = self.json[range].to_owned();
        self.json.push_str(&value);
        self.end_value(0, start);
        Ok(())
    }

    /// Writes a scalar, or its text where it is a field's name. `is_bare`: it has neither quotes nor a tag.
    fn scalar(
        &mut self,
        text: &str,
        json: String,
        is_bare: bool,
        anchor: usize,
        span: Span,
    ) -> Result<(), Refused> {
        if let Some(Frame::Mapping {
            key: key @ true,
            empty,
            ..
        }) = self.open.last_mut()
        {
            if text == "<<" && is_bare {
                return Err(Refused {
                    line: span.start.line(),
                    column: None,
                    message: "merge keys (<<) are not supported".to_owned(),
                    help: Some("write what all tasks share into \"defaults\""),
                });
            }
            let name = Value::from(text).to_string();
            if json != name && json != plain(text) {
                return Err(changing("!!binary", "the name of a field", span));
            }
            *key = false;
            let comma = !std::mem::replace(empty, false);
            self.json.push_str(if comma { "," } else { "" });
            self.mark(span);
            self.json.push_str(&name);
            self.json.push(':');
            return Ok(());
        }
        let start = self.begin_value(span)?;
        self.json.push_str(&json);
        self.end_value(anchor, start);
        Ok(())
    }

    /// Prepares for a value that is no key; gives where it begins.
    fn begin_value(&mut self, span: Span) -> Result<usize, Refused> {
        match self.open.last_mut() {
            Some(Frame::Mapping { key: true, .. }) => Err(Refused {
                line: span.start.line(),
                column: None,
                message: "a field's name must be a text".to_owned(),
                help: Some("text that begins with { or [ goes in quotes"),
            }),
            // The line of a field is that of its name.
            Some(Frame::Mapping { .. }) => Ok(self.json.len()),
            Some(Frame::Sequence { empty, .. }) => {
                let comma = !std::mem::replace(empty, false);
                self.json.push_str(if comma { "," } else { "" });
                self.mark(span);
                Ok(self.json.len())
            }
            None => {
                self.mark(span);
                Ok(self.json.len())
            }
        }
    }

    fn end_value(&mut self, anchor: usize, start: usize) {
        if anchor > 0 {
            self.anchors.insert(anchor, start..self.json.len());
        }
        if let Some(Frame::Mapping { key, .. }) = self.open.last_mut() {
            *key = true;
        }
    }

    fn close(&mut self) {
        match self.open.pop() {
            Some(Frame::Sequence { anchor, start, .. }) => {
                self.json.push(']');
                self.end_value(anchor, start);
            }
            Some(Frame::Mapping { anchor, start, .. }) => {
                self.json.push('}');
                self.end_value(anchor, start);
            }
            None => {}
        }
    }

    fn mark(&mut self, span: Span) {
        let line = u32::try_from(span.start.line()).unwrap_or(u32::MAX);
        self.marks.push((self.json.len(), line));
    }
}

/// A plain scalar as JSON.
fn plain(text: &str) -> String {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => "null".to_owned(),
        "true" | "True" | "TRUE" => "true".to_owned(),
        "false" | "False" | "FALSE" => "false".to_owned(),
        _ if is_json_number(text) => text.to_owned(),
        _ => Value::from(text).to_string(),
    }
}

fn is_json_number(text: &str) -> bool {
    text.starts_with(|c: char| c == '-' || c.is_ascii_digit())
        && serde_json::from_str::<serde_json::Number>(text).is_ok()
}

/// The schema whose tags are written `!!NAME`.
const CORE: &str = "tag:yaml.org,2002:";

/// A tag as its author could have written it, and its name where it is one of the core schema. All ways to write it come
/// to the same: `!!str`, `!<tag:yaml.org,2002:str>`, and a handle that the document declares.
fn tag_name(tag: &Tag) -> (String, Option<String>) {
    let whole = format!("{}{}", tag.handle, tag.suffix);
    match whole.strip_prefix(CORE) {
        Some(name) => (format!("!!{name}"), Some(name.to_owned())),
        None => (whole, None),
    }
}

/// Whether a tag is the lone `!`, which says that a value is not to be guessed at.
fn is_lone(tag: &Tag) -> bool {
    tag.handle.is_empty() && tag.suffix == "!"
}

/// A scalar as JSON.
fn scalar_json(
    text: &str,
    is_plain: bool,
    tag: Option<&Tag>,
    span: Span,
) -> Result<String, Refused> {
    let as_text = || Value::from(text).to_string();
    let Some(tag) = tag.filter(|tag| !is_lone(tag)) else {
        return Ok(match is_plain && tag.is_none() {
            true => plain(text),
            false => as_text(),
        });
    };
    let (shown, name) = tag_name(tag);
    let json = match name.as_deref() {
        None => return Err(foreign(&shown, span)),
        Some("str") => return Ok(as_text()),
        Some("binary") => return binary(text, span),
        // The text of quotes stays one, whatever a tag makes of it.
        Some(_) if !is_plain => as_text(),
        Some(_) => plain(text),
    };
    let is_same = match name.as_deref() {
        Some("null") => json == "null",
        Some("bool") => matches!(&*json, "true" | "false"),
        Some("int") => is_plain && is_json_number(text) && !text.contains(['.', 'e', 'E']),
        Some("float") => is_plain && is_json_number(text) && text.contains(['.', 'e', 'E']),
        _ => false,
    };
    match is_same {
        true => Ok(json),
        false => Err(changing(&shown, text, span)),
    }
}

/// The bytes of `!!binary`: a text where they are UTF-8, which is literal and is no template.
fn binary(text: &str, span: Span) -> Result<String, Refused> {
    let encoded: String = text.split_ascii_whitespace().collect();
    let bytes = STANDARD.decode(&encoded).map_err(|_| {
        let message = format!("!!binary does not go with {:?}", shortened(text));
        refused(span, message, "it takes base64, such as !!binary aGVsbG8=")
    })?;
    let mut json = String::new();
    push_text(&bytes, &mut json);
    Ok(json)
}

/// Refuses a tag on a list or an object unless it says what that is anyway.
fn check_collection(tag: Option<&Tag>, own: &str, span: Span) -> Result<(), Refused> {
    let Some(tag) = tag.filter(|tag| !is_lone(tag)) else {
        return Ok(());
    };
    let kind = if own == "seq" { "a list" } else { "an object" };
    match tag_name(tag) {
        (_, Some(name)) if name == own => Ok(()),
        (shown, Some(_)) => Err(changing(&shown, kind, span)),
        (shown, None) => Err(foreign(&shown, span)),
    }
}

/// Refuses a tag that would make another value of what it is before.
fn changing(tag: &str, value: &str, span: Span) -> Refused {
    let message = format!("the tag {tag} would change {}", shortened(value));
    refused(span, message, "write the value itself, or !!str for a text")
}

fn foreign(tag: &str, span: Span) -> Refused {
    let message = format!("{tag} is a tag of its own kind");
    refused(span, message, "take the tag (!…) away")
}

fn refused(span: Span, message: impl Into<String>, help: &'static str) -> Refused {
    Refused {
        line: span.start.line(),
        column: None,
        message: message.into(),
        help: Some(help),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(yaml: &str) -> Result<String, String> {
        let mut report = Report::new("t.yaml");
        let converted = to_json(yaml, &mut report);
        converted
            .map(|(json, _)| json)
            .ok_or_else(|| report.problems[0].to_string())
    }

    #[test]
    fn scalars_lose_nothing() {
        assert_eq!(
            json("[1, -2.50, 0644, 0x1F, +1, .5, 1_0, no, 2024-05-01, ~, null, true, False, '1', !!str 7, 1e3, 'a\"b']")
                .unwrap(),
            r#"[1,-2.50,"0644","0x1F","+1",".5","1_0","no","2024-05-01",null,null,true,false,"1","7",1e3,"a\"b"]"#
        );
    }

    #[test]
    fn structure_and_aliases_are_copied() {
        assert_eq!(
            json("a: &x {b: [1, c]}\nd: *x\n7: |\n  two\n  lines\ne:\n").unwrap(),
            r#"{"a":{"b":[1,"c"]},"d":{"b":[1,"c"]},"7":"two\nlines\n","e":null}"#
        );
    }

    #[test]
    fn what_is_not_taken_is_named_with_its_line() {
        for (yaml, problem) in [
            (
                "",
                "t.yaml: the file is empty; an empty list of tasks is written []",
            ),
            (
                "a: 1\n---\nb: 2\n",
                "t.yaml:2: a second document begins; keep one document in a file",
            ),
            (
                "a: &x {b: 1}\nc:\n  <<: *x\n",
                "t.yaml:3: merge keys (<<) are not supported; write what all tasks share into \"defaults\"",
            ),
            (
                "a: !mine 1\n",
                "t.yaml:1: !mine is a tag of its own kind; take the tag (!…) away",
            ),
            (
                "{a: 1}: 2\n",
                "t.yaml:1: a field's name must be a text; text that begins with { or [ goes in quotes",
            ),
        ] {
            assert_eq!(json(yaml), Err(problem.to_owned()), "{yaml}");
        }
        assert!(json("a: [1\nb: 2").unwrap_err().starts_with("t.yaml:2:"));
    }

    #[test]
    fn a_tag_gives_the_value_it_says_or_is_refused() {
        for (yaml, expected) in [
            ("!!binary aGVsbG8=", "\"hello\""),
            ("!!binary 'aGVs\n  bG8='", "\"hello\""),
            ("!!binary |\n  aGVs\n  bG8=\n", "\"hello\""),
            ("!!binary ''", "\"\""),
            ("!!binary eP97ew==", "{\"base64\":\"eP97ew==\"}"),
            ("!<tag:yaml.org,2002:binary> aGVsbG8=", "\"hello\""),
            ("!!str 7", "\"7\""),
            ("!!str", "\"\""),
            ("!<tag:yaml.org,2002:str> true", "\"true\""),
            ("! 7", "\"7\""),
            ("!!int -7", "-7"),
            ("!!float 7.5", "7.5"),
            ("!!null ~", "null"),
            ("!!null", "null"),
            ("!!bool True", "true"),
            (
                "{!!int 7: 1, !!str 8: 2, ! 9: 3}",
                "{\"7\":1,\"8\":2,\"9\":3}",
            ),
            ("!!seq [1]", "[1]"),
            ("!!map {a: 1}", "{\"a\":1}"),
            ("!<tag:yaml.org,2002:map> {a: !!seq []}", "{\"a\":[]}"),
        ] {
            assert_eq!(json(yaml).as_deref(), Ok(expected), "{yaml}");
        }
        // Braces in bytes are no placeholder.
        let braces = json("!!binary e3sgcm93LmEgfX0=").unwrap();
        assert_eq!(braces, "\"{{ \\\"{{\\\" }} row.a }}\"");
    }

    #[test]
    fn a_tag_that_would_change_the_value_is_refused() {
        for (yaml, said) in [
            ("!!int '7'", "!!int would change 7"),
            ("!!int 0x1F", "!!int would change 0x1F"),
            ("!!int 7.5", "!!int would change 7.5"),
            ("!!float 7", "!!float would change 7"),
            ("!!float .inf", "!!float would change .inf"),
            ("!!bool yes", "!!bool would change yes"),
            ("!!null x", "!!null would change x"),
            (
                "!!timestamp 2024-05-01",
                "!!timestamp would change 2024-05-01",
            ),
            ("!!set {a, b}", "!!set would change an object"),
            ("!!omap [a: 1]", "!!omap would change a list"),
            ("!!map [1]", "!!map would change a list"),
            ("!!str [1]", "!!str would change a list"),
            ("!!python/tuple [1]", "!!python/tuple would change a list"),
            ("!<tag:yaml.org,2002:int> '7'", "!!int would change 7"),
            (
                "%TAG !y! tag:yaml.org,2002:\n--- !y!int '7'",
                "!!int would change 7",
            ),
            (
                "%TAG !! tag:example.org,2000:\n--- !!str 7",
                "tag:example.org,2000:str is a tag",
            ),
            (
                "!<tag:example.org,2000:x> 7",
                "tag:example.org,2000:x is a tag",
            ),
            (
                "!!binary 'no*base64'",
                "!!binary does not go with \"no*base64\"",
            ),
            ("!!binary a", "!!binary does not go with \"a\""),
            ("!!binary [a]", "!!binary would change a list"),
            (
                "{!!binary aGk=: 1}",
                "!!binary would change the name of a field",
            ),
        ] {
            let told = json(yaml).unwrap_err();
            assert!(told.contains(said), "{yaml}: {told}");
        }
    }

    #[test]
    fn aliases_of_aliases_are_bounded() {
        let mut yaml = format!("a0: &a0 {:?}\n", "x".repeat(100));
        for n in 1..12 {
            let list = vec![format!("*a{}", n - 1); 10].join(", ");
            yaml.push_str(&format!("a{n}: &a{n} [{list}]\n"));
        }
        assert!(json(&yaml).unwrap_err().contains("64 MiB"));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_valid_json_or_a_problem(text in "[-:\\[\\]{}&*!|> \\n\"'a1~.,]{0,40}") {
            if let Ok(json) = json(&text) {
                proptest::prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(&json).is_ok(), "{}", json);
            }
        }
    }
}
