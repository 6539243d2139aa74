//! What a task is given beside what it does: [`TaskFieldArgs`], of `bex add` and of each task of a command of `bex run`.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use batch_core::duration::parse_duration;
use batch_core::retry::RetrySpec;
use batch_core::{Priority, TaskOptions, Time};
use batch_input::{StartTimeError, start_time};
use batch_template::escape_braces;
use clap::Args;
use serde_json::Value;

use super::common::AttemptArgs;
use crate::exit::CliError;

/// The retries of a task for which only the rules of retrying are given, as in task files.
const RETRIES: u32 = 3;

/// What a task is given.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "The task")]
pub(crate) struct TaskFieldArgs {
    /// critical, high, medium or low
    #[arg(long, value_name = "PRIORITY")]
    pub(crate) priority: Option<Priority>,

    /// A word to filter by; may be given several times
    #[arg(long, value_name = "TAG")]
    pub(crate) tag: Vec<String>,

    /// A variable of its environment, NAME for its value here; may be given several times
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub(crate) env: Vec<String>,

    /// The folder it runs in [default: this one]
    #[arg(long, value_name = "DIR")]
    pub(crate) cwd: Option<PathBuf>,

    /// The named limit it counts against; with =N, this many of them run at once
    #[arg(long, value_name = "NAME[=N]")]
    pub(crate) limit: Option<LimitArg>,

    /// How it is retried, such as 5 or backoff=fixed,initial=2,on=timeout; may be given several times
    #[arg(long, value_name = "RULES", long_help = RETRY_HELP)]
    pub(crate) retry: Vec<RetryArg>,

    /// How long its process may take to end when it is asked to, before it is killed [default: 5s]
    #[arg(long, value_name = "DUR", value_parser = parse_duration)]
    pub(crate) grace: Option<Duration>,

    /// The shell of --shell, with its options, such as 'bash -o pipefail' [default: sh]
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) shell_program: Option<String>,

    /// It does not start before this time: 22:00, 2026-12-01T08:00, or a time with an offset
    #[arg(long, value_name = "TIME", value_parser = start_time, conflicts_with = "after")]
    pub(crate) at: Option<Time>,

    /// It does not start before so long from now, such as 2h
    #[arg(long, value_name = "DUR", value_parser = start_after)]
    pub(crate) after: Option<Time>,

    /// It does not start before bex release
    #[arg(long)]
    pub(crate) hold: bool,

    /// Its id: other tasks name it by that, and adding the same task again changes nothing
    #[arg(long, value_name = "ID")]
    pub(crate) id: Option<String>,

    /// A name for people
    #[arg(long, value_name = "NAME")]
    pub(crate) task_name: Option<String>,

    /// The id of a task that must complete first; may be given several times
    #[arg(long, value_name = "ID")]
    pub(crate) depends_on: Vec<String>,
}

const RETRY_HELP: &str = "\
How it is retried: a number of retries, and rules as in task files, with commas between them: \
backoff=none|fixed|exponential, initial=DUR, factor=N, max=DUR, jitter=true|false, and the failures to retry or to give up \
on, such as on=timeout,3,http 503 and give_up_on=SIGKILL. May be given several times";

/// `NAME` or `NAME=N`.
#[derive(Clone, Debug)]
pub(crate) struct LimitArg {
    pub(crate) name: String,
    pub(crate) most: Option<NonZeroU32>,
}

impl FromStr for LimitArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, most) = match text.split_once('=') {
            Some((name, most)) => (name, Some(most)),
            None => (text, None),
        };
        if name.is_empty() {
            return Err("the name of the limit is empty".to_owned());
        }
        let most = most.map(|most| {
            let parsed = most.parse();
            parsed.map_err(|_| format!("{most:?} is not a number of tasks, 1 or more"))
        });
        Ok(Self {
            name: name.to_owned(),
            most: most.transpose()?,
        })
    }
}

/// One value of `--retry`: retries and rules, each with its value.
#[derive(Clone, Debug)]
pub(crate) struct RetryArg(Vec<RetryRule>);

#[derive(Clone, Debug)]
enum RetryRule {
    Retries(u32),
    Rule(String, String),
}

