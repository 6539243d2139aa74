//! Finds and fills the placeholders in the strings of a JSON document: [`placeholders`], [`fill`].
//!
//! The document is gone through as text. What is not a string with a placeholder is copied as it was
//! written, so that the order of fields and the digits of numbers stay.

use std::borrow::Cow;
use std::ops::Range;

use serde_json::Value;

use crate::catalog::ParamProblem;
use crate::code_words::{refused_in_javascript, refused_in_python};
use crate::json::{Json, string_end};
use crate::shell_words::{Quoting, quote_for_shell, quoting_at};
use crate::template::{Part, Placeholder, Segment, Template, TemplateError};

/// How a filled-in value is written inside a longer text, so that data never becomes code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// A text as it is, other values as JSON.
    Text,
    /// As one word for a POSIX shell. The placeholder must not stand in quotes.
    Shell,
    /// As a literal of Python. The placeholder must not stand in quotes.
    Python,
    /// As a literal of JavaScript. The placeholder must not stand in quotes.
    JavaScript,
}

/// All placeholders of a document, each with its `place`.
///
/// Only values are looked at: a name in an object is never a placeholder.
///
/// # Errors
/// All texts that are no well-formed templates.
pub fn placeholders(params: &Json) -> Result<Vec<Placeholder>, Vec<ParamProblem>> {
    if !may_have_placeholders(params) {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    let mut problems = Vec::new();
    each_template(params.as_str(), |place, template, _| match template {
        Ok(template) => found.extend(template.placeholders().map(|placeholder| Placeholder {
            place: place.to_owned(),
            ..placeholder.clone()
        })),
        Err(error) => problems.push(syntax_problem(place, &error)),
    });
    if problems.is_empty() {
        Ok(found)
    } else {
        Err(problems)
    }
}

/// Fills in all placeholders of a document.
///
/// `lookup` gives the value of a placeholder before its filters, or says why there is none. `encoding` says
/// how the text at a place, such as `argv[1]`, takes its values. A string that is one placeholder and
/// nothing else takes the value with its JSON type, where the encoding is [`Encoding::Text`].
///
/// # Errors
/// All problems: syntax, missing values, values that cannot be encoded, placeholders inside quotes.
///
/// ```
/// use batch_core::{Encoding, Json, fill};
/// let params = Json::parse(r#"{"argv": ["echo", "{{ row.name }}", "n={{ row.n | int }}"]}"#).unwrap();
/// let row = serde_json::json!({"name": "Ann", "n": " 7 "});
/// let filled = fill(
///     &params,
///     &|placeholder| batch_core::follow(&row, &placeholder.path).cloned(),
///     &|_place| Encoding::Text,
/// );
/// assert_eq!(filled.unwrap().as_str(), r#"{"argv": ["echo", "Ann", "n=7"]}"#);
/// ```
pub fn fill(
    params: &Json,
    lookup: &dyn Fn(&Placeholder) -> Result<Value, String>,
    encoding: &dyn Fn(&str) -> Encoding,
) -> Result<Json, Vec<ParamProblem>> {
    rewrite(params, &|template, place| {
        let parts = values(template, place, &|_| true, lookup)?;
        Ok(match (&parts[..], encoding(place)) {
            ([Filled::Value(_, value)], Encoding::Text) => value.clone(),
            (parts, encoding) => join(parts, place, encoding, false)?.into(),
        })
    })
}

/// Fills in the placeholders with a given root, and leaves the others for later.
///
/// What is filled in cannot become a placeholder: its braces are escaped as by [`escape_braces`].
///
/// # Errors
/// As [`fill`].
pub fn fill_root(
    params: &Json,
    root: &str,
    lookup: &dyn Fn(&Placeholder) -> Result<Value, String>,
    encoding: &dyn Fn(&str) -> Encoding,
) -> Result<Json, Vec<ParamProblem>> {
    rewrite(params, &|template, place| {
        let wanted = |placeholder: &Placeholder| placeholder.root == root;
        let parts = values(template, place, &wanted, lookup)?;
        Ok(match (&parts[..], encoding(place)) {
            ([Filled::Value(_, value)], Encoding::Text) => escaped_value(value),
            (parts, encoding) => join(parts, place, encoding, true)?.into(),
        })
    })
}

/// Writes a text so that it is a template for itself: two braces become `{{ "{{" }}`.
///
/// ```
/// assert_eq!(batch_core::escape_braces("{{.Names}}"), "{{ \"{{\" }}.Names}}");
/// assert_eq!(batch_core::escape_braces("{}"), "{}");
/// ```
pub fn escape_braces(text: &str) -> Cow<'_, str> {
    if text.contains("{{") {
        Cow::Owned(text.replace("{{", "{{ \"{{\" }}"))
    } else {
        Cow::Borrowed(text)
    }
}

