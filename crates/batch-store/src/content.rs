//! What makes two tasks the same work: [`ContentHash`], by the rule of an [`Identity`].
//!
//! The identity of a task is its content: function, parameters, its author's id, the `env` and `cwd` that were
//! written, and the content of what it depends on. How any of this is spelt does not count, nor do its place, its
//! other options, the number of attempts: a file that was laid out anew or got other timeouts is still the same work.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Component, Path, PathBuf};

use batch_core::{DependsOn, RunOn, TaskSpec};
use batch_template::{canonical_params, shown_params};

/// Which rule the tasks of a batch file are compared by: what the file keeps of them decides. The file says it in
/// its setting `identity`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Identity {
    /// Of files that say none. They keep the folder of a task and not whether its author wrote it, so `cwd` does not
    /// count; a fingerprint in them is of the text of parameters (see [`first_fingerprint`](crate::identity::first_fingerprint)).
    First,
    /// All that the head of this module names.
    #[default]
    Second,
}

impl Identity {
    /// The number in the file.
    pub(crate) fn number(self) -> i64 {
        match self {
            Self::First => 1,
            Self::Second => 2,
        }
    }

    /// The rule of a number in a file; `None` for one of a later version.
    pub(crate) fn of_number(number: Option<i64>) -> Option<Self> {
        match number {
            None | Some(1) => Some(Self::First),
            Some(2) => Some(Self::Second),
            Some(_) => None,
        }
    }

    /// How two tasks differ in content, in a few words; `None` when they do not. Dependencies are compared by name.
    pub fn difference(self, old: &TaskSpec, new: &TaskSpec) -> Option<String> {
        if old.function != new.function {
            return Some(differs("function", &old.function, &new.function));
        }
        if canonical_params(&old.params) != canonical_params(&new.params) {
            let (old, new) = (shown_params(old), shown_params(new));
            return Some(match old == new {
                true => "params hold another secret".to_owned(),
                false => differs("params", &old, &new),
            });
        }
        if old.id != new.id {
            let text = |id: &Option<Box<str>>| id.as_deref().unwrap_or("none").to_owned();
            return Some(differs("id", &text(&old.id), &text(&new.id)));
        }
        if needed(old) != needed(new) {
            let text = |spec| Vec::from_iter(needed(spec)).join(", ").replace('\0', ": ");
            return Some(differs("depends_on", &text(old), &text(new)));
        }
        // Values may be secret.
        let (env, other) = (&old.options.env, &new.options.env);
        let mut names = env.keys().chain(other.keys());
        if let Some(name) = names.find(|name| env.get(*name) != other.get(*name)) {
            return Some(match (env.contains_key(name), other.contains_key(name)) {
                (true, true) => format!("env {name} has another value"),
                (true, false) => format!("env {name} is there and was not given"),
                _ => format!("env {name} is not there and was given"),
            });
        }
        if self.folder_of(old) != self.folder_of(new) {
            let text = |spec: &TaskSpec| {
                spec.options
                    .cwd
                    .as_deref()
                    .map(|cwd| cwd.display().to_string())
            };
            let text = |spec| text(spec).unwrap_or_else(|| "none".to_owned());
            return Some(differs("cwd", &text(old), &text(new)));
        }
        None
    }

    /// The folder that was written, as far as it counts: `./a/` is `a`, and `.` is where one is anyhow.
    fn folder_of(self, spec: &TaskSpec) -> Option<PathBuf> {
        let cwd = spec
            .options
            .cwd
            .as_deref()
            .filter(|_| self == Self::Second)?;
        let steps = cwd.components().filter(|step| *step != Component::CurDir);
        Some(steps.collect()).filter(|cwd: &PathBuf| *cwd != Path::new(""))
    }
}

/// The ids of what must complete first, each once.
fn needed(spec: &TaskSpec) -> BTreeSet<Cow<'_, str>> {
    spec.depends_on.iter().map(name_of).collect()
}

/// A needed task by its id, with what it must end as where that is not completed.
fn name_of(needed: &DependsOn) -> Cow<'_, str> {
    match needed.on {
        RunOn::Success => Cow::Borrowed(&needed.task),
        on => Cow::Owned(format!("{}\0{}", needed.task, on.name())),
    }
}

