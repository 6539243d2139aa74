//! Reading the declarations of parameters: [`read_params`].

use batch_core::text::meant;
use batch_template::Datum;
use serde_json::value::RawValue;

use super::param::{Param, ParamType, Wrong};
use crate::fields::is_null;
use crate::scope::{Scope, suggestion};

/// The fields of a declaration.
const PARAM_FIELDS: [&str; 4] = ["type", "default", "choices", "description"];

/// Reads `params`: an object with a declaration for each name. The order is that of the text.
pub(crate) fn read_params(scope: &mut Scope<'_, '_>, raw: &RawValue) -> Vec<Param> {
    let mut params = Vec::new();
    if is_null(raw) {
        return params;
    }
    for (name, raw) in scope.object(raw, "params").map(|f| f.0).unwrap_or_default() {
        if !is_param_name(&name) {
            let help = "use letters, digits, \"-\" and \"_\"".to_owned();
            let message = format!("{name:?} cannot be the name of a parameter");
            scope.problem(raw.get(), "params", message, Some(help));
        }
        params.push(read_param(scope, &name, raw));
    }
    params
}

/// Whether a name can be written as `{{ params.NAME }}` and `--param NAME=…`.
fn is_param_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'))
}

/// A declaration; without anything it is a text that must be given.
fn read_param(scope: &mut Scope<'_, '_>, name: &str, raw: &RawValue) -> Param {
    let mut param = Param {
        name: name.to_owned(),
        kind: ParamType::Text,
        default: None,
        choices: Vec::new(),
        description: None,
    };
    if is_null(raw) {
        return param;
    }
    let place = format!("params.{name}");
    let Some(fields) = scope.object(raw, &place) else {
        return param;
    };
    let given = |wanted: &str| {
        let field = fields.0.iter().find(|(name, _)| name == wanted);
        field.map(|(_, raw)| *raw)
    };
    for (field, raw) in &fields.0 {
        if !PARAM_FIELDS.contains(&&**field) {
            scope.unknown(raw, field, &PARAM_FIELDS, &place);
        }
    }
    // The others are read by the type, wherever it is.
    let known = match given("type").filter(|raw| !is_null(raw)) {
        Some(raw) => read_type(scope, &mut param, raw, &place),
        None => true,
    };
    if let Some(raw) = given("description").filter(|raw| !is_null(raw)) {
        let text = scope.text(raw, &format!("{place}.description"));
        param.description = text.map(Into::into);
    }
    if known {
        read_choices(scope, &mut param, given("choices"), &place);
        read_default(scope, &mut param, given("default"), &place);
    }
    param
}

/// Reads the type; gives whether it is one.
fn read_type(scope: &mut Scope<'_, '_>, param: &mut Param, raw: &RawValue, place: &str) -> bool {
    let field = format!("{place}.type");
    let Some(name) = scope.text(raw, &field) else {
        return false;
    };
    if let Some(kind) = ParamType::ALL.into_iter().find(|kind| kind.name() == name) {
        param.kind = kind;
        return true;
    }
    let known = ParamType::ALL.map(ParamType::name);
    let help = common_name(&name)
        .map(meant)
        .or_else(|| suggestion(&name, &known))
        .unwrap_or_else(|| format!("it is one of {}", known.join(", ")));
    let message = format!("unknown type {name:?} of the parameter {:?}", param.name);
    scope.problem(raw.get(), &field, message, Some(help));
    false
}

/// What other languages call the types.
fn common_name(name: &str) -> Option<&'static str> {
    match name.to_lowercase().as_str() {
        "string" | "str" => Some("text"),
        "int" => Some("integer"),
        "float" | "double" => Some("number"),
        "bool" => Some("boolean"),
        "array" => Some("list"),
        "object" | "any" => Some("json"),
        _ => None,
    }
}

fn read_choices(scope: &mut Scope<'_, '_>, param: &mut Param, raw: Option<&RawValue>, place: &str) {
    let Some(raw) = raw.filter(|raw| !is_null(raw)) else {
        return;
    };
    let field = format!("{place}.choices");
    let Some(choices) = Datum::read(raw.get()).ok().and_then(|list| list.elements()) else {
        return scope.wrong(raw, &field, "a list of values");
    };
    if choices.is_empty() {
        let help = Some("omit it for any value".to_owned());
        let message = format!("the parameter {:?} has no choices", param.name);
        return scope.problem(raw.get(), &field, message, help);
    }
    for choice in &choices {
        // The elements of a list are of any type.
        if param.kind != ParamType::List
            && let Err(wrong) = param.check(choice)
        {
            tell(scope, raw, &field, "a choice", wrong);
        }
    }
    param.choices = choices;
}

fn read_default(scope: &mut Scope<'_, '_>, param: &mut Param, raw: Option<&RawValue>, place: &str) {
    let Some(raw) = raw.filter(|raw| !is_null(raw) || !param.null_is_nothing()) else {
        return;
    };
    let field = format!("{place}.default");
    match Datum::read(raw.get()) {
        Ok(value) => match param.check(&value) {
            Ok(value) => param.default = Some(value),
            Err(wrong) => tell(scope, raw, &field, "the default", wrong),
        },
        Err(_) => scope.wrong(raw, &field, "a value that can be read"),
    }
}

fn tell(scope: &mut Scope<'_, '_>, raw: &RawValue, field: &str, what: &str, wrong: Wrong) {
    let message = format!("{what} does not fit: {}", wrong.message);
    scope.problem(raw.get(), field, message, wrong.help);
}
