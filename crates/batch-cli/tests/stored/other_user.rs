//! Tasks that start a process of another user, as `sudo` does: it cannot be ended, so it is told of and not waited for.
//!
//! For root only: `bex` runs as a user who may not signal what is root's.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::common::{Ended, LIMIT, finish};
use tempfile::TempDir;

const NOBODY: u32 = 65_534;

/// A folder of another user's with `bex` and a program that makes processes of root's.
struct Place {
    folder: TempDir,
    /// How long they sleep; it names them.
    seconds: String,
}

impl Place {
    fn new() -> Option<Self> {
        let setpriv = std::env::split_paths(&std::env::var_os("PATH")?)
            .map(|folder| folder.join("setpriv"))
            .find(|path| path.exists())?;
        let folder = TempDir::new().unwrap();
        set_mode(folder.path(), 0o755);
        chown(folder.path(), Some(NOBODY), Some(NOBODY)).ok()?;
        std::fs::copy(setpriv, folder.path().join("rootly")).unwrap();
        set_mode(&folder.path().join("rootly"), 0o4755);
        let (bex, here) = (env!("CARGO_BIN_EXE_bex"), folder.path().join("bex"));
        if std::fs::hard_link(bex, &here).is_err() {
            std::fs::copy(bex, &here).unwrap();
        }
        static LAST: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = LAST.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let seconds = format!("100{number}.{}", std::process::id());
        let place = Self { folder, seconds };
        let rootly = place.path("rootly");
        let user = place
            .command(&rootly)
            .args(["--reuid", "0", "id", "-u"])
            .output();
        // On a file system that does not heed the bit there is no change of user.
        (user.ok()?.stdout == b"0\n").then_some(place)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, program: &Path) -> Command {
        let nobody = NOBODY.to_string();
        let mut command = Command::new("setpriv");
        command.args(["--reuid", &nobody, "--regid", &nobody, "--clear-groups"]);
        command
            .arg(program)
            .current_dir(self.folder.path())
            .env("BEX_HOME", self.path("home"))
            .env("XDG_CONFIG_HOME", self.path("config"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn bex(&self, args: &[&str]) -> Ended {
        let mut command = self.command(&self.path("bex"));
        command.args(args);
        finish(command, b"")
    }

    /// What a task does to start a process of root's.
    fn sleep(&self) -> String {
        let rootly = self.path("rootly");
        format!("{} --reuid 0 sleep {}", rootly.display(), self.seconds)
    }

    fn sleepers(&self) -> Vec<u32> {
        let line = format!("sleep\0{}\0", self.seconds);
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let sleeps = |pid: &u32| {
            std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|read| read == line.as_bytes())
        };
        pids.filter(sleeps).collect()
    }

    #[track_caller]
    fn sleeper(&self) -> u32 {
        let begun = Instant::now();
        loop {
            match self.sleepers()[..] {
                [pid] => return pid,
                _ => assert!(begun.elapsed() < LIMIT, "{:?}", self.sleepers()),
            }
            std::thread::yield_now();
        }
    }
}

/// The line that tells of the process, and of nothing else.
fn told(pid: u32) -> String {
    format!("could not be ended: process {pid} of user 0 (sleep)")
}

impl Drop for Place {
    fn drop(&mut self) {
        for pid in self.sleepers() {
            signal("KILL", pid);
        }
    }
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn signal(name: &str, pid: u32) {
    let kill = format!("kill -{name} {pid}");
    let _ = Command::new("sh").args(["-c", &kill]).status();
}

/// The parent of a process.
fn parent_of(pid: u32) -> u32 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
    parent.unwrap().trim().parse().unwrap()
}

fn place() -> Option<Place> {
    let place = Place::new();
    if place.is_none() {
        eprintln!("!!! not tested: only root can make a program that runs as its owner");
    }
    place
}

#[test]
fn a_timeout_and_the_end_of_the_run_tell_of_it() {
    let Some(place) = place() else { return };
    for script in [
        format!("{} & sleep 1000; : {{}}", place.sleep()),
        format!("exec {}; : {{}}", place.sleep()),
    ] {
        let ended = place.bex(&["run", "--timeout", "1", "--shell", &script, ":::", "a"]);
        let ended = ended.expect(1);
        let pid = place.sleeper();
        assert!(ended.stderr.contains(&told(pid)), "{ended:#?}");
        assert!(!ended.stderr.contains("; ended"), "{ended:#?}");
        signal("KILL", pid);
    }
}

#[test]
fn what_a_task_left_that_ended_well_is_told_of() {
    let Some(place) = place() else { return };
    let script = format!("{} >/dev/null 2>&1 & echo {{}}", place.sleep());
    let ended = place
        .bex(&["run", "--shell", &script, ":::", "a"])
        .expect(0);
    assert!(ended.stderr.contains(&told(place.sleeper())), "{ended:#?}");
    assert!(!ended.stderr.contains("; ended"), "{ended:#?}");
}

#[test]
fn a_run_with_such_a_process_ends_at_a_signal() {
    let Some(place) = place() else { return };
    let mut bex = place.command(&place.path("bex"));
    let script = format!("exec {}; : {{}}", place.sleep());
    bex.args(["run", "--shell", &script, ":::", "a"]);
    let ending = std::thread::scope(|scope| {
        let ended = scope.spawn(|| finish(bex, b""));
        let executor = parent_of(place.sleeper());
        signal("TERM", parent_of(executor));
        ended.join().unwrap()
    });
    assert_eq!(ending.code, Some(143), "{ending:#?}");
    assert!(
        ending.stderr.contains(&told(place.sleeper())),
        "{ending:#?}"
    );
}

#[test]
fn the_guardian_of_a_killed_executor_tells_of_it() {
    let Some(place) = place() else { return };
    let mut bex = place.command(&place.path("bex"));
    let script = format!("exec {}; : {{}}", place.sleep());
    bex.args(["run", "--shell", &script, ":::", "a"]);
    let ending = std::thread::scope(|scope| {
        let ended = scope.spawn(|| finish(bex, b""));
        signal("KILL", parent_of(place.sleeper()));
        ended.join().unwrap()
    });
    assert!(
        ending.stderr.contains(&told(place.sleeper())),
        "{ending:#?}"
    );
}
