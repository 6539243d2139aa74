//! Templates of command mode: what is made of an item: [`CommandTemplate`], [`ShellTemplate`].
//!
//! `{}` is the item, `{.}` without its extension, `{/}` its base name, `{//}` its folder, `{/.}` its base name
//! without the extension, `{#}` the number of the task. All other braces are literal: `awk '{print $1}'` works.

use std::convert::Infallible;
use std::ffi::OsString;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use batch_core::Json;
use batch_template::{
    Code, Delimiters, Encoding, Meaning, Part, Quoting, ShellRules, ShellScan, Template, UNKNOWN,
    code_in_command, escape_braces, quote_for_shell,
};
use serde_json::value::RawValue;

use crate::item_function::FunctionTemplate;
use crate::items::{ItemProblem, MAX_ARGUMENT};

/// What is made of each item.
#[derive(Clone, Debug)]
pub enum ItemTemplate {
    /// A command with arguments.
    Command(CommandTemplate),
    /// A line of shell.
    Shell(ShellTemplate),
    /// Any function with parameters.
    Function(FunctionTemplate),
}

/// A command in which an item is replaced.
#[derive(Clone, Debug)]
pub struct CommandTemplate {
    arguments: Vec<Argument>,
    /// An interpreter takes part: each item is looked at, whether it makes itself code, as `-eCODE` of perl.
    is_open: bool,
}

/// A command in which an item would be code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{placeholder} {}; {}", code.refusal(), code.help(placeholder))]
pub struct CommandTemplateError {
    /// Such as `{}`.
    pub placeholder: &'static str,
    /// The code in which it stands.
    pub code: Code,
}

/// A shell script in which an item is replaced, quoted.
#[derive(Clone, Debug)]
pub struct ShellTemplate {
    pieces: Vec<Piece>,
    scan: ShellScan,
    /// The parameter that names the shell, as JSON fields before the script.
    program: String,
}

/// A script in which a replacement would not be safe.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShellTemplateError {
    /// The placeholder stands where a quoted word is not read as one.
    #[error("{placeholder} {what}; {help}")]
    Refused {
        /// Such as `{}`.
        placeholder: &'static str,
        /// Where it stands.
        what: String,
        /// How to mend it.
        help: String,
        /// It stands in quotes or the like, and not in code.
        is_quoted: bool,
    },
    /// The script has no placeholder, and its end is no place for one.
    #[error(
        "the script does not say where the item goes, and it cannot be added at the end; write {{}} there"
    )]
    NoPlace,
}

/// The reusable memory of making parameters.
#[derive(Default)]
pub(crate) struct Scratch {
    bytes: Vec<u8>,
    json: String,
}

/// An argument: the same for all items, as JSON, or made of each.
#[derive(Clone, Debug)]
enum Argument {
    Fixed { json: String, bytes: Vec<u8> },
    Made(Vec<Piece>),
}

/// A piece of an argument.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(Vec<u8>),
    Part(ItemPart),
}

/// What a placeholder stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ItemPart {
    Item,
    NoExtension,
    BaseName,
    Folder,
    BaseNameNoExtension,
    Number,
}

impl ItemPart {
    pub(crate) const ALL: [(Self, &'static str); 6] = [
        (Self::Item, "{}"),
        (Self::NoExtension, "{.}"),
        (Self::BaseName, "{/}"),
        (Self::Folder, "{//}"),
        (Self::BaseNameNoExtension, "{/.}"),
        (Self::Number, "{#}"),
    ];

    fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(part, _)| *part == self)
            .map_or("", |(_, name)| name)
    }

    /// The one with this between its braces.
    fn named(inner: &str) -> Option<Self> {
        let mut all = Self::ALL.iter();
        let found = all.find(|(_, name)| name[1..name.len() - 1] == *inner);
        found.map(|(part, _)| *part)
    }

    /// Appends what it stands for.
    pub(crate) fn push(self, item: &[u8], number: u64, to: &mut Vec<u8>) {
        match self {
            Self::Item => to.extend_from_slice(item),
            Self::NoExtension => {
                let end = without_extension(item);
                to.extend_from_slice(&item[..end]);
            }
            Self::BaseName => to.extend_from_slice(base_name(item)),
            Self::Folder => to.extend_from_slice(folder(item)),
            Self::BaseNameNoExtension => {
                let base = base_name(item);
                to.extend_from_slice(&base[..without_extension(base)]);
            }
            Self::Number => to.extend_from_slice(number.to_string().as_bytes()),
        }
    }
}

