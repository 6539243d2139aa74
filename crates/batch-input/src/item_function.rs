//! The template of `bex run --function F --params JSON`: a function of each item: [`FunctionTemplate`].

use std::fmt;
use std::sync::Arc;

use batch_core::{Json, ParamProblem};
use batch_template::{Encodings, Placeholder, Segment, Template, VARIABLE_ROOT, fill_root};
use serde_json::Value;

use crate::item_template::{Part, Piece, pieces};
use crate::items::ItemProblem;

/// A function with parameters in whose texts an item is replaced.
///
/// The placeholders are those of [`CommandTemplate`](crate::CommandTemplate). Where the parameters hold none, all tasks
/// have the same.
#[derive(Clone, Debug)]
pub struct FunctionTemplate {
    function: Arc<str>,
    /// With `{{ item[0] }}` for the first of the parts, and so on.
    params: Json,
    encodings: SharedEncodings,
    is_fixed: bool,
}

/// How the texts at the places of parameters take values.
type EncodingsOf = dyn Fn(&Json) -> Encodings + Send + Sync;

/// An [`EncodingsOf`] that is shared.
#[derive(Clone)]
struct SharedEncodings(Arc<EncodingsOf>);

impl fmt::Debug for SharedEncodings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedEncodings")
    }
}

/// Parameters in which an item cannot be replaced.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FunctionTemplateError {
    /// Parameters are an object.
    #[error("params must be an object such as {{\"url\": \"{{}}\"}}")]
    NotAnObject,
    /// A placeholder stands where it cannot be filled in safely.
    #[error("params.{}: {}{}", .0.path, .0.message, .0.help.as_ref().map(|help| format!("; {help}")).unwrap_or_default())]
    Place(ParamProblem),
}

impl FunctionTemplate {
    /// A template of a function and its parameters. `encodings` says how the texts at the places of parameters take
    /// values, as the function's handler knows it.
    ///
    /// # Errors
    /// When the parameters are no object, or a placeholder stands in quotes inside code.
    pub fn new(
        function: &str,
        params: &Json,
        encodings: impl Fn(&Json) -> Encodings + Send + Sync + 'static,
    ) -> Result<Self, FunctionTemplateError> {
        let mut value = params.to_value();
        if !value.is_object() {
            return Err(FunctionTemplateError::NotAnObject);
        }
        let mut is_fixed = true;
        mark(&mut value, &mut is_fixed);
        let params = Json::from(value);
        let template = Self {
            function: function.into(),
            params,
            encodings: SharedEncodings(Arc::new(encodings)),
            is_fixed,
        };
        template
            .fill("x", 1)
            .map_err(FunctionTemplateError::Place)?;
        Ok(template)
    }

    /// The name of the function.
    pub fn function(&self) -> &Arc<str> {
        &self.function
    }

    /// The parameters for an item, the `number`th, from 1.
    ///
    /// # Errors
    /// When the item is not UTF-8, or cannot be put where the placeholder is.
    pub fn params(&self, item: &[u8], number: u64) -> Result<Json, ItemProblem> {
        if self.is_fixed {
            return Ok(self.params.clone());
        }
        let item = std::str::from_utf8(item).map_err(|_| ItemProblem::NotUtf8)?;
        self.fill(item, number).map_err(|problem| {
            ItemProblem::Params(format!("params.{}: {}", problem.path, problem.message))
        })
    }

    fn fill(&self, item: &str, number: u64) -> Result<Json, ParamProblem> {
        let lookup = |placeholder: &Placeholder| {
            let Some(Segment::Index(index)) = placeholder.path.first() else {
                return Err("it names no part of the item".to_owned());
            };
            let mut bytes = Vec::new();
            if let Some((part, _)) = Part::ALL.get(*index) {
                part.push(item.as_bytes(), number, &mut bytes);
            }
            Ok(Value::from(String::from_utf8_lossy(&bytes)))
        };
        fill_root(&self.params, "item", &lookup, &*self.encodings.0)
            .map_err(|problems| in_own_words(problems.into_iter().next()))
    }
}

/// The problem, with the placeholder as its author wrote it.
fn in_own_words(problem: Option<ParamProblem>) -> ParamProblem {
    let mut problem = problem.unwrap_or_else(|| ParamProblem::new("", "cannot be filled in"));
    for (index, (_, name)) in Part::ALL.iter().enumerate() {
        problem.message = problem.message.replace(&marker(index), name);
        problem.help = problem.help.map(|help| help.replace(&marker(index), name));
    }
    problem
}

