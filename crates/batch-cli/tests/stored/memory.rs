//! A task that the system killed because memory ran out failed for that reason, and no other one did.
//!
//! Needs a control group with a limit of memory; where none can be made it is not tested.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::{Place, finish};
use serde_json::Value;

/// Far more than `bex` and its tasks need, but for what they hold on purpose.
const LIMIT_BYTES: &str = "67108864";

/// More than that.
const HOG: &str = "python3 -SE -c 'b\"x\" * (400 << 20)'";

/// A control group below that of this process.
struct Group(PathBuf);

impl Group {
    /// In either version of control groups, if this process may make one.
    fn new() -> Option<Self> {
        let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
        groups.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let (controllers, path) = (fields.next()?, fields.next()?);
            let (mount, limit) = match controllers {
                "" => ("/sys/fs/cgroup", "memory.max"),
                "memory" => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
                _ => return None,
            };
            let name = format!("bex-test-{}", std::process::id());
            let group = Path::new(mount)
                .join(path.trim_start_matches('/'))
                .join(name);
            fs::create_dir(&group).ok()?;
            let group = Self(group);
            let limit = group.0.join(limit);
            // Not on a file system that is no control group.
            (limit.exists() && fs::write(limit, LIMIT_BYTES).is_ok()).then_some(())?;
            // Without swap, where there is a limit for it.
            let _ = fs::write(group.0.join("memory.swap.max"), "0");
            let _ = fs::write(group.0.join("memory.memsw.limit_in_bytes"), LIMIT_BYTES);
            Some(group)
        })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn only_what_the_system_killed_for_want_of_memory_failed_for_that() {
    let Some(group) = Group::new() else {
        eprintln!("!!! not tested: this machine gives us no control group with a limit of memory");
        return;
    };
    let place = Place::new();
    let script = format!(
        "case {{}} in killed) kill -9 $$;; hog) exec {HOG};; again) kill -9 $$;; \
         child) {HOG}; exit $?;; bears) {HOG}; exit 3;; esac"
    );
    let procs = group.0.join("cgroup.procs");
    let bex = env!("CARGO_BIN_EXE_bex");
    let enter = format!("echo $$ > '{}'; exec \"$@\"", procs.display());
    let mut command = place.command("sh");
    command.args([
        "-c",
        &enter,
        "sh",
        bex,
        "run",
        "-j",
        "1",
        "-k",
        "-o",
        "out.jsonl",
    ]);
    command.args(["--shell", &script, ":::"]);
    command.args(["killed", "hog", "again", "child", "bears"]);
    let ended = finish(command, b"").expect(1);
    let tasks: Vec<Value> = place
        .read("out.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let reasons: Vec<&str> = tasks
        .iter()
        .map(|task| task["reason"].as_str().unwrap())
        .collect();
    let expected = [
        "signal",
        "out of memory",
        "signal",
        "exit code",
        "exit code",
    ];
    assert_eq!(reasons, expected, "{ended:#?} {tasks:#?}");
    let errors: Vec<&str> = tasks
        .iter()
        .map(|task| task["error"].as_str().unwrap())
        .collect();
    assert!(
        errors[1].starts_with("out of memory: the system killed it"),
        "{errors:?}"
    );
    assert!(
        errors[3].contains("exit code 137, the system killed one of its processes"),
        "{errors:?}"
    );
}
