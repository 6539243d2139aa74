//! The placeholders of command mode, and what they mean: [`ItemPart`], [`split`].

use std::sync::Arc;

use batch_template::{Delimiters, Meaning, Part, Template};

use super::columns::Columns;
use super::error::ItemTemplateError;
use crate::items::Row;

/// A placeholder: what it means, and how it was written, with its braces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) part: ItemPart,
    pub(crate) name: Arc<str>,
}

/// What a placeholder means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ItemPart {
    /// All values of the row, in some form.
    All(Form),
    /// The value of a column, from 0.
    Column(usize, Form),
    /// The number of the task.
    Number,
    /// The slot the task runs in, which is known when it starts.
    Slot,
}

/// What is taken of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Whole,
    NoExtension,
    NoExtensions,
    BaseName,
    Folder,
    BaseNameNoExtension,
    BaseNameNoExtensions,
}

impl Form {
    /// With what is behind the column, the longest first.
    const ALL: [(&'static str, Self); 7] = [
        ("/..", Self::BaseNameNoExtensions),
        ("/.", Self::BaseNameNoExtension),
        ("//", Self::Folder),
        ("..", Self::NoExtensions),
        (".", Self::NoExtension),
        ("/", Self::BaseName),
        ("", Self::Whole),
    ];

    /// The column and the form that a text between braces is made of, in each way there is.
    fn split(inner: &str) -> impl Iterator<Item = (&str, Self)> {
        let ways = Self::ALL.iter().rev();
        ways.filter_map(move |(end, form)| Some((inner.strip_suffix(end)?, *form)))
    }

    /// What it takes of a value.
    pub(crate) fn of(self, value: &[u8]) -> &[u8] {
        let twice = |path| without_extension(without_extension(path));
        match self {
            Self::Whole => value,
            Self::NoExtension => without_extension(value),
            Self::NoExtensions => twice(value),
            Self::BaseName => base_name(value),
            Self::Folder => folder(value),
            Self::BaseNameNoExtension => without_extension(base_name(value)),
            Self::BaseNameNoExtensions => twice(base_name(value)),
        }
    }
}

impl ItemPart {
    /// Appends what it means. One that means all values is expanded before.
    pub(crate) fn push(self, row: &Row, to: &mut Vec<u8>) {
        match self {
            Self::All(form) => to.extend_from_slice(form.of(row.get(0).unwrap_or_default())),
            Self::Column(column, form) => {
                to.extend_from_slice(form.of(row.get(column).unwrap_or_default()));
            }
            Self::Number => to.extend_from_slice(row.number.to_string().as_bytes()),
            // Only its place counts.
            Self::Slot => to.push(b'1'),
        }
    }
}

/// Takes a text apart at its placeholders.
///
/// `${1}` and `${name}` are a shell's, and braces that are no placeholder here or elsewhere are literal, as
/// does the text in `{"{1}"}`.
///
/// # Errors
/// When a placeholder means nothing, or is one of another tool.
pub(crate) fn split(text: &str, columns: &Columns) -> Result<Vec<Part<Placed>>, ItemTemplateError> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, literal, after)) = cut_literal(rest) {
        split_plain(before, columns, &mut parts)?;
        push_text(literal, &mut parts);
        rest = after;
    }
    split_plain(rest, columns, &mut parts)?;
    Ok(parts)
}

fn split_plain(
    text: &str,
    columns: &Columns,
    parts: &mut Vec<Part<Placed>>,
) -> Result<(), ItemTemplateError> {
    let found = Template::parse_with(text, Delimiters::ITEM, |at, inner| match inner {
        Some(inner) => meaning(inner, text[..at].ends_with('$'), columns),
        None => Ok(Meaning::Literal),
    })?;
    for part in found.parts {
        match part {
            Part::Text(text) => push_text(&text, parts),
            value @ Part::Value(_) => parts.push(value),
        }
    }
    Ok(())
}

fn meaning(
    inner: &str,
    is_variable: bool,
    columns: &Columns,
) -> Result<Meaning<Placed>, ItemTemplateError> {
    let placeholder = || format!("{{{inner}}}");
    let undefined = |why| ItemTemplateError::Undefined {
        placeholder: placeholder(),
        why,
    };
    let part = match read(inner, columns) {
        Read::Part(ItemPart::All(_)) if columns.is_none() => {
            return Err(undefined("a command gets no item with -n 0".to_owned()));
        }
        Read::Part(part @ ItemPart::All(_)) => part,
        _ if is_variable => return Ok(Meaning::Literal),
        Read::Part(part) => part,
        Read::Undefined(why) => return Err(undefined(why)),
        Read::Foreign => {
            return Err(ItemTemplateError::Foreign {
                placeholder: placeholder(),
            });
        }
        Read::Other => return Ok(Meaning::Literal),
    };
    Ok(Meaning::Value(Placed {
        part,
        name: placeholder().into(),
    }))
}

