//! What is done with a value on its way into a placeholder: [`Filter`].

use serde_json::Value;

use crate::path::{Segment, follow};

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

fn shortened(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