fn differs(what: &str, old: &str, new: &str) -> String {
    let short = |text: &str| match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    };
    format!("{what} {} is there, {} was given", short(old), short(new))
}

/// A fingerprint of content, the same on every machine: 128 bits of BLAKE3.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentHash([u8; 16]);

impl ContentHash {
    /// The fingerprint of a task whose dependencies have these. Their order does not count, nor how often one is named.
    pub fn of_task(
        spec: &TaskSpec,
        needs: impl IntoIterator<Item = Self>,
        identity: Identity,
    ) -> Self {
        let mut parts = Parts::new("task");
        parts.add(spec.function.as_bytes());
        parts.add(canonical_params(&spec.params).as_bytes());
        parts.add_option(spec.id.as_deref().map(str::as_bytes));
        let folder = identity.folder_of(spec);
        parts.add_option(
            folder
                .as_ref()
                .map(|cwd| cwd.as_os_str().as_encoded_bytes()),
        );
        parts.add_count(spec.options.env.len());
        for (name, value) in &spec.options.env {
            parts.add(name.as_bytes());
            parts.add(value.as_bytes());
        }
        for need in BTreeSet::from_iter(needs) {
            parts.add(&need.0);
        }
        parts.hash()
    }

    /// The fingerprint of tasks that were given together, in their order, with their dependencies by name.
    pub fn of_all<'t>(tasks: impl IntoIterator<Item = &'t TaskSpec>) -> Self {
        let mut parts = Parts::new("tasks");
        for task in tasks {
            let needs = task
                .depends_on
                .iter()
                .map(|needed| Self::of_name(&name_of(needed)));
            parts.add(&Self::of_task(task, needs, Identity::default()).0);
        }
        parts.hash()
    }

    /// The fingerprint of a name.
    pub fn of_name(name: &str) -> Self {
        let mut parts = Parts::new("name");
        parts.add(name.as_bytes());
        parts.hash()
    }
}

/// What is hashed, each part with its length, so that parts cannot run into each other.
struct Parts(blake3::Hasher);

impl Parts {
    fn new(what: &str) -> Self {
        let mut parts = Self(blake3::Hasher::new());
        parts.add(b"bex identity 2");
        parts.add(what.as_bytes());
        parts
    }

    fn add(&mut self, part: &[u8]) {
        self.add_count(part.len());
        self.0.update(part);
    }

    /// A part that may be absent, which is another thing than empty.
    fn add_option(&mut self, part: Option<&[u8]>) {
        self.add_count(part.iter().count());
        part.into_iter().for_each(|part| self.add(part));
    }

    fn add_count(&mut self, count: usize) {
        self.0.update(&(count as u64).to_le_bytes());
    }

