//! The values of all parameters for one expansion: [`Values`].

use std::collections::{BTreeMap, HashMap};

use batch_core::text::Suggestions;
use batch_template::{Datum, Placeholder, Segment};
use serde_json::{Map, Value};

use super::param::{Param, Wrong};
use crate::scope::Report;
use crate::task_template::{add, object_text};

/// The values of all parameters, by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Values(HashMap<String, Datum>);

impl Values {
    /// A value of its type for each parameter, to check the template with.
    pub(crate) fn sample(params: &[Param]) -> Self {
        let value = |param: &Param| (param.name.clone(), param.sample());
        Self(params.iter().map(value).collect())
    }

    /// Converts texts such as those of `--param k=v`. Parameters that are not given are left out.
    pub(crate) fn from_texts(
        params: &[Param],
        given: &BTreeMap<String, String>,
        report: &mut Report,
    ) -> Self {
        let mut values = Self::default();
        for name in given.keys() {
            check_known(params, name, report);
        }
        for param in params {
            if let Some(text) = given.get(&param.name) {
                values.take(param, param.read(text), 0, report);
            }
        }
        values
    }

    /// Checks JSON values. Parameters that are not given are left out, and so is `null` where it is no value.
    pub(crate) fn from_json(
        params: &[Param],
        given: &Map<String, Value>,
        report: &mut Report,
    ) -> Self {
        let mut values = Self::default();
        for name in given.keys() {
            check_known(params, name, report);
        }
        for param in params {
            let value = given.get(&param.name);
            let nothing = |value: &&Value| value.is_null() && param.null_is_nothing();
            if let Some(value) = value.filter(|value| !nothing(value)) {
                values.take(param, param.check(&value.clone().into()), 0, report);
            }
        }
        values
    }

    /// Takes a value, or reports why not.
    pub(crate) fn take(
        &mut self,
        param: &Param,
        value: Result<Datum, Wrong>,
        line: u32,
        report: &mut Report,
    ) {
        // A wrong value is told here, and must not be told again as a missing one.
        let value = value.unwrap_or_else(|wrong| {
            let file = report.file.clone();
            let field = format!("params.{}", param.name);
            add(report, &file, line, &field, wrong.message, wrong.help);
            Value::Null.into()
        });
        self.0.insert(param.name.clone(), value);
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Puts defaults where no value was given; gives the parameters that have none.
    pub(crate) fn complete<'p>(&mut self, params: &'p [Param]) -> Vec<&'p Param> {
        let mut missing = Vec::new();
        for param in params {
            match &param.default {
                _ if self.has(&param.name) => {}
                Some(default) => drop(self.0.insert(param.name.clone(), default.clone())),
                None => missing.push(param),
            }
        }
        missing
    }

    /// What a placeholder means.
    ///
    /// # Errors
    /// In words, when it means nothing.
    pub(crate) fn lookup(&self, placeholder: &Placeholder) -> Result<Datum, String> {
        match (placeholder.root.as_str(), &placeholder.path[..]) {
            ("params", []) => {
                let fields = self.0.iter().map(|(name, value)| (name, value.to_json()));
                let fields: BTreeMap<_, _> = fields.collect();
                let fields = fields.iter();
                let fields = fields.map(|(name, value)| (name.as_str(), value.as_str(), 0));
                Datum::read(&object_text(fields).0)
            }
            ("params", [Segment::Field(name), rest @ ..]) => match self.0.get(name) {
                Some(value) => value.clone().part(rest),
                None => Err(format!("there is no parameter {name:?}")),
            },
            _ => Err("it names no parameter".to_owned()),
        }
    }
}

/// Reports parameters without a value, all at once. `how` says how to give one.
pub(crate) fn report_missing(missing: &[&Param], how: fn(&Param) -> String, report: &mut Report) {
    for param in missing {
        let (name, kind) = (&param.name, param.kind);
        let message = format!("the parameter {name:?} ({kind}) is not given and has no default");
        let (file, field) = (report.file.clone(), format!("params.{name}"));
        add(report, &file, 0, &field, message, Some(how(param)));
    }
}

fn check_known(params: &[Param], name: &str, report: &mut Report) {
    if params.iter().any(|param| param.name == name) {
        return;
    }
    let message = format!("the template has no parameter {name:?}");
    let (file, field) = (report.file.clone(), format!("params.{name}"));
    let help = Some(near_or_all(params, name, &mut report.suggestions));
    add(report, &file, 0, &field, message, help);
}

/// The parameter that was meant, if one is near.
pub(crate) fn near(params: &[Param], name: &str, suggestions: &mut Suggestions) -> Option<String> {
    suggestions.did_you_mean(name, params.iter().map(|param| &*param.name))
}

/// How to correct the name of a parameter that is not there.
pub(crate) fn near_or_all(params: &[Param], name: &str, suggestions: &mut Suggestions) -> String {
    // Of many the first ones are named.
    const SHOWN: usize = 20;
    if let Some(near) = near(params, name, suggestions) {
        return near;
    }
    let names = params.iter().map(|param| &*param.name);
    let mut shown: Vec<&str> = names.take(SHOWN).collect();
    if params.len() > SHOWN {
        shown.push("…");
    }
    match shown.is_empty() {
        true => "it declares none".to_owned(),
        false => format!("the parameters are {}", shown.join(", ")),
    }
}
