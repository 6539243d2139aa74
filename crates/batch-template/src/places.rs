//! At which places of a document values become code, and how they are written there: [`Encodings`].

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::encoding::Encoding;
use crate::interpreters::{Code, Language, UNKNOWN, VARIABLE, code_in_command, is_code_variable};
use crate::parts::Template;
use crate::shell_words::ShellScan;
use crate::spots::is_json;
use crate::template::first_field;

/// How values are written at the places of one document of parameters, such as `argv[1]`.
///
/// The handler of a function makes them, as it knows what it does with its parameters. The document is read once; each
/// place is then a look-up. A place that is not known takes values as text.
///
/// ```
/// use batch_template::{Encoding, Encodings};
/// let params = serde_json::json!({"argv": ["bash", "-c", "echo {{ row.x }}", "_", "{{ row.x }}"]});
/// let encodings = Encodings::text().with_command("argv", &params);
/// assert!(matches!(encodings.at("argv[2]"), Encoding::Code(_)));
/// assert_eq!(encodings.at("argv[4]"), Encoding::Text);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encodings {
    places: HashMap<String, Encoding>,
    /// Some variables in `env` are code.
    has_variables: bool,
    /// These are as well, as a script makes code of them.
    variables: BTreeSet<Vec<u8>>,
    /// The field that is taken for the whole document.
    field: &'static str,
}

impl Encodings {
    /// Those of a document that takes values as text everywhere.
    pub fn text() -> Self {
        Self::default()
    }

    /// The same for a function that starts a process, with variables in `env` and input in `stdin`: some variables
    /// are code.
    #[must_use]
    pub fn with_variables(mut self) -> Self {
        self.has_variables = true;
        self
    }

    /// The same for a command whose program and arguments are in a field of the document: some of them, or `stdin`,
    /// can be code.
    #[must_use]
    pub fn with_command(mut self, field: &str, params: &Value) -> Self {
        let argv = params.get(field).and_then(Value::as_array);
        let argv: Vec<Vec<u8>> = argv.into_iter().flatten().map(argument).collect();
        let found = code_in_command(&argv);
        self.variables.extend(found.variables);
        let stdin = found.stdin.map(|code| ("stdin".to_owned(), code));
        let arguments = found.arguments.into_iter();
        let arguments = arguments.map(|(at, code)| (format!("{field}[{at}]"), code));
        arguments.chain(stdin).fold(self, |found, (place, code)| {
            found.with(place, Encoding::Code(code))
        })
    }

    /// The same for a field of the document with a script that is read by a shell of this name: the script, and
    /// what it makes code of, `stdin` or variables.
    ///
    /// ```
    /// use batch_template::{Encoding, Encodings};
    /// let params = serde_json::json!({"script": "eval \"$X\"; sh", "env": {"X": "{{ row.x }}"}});
    /// let encodings = Encodings::text().with_variables().with_script("script", "sh", &params);
    /// assert!(matches!(encodings.at("env.X"), Encoding::Code(_)));
    /// assert!(matches!(encodings.at("stdin"), Encoding::Code(_)));
    /// assert_eq!(encodings.at("env.Y"), Encoding::Text);
    /// ```
    #[must_use]
    pub fn with_script(mut self, field: &str, shell: &str, params: &Value) -> Self {
        let inherited = ShellScan::inherited(&params.get(field).map(argument).unwrap_or_default());
        self.variables.extend(inherited.variables);
        if inherited.stdin {
            self = self.with("stdin", Encoding::Code(STDIN));
        }
        self.with(field, Encoding::of_script(shell))
    }

    /// The same with an encoding for a place and what is inside it. An empty place is the whole document; of places
    /// inside each other the innermost one counts.
    ///
    /// ```
    /// use batch_template::{Encoding, Encodings};
    /// let encodings = Encodings::text().with("code", Encoding::Python);
    /// assert_eq!(encodings.at("code"), Encoding::Python);
    /// assert_eq!(encodings.at("codes"), Encoding::Text);
    /// assert_eq!(Encodings::text().with("", Encoding::Python).at("any"), Encoding::Python);
    /// ```
    #[must_use]
    pub fn with(mut self, place: impl Into<String>, encoding: Encoding) -> Self {
        self.places.insert(place.into(), encoding);
        self
    }

