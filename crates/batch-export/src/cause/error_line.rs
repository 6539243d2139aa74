//! Which line says why an attempt failed: [`error_line`].

use batch_core::FailureKind;

/// How many of the last lines are looked at for one that tells of an error.
const LINES: usize = 20;

/// What a line holds that tells of an error, in lower case.
const SIGNS: [&str; 44] = [
    "error",
    "exception",
    "fail",
    "fatal",
    "panic",
    "abort",
    "assert",
    "denied",
    "refused",
    "rejected",
    "not found",
    "no such",
    "not permitted",
    "not allowed",
    "not recognized",
    "not exist",
    "cannot",
    "can't",
    "could not",
    "couldn't",
    "unable to",
    "timed out",
    "timeout",
    "invalid",
    "unexpected",
    "unknown",
    "unrecognized",
    "undefined",
    "unsupported",
    "unreachable",
    "unauthorized",
    "forbidden",
    "missing",
    "malformed",
    "corrupt",
    "expired",
    "overflow",
    "out of memory",
    "no space",
    "too many",
    "exceeded",
    "killed",
    "segmentation",
    "terminate called",
];

/// What a line holds that only speaks of an error told elsewhere, or of no error.
const ECHOES: [&str; 13] = [
    ": ***",
    "could not compile",
    "aborting due to",
    "for more information about this error",
    "a complete log of this run",
    "exit status",
    "exit code",
    "returned non-zero",
    " 0 errors",
    "no errors",
    "0 failed",
    "another exception occurred",
    "the above exception",
];

/// What a line begins with that is no error.
const ASIDES: [&str; 8] = [
    "warn", "note:", "hint:", "help:", "info", "debug", "trace", "npm warn",
];

/// How much a line tells.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Relevance {
    /// Where it happened: a line of a stack.
    Place,
    /// Nothing that looks like an error.
    Nothing,
    /// Something about an error.
    Something,
    /// The error.
    Error,
}

/// The line that tells why an attempt failed in this way; `None` when the kind says all there is.
///
/// What a process wrote counts where its end was judged from outside; else the handler knows better.
pub(super) fn error_line(kind: FailureKind, message: &str, stderr: &[u8]) -> Option<String> {
    match kind {
        FailureKind::ExitCode(_) => {
            let lines = lines(stderr);
            error_of(&lines)
                .or_else(|| last_of(&lines))
                .or_else(|| of_message(kind, message))
        }
        // A signal speaks for itself: what was written last is often progress, and no reason.
        FailureKind::Signal(_) | FailureKind::OutOfMemory => error_of(&lines(stderr)),
        FailureKind::Quarantined | FailureKind::Interrupted => None,
        FailureKind::Timeout => of_message(kind, message),
        _ => of_message(kind, message).or_else(|| error_of(&lines(stderr))),
    }
}

/// What a message says beyond its kind: its exception, else its first line.
fn of_message(kind: FailureKind, message: &str) -> Option<String> {
    let rest = match message.trim().strip_prefix(&*kind.to_string()) {
        Some("") => return None,
        Some(rest) => rest.strip_prefix(": ").unwrap_or(message),
        None => message,
    };
    // How long it may take is the task's own affair.
    if kind == FailureKind::Timeout && rest.starts_with("it took longer than ") {
        return None;
    }
    let lines = lines(rest.as_bytes());
    let exception = exception_at(&lines).and_then(|at| lines.get(at));
    exception
        .or(lines.first())
        .map(|line| line.trim().to_owned())
}

/// The last line that tells of an error, with what follows it where it ends in a colon.
fn error_of(lines: &[String]) -> Option<String> {
    let exception = exception_at(lines);
    let from = lines.len().saturating_sub(LINES);
    let relevance = |at: usize| {
        if exception == Some(at) {
            Relevance::Error
        } else {
            relevance(&lines[at])
        }
    };
    // Of those that tell as much, the last.
    let at = (from..lines.len()).max_by_key(|at| relevance(*at))?;
    if relevance(at) < Relevance::Something {
        return None;
    }
    let line = lines[at].trim();
    let next = lines.get(at + 1).map(|line| line.trim());
    match next.filter(|next| line.ends_with(':') && !is_aside(&next.to_lowercase())) {
        Some(next) => Some(format!("{line} {next}")),
        None => Some(line.to_owned()),
    }
}

fn last_of(lines: &[String]) -> Option<String> {
    let mut lines = lines.iter().rev();
    let line = lines.find(|line| relevance(line) > Relevance::Place)?;
    Some(line.trim().to_owned())
}

fn relevance(line: &str) -> Relevance {
    let lower = line.to_lowercase();
    let text = lower.trim_start();
    let is_indented = text.len() < lower.len();
    let holds = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if is_indented && (text.starts_with("at ") || text.starts_with("file \"")) {
        Relevance::Place
    } else if is_aside(text) || !holds(&SIGNS) {
        Relevance::Nothing
    } else if is_indented || holds(&ECHOES) {
        Relevance::Something
    } else {
        Relevance::Error
    }
}

/// Whether a line in lower case says itself that it is no error.
fn is_aside(text: &str) -> bool {
    ASIDES.iter().any(|word| text.starts_with(word)) || text.contains("warning:")
}

/// Where the exception of the last traceback of Python is: the first line after it that is not indented.
fn exception_at(lines: &[String]) -> Option<usize> {
    let head = lines
        .iter()
        .rposition(|line| line.starts_with("Traceback (most recent call last)"))?;
    let after = lines[head + 1..]
        .iter()
        .position(|line| !line.starts_with([' ', '\t']))?;
    Some(head + 1 + after)
}

/// The lines that are not blank, without colours. Of a line that was written over, what stood last.
fn lines(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let shown = |line: &str| {
        let line = without_escapes(line);
        let mut versions = line.rsplit('\r').map(str::trim_end);
        versions
            .find(|line| !line.trim_matches(is_blank).is_empty())
            .map(str::to_owned)
    };
    text.lines().filter_map(shown).collect()
}

fn is_blank(c: char) -> bool {
    c.is_whitespace() || c.is_control()
}

/// A line without the escape sequences of terminals: `ESC [ … letter`, `ESC ] … BEL`, `ESC character`.
pub(crate) fn without_escapes(line: &str) -> String {
    let mut clean = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c != '\u{1b}' {
            clean.push(c);
            continue;
        }
        match chars.next() {
            Some('[') => {
                chars.find(|c| ('\u{40}'..='\u{7e}').contains(c));
            }
            Some(']') => {
                let end = |c: &char| matches!(c, '\u{7}' | '\u{1b}');
                if chars.find(end) == Some('\u{1b}') {
                    chars.next();
                }
            }
            _ => {}
        }
    }
    clean
}
