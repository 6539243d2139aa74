//! The template of `bex run --function F --params JSON`: a function of each item: [`FunctionTemplate`].

use std::convert::Infallible;
use std::sync::Arc;

use batch_core::{Json, catalog::ParamProblem};
use batch_template::{
    Datum, Delimiters, Functions, Meaning, Part, Placeholder, Segment, Template, VARIABLE_ROOT,
    fill_root, map_texts,
};
use serde_json::Value;

use crate::item_template::{ItemPart, split};
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
    functions: Arc<dyn Functions>,
    allow_code: bool,
    is_fixed: bool,
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
    /// A template of a function and its parameters. `functions` say how these take values; `allow_code` lets items
    /// become code.
    ///
    /// # Errors
    /// When the parameters are no object, or a placeholder stands in quotes inside code.
    pub fn new(
        function: &str,
        params: &Json,
        functions: Arc<dyn Functions>,
        allow_code: bool,
    ) -> Result<Self, FunctionTemplateError> {
        if !params.as_str().trim_start().starts_with('{') {
            return Err(FunctionTemplateError::NotAnObject);
        }
        let mut is_fixed = true;
        let params = map_texts(params, &mut |text| mark(text, &mut is_fixed));
        let template = Self {
            function: function.into(),
            params,
            functions,
            allow_code,
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

    /// The parameters for a check before there is an item: a text with a placeholder is one that is filled in later.
    pub fn unfilled(&self) -> Json {
        map_texts(&self.params, &mut |text| {
            let markers = (0..ItemPart::ALL.len()).map(marker);
            markers.fold(text.to_owned(), |text, marker| {
                text.replace(&marker, "{{ \"{{\" }}")
            })
        })
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
            if let Some((part, _)) = ItemPart::ALL.get(*index) {
                part.push(item.as_bytes(), number, &mut bytes);
            }
            Ok(Datum::Text(String::from_utf8_lossy(&bytes).into_owned()))
        };
        let encodings = |params: &Json| {
            let encodings = self.functions.encodings(&self.function, params);
            encodings.allowing(self.allow_code)
        };
        fill_root(&self.params, "item", &lookup, &encodings)
            .map_err(|problems| in_own_words(problems.into_iter().next()))
    }
}

/// The problem, with the placeholder as its author wrote it.
fn in_own_words(problem: Option<ParamProblem>) -> ParamProblem {
    let mut problem = problem.unwrap_or_else(|| ParamProblem::new("", "cannot be filled in"));
    for (index, (_, name)) in ItemPart::ALL.iter().enumerate() {
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
fn mark(text: &str, is_fixed: &mut bool) -> String {
    let mut marked = String::new();
    for part in split(text).parts {
        match part {
            Part::Value(part) => {
                *is_fixed = false;
                let index = ItemPart::ALL.iter().position(|(known, _)| *known == part);
                marked.push_str(&marker(index.unwrap_or_default()));
            }
            Part::Text(text) => push_literal(&text, &mut marked),
        }
    }
    marked
}

/// Writes a text so that it stands for itself, but for the variables of the environment that it names.
fn push_literal(text: &str, marked: &mut String) {
    let braces = Delimiters::VALUE.without_quotes();
    let found = Template::parse_with(text, braces, |_, inner| {
        let variable = inner.filter(|inner| is_variable(inner));
        Ok::<_, Infallible>(variable.map_or(Meaning::Literal, Meaning::Value))
    });
    for part in found.into_iter().flat_map(|template| template.parts) {
        match part {
            Part::Text(text) if text.contains('{') => {
                marked.push_str(&format!("{{{{ {} }}}}", Value::from(text)));
            }
            Part::Text(text) => marked.push_str(&text),
            Part::Value(variable) => marked.push_str(&format!("{{{{{variable}}}}}")),
        }
    }
}

/// Whether what stands between braces is a variable of the environment.
fn is_variable(inner: &str) -> bool {
    if !inner.trim_start().starts_with(VARIABLE_ROOT) {
        return false;
    }
    let template = Template::parse(&format!("{{{{{inner}}}}}"));
    template.is_ok_and(|template| template.values().any(|found| found.root == VARIABLE_ROOT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use batch_core::{TaskSpec, catalog::Catalog};
    use batch_template::{Encoding, Encodings};
    use serde_json::json;

    /// Functions whose parameters take all values in one way.
    #[derive(Debug)]
    struct Takes(Encoding);

    impl Catalog for Takes {
        fn functions(&self) -> Vec<&str> {
            vec!["f"]
        }

        fn check(&self, _: &TaskSpec) -> Result<(), Vec<ParamProblem>> {
            Ok(())
        }
    }

    impl Functions for Takes {
        fn encodings(&self, _: &str, _: &Json) -> Encodings {
            Encodings::text().with("", self.0)
        }
    }

    /// The parameters as the handler would see them.
    fn made(params: Value, item: &str, encoding: Encoding) -> Result<Value, String> {
        let functions = Arc::new(Takes(encoding));
        let template = FunctionTemplate::new("f", &Json::from(params), functions, false);
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
            "params.code: {} is in a string of the code; remove the quotes: the value is written as a literal with its own"
        );
        let functions = Arc::new(Takes(Encoding::Text));
        let written = r#"{"z": 123456789012345678901234567890, "a": ["{}", 1.50]}"#;
        let params = Json::parse(written).unwrap();
        let template = FunctionTemplate::new("f", &params, functions, false).unwrap();
        let params = template.params(b"x", 1).unwrap();
        assert_eq!(params.as_str(), written.replace("{}", "x"));
        assert!(
            made(json!([1]), "x", Encoding::Text)
                .unwrap_err()
                .contains("must be an object")
        );
    }
}
