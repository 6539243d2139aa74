//! How tasks are to be treated: the fields of [`TaskOptions`], in a task or in the defaults of a file.

use std::collections::HashSet;
use std::str::FromStr;

use batch_core::{
    FailureKind, OnInterrupt, Priority, TaskOptions,
    retry::{Backoff, Condition, ParseConditionError, RetrySpec},
};
use serde_json::value::RawValue;

use crate::fields::{is_null, plain_text};
use crate::scope::{Scope, suggestion};
use crate::start_time::start_time;

/// The names of the fields.
pub(crate) const OPTION_FIELDS: [&str; 14] = [
    "priority",
    "max_retries",
    "timeout",
    "retry",
    "tags",
    "cwd",
    "env",
    "limit",
    "grace",
    "on_interrupt",
    "hold",
    "finally",
    "not_before",
    "allow_code",
];

/// The fields of `retry`.
const RETRY_FIELDS: [&str; 8] = [
    "backoff",
    "initial",
    "factor",
    "max",
    "max_wait",
    "jitter",
    "on",
    "give_up_on",
];

/// Reads one of the option fields into `options`. What is wrong leaves them as they are.
///
/// `null` is as good as no field, but for `timeout` and `limit`, where it takes a default away.
pub(crate) fn read_option(
    scope: &mut Scope<'_, '_>,
    options: &mut TaskOptions,
    name: &str,
    raw: &RawValue,
    parent: &str,
) {
    let field = &format!("{parent}{name}");
    if is_null(raw) {
        match name {
            "timeout" => options.timeout = None,
            "limit" => options.limit = None,
            "not_before" => options.not_before = None,
            _ => {}
        }
        return;
    }
    match name {
        "priority" => {
            let known = Priority::ALL.map(Priority::name);
            let found = read_word(scope, "priority", &known, field, raw);
            options.priority = found.unwrap_or(options.priority);
        }
        "on_interrupt" => {
            let known = OnInterrupt::ALL.map(OnInterrupt::name);
            let found = read_word(scope, "on_interrupt", &known, field, raw);
            options.on_interrupt = found.unwrap_or(options.on_interrupt);
        }
        "max_retries" => {
            let found = scope.whole(raw, field, "a number of retries, 0 or more");
            options.max_retries = found.unwrap_or(options.max_retries);
        }
        "timeout" => options.timeout = scope.time_limit(raw, field).or(options.timeout),
        "grace" => options.grace = scope.duration(raw, field).unwrap_or(options.grace),
        "retry" => read_retry(scope, &mut options.retry, field, raw),
        "tags" => read_tags(scope, options, field, raw),
        "cwd" => {
            if let Some(folder) = scope.text(raw, field) {
                options.cwd = Some(folder.as_ref().into());
            }
        }
        "allow_code" => {
            options.allow_code = scope.bool(raw, field).unwrap_or(options.allow_code);
        }
        "hold" => options.hold = scope.bool(raw, field).unwrap_or(options.hold),
        "finally" => options.finally = scope.bool(raw, field).unwrap_or(options.finally),
        "not_before" => read_not_before(scope, options, field, raw),
        "env" => read_env(scope, options, field, raw),
        "limit" => {
            if let Some(limit) = scope.text(raw, field) {
                options.limit = Some(limit.into_owned());
            }
        }
        _ => scope.unknown(raw, name, &OPTION_FIELDS, parent.trim_end_matches('.')),
    }
}

/// One of a few words that mean a value.
pub(crate) fn read_word<T: FromStr>(
    scope: &mut Scope<'_, '_>,
    what: &str,
    known: &[&str],
    field: &str,
    raw: &RawValue,
) -> Option<T> {
    let word = scope.text(raw, field)?;
    let found = word.parse().ok();
    if found.is_none() {
        let help = suggestion(&word, known)
            .unwrap_or_else(|| format!("it is one of {}", known.join(", ")));
        let message = format!("unknown {what} {word:?}");
        scope.problem(raw.get(), field, message, Some(help));
    }
    found
}

fn read_not_before(
    scope: &mut Scope<'_, '_>,
    options: &mut TaskOptions,
    field: &str,
    raw: &RawValue,
) {
    let Some(text) = scope.text(raw, field) else {
        return;
    };
    match start_time(&text) {
        Ok(at) => options.not_before = Some(at),
        Err(error) => scope.problem(raw.get(), field, format!("{field}: {error}"), None),
    }
}

