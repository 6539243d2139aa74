//! What a batch is told as a whole: [`BatchSettings`].

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

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
    /// End the batch at the first failed task.
    pub fail_fast: bool,
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
            fail_fast: false,
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
