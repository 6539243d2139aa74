//! Why a task failed, in a form in which like failures are equal: [`Cause`].
//!
//! A cause is made of the function, the kind of the failure with its number, and the line that tells most
//! about it ([`error_line`]) without what differs from task to task ([`normal`]). Summaries, results and the
//! store group failures by it. Pure: the bytes of standard error are an argument.

mod error_line;

pub(crate) use error_line::without_escapes;
mod normal;

use std::fmt;
use std::str::FromStr;

use batch_core::FailureKind;

/// The most characters of a function in a label.
const LONGEST_FUNCTION: usize = 60;
/// The most characters of a line that are looked at.
const LONGEST_READ: usize = 1_000;
/// The most characters of a normalised line in a label.
const LONGEST_LINE: usize = 160;
/// The most characters of a sample.
const LONGEST_SAMPLE: usize = 300;

/// Why a task failed. Tasks that failed in the same way have the same cause.
///
/// ```
/// use batch_core::FailureKind;
/// use batch_export::Cause;
///
/// let of = |stderr: &[u8]| Cause::of("command", FailureKind::ExitCode(1), "exit code 1", stderr);
/// let cause = of(b"cat: /a/1.txt: No such file or directory\n");
/// assert_eq!(cause.label(), "command: exit code 1: cat: P: No such file or directory");
/// assert_eq!(cause.sample(), "cat: /a/1.txt: No such file or directory");
/// assert_eq!(cause, of(b"cat: /b/2.txt: No such file or directory\n"));
/// assert_ne!(cause, of(b"cat: /a/1.txt: Permission denied\n"));
/// ```
#[derive(Clone, Debug)]
pub struct Cause {
    id: CauseId,
    label: String,
    sample: String,
}

/// The name of a [`Cause`], written `c3fa21b`: a hash of its label, the same in every version and on every
/// machine. Two causes among a thousand share one with a probability of 3 %; they are told as one then.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CauseId(u32);

/// The text was not the id of a cause.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a cause id such as c3fa21b")]
pub struct ParseCauseIdError(String);

impl Cause {
    /// The cause of a failure of a function. `message` is what the handler said
    /// ([`Failure::message`](batch_core::Failure::message)); `stderr` are the last bytes of the standard error,
    /// some KiB are enough; they may begin inside a line and need not be UTF-8.
    pub fn of(function: &str, kind: FailureKind, message: &str, stderr: &[u8]) -> Self {
        let line = error_line::error_line(kind, message, stderr);
        let function = shortened(&normal::folded(function), LONGEST_FUNCTION);
        let mut label = format!("{function}: {kind}");
        let read = line.as_deref().map(|line| shortened(line, LONGEST_READ));
        let normal = normal::normalise(&read.unwrap_or_default());
        if !normal.is_empty() {
            label.push_str(": ");
            label.push_str(&shortened(&normal, LONGEST_LINE));
        }
        let sample = line.unwrap_or_else(|| message.lines().next().unwrap_or_default().to_owned());
        Self {
            id: CauseId::of(&label),
            label,
            sample: shortened(sample.trim(), LONGEST_SAMPLE),
        }
    }

    /// A cause that was stored: what its methods said.
    pub const fn from_parts(id: CauseId, label: String, sample: String) -> Self {
        Self { id, label, sample }
    }

    /// Its name.
    pub const fn id(&self) -> CauseId {
        self.id
    }

    /// What it is, in one short line without control characters:
    /// `command: exit code 2: grep: P: No such file or directory`. `N` means a number, `P` for a path,
    /// `T` for a time, `A` for a network address, `U` for a URL, `X` for a hexadecimal text or a token, and
    /// `…` inside quotes for what was quoted.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The line it was taken from, as the task wrote it but for colours, cut where it grows long. Control
    /// characters are left to the one who shows it. Empty when nothing was said.
    pub fn sample(&self) -> &str {
        &self.sample
    }
}

/// Causes are equal when their ids are; the samples may differ.
impl PartialEq for Cause {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Cause {}

impl fmt::Display for Cause {
    /// The label.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label)
    }
}

impl CauseId {
    /// The greatest number of an id.
    const MAX: u32 = 0xff_ffff;

    /// The id with this number; `None` when it is greater than six hexadecimal digits can say.
    pub const fn new(number: u32) -> Option<Self> {
        if number <= Self::MAX {
            Some(Self(number))
        } else {
            None
        }
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// FNV-1a of 64 bits, folded to 24: the hashes of the standard library may change with its version.
    fn of(label: &str) -> Self {
        let hash = label.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self((hash ^ (hash >> 24) ^ (hash >> 48)) as u32 & Self::MAX)
    }
}

impl fmt::Display for CauseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{:06x}", self.0)
    }
}

impl fmt::Debug for CauseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CauseId({self})")
    }
}

impl FromStr for CauseId {
    type Err = ParseCauseIdError;

    fn from_str(text: &str) -> Result<Self, ParseCauseIdError> {
        text.strip_prefix('c')
            .filter(|digits| digits.len() == 6 && digits.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
            .map(Self)
            .ok_or_else(|| ParseCauseIdError(text.to_owned()))
    }
}

/// A text of at most this many characters, the last one an ellipsis where it was longer.
fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => text.chars().take(most - 1).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests;
