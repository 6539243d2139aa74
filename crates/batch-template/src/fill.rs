//! Fills the placeholders in the strings of a JSON document: [`fill`], [`fill_root`].
//!
//! What is not a string with a placeholder is copied as it was written, and so is a value, so that the order of fields and
//! the digits of numbers stay.

use std::cell::LazyCell;

use batch_core::{Json, catalog::ParamProblem};
use serde_json::Value;

use crate::code_words::{Refusal, refused_in_javascript, refused_in_python};
use crate::datum::Datum;
use crate::document::{
    each_template, escape_braces, may_have_placeholders, place_name, syntax_problem,
};
use crate::encoding::{Encoding, encode};
use crate::parts::{Part, Template};
use crate::path::{Segment, follow};
use crate::places::Encodings;
use crate::shell_words::{Quoting, ShellScan};
use crate::spots::{Spot, check_steps, spots};
use crate::template::Placeholder;

/// Says how the texts at the places of a document, such as `argv[1]`, take their values.
pub type EncodingsOf<'a> = dyn Fn(&Json) -> Encodings + 'a;

/// Fills in all placeholders of a document.
///
/// `lookup` gives the value of a placeholder before its filters, or says why there is none. `encodings` says
/// how the texts at the places of a document, such as `argv[1]`, take their values. A string that is one placeholder
/// and nothing else takes the value with its JSON type, where it is no code.
///
/// `encodings` is asked once about the document, and once more about the filled one: a value that is the name of an
/// interpreter turns the arguments behind it into code.
///
/// # Errors
/// All problems: syntax, missing values, values that cannot be encoded, placeholders inside quotes or in code.
///
/// ```
/// use batch_core::Json;
/// use batch_template::{Encodings, fill};
/// let params = Json::parse(r#"{"argv": ["echo", "{{ row.name }}", "n={{ row.n | int }}"]}"#).unwrap();
/// let row = serde_json::json!({"name": "Ann", "n": " 7 "});
/// let filled = fill(
///     &params,
///     &|placeholder| batch_template::follow(&row, &placeholder.path).map(|cell| cell.clone().into()),
///     &|_params| Encodings::text(),
/// );
/// assert_eq!(filled.unwrap().as_str(), r#"{"argv": ["echo", "Ann", "n=7"]}"#);
/// ```
pub fn fill(
    params: &Json,
    lookup: &dyn Fn(&Placeholder) -> Result<Datum, String>,
    encodings: &EncodingsOf<'_>,
) -> Result<Json, Vec<ParamProblem>> {
    fill_wanted(params, &|_| true, false, lookup, encodings)
}

/// Fills in the placeholders with one of the given roots, and leaves the others for later.
///
/// What is filled in cannot become a placeholder: its braces are escaped as by [`escape_braces`].
///
/// # Errors
/// As [`fill`].
pub fn fill_root(
    params: &Json,
    roots: &[&str],
    lookup: &dyn Fn(&Placeholder) -> Result<Datum, String>,
    encodings: &EncodingsOf<'_>,
) -> Result<Json, Vec<ParamProblem>> {
    let wanted = |placeholder: &Placeholder| roots.contains(&placeholder.root.as_str());
    fill_wanted(params, &wanted, true, lookup, encodings)
}

/// Fills in some of the placeholders; with `again`, so that the document can be filled in once more.
fn fill_wanted(
    params: &Json,
    wanted: &dyn Fn(&Placeholder) -> bool,
    again: bool,
    lookup: &dyn Fn(&Placeholder) -> Result<Datum, String>,
    encodings: &EncodingsOf<'_>,
) -> Result<Json, Vec<ParamProblem>> {
    if !may_have_placeholders(params) {
        return Ok(params.clone());
    }
    let written = encodings(params);
    let filled = rewrite(params.as_str(), &|template, place| {
        let parts = values(template, place, wanted, lookup)?;
        Ok(match (&parts[..], written.at(place)) {
            ([Filled::Value(_, value)], encoding) if !encoding.is_code() => match again {
                true => value.escaped().to_json(),
                false => value.to_json(),
            },
            (parts, encoding) => Value::from(join(parts, place, encoding, again)?).to_string(),
        })
    })?;
    let found = LazyCell::new(|| (filled.to_value(), encodings(&filled)));
    check_filled(params, &written, wanted, &found)?;
    Ok(filled)
}

