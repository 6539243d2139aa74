//! Where tasks run: [`place_tasks`].

use std::path::Path;
use std::sync::Arc;

use batch_core::{TaskOptions, TaskSpec};

/// Gives tasks the folder they run in, where they say none or a relative one: an executor that is started later,
/// or elsewhere, then runs them where they were added. A relative `cwd` of parameters is meant in that folder.
pub fn place_tasks(tasks: &mut [TaskSpec], folder: &Path) {
    // Most tasks share their options, and are to share them still.
    let mut last: Option<(Arc<TaskOptions>, Arc<TaskOptions>)> = None;
    for task in tasks {
        let placed = match &last {
            Some((from, to)) if Arc::ptr_eq(from, &task.options) => Arc::clone(to),
            _ => placed(&task.options, folder),
        };
        let from = std::mem::replace(&mut task.options, Arc::clone(&placed));
        last = Some((from, placed));
    }
}

fn placed(options: &Arc<TaskOptions>, folder: &Path) -> Arc<TaskOptions> {
    let folder = match &options.cwd {
        Some(cwd) if cwd.is_absolute() => return Arc::clone(options),
        Some(relative) => folder.join(relative),
        None => folder.to_owned(),
    };
    Arc::new(TaskOptions {
        folder: Some(folder),
        ..TaskOptions::clone(options)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_get_an_absolute_folder_and_go_on_sharing_their_options() {
        let shared = Arc::new(TaskOptions::default());
        let task = |options: &Arc<TaskOptions>| TaskSpec {
            options: Arc::clone(options),
            ..TaskSpec::new("x")
        };
        let relative = Arc::new(TaskOptions {
            cwd: Some("sub".into()),
            ..TaskOptions::default()
        });
        let absolute = Arc::new(TaskOptions {
            cwd: Some("/tmp".into()),
            ..TaskOptions::default()
        });
        let mut tasks = [&shared, &shared, &relative, &absolute].map(task);
        place_tasks(&mut tasks, Path::new("/home/me"));
        let folder = |task: &TaskSpec| task.options.working_folder().map(Path::to_owned).unwrap();
        assert_eq!(
            tasks.each_ref().map(folder),
            ["/home/me", "/home/me", "/home/me/sub", "/tmp"].map(std::path::PathBuf::from)
        );
        // What was written is as it was.
        let cwd = |task: &TaskSpec| task.options.cwd.clone();
        assert_eq!(
            tasks.each_ref().map(cwd),
            [None, None, Some("sub"), Some("/tmp")].map(|cwd| cwd.map(std::path::PathBuf::from))
        );
        assert!(Arc::ptr_eq(&tasks[0].options, &tasks[1].options));
    }
}
