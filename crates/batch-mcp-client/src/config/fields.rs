//! Reading tables strictly: [`Notes`] collects what is wrong, [`Fields`] reads one table.

use std::ops::Range;
use std::time::Duration;

use batch_core::{duration_from_seconds, nearest, parse_duration};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::ConfigProblem;
use super::template::Template;

/// What is wrong so far, with the text to find lines in.
pub(super) struct Notes<'a> {
    text: &'a str,
    problems: Vec<ConfigProblem>,
    /// The last place that was asked for and its line, from which lines behind it are counted.
    last: (usize, usize),
}

impl<'a> Notes<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text,
            problems: Vec::new(),
            last: (0, 1),
        }
    }

    /// Notes a mistake at a place of the text.
    pub(super) fn add(&mut self, at: Range<usize>, message: String, help: Option<String>) {
        let place = at.start.min(self.text.len());
        let (from, line) = match self.last {
            (from, line) if from <= place => (from, line),
            _ => (0, 1),
        };
        let between = &self.text.as_bytes()[from..place];
        let line = line + between.iter().filter(|byte| **byte == b'\n').count();
        self.last = (place, line);
        self.problems.push(ConfigProblem {
            line,
            message,
            help,
        });
    }

    pub(super) fn wrong(&mut self, what: &str, wanted: &str, value: &Spanned<DeValue<'_>>) {
        let kind = kind(value.get_ref());
        self.add(
            value.span(),
            format!("{what} must be {wanted}, not {kind}"),
            None,
        );
    }

    /// All mistakes so far, in the order of the lines.
    pub(super) fn check(&mut self) -> Result<(), Vec<ConfigProblem>> {
        if self.problems.is_empty() {
            return Ok(());
        }
        let mut problems = std::mem::take(&mut self.problems);
        problems.sort_by_key(|problem| problem.line);
        Err(problems)
    }
}

/// "did you mean", or the list of what there is.
pub(super) fn hint<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone) -> Option<String> {
    if let Some(near) = nearest(name, known.clone()) {
        return Some(format!("did you mean {near:?}?"));
    }
    let known: Vec<_> = known.collect();
    (!known.is_empty()).then(|| format!("known here: {}", known.join(", ")))
}

/// One table that may have certain fields and no others.
pub(super) struct Fields<'t, 'n, 'a> {
    table: &'t DeTable<'t>,
    /// What messages call the table, such as `the server "files"`.
    name: String,
    notes: &'n mut Notes<'a>,
}

impl<'t, 'n, 'a> Fields<'t, 'n, 'a> {
    pub(super) fn new(
        table: &'t DeTable<'t>,
        name: String,
        known: &[&str],
        notes: &'n mut Notes<'a>,
    ) -> Self {
        for key in table.keys() {
            let field: &str = key.get_ref();
            if !known.contains(&field) {
                let help = hint(field, known.iter().copied());
                notes.add(key.span(), format!("{name}: unknown field {field:?}"), help);
            }
        }
        Self { table, name, notes }
    }

    pub(super) fn get(&self, field: &str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.table.get(field)
    }

    pub(super) fn problem(&mut self, at: Range<usize>, message: &str, help: Option<&str>) {
        let message = format!("{}: {message}", self.name);
        self.notes.add(at, message, help.map(str::to_owned));
    }

    fn wrong(&mut self, field: &str, wanted: &str, value: &Spanned<DeValue<'_>>) {
        self.notes
            .wrong(&format!("{}: {field}", self.name), wanted, value);
    }

    /// A text that may name variables.
    pub(super) fn template(&mut self, field: &str) -> Option<Template> {
        let value = self.get(field)?;
        self.as_template(field, value)
    }

    fn as_template(&mut self, field: &str, value: &Spanned<DeValue<'_>>) -> Option<Template> {
        let Some(text) = value.get_ref().as_str() else {
            self.wrong(field, "a text", value);
            return None;
        };
        if text.contains('\0') {
            self.problem(value.span(), &format!("{field} holds a zero byte"), None);
            return None;
        }
        match Template::parse(text) {
            Ok(template) => Some(template),
            Err(problem) => {
                let help = "write ${NAME} for a variable, and $${ for ${ itself";
                self.problem(value.span(), &format!("{field}: {problem}"), Some(help));
                None
            }
        }
    }

    /// A list of texts that may name variables; empty when absent.
    pub(super) fn templates(&mut self, field: &str) -> Vec<Template> {
        let Some(value) = self.get(field) else {
            return Vec::new();
        };
        let Some(list) = value.get_ref().as_array() else {
            self.wrong(field, "a list of texts", value);
            return Vec::new();
        };
        let texts = list.iter().enumerate();
        texts
            .filter_map(|(at, value)| self.as_template(&format!("{field}[{at}]"), value))
            .collect()
    }

    /// A table of texts that may name variables; empty when absent.
    pub(super) fn named_templates(&mut self, field: &str) -> Vec<(String, Range<usize>, Template)> {
        let Some(value) = self.get(field) else {
            return Vec::new();
        };
        let Some(table) = value.get_ref().as_table() else {
            self.wrong(field, "a table of texts", value);
            return Vec::new();
        };
        let pairs = table.iter();
        pairs
            .filter_map(|(key, value)| {
                let name: &str = key.get_ref();
                let template = self.as_template(&format!("{field}.{name}"), value)?;
                Some((name.to_owned(), key.span(), template))
            })
            .collect()
    }

    /// Seconds, or a text such as `"1m30s"`; more than zero.
    pub(super) fn duration(&mut self, field: &str, default: Duration) -> Duration {
        let Some(value) = self.get(field) else {
            return default;
        };
        let duration = match value.get_ref() {
            DeValue::String(text) => parse_duration(text).ok(),
            DeValue::Integer(number) => {
                number.as_str().parse().ok().and_then(duration_from_seconds)
            }
            DeValue::Float(number) => number.as_str().parse().ok().and_then(duration_from_seconds),
            _ => None,
        };
        match duration.filter(|duration| !duration.is_zero()) {
            Some(duration) => duration,
            None => {
                let message =
                    format!("{field} must be more than zero seconds, such as 30 or \"1m30s\"");
                self.problem(value.span(), &message, None);
                default
            }
        }
    }

    /// A whole number from 1.
    pub(super) fn count(&mut self, field: &str, default: usize, most: usize) -> usize {
        let Some(value) = self.get(field) else {
            return default;
        };
        let number = value.get_ref().as_integer();
        let number = number.and_then(|number| number.as_str().parse().ok());
        match number.filter(|number| (1..=most).contains(number)) {
            Some(number) => number,
            None => {
                let message = format!("{field} must be a whole number from 1 to {most}");
                self.problem(value.span(), &message, None);
                default
            }
        }
    }
}

/// What a value is, in words.
fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