impl FromStr for RetryArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim_start().starts_with('{') {
            return Self::of_json(text);
        }
        let mut rules: Vec<RetryRule> = Vec::new();
        for part in text.split(',').map(str::trim) {
            let rule = match (part.split_once('='), rules.last()) {
                (Some((name, value)), _) => RetryRule::new(name, value)?,
                // One more of a list.
                (None, Some(RetryRule::Rule(name, _))) if is_list(name) => {
                    RetryRule::new(name, part)?
                }
                (None, _) => RetryRule::Retries(part.parse().map_err(|_| {
                    format!("{part:?} is no number of retries and no rule such as backoff=fixed")
                })?),
            };
            rules.push(rule);
        }
        Ok(Self(rules))
    }
}

impl RetryArg {
    /// As it is written in a task file.
    fn of_json(text: &str) -> Result<Self, String> {
        let fields: BTreeMap<String, Value> =
            serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
        let mut rules = Vec::new();
        for (name, value) in fields {
            let values = match value {
                Value::Array(values) => values,
                value => vec![value],
            };
            for value in values {
                let text = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                rules.push(RetryRule::new(&name, &text)?);
            }
        }
        Ok(Self(rules))
    }
}

impl RetryRule {
    /// A rule. A wrong one is told with the argument.
    fn new(name: &str, value: &str) -> Result<Self, String> {
        let name = match name.trim().replace('-', "_") {
            name if name == "give_up" => "give_up_on".to_owned(),
            name => name,
        };
        let value = value.trim().to_owned();
        set_rule(&mut RetrySpec::default(), &name, &value)?;
        Ok(Self::Rule(name, value))
    }
}

fn is_list(name: &str) -> bool {
    matches!(name, "on" | "give_up_on")
}

fn set_rule(retry: &mut RetrySpec, name: &str, value: &str) -> Result<(), String> {
    fn read<T: FromStr<Err: ToString>>(value: &str) -> Result<T, String> {
        value.parse().map_err(|error: T::Err| error.to_string())
    }
    let duration = || parse_duration(value).map_err(|error| error.to_string());
    match name {
        "backoff" => retry.backoff = read(value)?,
        "initial" => retry.initial = duration()?,
        "max" => retry.max = duration()?,
        "jitter" => retry.jitter = read(value)?,
        "factor" => {
            let factor: f64 = read(value)?;
            if !(factor >= 1.0 && factor.is_finite()) {
                return Err(format!("factor={value}: it is a number, 1 or more"));
            }
            retry.factor = factor;
        }
        "on" => retry.on.push(read(value)?),
        "give_up_on" => retry.give_up_on.push(read(value)?),
        _ => {
            return Err(format!(
                "unknown rule {name:?}; it is one of backoff, initial, factor, max, jitter, on, give_up_on"
            ));
        }
    }
    Ok(())
}

impl TaskFieldArgs {
    /// How the task is treated.
    pub(crate) fn options(&self, attempt: &AttemptArgs) -> Result<TaskOptions, CliError> {
        let usual = TaskOptions::default();
        let (retries, retry) = self.retries()?;
        Ok(TaskOptions {
            priority: self.priority.unwrap_or_default(),
            max_retries: attempt.max_retries.or(retries).unwrap_or(0),
            timeout: attempt.timeout,
            retry,
            tags: self.tag.clone(),
            cwd: self.cwd.clone(),
            env: self.variables()?,
            limit: self.limit.as_ref().map(|limit| limit.name.clone()),
            grace: self.grace.unwrap_or(usual.grace),
            hold: self.hold,
            not_before: self.at.or(self.after),
            allow_code: attempt.allow_code,
            ..usual
        })
    }

    /// The limits that it declares.
    pub(crate) fn limits(&self) -> BTreeMap<String, NonZeroU32> {
        let limit = self.limit.iter();
        limit
            .filter_map(|limit| Some((limit.name.clone(), limit.most?)))
            .collect()
    }