/// Refuses values that turned out to be code: by what was filled in elsewhere, or inside a list that they brought.
/// `found` is what became of the document.
fn check_filled(
    params: &Json,
    written: &Encodings,
    wanted: &dyn Fn(&Placeholder) -> bool,
    found: &LazyCell<(Value, Encodings), impl FnOnce() -> (Value, Encodings)>,
) -> Result<(), Vec<ParamProblem>> {
    let mut problems = Vec::new();
    each_template(params.as_str(), |path, template, _| {
        let Ok(template) = template else { return };
        let mut placeholders = template.values();
        let Some(placeholder) = placeholders.find(|placeholder| wanted(placeholder)) else {
            return;
        };
        let place = place_name(path);
        let (tree, encodings) = &**found;
        let Ok(value) = follow(tree, path) else {
            return;
        };
        each_text(value, &place, &mut |text_place| {
            let found = encodings.at(text_place);
            let is_same = text_place == place && found == written.at(text_place);
            if found.is_code() && !is_same {
                problems.push(code_problem(text_place, placeholder, found));
            }
        });
    });
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems)
    }
}

/// The problem that a value would become code once it is filled in.
fn code_problem(place: &str, placeholder: &Placeholder, encoding: Encoding) -> ParamProblem {
    let name = placeholder.to_string();
    match encoding {
        Encoding::Code(code) => ParamProblem::new(place, format!("{name} {}", code.refusal()))
            .with_help(code.help(&name)),
        _ => ParamProblem::new(place, format!("{name} brings code along")).with_help(
            "write the code itself into the task, and a placeholder for each value in it",
        ),
    }
}

/// Calls `visit` with the place of each text of a document that is no name of a field.
fn each_text(value: &Value, place: &str, visit: &mut dyn FnMut(&str)) {
    match value {
        Value::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                each_text(element, &format!("{place}{}", Segment::Index(index)), visit);
            }
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                let inner = format!("{place}{}", Segment::Field(name.clone()));
                each_text(value, inner.trim_start_matches('.'), visit);
            }
        }
        _ => visit(place),
    }
}

