//! What an attempt ended as, and what it left: [`Outcome`], [`Failure`], [`Output`].

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::json::Json;
pub use crate::signal::SignalNumber;
use crate::status::FailureKind;

/// What an attempt ended as.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It did what it should.
    Completed(Option<Arc<Output>>),
    /// It did not.
    Failed(Arc<Failure>),
    /// It was stopped because someone cancelled the task.
    Cancelled(Option<Arc<Output>>),
    /// It was cut off by a shutdown or a crash, or could not be started for lack of resources: no
    /// failure, and it uses up no retry.
    Interrupted(Option<Arc<Output>>),
}

/// Why an attempt failed, and what it left all the same.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The kind, for reasons and retry rules.
    pub kind: FailureKind,
    /// One or a few lines for people.
    pub message: String,
    /// Another attempt cannot help (no such program, bad request): retried only where the rules of its task name it.
    pub permanent: bool,
    /// The other side asked for this pause before the next attempt.
    pub retry_after: Option<Duration>,
    /// Who asked for it, where that holds for all that goes there: the host and port of a server.
    pub host: Option<Box<str>>,
    /// What the attempt printed or returned before it failed.
    pub output: Option<Arc<Output>>,
}

/// What an attempt left: a value, the end of its process, and what it printed.
#[derive(Clone, Debug, Default)]
pub struct Output {
    /// The returned value, where the function has one (`custom_function`, `http`, Rust handlers).
    pub value: Option<Json>,
    /// How its process ended, where it was one.
    pub process: Option<ProcessEnd>,
    /// Standard output.
    pub stdout: Stream,
    /// Standard error.
    pub stderr: Stream,
}

/// One of the two outputs of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StreamKind {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl StreamKind {
    /// The name: `stdout` or `stderr`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// How a process ended and what it used.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct ProcessEnd {
    /// The exit code; `None` when a signal ended it.
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Processor time of the process and the children it waited for, user and system.
    pub cpu_time: Duration,
    /// The most memory it held at once, in bytes.
    pub peak_memory: u64,
    /// Its output was still held open by a process it left behind.
    pub leaking: bool,
}

/// What a process wrote to one of its outputs: the bytes, or the file they were spilled to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stream {
    /// The bytes, where they are few.
    Inline(Box<[u8]>),
    /// A file, where they are many.
    File {
        /// Where the bytes are.
        path: PathBuf,
        /// How many there are.
        len: u64,
    },
}

impl Default for Stream {
    fn default() -> Self {
        Self::Inline(Box::default())
    }
}

impl Stream {
    /// The number of bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Inline(bytes) => bytes.len() as u64,
            Self::File { len, .. } => *len,
        }
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl From<Vec<u8>> for Stream {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Inline(bytes.into())
    }
}

impl Output {
    /// How many bytes of it are in memory.
    pub fn in_memory(&self) -> usize {
        let value = self.value.as_ref().map_or(0, |value| value.as_str().len());
        let streams = [&self.stdout, &self.stderr].into_iter();
        let streams = streams.map(|stream| match stream {
            Stream::Inline(bytes) => bytes.len(),
            Stream::File { .. } => 0,
        });
        value + streams.sum::<usize>()
    }

    /// An output that is a returned value.
    pub fn from_value(value: Json) -> Self {
        Self {
            value: Some(value),
            ..Self::default()
        }
    }
}

impl Failure {
    /// A failure of a kind, retried as the policy says.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            permanent: false,
            retry_after: None,
            host: None,
            output: None,
        }
    }

    /// A failure for a reason of the handler's own.
    ///
    /// ```
    /// use batch_core::{Failure, FailureKind};
    /// assert_eq!(Failure::error("the disk is made of cheese").kind, FailureKind::Error);
    /// ```
    pub fn error(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Error, message)
    }

    /// Says that another attempt cannot help.
    #[must_use]
    pub fn permanent(mut self) -> Self {
        self.permanent = true;
        self
    }

    /// Adds what the attempt left.
    #[must_use]
    pub fn with_output(mut self, output: Output) -> Self {
        self.output = Some(Arc::new(output));
        self
    }
}

impl Outcome {
    /// What the attempt left.
    pub fn output(&self) -> Option<&Arc<Output>> {
        match self {
            Self::Completed(output) | Self::Cancelled(output) | Self::Interrupted(output) => {
                output.as_ref()
            }
            Self::Failed(failure) => failure.output.as_ref(),
        }
    }
}