fn escaped_value(value: &Value) -> Value {
    match value {
        Value::String(text) => escape_braces(text).into(),
        Value::Array(elements) => elements.iter().map(escaped_value).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), escaped_value(value)))
            .collect(),
        other => other.clone(),
    }
}

/// A piece of a text after the values were looked up.
enum Filled<'a> {
    Text(&'a str),
    Value(&'a Placeholder, Value),
    /// Left for later.
    Kept(&'a Placeholder),
}

fn values<'a>(
    template: &'a Template,
    place: &str,
    wanted: &dyn Fn(&Placeholder) -> bool,
    lookup: &dyn Fn(&Placeholder) -> Result<Value, String>,
) -> Result<Vec<Filled<'a>>, ParamProblem> {
    let value = |placeholder: &'a Placeholder| {
        lookup(placeholder)
            .and_then(|value| placeholder.filtered(value))
            .map(|value| Filled::Value(placeholder, value))
            .map_err(|why| ParamProblem::new(place, format!("{placeholder}: {why}")))
    };
    template
        .parts
        .iter()
        .map(|part| match part {
            Part::Text(text) => Ok(Filled::Text(text)),
            Part::Value(placeholder) if wanted(placeholder) => value(placeholder),
            Part::Value(placeholder) => Ok(Filled::Kept(placeholder)),
        })
        .collect()
}

