//! Why a template of command mode cannot be used: [`ItemTemplateError`].

use batch_core::catalog::ParamProblem;
use batch_template::Code;

/// A template that cannot be used. `placeholder` is how one was written, with its braces.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ItemTemplateError {
    /// It is one of another tool.
    #[error(
        "{placeholder} is not known here; the placeholders are {{}} {{.}} {{..}} {{/}} {{//}} {{/.}} {{#}} {{%}}, and {{1}} {{1.}} … for one of several sources; to pass it on as it is, write {{\"{placeholder}\"}}"
    )]
    Foreign {
        /// Such as `{+}`.
        placeholder: String,
    },
    /// There is nothing that it could mean.
    #[error(
        "{placeholder} stands for nothing: {why}; to pass it on as it is, write {{\"{placeholder}\"}}"
    )]
    Undefined {
        /// Such as `{3}`.
        placeholder: String,
        /// Why.
        why: String,
    },
    /// It means several values and is a part of a longer text.
    #[error("{placeholder} stands for all values of a task; {help}")]
    Ambiguous {
        /// Such as `{}`.
        placeholder: String,
        /// What to do.
        help: &'static str,
    },
    /// It is in the code of an interpreter.
    #[error("{placeholder} {}; {}", code.refusal(), code.help(placeholder))]
    Code {
        /// Such as `{}`.
        placeholder: String,
        /// The code in which it is.
        code: Code,
    },
    /// Standard input is the code of an interpreter.
    #[error(
        "{option}: {code} runs what is on its standard input, and that is data; --allow-code lets it through"
    )]
    StdinCode {
        /// The option that gives it.
        option: &'static str,
        /// The code.
        code: Code,
    },
    /// The script runs its standard input.
    #[error(
        "{option}: the script runs what is on its standard input, and that is data; --allow-code lets it through"
    )]
    StdinScript {
        /// The option that gives it.
        option: &'static str,
    },
    /// It is where a quoted word is not read as one.
    #[error("{placeholder} {what}; {help}")]
    Refused {
        /// Such as `{}`.
        placeholder: String,
        /// Where it is.
        what: String,
        /// How to fix it.
        help: String,
        /// It is in quotes or the like, and not in code.
        is_quoted: bool,
    },
    /// The script has no placeholder, and its end is no place for one.
    #[error(
        "the script does not say where the item goes, and it cannot be added at the end; write {{}} there"
    )]
    NoPlace,
    /// Parameters are an object.
    #[error("params must be an object such as {{\"url\": \"{{}}\"}}")]
    NotAnObject,
    /// A placeholder is where it cannot be filled in safely.
    #[error("params.{}: {}{}", .0.path, .0.message, .0.help.as_ref().map(|help| format!("; {help}")).unwrap_or_default())]
    Place(ParamProblem),
}
