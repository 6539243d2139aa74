//! What is done with a value on its way into a placeholder: [`Filter`].

use batch_core::Json;
use serde_json::Number;

use crate::datum::{Datum, is_number};
use crate::path::Segment;
use crate::percent;

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
    /// Writes any value as a text that is literal in a URL: all but letters, digits and `-._~` is escaped.
    Url,
    /// Takes a part of the value: `| .items[0]`.
    Path(Vec<Segment>),
}

impl Filter {
    /// The names of the filters.
    pub const NAMES: [&'static str; 6] = ["trim", "json", "int", "float", "text", "url"];

    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "trim" => Self::Trim,
            "json" => Self::Json,
            "int" => Self::Int,
            "float" => Self::Float,
            "text" => Self::Text,
            "url" => Self::Url,
            _ => return None,
        })
    }

    /// Applies the filter to a value.
    ///
    /// # Errors
    /// In words, when the value is not what the filter takes.
    pub fn apply(&self, value: Datum) -> Result<Datum, String> {
        let refused = |to: &str, value: &Datum| Err(format!("{} is not {to}", shortened(value)));
        Ok(match (self, value) {
            (Self::Path(path), value) => value.part(path)?,
            (Self::Trim, Datum::Text(text)) => text.trim().into(),
            (Self::Trim, other) => return refused("a text, as trim needs", &other),
            (Self::Json, Datum::Text(text)) => {
                Datum::read(&text).map_err(|error| format!("not JSON: {error}"))?
            }
            (Self::Int, value) => match whole_number(&value).and_then(number) {
                Some(number) => number,
                None => return refused("a whole number", &value),
            },
            (Self::Float, Datum::Text(text)) => match fraction(text.trim()).and_then(number) {
                Some(number) => number,
                None => return refused("a number", &text.into()),
            },
            (Self::Float, other) if other.as_number().is_none() => {
                return refused("a number", &other);
            }
            (Self::Text, other) => other.plain_text().into(),
            (Self::Url, other) => percent::component(other.plain_text()).into(),
            (Self::Json | Self::Float, other) => other,
        })
    }
}

/// The digits of a whole number, however many, as JSON writes them.
fn whole_number(value: &Datum) -> Option<String> {
    let text = match value {
        Datum::Text(text) => text.trim(),
        number => number.as_number()?,
    };
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    match digits.trim_start_matches('0') {
        "" => Some("0".to_owned()),
        digits => Some(format!("{sign}{digits}")),
    }
}

/// A number with a fraction or an exponent, as JSON writes it: with the digits of the text where they are right.
fn fraction(text: &str) -> Option<String> {
    if is_number(text) && Json::parse(text).is_ok() {
        let is_whole = !text.contains(['.', 'e', 'E']);
        return Some(format!("{text}{}", if is_whole { ".0" } else { "" }));
    }
    let number = text.parse().ok().and_then(Number::from_f64)?;
    Some(number.to_string())
}

/// A number; none where it is beyond all that have a value.
fn number(digits: String) -> Option<Datum> {
    Json::parse(&digits).map(Datum::Json).ok()
}

fn shortened(value: &Datum) -> String {
    let text = value.to_json();
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
