//! Reading the arguments of a call strictly: [`Args`].
//!
//! What is unknown or of the wrong type is told with the names there are; nothing is guessed.

use std::num::NonZeroU32;
use std::time::Duration;

use batch_actions::{ActionError, Choice, Resolved};
use batch_core::{BatchId, FullTaskId, Priority, Status, nearest, parse_duration};
use batch_store::Store;
use serde_json::{Map, Value};

use crate::cut::shorten;
use crate::mistake::Mistake;

/// The arguments of a call.
pub(crate) struct Args<'a> {
    values: &'a Map<String, Value>,
}

impl<'a> Args<'a> {
    /// Arguments of which only these are known.
    pub(crate) fn new(values: &'a Map<String, Value>, known: &[&str]) -> Result<Self, Mistake> {
        for name in values.keys() {
            if !known.contains(&name.as_str()) {
                let help = match nearest(name, known.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("known are {}", known.join(", ")),
                };
                return Err(Mistake::of(name, format!("it is unknown; {help}")));
            }
        }
        Ok(Self { values })
    }

    /// Arguments that were looked through already.
    pub(crate) const fn of(values: &'a Map<String, Value>) -> Self {
        Self { values }
    }

    /// All of them, as they were given.
    pub(crate) const fn all(&self) -> &'a Map<String, Value> {
        self.values
    }

    /// An argument that is there and not null.
    pub(crate) fn get(&self, name: &str) -> Option<&'a Value> {
        self.values.get(name).filter(|value| !value.is_null())
    }

    pub(crate) fn text(&self, name: &str) -> Result<Option<&'a str>, Mistake> {
        let read = |value: &'a Value| value.as_str();
        self.read(name, "a text", read)
    }

    pub(crate) fn flag(&self, name: &str) -> Result<bool, Mistake> {
        let found = self.read(name, "true or false", Value::as_bool)?;
        Ok(found.unwrap_or(false))
    }

    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, Mistake> {
        self.read(name, "a whole number, 0 or more", whole)
    }

    pub(crate) fn slots(&self, name: &str) -> Result<Option<NonZeroU32>, Mistake> {
        let read = |value: &Value| NonZeroU32::new(u32::try_from(whole(value)?).ok()?);
        self.read(name, "a whole number, 1 or more", read)
    }

    /// Seconds, or a text such as `1m30s`.
    pub(crate) fn duration(&self, name: &str) -> Result<Option<Duration>, Mistake> {
        let read = |value: &Value| match value {
            Value::Number(number) => Duration::try_from_secs_f64(number.as_f64()?).ok(),
            Value::String(text) => parse_duration(text).ok(),
            _ => None,
        };
        self.read(name, "seconds, or a text such as 1m30s", read)
    }

    pub(crate) fn list(&self, name: &str) -> Result<Option<&'a Vec<Value>>, Mistake> {
        self.read(name, "a list", |value| value.as_array())
    }

    /// A list of texts; one text, or a number, is as good as a list of it.
    pub(crate) fn texts(&self, name: &str) -> Result<Vec<String>, Mistake> {
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

    pub(crate) fn batch(&self) -> Result<Option<BatchId>, Mistake> {
        let Some(text) = self.text("batch")? else {
            return Ok(None);
        };
        let id = text.parse().map_err(|_| {
            Mistake::of(
                "batch",
                format!("{text:?} is no batch id; it looks like b7"),
            )
        })?;
        Ok(Some(id))
    }

    /// The batch named, else the one that the first of `tasks` names: `b3.1`.
    pub(crate) fn batch_of_tasks(&self) -> Result<Option<BatchId>, Mistake> {
        if let Some(batch) = self.batch()? {
            return Ok(Some(batch));
        }
        let tasks = self.texts("tasks")?;
        let named = tasks
            .first()
            .and_then(|task| task.parse::<FullTaskId>().ok());
        Ok(named.map(|full| full.batch))
    }

    /// Refuses arguments that do not go with what was asked for: ignored, they would mislead.
    pub(crate) fn refuse(&self, names: &[&str], why: &str) -> Result<(), Mistake> {
        match names.iter().find(|name| self.get(name).is_some()) {
            Some(name) => Err(Mistake::of(name, why)),
            None => Ok(()),
        }
    }

    /// Refuses choices that are given and empty: whoever computed a list of tasks and found none means none of them,
    /// and not all as if it had not been given.
    pub(crate) fn refuse_empty(&self, names: &[&str], all: &str) -> Result<(), Mistake> {
        let is_empty = |name: &&&str| self.get(name).is_some_and(names_nothing);
        match names.iter().find(is_empty) {
            Some(name) => Err(Mistake::of(name, format!("it is empty; {all}"))),
            None => Ok(()),
        }
    }

    pub(crate) fn statuses(&self, name: &str) -> Result<Vec<Status>, Mistake> {
        self.texts(name)?
            .iter()
            .map(|text| {
                text.to_lowercase()
                    .parse()
                    .map_err(|error: batch_core::UnknownName| Mistake::of(name, error.to_string()))
            })
            .collect()
    }

    pub(crate) fn priority(&self, name: &str) -> Result<Option<Priority>, Mistake> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        let priority = text.to_lowercase().parse();
        priority
            .map(Some)
            .map_err(|error: batch_core::UnknownName| Mistake::of(name, error.to_string()))
    }

    /// Which tasks: `tasks`, `status`, `cause`, `filter`.
    pub(crate) fn choice(&self) -> Result<Choice, Mistake> {
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
        wanted: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, Mistake> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        match read(value) {
            Some(found) => Ok(Some(found)),
            None => Err(Mistake::of(
                name,
                format!("it must be {wanted}, not {}", shown(value)),
            )),
        }
    }
}

/// Checks a choice against a batch; what is wrong is told by the argument that it came from.
pub(crate) fn resolve(choice: &Choice, store: &Store) -> Result<Resolved, Mistake> {
    choice.resolve(store).map_err(|error| match error {
        // The only thing of a choice that is refused in words.
        ActionError::Refused(message) => Mistake::of("cause", message),
        other => other.into(),
    })
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

fn shown(value: &Value) -> String {
    shorten(&value.to_string(), 60)
}
