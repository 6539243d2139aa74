//! Where a value is being read, so that what is wrong with it can be told: [`Scope`], [`Report`].

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use batch_core::{
    duration::{ParseDurationError, duration_from_seconds, parse_duration},
    text::{Suggestions, did_you_mean},
};
use serde_json::value::RawValue;

use crate::fields::{Elements, Fields, kind, text};
use crate::problem::{Problem, TaskLabel};
use crate::source::Source;

/// The problems found so far in a file.
pub(crate) struct Report {
    pub(crate) file: Arc<str>,
    pub(crate) problems: Vec<Problem>,
    /// For names that are not known.
    pub(crate) suggestions: Suggestions,
}

impl Report {
    /// After this many problems the rest of a file is not read.
    const ENOUGH: usize = 1_000;

    pub(crate) fn new(file: &str) -> Self {
        Self {
            file: file.into(),
            problems: Vec::new(),
            suggestions: Suggestions::default(),
        }
    }

    /// A problem of the file at a line; 0 for the file as a whole.
    pub(crate) fn add(&mut self, line: u32, message: impl Into<String>, help: Option<&str>) {
        self.problems.push(Problem {
            file: self.file.clone(),
            line,
            column: None,
            task: None,
            field: String::new(),
            message: message.into(),
            help: help.map(str::to_owned),
        });
    }

    /// A text that is not JSON at all. `first_line` is where it begins.
    pub(crate) fn add_syntax(&mut self, text: &str, error: &serde_json::Error, first_line: u32) {
        let at = |line: usize| {
            let line = u32::try_from(line).unwrap_or(u32::MAX);
            first_line.saturating_add(line.max(1) - 1)
        };
        // Whatever was found behind an open quote is its doing.
        if let Some(line) = unclosed_quote(text, error.line()) {
            let message = "not well-formed JSON: a double quote in this line is not closed";
            let help = "close it; in a text, a quote is written \\\" and a line break \\n";
            return self.add(at(line), message, Some(help));
        }
        let message = syntax_message(error);
        let help = message
            .ends_with("key must be a string")
            .then_some("names go in double quotes, and the last field takes no comma");
        self.add(at(error.line()), message, help);
        if let Some(problem) = self.problems.last_mut() {
            problem.column = u32::try_from(error.column())
                .ok()
                .filter(|column| *column > 0);
        }
    }

    /// A text of one JSON object a line where a document should be.
    pub(crate) fn add_lines(&mut self) {
        let help = "such a file is named .jsonl";
        self.add(0, "the file has one JSON object in each line", Some(help));
    }

    /// Whether there are so many that reading on makes no sense. Says so, once.
    pub(crate) fn is_full(&mut self) -> bool {
        if self.problems.len() < Self::ENOUGH {
            return false;
        }
        self.add(
            0,
            "too many problems; the rest of the file was not read",
            None,
        );
        true
    }
}

/// The first line, up to `last`, in which a text begins and does not end.
fn unclosed_quote(text: &str, last: usize) -> Option<usize> {
    let is_open = |line: &str| {
        let (mut is_quoted, mut is_escaped) = (false, false);
        for byte in line.bytes() {
            is_quoted ^= byte == b'"' && !is_escaped;
            is_escaped = is_quoted && byte == b'\\' && !is_escaped;
        }
        is_quoted
    };
    let found = text.lines().take(last).position(is_open)?;
    Some(found + 1)
}

/// The message of a JSON error without the place, which is told apart.
fn syntax_message(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let bare = message.split(" at line ").next().unwrap_or_default();
    format!("not well-formed JSON: {bare}")
}

/// The task or the settings being read.
pub(crate) struct Scope<'s, 'a> {
    pub(crate) source: &'s Source<'a>,
    pub(crate) report: &'s mut Report,
    pub(crate) task: Option<TaskLabel>,
}

impl Scope<'_, '_> {
    /// Adds a problem with a field whose value is at `at`.
    pub(crate) fn problem(&mut self, at: &str, field: &str, message: String, help: Option<String>) {
        let line = self.source.line(at);
        self.report.problems.push(Problem {
            file: self.report.file.clone(),
            line,
            column: None,
            task: self.task.clone(),
            field: field.to_owned(),
            message,
            help,
        });
    }

    /// Adds the problem that a field has a value of the wrong kind.
    pub(crate) fn wrong(&mut self, raw: &RawValue, field: &str, wanted: &str) {
        let message = match kind(raw) {
            "a text" if text(raw).is_none() => format!("{field} holds half a surrogate pair"),
            "an object" if wanted == "an object" => match field {
                "" => "the name of a field holds half a surrogate pair".to_owned(),
                _ => format!("a name in {field} holds half a surrogate pair"),
            },
            "a number" | "a text" => {
                format!("{field} must be {wanted}, not {}", shortened(raw.get()))
            }
            kind => format!("{field} must be {wanted}, not {kind}"),
        };
        self.problem(raw.get(), field, message, None);
    }

    /// Adds the problem that a field has no number, or one beyond `most`.
    fn wrong_number(&mut self, raw: &RawValue, field: &str, wanted: &str, most: f64) {
        let number = raw.get().parse::<f64>();
        if !number.is_ok_and(|number| number > most) {
            return self.wrong(raw, field, wanted);
        }
        let message = format!("{field} is too large: {}", shortened(raw.get()));
        self.problem(
            raw.get(),
            field,
            message,
            Some(format!("it can be {most} at most")),
        );
    }

