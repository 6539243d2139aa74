//! Tasks that mean several: `matrix`, the product of lists of values, and `each`, a list of cases.
//!
//! Their values mean `{{ matrix.NAME }}` and `{{ each }}` or `{{ each.NAME }}`, and are filled in as the cells of
//! a table are: where one goes into code, as a word or literal of that language. An id without such a placeholder gets
//! the values behind it: `train[0.1,7]`.

use std::collections::HashSet;
use std::sync::Arc;

use batch_core::{Json, text::nearest};
use batch_template::{Datum, Functions, Placeholder, Segment};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::fields::{Fields, kind, plain_text};
use crate::file::TaskFile;
use crate::scope::{Report, Scope, suggestion};
use crate::source::Source;
use crate::task::TaskReader;
use crate::task_template::{TaskTemplate, add, add_unfilled, is_for_later, object_text, place_in};

/// The fields of such a task beside those of others.
pub(crate) const MATRIX_FIELDS: [&str; 3] = ["matrix", "each", "exclude"];

/// What their placeholders begin with.
const ROOTS: [&str; 2] = ["matrix", "each"];

/// One task makes no more than this many.
const MOST_TASKS: usize = 1_000_000;

/// A longer value is told by its position in an id.
const LONGEST_IN_ID: usize = 40;

/// The values of one name.
struct Axis<'r> {
    name: String,
    values: Vec<AxisValue<'r>>,
}

struct AxisValue<'r> {
    /// As it was written.
    value: Datum,
    /// As it is in an id.
    text: std::borrow::Cow<'r, str>,
}

/// What a task is made for.
#[derive(Default)]
struct Matrix<'r> {
    axes: Vec<Axis<'r>>,
    each: Option<Vec<AxisValue<'r>>>,
    exclude: Vec<Map<String, Value>>,
}

/// Reads a task of a file, which may mean several.
pub(crate) fn read_tasks_of(
    raw: &RawValue,
    source: &Source<'_>,
    functions: Option<&Arc<dyn Functions>>,
    reader: &mut TaskReader,
    report: &mut Report,
    file: &mut TaskFile,
) {
    let line = source.anchor(raw.get());
    let fields = serde_json::from_str::<Fields<'_>>(raw.get()).ok();
    let is_many = fields.as_ref().is_some_and(|fields| {
        let mut names = fields.0.iter().map(|(name, _)| &**name);
        names.any(|name| MATRIX_FIELDS.contains(&name))
    });
    let (Some(fields), Some(functions), true) = (fields, functions, is_many) else {
        file.lines.push(line);
        file.tasks.push(reader.read(source, report, raw));
        return;
    };
    let before = report.problems.len();
    let mut scope = Scope {
        source,
        report,
        task: None,
    };
    let matrix = Matrix::read(&fields, &mut scope);
    let template = TaskTemplate::read_but(
        &MATRIX_FIELDS,
        raw,
        functions,
        source,
        report,
        reader.shell_program(),
    );
    matrix.check_placeholders(&template, report);
    if report.problems.len() == before {
        matrix.expand(&template, reader, report, file);
    }
}

impl<'r> Matrix<'r> {
    fn read(fields: &Fields<'r>, scope: &mut Scope<'_, '_>) -> Self {
        let mut matrix = Self::default();
        let mut exclude = None;
        for (name, raw) in &fields.0 {
            match &**name {
                "matrix" => {
                    for (name, raw) in scope.object(raw, "matrix").map(|f| f.0).unwrap_or_default()
                    {
                        let values = read_values(raw, &format!("matrix.{name}"), scope);
                        let name = name.into_owned();
                        matrix.axes.push(Axis { name, values });
                    }
                }
                "each" => matrix.each = Some(read_values(raw, "each", scope)),
                "exclude" => exclude = Some(*raw),
                _ => {}
            }
        }
        if let Some(raw) = exclude {
            matrix.read_exclude(raw, scope);
        }
        matrix
    }

    fn read_exclude(&mut self, raw: &'r RawValue, scope: &mut Scope<'_, '_>) {
        let wanted = "a list of objects such as {\"lr\": 0.1}";
        for raw in scope.array(raw, "exclude", wanted).unwrap_or_default() {
            let Ok(values) = serde_json::from_str::<Map<String, Value>>(raw.get()) else {
                scope.wrong(raw, "exclude", wanted);
                continue;
            };
            let names: Vec<&str> = self.axes.iter().map(|axis| &*axis.name).collect();
            for name in values.keys().filter(|name| !names.contains(&name.as_str())) {
                let help = suggestion(name, &names);
                let message = format!("exclude: the matrix has no {name:?}");
                scope.problem(raw.get(), "exclude", message, help);
            }
            self.exclude.push(values);
        }
    }