impl CommandTemplate {
    /// A template of these arguments, the first of which is the program.
    ///
    /// Where none of them holds a placeholder, the item becomes a further argument at the end.
    ///
    /// # Errors
    /// When an item would stand in the code of an interpreter, as in `bash -c 'echo {}'`, unless its author allows
    /// that.
    pub fn new(argv: Vec<OsString>, allow_code: bool) -> Result<Self, CommandTemplateError> {
        let mut all: Vec<Vec<Piece>> = argv
            .iter()
            .map(|argument| pieces(argument.as_encoded_bytes()))
            .collect();
        let is_made = |pieces: &Vec<Piece>| pieces.iter().any(|piece| piece.part().is_some());
        if !all.iter().any(is_made) {
            all.push(vec![Piece::Part(ItemPart::Item)]);
        }
        let known: Vec<Vec<u8>> = all.iter().map(|pieces| known(pieces)).collect();
        let found = code_in_command(&known);
        for (at, code) in found.arguments {
            let mut parts = all[at].iter().filter_map(Piece::part);
            if let (Some(part), false) = (parts.next(), allow_code) {
                let placeholder = part.name();
                return Err(CommandTemplateError { placeholder, code });
            }
        }
        let arguments = all.into_iter().map(|pieces| match &pieces[..] {
            [] => Argument::fixed(b""),
            [Piece::Literal(bytes)] => Argument::fixed(bytes),
            _ => Argument::Made(pieces),
        });
        Ok(Self {
            arguments: arguments.collect(),
            is_open: found.is_open && !allow_code,
        })
    }

    /// A template of these arguments as they stand: no placeholder is looked for, and no item added.
    pub fn literal(argv: Vec<OsString>) -> Self {
        let fixed = |argument: &OsString| Argument::fixed(argument.as_encoded_bytes());
        Self {
            arguments: argv.iter().map(fixed).collect(),
            is_open: false,
        }
    }

    /// The parameters of the function `command` for an item, the `number`th, from 1.
    ///
    /// # Errors
    /// When an argument becomes too long.
    pub fn params(&self, item: &[u8], number: u64) -> Result<Json, ItemProblem> {
        self.params_in(item, number, &mut Scratch::default())
    }

    pub(crate) fn params_in(
        &self,
        item: &[u8],
        number: u64,
        scratch: &mut Scratch,
    ) -> Result<Json, ItemProblem> {
        if self.is_open {
            self.check(item, number)?;
        }
        let Scratch { bytes, json } = scratch;
        json.clear();
        json.push_str("{\"argv\":[");
        for (index, argument) in self.arguments.iter().enumerate() {
            json.push_str(if index == 0 { "" } else { "," });
            match argument {
                Argument::Fixed { json: fixed, .. } => json.push_str(fixed),
                Argument::Made(pieces) => {
                    bytes.clear();
                    pieces
                        .iter()
                        .for_each(|piece| piece.push(item, number, bytes));
                    check_length(bytes)?;
                    push_text(bytes, json);
                }
            }
        }
        json.push_str("]}");
        document(json)
    }

    /// Refuses an item that turns itself, or another part of it, into code.
    fn check(&self, item: &[u8], number: u64) -> Result<(), ItemProblem> {
        let arguments = self.arguments.iter();
        let argv: Vec<Vec<u8>> = arguments
            .map(|argument| argument.made(item, number))
            .collect();
        let is_made = |at: usize| matches!(self.arguments[at], Argument::Made(_));
        let mut found = code_in_command(&argv).arguments.into_iter();
        match found.find(|(at, _)| is_made(*at)) {
            Some((_, code)) => Err(ItemProblem::Code(code)),
            None => Ok(()),
        }
    }
}

