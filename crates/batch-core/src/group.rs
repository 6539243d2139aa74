//! Dependencies on groups of tasks, by a pattern of ids or by what they were made of: [`Groups`].

use std::collections::HashMap;

use crate::spec::TaskSpec;

/// The tasks of a plan, by what names several of them.
pub(crate) struct Groups<'t> {
    tasks: &'t [TaskSpec],
    ids: &'t HashMap<Box<str>, usize>,
    /// What was asked for before.
    known: HashMap<&'t str, Vec<usize>>,
}

impl<'t> Groups<'t> {
    pub(crate) fn of(tasks: &'t [TaskSpec], ids: &'t HashMap<Box<str>, usize>) -> Self {
        Self {
            tasks,
            ids,
            known: HashMap::new(),
        }
    }

    /// Whether the task with an id runs when all others have ended.
    pub(crate) fn is_last(&self, id: &str) -> bool {
        let task = self.ids.get(id).map(|index| &self.tasks[*index]);
        task.is_some_and(|task| task.options.finally)
    }

    /// The ids of the tasks that a name means, in their order, but for the one at `index`, which names them:
    /// `train-*` for all that fit, with `train[1,a]` as good as `train-1,a`; `train` for all `train[…]`. `None` where it
    /// is the id of one task, or of none.
    pub(crate) fn members(
        &mut self,
        name: &'t str,
        index: usize,
    ) -> Option<impl Iterator<Item = &'t str> + use<'t, '_>> {
        if self.ids.contains_key(name) {
            return None;
        }
        let tasks = self.tasks;
        let id = move |task: &usize| tasks[*task].id.as_deref();
        let members = self.known.entry(name).or_insert_with(|| {
            // What runs after all others is waited for by none.
            let is_last = |task: &usize| tasks[*task].options.finally;
            let fits =
                |task: &usize| id(task).is_some_and(|id| is_member(id, name)) && !is_last(task);
            (0..tasks.len()).filter(fits).collect()
        });
        let members = members.iter().filter(move |task| **task != index);
        let mut members = members.filter_map(id).peekable();
        members.peek().is_some().then_some(members)
    }
}

/// Whether a task with an id is one of those that a name means.
pub(crate) fn is_member(id: &str, name: &str) -> bool {
    let parts = id.split_once('[');
    let parts = parts.and_then(|(base, values)| Some((base, values.strip_suffix(']')?)));
    if !name.contains('*') {
        return parts.is_some_and(|(base, _)| base == name);
    }
    let as_words = parts.map(|(base, values)| format!("{base}-{values}"));
    fits(id, name) || as_words.is_some_and(|words| fits(&words, name))
}

/// Whether a text is what a pattern says, in which `*` means any text.
fn fits(text: &str, pattern: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut pieces = pieces.peekable();
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return rest.ends_with(piece);
        }
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_for_groups() {
        for (id, name) in [
            ("train-1", "train-*"),
            ("train-", "train-*"),
            ("train[1,a]", "train-*"),
            ("train[1,a]", "train[*,a]"),
            ("train[1,a]", "train"),
            ("a-b-c", "a*b*c"),
            ("aXbYc", "*b*"),
            ("x", "*"),
        ] {
            assert!(is_member(id, name), "{id} {name}");
        }
        for (id, name) in [
            ("train", "train-*"),
            ("train-1", "train"),
            ("train[1", "train"),
            ("trainer[1]", "train"),
            ("ab", "a*bb"),
            ("aba", "ab*ba"),
        ] {
            assert!(!is_member(id, name), "{id} {name}");
        }
    }
}
