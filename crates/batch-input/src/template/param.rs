//! One declared parameter of a template, and what values it takes: [`Param`], [`ParamType`].

use std::collections::HashSet;
use std::fmt;

use batch_core::text::did_you_mean;
use serde_json::{Number, Value};

use crate::scope::shortened;

/// A parameter that a template declares.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// The name, as in `{{ params.NAME }}`.
    pub name: String,
    /// What values it takes.
    pub kind: ParamType,
    /// The value when none is given. Without one, a value must be given.
    pub default: Option<Value>,
    /// The values it takes, when these are few; of a list, those of its elements. Empty for any.
    pub choices: Vec<Value>,
    /// What it is for.
    pub description: Option<String>,
}

/// What values a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamType {
    /// A text.
    Text,
    /// A number without a fraction, of at most 64 bits.
    Integer,
    /// Any number.
    Number,
    /// True or false.
    Boolean,
    /// A list. As a text it is a JSON array, or texts with commas between them.
    List,
    /// Any JSON.
    Json,
}

/// Why a value is not taken: what is wrong, and how to mend it.
#[derive(Debug)]
pub(crate) struct Wrong {
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

impl ParamType {
    /// All types.
    pub const ALL: [Self; 6] = [
        Self::Text,
        Self::Integer,
        Self::Number,
        Self::Boolean,
        Self::List,
        Self::Json,
    ];

    /// The name, as in a declaration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::List => "list",
            Self::Json => "json",
        }
    }

    /// What a value must be, in words.
    const fn wanted(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Integer => "a whole number",
            Self::Number => "a number",
            Self::Boolean => "true or false",
            Self::List => "a list such as a,b or [\"a\", \"b\"]",
            Self::Json => "JSON",
        }
    }

    /// Reads a text as a value of this type.
    fn read(self, text: &str) -> Option<Value> {
        let trimmed = text.trim();
        match self {
            Self::Text => Some(text.into()),
            Self::Integer => integer(trimmed),
            Self::Number => {
                let fraction = || trimmed.parse().ok().and_then(Number::from_f64);
                integer(trimmed).or_else(|| fraction().map(Value::Number))
            }
            Self::Boolean if trimmed.eq_ignore_ascii_case("true") => Some(true.into()),
            Self::Boolean if trimmed.eq_ignore_ascii_case("false") => Some(false.into()),
            Self::Boolean => None,
            Self::List if trimmed.is_empty() => Some(Value::Array(Vec::new())),
            Self::List if trimmed.starts_with('[') => {
                serde_json::from_str(trimmed).ok().filter(Value::is_array)
            }
            Self::List => Some(trimmed.split(',').map(str::trim).collect()),
            Self::Json => serde_json::from_str(trimmed).ok(),
        }
    }

    fn holds(self, value: &Value) -> bool {
        match self {
            Self::Text => value.is_string(),
            Self::Integer => value.is_i64() || value.is_u64(),
            Self::Number => value.is_number(),
            Self::Boolean => value.is_boolean(),
            Self::List => value.is_array(),
            Self::Json => true,
        }
    }
}

impl fmt::Display for ParamType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Param {
    /// Reads a text, such as that of `--param k=v` or of a cell, as a value.
    pub(crate) fn read(&self, text: &str) -> Result<Value, Wrong> {
        match self.kind.read(text) {
            Some(value) => self.chosen(value),
            None => Err(self.wrong(&Value::from(text))),
        }
    }

    /// Checks a JSON value.
    pub(crate) fn check(&self, value: &Value) -> Result<Value, Wrong> {
        if self.kind.holds(value) {
            self.chosen(value.clone())
        } else {
            Err(self.wrong(value))
        }
    }

    /// Whether `null` stands for no value.
    pub(crate) fn null_is_nothing(&self) -> bool {
        self.kind != ParamType::Json
    }

    /// A value that it takes, to check the template with.
    pub(crate) fn sample(&self) -> Value {
        match (self.kind, self.choices.first()) {
            (ParamType::List, _) => Value::Array(self.choices.iter().take(1).cloned().collect()),
            (_, Some(choice)) => choice.clone(),
            (ParamType::Text, _) => "x".into(),
            (ParamType::Integer | ParamType::Number, _) => 1.into(),
            (ParamType::Boolean, _) => true.into(),
            (ParamType::Json, _) => Value::Null,
        }
    }

