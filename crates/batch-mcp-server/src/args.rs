//! The arguments of a call: [`Args`], over the strict reader of `batch-runtime`.
//!
//! Models write numbers as texts and one text where a list is expected, so those are taken; nothing else is guessed.

use std::num::NonZeroU32;
use std::time::Duration;

use batch_actions::Choice;
use batch_core::{BatchId, Priority, Status, ids::FullTaskId};
use batch_runtime::params::{self, present, unknown_fields};
use serde_json::{Map, Value};

use crate::call_error::CallError;
use crate::tools::schema::known;
use crate::truncate::truncate;

/// The arguments of a call.
pub(crate) struct Args<'a> {
    values: &'a Map<String, Value>,
}

impl<'a> Args<'a> {
    /// The arguments of a tool, of which only those of its schema are known.
    pub(crate) fn new(values: &'a Map<String, Value>, tool: &str) -> Result<Self, CallError> {
        let known = known(tool).unwrap_or_default();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        match unknown_fields(values, &known).into_iter().next() {
            Some(unknown) => Err(unknown.into()),
            None => Ok(Self { values }),
        }
    }

    /// Arguments that were checked already.
    pub(crate) const fn of(values: &'a Map<String, Value>) -> Self {
        Self { values }
    }

    /// All of them, as they were given.
    pub(crate) const fn all(&self) -> &'a Map<String, Value> {
        self.values
    }

    /// An argument that is there and not null.
    pub(crate) fn get(&self, name: &str) -> Option<&'a Value> {
        present(self.values, name)
    }

    pub(crate) fn text(&self, name: &str) -> Result<Option<&'a str>, CallError> {
        self.read(name, "a text", Value::as_str)
    }

    pub(crate) fn flag(&self, name: &str) -> Result<bool, CallError> {
        let found = self.read(name, "true or false", Value::as_bool)?;
        Ok(found.unwrap_or(false))
    }

    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, CallError> {
        self.read(name, "a whole number, 0 or more", whole)
    }

    pub(crate) fn slots(&self, name: &str) -> Result<Option<NonZeroU32>, CallError> {
        let read = |value: &Value| NonZeroU32::new(u32::try_from(whole(value)?).ok()?);
        self.read(name, "a whole number, 1 or more", read)
    }

    /// Seconds, or a text such as `1m30s`.
    pub(crate) fn duration(&self, name: &str) -> Result<Option<Duration>, CallError> {
        self.read(name, "seconds, or a text such as 1m30s", params::duration)
    }

    pub(crate) fn list(&self, name: &str) -> Result<Option<&'a Vec<Value>>, CallError> {
        self.read(name, "a list", Value::as_array)
    }

    /// A list of texts; one text, or a number, is as good as a list of it.
    pub(crate) fn texts(&self, name: &str) -> Result<Vec<String>, CallError> {
        let one = |value: &Value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let read = |value: &Value| match value {
            Value::Array(list) => list.iter().map(one).collect(),
            other => one(other).map(|text| vec![text]),
        };
        Ok(self
            .read(name, "a list of texts", read)?
            .unwrap_or_default())
    }

    pub(crate) fn batch(&self) -> Result<Option<BatchId>, CallError> {
        let Some(text) = self.text("batch")? else {
            return Ok(None);
        };
        let wrong = |_| CallError::of("batch", format!("{text:?} is not a batch id such as b7"));
        text.parse().map(Some).map_err(wrong)
    }

    /// The batch named, else the one that the first of `tasks` names: `b3.1`.
    pub(crate) fn batch_of_tasks(&self) -> Result<Option<BatchId>, CallError> {
        if let Some(batch) = self.batch()? {
            return Ok(Some(batch));
        }
        let tasks = self.texts("tasks")?;
        let named = tasks
            .first()
            .and_then(|task| task.parse::<FullTaskId>().ok());
        Ok(named.map(|full| full.batch))
    }

    /// Refuses arguments that an action would ignore: that would mislead.
    pub(crate) fn refuse(&self, names: &[&str], why: &str) -> Result<(), CallError> {
        match names.iter().find(|name| self.get(name).is_some()) {
            Some(name) => Err(CallError::of(name, why)),
            None => Ok(()),
        }
    }

    /// Refuses selections that are given and empty: a computed list of tasks that came out empty means none of them, and
    /// not all as if it had not been given.
    pub(crate) fn refuse_empty(&self, names: &[&str], all: &str) -> Result<(), CallError> {
        let is_empty = |name: &&&str| self.get(name).is_some_and(names_nothing);
        match names.iter().find(is_empty) {
            Some(name) => Err(CallError::of(name, format!("is empty; {all}"))),
            None => Ok(()),
        }
    }

    pub(crate) fn statuses(&self, name: &str) -> Result<Vec<Status>, CallError> {
        self.texts(name)?
            .iter()
            .map(|text| {
                text.to_lowercase()
                    .parse()
                    .map_err(|error: batch_core::status::UnknownName| {
                        CallError::of(name, error.to_string())
                    })
            })
            .collect()
    }

    pub(crate) fn priority(&self, name: &str) -> Result<Option<Priority>, CallError> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        let priority = text.to_lowercase().parse();
        priority
            .map(Some)
            .map_err(|error: batch_core::status::UnknownName| {
                CallError::of(name, error.to_string())
            })
    }

    /// The selection of tasks: `tasks`, `status`, `cause`, `filter`.
    pub(crate) fn choice(&self) -> Result<Choice, CallError> {
        Ok(Choice {
            tasks: self.texts("tasks")?,
            statuses: self.statuses("status")?,
            cause: self.text("cause")?.map(str::to_owned),
            filter: self.text("filter")?.map(str::to_owned),
        })
    }

    fn read<T>(
        &self,
        name: &str,
        expected: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, CallError> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        read(value).map(Some).ok_or_else(|| {
            // It comes from the model itself, which finds its error by it.
            let found = truncate(&value.to_string(), 60);
            CallError::of(name, format!("must be {expected}, not {found}"))
        })
    }
}

/// A whole number. Some models write numbers as texts, or with a point.
fn whole(value: &Value) -> Option<u64> {
    // Beyond it not every whole number is one with a point.
    const MOST: f64 = 9_007_199_254_740_992.0;
    let with_point = |number: f64| {
        let is_whole = number.fract() == 0.0 && (0.0..MOST).contains(&number);
        is_whole.then_some(number as u64)
    };
    match value {
        Value::Number(number) => number
            .as_u64()
            .or_else(|| number.as_f64().and_then(with_point)),
        Value::String(text) => {
            let text = text.trim();
            let number = text.parse::<u64>().ok();
            number.or_else(|| text.parse().ok().and_then(with_point))
        }
        _ => None,
    }
}

/// An empty list or text, or a list of such texts.
fn names_nothing(value: &Value) -> bool {
    match value {
        Value::String(text) => text.trim().is_empty(),
        Value::Array(list) => list.iter().all(names_nothing),
        _ => false,
    }
}
