//! JSON as compact text: the parameters and results of tasks.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use serde::de::{DeserializeOwned, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

/// A JSON document as text, always valid.
///
/// Parameters and results are kept as text and not as a tree: a queued task then takes tens of bytes
/// and not hundreds, and a document from a file is stored as it was written.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Json(Arc<str>);

impl Json {
    /// What type a value has, in words.
    pub fn type_name(value: &Value) -> &'static str {
        match value {
            Value::Null => "null",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::String(_) => "a text",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        }
    }

    /// The document `value` serializes to.
    ///
    /// # Errors
    /// When the value cannot be written as JSON, as with a map whose keys are not text.
    pub fn new<T: Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        serde_json::to_string(value).map(|text| Self(text.into()))
    }

    /// `null`.
    pub fn null() -> Self {
        static NULL: std::sync::OnceLock<Json> = std::sync::OnceLock::new();
        NULL.get_or_init(|| Self("null".into())).clone()
    }

    /// Takes a document that serde has already found valid, byte by byte.
    ///
    /// A raw value from outside goes through [`Json::parse`] instead: serde skips a raw value without looking
    /// at the range of its numbers, at its depth and at half surrogate pairs.
    pub fn from_raw(raw: &RawValue) -> Self {
        Self(raw.get().into())
    }

    /// Checks and takes a text. A byte order mark before it is passed over.
    ///
    /// # Errors
    /// When the text is not one JSON document, is nested more than 127 deep, or holds a number or a text
    /// that has no value.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        let text = without_mark(text);
        serde_json::from_str::<Checked>(text)?;
        serde_json::from_str::<&RawValue>(text).map(Self::from_raw)
    }

    /// Checks a text as [`Json::parse`] does and takes it without the white space between its parts: what comes
    /// from elsewhere may have lines, and a document here has none.
    ///
    /// # Errors
    /// The text, unchanged, when it is not one document.
    pub fn compact(text: String) -> Result<Self, String> {
        if serde_json::from_str::<Checked>(without_mark(&text)).is_err() {
            return Err(text);
        }
        let unmarked = without_mark(&text).len();
        let (mut quoted, mut escaped) = (false, false);
        let mut bytes = text.into_bytes();
        bytes.drain(..bytes.len() - unmarked);
        bytes.retain(|byte| {
            if quoted {
                quoted = escaped || *byte != b'"';
                escaped = !escaped && *byte == b'\\';
                return true;
            }
            quoted = *byte == b'"';
            !byte.is_ascii_whitespace()
        });
        let text = String::from_utf8(bytes).expect("only white space was taken away");
        Ok(Self(text.into()))
    }

    /// Where an object of the document first gives a field twice, as in `args.n`. Readers of JSON take one of the two
    /// and differ in which.
    ///
    /// ```
    /// use batch_core::Json;
    /// let twice = |text| Json::parse(text).unwrap().given_twice();
    /// assert_eq!(twice(r#"{"a": [{"n": 1, "n": 2}]}"#).as_deref(), Some("a[0].n"));
    /// assert_eq!(twice(r#"{"a": {"n": 1}, "n": 2}"#), None);
    /// ```
    pub fn given_twice(&self) -> Option<String> {
        let mut path = Vec::new();
        let mut reader = serde_json::Deserializer::from_str(&self.0);
        Unique(&mut path).deserialize(&mut reader).err()?;
        let path: String = path.into_iter().rev().collect();
        Some(path.strip_prefix('.').unwrap_or(&path).to_owned())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first whole number of which a tree would keep a float with other digits.
    pub fn inexact_number(&self) -> Option<&str> {
        let mut rest = self.as_str();
        while let Some(at) = rest.find(|c: char| c == '"' || c == '-' || c.is_ascii_digit()) {
            rest = &rest[at..];
            let is_part = |c: char| "+-.eE".contains(c) || c.is_ascii_digit();
            let end = match rest.strip_prefix('"') {
                Some(text) => 1 + length_of_text(text),
                None => rest.find(|c| !is_part(c)).unwrap_or(rest.len()),
            };
            let (number, after) = rest.split_at(end);
            let is_whole = !number.contains(['"', '.', 'e', 'E']);
            if is_whole && number.parse::<i64>().is_err() && number.parse::<u64>().is_err() {
                return Some(number);
            }
            rest = after;
        }
        None
    }

    /// The document as a tree.
    pub fn to_value(&self) -> Value {
        serde_json::from_str(&self.0).expect("a Json holds valid JSON")
    }

    /// Reads the document into a type.
    ///
    /// # Errors
    /// When the document has another shape than `T`.
    pub fn get<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(&self.0)
    }
}