fn push_text(text: &str, parts: &mut Vec<Part<Placed>>) {
    match parts.last_mut() {
        _ if text.is_empty() => {}
        Some(Part::Text(before)) => before.push_str(text),
        _ => parts.push(Part::Text(text.to_owned())),
    }
}

/// What is before the first `{"{…}"}`, in it, and behind it.
fn cut_literal(text: &str) -> Option<(&str, &str, &str)> {
    let mut found = text.match_indices("{\"{").filter_map(|(at, _)| {
        let inner = at + 2;
        let end = inner + text[inner..].find('"')?;
        let literal = &text[inner..end];
        let after = text[end + 1..].strip_prefix('}')?;
        literal
            .ends_with('}')
            .then_some((&text[..at], literal, after))
    });
    found.next()
}

/// What is between braces.
enum Read {
    Part(ItemPart),
    /// A placeholder for which there is nothing, and why.
    Undefined(String),
    /// A placeholder that only other tools have.
    Foreign,
    /// No placeholder.
    Other,
}

fn read(inner: &str, columns: &Columns) -> Read {
    match inner {
        "#" => return Read::Part(ItemPart::Number),
        "%" => return Read::Part(ItemPart::Slot),
        _ => {}
    }
    let mut undefined = None;
    for (column, form) in Form::split(inner) {
        let found = match column {
            "" => return Read::Part(ItemPart::All(form)),
            digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(columns.numbered(digits))
            }
            name => columns.called(name),
        };
        match found {
            Some(Ok(column)) => return Read::Part(ItemPart::Column(column, form)),
            // Of several ways to read it, the one with the longest form names the column.
            Some(Err(why)) if is_word(column) => undefined = Some(why),
            _ => {}
        }
    }
    match undefined {
        Some(why) => Read::Undefined(why),
        None if is_foreign(inner) => Read::Foreign,
        None => Read::Other,
    }
}

/// Whether this is a number or a name as in programs, and not a piece of code.
fn is_word(text: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    !text.is_empty() && text.chars().all(is_part)
}

/// Whether this is between the braces of a placeholder that only other tools have: `{+}`, `{-1}`, `{0#}`, `{...}`,
/// of parallel; `{^.gz}`, `{%.gz}`, `{@(\d+)}` of rush.
fn is_foreign(inner: &str) -> bool {
    if inner.is_empty() || inner.contains(char::is_whitespace) {
        return false;
    }
    let column = inner.trim_start_matches(['-', '+']);
    let rest = column.trim_start_matches(|c: char| c.is_ascii_digit());
    let is_marks = |rest: &str| rest.chars().all(|c| "./#%+:^@".contains(c));
    is_marks(rest)
        || rest.starts_with('^')
        || rest.starts_with("%.")
        || rest.starts_with("@(")
        || rest.len() > 1 && rest.starts_with('=') && rest.ends_with('=')
}

/// A path without the slashes at its end, of which one stays if there is nothing else.
fn without_slashes(path: &[u8]) -> &[u8] {
    let end = path
        .iter()
        .rposition(|byte| *byte != b'/')
        .map_or(1, |last| last + 1);
    &path[..end.min(path.len())]
}

fn base_name(path: &[u8]) -> &[u8] {
    let path = without_slashes(path);
    match memchr::memrchr(b'/', path) {
        Some(slash) if path.len() > 1 => &path[slash + 1..],
        _ => path,
    }
}

fn folder(path: &[u8]) -> &[u8] {
    let path = without_slashes(path);
    match memchr::memrchr(b'/', path) {
        Some(slash) => without_slashes(&path[..(slash).max(1)]),
        None => b".",
    }
}

