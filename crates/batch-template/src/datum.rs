//! A value on its way into a placeholder: [`Datum`].
//!
//! It is kept as it was written, and never made into a tree: the digits of a number and the order of fields stay.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use batch_core::Json;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::document::{escape_braces, map_texts, may_have_placeholders};
use crate::path::{Segment, follow, part};

/// A value that is filled in.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(untagged)]
pub enum Datum {
    /// A text.
    Text(String),
    /// A document that is no text, without white space between its parts.
    Json(Json),
}

impl Datum {
    /// Reads a JSON document. A byte order mark before it is passed over.
    ///
    /// # Errors
    /// In words, when it is none.
    ///
    /// ```
    /// use batch_template::Datum;
    /// let list = Datum::read(r#"[123456789012345678901, {"z": 1, "a": 2.50}]"#).unwrap();
    /// assert_eq!(list.to_json(), r#"[123456789012345678901,{"z":1,"a":2.50}]"#);
    /// ```
    pub fn read(json: &str) -> Result<Self, String> {
        let checked = Json::parse(json).map_err(|error| error.to_string())?;
        if checked.as_str().trim_start().starts_with('"') {
            return checked.get().map(Self::Text).map_err(|e| e.to_string());
        }
        let compact = Json::compact(json.to_owned());
        Ok(Self::Json(compact.unwrap_or(checked)))
    }

    /// The part that a path leads to.
    ///
    /// # Errors
    /// In words, when there is nothing there, with what there is.
    pub fn part(self, path: &[Segment]) -> Result<Self, String> {
        match self {
            value if path.is_empty() => Ok(value),
            Self::Text(text) => follow(&text.into(), path).map(|found| found.clone().into()),
            Self::Json(json) => match part(&json, path) {
                Ok(found) => Self::read(found),
                Err(_) => follow(&json.to_value(), path).map(|found| found.clone().into()),
            },
        }
    }

    /// The value as a JSON document.
    pub fn to_json(&self) -> String {
        match self {
            Self::Text(text) => Value::from(text.as_str()).to_string(),
            Self::Json(json) => json.as_str().to_owned(),
        }
    }

    /// A text as it is, other values as JSON.
    pub fn plain_text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Json(json) => json.as_str(),
        }
    }

    /// The value, such that no text in it is a placeholder.
    pub(crate) fn escaped(&self) -> Cow<'_, Self> {
        match self {
            Self::Text(text) => match escape_braces(text) {
                Cow::Borrowed(_) => Cow::Borrowed(self),
                Cow::Owned(text) => Cow::Owned(Self::Text(text)),
            },
            Self::Json(json) if may_have_placeholders(json) => {
                let escaped = map_texts(json, &mut |text| escape_braces(text).into_owned());
                Cow::Owned(Self::Json(escaped))
            }
            Self::Json(_) => Cow::Borrowed(self),
        }
    }

    /// The elements, where it is a list.
    pub fn elements(&self) -> Option<Vec<Self>> {
        let Self::Json(json) = self else { return None };
        let elements: Vec<&RawValue> = serde_json::from_str(json.as_str()).ok()?;
        let elements = elements.into_iter();
        elements.map(|raw| Self::read(raw.get()).ok()).collect()
    }

    /// The fields in their order, where it is an object.
    pub fn fields(&self) -> Option<Vec<(String, Self)>> {
        let Self::Json(json) = self else { return None };
        let Fields(fields) = serde_json::from_str(json.as_str()).ok()?;
        let fields = fields.into_iter();
        fields
            .map(|(name, raw)| Some((name, Self::read(raw.get()).ok()?)))
            .collect()
    }

    /// The number as it was written, where it is one.
    pub fn as_number(&self) -> Option<&str> {
        match self {
            Self::Json(json) if is_number(json.as_str()) => Some(json.as_str()),
            _ => None,
        }
    }
}

/// The fields of an object, as they are written.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder<'a>(PhantomData<&'a ()>);

        impl<'de: 'a, 'a> Visitor<'de> for InOrder<'a> {
            type Value = Fields<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(InOrder(PhantomData))
    }
}

/// Whether what a JSON document says is a number.
pub(crate) fn is_number(json: &str) -> bool {
    json.starts_with(|c: char| c == '-' || c.is_ascii_digit())
}

impl From<Value> for Datum {
    fn from(value: Value) -> Self {
        match value {
            Value::String(text) => Self::Text(text),
            other => Self::Json(other.into()),
        }
    }
}

impl From<&str> for Datum {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Datum {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}
