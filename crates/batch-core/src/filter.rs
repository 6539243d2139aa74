//! What is done with values on their way into a placeholder: [`follow`] a path, apply a [`Filter`].

use serde_json::Value;

use crate::catalog::nearest;
use crate::template::Segment;

/// Something done to a value before it is filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Takes white space off both ends of a text.
    Trim,
    /// Reads a text as JSON.
    Json,
    /// Reads a text as a whole number.
    Int,
    /// Reads a text as a number.
    Float,
    /// Writes any value as a text.
    Text,
    /// Takes a part of the value: `| .items[0]`.
    Path(Vec<Segment>),
}

/// Follows a path into a value.
///
/// # Errors
/// In words, when there is nothing there, with what there is.
///
/// ```
/// use batch_core::{Segment, follow};
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
                match nearest(name, known()) {
                    Some(known) => format!("there is no field {name:?}; did you mean {known:?}?"),
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
            (Segment::Field(name), other) => {
                Err(format!("there is no field {name:?} in {}", kind(other)))
            }
            (Segment::Index(index), other) => {
                Err(format!("there is no element [{index}] in {}", kind(other)))
            }
        })
}

impl Filter {
    /// The names of the filters.
    pub const NAMES: [&'static str; 5] = ["trim", "json", "int", "float", "text"];

    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "trim" => Self::Trim,
            "json" => Self::Json,
            "int" => Self::Int,
            "float" => Self::Float,
            "text" => Self::Text,
            _ => return None,
        })
    }

    /// Applies the filter to a value.
    pub(crate) fn apply(&self, value: Value) -> Result<Value, String> {
        let refused = |to: &str, value: &Value| Err(format!("{} is not {to}", shortened(value)));
        Ok(match (self, value) {
            (Self::Path(path), value) => follow(&value, path)?.clone(),
            (Self::Trim, Value::String(text)) => text.trim().into(),
            (Self::Trim, other) => return refused("a text, as trim needs", &other),
            (Self::Json, Value::String(text)) => {
                serde_json::from_str(&text).map_err(|e| format!("not JSON: {e}"))?
            }
            (Self::Int, Value::String(text)) => match text.trim().parse::<i64>() {
                Ok(number) => number.into(),
                Err(_) => return refused("a whole number", &text.into()),
            },
            (Self::Int, Value::Number(number)) if !number.is_f64() => Value::Number(number),
            (Self::Int, other) => return refused("a whole number", &other),
            (Self::Float, Value::String(text)) => {
                match text
                    .trim()
                    .parse::<f64>()
                    .ok()
                    .and_then(serde_json::Number::from_f64)
                {
                    Some(number) => Value::Number(number),
                    None => return refused("a number", &text.into()),
                }
            }
            (Self::Float, other) if !other.is_number() => return refused("a number", &other),
            (Self::Text, Value::String(text)) => text.into(),
            (Self::Text, other) => other.to_string().into(),
            (Self::Json | Self::Float, other) => other,
        })
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

fn shortened(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