    /// Reports placeholders that mean nothing.
    fn check_placeholders(&self, task: &TaskTemplate, report: &mut Report) {
        let mut told = HashSet::new();
        for (field, placeholder) in task.placeholders() {
            let place = place_in(&field.name, &placeholder.place);
            let (message, help) = match (placeholder.root.as_str(), &placeholder.path[..]) {
                ("matrix", [Segment::Field(name), ..])
                    if self.axes.iter().any(|axis| axis.name == *name) =>
                {
                    continue;
                }
                ("each", _) if self.each.is_some() => continue,
                ("matrix", [Segment::Field(name), ..]) => {
                    let names = || self.axes.iter().map(|axis| &*axis.name);
                    let near = nearest(name, names()).map(|near| format!("did you mean {near:?}?"));
                    let all = || format!("it has {}", names().collect::<Vec<_>>().join(", "));
                    (
                        format!("{place}: the matrix has no {name:?}"),
                        near.unwrap_or_else(all),
                    )
                }
                ("matrix", _) => (
                    format!("{place}: {placeholder} names no value"),
                    "write {{ matrix.NAME }}".to_owned(),
                ),
                (root, _) if is_for_later(&field.name, root) => continue,
                (root, _) => (
                    format!("unknown placeholder {root:?} in {place}"),
                    "write {{ matrix.NAME }} or {{ each }} for a value".to_owned(),
                ),
            };
            if told.insert(message.clone()) {
                let file = report.file.clone();
                add(report, &file, field.line, &field.name, message, Some(help));
            }
        }
    }

    /// Adds a task for each combination.
    fn expand(
        &self,
        task: &TaskTemplate,
        reader: &mut TaskReader,
        report: &mut Report,
        file: &mut TaskFile,
    ) {
        let sizes = self.axes.iter().map(|axis| axis.values.len());
        let sizes = sizes.chain(self.each.as_ref().map(Vec::len));
        let sizes: Vec<usize> = sizes.collect();
        let count = sizes
            .iter()
            .try_fold(1_usize, |all, size| all.checked_mul(*size));
        let Some(count) = count.filter(|count| *count <= MOST_TASKS) else {
            let message = format!("the matrix makes more than {MOST_TASKS} tasks");
            let help = "give a command several sources of items in place of it";
            return report.add(task.line, message, Some(help));
        };
        let mut told = HashSet::new();
        for number in 0..count {
            if report.is_full() {
                return;
            }
            // The last one runs through first.
            let mut rest = number;
            let mut at = vec![0; sizes.len()];
            for (at, size) in at.iter_mut().zip(&sizes).rev() {
                (*at, rest) = (rest % size, rest / size);
            }
            let case = Case { matrix: self, at };
            if !case.is_excluded() {
                case.read(task, reader, report, file, &mut told);
            }
        }
    }
}

/// One combination, by the positions of its values.
struct Case<'m, 'r> {
    matrix: &'m Matrix<'r>,
    at: Vec<usize>,
}

impl Case<'_, '_> {
    fn values(&self) -> impl Iterator<Item = (&str, &AxisValue<'_>)> {
        let axes = self.matrix.axes.iter().zip(&self.at);
        axes.map(|(axis, at)| (&*axis.name, &axis.values[*at]))
    }

    fn each(&self) -> Option<&AxisValue<'_>> {
        let at = *self.at.last()?;
        self.matrix.each.as_ref().map(|values| &values[at])
    }

    fn is_excluded(&self) -> bool {
        let mut rules = self.matrix.exclude.iter();
        rules.any(|rule| {
            let value = |name: &str| self.values().find(|(known, _)| *known == name);
            let mut wanted = rule.iter();
            wanted
                .all(|(name, wanted)| value(name).is_some_and(|(_, v)| is_equal(&v.value, wanted)))
        })
    }

    fn lookup(&self, placeholder: &Placeholder) -> Result<Datum, String> {
        let (value, path) = match (placeholder.root.as_str(), &placeholder.path[..]) {
            ("matrix", [Segment::Field(name), path @ ..]) => (
                self.values()
                    .find(|(known, _)| *known == name)
                    .map(|(_, v)| v),
                path,
            ),
            ("each", path) => (self.each(), path),
            _ => (None, &[][..]),
        };
        let value = value.ok_or_else(|| "it stands for nothing".to_owned())?;
        value.value.clone().part(path)
    }

    /// Reads the task of this combination; what is wrong with several of them is told once.
    fn read(
        &self,
        task: &TaskTemplate,
        reader: &mut TaskReader,
        report: &mut Report,
        file: &mut TaskFile,
        told: &mut HashSet<(String, String)>,
    ) {
        let first = report.problems.len();
        let filling = task.fill(&ROOTS, reader.allows_code(), &|p| self.lookup(p));
        for problem in filling.problems {
            let (name, line) = (report.file.clone(), task.line_of(&problem.path));
            add_unfilled(report, &name, line, problem);
        }
        let id = self.id(task).map(|id| Value::from(id).to_string());
        let fields = filling.fields.iter().map(|(field, value)| {
            let value = match (field.name.as_str(), &id) {
                ("id", Some(id)) => id.as_str(),
                _ => value.as_str(),
            };
            (&*field.name, value, field.line)
        });
        let (text, lines) = object_text(fields);
        if let Some(read) = reader.read_made(&text, lines, report) {
            file.tasks.push(read);
            file.lines.push(task.line);
        }
        let new = report.problems.split_off(first);
        let mut is_new =
            |field: &str, message: &str| told.insert((field.to_owned(), message.to_owned()));
        let new = new
            .into_iter()
            .filter(|new| is_new(&new.field, &new.message));
        report.problems.extend(new);
    }

    /// The id with the values behind it; `None` where the task has none, or one that says where they go.
    fn id(&self, task: &TaskTemplate) -> Option<String> {
        let field = task.field_of("id")?;
        if ROOTS.iter().any(|root| field.has_root(root)) {
            return None;
        }
        let raw = serde_json::from_str::<&RawValue>(field.value.as_str()).ok()?;
        let values = self.values().map(|(_, value)| value).chain(self.each());
        let values: Vec<&str> = values.map(|value| &*value.text).collect();
        Some(format!("{}[{}]", plain_text(raw)?, values.join(",")))
    }
}

