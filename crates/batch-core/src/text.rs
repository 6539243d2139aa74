//! Texts for people: what was meant by a mistyped name, and numbers with what they count.

use std::fmt;

/// A number with what it counts.
///
/// ```
/// # use batch_core::text::Counted;
/// assert_eq!(Counted(1, "task").to_string(), "1 task");
/// assert_eq!(Counted(2, "retry").to_string(), "2 retries");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted<'a>(pub u64, pub &'a str);

impl fmt::Display for Counted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(number, what) = self;
        let text = match (number, what.strip_suffix('y')) {
            (1, _) => format!("1 {what}"),
            (_, Some(stem)) => format!("{number} {stem}ies"),
            (_, None) => format!("{number} {what}s"),
        };
        f.pad(&text)
    }
}

/// Finds near names for a list of mistakes, as far as that takes no long time: each look goes through all names that
/// are known, so that with many mistakes only the first ones get a suggestion.
#[derive(Debug)]
pub struct Suggestions {
    /// So many names may still be compared; a first look is always taken.
    left: usize,
}

impl Default for Suggestions {
    fn default() -> Self {
        Self { left: 100_000 }
    }
}

impl Suggestions {
    /// What [`nearest`] finds among so many names, as long as there is time for it.
    pub fn nearest<'a>(
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
}

/// The question whether a known name was meant, if one is near enough.
///
/// ```
/// let known = ["command", "shell"];
/// let question = batch_core::text::did_you_mean("comand", known);
/// assert_eq!(question.as_deref(), Some("did you mean \"command\"?"));
/// ```
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(name, known).map(|near| format!("did you mean {near:?}?"))
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