/// What of a path is before its extension. `.bashrc` and `a.d/b` have none.
fn without_extension(path: &[u8]) -> &[u8] {
    let name = memchr::memrchr(b'/', path).map_or(0, |slash| slash + 1);
    match memchr::memrchr(b'.', &path[name..]) {
        Some(dot) if dot > 0 && name + dot + 1 < path.len() => &path[..name + dot],
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placeholders(text: &str, columns: &Columns) -> Result<Vec<String>, String> {
        let found = split(text, columns).map_err(|error| error.to_string())?;
        let name = |part: &Part<Placed>| match part {
            Part::Value(placed) => Some(placed.name.to_string()),
            Part::Text(_) => None,
        };
        Ok(found.iter().filter_map(name).collect())
    }

    #[test]
    fn what_others_have_is_refused_and_other_braces_stay() {
        let one = Columns::one();
        for foreign in [
            "{+}",
            "{+/}",
            "{0}",
            "{2.}",
            "{2//}",
            "{-1}",
            "{##}",
            "{0#}",
            "{...}",
            "{/...}",
            "{=s/a/b/=}",
            "{2=uc=}",
            "{:}",
            "{^.gz}",
            "{%.gz}",
            "{@(x+)}",
            "{10}",
            "{1#}",
        ] {
            let error = placeholders(&format!("a{{}}{{b}}-{foreign}c"), &one).unwrap_err();
            assert!(error.starts_with(foreign), "{foreign}: {error}");
        }
        for other in [
            "${1}",
            "${10%.*}",
            "${#}",
            "${%}",
            "{print $1}",
            "{x}",
            "a{1,3}",
            "{1..3}",
            "{a..b}",
            "{{.Names}}",
            "{%s}",
            "{\"a\": 1}",
            "{",
            "}",
            "{1",
            "{% if %}",
            "{=}",
            "{\"x\"}",
            "{\"",
        ] {
            assert_eq!(placeholders(other, &one), Ok(Vec::new()), "{other}");
            let literal = split(other, &one).unwrap();
            assert_eq!(literal, [Part::Text(other.to_owned())]);
        }
    }

    #[test]
    fn braces_in_quotes_stand_for_themselves() {
        let literal = split("a{\"{1}\"}b{\"{x}{+}\"}", &Columns::one()).unwrap();
        assert_eq!(literal, [Part::Text("a{1}b{x}{+}".to_owned())]);
    }

    #[test]
    fn columns_have_numbers_and_names() {
        let names = ["lr", "a b", "x.y", "1st"].map(str::to_owned);
        let named = Columns::named(names.to_vec());
        let text = "{lr}{lr/.}{a b}{x.y}{x.y..}{1st}{1}{4//}{}{/..}{#}{%}${lr}";
        assert_eq!(
            placeholders(text, &named).unwrap().join(""),
            text.strip_suffix("${lr}").unwrap()
        );
        let wrong = |text: &str| placeholders(text, &named).unwrap_err();
        assert_eq!(
            wrong("{lrr}"),
            "{lrr} stands for nothing: no column is called \"lrr\"; did you mean \"lr\"?; to pass it on as it is, write {\"{lrr}\"}"
        );
        assert!(wrong("{lrr/.}").contains("called \"lrr\""));
        assert!(wrong("{5}").contains("the number of columns is 4"));
        for other in ["{print $1}", "{a, b}", "{\"lrr\": 1}"] {
            assert_eq!(placeholders(other, &named), Ok(Vec::new()), "{other}");
        }
    }

    #[test]
    fn paths_are_taken_apart_as_by_basename_and_dirname() {
        for (path, no_extension, base, dir, base_no_extension) in [
            ("a/b.c", "a/b", "b.c", "a", "b"),
            ("b", "b", "b", ".", "b"),
            ("/b.c", "/b", "b.c", "/", "b"),
            ("/", "/", "/", "/", "/"),
            ("a.d/b", "a.d/b", "b", "a.d", "b"),
            ("a//b/", "a//b/", "b", "a", "b"),
            (".bashrc", ".bashrc", ".bashrc", ".", ".bashrc"),
            ("x.", "x.", "x.", ".", "x."),
            ("", "", "", ".", ""),
        ] {
            let of = |form: Form| String::from_utf8(form.of(path.as_bytes()).to_vec()).unwrap();
            assert_eq!(of(Form::NoExtension), no_extension, "{path}");
            assert_eq!(of(Form::BaseName), base, "{path}");
            assert_eq!(of(Form::Folder), dir, "{path}");
            assert_eq!(of(Form::BaseNameNoExtension), base_no_extension, "{path}");
        }
        assert_eq!(Form::NoExtensions.of(b"d.x/a.tar.gz"), b"d.x/a");
        assert_eq!(Form::NoExtensions.of(b"d.x/.a.gz"), b"d.x/.a");
        assert_eq!(Form::BaseNameNoExtensions.of(b"d/a.b.tar.gz"), b"a.b");
    }
}