fn read_tags(scope: &mut Scope<'_, '_>, options: &mut TaskOptions, field: &str, raw: &RawValue) {
    let mut known: HashSet<String> = options.tags.iter().cloned().collect();
    for tag in scope
        .array(raw, field, "a list of texts")
        .unwrap_or_default()
    {
        match plain_text(tag) {
            Some(tag) if !known.insert(tag.clone().into_owned()) => {}
            Some(tag) => options.tags.push(tag.into_owned()),
            None => scope.wrong(tag, field, "a list of texts"),
        }
    }
}

fn read_env(scope: &mut Scope<'_, '_>, options: &mut TaskOptions, field: &str, raw: &RawValue) {
    let Some(fields) = scope.object(raw, field) else {
        return;
    };
    for (name, raw) in fields.0 {
        let field = format!("{field}.{name}");
        if name.is_empty() || name.contains(['=', '\0']) {
            let message = format!("{name:?} cannot be the name of an environment variable");
            scope.problem(raw.get(), &field, message, None);
            continue;
        }
        match plain_text(raw) {
            Some(value) if value.contains('\0') => {
                scope.problem(raw.get(), &field, format!("{field} holds a NUL byte"), None);
            }
            Some(value) => {
                options.env.insert(name.into_owned(), value.into_owned());
            }
            None => scope.wrong(raw, &field, "a text"),
        }
    }
}

fn read_retry(scope: &mut Scope<'_, '_>, retry: &mut RetrySpec, parent: &str, raw: &RawValue) {
    let Some(fields) = scope.object(raw, parent) else {
        return;
    };
    for (name, raw) in fields.0 {
        let field = &format!("{parent}.{name}");
        match &*name {
            "backoff" => read_backoff(scope, retry, field, raw),
            "initial" => retry.initial = scope.duration(raw, field).unwrap_or(retry.initial),
            "max" => retry.max = scope.duration(raw, field).unwrap_or(retry.max),
            "max_wait" => retry.max_wait = scope.duration(raw, field).unwrap_or(retry.max_wait),
            "jitter" => retry.jitter = scope.bool(raw, field).unwrap_or(retry.jitter),
            "factor" => match serde_json::from_str::<f64>(raw.get()) {
                Ok(factor) if factor >= 1.0 => retry.factor = factor,
                _ => scope.wrong(raw, field, "a number, 1 or more"),
            },
            "on" => retry.on = read_conditions(scope, field, raw),
            "give_up_on" => retry.give_up_on = read_conditions(scope, field, raw),
            _ => scope.unknown(raw, &name, &RETRY_FIELDS, parent),
        }
    }
}

fn read_backoff(scope: &mut Scope<'_, '_>, retry: &mut RetrySpec, field: &str, raw: &RawValue) {
    let Some(name) = scope.text(raw, field) else {
        return;
    };
    match name.parse::<Backoff>() {
        Ok(backoff) => retry.backoff = backoff,
        Err(error) => {
            let help = suggestion(&name, &["none", "fixed", "exponential"]);
            scope.problem(raw.get(), field, error.to_string(), help);
        }
    }
}

fn read_conditions(scope: &mut Scope<'_, '_>, field: &str, raw: &RawValue) -> Vec<Condition> {
    let one_or_more = if raw.get().starts_with('[') {
        scope
            .array(raw, field, "a list of failures")
            .unwrap_or_default()
    } else {
        vec![raw]
    };
    let mut conditions = Vec::new();
    for raw in one_or_more {
        let Some(text) = plain_text(raw) else {
            scope.wrong(
                raw,
                field,
                "a list of failures such as 3, \"SIGKILL\", \"timeout\"",
            );
            continue;
        };
        match text.parse() {
            Ok(condition) => conditions.push(condition),
            Err(error) => {
                let help = match error {
                    ParseConditionError::Unknown { .. } => suggestion(&text, &FailureKind::NAMES),
                    ParseConditionError::Impossible { .. } => None,
                };
                scope.problem(raw.get(), field, format!("{field}: {error}"), help);
            }
        }
    }
    conditions
}