fn marker(index: usize) -> String {
    format!("{{{{ item[{index}] }}}}")
}

/// Writes the placeholders of command mode as such of the plan's, and everything else but variables of the
/// environment as literal text.
fn mark(value: &mut Value, is_fixed: &mut bool) {
    match value {
        Value::String(text) => {
            let mut marked = String::new();
            for piece in pieces(text.as_bytes()) {
                match piece {
                    Piece::Part(part) => {
                        *is_fixed = false;
                        let index = Part::ALL.iter().position(|(known, _)| *known == part);
                        marked.push_str(&marker(index.unwrap_or_default()));
                    }
                    Piece::Literal(bytes) => {
                        push_literal(&String::from_utf8_lossy(&bytes), &mut marked);
                    }
                }
            }
            *text = marked;
        }
        Value::Array(elements) => elements
            .iter_mut()
            .for_each(|element| mark(element, is_fixed)),
        Value::Object(fields) => fields.values_mut().for_each(|value| mark(value, is_fixed)),
        _ => {}
    }
}

/// Writes a text so that it stands for itself, but for the variables of the environment that it names.
fn push_literal(text: &str, marked: &mut String) {
    let mut rest = text;
    let mut from = 0;
    while let Some(begin) = rest[from..].find("{{").map(|at| from + at) {
        let end = rest[begin..].find("}}").map(|at| begin + at + 2);
        match end.filter(|end| is_variable(&rest[begin..*end])) {
            Some(end) => {
                push_quoted(&rest[..begin], marked);
                marked.push_str(&rest[begin..end]);
                (rest, from) = (&rest[end..], 0);
            }
            None => from = begin + 1,
        }
    }
    push_quoted(rest, marked);
}

fn push_quoted(text: &str, marked: &mut String) {
    match text.contains('{') {
        true => marked.push_str(&format!("{{{{ {} }}}}", Value::from(text))),
        false => marked.push_str(text),
    }
}

/// Whether braces with all that is in them are a variable of the environment.
fn is_variable(braces: &str) -> bool {
    let Ok(template) = Template::parse(braces) else {
        return false;
    };
    let mut placeholders = template.placeholders();
    placeholders
        .next()
        .is_some_and(|placeholder| placeholder.root == VARIABLE_ROOT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use batch_template::Encoding;
    use serde_json::json;

    /// The parameters as the handler would see them.
    fn made(params: Value, item: &str, encoding: Encoding) -> Result<Value, String> {
        let encodings = move |_: &Json| Encodings::text().with("", encoding);
        let template = FunctionTemplate::new("f", &Json::from(params), encodings);
        let template = template.map_err(|error| error.to_string())?;
        let params = template
            .params(item.as_bytes(), 3)
            .map_err(|error| error.to_string())?;
        let none = |_: &Placeholder| Err("none".to_owned());
        Ok(batch_template::fill(&params, &none, &|_| Encodings::text())
            .unwrap()
            .to_value())
    }

    #[test]
    fn texts_take_the_item_and_nothing_becomes_a_placeholder() {
        let params =
            json!({"url": "http://x/{/.}?n={#}", "list": ["{}", "{{x", "{", 1], "{}": null});
        assert_eq!(
            made(params, "a/{{b}}.c", Encoding::Text),
            Ok(
                json!({"url": "http://x/{{b}}?n=3", "list": ["a/{{b}}.c", "{{x", "{", 1], "{}": null})
            )
        );
        assert_eq!(
            made(json!({"d": 1}), "x", Encoding::Text),
            Ok(json!({"d": 1}))
        );
    }

    #[test]
    fn code_takes_literals() {
        assert_eq!(
            made(
                json!({"code": "print({}, {1: 2})"}),
                "a'b",
                Encoding::Python
            ),
            Ok(json!({"code": "print(\"a\\u0027b\", {1: 2})"}))
        );
        assert_eq!(
            made(json!({"code": "print('{}')"}), "x", Encoding::Python).unwrap_err(),
            "params.code: {} stands in a string of the code; remove the quotes: the value is written as a literal with its own"
        );
        assert!(
            made(json!([1]), "x", Encoding::Text)
                .unwrap_err()
                .contains("must be an object")
        );
    }
}
