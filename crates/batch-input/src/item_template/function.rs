//! The template of `bex run --function F --params JSON`: a function of each item: [`FunctionTemplate`].

use std::convert::Infallible;
use std::sync::Arc;

use batch_core::{Json, catalog::ParamProblem};
use batch_template::{
    Datum, Delimiters, Functions, Meaning, Part, Placeholder, Segment, Template, VARIABLE_ROOT,
    fill_root, map_texts,
};
use serde_json::Value;

use super::columns::Columns;
use super::error::ItemTemplateError;
use super::json::slot_placeholder;
use super::part::{ItemPart, Placed, split};
use super::{check_columns, columns_named};
use crate::items::{ItemProblem, Row};

/// A function with parameters in whose texts values are replaced.
///
/// The placeholders are those of [`CommandTemplate`](crate::CommandTemplate). Where the parameters hold none, all tasks
/// have the same.
#[derive(Clone, Debug)]
pub struct FunctionTemplate {
    function: Arc<str>,
    /// With `{{ item[0] }}` for the first of the placeholders, and so on.
    params: Json,
    placeholders: Vec<Placed>,
    functions: Arc<dyn Functions>,
    allow_code: bool,
}

impl FunctionTemplate {
    /// A template of a function and its parameters. `functions` say how these take values; `allow_code` lets values
    /// become code.
    ///
    /// # Errors
    /// When the parameters are no object, or a placeholder means nothing, or in quotes inside code.
    pub fn new(
        function: &str,
        params: &Json,
        functions: Arc<dyn Functions>,
        columns: &Columns,
        allow_code: bool,
    ) -> Result<Self, ItemTemplateError> {
        if !params.as_str().trim_start().starts_with('{') {
            return Err(ItemTemplateError::NotAnObject);
        }
        let mut placeholders = Vec::new();
        let mut failed = None;
        let params = map_texts(params, &mut |text| {
            let marked = mark(text, columns, &mut placeholders);
            marked.unwrap_or_else(|error| {
                failed.get_or_insert(error);
                text.to_owned()
            })
        });
        if let Some(error) = failed {
            return Err(error);
        }
        let template = Self {
            function: function.into(),
            params,
            placeholders,
            functions,
            allow_code,
        };
        let columns = columns_named(&template.placeholders).max(1);
        let row = Row::of(1, std::iter::repeat_n(b"x".as_slice(), columns));
        template.fill(&row).map_err(ItemTemplateError::Place)?;
        Ok(template)
    }

    /// The name of the function.
    pub fn function(&self) -> &Arc<str> {
        &self.function
    }

    /// Parameters for a check before there is an item: a text with a placeholder is one that is filled in later.
    pub fn unfilled(params: &Json) -> Json {
        map_texts(params, &mut |text| {
            // What is wrong with it is told when it is made a template.
            let Ok(parts) = split(text, &Columns::any()) else {
                return text.to_owned();
            };
            let mut unfilled = String::new();
            for part in parts {
                match part {
                    Part::Text(text) => push_literal(&text, &mut unfilled),
                    Part::Value(_) => unfilled.push_str("{{ \"{{\" }}"),
                }
            }
            unfilled
        })
    }

    /// The parameters for a row.
    ///
    /// # Errors
    /// When a value is not UTF-8, is missing, or cannot be put where the placeholder is.
    pub fn params(&self, row: &Row) -> Result<Json, ItemProblem> {
        if self.placeholders.is_empty() {
            return Ok(self.params.clone());
        }
        check_columns(row, &self.placeholders)?;
        if row
            .values()
            .any(|value| std::str::from_utf8(value).is_err())
        {
            return Err(ItemProblem::NotUtf8("parameters of a function are"));
        }
        self.fill(row).map_err(|problem| {
            ItemProblem::Params(format!("params.{}: {}", problem.path, problem.message))
        })
    }

    fn fill(&self, row: &Row) -> Result<Json, ParamProblem> {
        let lookup = |placeholder: &Placeholder| {
            let Some(Segment::Index(index)) = placeholder.path.first() else {
                return Err("it names no part of the item".to_owned());
            };
            let mut bytes = Vec::new();
            if let Some(placed) = self.placeholders.get(*index) {
                placed.part.push(row, &mut bytes);
            }
            Ok(Datum::Text(String::from_utf8_lossy(&bytes).into_owned()))
        };
        let encodings = |params: &Json| {
            let encodings = self.functions.encodings(&self.function, params);
            encodings.allowing(self.allow_code)
        };
        fill_root(&self.params, &["item"], &lookup, &encodings)
            .map_err(|problems| self.in_own_words(problems.into_iter().next()))
    }

    /// The problem, with the placeholder as its author wrote it.
    fn in_own_words(&self, problem: Option<ParamProblem>) -> ParamProblem {
        let mut problem = problem.unwrap_or_else(|| ParamProblem::new("", "cannot be filled in"));
        for (index, placed) in self.placeholders.iter().enumerate() {
            problem.message = problem.message.replace(&marker(index), &placed.name);
            problem.help = problem
                .help
                .map(|help| help.replace(&marker(index), &placed.name));
        }
        problem
    }
}

fn marker(index: usize) -> String {
    format!("{{{{ item[{index}] }}}}")
}

/// Writes the placeholders of command mode as such of the plan's, and everything else but variables of the
/// environment as literal text.
fn mark(
    text: &str,
    columns: &Columns,
    placeholders: &mut Vec<Placed>,
) -> Result<String, ItemTemplateError> {
    let mut marked = String::new();
    for part in split(text, columns)? {
        match part {
            Part::Text(text) => push_literal(&text, &mut marked),
            Part::Value(placed) => match placed.part {
                ItemPart::Slot => marked.push_str(&slot_placeholder()),
                ItemPart::All(_) if !columns.is_one() => {
                    return Err(ItemTemplateError::Ambiguous {
                        placeholder: placed.name.to_string(),
                        help: "name one, as in {1}",
                    });
                }
                _ => {
                    marked.push_str(&marker(placeholders.len()));
                    placeholders.push(placed);
                }
            },
        }
    }
    Ok(marked)
}

/// Writes a text so that it is literal, but for the variables of the environment that it names.
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

/// Whether what is between braces is a variable of the environment.
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
        let one = Columns::one();
        let template = FunctionTemplate::new("f", &Json::from(params), functions, &one, false);
        let template = template.map_err(|error| error.to_string())?;
        let params = template
            .params(&Row::of(3, [item.as_bytes()]))
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
        let template =
            FunctionTemplate::new("f", &params, functions, &Columns::one(), false).unwrap();
        let params = template.params(&Row::of(1, [b"x".as_slice()])).unwrap();
        assert_eq!(params.as_str(), written.replace("{}", "x"));
        assert!(
            made(json!([1]), "x", Encoding::Text)
                .unwrap_err()
                .contains("must be an object")
        );
    }
}
