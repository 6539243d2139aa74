//! YAML: turned into JSON text with a note of the lines, so that the one pass over the fields serves it, too.
//!
//! Plain scalars are read so that nothing is lost: `null`, `~` and nothing are null, `true` and `false` are
//! themselves, a number is what JSON reads as one, and everything else is text. So `0644`, `0x1F`, `1_000`, `no` and
//! `2024-05-01` stay the text they are.

use std::collections::HashMap;
use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};
use serde_json::Value;

use crate::scope::Report;

/// What aliases may make of a file, in bytes. A few lines of aliases of aliases can stand for gigabytes.
const MOST_FROM_ALIASES: usize = 64 << 20;

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
                help: None,
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
                let is_plain = style == ScalarStyle::Plain && !is_text_tag(tag.as_deref(), span)?;
                self.scalar(&text, !is_plain, anchor, span)?;
            }
            Event::SequenceStart(anchor, tag) => {
                is_text_tag(tag.as_deref(), span)?;
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
                is_text_tag(tag.as_deref(), span)?;
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

    /// Writes what an anchor stands for once more.
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

    fn scalar(
        &mut self,
        text: &str,
        is_text: bool,
        anchor: usize,
        span: Span,
    ) -> Result<(), Refused> {
        if let Some(Frame::Mapping {
            key: key @ true,
            empty,
            ..
        }) = self.open.last_mut()
        {
            if text == "<<" && !is_text {
                return Err(Refused {
                    line: span.start.line(),
                    column: None,
                    message: "merge keys (<<) are not supported".to_owned(),
                    help: Some("write what all tasks share into \"defaults\""),
                });
            }
            *key = false;
            let comma = !std::mem::replace(empty, false);
            self.json.push_str(if comma { "," } else { "" });
            self.mark(span);
            self.json.push_str(&Value::from(text).to_string());
            self.json.push(':');
            return Ok(());
        }
        let start = self.begin_value(span)?;
        if is_text {
            self.json.push_str(&Value::from(text).to_string());
        } else {
            self.json.push_str(&plain(text));
        }
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

/// Whether a tag makes a plain scalar a text. Tags other than YAML's own are refused.
fn is_text_tag(tag: Option<&Tag>, span: Span) -> Result<bool, Refused> {
    match tag {
        None => Ok(false),
        Some(tag) if tag.is_yaml_core_schema() => Ok(tag.suffix == "str"),
        Some(tag) if tag.handle.is_empty() && tag.suffix == "!" => Ok(true),
        Some(_) => Err(refused(
            span,
            "a tag of its own kind",
            "take the tag (!…) away",
        )),
    }
}

fn refused(span: Span, message: &str, help: &'static str) -> Refused {
    Refused {
        line: span.start.line(),
        column: None,
        message: message.to_owned(),
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
                "t.yaml:1: a tag of its own kind; take the tag (!…) away",
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
