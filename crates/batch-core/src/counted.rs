//! Numbers for people: [`Counted`].

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