/// Puts the pieces together; with `again`, so that the text can be filled in once more.
fn join(
    parts: &[Filled<'_>],
    place: &str,
    encoding: Encoding,
    again: bool,
) -> Result<String, ParamProblem> {
    check_quotes(parts, place, encoding)?;
    let mut text = String::new();
    let mut run = String::new();
    for part in parts {
        match part {
            Filled::Text(text) => run.push_str(text),
            Filled::Value(placeholder, value) => encode(value, encoding, &mut run)
                .map_err(|why| ParamProblem::new(place, format!("{placeholder}: {why}")))?,
            Filled::Kept(placeholder) => {
                let last_brace = run.ends_with('{') && !run.ends_with("{{");
                if last_brace {
                    run.pop();
                }
                text.push_str(&escape_braces(&run));
                if last_brace {
                    text.push_str("{{ \"{\" }}");
                }
                text.push_str(&placeholder.to_string());
                run.clear();
            }
        }
    }
    if again {
        text.push_str(&escape_braces(&run));
    } else {
        text.push_str(&run);
    }
    Ok(text)
}

/// Refuses placeholders that stand where the encoding does not hold.
fn check_quotes(parts: &[Filled<'_>], place: &str, encoding: Encoding) -> Result<(), ParamProblem> {
    if encoding == Encoding::Text {
        return Ok(());
    }
    // A letter stands in for each placeholder, whose own text could hold quotes.
    let mut code = String::new();
    let mut places = Vec::new();
    for part in parts {
        match part {
            Filled::Text(text) => code.push_str(text),
            Filled::Value(placeholder, _) | Filled::Kept(placeholder) => {
                places.push((code.len(), *placeholder));
                code.push('x');
            }
        }
    }
    let offsets: Vec<usize> = places.iter().map(|(at, _)| *at).collect();
    let refusals: Vec<Option<(&str, &str)>> = match encoding {
        Encoding::Text => return Ok(()),
        Encoding::Shell => {
            let quoting = quoting_at(code.as_bytes(), &offsets);
            quoting.into_iter().map(Quoting::refusal).collect()
        }
        Encoding::Python => refused_in_python(&code, &offsets),
        Encoding::JavaScript => refused_in_javascript(&code, &offsets),
    };
    for ((_, placeholder), refusal) in places.iter().zip(refusals) {
        if let Some((what, help)) = refusal {
            return Err(ParamProblem::new(place, format!("{placeholder} {what}")).with_help(help));
        }
    }
    Ok(())
}

fn encode(value: &Value, encoding: Encoding, to: &mut String) -> Result<(), String> {
    match (encoding, value) {
        (Encoding::Text, Value::String(text)) => to.push_str(text),
        (Encoding::Text, other) => to.push_str(&other.to_string()),
        (Encoding::Shell, value) => {
            let text = match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            if text.contains('\0') {
                return Err("a word of a shell cannot hold a NUL byte".to_owned());
            }
            let mut word = Vec::new();
            quote_for_shell(text.as_bytes(), &mut word);
            to.push_str(&String::from_utf8_lossy(&word));
        }
        (Encoding::Python, value) => push_literal(value, ["None", "True", "False"], to),
        (Encoding::JavaScript, value) => push_literal(value, ["null", "true", "false"], to),
    }
    Ok(())
}

/// Writes a literal that Python and JavaScript read alike but for the three words.
///
/// Quotes, backticks, dollars and line separators are escaped, so that even in the wrong place a text
/// would not end a string or begin an expression.
fn push_literal(value: &Value, words: [&str; 3], to: &mut String) {
    match value {
        Value::Null => to.push_str(words[0]),
        Value::Bool(true) => to.push_str(words[1]),
        Value::Bool(false) => to.push_str(words[2]),
        Value::Number(number) => to.push_str(&number.to_string()),
        Value::String(text) => push_string_literal(text, to),
        Value::Array(elements) => {
            to.push('[');
            for (index, element) in elements.iter().enumerate() {
                to.push_str(if index == 0 { "" } else { ", " });
                push_literal(element, words, to);
            }
            to.push(']');
        }
        Value::Object(fields) => {
            to.push('{');
            for (index, (name, value)) in fields.iter().enumerate() {
                to.push_str(if index == 0 { "" } else { ", " });
                // In JavaScript `"__proto__": …` would set the prototype; `["__proto__"]` is a field.
                match words[0] {
                    "null" if name == "__proto__" => to.push_str("[\"__proto__\"]"),
                    _ => push_string_literal(name, to),
                }
                to.push_str(": ");
                push_literal(value, words, to);
            }
            to.push('}');
        }
    }
}

fn push_string_literal(text: &str, to: &mut String) {
    to.push('"');
    for c in text.chars() {
        match c {
            '\n' => to.push_str("\\n"),
            '\r' => to.push_str("\\r"),
            '\t' => to.push_str("\\t"),
            '\\' => to.push_str("\\\\"),
            '"' | '\'' | '`' | '$' | '\u{2028}' | '\u{2029}' => {
                to.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c if c.is_control() => to.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => to.push(c),
        }
    }
    to.push('"');
}

/// Replaces each string that holds braces by what `replace` gives for it.
fn rewrite(
    params: &Json,
    replace: &dyn Fn(&Template, &str) -> Result<Value, ParamProblem>,
) -> Result<Json, Vec<ParamProblem>> {
    if !may_have_placeholders(params) {
        return Ok(params.clone());
    }
    let source = params.as_str();
    let mut written = String::with_capacity(source.len());
    let mut copied = 0;
    let mut problems = Vec::new();
    each_template(source, |place, template, range| {
        match template
            .map_err(|error| syntax_problem(place, &error))
            .and_then(|t| replace(&t, place))
        {
            Ok(value) => {
                written.push_str(&source[copied..range.start]);
                written.push_str(&value.to_string());
                copied = range.end;
            }
            Err(problem) => problems.push(problem),
        }
    });
    if !problems.is_empty() {
        return Err(problems);
    }
    written.push_str(&source[copied..]);
    // Each value was valid, but a deep one in a deep place can pass the limit.
    Json::parse(&written).map_err(|error| vec![ParamProblem::new("", error.to_string())])
}

fn syntax_problem(place: &str, error: &TemplateError) -> ParamProblem {
    ParamProblem::new(place, error.to_string()).with_help(error.help())
}

/// Whether it is worth while to look for placeholders: a cheap look at the text. A brace can be written as an
/// escape, too.
pub fn may_have_placeholders(params: &Json) -> bool {
    params.as_str().contains("{{") || params.as_str().contains("\\u007")
}

/// Where the walk through a document is: in which field or element, from the outside in.
enum Step {
    Field(Option<String>),
    Element(usize),
}

/// Calls `visit` for each string value that holds two braces: its place, the template, its bytes.
fn each_template(
    source: &str,
    mut visit: impl FnMut(&str, Result<Template, TemplateError>, Range<usize>),
) {
    let bytes = source.as_bytes();
    let mut steps: Vec<Step> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'{' => steps.push(Step::Field(None)),
            b'[' => steps.push(Step::Element(0)),
            b'}' | b']' => drop(steps.pop()),
            b',' => match steps.last_mut() {
                Some(Step::Field(name)) => *name = None,
                Some(Step::Element(index)) => *index += 1,
                None => {}
            },
            b'"' => {
                let range = at..string_end(bytes, at);
                at = range.end - 1;
                let raw = &source[range.clone()];
                if let Some(Step::Field(name @ None)) = steps.last_mut() {
                    *name = Some(serde_json::from_str(raw).unwrap_or_default());
                } else if raw.contains("{{") || raw.contains("\\u007") {
                    let text: String = serde_json::from_str(raw).unwrap_or_default();
                    if text.contains("{{") {
                        visit(&place_name(&steps), Template::parse(&text), range);
                    }
                }
            }
            _ => {}
        }
        at += 1;
    }
}

fn place_name(steps: &[Step]) -> String {
    let mut place = String::new();
    for step in steps {
        let segment = match step {
            Step::Field(name) => Segment::Field(name.clone().unwrap_or_default()),
            Step::Element(index) => Segment::Index(*index),
        };
        place.push_str(&segment.to_string());
    }
    match place.strip_prefix('.') {
        Some(rest) => rest.to_owned(),
        None => place,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::follow;
    use serde_json::json;

    fn filled(params: &str, data: &Value, encoding: Encoding) -> Result<String, String> {
        let lookup = |placeholder: &Placeholder| match placeholder.root.as_str() {
            "row" => follow(data, &placeholder.path).cloned(),
            root => Err(format!("no {root} here")),
        };
        fill(&Json::parse(params).unwrap(), &lookup, &|_| encoding)
            .map(|json| json.as_str().to_owned())
            .map_err(|problems| {
                let text = |p: &ParamProblem| format!("{}: {}", p.path, p.message);
                problems.iter().map(text).collect::<Vec<_>>().join("\n")
            })
    }

    #[test]
    fn a_whole_text_takes_the_type_and_a_longer_one_takes_text() {
        let data = json!({"n": 7, "list": [1, "a"], "s": "x\"y", "no": null});
        assert_eq!(
            filled(
                r#"["{{ row.n }}", "n={{row.n}}", "{{ row.list }}", "{{row.list}}!", "{{row.s}}"]"#,
                &data,
                Encoding::Text
            ),
            Ok(r#"[7, "n=7", [1,"a"], "[1,\"a\"]!", "x\"y"]"#.to_owned())
        );
    }

    #[test]
    fn what_has_no_placeholder_stays_as_it_was_written() {
        let text = r#"{ "z": 1.50, "a": [1e40, "{{ row.n }}"], "{{ row.x }}": "{}" }"#;
        let expected = text.replace("\"{{ row.n }}\"", "7");
        assert_eq!(filled(text, &json!({"n": 7}), Encoding::Text), Ok(expected));
        let plain = Json::parse(r#"{"a": "}} {"}"#).unwrap();
        assert_eq!(placeholders(&plain), Ok(vec![]));
    }

    #[test]
    fn all_problems_are_told_with_their_places() {
        let problems = filled(
            r#"{"argv": ["{{ row.a", "ok {{ row.b }}", "{{ row.b | upper }}"], "e": {"odd key": "{{ tasks.x }}"}}"#,
            &json!({}),
            Encoding::Text,
        );
        assert_eq!(
            problems.unwrap_err(),
            "argv[0]: a placeholder begins with \"{{\" and does not end\n\
             argv[1]: {{ row.b }}: there is no field \"b\", the object is empty\n\
             argv[2]: unknown filter \"upper\"\n\
             e[\"odd key\"]: {{ tasks.x }}: no tasks here"
        );
    }

    #[test]
    fn code_takes_words_and_literals() {
        let data = json!({"s": "a'b\n\"", "yes": true, "no": null, "o": {"k": [1, false]}});
        let shell = |text: &str| filled(&json!([text]).to_string(), &data, Encoding::Shell);
        assert_eq!(
            shell("echo {{ row.s }}"),
            Ok(json!(["echo 'a'\\''b\n\"'"]).to_string())
        );
        assert_eq!(shell("{{ row.yes }}"), Ok(json!(["true"]).to_string()));
        assert_eq!(
            shell("echo '{{ row.s }}'").unwrap_err(),
            "[0]: {{ row.s }} stands in single quotes"
        );
        let python = filled(
            r#"["x = {{ row.s }}, {{ row.o }}, {{ row.no }}"]"#,
            &data,
            Encoding::Python,
        );
        assert_eq!(
            python,
            Ok(json!([r#"x = "a\u0027b\n\u0022", {"k": [1, False]}, None"#]).to_string())
        );
        let js = filled(
            r#"["x = {{ row.o }} ?? {{ row.no }}"]"#,
            &data,
            Encoding::JavaScript,
        );
        assert_eq!(
            js,
            Ok(json!([r#"x = {"k": [1, false]} ?? null"#]).to_string())
        );
        assert!(filled(r#"["print('{{ row.s }}')"]"#, &data, Encoding::Python).is_err());
    }

    #[test]
    fn one_root_can_be_filled_first_and_data_stays_data() {
        let data = json!({"s": "{{ tasks.b.result }}", "brace": "{"});
        let params = json!([
            "{{ row.s }}",
            "{{row.s}} {{ tasks.a.result }} {{ \"{{\" }}",
            "{{row.brace}}{{tasks.a.result}}",
            "{{ row.brace }}{x"
        ]);
        let row = |placeholder: &Placeholder| follow(&data, &placeholder.path).cloned();
        let first = fill_root(&Json::from(&params), "row", &row, &|_| Encoding::Text).unwrap();
        let tasks = |placeholder: &Placeholder| Ok(json!(placeholder.task_id()));
        let second = fill(&first, &tasks, &|_| Encoding::Text).unwrap();
        assert_eq!(
            second.to_value(),
            json!([
                "{{ tasks.b.result }}",
                "{{ tasks.b.result }} a {{",
                "{a",
                "{{x"
            ])
        );
    }

    #[test]
    fn placeholders_know_their_places() {
        let params = Json::parse(r#"{"argv": ["x", "\u007b{ tasks.a-1.result[0] }}"]}"#).unwrap();
        let found = placeholders(&params).unwrap();
        assert_eq!(found[0].place, "argv[1]");
        assert_eq!(found[0].task_id(), Some("a-1"));
    }

    proptest::proptest! {
        #[test]
        fn data_comes_back_from_a_shell_line_unchanged(data: String) {
            let result = filled(r#"["echo {{ row.x }} end"]"#, &json!({"x": &data}), Encoding::Shell);
            if data.contains('\0') {
                proptest::prop_assert!(result.is_err());
            } else {
                let script: Vec<String> = serde_json::from_str(&result.unwrap()).unwrap();
                let words = shlex::split(&script[0]);
                proptest::prop_assert_eq!(words, Some(vec!["echo".into(), data, "end".into()]));
            }
        }

        #[test]
        fn escaped_text_stands_for_itself(text in "[{}\" a]{0,12}") {
            let params = Json::from(json!([escape_braces(&text)]));
            let none = |_: &Placeholder| Err("none".to_owned());
            let back = fill(&params, &none, &|_| Encoding::Text).unwrap();
            proptest::prop_assert_eq!(back.to_value(), json!([text]));
        }
    }
}