    fn hash(self) -> ContentHash {
        let mut hash = ContentHash([0; 16]);
        self.0.finalize_xof().fill(&mut hash.0);
        hash
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use batch_core::{Json, TaskOptions};

    use super::*;

    fn hash(spec: &TaskSpec) -> ContentHash {
        ContentHash::of_task(spec, [], Identity::Second)
    }

    fn with(options: TaskOptions) -> TaskSpec {
        TaskSpec {
            options: options.into(),
            ..TaskSpec::new("a")
        }
    }

    fn in_folder(cwd: Option<&str>, folder: &str) -> TaskSpec {
        with(TaskOptions {
            cwd: cwd.map(Into::into),
            folder: Some(folder.into()),
            ..TaskOptions::default()
        })
    }

    fn with_env(pairs: &[(&str, &str)]) -> TaskSpec {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        with(TaskOptions {
            env: pairs.iter().map(owned).collect(),
            ..TaskOptions::default()
        })
    }

    #[track_caller]
    fn assert_other_work(one: &TaskSpec, other: &TaskSpec) {
        assert_ne!(hash(one), hash(other));
        assert!(Identity::Second.difference(one, other).is_some());
    }

    #[track_caller]
    fn assert_same_work(one: &TaskSpec, other: &TaskSpec) {
        assert_eq!(hash(one), hash(other));
        assert_eq!(Identity::Second.difference(one, other), None);
    }

    #[test]
    fn content_and_nothing_else_counts() {
        let task = |function: &str, id: &str| TaskSpec::new(function).with_id(id);
        let one = task("a", "bc");
        assert_same_work(&one, &one.clone().with_max_retries(9).with_name("n"));
        assert_other_work(&one, &task("ab", "c"));
        assert_other_work(&task("a", ""), &TaskSpec::new("a"));
        let spelt = |params: &str| TaskSpec {
            params: Json::parse(params).unwrap(),
            ..TaskSpec::new("a")
        };
        assert_same_work(
            &spelt(r#"{"a":1,"b":[]}"#),
            &spelt(r#"{"b": [], "a": 1.0}"#),
        );
        assert_other_work(&spelt(r#"{"a":1}"#), &spelt(r#"{"a":2}"#));
        // The same on every machine and in every version: it is in batch files.
        assert_eq!(
            hash(&TaskSpec::new("x")).to_string(),
            "e08336db225fdbde40dd5ee885e71cc0"
        );
    }

    #[test]
    fn of_dependencies_neither_the_order_nor_how_often_they_are_named_counts() {
        let of = |needs: &[&str]| {
            let spec = needs
                .iter()
                .fold(TaskSpec::new("a"), |spec, id| spec.after(id));
            ContentHash::of_all([&spec])
        };
        assert_eq!(of(&["b", "c"]), of(&["c", "b", "c"]));
        assert_ne!(of(&["b", "c"]), of(&["b"]));
        assert_ne!(of(&["b"]), of(&[]));
        let task = TaskSpec::new("a");
        let two = ContentHash::of_all([&task, &task]);
        assert_ne!(ContentHash::of_all([&task]), two);
    }

    #[test]
    fn the_env_and_the_cwd_that_were_written_count_and_the_folder_of_the_author_does_not() {
        assert_same_work(&with_env(&[("V", "1")]), &with_env(&[("V", "1")]));
        assert_other_work(&with_env(&[("V", "1")]), &with_env(&[("V", "2")]));
        assert_other_work(&with_env(&[("V", "1")]), &with_env(&[]));
        assert_other_work(&with_env(&[("A", "BC")]), &with_env(&[("AB", "C")]));
        assert_other_work(
            &with_env(&[("A", "B")]),
            &with_env(&[("A", "B"), ("C", "")]),
        );

        assert_same_work(&in_folder(None, "/a"), &in_folder(None, "/b"));
        assert_same_work(
            &in_folder(Some("s"), "/a/s"),
            &in_folder(Some("./s/"), "/b/s"),
        );
        assert_same_work(&in_folder(Some("."), "/a"), &in_folder(None, "/a"));
        assert_other_work(&in_folder(Some("s"), "/a/s"), &in_folder(Some("t"), "/a/t"));
        assert_other_work(&in_folder(Some("s"), "/a/s"), &in_folder(None, "/a"));
        assert_other_work(&in_folder(Some("/s"), "/s"), &in_folder(Some("s"), "/s"));
    }

    #[test]
    fn a_value_of_a_variable_is_never_shown() {
        let one = with_env(&[("SAME", "s"), ("TOKEN", "secret-1")]);
        let other = with_env(&[("SAME", "s"), ("TOKEN", "secret-2")]);
        let told =
            |one: &TaskSpec, other: &TaskSpec| Identity::Second.difference(one, other).unwrap();
        assert_eq!(told(&one, &other), "env TOKEN has another value");
        assert_eq!(
            told(&one, &with_env(&[("SAME", "s")])),
            "env TOKEN is there and was not given"
        );
        assert_eq!(
            told(&with_env(&[]), &one),
            "env SAME is not there and was given"
        );
    }

    #[test]
    fn by_the_first_rule_no_folder_counts() {
        let same = |one: &TaskSpec, other: &TaskSpec| {
            let of = |spec| ContentHash::of_task(spec, [], Identity::First);
            of(one) == of(other) && Identity::First.difference(one, other).is_none()
        };
        assert!(same(
            &in_folder(Some("s"), "/a/s"),
            &in_folder(None, "/a/s")
        ));
        assert!(!same(&with_env(&[("V", "1")]), &with_env(&[("V", "2")])));
        assert_eq!(Identity::of_number(None), Some(Identity::First));
        assert_eq!(Identity::of_number(Some(3)), None);
        for identity in [Identity::First, Identity::Second] {
            assert_eq!(Identity::of_number(Some(identity.number())), Some(identity));
        }
    }
}
