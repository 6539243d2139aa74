//! Placeholders for variables of the environment, `{{ env.NAME }}`: [`variable_of`], [`variables`],
//! [`fill_variables`].
//!
//! Their values are secrets more often than not. They are filled in when an attempt starts, and are in no
//! specification; where they may be is a matter of the function.

use std::collections::BTreeSet;

use batch_core::{TaskSpec, catalog::ParamProblem};

use crate::document::placeholders;
use crate::filter::Filter;
use crate::parts::Template;
use crate::path::Segment;
use crate::template::Placeholder;

/// The first word of such a placeholder.
pub const VARIABLE_ROOT: &str = "env";

/// The name of the variable that a placeholder with the root `env` means.
///
/// # Errors
/// When it names none, takes a part of it, or has a filter that could tell the value in its error.
pub fn variable_of(placeholder: &Placeholder) -> Result<&str, ParamProblem> {
    let is_quiet = |filter: &Filter| matches!(filter, Filter::Trim | Filter::Url);
    let message = match placeholder.path.as_slice() {
        [Segment::Field(name)] if is_name(name) => {
            if placeholder.filters.iter().all(is_quiet) {
                return Ok(name);
            }
            format!("{placeholder}: a variable takes no filter but trim and url")
        }
        _ => format!("{placeholder} names no variable"),
    };
    let help = "write {{ env.NAME }}, or {{ env.NAME | trim }}";
    Err(ParamProblem::new("", message).with_help(help))
}

/// The variables that a task names, in its parameters and in the variables it is given.
///
/// ```
/// let task = batch_core::TaskSpec::new("http").with_params(&serde_json::json!({"url": "{{ env.HOST }}/"})).unwrap();
/// assert_eq!(batch_template::variables(&task).into_iter().collect::<Vec<_>>(), ["HOST"]);
/// ```
pub fn variables(spec: &TaskSpec) -> BTreeSet<String> {
    let of_params = placeholders(&spec.params).unwrap_or_default();
    let of_env = spec.options.env.values().filter_map(|text| parse(text));
    let of_env = of_env.flat_map(|template| template.values().cloned().collect::<Vec<_>>());
    let found = of_params.into_iter().chain(of_env);
    found
        .filter(|placeholder| placeholder.root == VARIABLE_ROOT)
        .filter_map(|placeholder| variable_of(&placeholder).ok().map(str::to_owned))
        .collect()
}

/// Fills variables into the value that a task gives one of its own; `None` when it is to stay as it is. Braces that are
/// no variables are literal there.
///
/// # Errors
/// In words, what `lookup` says of a variable.
pub fn fill_variables(
    text: &str,
    lookup: &dyn Fn(&str) -> Result<String, String>,
) -> Result<Option<String>, String> {
    let Some(template) = parse(text) else {
        return Ok(None);
    };
    let filled = template.fill(|placeholder, filled| {
        let name = variable_of(placeholder).map_err(|problem| problem.message)?;
        let value = placeholder.filtered(lookup(name)?.into())?;
        filled.push_str(value.plain_text());
        Ok(())
    });
    filled.map(Some)
}

/// Checks the value that a task gives a variable.
///
/// # Errors
/// When it has a variable of the executor that could not be filled in.
pub fn check_variable(text: &str) -> Result<(), ParamProblem> {
    let is_root = |rest: &str| rest.starts_with(['.', '[', ' ', '}']);
    let begins = |(at, _)| {
        let inner = text[at + 2..].trim_start();
        inner.strip_prefix(VARIABLE_ROOT).is_some_and(is_root)
    };
    if !text.match_indices("{{").any(begins) {
        return Ok(());
    }
    let Some(template) = parse(text) else {
        let message = "braces that are not a variable are beside an environment variable";
        let help = "write {{ env.NAME }}, and {{ \"{{\" }} for two literal braces";
        return Err(ParamProblem::new("", message).with_help(help));
    };
    let mut placeholders = template.values();
    placeholders.try_for_each(|placeholder| variable_of(placeholder).map(drop))
}

/// A text in which all braces are variables, or texts in quotes.
fn parse(text: &str) -> Option<Template> {
    if !text.contains("{{") {
        return None;
    }
    let template = Template::parse(text).ok()?;
    let is_variable = |placeholder: &Placeholder| placeholder.root == VARIABLE_ROOT;
    let fits = template.values().all(is_variable);
    fits.then_some(template)
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Result<String, String> {
        let template = Template::parse(text).unwrap();
        let placeholder = template.values().next().unwrap();
        let name = variable_of(placeholder).map(str::to_owned);
        name.map_err(|problem| problem.message)
    }

    #[test]
    fn a_variable_has_a_name_and_no_parts() {
        for text in ["{{ env.A_1 }}", "{{env[\"A_1\"]}}", "{{ env.A_1 | trim }}"] {
            assert_eq!(one(text).as_deref(), Ok("A_1"));
        }
        for text in [
            "{{ env }}",
            "{{ env.A.b }}",
            "{{ env[0] }}",
            "{{ env[\"A=b\"] }}",
            "{{ env.A | json }}",
        ] {
            assert!(one(text).is_err(), "{text}");
        }
    }

    #[test]
    fn values_of_variables_take_variables_and_leave_other_braces() {
        let lookup = |name: &str| match name {
            "A" => Ok(" v\n".to_owned()),
            _ => Err(format!("{name} is not set")),
        };
        let fill = |text: &str| fill_variables(text, &lookup);
        assert_eq!(
            fill("x{{ env.A }}{{env.A|trim}}"),
            Ok(Some("x v\nv".to_owned()))
        );
        assert_eq!(fill("{{ env.A | trim }} {{ .Name }}"), Ok(None));
        assert_eq!(fill("{{ other.A }} {{"), Ok(None));
        assert_eq!(fill("{{ other.A }}"), Ok(None));
        assert_eq!(
            fill("{{ \"{{\" }} env.A }}"),
            Ok(Some("{{ env.A }}".to_owned()))
        );
        assert!(check_variable("{{ env.A }} {{ .Name }}").is_err());
        assert!(check_variable("{{ env.A | int }}").is_err());
        for right in [
            "{{ env.A }}",
            "{{ .Name }}",
            "{{ \"{{\" }} env.A }}",
            "env {{",
            "{{environment}}",
        ] {
            assert_eq!(check_variable(right), Ok(()), "{right}");
        }
        assert_eq!(fill("plain"), Ok(None));
        assert_eq!(fill("{{ env.B }}"), Err("B is not set".to_owned()));
    }
}
