//! Texts for people: what was meant by a mistyped name, and numbers with what they count.

use std::fmt;

/// A number with what it counts. `{:#}` sets its thousands apart.
///
/// ```
/// # use batch_core::text::Counted;
/// assert_eq!(Counted(1, "task").to_string(), "1 task");
/// assert_eq!(Counted(2, "retry").to_string(), "2 retries");
/// assert_eq!(format!("{:#}", Counted(3120, "task")), "3,120 tasks");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted<'a>(pub u64, pub &'a str);

impl fmt::Display for Counted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(count, what) = self;
        let number = if f.alternate() {
            Grouped(*count).to_string()
        } else {
            count.to_string()
        };
        let text = match (count, what.strip_suffix('y')) {
            (1, _) => format!("1 {what}"),
            (_, Some(stem)) => format!("{number} {stem}ies"),
            (_, None) => format!("{number} {what}s"),
        };
        f.pad(&text)
    }
}

/// How many problems are told, before the number of the rest.
const MOST_PROBLEMS: usize = 100;

/// The first of many problems as text, and how many there are besides.
///
/// ```
/// # use batch_core::text::first_of;
/// let problems = ["no cheese"; 101];
/// let told = first_of(&problems, |problem| problem.to_string(), "; ");
/// assert!(told.ends_with("no cheese; … and 1 more problem"));
/// ```
pub fn first_of<T>(problems: &[T], text: impl Fn(&T) -> String, between: &str) -> String {
    let shown: Vec<String> = problems.iter().take(MOST_PROBLEMS).map(text).collect();
    let shown = shown.join(between);
    match problems.len().saturating_sub(MOST_PROBLEMS) {
        0 => shown,
        more => {
            let more = Counted(more as u64, "more problem");
            format!("{shown}{between}… and {more}")
        }
    }
}

/// The last line that is not blank, of bytes that may begin inside a line and need not be UTF-8.
///
/// ```
/// # use batch_core::text::last_line;
/// assert_eq!(last_line(b"one\n two \n\n").as_deref(), Some("two"));
/// ```
pub fn last_line(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.lines().rev().map(str::trim);
    lines.find(|line| !line.is_empty()).map(str::to_owned)
}

/// Shows a number with its thousands apart: `3,120`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grouped(pub u64);

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 1_000 {
            return write!(f, "{}", self.0);
        }
        write!(f, "{},{:03}", Self(self.0 / 1_000), self.0 % 1_000)
    }
}

/// Finds near names for a list of errors, as far as that takes no long time: each look goes through all names that
/// are known, so that of many errors only the first ones get a suggestion.
#[derive(Debug)]
pub struct Suggestions {
    /// How many names may still be compared; a first look is always taken.
    left: usize,
}

impl Default for Suggestions {
    fn default() -> Self {
        Self { left: 100_000 }
    }
}

impl Suggestions {
    /// What [`nearest`] finds, as long as there is time for it.
    fn nearest<'a>(
        &mut self,
        name: &str,
        known: impl ExactSizeIterator<Item = &'a str>,
    ) -> Option<&'a str> {
        if self.left == 0 {
            return None;
        }
        self.left = self.left.saturating_sub(known.len().max(1));
        nearest(name, known)
    }

    /// What [`did_you_mean`] asks, as long as there is time for it.
    pub fn did_you_mean<'a>(
        &mut self,
        name: &str,
        known: impl ExactSizeIterator<Item = &'a str>,
    ) -> Option<String> {
        self.nearest(name, known).map(meant)
    }
}

/// The question whether a known name was meant, if one is near enough.
///
/// ```
/// let known = ["command", "shell"];
/// let question = batch_core::text::did_you_mean("comand", known);
/// assert_eq!(question.as_deref(), Some("did you mean \"command\"?"));
/// ```
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(name, known).map(meant)
}

/// The question whether this name was meant.
pub fn meant(near: &str) -> String {
    format!("did you mean {near:?}?")
}

/// Bytes of a name up to which it is compared with others: what it takes grows with the square of the length.
const LONGEST_NAME: usize = 200;

/// The known name nearest to a mistyped one, if one is near enough to suggest.
///
/// ```
/// assert_eq!(batch_core::text::nearest("comand", ["command", "shell"]), Some("command"));
/// assert_eq!(batch_core::text::nearest("xyz", ["command", "shell"]), None);
/// ```
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let is_short = |name: &str| name.len() <= LONGEST_NAME;
    known
        .into_iter()
        .filter(|candidate| is_short(name) && is_short(candidate))
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}