    /// The same for a function that sends a body of a type, such as `application/json`, in a field of the document: a
    /// text takes values in the way of the type. Where no type is known, a text that is JSON is taken for that.
    ///
    /// ```
    /// use batch_template::{Encoding, Encodings};
    /// let params = serde_json::json!({"body": "{\"name\": \"{{ row.x }}\"}"});
    /// assert_eq!(Encodings::text().with_body("body", None, &params).at("body"), Encoding::JsonText);
    /// ```
    #[must_use]
    pub fn with_body(self, field: &str, kind: Option<&str>, params: &Value) -> Self {
        let Some(text) = params.get(field).and_then(Value::as_str) else {
            return self;
        };
        let kind = kind.map(|kind| kind.split(';').next().unwrap_or_default().trim());
        let encoding = match kind.map(str::to_ascii_lowercase).as_deref() {
            Some("application/x-www-form-urlencoded") => Encoding::Form,
            Some(kind) if kind.contains("json") => Encoding::JsonText,
            None if is_json(text) => Encoding::JsonText,
            _ => Encoding::Text,
        };
        self.with(field, encoding)
    }

    /// The same, where their author said whether values may become code.
    #[must_use]
    pub fn allowing(mut self, code: bool) -> Self {
        let encodings = self.places.values_mut();
        encodings.for_each(|encoding| *encoding = encoding.allowing(code));
        self.has_variables &= !code;
        if code {
            self.variables.clear();
        }
        self
    }

    /// These, and where they take values as text, the others: for a document whose function is not known yet.
    #[must_use]
    pub fn or(mut self, others: Self) -> Self {
        for (place, encoding) in others.places {
            self.places.entry(place).or_insert(encoding);
        }
        self.has_variables |= others.has_variables;
        self.variables.extend(others.variables);
        self
    }

    /// Whether some place is code.
    pub fn has_code(&self) -> bool {
        self.places.values().any(|found| found.is_code())
    }

    /// Those of a field of the document, which is a document of its own: its places begin at that field.
    ///
    /// ```
    /// use batch_template::{Encoding, Encodings};
    /// let params = serde_json::json!({"argv": ["sh", "-c", "{{ row.x }}"]});
    /// let argv = Encodings::text().with_command("argv", &params).inside("argv");
    /// assert!(matches!(argv.at("[2]"), Encoding::Code(_)));
    /// ```
    #[must_use]
    pub fn inside(mut self, field: &'static str) -> Self {
        self.field = field;
        self
    }

    /// How a value is written at a place.
    pub fn at(&self, place: &str) -> Encoding {
        let place = match (self.field, place) {
            ("", place) => Cow::Borrowed(place),
            (field, "") => Cow::Borrowed(field),
            (field, place) if place.starts_with('[') => format!("{field}{place}").into(),
            (field, place) => format!("{field}.{place}").into(),
        };
        let variable = place.strip_prefix("env").filter(|_| self.has_variables);
        let variable = variable.and_then(first_field);
        let is_code = |name: &[u8]| is_code_variable(name) || self.variables.contains(name);
        if variable.is_some_and(|(name, _)| is_code(name.as_bytes())) {
            return Encoding::Code(VARIABLE);
        }
        let inner = place.rmatch_indices(['.', '[']).map(|(end, _)| end);
        let mut ends = [place.len()].into_iter().chain(inner).chain([0]);
        ends.find_map(|end| self.places.get(&place[..end]))
            .copied()
            .unwrap_or(Encoding::Text)
    }
}

/// What a script makes code of its standard input.
const STDIN: Code = Code {
    program: "a shell of the script, or the script itself",
    language: Language::Shell,
};

/// The bytes of an argument, with [`UNKNOWN`] for each placeholder. What is wrong with it is told elsewhere.
fn argument(value: &Value) -> Vec<u8> {
    match value {
        Value::String(text) => known_part(text).into_bytes(),
        Value::Object(fields) => {
            let encoded = fields.get("base64").and_then(Value::as_str);
            let bytes = STANDARD.decode(encoded.unwrap_or_default());
            bytes.unwrap_or_else(|_| vec![UNKNOWN])
        }
        other => other.to_string().into_bytes(),
    }
}

