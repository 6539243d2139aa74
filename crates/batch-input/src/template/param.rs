//! One declared parameter of a template, and what values it takes: [`Param`], [`ParamType`].

use std::collections::HashSet;
use std::fmt;

use batch_core::{Json, text::did_you_mean};
use batch_template::{Datum, Filter};
use serde_json::{Value, json};

use crate::scope::shortened;

/// A parameter that a template declares.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// The name, as in `{{ params.NAME }}`.
    pub name: String,
    /// What values it takes.
    pub kind: ParamType,
    /// The value when none is given. Without one, a value must be given.
    pub default: Option<Datum>,
    /// The values it takes, when these are few; of a list, those of its elements. Empty for any.
    pub choices: Vec<Datum>,
    /// What it is for.
    pub description: Option<String>,
}

/// What values a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamType {
    /// A text.
    Text,
    /// A number without a fraction.
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

/// Why a value is not taken: what is wrong, and how to fix it.
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
    fn read(self, text: &str) -> Option<Datum> {
        let trimmed = text.trim();
        let filtered = |filter: Filter| filter.apply(trimmed.into()).ok();
        match self {
            Self::Text => Some(text.into()),
            Self::Integer => filtered(Filter::Int),
            Self::Number => filtered(Filter::Int).or_else(|| filtered(Filter::Float)),
            Self::Boolean if trimmed.eq_ignore_ascii_case("true") => Some(json!(true).into()),
            Self::Boolean if trimmed.eq_ignore_ascii_case("false") => Some(json!(false).into()),
            Self::Boolean => None,
            Self::List if trimmed.is_empty() => Some(json!([]).into()),
            Self::List if trimmed.starts_with('[') => Datum::read(trimmed).ok(),
            Self::List => {
                let elements: Value = trimmed.split(',').map(str::trim).collect();
                Some(elements.into())
            }
            Self::Json => Datum::read(trimmed).ok(),
        }
    }

    fn holds(self, value: &Datum) -> bool {
        let begins_with = |c| matches!(value, Datum::Json(json) if json.as_str().starts_with(c));
        match self {
            Self::Text => matches!(value, Datum::Text(_)),
            Self::Integer => value
                .as_number()
                .is_some_and(|digits| !digits.contains(['.', 'e', 'E'])),
            Self::Number => value.as_number().is_some(),
            Self::Boolean => begins_with('t') || begins_with('f'),
            Self::List => begins_with('['),
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
    pub(crate) fn read(&self, text: &str) -> Result<Datum, Wrong> {
        match self.kind.read(text) {
            Some(value) => match self.given_twice(text) {
                Some(twice) => Err(Wrong {
                    message: format!(
                        "the parameter {:?} gives the field {twice:?} twice",
                        self.name
                    ),
                    help: Some("remove one of them".to_owned()),
                }),
                None => self.chosen(value),
            },
            None if self.is_too_large(text.trim()) => Err(Wrong {
                message: format!(
                    "the parameter {:?} is too large: {}",
                    self.name,
                    shortened(text)
                ),
                help: None,
            }),
            None => Err(self.wrong(&text.into())),
        }
    }

    /// Whether a text is a number, and one that nothing can hold. Whole numbers may have any length.
    fn is_too_large(&self, text: &str) -> bool {
        let is_written = text
            .trim_start_matches('-')
            .starts_with(|c: char| c.is_ascii_digit());
        let is_number = matches!(self.kind, ParamType::Integer | ParamType::Number);
        is_number && is_written && text.parse().is_ok_and(f64::is_infinite)
    }

    /// A field that a JSON text gives twice: readers differ in which of the two they take.
    fn given_twice(&self, text: &str) -> Option<String> {
        let may_be_json = matches!(self.kind, ParamType::List | ParamType::Json);
        let document = may_be_json.then(|| Json::parse(text.trim()).ok())??;
        document.given_twice()
    }

    /// Checks a JSON value.
    pub(crate) fn check(&self, value: &Datum) -> Result<Datum, Wrong> {
        if self.kind.holds(value) {
            self.chosen(value.clone())
        } else {
            Err(self.wrong(value))
        }
    }

    /// Whether `null` means no value.
    pub(crate) fn null_is_nothing(&self) -> bool {
        self.kind != ParamType::Json
    }

    /// A value that it takes, to check the template with.
    pub(crate) fn sample(&self) -> Datum {
        match (self.kind, self.choices.first()) {
            (ParamType::List, choice) => json!(choice.into_iter().collect::<Vec<_>>()).into(),
            (_, Some(choice)) => choice.clone(),
            (ParamType::Text, _) => "x".into(),
            (ParamType::Integer | ParamType::Number, _) => json!(1).into(),
            (ParamType::Boolean, _) => json!(true).into(),
            (ParamType::Json, _) => Value::Null.into(),
        }
    }

    fn wrong(&self, value: &Datum) -> Wrong {
        let (name, wanted, written) = (&self.name, self.kind.wanted(), value.to_json());
        let unquoted = matches!(value, Datum::Text(text) if self.kind.read(text).is_some());
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
    fn chosen(&self, value: Datum) -> Result<Datum, Wrong> {
        if self.choices.is_empty() {
            return Ok(value);
        }
        let elements = match self.kind {
            ParamType::List => value.elements().unwrap_or_default(),
            _ => vec![value.clone()],
        };
        let choices: HashSet<&Datum> = self.choices.iter().collect();
        let Some(other) = elements.iter().find(|element| !choices.contains(element)) else {
            return Ok(value);
        };
        let choices: Vec<String> = self.choices.iter().map(Datum::to_json).collect();
        let as_text = |value: &'_ Datum| matches!(value, Datum::Text(_));
        let texts = self.choices.iter().filter(|choice| as_text(choice));
        let texts = texts.map(Datum::plain_text);
        let help = as_text(other)
            .then(|| did_you_mean(other.plain_text(), texts))
            .flatten();
        let of = match self.kind {
            ParamType::List => "may hold",
            _ => "must be one of",
        };
        Err(Wrong {
            message: format!(
                "the parameter {:?} {of} {}, not {}",
                self.name,
                choices.join(", "),
                shortened(&other.to_json())
            ),
            help,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn param(kind: ParamType, choices: Value) -> Param {
        Param {
            name: "p".to_owned(),
            kind,
            default: None,
            choices: Datum::from(choices).elements().unwrap_or_default(),
            description: None,
        }
    }

    fn read(kind: ParamType, text: &str) -> Result<String, String> {
        let read = param(kind, json!([])).read(text);
        read.map(|value| value.to_json())
            .map_err(|wrong| wrong.message)
    }

    #[test]
    fn texts_become_values_of_the_type() {
        for (kind, text, value) in [
            (ParamType::Text, " 7 ", "\" 7 \""),
            (ParamType::Integer, " 7\n", "7"),
            (ParamType::Integer, "-3", "-3"),
            (
                ParamType::Integer,
                "123456789012345678901234567890",
                "123456789012345678901234567890",
            ),
            (ParamType::Number, "7", "7"),
            (ParamType::Number, "2.50", "2.50"),
            (ParamType::Boolean, "TRUE", "true"),
            (ParamType::Boolean, "false", "false"),
            (ParamType::List, "a, b", r#"["a","b"]"#),
            (ParamType::List, "[1, \"b,c\"]", r#"[1,"b,c"]"#),
            (ParamType::List, "", "[]"),
            (
                ParamType::Json,
                r#"{"z": [1.50], "a": null}"#,
                r#"{"z":[1.50],"a":null}"#,
            ),
            (ParamType::Json, "null", "null"),
        ] {
            assert_eq!(read(kind, text).as_deref(), Ok(value), "{kind} {text:?}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for (kind, text) in [
            (ParamType::Integer, "7.0"),
            (ParamType::Integer, ""),
            (ParamType::Number, "inf"),
            (ParamType::Number, "NaN"),
            (ParamType::Boolean, "yes"),
            (ParamType::List, "[1,"),
            (ParamType::Json, "a"),
        ] {
            let told = read(kind, text).unwrap_err();
            assert!(told.starts_with("the parameter \"p\" must be "), "{told}");
        }
    }

    #[test]
    fn a_number_too_large_and_a_field_given_twice_are_named() {
        for (kind, text, told) in [
            (ParamType::Number, "1e999", "is too large: 1e999"),
            (
                ParamType::Json,
                "{\"a\": 1, \"a\": 2}",
                "gives the field \"a\" twice",
            ),
            (
                ParamType::List,
                "[{\"b\": {\"c\": 1, \"c\": 1}}]",
                "gives the field \"[0].b.c\" twice",
            ),
        ] {
            let expected = format!("the parameter \"p\" {told}");
            assert_eq!(read(kind, text), Err(expected), "{text}");
        }
    }

    #[test]
    fn choices_bind_values_and_elements() {
        let one = param(ParamType::Text, json!(["red", "green"]));
        assert_eq!(one.read("red").unwrap(), "red".into());
        let wrong = one.read("gren").unwrap_err();
        assert_eq!(
            wrong.message,
            "the parameter \"p\" must be one of \"red\", \"green\", not \"gren\""
        );
        assert_eq!(wrong.help.unwrap(), "did you mean \"green\"?");
        let list = param(ParamType::List, json!([1, 2]));
        let fits = Datum::from(json!([2, 1, 2]));
        assert_eq!(list.check(&fits).unwrap(), fits);
        assert_eq!(
            list.check(&json!([2, 3]).into()).unwrap_err().message,
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