    /// Adds the problem that a field is not known.
    pub(crate) fn unknown(&mut self, raw: &RawValue, name: &str, known: &[&str], parent: &str) {
        let field = if parent.is_empty() {
            name.to_owned()
        } else {
            format!("{parent}.{name}")
        };
        // Nobody reads the help of this many.
        let help = (self.report.problems.len() < Report::ENOUGH).then(|| {
            suggestion(name, known)
                .unwrap_or_else(|| format!("the fields are {}", known.join(", ")))
        });
        let inside = if parent.is_empty() {
            String::new()
        } else {
            format!(" in {parent}")
        };
        self.problem(
            raw.get(),
            &field,
            format!("unknown field {name:?}{inside}"),
            help,
        );
    }

    /// The fields of an object. A field that occurs twice is reported and taken the first time.
    pub(crate) fn object<'r>(&mut self, raw: &'r RawValue, field: &str) -> Option<Fields<'r>> {
        let Ok(mut fields) = serde_json::from_str::<Fields<'r>>(raw.get()) else {
            self.wrong(raw, field, "an object");
            return None;
        };
        self.check_twice(&mut fields, field);
        Some(fields)
    }

    /// Reports fields that occur twice, and takes away all but the first.
    pub(crate) fn check_twice(&mut self, fields: &mut Fields<'_>, parent: &str) {
        let twice = given_twice(&fields.0);
        if twice.is_empty() {
            return;
        }
        let inside = if parent.is_empty() {
            String::new()
        } else {
            format!(" in {parent}")
        };
        for (name, raw) in twice.iter().map(|index| &fields.0[*index]) {
            let message = format!("the field {name:?} is given twice{inside}");
            let help = "remove one of them".to_owned();
            self.problem(raw.get(), name, message, Some(help));
        }
        let mut index = 0;
        fields.0.retain(|_| {
            index += 1;
            twice.binary_search(&(index - 1)).is_err()
        });
    }

    pub(crate) fn array<'r>(
        &mut self,
        raw: &'r RawValue,
        field: &str,
        wanted: &str,
    ) -> Option<Elements<'r>> {
        let elements = serde_json::from_str(raw.get()).ok();
        if elements.is_none() {
            self.wrong(raw, field, wanted);
        }
        elements
    }

    pub(crate) fn text<'r>(&mut self, raw: &'r RawValue, field: &str) -> Option<Cow<'r, str>> {
        let found = text(raw);
        if found.is_none() {
            self.wrong(raw, field, "a text");
        }
        found
    }

    pub(crate) fn bool(&mut self, raw: &RawValue, field: &str) -> Option<bool> {
        let found = serde_json::from_str(raw.get()).ok();
        if found.is_none() {
            self.wrong(raw, field, "true or false");
        }
        found
    }

    /// A number of 32 bits without a fraction; a text of digits is none.
    pub(crate) fn whole<T: TryFrom<u32>>(
        &mut self,
        raw: &RawValue,
        field: &str,
        wanted: &str,
    ) -> Option<T> {
        let found = serde_json::from_str::<u32>(raw.get());
        let found = found.ok().and_then(|number| number.try_into().ok());
        if found.is_none() {
            self.wrong_number(raw, field, wanted, f64::from(u32::MAX));
        }
        found
    }

    /// A duration: seconds as a number, or a text such as `"1m30s"`.
    pub(crate) fn duration(&mut self, raw: &RawValue, field: &str) -> Option<Duration> {
        /// What 64 bits hold.
        const LONGEST: f64 = 18_446_744_073_709_551_615.0;
        const WANTED: &str = "a duration: seconds such as 30 or 0.5, or a text such as \"1m30s\"";
        let Some(text) = text(raw) else {
            let seconds = serde_json::from_str(raw.get()).ok();
            let found = seconds.and_then(duration_from_seconds);
            if found.is_none() {
                self.wrong_number(raw, field, WANTED, LONGEST);
            }
            return found;
        };
        match parse_duration(&text) {
            Ok(found) => return Some(found),
            Err(ParseDurationError::TooLong(_)) => {
                let message = format!("{field} is too large: {}", shortened(raw.get()));
                self.problem(raw.get(), field, message, None);
            }
            Err(ParseDurationError::Malformed(_)) => self.wrong(raw, field, WANTED),
        }
        None
    }

    /// A duration of more than nothing.
    pub(crate) fn time_limit(&mut self, raw: &RawValue, field: &str) -> Option<Duration> {
        let found = self.duration(raw, field)?;
        if found.is_zero() {
            let help = "omit it for no limit".to_owned();
            let message = format!("{field} must be more than nothing");
            self.problem(raw.get(), field, message, Some(help));
            return None;
        }
        Some(found)
    }
}

/// The places of fields whose name is given before them.
fn given_twice(fields: &[(Cow<'_, str>, &RawValue)]) -> Vec<usize> {
    // Most objects have few fields: a set would cost more than looking through them.
    const FEW: usize = 16;
    let indices = 0..fields.len();
    if fields.len() <= FEW {
        let is_before = |index: &usize| {
            let (name, _) = &fields[*index];
            fields[..*index].iter().any(|(before, _)| before == name)
        };
        return indices.filter(is_before).collect();
    }
    let mut seen = HashSet::with_capacity(fields.len());
    indices
        .filter(|index| !seen.insert(&*fields[*index].0))
        .collect()
}

/// The known name that was meant, in whatever case it was written.
pub(crate) fn suggestion(name: &str, known: &[&str]) -> Option<String> {
    did_you_mean(&name.to_lowercase(), known.iter().copied())
}

pub(crate) fn shortened(json: &str) -> Cow<'_, str> {
    match json.char_indices().nth(60) {
        Some((end, _)) => Cow::Owned(format!("{}…", &json[..end])),
        None => Cow::Borrowed(json),
    }
}