fn known_part(text: &str) -> String {
    let Ok(template) = Template::parse(text) else {
        return text.to_owned();
    };
    let known = template.fill(|_, known| {
        known.push(char::from(UNKNOWN));
        Ok::<(), Infallible>(())
    });
    known.unwrap_or_else(|never| match never {})
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn command(argv: Value) -> Encodings {
        let params = json!({ "argv": argv });
        Encodings::text()
            .with_variables()
            .with_command("argv", &params)
    }

    #[test]
    fn what_a_script_runs_of_its_surroundings_is_code() {
        for (argv, stdin, variable) in [
            (json!(["sh", "-c", "eval $X"]), false, true),
            (json!(["bash", "-c", "cat | sh"]), true, false),
            (json!(["bash", "-c", "echo \"$X\""]), false, false),
            (
                json!(["env", "sh", "-c", "read x; eval \"$x\"; echo $((X))"]),
                true,
                true,
            ),
        ] {
            let found = command(argv.clone());
            let is_code = |place| matches!(found.at(place), Encoding::Code(_));
            assert_eq!(
                (is_code("stdin"), is_code("env.X")),
                (stdin, variable),
                "{argv}"
            );
            assert!(!matches!(
                found.clone().allowing(true).at("env.X"),
                Encoding::Code(_)
            ));
        }
    }

    #[test]
    fn the_innermost_place_with_code_counts() {
        let is_code =
            |encodings: &Encodings, place: &str| matches!(encodings.at(place), Encoding::Code(_));
        let argv = command(json!([
            "env",
            "X={{ a.b }}",
            "sh",
            "-c",
            "{{ a.b }}",
            "{{ a.b }}"
        ]));
        for (place, expected) in [
            ("argv[1]", false),
            ("argv[4]", true),
            ("argv[4].base64", true),
            ("argv[5]", false),
            ("argv", false),
            ("stdin", false),
            ("env", false),
            ("env.X", false),
            ("env.BASH_ENV", true),
            ("env.BASH_ENV.base64", true),
            ("env.BASH_ENVX", false),
            ("env[\"BASH_FUNC_a.b%%\"]", true),
            ("env[\"BASH_FUNC_a.b%%\"].base64", true),
            ("env[\"X.BASH_ENV\"]", false),
            ("environment.BASH_ENV", false),
            ("cwd", false),
        ] {
            assert_eq!(is_code(&argv, place), expected, "{place}");
        }
        assert!(is_code(&command(json!(["sh"])), "stdin"));
        let encoded = command(json!([{"base64": "YmFzaA=="}, "-c", "{{ a.b }}"]));
        assert!(is_code(&encoded, "argv[2]"));
        assert!(is_code(&command(json!(["ssh", "h"])), "stdin.base64"));
        assert!(!is_code(&Encodings::text(), "env.BASH_ENV"));
    }

    #[test]
    fn a_field_is_a_document_and_others_join_in() {
        let command = command(json!(["sh", "-c", "x"]));
        let python = Encodings::text().with("code", Encoding::Python);
        let script = Encodings::text()
            .with("code", Encoding::JavaScript)
            .with_variables();
        let argv = command.clone().inside("argv");
        assert!(matches!(argv.at("[2].base64"), Encoding::Code(_)));
        assert_eq!(argv.at("[22]"), Encoding::Text);
        assert_eq!(argv.at(""), Encoding::Text);
        assert_eq!(python.clone().inside("code").at(""), Encoding::Python);
        let env = script.clone().inside("env");
        assert!(matches!(env.at("BASH_ENV"), Encoding::Code(_)));
        assert!(matches!(env.at("[\"BASH_FUNC_a.b%%\"]"), Encoding::Code(_)));
        assert_eq!(env.at("X"), Encoding::Text);
        let allowed = script.clone().allowing(true);
        assert_eq!(allowed.at("env.BASH_ENV"), Encoding::Text);

        let any = Encodings::text().or(command).or(script).or(python);
        assert!(any.has_code() && !Encodings::text().has_code());
        assert_eq!(any.at("code"), Encoding::JavaScript);
        assert!(matches!(any.at("argv[2]"), Encoding::Code(_)));
        assert!(matches!(any.at("env.BASH_ENV"), Encoding::Code(_)));
        assert_eq!(any.allowing(true).at("argv[2]"), Encoding::Text);
    }
}