/// A text without the byte order mark that some programs write before it.
fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// How long the rest of a text is, with the quotes at its end.
fn length_of_text(text: &str) -> usize {
    let mut is_escaped = false;
    let end = text.bytes().position(|byte| {
        let ends = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        ends
    });
    end.map_or(text.len(), |end| end + 1)
}

/// Reads a value whose objects give each field once. Of one that does not, the steps to the field are left, the last
/// one first.
struct Unique<'p>(&'p mut Vec<String>);

impl<'de> DeserializeSeed<'de> for Unique<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unique<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        for index in 0.. {
            let element = list.next_element_seed(Unique(self.0));
            let element = element.inspect_err(|_| self.0.push(format!("[{index}]")))?;
            if element.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            if seen.contains(&name) {
                self.0.push(format!(".{name}"));
                return Err(serde::de::Error::custom("a field is given twice"));
            }
            let value = map.next_value_seed(Unique(self.0));
            value.inspect_err(|_| self.0.push(format!(".{name}")))?;
            seen.insert(name);
        }
        Ok(())
    }
}

/// A document that was read to its last detail and not kept.
struct Checked;

impl<'de> Deserialize<'de> for Checked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CheckedVisitor)
    }
}

struct CheckedVisitor;

impl<'de> Visitor<'de> for CheckedVisitor {
    type Value = Checked;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_str<E>(self, _: &str) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Checked, A::Error> {
        while elements.next_element::<Checked>()?.is_some() {}
        Ok(Checked)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Checked, A::Error> {
        while fields.next_entry::<Checked, Checked>()?.is_some() {}
        Ok(Checked)
    }
}

impl From<&Value> for Json {
    fn from(value: &Value) -> Self {
        Self(value.to_string().into())
    }
}

impl From<Value> for Json {
    fn from(value: Value) -> Self {
        Self::from(&value)
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Json {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(&self.0).expect("a Json holds valid JSON");
        raw.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_as_a_value_is_no_document() {
        for text in [
            "1e999",
            r#"["\ud800"]"#,
            r#"{"\ud800": 1}"#,
            "",
            "[1,]",
            "1 2",
            &"[".repeat(200),
        ] {
            assert!(Json::parse(text).is_err(), "{text}");
        }
        let text = r#"{ "a": [1.50, -1, 18446744073709551615, null, true, "\u00e4"] }"#;
        assert_eq!(Json::parse(text).unwrap().as_str(), text);
        let marked = format!("\u{feff}{text}");
        assert_eq!(Json::parse(&marked).unwrap().as_str(), text);
        assert!(Json::parse("\u{feff}\u{feff}1").is_err());
    }

    #[test]
    fn numbers_that_a_tree_would_change_are_found() {
        for (text, found) in [
            (
                r#"{"a": [18446744073709551615, -9223372036854775808, 1e30, 0.10]}"#,
                None,
            ),
            (
                r#"["\"18446744073709551616", "\\", {"18446744073709551616": ""}]"#,
                None,
            ),
            ("[1, 18446744073709551616]", Some("18446744073709551616")),
            (
                r#"{"a\\": -9223372036854775809}"#,
                Some("-9223372036854775809"),
            ),
        ] {
            assert_eq!(Json::parse(text).unwrap().inexact_number(), found, "{text}");
        }
    }

    #[test]
    fn a_compact_document_is_the_same_in_one_line() {
        for (text, compact) in [
            (
                "{ \"a b\" :\n[ 1.50,\t\" \\\" \\\\\" , null ] }\r\n",
                "{\"a b\":[1.50,\" \\\" \\\\\",null]}",
            ),
            (" \"ä  b\" ", "\"ä  b\""),
            ("1", "1"),
            ("\u{feff}[ 1 ]", "[1]"),
        ] {
            let document = Json::compact(text.to_owned()).unwrap();
            assert_eq!(document.as_str(), compact);
            assert_eq!(
                document.to_value(),
                serde_json::from_str::<Value>(compact).unwrap()
            );
        }
        for text in ["", " [1 , ", "{} {}", "1e999", &"[".repeat(200)] {
            assert_eq!(Json::compact(text.to_owned()), Err(text.to_owned()));
        }
    }
}