impl Argument {
    fn fixed(bytes: &[u8]) -> Self {
        let mut json = String::new();
        push_text(bytes, &mut json);
        Self::Fixed {
            json,
            bytes: bytes.to_vec(),
        }
    }

    /// Its bytes for an item.
    fn made(&self, item: &[u8], number: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self {
            Self::Fixed { bytes: fixed, .. } => bytes.extend_from_slice(fixed),
            Self::Made(pieces) => {
                pieces
                    .iter()
                    .for_each(|piece| piece.push(item, number, &mut bytes));
            }
        }
        bytes
    }
}

impl Piece {
    /// Appends what it is for an item.
    fn push(&self, item: &[u8], number: u64, to: &mut Vec<u8>) {
        match self {
            Self::Literal(literal) => to.extend_from_slice(literal),
            Self::Part(part) => part.push(item, number, to),
        }
    }

    fn part(&self) -> Option<ItemPart> {
        match self {
            Self::Part(part) => Some(*part),
            Self::Literal(_) => None,
        }
    }
}

impl ShellTemplate {
    /// A template of a script.
    ///
    /// Each replacement is quoted as one word. Where the script holds no placeholder, the item is appended.
    /// `allow_code` lets items stand where the script makes code of its words, as in `sh -c {}`.
    ///
    /// # Errors
    /// When a placeholder stands where a quoted word is not read as one: in quotes, in a here-document, …
    pub fn new(script: OsString, allow_code: bool) -> Result<Self, ShellTemplateError> {
        Self::for_program(script, None, allow_code)
    }

    /// The same for a shell given by its name, with its options.
    ///
    /// # Errors
    /// As [`new`](Self::new), and when the quotes of the shell are not known.
    pub fn for_program(
        script: OsString,
        program: Option<&str>,
        allow_code: bool,
    ) -> Result<Self, ShellTemplateError> {
        let encoding = Encoding::of_script(program.unwrap_or("sh"));
        let rules = match encoding.allowing(allow_code) {
            Encoding::Shell(rules) => rules,
            Encoding::Code(code) => {
                let mut parts = pieces(script.as_encoded_bytes()).into_iter();
                let part = parts
                    .find_map(|piece| piece.part())
                    .unwrap_or(ItemPart::Item);
                let placeholder = part.name();
                return Err(ShellTemplateError::Refused {
                    placeholder,
                    what: code.refusal(),
                    help: code.help(placeholder),
                    is_quoted: false,
                });
            }
            _ => ShellRules {
                allow_code,
                ..ShellRules::default()
            },
        };
        let mut found = pieces(script.as_encoded_bytes());
        if !found.iter().any(|piece| matches!(piece, Piece::Part(_))) {
            let script = script.as_encoded_bytes().trim_ascii_end();
            if matches!(
                script.last(),
                None | Some(b';' | b'&' | b'|' | b'(' | b')' | b'{' | b'}')
            ) {
                return Err(ShellTemplateError::NoPlace);
            }
            found = vec![
                Piece::Literal([script, b" "].concat()),
                Piece::Part(ItemPart::Item),
            ];
            if let Err(ShellTemplateError::Refused {
                is_quoted: true, ..
            }) = check_quotes(&found, rules)
            {
                return Err(ShellTemplateError::NoPlace);
            }
        }
        let scan = check_quotes(&found, rules)?;
        let program =
            program.map(|program| format!("\"shell\":{},", serde_json::Value::from(program)));
        Ok(Self {
            pieces: found,
            scan,
            program: program.unwrap_or_default(),
        })
    }

