//! One spelling for all JSON texts that say the same: [`canonical_params`].
//!
//! Spacing, the order of fields, escapes in texts and the spelling of numbers are the writer's; what counts is the
//! value. Numbers are compared by their decimal digits and never as floats, in which large ones run into each other.

use std::fmt::Write as _;
use std::ops::Range;

use batch_core::Json;

use crate::document::string_end;

/// The parameters of a task in the one spelling of all that say the same: no spaces, fields by name, texts with no
/// needless escape, `1`, `1.0` and `10e-1` alike. Of a field that is given twice the last one counts, as for handlers.
///
/// A field of the parameters themselves that is `null` is left out, as handlers take it for absent. Deeper ones are
/// data: the `null` in `{"body": {"a": null}}` is sent.
///
/// ```
/// use batch_core::Json;
/// use batch_template::canonical_params;
/// let canonical = |text| canonical_params(&Json::parse(text).unwrap());
/// assert_eq!(
///     canonical(r#"{ "b": [1.50, -0], "a": "\u00e4", "c": null }"#),
///     canonical(r#"{"a":"ä","b":[15e-1,0]}"#),
/// );
/// assert_ne!(canonical(r#"{"a": 1}"#), canonical(r#"{"a": "1"}"#));
/// ```
pub fn canonical_params(params: &Json) -> String {
    let source = params.as_str();
    let bytes = source.as_bytes();
    let mut writer = Writer::default();
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'"' => string_end(bytes, at),
            b'-' | b'0'..=b'9' | b'a'..=b'z' => word_end(bytes, at),
            _ => at + 1,
        };
        writer.take(&source[at..end]);
        at = end;
    }
    writer.written
}

/// The place after the number or the word that begins at `at`.
fn word_end(bytes: &[u8], at: usize) -> usize {
    let ends = |byte: &u8| matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\r' | b'\n');
    let length = bytes[at..].iter().position(ends);
    length.map_or(bytes.len(), |length| at + length)
}

/// Writes the document part by part. A list of what is open, and no recursion: a document may be deep.
#[derive(Default)]
struct Writer {
    written: String,
    open: Vec<Open>,
}

enum Open {
    List,
    Object {
        /// Where it begins in what is written.
        start: usize,
        fields: Vec<Field>,
        /// The one whose value comes next.
        current: Option<Field>,
    },
}

/// A field: its name, and its value as a part of what is written.
struct Field {
    name: String,
    value: Range<usize>,
}

impl Writer {
    /// Takes one part: a mark, a text, a number, a word, or a space.
    fn take(&mut self, part: &str) {
        match part {
            "{" => self.open.push(Open::Object {
                start: self.written.len(),
                fields: Vec::new(),
                current: None,
            }),
            "[" => {
                self.written.push('[');
                self.open.push(Open::List);
            }
            "," => match self.open.last() {
                Some(Open::Object { .. }) => self.end_field(),
                _ => self.written.push(','),
            },
            "}" => {
                self.end_field();
                self.end_object();
            }
            "]" => {
                self.written.push(']');
                self.open.pop();
            }
            "true" | "false" | "null" => self.written.push_str(part),
            _ if part.starts_with('"') => self.text(part),
            _ if part.starts_with(|c: char| c == '-' || c.is_ascii_digit()) => {
                write_number(&mut self.written, part);
            }
            // A colon or a space.
            _ => {}
        }
    }

    fn text(&mut self, raw: &str) {
        let text = serde_json::from_str(raw).unwrap_or_else(|_| raw.to_owned());
        match self.open.last_mut() {
            Some(Open::Object {
                current: current @ None,
                ..
            }) => {
                let start = self.written.len();
                *current = Some(Field {
                    name: text,
                    value: start..start,
                });
            }
            _ => self.written.push_str(&in_quotes(&text)),
        }
    }

    /// The value of a field has ended.
    fn end_field(&mut self) {
        if let Some(Open::Object {
            fields, current, ..
        }) = self.open.last_mut()
            && let Some(mut field) = current.take()
        {
            field.value.end = self.written.len();
            fields.push(field);
        }
    }

    /// Puts the fields of an object into their order.
    fn end_object(&mut self) {
        let Some(Open::Object {
            start, mut fields, ..
        }) = self.open.pop()
        else {
            return;
        };
        // The sort is stable: of those with one name the last one is the one given last.
        fields.sort_by(|a, b| a.name.cmp(&b.name));
        let is_whole = self.open.is_empty();
        let mut ordered = String::with_capacity(self.written.len() - start + 2);
        for (index, field) in fields.iter().enumerate() {
            let next = fields.get(index + 1);
            let is_given_again = next.is_some_and(|next| next.name == field.name);
            let value = &self.written[field.value.clone()];
            if is_given_again || is_whole && value == "null" {
                continue;
            }
            ordered.push(if ordered.is_empty() { '{' } else { ',' });
            ordered.push_str(&in_quotes(&field.name));
            ordered.push(':');
            ordered.push_str(value);
        }
        ordered.push_str(if ordered.is_empty() { "{}" } else { "}" });
        self.written.truncate(start);
        self.written.push_str(&ordered);
    }
}

fn in_quotes(text: &str) -> String {
    serde_json::to_string(text).expect("a text is JSON")
}