/// A piece of a text after the values were looked up.
pub(crate) enum Filled<'a> {
    Text(&'a str),
    Value(&'a Placeholder, Datum),
    /// Left for later.
    Kept(&'a Placeholder),
}

fn values<'a>(
    template: &'a Template,
    place: &str,
    wanted: &dyn Fn(&Placeholder) -> bool,
    lookup: &dyn Fn(&Placeholder) -> Result<Datum, String>,
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
pub(crate) fn join(
    parts: &[Filled<'_>],
    place: &str,
    encoding: Encoding,
    again: bool,
) -> Result<String, ParamProblem> {
    check_quotes(parts, place, encoding)?;
    let problem = |why: String| ParamProblem::new(place, why);
    let mut text = String::new();
    let mut run = String::new();
    // Where values are in the paths of a URL.
    let mut steps = Vec::new();
    for (part, spot) in parts.iter().zip(spots(parts, encoding)) {
        match part {
            Filled::Text(text) => run.push_str(text),
            Filled::Value(placeholder, value) => {
                let begin = run.len();
                let written = match encoding.is_code() {
                    true => encode(value, encoding, &mut run),
                    false => spot.write(placeholder, value, &mut run),
                };
                written.map_err(|why| problem(format!("{placeholder}: {why}")))?;
                if spot == Spot::Path {
                    steps.push((begin, run.len()));
                }
            }
            Filled::Kept(placeholder) => {
                check_steps(&run, &std::mem::take(&mut steps)).map_err(problem)?;
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
    check_steps(&run, &steps).map_err(problem)?;
    if again {
        text.push_str(&escape_braces(&run));
    } else {
        text.push_str(&run);
    }
    Ok(text)
}

/// Refuses placeholders that are where the encoding does not hold.
fn check_quotes(parts: &[Filled<'_>], place: &str, encoding: Encoding) -> Result<(), ParamProblem> {
    if !encoding.is_code() {
        return Ok(());
    }
    let is_encoded = place.ends_with("base64") && !matches!(encoding, Encoding::Code(_));
    let is_text = |part: &Filled<'_>| matches!(part, Filled::Text(_));
    if is_encoded && !parts.iter().all(is_text) {
        // There a value could not be written as a word.
        let problem = ParamProblem::new(place, "code in base64 takes no placeholders");
        return Err(problem.with_help("write the code as a text"));
    }
    // A letter is in for each placeholder, whose own text could hold quotes.
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
    let refusals: Vec<Option<(String, String)>> = match encoding {
        Encoding::Shell(rules) => {
            let scan = ShellScan::new(code.as_bytes(), &offsets, rules);
            check_values(parts, place, &scan)?;
            scan.quoting.into_iter().map(Quoting::refusal).collect()
        }
        Encoding::Python => in_words(refused_in_python(&code, &offsets)),
        Encoding::JavaScript => in_words(refused_in_javascript(&code, &offsets)),
        Encoding::Code(_) => {
            return match places.first() {
                Some((_, placeholder)) => Err(code_problem(place, placeholder, encoding)),
                None => Ok(()),
            };
        }
        _ => return Ok(()),
    };
    for ((_, placeholder), refusal) in places.iter().zip(refusals) {
        if let Some((what, help)) = refusal {
            return Err(ParamProblem::new(place, format!("{placeholder} {what}")).with_help(help));
        }
    }
    Ok(())
}

/// Refuses values that a command of the script would run as code, as perl does with `-eCODE`.
fn check_values(parts: &[Filled<'_>], place: &str, scan: &ShellScan) -> Result<(), ParamProblem> {
    let filled: Vec<(&Placeholder, &str)> = parts
        .iter()
        .filter_map(|part| match part {
            Filled::Text(_) => None,
            Filled::Value(placeholder, value) => Some((*placeholder, value.plain_text())),
            Filled::Kept(placeholder) => Some((*placeholder, "")),
        })
        .collect();
    let values: Vec<&[u8]> = filled.iter().map(|(_, value)| value.as_bytes()).collect();
    match scan.code_in(&values) {
        Some((index, code)) => Err(code_problem(place, filled[index].0, Encoding::Code(code))),
        None => Ok(()),
    }
}

fn in_words(refusals: Vec<Refusal>) -> Vec<Option<(String, String)>> {
    let in_words = |(what, help): (&str, &str)| (what.to_owned(), help.to_owned());
    let refusals = refusals.into_iter();
    refusals.map(|refusal| refusal.map(in_words)).collect()
}

/// Replaces each string that holds braces by the JSON that `replace` gives for it.
fn rewrite(
    source: &str,
    replace: &dyn Fn(&Template, &str) -> Result<String, ParamProblem>,
) -> Result<Json, Vec<ParamProblem>> {
    let mut written = String::with_capacity(source.len());
    let mut copied = 0;
    let mut problems = Vec::new();
    each_template(source, |path, template, range| {
        let place = place_name(path);
        match template
            .map_err(|error| syntax_problem(&place, &error))
            .and_then(|t| replace(&t, &place))
        {
            Ok(value) => {
                written.push_str(&source[copied..range.start]);
                written.push_str(&value);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::placeholders;
    use crate::shell_words::ShellRules;
    use serde_json::json;

    const SHELL: Encoding = Encoding::Shell(ShellRules {
        is_eager: false,
        allow_code: false,
    });

    fn filled(params: &str, data: &Value, encoding: Encoding) -> Result<String, String> {
        let lookup = |placeholder: &Placeholder| match placeholder.root.as_str() {
            "row" => follow(data, &placeholder.path).map(|value| value.clone().into()),
            root => Err(format!("no {root} here")),
        };
        fill(&Json::parse(params).unwrap(), &lookup, &|_| {
            Encodings::text().with("", encoding)
        })
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
    fn values_keep_their_digits_and_the_order_of_their_fields() {
        let value = r#"{"z": 1.50, "id": 123456789012345678901234567890, "a": [-0, "{{ x }}"]}"#;
        let lookup = |_: &Placeholder| Datum::read(value);
        let params = Json::parse(r#"["{{ row }}", "v={{ row }}"]"#).unwrap();
        let compact = value.replace(": ", ":").replace(", ", ",");
        let text = |text: &str| Value::from(text).to_string();
        let filled = fill(&params, &lookup, &|_| Encodings::text()).unwrap();
        let expected = format!("[{compact}, {}]", text(&format!("v={compact}")));
        assert_eq!(filled.as_str(), expected);
        let once = fill_root(&params, &["row"], &lookup, &|_| Encodings::text()).unwrap();
        let twice = fill(&once, &lookup, &|_| Encodings::text()).unwrap();
        assert_eq!(twice.as_str(), expected);
        for (encoding, literal) in [
            (
                Encoding::Python,
                r#"{"z": 1.50, "id": 123456789012345678901234567890, "a": [-0, "{{ x }}"]}"#,
            ),
            (SHELL, &format!("'{compact}'")),
        ] {
            let code = Json::parse(r#"["x = {{ row }}"]"#).unwrap();
            let filled = fill(&code, &lookup, &|_| Encodings::text().with("", encoding));
            assert_eq!(
                filled.unwrap().as_str(),
                format!("[{}]", text(&format!("x = {literal}")))
            );
        }
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
        let shell = |text: &str| filled(&json!([text]).to_string(), &data, SHELL);
        assert_eq!(
            shell("echo {{ row.s }}"),
            Ok(json!(["echo 'a'\\''b\n\"'"]).to_string())
        );
        assert_eq!(shell("{{ row.yes }}"), Ok(json!(["true"]).to_string()));
        assert_eq!(
            shell("echo '{{ row.s }}'").unwrap_err(),
            "[0]: {{ row.s }} is in single quotes"
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
        let row = |placeholder: &Placeholder| {
            follow(&data, &placeholder.path).map(|value| value.clone().into())
        };
        let first =
            fill_root(&Json::from(&params), &["row"], &row, &|_| Encodings::text()).unwrap();
        let tasks = |placeholder: &Placeholder| Ok(json!(placeholder.task_id()).into());
        let second = fill(&first, &tasks, &|_| Encodings::text()).unwrap();
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

    /// Fills into a command or a script.
    fn filled_for(function: &str, params: &Value, data: &Value) -> Result<Value, String> {
        let lookup = |placeholder: &Placeholder| {
            follow(data, &placeholder.path).map(|value| value.clone().into())
        };
        let encodings = |params: &Json| match function {
            "command" => Encodings::text().with_command("argv", &params.to_value()),
            _ => Encodings::text().with("script", SHELL),
        };
        let filled = fill(&Json::from(params), &lookup, &encodings);
        filled
            .map(|json| json.to_value())
            .map_err(|problems| problems[0].message.clone())
    }

    #[test]
    fn data_that_would_be_code_is_refused_once_it_is_known() {
        let data = json!({"sh": "bash", "c": "-c", "x": "id", "e": "-eexec id", "argv": ["sh", "-c", "id"],
            "all": {"script": "id"}, "p": "perl", "pipe": "id |"});
        for (function, params, message) in [
            (
                "command",
                json!({"argv": ["{{ r.sh }}", "-c", "{{ r.x }}"]}),
                "{{ r.x }} is in code that bash runs",
            ),
            (
                "command",
                json!({"argv": ["bash", "{{ r.c }}", "{{ r.x }}"]}),
                "{{ r.x }} is in code that bash runs",
            ),
            (
                "command",
                json!({"argv": ["perl", "{{ r.e }}"]}),
                "{{ r.e }} is in code that perl runs",
            ),
            (
                "command",
                json!({"argv": ["perl", "-ne", "print", "{{ r.pipe }}"]}),
                "{{ r.pipe }} is in code that perl runs",
            ),
            (
                "command",
                json!({"argv": "{{ r.argv }}"}),
                "{{ r.argv }} is in code that sh runs",
            ),
            (
                "shell",
                json!({"script": "perl {{ r.e }}"}),
                "{{ r.e }} is in code that perl runs",
            ),
            (
                "shell",
                json!({"script": "x={{ r.x }}; eval $x"}),
                "{{ r.x }} is in code that the shell runs",
            ),
        ] {
            assert_eq!(
                filled_for(function, &params, &data),
                Err(message.to_owned()),
                "{params}"
            );
        }
    }

    #[test]
    fn data_that_is_a_whole_field_is_looked_at_as_well() {
        let data = json!({"sh": "bash", "x": "id", "e": "-eexec id", "all": {"script": "id"}, "pipe": "id |"});
        let whole = filled(r#""{{ row.all }}""#, &data, SHELL);
        assert!(whole.is_ok_and(|text| text.contains("script")));
        for params in [
            json!({"argv": ["{{ r.sh }}", "x.sh", "{{ r.x }}"]}),
            json!({"argv": ["{{ r.sh }}"]}),
            json!({"argv": ["echo", "{{ r.e }}", "{{ r.pipe }}"]}),
        ] {
            assert!(filled_for("command", &params, &data).is_ok(), "{params}");
        }
        for encoded in ["{{ r.x }}", "eA{{ r.x }}"] {
            let refused = filled_for("shell", &json!({"script": {"base64": encoded}}), &data);
            let why = "code in base64 takes no placeholders".to_owned();
            assert_eq!(refused, Err(why), "{encoded}");
        }
        let brought = filled_for("shell", &json!("{{ r.all }}"), &data);
        assert_eq!(brought, Err("{{ r.all }} brings code along".to_owned()));
    }

    proptest::proptest! {
        #[test]
        fn data_comes_back_from_a_shell_line_unchanged(data: String) {
            let result = filled(r#"["echo {{ row.x }} end"]"#, &json!({"x": &data}), SHELL);
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
            let back = fill(&params, &none, &|_| Encodings::text()).unwrap();
            proptest::prop_assert_eq!(back.to_value(), json!([text]));
        }
    }
}