    /// Refuses an item that a command of the script would run as code.
    fn check(&self, item: &[u8], number: u64) -> Result<(), ItemProblem> {
        if !self.scan.is_open() {
            return Ok(());
        }
        let parts = self.pieces.iter().filter_map(Piece::part);
        let values: Vec<Vec<u8>> = parts
            .map(|part| {
                let mut value = Vec::new();
                part.push(item, number, &mut value);
                value
            })
            .collect();
        let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
        match self.scan.code_in(&values) {
            Some((_, code)) => Err(ItemProblem::Code(code)),
            None => Ok(()),
        }
    }

    /// The parameters of the function `shell` for an item, the `number`th, from 1.
    ///
    /// # Errors
    /// When the script becomes too long for an argument of the shell.
    pub fn params(&self, item: &[u8], number: u64) -> Result<Json, ItemProblem> {
        self.params_in(item, number, &mut Scratch::default())
    }

    pub(crate) fn params_in(
        &self,
        item: &[u8],
        number: u64,
        scratch: &mut Scratch,
    ) -> Result<Json, ItemProblem> {
        self.check(item, number)?;
        let Scratch { bytes, json } = scratch;
        bytes.clear();
        let mut word = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Literal(literal) => bytes.extend_from_slice(literal),
                Piece::Part(part) => {
                    word.clear();
                    part.push(item, number, &mut word);
                    quote_for_shell(&word, bytes);
                }
            }
        }
        check_length(bytes)?;
        json.clear();
        json.push('{');
        json.push_str(&self.program);
        json.push_str("\"script\":");
        push_text(bytes, json);
        json.push('}');
        document(json)
    }
}

/// A text in which an item is replaced: the id or the name of a task.
#[derive(Clone, Debug)]
pub struct TextTemplate(Vec<Piece>);

impl TextTemplate {
    /// A template of a text.
    pub fn new(text: &str) -> Self {
        Self(pieces(text.as_bytes()))
    }

    /// The text for an item, the `number`th, from 1.
    pub fn text(&self, item: &[u8], number: u64) -> String {
        let mut bytes = Vec::new();
        for piece in &self.0 {
            piece.push(item, number, &mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Refuses placeholders that stand in quotes and the like.
fn check_quotes(pieces: &[Piece], rules: ShellRules) -> Result<ShellScan, ShellTemplateError> {
    let mut script = Vec::new();
    let mut places = Vec::new();
    let mut parts = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Literal(literal) => script.extend_from_slice(literal),
            Piece::Part(part) => {
                places.push(script.len());
                parts.push(*part);
                // A letter stands in, as `#` and `/` could mean something else.
                script.push(b'x');
            }
        }
    }
    let scan = ShellScan::new(&script, &places, rules);
    for (part, quoting) in parts.into_iter().zip(&scan.quoting) {
        if let Some((what, help)) = quoting.refusal() {
            return Err(ShellTemplateError::Refused {
                placeholder: part.name(),
                what,
                help,
                is_quoted: !matches!(
                    quoting,
                    Quoting::Code(_) | Quoting::Calculated | Quoting::Evaluated
                ),
            });
        }
    }
    Ok(scan)
}

/// What is known of an argument before there is an item.
fn known(pieces: &[Piece]) -> Vec<u8> {
    let mut known = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Literal(literal) => known.extend_from_slice(literal),
            Piece::Part(_) => known.push(UNKNOWN),
        }
    }
    known
}

/// Takes a text apart at its placeholders.
pub(crate) fn split(text: &str) -> Template<ItemPart> {
    let parsed = Template::parse_with(text, Delimiters::ITEM, |_, inner| {
        let part = inner.and_then(ItemPart::named);
        Ok::<_, Infallible>(part.map_or(Meaning::Literal, Meaning::Value))
    });
    parsed.unwrap_or_else(|never| match never {})
}

/// Takes bytes apart at the placeholders in them.
fn pieces(bytes: &[u8]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for chunk in bytes.utf8_chunks() {
        for part in split(chunk.valid()).parts {
            match part {
                Part::Text(text) => push_literal(text.as_bytes(), &mut pieces),
                Part::Value(part) => pieces.push(Piece::Part(part)),
            }
        }
        push_literal(chunk.invalid(), &mut pieces);
    }
    pieces
}

