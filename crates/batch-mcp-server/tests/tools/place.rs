//! A folder with batches of its own, and calls in it: [`Place`].

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::Command;

use batch_actions::{BatchRequest, Home, create};
use batch_core::{BatchSettings, Plan};
use batch_handlers::{HandlerConfig, standard_registry};
use batch_mcp_server::{Answer, CallContext, Dispatcher, Limits, Session};
use serde_json::{Map, Value};
use tempfile::TempDir;

/// The bytes of the longest usual answer, and of the longest of all: 1,500 and 8,000 tokens of four bytes.
pub(crate) const USUAL: usize = 6_000;
pub(crate) const MOST: usize = 32_000;

/// Longer than any test needs, and within what a call waits.
pub(crate) const WAIT: u64 = 45;

pub(crate) struct Place {
    folder: TempDir,
    limits: Limits,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self::with(Limits::default())
    }

    pub(crate) fn with(limits: Limits) -> Self {
        Self {
            folder: TempDir::new().unwrap(),
            limits,
        }
    }

    /// The same folder with other limits.
    pub(crate) fn limited(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Nothing is kept in memory: every call has an agent of its own.
    pub(crate) fn agent(&self) -> Dispatcher {
        let home = Home::new(self.path("home"));
        let registry = standard_registry(&HandlerConfig::new(self.path("outputs")));
        Dispatcher::new(Session {
            folder: self.folder.path().to_owned(),
            limits: self.limits.clone(),
            ..Session::new(home, registry, executor)
        })
    }

    pub(crate) fn answer(&self, tool: &str, arguments: &Value) -> Answer {
        let arguments = arguments.as_object().unwrap();
        let answer = self.agent().call(tool, arguments, &CallContext::default());
        check(&answer, arguments);
        answer
    }

    #[track_caller]
    pub(crate) fn call(&self, tool: &str, arguments: Value) -> Answer {
        let answer = self.answer(tool, &arguments);
        assert!(!answer.is_error, "{tool} {arguments}: {}", answer.text);
        answer
    }

    /// A call that is wrong in this argument.
    #[track_caller]
    pub(crate) fn mistake(&self, tool: &str, arguments: Value, field: &str) -> String {
        let answer = self.answer(tool, &arguments);
        assert!(answer.is_error, "{tool} {arguments}: {}", answer.text);
        let told = answer.structured["field"].as_str();
        assert_eq!(told, Some(field), "{tool} {arguments}: {}", answer.text);
        assert!(answer.text.contains("A valid call: "), "{}", answer.text);
        answer.text
    }

    /// The right call that is shown for one that is wrong in this argument.
    #[track_caller]
    pub(crate) fn right(&self, tool: &str, arguments: Value, field: &str) -> Value {
        let answer = self.answer(tool, &arguments);
        let told = answer.structured["field"].as_str();
        assert_eq!(told, Some(field), "{tool} {arguments}: {}", answer.text);
        let right = &answer.structured["example"];
        let line = format!("\nA valid call: {right}");
        assert!(answer.text.ends_with(&line), "{}", answer.text);
        right.clone()
    }

    /// Runs a batch to its end, and gives its id.
    #[track_caller]
    pub(crate) fn run(&self, mut arguments: Value) -> String {
        arguments["wait_s"] = WAIT.into();
        let answer = self.call("bex_run", arguments);
        let finished = ["completed", "failed", "cancelled"].map(|status| count(&answer, status));
        assert_eq!(
            finished.iter().sum::<u64>(),
            count(&answer, "total"),
            "{}",
            answer.text
        );
        self.settled(answer.structured["batch"].as_str().unwrap())
    }

    /// How many batches of this name without a task.
    pub(crate) fn many_batches(&self, count: usize, name: &str) {
        let request = BatchRequest {
            settings: BatchSettings {
                name: Some(name.to_owned()),
                ..BatchSettings::with_slots(NonZeroU32::MIN)
            },
            ..BatchRequest::default()
        };
        for _ in 0..count {
            create(&Home::new(self.path("home")), &request, &Plan::default()).unwrap();
        }
    }

    /// Waits for a batch and its executor, and gives its id.
    #[track_caller]
    pub(crate) fn settled(&self, batch: &str) -> String {
        let until = serde_json::json!({ "batch": batch, "timeout_s": WAIT });
        let answer = self.call("bex_wait", until);
        assert_eq!(
            count(&answer, "queued") + count(&answer, "running"),
            0,
            "{}",
            answer.text
        );
        let file = Home::new(self.path("home")).file(batch.parse().unwrap());
        while batch_store::Lease::holder(&file).unwrap().is_some() {
            std::thread::yield_now();
        }
        batch.to_owned()
    }

    /// A text without what differs from run to run.
    pub(crate) fn redacted(&self, text: &str) -> String {
        let text = text.replace(self.folder.path().to_str().unwrap(), "[folder]");
        let words: Vec<String> = text.split(' ').map(redacted).collect();
        words.join(" ")
    }
}

/// Times and causes.
fn redacted(word: &str) -> String {
    let is_time = |text: &str| text.contains('.') && text.parse::<f64>().is_ok();
    let plain = word.trim_end_matches([',', ':', ')', '\n']);
    if is_time(plain) {
        return word.replace(plain, "[time]");
    }
    word.to_owned()
}

pub(crate) fn count(answer: &Answer, status: &str) -> u64 {
    answer.structured[status].as_u64().unwrap_or_default()
}

/// What holds for every answer.
#[track_caller]
fn check(answer: &Answer, arguments: &Map<String, Value>) {
    let is_full = arguments
        .get("output")
        .is_some_and(|output| output == "full");
    let most = if is_full { MOST } else { USUAL };
    let structured = answer.structured.to_string();
    assert!(
        answer.text.len() < most,
        "{} bytes: {}",
        answer.text.len(),
        answer.text
    );
    assert!(
        structured.len() < most,
        "{} bytes: {structured}",
        structured.len()
    );
    assert!(answer.structured.is_object());
    let is_bad = |c: char| c.is_control() && c != '\n' && c != '\t';
    assert!(!answer.text.contains(is_bad), "{:?}", answer.text);
    let last = answer.text.lines().last().unwrap();
    match answer.is_error {
        true => assert!(last.starts_with("A valid call: "), "{}", answer.text),
        false => assert!(
            last.starts_with("Next: ") || last.starts_with("  or: "),
            "{}",
            answer.text
        ),
    }
}

fn executor(file: &Path) -> Command {
    let own = std::env::current_exe().unwrap();
    let target = own.ancestors().nth(2).unwrap();
    let program = target.join("examples/executor");
    assert!(
        program.exists(),
        "{} is missing; build it with: cargo test -p batch-mcp-server",
        program.display()
    );
    let mut command = Command::new(program);
    command.arg(file);
    command
}
