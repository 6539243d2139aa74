//! The programs that run code given as an argument, and how their arguments are read: [`find`].

use std::collections::HashMap;
use std::sync::LazyLock;

use super::programs::PROGRAMS;

/// A program that runs code, or starts another program that may. Names are in one text, with spaces between.
pub(super) struct Program {
    /// Its names, without folder and version.
    pub(super) names: &'static str,
    pub(super) language: Language,
    /// Short options whose value is code.
    pub(super) code: &'static str,
    /// Long options whose value is code, without their dashes.
    pub(super) code_long: &'static str,
    /// Short options with a value that is no code.
    pub(super) value: &'static str,
    /// Long options with a value that is no code.
    pub(super) value_long: &'static str,
    /// Short options whose value is attached to them or left out: what follows their letter is no more letters.
    pub(super) attached: &'static str,
    /// Long options with two values that are no code.
    pub(super) two_values: &'static str,
    /// Code is never attached to its short option.
    pub(super) is_apart: bool,
    pub(super) operands: Operands,
    /// Options may follow operands.
    pub(super) permutes: bool,
    /// Without code and without a script, standard input is the code.
    pub(super) reads_stdin: bool,
    /// Where this name among the arguments of another program is taken to be a program that it starts.
    pub(super) started_by: StartedBy,
}

/// Which programs start a command whose place among their arguments is not certain.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd)]
pub(super) enum StartedBy {
    /// None: the name is too common a word.
    None,
    /// Those whose work it is to start commands, such as `sudo`, whose options may be others than are listed here.
    Wrappers,
    /// Any program that is not known.
    Any,
}

/// What the arguments that are no options mean.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Operands {
    /// None of them is code.
    Data,
    /// With a `-c` among the options the first is code; else it is a script. The rest are the script's.
    Shell,
    /// A script and its arguments.
    Script,
    /// The first is code, unless an option gave the code.
    Program,
    /// After this many others, all are code.
    Code(usize),
    /// After this many others, a command begins.
    Command(usize),
    /// After a user, the arguments of a shell, as of `su`.
    ShellOf,
    /// After `--`, the arguments of a shell.
    ShellAfterDashes,
    /// A subcommand of git and its arguments.
    Git,
    /// What begins with `!` is a command, as for `ed`.
    Bang,
    /// A host, then words that a shell over there puts together.
    Remote,
    /// `NAME=VALUE` pairs and a command, as of `env`.
    Environment,
    /// A command that takes further arguments from standard input, as of `xargs`.
    Appending,
    /// Commands after `-exec` and the like.
    Find,
    /// `NAME=VALUE` is code, as of `make`.
    Assignments,
    /// After a word such as `eval`, code.
    Subcommand,
}

/// In what language code is, as far as advice differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// A POSIX shell, or one like it.
    Shell,
    /// A shell on another machine.
    RemoteShell,
    /// Python.
    Python,
    /// JavaScript.
    JavaScript,
    /// Perl.
    Perl,
    /// Ruby.
    Ruby,
    /// PHP.
    Php,
    /// AWK.
    Awk,
    /// Filters of jq and its like.
    Jq,
    /// SQL.
    Sql,
    /// Any other.
    Other,
    /// One that is known only when the task starts.
    Unknown,
}

/// The programs by each of their names. Of two with the same name the first counts.
static BY_NAME: LazyLock<HashMap<&str, (&Program, &str)>> = LazyLock::new(|| {
    let programs = PROGRAMS.iter().rev();
    let names =
        programs.flat_map(|program| program.names.split(' ').map(move |name| (program, name)));
    names
        .map(|(program, name)| (name, (program, name)))
        .collect()
});

/// The program with this name, which may have a folder before it and a version after it; and the name without them.
pub(super) fn find(name: &[u8]) -> Option<(&'static Program, &'static str)> {
    let base = name.rsplit(|byte| *byte == b'/').next().unwrap_or(name);
    let base = std::str::from_utf8(base).ok()?;
    let base = base.strip_suffix(".exe").unwrap_or(base);
    let known = |name: &str| BY_NAME.get(name).copied();
    let bare = base.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '_'));
    // A shell that begins a session has a hyphen before its name.
    known(base)
        .or_else(|| known(bare))
        .or_else(|| known(base.strip_prefix('-')?))
}

impl Program {
    /// Whether it starts a command that is among its arguments.
    pub(super) fn is_wrapper(&self) -> bool {
        matches!(
            self.operands,
            Operands::Command(_) | Operands::ShellOf | Operands::Environment | Operands::Appending
        )
    }
}

/// Whether the value of an environment variable is run, or names code that is loaded into a program.
pub(crate) fn is_code_variable(name: &[u8]) -> bool {
    const NAMES: &str = "BASH_ENV ENV PS0 PS1 PS2 PS4 PROMPT_COMMAND PROMPT PERL5OPT PERL5DB RUBYOPT \
        NODE_OPTIONS PYTHONSTARTUP PYTHONBREAKPOINT PYTHONWARNINGS GIT_SSH_COMMAND GIT_SSH \
        GIT_EXTERNAL_DIFF GIT_PAGER GIT_EDITOR GIT_SEQUENCE_EDITOR GIT_ASKPASS PAGER EDITOR \
        VISUAL LESSOPEN LESSCLOSE MANPAGER LD_PRELOAD LD_AUDIT JAVA_TOOL_OPTIONS MAKEFLAGS";
    NAMES.split(' ').any(|known| known.as_bytes() == name) || name.starts_with(b"BASH_FUNC_")
}
