//! What the operator allows, whatever a call asks for: [`Limits`].

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use batch_core::{TaskOptions, TaskSpec};
use batch_template::variables;
use serde_json::Value;

use crate::call_error::CallError;

/// What the operator allows. It wins over the arguments of a call, and the answer says so.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// The most tasks that run at once in a batch.
    pub max_concurrent: Option<NonZeroU32>,
    /// The longest that an attempt may take.
    pub max_timeout: Option<Duration>,
    /// Working folders, task files and exports must be below this folder.
    pub root: Option<PathBuf>,
    /// The only functions that tasks may name; empty for all.
    pub allowed_functions: BTreeSet<String>,
    /// Functions that tasks may not name.
    pub denied_functions: BTreeSet<String>,
    /// The only environment variables that tasks may set; `None` for all.
    pub environment: Option<BTreeSet<String>>,
    /// The most tasks of a batch.
    pub max_tasks: Option<u64>,
    /// The most bytes of a task: its parameters, name, tags and variables.
    pub max_bytes: Option<u64>,
    /// The functions that mean a tool of an MCP server. What is allowed of `tool` holds for them, and what is
    /// allowed of them for the same call by `tool`.
    pub tool_functions: BTreeMap<String, NamedTool>,
}

/// A tool of an MCP server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedTool {
    /// The name of the server.
    pub server: String,
    /// The name that the tool has there.
    pub tool: String,
}

/// What of which task is not allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// The task; `None` where it is their number.
    pub(crate) index: Option<usize>,
    /// Its field; empty where it is the task as a whole.
    pub(crate) field: &'static str,
    pub(crate) message: String,
}