/// Reads a list of values, or a range of whole numbers.
fn read_values<'r>(
    raw: &'r RawValue,
    field: &str,
    scope: &mut Scope<'_, '_>,
) -> Vec<AxisValue<'r>> {
    const WANTED: &str = "a list of values, or {\"from\": 1, \"to\": 20}";
    let values = match kind(raw) {
        "an object" => return read_range(raw, field, scope),
        "an array" => scope.array(raw, field, WANTED).unwrap_or_default(),
        _ => {
            scope.wrong(raw, field, WANTED);
            return Vec::new();
        }
    };
    if values.is_empty() {
        let help = "give it values, or take it away".to_owned();
        let message = format!("{field} is empty, so that there is no task");
        scope.problem(raw.get(), field, message, Some(help));
    }
    let values = values.into_iter().enumerate();
    values.map(|(at, raw)| axis_value(at, raw)).collect()
}

fn axis_value(at: usize, raw: &RawValue) -> AxisValue<'_> {
    let text = plain_text(raw).filter(|text| text.len() <= LONGEST_IN_ID && !text.is_empty());
    AxisValue {
        value: Datum::read(raw.get()).unwrap_or_else(|_| Datum::Text(raw.get().to_owned())),
        text: text.unwrap_or_else(|| (at + 1).to_string().into()),
    }
}

fn read_range<'r>(raw: &'r RawValue, field: &str, scope: &mut Scope<'_, '_>) -> Vec<AxisValue<'r>> {
    let (mut from, mut to, mut step) = (None, None, Some(1_i64));
    for (name, raw) in scope.object(raw, field).map(|f| f.0).unwrap_or_default() {
        let place = format!("{field}.{name}");
        let mut whole = |raw: &RawValue| {
            let found = serde_json::from_str::<i64>(raw.get()).ok();
            if found.is_none() {
                scope.wrong(raw, &place, "a whole number");
            }
            found
        };
        match &*name {
            "from" => from = whole(raw),
            "to" => to = whole(raw),
            "step" => step = whole(raw),
            _ => scope.unknown(raw, &name, &["from", "to", "step"], field),
        }
    }
    let (Some(from), Some(to), Some(step)) = (from, to, step) else {
        let message = format!("{field} needs whole numbers, as in {{\"from\": 1, \"to\": 20}}");
        scope.problem(raw.get(), field, message, None);
        return Vec::new();
    };
    let is_forward = (step > 0 && from <= to) || (step < 0 && from >= to);
    if !is_forward {
        let message = format!("{field} never comes from {from} to {to} in steps of {step}");
        scope.problem(raw.get(), field, message, None);
        return Vec::new();
    }
    let numbers = std::iter::successors(Some(from), |last| last.checked_add(step));
    let numbers = numbers.take_while(|number| {
        if step > 0 {
            *number <= to
        } else {
            *number >= to
        }
    });
    // One more is refused as too many.
    let numbers = numbers.take(MOST_TASKS + 1);
    numbers
        .map(|number| AxisValue {
            value: Datum::Json(Json::from(Value::from(number))),
            text: number.to_string().into(),
        })
        .collect()
}

/// Whether two values are the same; numbers also where one is written with a point.
fn is_equal(one: &Datum, other: &Value) -> bool {
    let one: Value = serde_json::from_str(&one.to_json()).unwrap_or_default();
    match (one.as_f64(), other.as_f64()) {
        (Some(one), Some(other)) => one.total_cmp(&other).is_eq(),
        _ => one == *other,
    }
}