/// Writes a number as a whole number without zeros at its end and the power of ten it is to be taken by: `15e-1`.
fn write_number(written: &mut String, text: &str) {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text),
    };
    let (mantissa, exponent) = rest.split_once(['e', 'E']).unwrap_or((rest, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let digits = all.trim_start_matches('0');
    let short = digits.trim_end_matches('0');
    if short.is_empty() {
        written.push('0');
        return;
    }
    let (minus, exponent) = match exponent.strip_prefix('-') {
        Some(exponent) => ("-", exponent),
        None => ("", exponent.trim_start_matches('+')),
    };
    let exponent = format!("{minus}{}", exponent.trim_start_matches('0'));
    // Lengths of texts in memory fit by far.
    let shift = (digits.len() - short.len()) as i64 - fraction.len() as i64;
    let whole_exponent = match exponent.as_str() {
        "" | "-" => Some(shift),
        known => known.parse::<i64>().ok().and_then(|e| e.checked_add(shift)),
    };
    let _ = match whole_exponent {
        Some(exponent) => write!(written, "{sign}{short}e{exponent}"),
        // Beyond every number there is use for: the text of the exponent is as good.
        None => write!(written, "{sign}{short}e{exponent}e{shift}"),
    };
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn canonical(text: &str) -> String {
        canonical_params(&Json::parse(text).unwrap())
    }

    #[track_caller]
    fn assert_same(texts: &[&str]) {
        for text in texts {
            assert_eq!(canonical(text), canonical(texts[0]), "{text}");
        }
    }

    #[track_caller]
    fn assert_all_differ(texts: &[&str]) {
        for (index, text) in texts.iter().enumerate() {
            for other in &texts[..index] {
                assert_ne!(canonical(text), canonical(other), "{text} {other}");
            }
        }
    }

    #[test]
    fn numbers_are_compared_by_value_to_the_last_digit() {
        assert_same(&["1", "1.0", "1e0", "10e-1", "1E+0", "0.1e1", "1000e-0003"]);
        assert_same(&["0", "-0", "0.0", "-0e5", "0e999999999", "0E-999999999999"]);
        assert_same(&["0.10", "0.1", "1e-1", "100e-3"]);
        assert_same(&["12345678901234567890123", "1234567890123456789012.3e1"]);
        assert_same(&["1e-999999999", "10e-1000000000", "0.1e-999999998"]);
        let huge = format!("1e-{}", "9".repeat(50));
        let other = format!("1e-{}8", "9".repeat(49));
        assert_all_differ(&[
            "12345678901234567890123",
            "12345678901234567890124",
            "18446744073709551615",
            "18446744073709551616",
            "1",
            "-1",
            "10",
            "0.1",
            "0",
            "1e-999999999",
            "1e-999999998",
            &huge,
            &other,
            "\"1\"",
            "true",
            "null",
        ]);
    }

    #[test]
    fn texts_are_compared_by_value_and_not_by_escapes() {
        assert_same(&[r#""ä/\"\\""#, r#""\u00e4\/\u0022\u005c""#]);
        assert_same(&[r#"{"ä": 1}"#, r#"{"\u00E4": 1}"#]);
        // The same letter, once as one and once as two: Unicode stays as it is.
        assert_all_differ(&["\"\u{e4}\"", "\"a\u{308}\"", r#""1e0""#, r#""{}""#]);
    }

    #[test]
    fn order_and_spaces_do_not_count_but_nesting_does() {
        assert_same(&[
            r#"{"a":{"x":[1,{"p":1,"q":[]}],"y":{}},"b":2}"#,
            " { \"b\" : 2.0 ,\r\n\t\"a\" : { \"y\" : { } , \"x\" : [ 1 , { \"q\" : [ ] , \"p\" : 1 } ] } } ",
        ]);
        assert_same(&[r#"{"a": 2}"#, r#"{"a": {"b": 1}, "a": 2}"#]);
        assert_all_differ(&[
            "[1,2]",
            "[2,1]",
            "[[1],2]",
            "[[1,2]]",
            r#"{"a":[1,2]}"#,
            r#"{"a":"[1,2]"}"#,
            r#"{"a":1,"b":2}"#,
            r#"{"a":{"b":2}}"#,
        ]);
    }

    #[test]
    fn a_null_is_no_field_of_the_parameters_and_data_below() {
        assert_same(&[r#"{"a": 1}"#, r#"{"z": null, "a": 1, "b":null}"#]);
        assert_same(&["{}", r#"{"z": null}"#, r#"{"z": 1, "z": null}"#]);
        assert_all_differ(&[
            "{}",
            r#"{"a": {}}"#,
            r#"{"a": {"b": null}}"#,
            r#"{"a": [null]}"#,
            r#"{"a": "null"}"#,
        ]);
    }

    #[test]
    fn a_deep_document_takes_no_stack() {
        let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        let raw = serde_json::value::RawValue::from_string(deep.clone()).unwrap();
        let canonical = canonical_params(&Json::from_raw(&raw));
        assert_eq!(canonical.len(), deep.len() + 2);
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[a-c\"\\\\{}ä ]{0,3}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map("[a-c\"ä]{0,2}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_says_the_same_however_it_is_written(value in any_value()) {
            // In a list, so that no field is one of the parameters themselves.
            let value = Value::from(vec![value]);
            let once = canonical_params(&Json::from(&value));
            prop_assert_eq!(canonical_params(&Json::parse(&once).unwrap()), once.clone());
            let pretty = serde_json::to_string_pretty(&value).unwrap();
            prop_assert_eq!(canonical_params(&Json::parse(&pretty).unwrap()), once);
        }
    }
}
