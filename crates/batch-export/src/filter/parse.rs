//! Reads the expression of a [`TaskFilter`](super::TaskFilter).

use std::iter::Peekable;
use std::str::Chars;

use crate::cause::ParseCauseIdError;
use batch_core::{
    Priority, Status, TaskId,
    duration::{ParseDurationError, parse_duration},
    ids::{FullTaskId, ParseIdError},
    status::UnknownName,
};

use super::{Compare, NumberField, Pattern, Term, Test, TextField, TimeField};
use crate::format::did_you_mean;

/// An expression is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FilterError {
    /// It asks for nothing, which is not the same as for everything.
    #[error("the filter is empty; omit it for all tasks")]
    Empty,
    /// There is no such field.
    #[error("unknown field {field:?} in the filter; {hint}the fields are {}", FIELDS.join(", "))]
    UnknownField {
        /// The field.
        field: String,
        /// A suggestion, or nothing.
        hint: String,
    },
    /// A term lacks its field, operator or value.
    #[error(
        "{term:?} in the filter is not complete; write a field, an operator and a value, such as status:failed or time>10"
    )]
    Incomplete {
        /// The term.
        term: String,
    },
    /// A quote is opened and not closed.
    #[error("a quote in the filter is not closed: {0}")]
    OpenQuote(String),
    /// The field cannot be compared in this way.
    #[error("the filter cannot compare {field} by {operator}; it takes {allowed}")]
    WrongOperator {
        /// The field.
        field: &'static str,
        /// The operator.
        operator: &'static str,
        /// The operators it takes.
        allowed: &'static str,
    },
    /// A comparison has alternatives.
    #[error("{field}{operator} in the filter takes one value, not {count}")]
    ManyValues {
        /// The field.
        field: &'static str,
        /// The operator.
        operator: &'static str,
        /// How many there are.
        count: usize,
    },
    /// A value is not of the field's kind.
    #[error("{field} in the filter: {hint}{problem}")]
    BadValue {
        /// The field.
        field: &'static str,
        /// A suggestion, or nothing.
        hint: String,
        /// What is wrong.
        problem: String,
    },
}

const FIELDS: [&str; 17] = [
    "status",
    "priority",
    "tag",
    "function",
    "id",
    "name",
    "reason",
    "error",
    "cause",
    "task",
    "time",
    "wait",
    "retries",
    "attempts",
    "exit_code",
    "signal",
    "flaky",
];

/// The operators; of those that begin alike the longest comes first.
const OPERATORS: [(&str, Operator); 8] = [
    (":~", Operator::Contains),
    (":", Operator::Is),
    ("!=", Operator::IsNot),
    (">=", Operator::Compare(Compare::GreaterOrEqual)),
    (">", Operator::Compare(Compare::Greater)),
    ("<=", Operator::Compare(Compare::LessOrEqual)),
    ("<", Operator::Compare(Compare::Less)),
    ("=", Operator::Is),
];

#[derive(Clone, Copy, PartialEq)]
enum Operator {
    Is,
    IsNot,
    Contains,
    Compare(Compare),
}

/// A term taken apart.
struct Parts {
    field: &'static str,
    sign: &'static str,
    operator: Operator,
    values: Vec<String>,
}

pub(super) fn parse(text: &str) -> Result<Vec<Term>, FilterError> {
    let mut rest = text.trim_start();
    if rest.is_empty() {
        return Err(FilterError::Empty);
    }
    let mut terms = Vec::new();
    while !rest.is_empty() {
        let (term, after) = parse_term(rest)?;
        terms.push(term);
        rest = after.trim_start();
    }
    Ok(terms)
}

/// Reads the first term; gives it and what follows.
fn parse_term(text: &str) -> Result<(Term, &str), FilterError> {
    let incomplete = || FilterError::Incomplete {
        term: text.split_whitespace().next().unwrap_or(text).to_owned(),
    };
    let body = text.strip_prefix(['!', '-']).unwrap_or(text);
    let end = body
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-')
        .ok_or_else(incomplete)?;
    let (field, tail) = body.split_at(end);
    let (sign, operator) = *OPERATORS
        .iter()
        .find(|(sign, _)| tail.starts_with(sign))
        .filter(|_| !field.is_empty())
        .ok_or_else(incomplete)?;
    let field = known_field(field)?;
    let mut chars = tail[sign.len()..].chars().peekable();
    let values = read_values(&mut chars, text)?;
    if values.iter().any(String::is_empty) {
        return Err(incomplete());
    }
    let rest = &text[text.len() - chars.map(char::len_utf8).sum::<usize>()..];
    let parts = Parts {
        field,
        sign,
        operator,
        values,
    };
    let negated = (body.len() < text.len()) != (operator == Operator::IsNot);
    let test = parts.test()?;
    Ok((Term { negated, test }, rest))
}

