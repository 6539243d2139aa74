//! Knowing when processes have begun and when all of them are gone, without sleeping: [`Lifeline`].

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, mpsc};
use std::time::Duration;

/// Longer than anything here takes on the slowest machine. Not an assertion on time: a hang becomes a
/// failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A named pipe that a script and everything it starts hold open: its end is the end of them all.
pub(crate) struct Lifeline {
    folder: tempfile::TempDir,
    lines: Mutex<mpsc::Receiver<Option<String>>>,
}

impl Lifeline {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fifo");
        assert!(
            Command::new("mkfifo")
                .arg(&path)
                .status()
                .unwrap()
                .success()
        );
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            // Opening waits for the first writer.
            let reader = BufReader::new(std::fs::File::open(path).unwrap());
            for line in reader.lines() {
                let _ = sender.send(Some(line.unwrap()));
            }
            let _ = sender.send(None);
        });
        Self {
            folder,
            lines: Mutex::new(lines),
        }
    }

    /// Goes before a script: holds the pipe as descriptor 9. `echo … >&9` then sends a line.
    pub(crate) fn hold(&self) -> String {
        format!("exec 9>'{}'; ", self.path().display())
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("fifo")
    }

    /// Waits for a line.
    pub(crate) fn line(&self) -> String {
        self.next().expect("a line before the end")
    }

    /// Waits until every process that holds the pipe is gone.
    pub(crate) fn all_gone(&self) {
        while self.next().is_some() {}
    }

    fn next(&self) -> Option<String> {
        self.lines
            .lock()
            .unwrap()
            .recv_timeout(PATIENCE)
            .expect("news of the processes in time")
    }
}

/// Sends a signal by name; a negative number means a group.
pub(crate) fn kill(signal: &str, pid: i64) {
    let status = Command::new("kill")
        .args([signal, "--", &pid.to_string()])
        .status()
        .unwrap();
    assert!(status.success(), "kill {signal} {pid}");
}
