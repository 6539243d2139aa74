//! What the operator allows, whatever an agent asks for: [`Limits`].

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use batch_core::{TaskOptions, TaskSpec};

use crate::mistake::Mistake;

/// What the operator allows. It wins over the arguments of a call, and the answer says so.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// The most tasks that run at once in a batch.
    pub max_concurrent: Option<NonZeroU32>,
    /// The longest that an attempt may take.
    pub max_timeout: Option<Duration>,
    /// Working folders, task files and exports lie below this folder.
    pub root: Option<PathBuf>,
    /// The only functions that tasks may name; empty for all.
    pub allowed_functions: BTreeSet<String>,
    /// Functions that tasks may not name.
    pub denied_functions: BTreeSet<String>,
    /// The only environment variables that tasks may set; `None` for all.
    pub environment: Option<BTreeSet<String>>,
    /// The most tasks of a batch.
    pub max_tasks: Option<u64>,
    /// The most bytes of a task's parameters.
    pub max_bytes: Option<u64>,
}

impl Limits {
    /// The number of tasks that run at once, lowered where it must be.
    pub(crate) fn concurrency(
        &self,
        asked: Option<NonZeroU32>,
        notes: &mut Vec<String>,
    ) -> Option<NonZeroU32> {
        let Some(most) = self.max_concurrent else {
            return asked;
        };
        match asked {
            Some(asked) if asked > most => {
                notes.push(format!(
                    "max_concurrent lowered from {asked} to {most}, the operator's limit"
                ));
                Some(most)
            }
            Some(asked) => Some(asked),
            None => Some(most),
        }
    }

    /// Checks tasks, and lowers what may be lowered.
    pub(crate) fn apply(
        &self,
        tasks: &mut [TaskSpec],
        notes: &mut Vec<String>,
    ) -> Result<(), Mistake> {
        if let Some(most) = self.max_tasks.filter(|most| tasks.len() as u64 > *most) {
            let message = format!(
                "{} tasks are more than the operator allows ({most})",
                tasks.len()
            );
            return Err(Mistake::of("tasks", message));
        }
        let mut lowered = 0;
        for (index, task) in tasks.iter_mut().enumerate() {
            self.check_function(index, &task.function)?;
            self.check_size(index, task)?;
            self.check_surroundings(index, task)?;
            lowered += u64::from(self.lower_timeout(task));
        }
        if lowered > 0 {
            let most = self.max_timeout.unwrap_or_default().as_secs_f64();
            notes.push(format!(
                "the timeout of {lowered} tasks is {most} s, the operator's limit"
            ));
        }
        Ok(())
    }

    fn check_function(&self, index: usize, function: &str) -> Result<(), Mistake> {
        let allowed =
            self.allowed_functions.is_empty() || self.allowed_functions.contains(function);
        if allowed && !self.denied_functions.contains(function) {
            return Ok(());
        }
        let field = format!("tasks[{index}].function");
        let help = match self.allowed_functions.is_empty() {
            true => String::new(),
            false => {
                let names: Vec<&str> = self.allowed_functions.iter().map(String::as_str).collect();
                format!("; allowed are {}", names.join(", "))
            }
        };
        Err(Mistake::of(
            &field,
            format!("the operator does not allow {function:?}{help}"),
        ))
    }

    fn check_size(&self, index: usize, task: &TaskSpec) -> Result<(), Mistake> {
        let size = task.params.as_str().len() as u64;
        match self.max_bytes {
            Some(most) if size > most => Err(Mistake::of(
                &format!("tasks[{index}].params"),
                format!("{size} bytes are more than the operator allows ({most})"),
            )),
            _ => Ok(()),
        }
    }

    fn check_surroundings(&self, index: usize, task: &TaskSpec) -> Result<(), Mistake> {
        let params = task.params.to_value();
        let own_cwd = params
            .get("cwd")
            .and_then(|cwd| cwd.as_str())
            .map(PathBuf::from);
        for cwd in task.options.cwd.iter().chain(&own_cwd) {
            self.below_root(cwd)
                .map_err(|message| Mistake::of(&format!("tasks[{index}].cwd"), message))?;
        }
        let Some(allowed) = &self.environment else {
            return Ok(());
        };
        let own = params.get("env").and_then(|env| env.as_object());
        let names = task
            .options
            .env
            .keys()
            .chain(own.into_iter().flat_map(|env| env.keys()));
        for name in names {
            if !allowed.contains(name) {
                let message = format!("the operator does not allow the variable {name:?}");
                return Err(Mistake::of(&format!("tasks[{index}].env"), message));
            }
        }
        Ok(())
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

    /// Whether a path lies below the root, wherever its links lead.
    pub(crate) fn below_root(&self, path: &Path) -> Result<PathBuf, String> {
        let Some(root) = &self.root else {
            return Ok(path.to_owned());
        };
        let shown = path.display();
        let root = root
            .canonicalize()
            .map_err(|error| format!("the root folder cannot be read: {error}"))?;
        let whole = root.join(path);
        // What does not exist yet is looked at from the last part that does.
        let mut exists = whole.as_path();
        while !exists.exists() {
            exists = exists.parent().unwrap_or(Path::new("/"));
        }
        let rest = whole.strip_prefix(exists).unwrap_or(Path::new(""));
        let climbs = rest.components().any(|part| part == Component::ParentDir);
        let real = exists
            .canonicalize()
            .map_err(|error| format!("{shown} cannot be read: {error}"))?;
        if climbs || !real.starts_with(&root) {
            return Err(format!(
                "{shown} lies outside {}, the operator's root",
                root.display()
            ));
        }
        Ok(real.join(rest))
    }
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
        ] {
            assert!(!ok(path), "{path}");
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
        assert_eq!(
            limits.concurrency(NonZeroU32::new(9), &mut notes),
            NonZeroU32::new(4)
        );
        assert_eq!(limits.concurrency(None, &mut notes), NonZeroU32::new(4));
        let mut tasks = [
            TaskSpec::new("shell"),
            TaskSpec::new("shell").with_timeout(Duration::from_secs(3)),
        ];
        limits.apply(&mut tasks, &mut notes).unwrap();
        assert_eq!(tasks[0].options.timeout, Some(Duration::from_secs(10)));
        assert_eq!(tasks[1].options.timeout, Some(Duration::from_secs(3)));
        assert_eq!(notes.len(), 2, "{notes:?}");
    }

    #[test]
    fn denied_functions_are_refused_by_name() {
        let limits = Limits {
            denied_functions: BTreeSet::from(["shell".to_owned()]),
            ..Limits::default()
        };
        let error = limits
            .apply(&mut [TaskSpec::new("shell")], &mut Vec::new())
            .unwrap_err();
        assert_eq!(error.field.as_deref(), Some("tasks[0].function"));
    }
}