fn known_field(field: &str) -> Result<&'static str, FilterError> {
    FIELDS
        .into_iter()
        .find(|known| *known == field)
        .ok_or_else(|| FilterError::UnknownField {
            field: field.to_owned(),
            hint: did_you_mean(field, FIELDS),
        })
}

/// Reads values with commas between them, up to white space outside quotes.
fn read_values(chars: &mut Peekable<Chars<'_>>, term: &str) -> Result<Vec<String>, FilterError> {
    let mut values = vec![String::new()];
    while let Some(c) = chars.next_if(|c| !c.is_whitespace()) {
        match c {
            ',' => values.push(String::new()),
            '"' => {
                let value = values.last_mut().expect("there is always a last value");
                read_quoted(chars, value).ok_or_else(|| FilterError::OpenQuote(term.to_owned()))?;
            }
            _ => values
                .last_mut()
                .expect("there is always a last value")
                .push(c),
        }
    }
    Ok(values)
}

/// Reads up to the closing quote; `None` without one.
fn read_quoted(chars: &mut Peekable<Chars<'_>>, value: &mut String) -> Option<()> {
    loop {
        match chars.next()? {
            '"' => return Some(()),
            '\\' => value.push(chars.next_if(|c| matches!(c, '"' | '\\')).unwrap_or('\\')),
            c => value.push(c),
        }
    }
}

impl Parts {
    fn test(&self) -> Result<Test, FilterError> {
        Ok(match self.field {
            "status" => {
                self.only_is()?;
                Test::Status(
                    self.values(|text| {
                        self.named(text.parse(), text, Status::ALL.map(Status::name))
                    })?,
                )
            }
            "priority" => Test::Priority(
                self.compare()?,
                self.values(|text| {
                    self.named(text.parse(), text, Priority::ALL.map(Priority::name))
                })?,
            ),
            "tag" => self.text(TextField::Tag)?,
            "function" => self.text(TextField::Function)?,
            "id" => self.text(TextField::Id)?,
            "name" => self.text(TextField::Name)?,
            "reason" => self.text(TextField::Reason)?,
            "error" => self.text(TextField::Error)?,
            "time" => self.time(TimeField::Execution)?,
            "wait" => self.time(TimeField::Wait)?,
            "retries" => self.number(NumberField::Retries)?,
            "attempts" => self.number(NumberField::Attempts)?,
            "exit_code" => self.number(NumberField::ExitCode)?,
            "signal" => self.number(NumberField::Signal)?,
            "flaky" => {
                self.only_is()?;
                Test::Flaky(self.values(|text| {
                    text.parse()
                        .map_err(|_| self.bad(format!("{text:?} is neither true nor false")))
                })?)
            }
            "cause" => {
                self.only_is()?;
                let read = |text: &str| {
                    text.parse()
                        .map_err(|error: ParseCauseIdError| self.bad(error.to_string()))
                };
                Test::Cause(self.values(read)?)
            }
            "task" => {
                self.only_is()?;
                Test::Task(self.values(|text| self.task(text))?)
            }
            other => unreachable!("the field {other} is in the list and has no test"),
        })
    }

    fn text(&self, field: TextField) -> Result<Test, FilterError> {
        let contains = self.operator == Operator::Contains;
        if matches!(self.operator, Operator::Compare(_)) {
            return Err(self.wrong_operator("`:`, `=`, `!=` and `:~`"));
        }
        let patterns = self.values.iter().map(|text| {
            if contains {
                Pattern::Part(text.to_lowercase())
            } else {
                Pattern::Whole(text.clone())
            }
        });
        Ok(Test::Text(field, patterns.collect()))
    }

    fn time(&self, field: TimeField) -> Result<Test, FilterError> {
        let read = |text: &str| {
            parse_duration(text).map_err(|error: ParseDurationError| self.bad(error.to_string()))
        };
        Ok(Test::Time(field, self.compare()?, self.values(read)?))
    }

    fn number(&self, field: NumberField) -> Result<Test, FilterError> {
        let read = |text: &str| {
            text.parse()
                .map_err(|_| self.bad(format!("{text:?} is not a whole number")))
        };
        Ok(Test::Number(field, self.compare()?, self.values(read)?))
    }

    fn task(&self, text: &str) -> Result<(Option<batch_core::BatchId>, TaskId), FilterError> {
        let full = text.parse().map(|id: FullTaskId| (Some(id.batch), id.task));
        full.or_else(|error: ParseIdError| {
            text.parse()
                .map(|task| (None, task))
                .map_err(|_: ParseIdError| self.bad(error.to_string()))
        })
    }

