//! What a batch is told as a whole: [`BatchSettings`], and what someone asks for of it: [`SettingsRequest`].

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::duration::ShortDuration;
pub use crate::halt::{Halt, HaltLimit, HaltMode, HaltOf, ParseHaltError};

/// Settings of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchSettings {
    /// A name for people.
    pub name: Option<String>,
    /// The author's key: the same key and content is the same batch.
    pub key: Option<String>,
    /// How many tasks run at once.
    pub max_concurrent: NonZeroU32,
    /// How long the whole batch may take, from the start of its run.
    pub batch_timeout: Option<Duration>,
    /// Named limits: how many tasks with this `limit` run at once.
    pub limits: BTreeMap<String, NonZeroU32>,
    /// When the batch ends before all of its tasks have run.
    pub halt: Halt,
    /// The least time between two starts.
    pub delay: Option<Duration>,
}

impl Default for BatchSettings {
    /// One task at a time, no time limit, no name.
    fn default() -> Self {
        Self {
            name: None,
            key: None,
            max_concurrent: NonZeroU32::MIN,
            batch_timeout: None,
            limits: BTreeMap::new(),
            halt: Halt::Never,
            delay: None,
        }
    }
}

impl BatchSettings {
    /// The default settings with this many slots.
    pub fn with_slots(slots: NonZeroU32) -> Self {
        Self {
            max_concurrent: slots,
            ..Self::default()
        }
    }
}

/// Settings that someone asks for: a task file, or a command line. What is not asked for is `None`, so that another one,
/// or a default, can say it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SettingsRequest {
    /// A name for people.
    pub name: Option<String>,
    /// The author's key.
    pub key: Option<String>,
    /// How many tasks run at once.
    pub max_concurrent: Option<NonZeroU32>,
    /// How long the whole batch may take.
    pub batch_timeout: Option<Duration>,
    /// Named limits.
    pub limits: BTreeMap<String, NonZeroU32>,
    /// When the batch ends before all of its tasks have run.
    pub halt: Option<Halt>,
    /// The least time between two starts.
    pub delay: Option<Duration>,
}

/// A setting that a batch has otherwise than it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingDifference {
    /// Its name in task files.
    pub name: String,
    /// What the batch has.
    pub has: String,
    /// What is asked for.
    pub asked: String,
}

impl fmt::Display for SettingDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, has, asked } = self;
        write!(f, "{name} is {has}, not {asked}")
    }
}

impl SettingsRequest {
    /// These; what they leave open comes from others.
    #[must_use]
    pub fn or(self, others: &Self) -> Self {
        let mut limits = others.limits.clone();
        limits.extend(self.limits);
        Self {
            name: self.name.or_else(|| others.name.clone()),
            key: self.key.or_else(|| others.key.clone()),
            max_concurrent: self.max_concurrent.or(others.max_concurrent),
            batch_timeout: self.batch_timeout.or(others.batch_timeout),
            limits,
            halt: self.halt.or(others.halt),
            delay: self.delay.or(others.delay),
        }
    }

    /// The settings of a new batch; `slots` decides how many tasks run at once, given what was asked for.
    pub fn settled(self, slots: impl FnOnce(Option<NonZeroU32>) -> NonZeroU32) -> BatchSettings {
        BatchSettings {
            name: self.name,
            key: self.key,
            max_concurrent: slots(self.max_concurrent),
            batch_timeout: self.batch_timeout,
            limits: self.limits,
            halt: self.halt.unwrap_or_default(),
            delay: self.delay,
        }
    }

    /// The settings of a batch that exists, with what is asked for as far as it changes nothing for the tasks that
    /// are in it: a name where it has none, and limits that it does not know. The key is not looked at.
    ///
    /// # Errors
    /// All settings that the batch has otherwise.
    pub fn applied_to(
        &self,
        batch: &BatchSettings,
    ) -> Result<BatchSettings, Vec<SettingDifference>> {
        let mut differences = Differences::default();
        let mut settings = batch.clone();
        match (&self.name, &mut settings.name) {
            (Some(asked), Some(has)) => {
                differences.add("name", &*has, asked, |name| format!("{name:?}"))
            }
            (Some(asked), none) => *none = Some(asked.clone()),
            (None, _) => {}
        }
        if let Some(asked) = &self.max_concurrent {
            differences.add(
                "max_concurrent",
                &batch.max_concurrent,
                asked,
                ToString::to_string,
            );
        }
        let time = |time: &Option<Duration>| {
            time.map_or_else(|| "none".to_owned(), |time| ShortDuration(time).to_string())
        };
        if self.batch_timeout.is_some() {
            differences.add(
                "batch_timeout",
                &batch.batch_timeout,
                &self.batch_timeout,
                time,
            );
        }
        if self.delay.is_some() {
            differences.add("delay", &batch.delay, &self.delay, time);
        }
        if let Some(asked) = &self.halt {
            differences.add("halt", &batch.halt, asked, ToString::to_string);
        }
        for (name, asked) in &self.limits {
            let has = settings.limits.entry(name.clone()).or_insert(*asked);
            differences.add(&format!("limits.{name}"), &*has, asked, ToString::to_string);
        }
        match differences.0.is_empty() {
            true => Ok(settings),
            false => Err(differences.0),
        }
    }
}

#[derive(Default)]
struct Differences(Vec<SettingDifference>);

impl Differences {
    fn add<T: PartialEq>(&mut self, name: &str, has: &T, asked: &T, text: impl Fn(&T) -> String) {
        if has != asked {
            self.0.push(SettingDifference {
                name: name.to_owned(),
                has: text(has),
                asked: text(asked),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(number: u32) -> NonZeroU32 {
        NonZeroU32::new(number).unwrap()
    }

    #[test]
    fn what_changes_nothing_for_others_is_applied_and_the_rest_is_refused() {
        let batch = BatchSettings {
            limits: BTreeMap::from([("api".to_owned(), number(2))]),
            ..BatchSettings::with_slots(number(4))
        };
        let same = SettingsRequest {
            name: Some("nightly".to_owned()),
            max_concurrent: Some(number(4)),
            limits: BTreeMap::from([("api".to_owned(), number(2)), ("gpu".to_owned(), number(1))]),
            halt: Some(Halt::Never),
            ..SettingsRequest::default()
        };
        let applied = same.applied_to(&batch).unwrap();
        assert_eq!(applied.name.as_deref(), Some("nightly"));
        assert_eq!(applied.limits, same.limits);
        // The same again, and by its name.
        assert_eq!(same.applied_to(&applied), Ok(applied.clone()));

        let other = SettingsRequest {
            name: Some("daily".to_owned()),
            max_concurrent: Some(number(5)),
            batch_timeout: Some(Duration::from_secs(60)),
            limits: BTreeMap::from([("api".to_owned(), number(3))]),
            halt: Some(Halt::FAIL_FAST),
            delay: Some(Duration::from_secs(1)),
            key: None,
        };
        let found = other.applied_to(&applied).unwrap_err();
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "name is \"nightly\", not \"daily\"",
                "max_concurrent is 4, not 5",
                "batch_timeout is none, not 1m00s",
                "delay is none, not 1.00s",
                "halt is never, not now,fail=1",
                "limits.api is 2, not 3",
            ]
        );
        let nothing = SettingsRequest::default();
        assert_eq!(nothing.applied_to(&applied), Ok(applied));
    }
}
