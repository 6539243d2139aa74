//! Output that can be read while its process runs.

#[expect(dead_code, reason = "each test file uses its part")]
mod common;

use std::fs;
use std::future::pending;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use batch_core::outcome::Stream;
use batch_process::{CaptureLimits, Ended, Process, Spec};
use common::PATIENCE;
use tokio::task::JoinHandle;

/// A task whose script waits at `read x <$one`, and at `read x <$two`, until it is told to go on.
struct Live {
    folder: tempfile::TempDir,
    running: JoinHandle<Ended>,
}

impl Live {
    fn start(task: &str, in_memory: usize, live_after: Duration, script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // One for each wait: a gate that is still being closed is no longer shut.
        let gates = ["one", "two"].map(|name| folder.path().join(name));
        let made = Command::new("mkfifo").args(&gates).status().unwrap();
        assert!(made.success());
        let limits = CaptureLimits {
            folder: folder.path().join("out"),
            in_memory,
            live_after: Some(live_after),
            ..CaptureLimits::default()
        };
        let [one, two] = gates.map(|gate| gate.display().to_string());
        let script = format!("one='{one}'; two='{two}'; {script}");
        let spec = Spec {
            task: task.into(),
            capture: Arc::new(limits),
            ..Spec::new(["sh", "-c", &script])
        };
        let process = Process::spawn(&spec).unwrap();
        let running = tokio::spawn(process.run(pending(), pending()));
        Self { folder, running }
    }

    /// Lets the script go on at one of its waits.
    async fn go_on(&self, at: &str) {
        let gate = self.folder.path().join(at);
        let write = tokio::task::spawn_blocking(move || fs::write(gate, "go\n").unwrap());
        tokio::time::timeout(PATIENCE, write)
            .await
            .unwrap()
            .unwrap();
    }

    /// The file of an output, by the end of its name.
    fn file(&self, suffix: &str) -> Option<PathBuf> {
        let files = fs::read_dir(self.folder.path().join("out")).ok()?;
        let mut paths = files.map(|file| file.unwrap().path());
        paths.find(|path| path.to_str().unwrap().ends_with(suffix))
    }

    /// Waits until the file of an output holds a text. There is no event for that.
    async fn until(&self, suffix: &str, text: &str) -> PathBuf {
        let begun = Instant::now();
        loop {
            let file = self.file(suffix);
            let found = file.as_ref().and_then(|path| fs::read_to_string(path).ok());
            if found.as_deref() == Some(text) {
                return file.unwrap();
            }
            assert!(begun.elapsed() < PATIENCE, "{suffix} holds {found:?}");
            tokio::task::yield_now().await;
        }
    }

    async fn end(self) -> (tempfile::TempDir, Ended) {
        let ended = tokio::time::timeout(PATIENCE, self.running).await;
        (self.folder, ended.unwrap().unwrap())
    }
}

const SOON: Duration = Duration::from_millis(1);

const LATE: Duration = Duration::from_secs(3_600);

fn count(folder: &Path) -> usize {
    fs::read_dir(folder.join("out")).unwrap().count()
}

#[tokio::test]
async fn a_running_process_can_be_read_along_and_little_output_comes_back() {
    let script = "echo one; echo problem >&2; read x <$one; echo two; read x <$two; echo three";
    let live = Live::start("b3.7", 1_000, SOON, script);
    let file = live.until(".stdout", "one\n").await;
    let name = file.file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with("b3.7-"), "{name}");
    live.until(".stderr", "problem\n").await;
    live.go_on("one").await;
    live.until(".stdout", "one\ntwo\n").await;
    live.go_on("two").await;
    let (folder, ended) = live.end().await;
    assert_eq!(ended.stdout, Stream::from(b"one\ntwo\nthree\n".to_vec()));
    assert_eq!(ended.stderr, Stream::from(b"problem\n".to_vec()));
    assert_eq!(count(folder.path()), 0);
}

#[tokio::test]
async fn much_output_stays_in_the_file_that_was_read() {
    let script = "echo one; read x <$one; echo two; echo end >&2";
    let live = Live::start("b3.8", 7, SOON, script);
    let seen = live.until(".stdout", "one\n").await;
    live.go_on("one").await;
    let (folder, ended) = live.end().await;
    let Stream::File { path, len } = ended.stdout else {
        panic!("in memory");
    };
    assert_eq!((&path, len), (&seen, 8));
    assert_eq!(fs::read(path).unwrap(), b"one\ntwo\n");
    assert_eq!(ended.stderr, Stream::from(b"end\n".to_vec()));
    assert_eq!(count(folder.path()), 1);
}

#[tokio::test]
async fn what_was_written_before_the_outputs_were_closed_is_shown_too() {
    let script = "echo one; exec >&- 2>&-; read x <$one";
    let live = Live::start("b3.9", 1_000, SOON, script);
    live.until(".stdout", "one\n").await;
    assert_eq!(live.file(".stderr"), None);
    live.go_on("one").await;
    let (_folder, ended) = live.end().await;
    assert_eq!(ended.stdout, Stream::from(b"one\n".to_vec()));
}

#[tokio::test]
async fn a_process_that_ends_before_makes_no_file() {
    let live = Live::start("b3.10", 1_000, LATE, "echo one; read x <$one");
    live.go_on("one").await;
    let (folder, ended) = live.end().await;
    assert_eq!(ended.stdout, Stream::from(b"one\n".to_vec()));
    assert!(!folder.path().join("out").exists());
}

#[tokio::test]
async fn the_files_of_a_dropped_process_are_gone() {
    let live = Live::start("b3.11", 1_000, SOON, "echo one; read x <$one");
    live.until(".stdout", "one\n").await;
    live.running.abort();
    let folder = live.folder;
    assert!(live.running.await.unwrap_err().is_cancelled());
    assert_eq!(count(folder.path()), 0);
}