    fn values<T>(
        &self,
        read: impl Fn(&str) -> Result<T, FilterError>,
    ) -> Result<Vec<T>, FilterError> {
        self.values.iter().map(|text| read(text)).collect()
    }

    fn named<T>(
        &self,
        value: Result<T, UnknownName>,
        text: &str,
        known: impl IntoIterator<Item = &'static str>,
    ) -> Result<T, FilterError> {
        value.map_err(|error| FilterError::BadValue {
            field: self.field,
            hint: did_you_mean(text, known),
            problem: error.to_string(),
        })
    }

    fn compare(&self) -> Result<Compare, FilterError> {
        match self.operator {
            Operator::Is | Operator::IsNot => Ok(Compare::Equal),
            Operator::Contains => {
                Err(self.wrong_operator("`:`, `=`, `!=`, `>`, `>=`, `<` and `<=`"))
            }
            Operator::Compare(_) if self.values.len() > 1 => Err(FilterError::ManyValues {
                field: self.field,
                operator: self.sign,
                count: self.values.len(),
            }),
            Operator::Compare(compare) => Ok(compare),
        }
    }

    fn only_is(&self) -> Result<(), FilterError> {
        match self.operator {
            Operator::Is | Operator::IsNot => Ok(()),
            _ => Err(self.wrong_operator("`:`, `=` and `!=`")),
        }
    }

    const fn wrong_operator(&self, allowed: &'static str) -> FilterError {
        FilterError::WrongOperator {
            field: self.field,
            operator: self.sign,
            allowed,
        }
    }

    const fn bad(&self, problem: String) -> FilterError {
        FilterError::BadValue {
            field: self.field,
            hint: String::new(),
            problem,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::TaskFilter;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn mistakes_are_named_with_a_way_out() {
        let errors: Vec<String> = [
            "statsu:failed",
            "color:red",
            "status:faild",
            "status>failed",
            "priority:urgent",
            "name>a",
            "time:~3",
            "time>soon",
            "time>1,2",
            "retries:many",
            "flaky:yes",
            "task:x",
            "cause:3fa21b",
            "failed",
            "status:",
            "tag:a,,b",
            ":x",
            " ",
            r#"error:~"no such"#,
        ]
        .map(|text| TaskFilter::parse(text).unwrap_err().to_string())
        .into();
        insta::assert_snapshot!(errors.join("\n"), @r#"
        unknown field "statsu" in the filter; did you mean "status"? the fields are status, priority, tag, function, id, name, reason, error, cause, task, time, wait, retries, attempts, exit_code, signal, flaky
        unknown field "color" in the filter; the fields are status, priority, tag, function, id, name, reason, error, cause, task, time, wait, retries, attempts, exit_code, signal, flaky
        status in the filter: did you mean "failed"? unknown status "faild"; it is one of queued, running, completed, failed, cancelled
        the filter cannot compare status by >; it takes `:`, `=` and `!=`
        priority in the filter: unknown priority "urgent"; it is one of critical, high, medium, low
        the filter cannot compare name by >; it takes `:`, `=`, `!=` and `:~`
        the filter cannot compare time by :~; it takes `:`, `=`, `!=`, `>`, `>=`, `<` and `<=`
        time in the filter: "soon" is not a duration; write seconds such as 30 or 0.5, or a text such as "1m30s" (ms, s, m, h, d)
        time> in the filter takes one value, not 2
        retries in the filter: "many" is not a whole number
        flaky in the filter: "yes" is neither true nor false
        task in the filter: "x" is not a task id such as b7.42
        cause in the filter: "3fa21b" is not a cause id such as c3fa21b
        "failed" in the filter is not complete; write a field, an operator and a value, such as status:failed or time>10
        "status:" in the filter is not complete; write a field, an operator and a value, such as status:failed or time>10
        "tag:a,,b" in the filter is not complete; write a field, an operator and a value, such as status:failed or time>10
        ":x" in the filter is not complete; write a field, an operator and a value, such as status:failed or time>10
        the filter is empty; omit it for all tasks
        a quote in the filter is not closed: error:~"no such
        "#);
    }

    #[test]
    fn every_field_has_a_test() {
        for field in FIELDS {
            let value = match field {
                "status" => "failed",
                "priority" => "high",
                "flaky" => "true",
                "cause" => "c3fa21b",
                _ => "3",
            };
            TaskFilter::parse(&format!("{field}:{value}")).unwrap();
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[-!a-z_:=<>~,\"\\\\ 0-9é]{0,40}") {
            let _ = TaskFilter::parse(&text);
        }
    }
}