    /// The first of the options that are given, for saying that they do not go with something else.
    pub(crate) fn first_given(&self) -> Option<&'static str> {
        let given = [
            ("--priority", self.priority.is_some()),
            ("--tag", !self.tag.is_empty()),
            ("--env", !self.env.is_empty()),
            ("--cwd", self.cwd.is_some()),
            ("--limit", self.limit.is_some()),
            ("--retry", !self.retry.is_empty()),
            ("--grace", self.grace.is_some()),
            ("--shell-program", self.shell_program.is_some()),
            ("--at", self.at.is_some()),
            ("--after", self.after.is_some()),
            ("--hold", self.hold),
            ("--id", self.id.is_some()),
            ("--task-name", self.task_name.is_some()),
            ("--depends-on", !self.depends_on.is_empty()),
        ];
        let mut given = given.into_iter().filter(|(_, given)| *given);
        given.next().map(|(name, _)| name)
    }

    /// How often it is retried, if that is said, and how.
    fn retries(&self) -> Result<(Option<u32>, RetrySpec), CliError> {
        let (mut retries, mut retry) = (None, RetrySpec::default());
        for rule in self.retry.iter().flat_map(|RetryArg(rules)| rules) {
            match rule {
                RetryRule::Retries(number) => retries = Some(*number),
                RetryRule::Rule(name, value) => {
                    set_rule(&mut retry, name, value).map_err(CliError::Usage)?;
                }
            }
        }
        Ok((
            retries.or((!self.retry.is_empty()).then_some(RETRIES)),
            retry,
        ))
    }

    /// The variables, with the values from here where none are given.
    fn variables(&self) -> Result<BTreeMap<String, String>, CliError> {
        let mut variables = BTreeMap::new();
        for given in &self.env {
            let (name, value) = match given.split_once('=') {
                Some((name, value)) => (name, value.to_owned()),
                None => (given.as_str(), of_environment(given)?),
            };
            if name.is_empty() {
                return Err(CliError::Usage(format!(
                    "--env {given}: write it as NAME=VALUE, or NAME for its value here"
                )));
            }
            if variables.insert(name.to_owned(), value).is_some() {
                return Err(CliError::Usage(format!("--env {name} was given twice")));
            }
        }
        Ok(variables)
    }
}

/// How long from now.
fn start_after(text: &str) -> Result<Time, StartTimeError> {
    start_time(&format!("+{text}"))
}

/// The value of a variable here, as a text that is no template.
fn of_environment(name: &str) -> Result<String, CliError> {
    match std::env::var(name) {
        Ok(value) => Ok(escape_braces(&value).into_owned()),
        Err(std::env::VarError::NotPresent) => Err(CliError::Usage(format!(
            "--env {name}: the variable {name} is not set; set it, or write {name}=VALUE"
        ))),
        Err(std::env::VarError::NotUnicode(_)) => Err(CliError::Usage(format!(
            "--env {name}: its value is not UTF-8"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use batch_core::retry::Backoff;

    use super::*;

    fn options(retry: &[&str]) -> TaskOptions {
        let args = TaskFieldArgs {
            retry: retry.iter().map(|rules| rules.parse().unwrap()).collect(),
            ..TaskFieldArgs::default()
        };
        args.options(&AttemptArgs::default()).unwrap()
    }

    #[test]
    fn rules_of_retrying_are_those_of_task_files() {
        let given = options(&[
            "5",
            "backoff=fixed, initial=2,on=timeout,3,http 503",
            "give-up-on=SIGKILL",
        ]);
        assert_eq!(given.max_retries, 5);
        assert_eq!(given.retry.backoff, Backoff::Fixed);
        assert_eq!(given.retry.initial, Duration::from_secs(2));
        assert_eq!(given.retry.on.len(), 3);
        assert_eq!(given.retry.give_up_on.len(), 1);
        let json = options(&[
            r#"{"backoff": "fixed", "initial": 2, "on": ["timeout", 3], "jitter": false}"#,
        ]);
        assert_eq!(
            (json.retry.backoff, json.retry.on.len(), json.retry.jitter),
            (Backoff::Fixed, 2, false)
        );
        // Rules alone are of use.
        assert_eq!(options(&["jitter=false"]).max_retries, RETRIES);
        assert_eq!(options(&[]).max_retries, 0);
        for wrong in [
            "",
            "often",
            "backoff=slow",
            "factor=0.5",
            "factor=nan",
            "on=",
            "on=x",
            "x=1",
            "initial=-1",
        ] {
            assert!(wrong.parse::<RetryArg>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_limit_may_say_how_many() {
        let limit: LimitArg = "gpu=2".parse().unwrap();
        assert_eq!((limit.name.as_str(), limit.most.unwrap().get()), ("gpu", 2));
        assert!("gpu".parse::<LimitArg>().unwrap().most.is_none());
        for wrong in ["=2", "gpu=0", "gpu=", "gpu=x"] {
            assert!(wrong.parse::<LimitArg>().is_err(), "{wrong}");
        }
    }
}