    fn wrong(&self, value: &Value) -> Wrong {
        let (name, wanted, written) = (&self.name, self.kind.wanted(), value.to_string());
        let unquoted = value
            .as_str()
            .is_some_and(|text| self.kind.read(text).is_some());
        let help = match self.kind {
            // From JSON: a text is read by its type, and told here only when that fails.
            _ if unquoted => Some("write it without quotes".to_owned()),
            ParamType::Text => Some("write it in quotes".to_owned()),
            ParamType::Json => Some("a text in JSON is in double quotes".to_owned()),
            _ => None,
        };
        Wrong {
            message: format!(
                "the parameter {name:?} must be {wanted}, not {}",
                shortened(&written)
            ),
            help,
        }
    }

    /// Takes a value when it is one of the choices, or there are none.
    fn chosen(&self, value: Value) -> Result<Value, Wrong> {
        let elements = match &value {
            Value::Array(elements) if self.kind == ParamType::List => elements.as_slice(),
            value => std::slice::from_ref(value),
        };
        let choices: HashSet<&Value> = self.choices.iter().collect();
        let is_other = |element: &&Value| !choices.is_empty() && !choices.contains(*element);
        let other = elements.iter().find(is_other);
        let Some(other) = other else {
            return Ok(value);
        };
        let choices: Vec<String> = self.choices.iter().map(Value::to_string).collect();
        let texts = self.choices.iter().filter_map(Value::as_str);
        let help = other.as_str().and_then(|text| did_you_mean(text, texts));
        let of = match self.kind {
            ParamType::List => "may hold",
            _ => "must be one of",
        };
        Err(Wrong {
            message: format!(
                "the parameter {:?} {of} {}, not {}",
                self.name,
                choices.join(", "),
                shortened(&other.to_string())
            ),
            help,
        })
    }
}

fn integer(text: &str) -> Option<Value> {
    let signed = text.parse::<i64>().map(Value::from);
    signed
        .or_else(|_| text.parse::<u64>().map(Value::from))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn param(kind: ParamType, choices: Value) -> Param {
        Param {
            name: "p".to_owned(),
            kind,
            default: None,
            choices: choices.as_array().cloned().unwrap_or_default(),
            description: None,
        }
    }

    fn read(kind: ParamType, text: &str) -> Result<Value, String> {
        let read = param(kind, json!([])).read(text);
        read.map_err(|wrong| wrong.message)
    }

    #[test]
    fn texts_become_values_of_the_type() {
        for (kind, text, value) in [
            (ParamType::Text, " 7 ", json!(" 7 ")),
            (ParamType::Integer, " 7\n", json!(7)),
            (ParamType::Integer, "-3", json!(-3)),
            (ParamType::Integer, "18446744073709551615", json!(u64::MAX)),
            (ParamType::Number, "7", json!(7)),
            (ParamType::Number, "2.50", json!(2.5)),
            (ParamType::Boolean, "TRUE", json!(true)),
            (ParamType::Boolean, "false", json!(false)),
            (ParamType::List, "a, b", json!(["a", "b"])),
            (ParamType::List, "[1, \"b,c\"]", json!([1, "b,c"])),
            (ParamType::List, "", json!([])),
            (ParamType::Json, "{\"a\": [null]}", json!({"a": [null]})),
            (ParamType::Json, "null", json!(null)),
        ] {
            assert_eq!(read(kind, text), Ok(value), "{kind} {text:?}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for (kind, text) in [
            (ParamType::Integer, "7.0"),
            (ParamType::Integer, ""),
            (ParamType::Integer, "18446744073709551616"),
            (ParamType::Number, "inf"),
            (ParamType::Number, "NaN"),
            (ParamType::Number, "1e999"),
            (ParamType::Boolean, "yes"),
            (ParamType::List, "[1,"),
            (ParamType::Json, "a"),
        ] {
            let told = read(kind, text).unwrap_err();
            assert!(told.starts_with("the parameter \"p\" must be "), "{told}");
        }
    }

    #[test]
    fn choices_bind_values_and_elements() {
        let one = param(ParamType::Text, json!(["red", "green"]));
        assert_eq!(one.read("red").unwrap(), json!("red"));
        let wrong = one.read("gren").unwrap_err();
        assert_eq!(
            wrong.message,
            "the parameter \"p\" must be one of \"red\", \"green\", not \"gren\""
        );
        assert_eq!(wrong.help.unwrap(), "did you mean \"green\"?");
        let list = param(ParamType::List, json!([1, 2]));
        assert_eq!(list.check(&json!([2, 1, 2])).unwrap(), json!([2, 1, 2]));
        assert_eq!(
            list.check(&json!([2, 3])).unwrap_err().message,
            "the parameter \"p\" may hold 1, 2, not 3"
        );
    }

    #[test]
    fn every_sample_is_taken() {
        for kind in ParamType::ALL {
            let param = param(kind, json!([]));
            assert!(param.check(&param.sample()).is_ok(), "{kind}");
        }
    }
}
