//! Paths into values, `.body.items[0]`: [`Segment`], and the value behind one: [`follow`] in a tree, [`part`] in a
//! text.

use std::borrow::Cow;
use std::fmt;

use batch_core::{Json, text::did_you_mean};
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// A field by name.
    Field(String),
    /// An element by position.
    Index(usize),
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(index) => write!(f, "[{index}]"),
            Self::Field(name) if !name.is_empty() && name.chars().all(is_name) => {
                write!(f, ".{name}")
            }
            Self::Field(name) => write!(f, "[{}]", Value::from(name.as_str())),
        }
    }
}

/// What a name of a field is made of, outside quotes.
pub(crate) const fn is_name(c: char) -> bool {
    !matches!(c, '.' | '[' | ']' | '{' | '}' | '|' | '"') && !c.is_whitespace()
}

/// Follows a path into a value.
///
/// # Errors
/// In words, when there is nothing there, with what there is.
///
/// ```
/// use batch_template::{Segment, follow};
/// let value = serde_json::json!({"body": [1, 2]});
/// let path = [Segment::Field("body".into()), Segment::Index(1)];
/// assert_eq!(follow(&value, &path), Ok(&serde_json::json!(2)));
/// assert_eq!(
///     follow(&value, &[Segment::Field("bdy".into())]).unwrap_err(),
///     "there is no field \"bdy\"; did you mean \"body\"?"
/// );
/// ```
pub fn follow<'v>(value: &'v Value, path: &[Segment]) -> Result<&'v Value, String> {
    path.iter()
        .try_fold(value, |value, segment| match (segment, value) {
            (Segment::Field(name), Value::Object(fields)) => fields.get(name).ok_or_else(|| {
                let known = || fields.keys().map(String::as_str);
                match did_you_mean(name, known()) {
                    Some(question) => format!("there is no field {name:?}; {question}"),
                    None if fields.is_empty() => {
                        format!("there is no field {name:?}, the object is empty")
                    }
                    None => format!(
                        "there is no field {name:?}; there is {}",
                        known().take(12).collect::<Vec<_>>().join(", ")
                    ),
                }
            }),
            (Segment::Index(index), Value::Array(elements)) => elements
                .get(*index)
                .ok_or_else(|| format!("there is no element [{index}], only {}", elements.len())),
            (Segment::Field(name), other) => Err(format!(
                "there is no field {name:?} in {}",
                Json::type_name(other)
            )),
            (Segment::Index(index), other) => Err(format!(
                "there is no element [{index}] in {}",
                Json::type_name(other)
            )),
        })
}

/// A part of a document, as text: of fields that occur twice the last one. Nothing beside it is read into
/// memory.
///
/// # Errors
/// In words, as [`follow`], when there is nothing there.
///
/// ```
/// use batch_core::Json;
/// use batch_template::{Segment, part};
/// let document = Json::parse(r#"{"a": [1, {"b": 2}]}"#).unwrap();
/// let path = [Segment::Field("a".into()), Segment::Index(1)];
/// assert_eq!(part(&document, &path), Ok(r#"{"b": 2}"#));
/// let why = part(&document, &[Segment::Index(0)]).unwrap_err();
/// assert_eq!(why, "there is no element [0] in an object");
/// ```
pub fn part<'d>(document: &'d Json, path: &[Segment]) -> Result<&'d str, String> {
    path.iter().try_fold(document.as_str(), |text, segment| {
        let mut reader = serde_json::Deserializer::from_str(text);
        // What does not hold such a part is an error of the shape; the text itself is well formed.
        Step(segment)
            .deserialize(&mut reader)
            .ok()
            .flatten()
            .map(RawValue::get)
            .ok_or_else(|| missing(text, segment))
    })
}

/// Says why a document has no such part. A large one is not made into a tree for that.
fn missing(text: &str, segment: &Segment) -> String {
    const LARGE: usize = 1 << 20;
    let tree = (text.len() <= LARGE).then(|| serde_json::from_str::<Value>(text));
    let why = tree.and_then(|tree| follow(&tree.ok()?, std::slice::from_ref(segment)).err());
    why.unwrap_or_else(|| format!("there is no {segment}"))
}

/// Finds the part of an object or a list that a step of a path leads to.
struct Step<'p>(&'p Segment);

impl<'de> DeserializeSeed<'de> for Step<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        match self.0 {
            Segment::Field(_) => deserializer.deserialize_map(self),
            Segment::Index(_) => deserializer.deserialize_seq(self),
        }
    }
}

impl<'de> Visitor<'de> for Step<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(name) = map.next_key::<FieldName<'de>>()? {
            match self.0 {
                Segment::Field(wanted) if *wanted == name.0 => found = Some(map.next_value()?),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let Segment::Index(wanted) = self.0 else {
            return Ok(None);
        };
        let mut found = None;
        let mut index = 0;
        loop {
            match index == *wanted {
                true => found = list.next_element()?,
                false if list.next_element::<IgnoredAny>()?.is_none() => return Ok(found),
                false => {}
            }
            index += 1;
        }
    }
}

/// The name of a field, borrowed where it has no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct FieldName<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parts::Template;

    #[test]
    fn a_part_is_what_a_tree_has_there() {
        let text =
            r#"{"a": [10, {"\u0062": {"c": "x"}}, []], "a b": null, "a": [1, {"b": {"c": "y"}}]}"#;
        let document = Json::parse(text).unwrap();
        let path = |text: &str| {
            let template = Template::parse(&format!("{{{{ x{text} }}}}")).unwrap();
            template.values().next().unwrap().path.clone()
        };
        for (at, expected) in [
            ("", Some(text)),
            (".a[1].b.c", Some("\"y\"")),
            (".a[1]", Some(r#"{"b": {"c": "y"}}"#)),
            ("[\"a b\"]", Some("null")),
            (".a[2]", None),
            (".a.b", None),
            ("[0]", None),
            (".a[0].x", None),
            (".none", None),
        ] {
            assert_eq!(part(&document, &path(at)).ok(), expected, "{at}");
        }
    }
}