/// The field of a task, and what is wrong with it.
type Wrong = (&'static str, String);

impl From<Refused> for CallError {
    fn from(refused: Refused) -> Self {
        let field = match (refused.index, refused.field) {
            (None, _) => "tasks".to_owned(),
            (Some(index), "") => format!("tasks[{index}]"),
            (Some(index), field) => format!("tasks[{index}].{field}"),
        };
        Self::of(&field, refused.message)
    }
}

/// The function that calls any tool.
const TOOL: &str = "tool";

impl Limits {
    /// The number of tasks that run at once, lowered where it must be.
    pub(crate) fn concurrency(&self, asked: NonZeroU32, notes: &mut Vec<String>) -> NonZeroU32 {
        match self.max_concurrent {
            Some(most) if asked > most => {
                notes.push(format!(
                    "max_concurrent lowered from {asked} to {most}, the operator's limit"
                ));
                most
            }
            _ => asked,
        }
    }

    /// Whether tasks may name this function.
    pub(crate) fn allows(&self, function: &str) -> bool {
        let is_allowed =
            self.allowed_functions.is_empty() || self.allowed_functions.contains(function);
        is_allowed && !self.denied_functions.contains(function)
    }

    /// Checks tasks that are added to `existing` ones, and lowers what may be lowered.
    pub(crate) fn apply(
        &self,
        tasks: &mut [TaskSpec],
        existing: u64,
        notes: &mut Vec<String>,
    ) -> Result<(), Refused> {
        let total = existing + tasks.len() as u64;
        if let Some(most) = self.max_tasks.filter(|most| total > *most) {
            let message = format!("{total} tasks are more than the operator allows ({most})");
            return Err(Refused {
                index: None,
                field: "",
                message,
            });
        }
        let (mut timeouts, mut graces) = (0, 0);
        for (index, task) in tasks.iter_mut().enumerate() {
            let at = |(field, message)| Refused {
                index: Some(index),
                field,
                message,
            };
            self.check_function(task).map_err(at)?;
            self.check_size(task).map_err(at)?;
            self.check_surroundings(task).map_err(at)?;
            timeouts += u64::from(self.lower_timeout(task));
            graces += u64::from(self.lower_grace(task));
        }
        let mut note = |what: &str, count: u64, most: Duration| {
            if count > 0 {
                let most = most.as_secs_f64();
                notes.push(format!(
                    "the {what} of {count} tasks is {most} s, the operator's limit"
                ));
            }
        };
        note("timeout", timeouts, self.max_timeout.unwrap_or_default());
        note("grace", graces, self.max_grace().unwrap_or_default());
        Ok(())
    }

    fn check_function(&self, task: &TaskSpec) -> Result<(), Wrong> {
        if self.allowed_functions.is_empty() && self.denied_functions.is_empty() {
            return Ok(());
        }
        let names = self.names(task)?;
        let is_in = |set: &BTreeSet<String>| names.iter().any(|name| set.contains(*name));
        let is_allowed = self.allowed_functions.is_empty() || is_in(&self.allowed_functions);
        if is_allowed && !is_in(&self.denied_functions) {
            return Ok(());
        }
        let function = &*task.function;
        let mut message = format!("the operator does not allow {function:?}");
        let denied = names
            .iter()
            .find(|name| self.denied_functions.contains(**name));
        if let Some(denied) = denied.filter(|denied| **denied != function) {
            message.push_str(&format!(", which is the same as {denied:?} here"));
        }
        if !self.allowed_functions.is_empty() {
            let allowed: Vec<&str> = self.allowed_functions.iter().map(String::as_str).collect();
            message.push_str(&format!("; allowed: {}", allowed.join(", ")));
        }
        Err(("function", message))
    }

    /// All functions that a task is a call of: a tool can be called by `tool` and by names of its own.
    fn names<'a>(&'a self, task: &'a TaskSpec) -> Result<Vec<&'a str>, Wrong> {
        let mut names = vec![&*task.function];
        let called = match self.tool_functions.get(&*task.function) {
            Some(called) => called.clone(),
            None if &*task.function == TOOL && !self.tool_functions.is_empty() => called(task)?,
            None => return Ok(names),
        };
        names.push(TOOL);
        let same = self
            .tool_functions
            .iter()
            .filter(|(_, tool)| **tool == called);
        names.extend(same.map(|(name, _)| name.as_str()));
        Ok(names)
    }

    fn check_size(&self, task: &TaskSpec) -> Result<(), Wrong> {
        let Some(most) = self.max_bytes else {
            return Ok(());
        };
        let params = task.params.as_str().len() as u64;
        let size = params + size_beside_params(task);
        let field = if params > most { "params" } else { "" };
        match size > most {
            true => {
                let message = format!("{size} bytes are more than the operator allows ({most})");
                Err((field, message))
            }
            false => Ok(()),
        }
    }

    fn check_surroundings(&self, task: &TaskSpec) -> Result<(), Wrong> {
        self.check_variables(task)?;
        if self.root.is_none() && self.environment.is_none() {
            return Ok(());
        }
        let params = task.params.to_value();
        self.check_folder(task, params.get("cwd"))?;
        self.check_environment(task, params.get("env"))
    }

    /// Checks which variables of the executor a task names. Where functions are limited there may be no other way to
    /// read them, so then none may be named that the operator does not.
    fn check_variables(&self, task: &TaskSpec) -> Result<(), Wrong> {
        let names = variables(task);
        let is_open = self.allowed_functions.is_empty() && self.denied_functions.is_empty();
        let refused = match &self.environment {
            Some(allowed) => names.iter().find(|name| !allowed.contains(*name)),
            None if is_open => None,
            None => names.first(),
        };
        match refused {
            Some(name) => Err((
                "",
                format!("the operator does not allow the variable {name:?}"),
            )),
            None => Ok(()),
        }
    }

    fn check_folder(&self, task: &TaskSpec, own: Option<&Value>) -> Result<(), Wrong> {
        let wrong = |message: String| ("cwd", message);
        if self.root.is_none() {
            return Ok(());
        }
        let folder = task.options.working_folder();
        if let Some(own) = own.filter(|own| !own.is_null()) {
            // What is filled in when the task starts cannot be checked here.
            let plain = own.as_str().filter(|cwd| !cwd.contains("{{"));
            let cwd = plain.ok_or_else(|| {
                wrong("must be a plain text below the operator's root".to_owned())
            })?;
            let whole = folder.unwrap_or(Path::new("")).join(cwd);
            self.below_root(&whole).map_err(wrong)?;
        }
        match folder {
            Some(cwd) => self.below_root(cwd).map(|_| ()).map_err(wrong),
            None => Ok(()),
        }
    }

    fn check_environment(&self, task: &TaskSpec, own: Option<&Value>) -> Result<(), Wrong> {
        let Some(allowed) = &self.environment else {
            return Ok(());
        };
        let wrong = |message: String| ("env", message);
        let own = match own {
            None | Some(Value::Null) => None,
            Some(Value::Object(own)) => Some(own),
            // A placeholder could bring any variable.
            Some(_) => return Err(wrong("must be an object of texts".to_owned())),
        };
        let mut names = task
            .options
            .env
            .keys()
            .chain(own.into_iter().flat_map(|env| env.keys()));
        match names.find(|name| !allowed.contains(*name)) {
            Some(name) => Err(wrong(format!(
                "the operator does not allow the variable {name:?}"
            ))),
            None => Ok(()),
        }
    }

    fn lower_timeout(&self, task: &mut TaskSpec) -> bool {
        let Some(most) = self.max_timeout else {
            return false;
        };
        if task.options.timeout.is_some_and(|timeout| timeout <= most) {
            return false;
        }
        task.options = Arc::new(TaskOptions {
            timeout: Some(most),
            ..TaskOptions::clone(&task.options)
        });
        true
    }

    /// The longest grace period between asking a task to end and killing it, which comes on top of the timeout.
    fn max_grace(&self) -> Option<Duration> {
        let most = self.max_timeout?;
        Some(most.min(TaskOptions::DEFAULT_GRACE))
    }

    /// Lowers the grace period, and returns whether more than the default was asked for.
    fn lower_grace(&self, task: &mut TaskSpec) -> bool {
        let grace = task.options.grace;
        let Some(most) = self.max_grace().filter(|most| grace > *most) else {
            return false;
        };
        task.options = Arc::new(TaskOptions {
            grace: most,
            ..TaskOptions::clone(&task.options)
        });
        grace > TaskOptions::DEFAULT_GRACE
    }

    /// Whether a path is below the root, wherever its links lead.
    pub(crate) fn below_root(&self, path: &Path) -> Result<PathBuf, String> {
        let Some(root) = &self.root else {
            return Ok(path.to_owned());
        };
        let shown = path.display();
        let root = root
            .canonicalize()
            .map_err(|error| format!("the root folder cannot be read: {error}"))?;
        let whole = root.join(path);
        // What does not exist yet is looked at from the last part that does. A link that leads nowhere does exist,
        // and is refused below: what it leads to may be made later, anywhere.
        let mut exists = whole.as_path();
        while exists.symlink_metadata().is_err() {
            exists = exists.parent().unwrap_or(Path::new("/"));
        }
        let rest = whole.strip_prefix(exists).unwrap_or(Path::new(""));
        let climbs = rest.components().any(|part| part == Component::ParentDir);
        let real = exists
            .canonicalize()
            .map_err(|error| format!("{shown} cannot be read: {error}"))?;
        if climbs || !real.starts_with(&root) {
            return Err(format!(
                "{shown} is outside {}, the operator's root",
                root.display()
            ));
        }
        // Joined with nothing it would end in a slash, as only folders do.
        Ok(match rest.as_os_str().is_empty() {
            true => real,
            false => real.join(rest),
        })
    }
}

/// The size of a task without its parameters, in bytes. Its folder may be one that we added.
fn size_beside_params(task: &TaskSpec) -> u64 {
    let options = &task.options;
    let texts = task
        .id
        .iter()
        .chain(&task.name)
        .chain(task.depends_on.iter().map(|needed| &needed.task));
    let lengths = texts
        .map(|text| text.len())
        .chain(options.tags.iter().map(String::len))
        .chain(
            options
                .env
                .iter()
                .map(|(name, value)| name.len() + value.len()),
        )
        .chain(options.limit.iter().map(String::len));
    task.function.len() as u64 + lengths.sum::<usize>() as u64
}

/// The tool that a task of the function `tool` calls. What is missing is told by the check of the task itself.
fn called(task: &TaskSpec) -> Result<NamedTool, Wrong> {
    let params = task.params.to_value();
    let text = |name: &str, field: &'static str| {
        let text = params.get(name).and_then(Value::as_str).unwrap_or_default();
        // What is filled in when the task starts cannot be checked here.
        match text.contains("{{") {
            true => {
                let message = "must be a plain text within the operator's limits";
                Err((field, message.to_owned()))
            }
            false => Ok(text.to_owned()),
        }
    };
    Ok(NamedTool {
        server: text("server", "params.server")?,
        tool: text("tool", "params.tool")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_leads_out_of_the_root() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        std::fs::create_dir_all(root.join("sub")).unwrap();
        std::os::unix::fs::symlink("/etc", root.join("link")).unwrap();
        std::os::unix::fs::symlink("/nowhere/at/all", root.join("dangling")).unwrap();
        let limits = Limits {
            root: Some(root.clone()),
            ..Limits::default()
        };
        let ok = |path: &str| limits.below_root(Path::new(path)).is_ok();
        assert!(ok("sub") && ok("sub/new/file.json") && ok("new"));
        assert!(ok(root.join("sub").to_str().unwrap()));
        for path in [
            "/etc",
            "..",
            "sub/../..",
            "link/passwd",
            "link",
            "new/../../x",
            "dangling",
            "dangling/x",
        ] {
            assert!(!ok(path), "{path}");
        }
    }

    #[test]
    fn a_path_below_the_root_is_that_of_the_file_itself() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("sub")).unwrap();
        std::fs::write(root.join("sub/t.json"), "[]").unwrap();
        std::os::unix::fs::symlink("sub/t.json", root.join("link.json")).unwrap();
        std::os::unix::fs::symlink("sub", root.join("link")).unwrap();
        let limits = Limits {
            root: Some(root.clone()),
            ..Limits::default()
        };
        let absolute = root.join("sub/t.json");
        for (path, real) in [
            ("sub/t.json", "sub/t.json"),
            (absolute.to_str().unwrap(), "sub/t.json"),
            ("link.json", "sub/t.json"),
            ("link/t.json", "sub/t.json"),
            ("link/new.json", "sub/new.json"),
            ("sub", "sub"),
            ("new/deep.json", "new/deep.json"),
        ] {
            let found = limits.below_root(Path::new(path)).unwrap();
            // As texts, as paths with and without a slash at the end are equal and do not open the same.
            assert_eq!(found.as_os_str(), root.join(real).as_os_str(), "{path}");
        }
    }

    #[test]
    fn what_is_too_much_is_lowered_and_told() {
        let limits = Limits {
            max_concurrent: NonZeroU32::new(4),
            max_timeout: Some(Duration::from_secs(10)),
            ..Limits::default()
        };
        let mut notes = Vec::new();
        let slots = |n| NonZeroU32::new(n).unwrap();
        assert_eq!(limits.concurrency(slots(9), &mut notes), slots(4));
        assert_eq!(limits.concurrency(slots(3), &mut notes), slots(3));
        let mut tasks = [
            TaskSpec::new("shell"),
            TaskSpec::new("shell").with_timeout(Duration::from_secs(3)),
        ];
        limits.apply(&mut tasks, 0, &mut notes).unwrap();
        assert_eq!(tasks[0].options.timeout, Some(Duration::from_secs(10)));
        assert_eq!(tasks[1].options.timeout, Some(Duration::from_secs(3)));
        assert_eq!(notes.len(), 2, "{notes:?}");
    }

    #[test]
    fn the_time_of_grace_stretches_no_timeout() {
        let lowered = |most: u64, grace: Duration| {
            let limits = Limits {
                max_timeout: Some(Duration::from_secs(most)),
                ..Limits::default()
            };
            let mut task = TaskSpec::new("shell").with_timeout(Duration::from_secs(1));
            task.options = Arc::new(TaskOptions {
                grace,
                ..TaskOptions::clone(&task.options)
            });
            let (mut tasks, mut notes) = ([task], Vec::new());
            limits.apply(&mut tasks, 0, &mut notes).unwrap();
            (tasks[0].options.grace.as_secs(), notes)
        };
        let hour = Duration::from_secs(3_600);
        let note = |most| {
            vec![format!(
                "the grace of 1 tasks is {most} s, the operator's limit"
            )]
        };
        assert_eq!(lowered(60, hour), (5, note(5)));
        assert_eq!(lowered(2, hour), (2, note(2)));
        // Nobody asked for the usual one.
        assert_eq!(lowered(2, TaskOptions::DEFAULT_GRACE), (2, vec![]));
        assert_eq!(lowered(60, Duration::from_secs(1)), (1, vec![]));
    }

    #[test]
    fn all_of_a_task_counts() {
        let limits = Limits {
            max_bytes: Some(100),
            ..Limits::default()
        };
        let long = "x".repeat(100);
        let with = |options: TaskOptions| TaskSpec {
            options: Arc::new(options),
            ..TaskSpec::new("shell")
        };
        let tasks = [
            TaskSpec {
                name: Some(long.as_str().into()),
                ..TaskSpec::new("shell")
            },
            TaskSpec::new("shell").after(long.as_str()),
            with(TaskOptions {
                tags: vec![long.clone()],
                ..TaskOptions::default()
            }),
            with(TaskOptions {
                env: BTreeMap::from([("A".to_owned(), long)]),
                ..TaskOptions::default()
            }),
        ];
        for task in tasks {
            let refused = limits.apply(&mut [task], 0, &mut Vec::new()).unwrap_err();
            assert_eq!(CallError::from(refused).field.as_deref(), Some("tasks[0]"));
        }
        limits
            .apply(&mut [TaskSpec::new("shell")], 0, &mut Vec::new())
            .unwrap();
    }

    #[test]
    fn denied_functions_are_refused_by_name() {
        let limits = Limits {
            denied_functions: BTreeSet::from(["shell".to_owned()]),
            ..Limits::default()
        };
        let error = limits
            .apply(&mut [TaskSpec::new("shell")], 0, &mut Vec::new())
            .unwrap_err();
        assert_eq!((error.index, error.field), (Some(0), "function"));
    }

    #[test]
    fn a_tool_is_denied_by_whatever_name() {
        let tool = |server: &str, tool: &str| NamedTool {
            server: server.to_owned(),
            tool: tool.to_owned(),
        };
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let limits = |allowed: &[&str], denied: &[&str]| Limits {
            allowed_functions: set(allowed),
            denied_functions: set(denied),
            tool_functions: BTreeMap::from([
                ("find".to_owned(), tool("search", "query")),
                ("look_up".to_owned(), tool("search", "query")),
                ("read_text".to_owned(), tool("files", "read_text")),
            ]),
            ..Limits::default()
        };
        let call = |tool: &str| TaskSpec {
            params: serde_json::json!({ "server": "search", "tool": tool }).into(),
            ..TaskSpec::new("tool")
        };
        let wrong = |limits: &Limits, task: TaskSpec| {
            let checked = limits.apply(&mut [task], 0, &mut Vec::new());
            checked
                .err()
                .and_then(|refused| CallError::from(refused).field)
        };
        let function = Some("tasks[0].function".to_owned());
        for denied in [limits(&[], &["tool"]), limits(&["shell"], &[])] {
            for task in ["find", "look_up", "read_text", "tool"].map(TaskSpec::new) {
                assert_eq!(wrong(&denied, task), function);
            }
            assert_eq!(wrong(&denied, TaskSpec::new("shell")), None);
        }
        let one = limits(&[], &["find"]);
        assert_eq!(wrong(&one, TaskSpec::new("look_up")), function);
        assert_eq!(wrong(&one, call("query")), function);
        assert_eq!(wrong(&one, call("list")), None);
        assert_eq!(wrong(&one, TaskSpec::new("read_text")), None);
        let later = wrong(&one, call("{{ tasks.a.result }}"));
        assert_eq!(later.as_deref(), Some("tasks[0].params.tool"));
        let all = limits(&["tool"], &[]);
        assert_eq!(wrong(&all, TaskSpec::new("find")), None);
        let only = limits(&["read_text"], &[]);
        assert_eq!(wrong(&only, TaskSpec::new("read_text")), None);
        assert_eq!(wrong(&only, TaskSpec::new("find")), function);
        assert_eq!(wrong(&only, call("query")), function);
    }

    #[test]
    fn what_is_filled_in_later_cannot_lead_past_a_limit() {
        let folder = tempfile::tempdir().unwrap();
        let limits = Limits {
            root: Some(folder.path().to_owned()),
            environment: Some(BTreeSet::from(["LANG".to_owned()])),
            ..Limits::default()
        };
        let field = |params: Value| {
            let task = TaskSpec {
                params: params.into(),
                ..TaskSpec::new("shell")
            };
            let checked = limits.apply(&mut [task], 0, &mut Vec::new());
            checked
                .err()
                .and_then(|refused| CallError::from(refused).field)
        };
        let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(field(json(r#"{"cwd": "sub", "env": {"LANG": "C"}}"#)), None);
        let placeholder = "{{ tasks.a.result }}";
        for wrong in [
            serde_json::json!({ "cwd": placeholder }),
            serde_json::json!({ "cwd": "/" }),
        ] {
            assert_eq!(field(wrong).as_deref(), Some("tasks[0].cwd"));
        }
        for wrong in [
            serde_json::json!({ "env": placeholder }),
            serde_json::json!({ "env": { "PATH": "/x" } }),
        ] {
            assert_eq!(field(wrong).as_deref(), Some("tasks[0].env"));
        }
    }

    #[test]
    fn tasks_that_are_there_already_count() {
        let limits = Limits {
            max_tasks: Some(3),
            ..Limits::default()
        };
        let add = |there| {
            let mut tasks = [TaskSpec::new("shell"), TaskSpec::new("shell")];
            limits.apply(&mut tasks, there, &mut Vec::new()).is_ok()
        };
        assert!(add(0) && add(1) && !add(2));
    }
}