fn push_literal(bytes: &[u8], pieces: &mut Vec<Piece>) {
    match pieces.last_mut() {
        _ if bytes.is_empty() => {}
        Some(Piece::Literal(before)) => before.extend_from_slice(bytes),
        _ => pieces.push(Piece::Literal(bytes.to_vec())),
    }
}

fn check_length(argument: &[u8]) -> Result<(), ItemProblem> {
    match argument.len() {
        length if length > MAX_ARGUMENT => Err(ItemProblem::TooLong { length }),
        _ => Ok(()),
    }
}

/// Appends bytes as a JSON text that is no template, or as `{"base64": …}` where they are not UTF-8.
pub(crate) fn push_text(bytes: &[u8], json: &mut String) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        json.push_str("{\"base64\":\"");
        STANDARD.encode_string(bytes, json);
        json.push_str("\"}");
        return;
    };
    let text = escape_braces(text);
    if text
        .bytes()
        .all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\')
    {
        json.push('"');
        json.push_str(&text);
        json.push('"');
    } else {
        json.push_str(&serde_json::Value::from(text).to_string());
    }
}

fn document(json: &str) -> Result<Json, ItemProblem> {
    serde_json::from_str::<&RawValue>(json)
        .map(Json::from_raw)
        .map_err(|error| ItemProblem::Params(error.to_string()))
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

/// How much of a path stands before its extension. `.bashrc` and `a.d/b` have none.
fn without_extension(path: &[u8]) -> usize {
    let name = memchr::memrchr(b'/', path).map_or(0, |slash| slash + 1);
    match memchr::memrchr(b'.', &path[name..]) {
        Some(dot) if dot > 0 && name + dot + 1 < path.len() => name + dot,
        _ => path.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(argv: &[&str], item: &str) -> String {
        let template = CommandTemplate::new(argv.iter().map(Into::into).collect(), false).unwrap();
        template
            .params(item.as_bytes(), 7)
            .unwrap()
            .as_str()
            .to_owned()
    }

    fn shell(script: &str, item: &str) -> Result<String, String> {
        let template = ShellTemplate::new(script.into(), false).map_err(|e| e.to_string())?;
        let params: serde_json::Value = template.params(item.as_bytes(), 7).unwrap().to_value();
        Ok(params["script"].as_str().unwrap().to_owned())
    }

    #[test]
    fn placeholders_are_replaced_everywhere() {
        assert_eq!(
            command(
                &["cp", "{}", "{//}/{#}-{/.}.bak", "{.}", "x{/}y{}"],
                "a/b/c.tar.gz"
            ),
            r#"{"argv":["cp","a/b/c.tar.gz","a/b/7-c.tar.bak","a/b/c.tar","xc.tar.gzya/b/c.tar.gz"]}"#
        );
        assert_eq!(
            command(&["gzip", "-k"], "a b"),
            r#"{"argv":["gzip","-k","a b"]}"#
        );
        assert_eq!(command(&["{}"], "ls"), r#"{"argv":["ls"]}"#);
        assert_eq!(
            command(&["echo", "", "{#}"], "x"),
            r#"{"argv":["echo","","7"]}"#
        );
    }

    #[test]
    fn other_braces_and_special_characters_stay() {
        assert_eq!(
            command(&["awk", "{print $1}", "{x}"], "\"\\\n"),
            r#"{"argv":["awk","{print $1}","{x}","\"\\\n"]}"#
        );
    }

    #[test]
    fn neither_items_nor_commands_become_placeholders_of_a_plan() {
        let params = command(
            &["docker", "--format", "{{.Names}}", "{{}}"],
            "{{ tasks.a.result }}",
        );
        let none = |_: &batch_template::Placeholder| Err("none".to_owned());
        let filled = batch_template::fill(&Json::parse(&params).unwrap(), &none, &|_| {
            batch_template::Encodings::text()
        });
        assert_eq!(
            filled.unwrap().to_value(),
            serde_json::json!({"argv": ["docker", "--format", "{{.Names}}", "{{{ tasks.a.result }}}"]})
        );
    }

    #[test]
    fn bytes_that_are_no_text_are_kept() {
        let template = CommandTemplate::new(vec!["cat".into(), "x{}".into()], false).unwrap();
        let params = template.params(b"\xff{{", 1).unwrap();
        assert_eq!(params.as_str(), r#"{"argv":["cat",{"base64":"eP97ew=="}]}"#);
        let template = ShellTemplate::new("cat {}".into(), false).unwrap();
        let params = template.params(b"\xff", 1).unwrap();
        assert_eq!(params.as_str(), r#"{"script":{"base64":"Y2F0ICf/Jw=="}}"#);
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
            let part = |part: ItemPart| {
                let mut bytes = Vec::new();
                part.push(path.as_bytes(), 1, &mut bytes);
                String::from_utf8(bytes).unwrap()
            };
            assert_eq!(part(ItemPart::NoExtension), no_extension, "{path}");
            assert_eq!(part(ItemPart::BaseName), base, "{path}");
            assert_eq!(part(ItemPart::Folder), dir, "{path}");
            assert_eq!(
                part(ItemPart::BaseNameNoExtension),
                base_no_extension,
                "{path}"
            );
        }
    }

    #[test]
    fn replacements_in_scripts_are_quoted() {
        assert_eq!(
            shell("wc -l {} > {/.}.n", "a b.txt"),
            Ok("wc -l 'a b.txt' > 'a b'.n".into())
        );
        assert_eq!(
            shell("awk '{print $1}' \n", "$(x)"),
            Ok("awk '{print $1}' '$(x)'".into())
        );
        assert_eq!(
            shell("echo {#} {}", "it's"),
            Ok("echo '7' 'it'\\''s'".into())
        );
    }

    #[test]
    fn a_script_is_for_the_shell_that_is_named() {
        let made = |program: &str, allow_code: bool| {
            let template = ShellTemplate::for_program("echo {/}".into(), Some(program), allow_code);
            let template = template.map_err(|error| error.to_string())?;
            Ok::<_, String>(template.params(b"a/b c", 1).unwrap().as_str().to_owned())
        };
        assert_eq!(
            made("bash -o pipefail", false).unwrap(),
            r#"{"shell":"bash -o pipefail","script":"echo 'b c'"}"#
        );
        let refused = made("fish", false).unwrap_err();
        assert!(
            refused.starts_with("{/} is in code that a shell that reads quotes in its own way"),
            "{refused}"
        );
        assert!(made("fish", true).is_ok());
    }

    #[test]
    fn places_that_are_not_safe_are_refused() {
        for (script, message) in [
            (
                "echo '{}'",
                "{} is in single quotes; remove the quotes: the value is quoted when it is filled in",
            ),
            (
                "echo \"x {/.}\"",
                "{/.} is in double quotes; remove the quotes: the value is quoted when it is filled in",
            ),
            (
                "echo `ls {}`",
                "{} is in backticks; write $(…) in place of the backticks",
            ),
        ] {
            assert_eq!(shell(script, "x"), Err(message.to_owned()));
        }
        for script in [
            "cat <<E\n{}\nE",
            "# {}",
            "",
            "ls;",
            "ls # all",
            "(ls)",
            "echo \"a",
            "cat <<E\nx\n",
        ] {
            assert!(shell(script, "x").is_err(), "{script}");
        }
    }

    #[test]
    fn what_becomes_too_long_is_refused() {
        let template = CommandTemplate::new(vec!["echo".into(), "{}{}".into()], false).unwrap();
        let item = vec![b'x'; MAX_ARGUMENT / 2 + 1];
        assert!(matches!(
            template.params(&item, 1),
            Err(ItemProblem::TooLong { length: 131_072 })
        ));
    }
}
