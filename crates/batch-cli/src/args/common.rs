//! Groups of options that several verbs have.

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use batch_actions::default_slots;
use batch_core::{Json, Priority, duration::parse_duration};
use batch_export::{Format, TaskFilter, WriterOptions};
use batch_input::{ColumnSeparator, ReadOptions, TemplateSource};
use batch_runtime::Registry;
use clap::Args;

use crate::exit::CliError;

/// How many tasks a run has at once.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(crate) struct SlotArgs {
    /// How many tasks run at once in this run; if it runs already, from now on
    #[arg(short = 'j', long, value_name = "N", value_parser = parse_slots)]
    pub(crate) max_concurrent: Option<NonZeroU32>,
}

/// How an attempt is treated.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(crate) struct AttemptArgs {
    /// How long one attempt may take, such as 30 or 1m30s
    #[arg(long, value_name = "DUR", value_parser = parse_limit, help_heading = "How to run")]
    pub(crate) timeout: Option<Duration>,

    /// How often a failed task is retried, after up to 1 s, 2 s, 4 s, … 60 s [default: 3 in files, 0 for commands]
    #[arg(long, value_name = "N", help_heading = "How to run")]
    pub(crate) max_retries: Option<u32>,

    /// Allow values in code, as in: bash -c 'echo {}'; data then runs as code
    #[arg(long, help_heading = "How to run")]
    pub(crate) allow_code: bool,
}

impl AttemptArgs {
    /// How tasks of a file are read: what is given here wins. `template` is that of the rows of a table.
    /// `separator` is what is between its cells, where it is not what the name says.
    ///
    /// # Errors
    /// In words, when that is no separator of a table.
    pub(crate) fn read_options(
        self,
        template: Option<&Path>,
        separator: Option<&str>,
        registry: &Registry,
    ) -> Result<ReadOptions, String> {
        let separator = separator.map(ColumnSeparator::of_table).transpose();
        let template = template.map(|path| TemplateSource {
            path: path.to_owned(),
            functions: Arc::new(registry.clone()),
        });
        Ok(ReadOptions {
            timeout: self.timeout,
            max_retries: self.max_retries,
            allow_code: self.allow_code,
            template,
            separator: separator.map_err(|error| format!("--sep: {error}"))?,
            functions: Some(Arc::new(registry.clone())),
        })
    }
}

/// A function to call.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct FunctionArgs {
    /// A function, with --params
    #[arg(long, value_name = "NAME", help_heading = "What to run")]
    pub(crate) function: Option<String>,

    /// The parameters of --function as JSON; in bex run, {} in its texts is the item
    #[arg(
        long,
        value_name = "JSON",
        requires = "function",
        help_heading = "What to run"
    )]
    pub(crate) params: Option<String>,
}

impl FunctionArgs {
    /// The parameters that were given, else none.
    pub(crate) fn params(&self) -> Result<Json, CliError> {
        Json::parse(self.params.as_deref().unwrap_or("{}"))
            .map_err(|error| CliError::Usage(format!("--params is not JSON: {error}")))
    }
}

/// What narrows results.
#[derive(Clone, Debug, Args)]
pub(crate) struct NarrowArgs {
    /// Only results of these priorities
    #[arg(long, value_name = "PRIORITY", value_delimiter = ',')]
    pub(crate) priority: Vec<Priority>,

    /// Only results with one of these tags
    #[arg(long, value_name = "TAG", value_delimiter = ',')]
    pub(crate) tag: Vec<String>,
}

/// How results are written.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct CellArgs {
    /// In CSV, prevent spreadsheets from reading cells as formulas
    #[arg(long)]
    pub(crate) guard_formulas: bool,

    /// In CSV, cut longer cells, with a mark that says where the whole output is; 0 for no limit
    #[arg(long, value_name = "BYTES", default_value_t = WriterOptions::CELL_LIMIT)]
    pub(crate) cell_limit: usize,
}

impl CellArgs {
    /// How results are written in a format.
    pub(crate) fn options(self, format: Format) -> WriterOptions {
        let mut options = WriterOptions::new(format);
        options.guard_formulas = self.guard_formulas;
        options.cell_limit = self.cell_limit;
        options
    }
}

impl NarrowArgs {
    /// A filter, narrowed.
    pub(crate) fn narrow(&self, filter: TaskFilter) -> TaskFilter {
        filter
            .with_priorities(self.priority.iter().copied())
            .with_tags(self.tag.iter().map(String::as_str))
    }
}

/// A limit of time.
pub(super) fn parse_limit(text: &str) -> Result<Duration, String> {
    match parse_duration(text) {
        Ok(Duration::ZERO) => Err("it must be more than zero; omit it for no limit".to_owned()),
        limit => limit.map_err(|error| error.to_string()),
    }
}

/// How many tasks run at once: a number, this many more than there are CPUs, or a share of these.
pub(super) fn parse_slots(text: &str) -> Result<NonZeroU32, String> {
    let digits = text.trim_start_matches('+').trim_end_matches('%');
    let number = digits.parse::<u32>().ok().filter(|_| {
        // What is left is nothing but the number: no second sign.
        digits.bytes().all(|byte| byte.is_ascii_digit())
    });
    let cpus = default_slots();
    let slots = match (number, text.len() - digits.len()) {
        (Some(0), 0) => {
            return Err(
                "at least one task must run at a time; to start none for now: bex pause".to_owned(),
            );
        }
        (Some(number), 0) => NonZeroU32::new(number),
        (Some(more), 1) if text.starts_with('+') => Some(cpus.saturating_add(more)),
        (Some(share @ 1..), 1) if text.ends_with('%') => {
            let slots = u64::from(cpus.get()) * u64::from(share) / 100;
            NonZeroU32::new(u32::try_from(slots).unwrap_or(u32::MAX).max(1))
        }
        _ => None,
    };
    slots.ok_or_else(|| {
        format!(
            "it is a number of tasks, from 1 to {}; +2 is two more than there are CPUs, 50% half of them",
            u32::MAX
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_a_number_or_told_by_the_cpus() {
        let cpus = default_slots().get();
        let slots = |text: &str| parse_slots(text).map(NonZeroU32::get);
        assert_eq!(slots("7"), Ok(7));
        assert_eq!(slots("+1"), Ok(cpus + 1));
        assert_eq!(slots("+0"), Ok(cpus));
        assert_eq!(slots("100%"), Ok(cpus));
        assert_eq!(slots("250%"), Ok((cpus * 5 / 2).max(1)));
        assert_eq!(slots("1%"), Ok((cpus / 100).max(1)));
        assert_eq!(slots("4294967295"), Ok(u32::MAX));
        for wrong in [
            "",
            "0",
            "0%",
            "+",
            "%",
            "-1",
            "++1",
            "+1%",
            "1%%",
            "1+",
            "1.5",
            " 1",
            "x",
            "4294967296",
        ] {
            assert!(slots(wrong).is_err(), "{wrong:?}");
        }
    }
}
