//! Which arguments of a command are code: [`code_in_command`].
//!
//! `bash -c 'echo {}'` hands data to a shell as code, and no quoting helps there. [`programs`] knows the shells,
//! interpreters and the programs that start them (`env`, `sudo`, `timeout`, `ssh`, …); [`reader`] reads their
//! arguments as they do. It errs on the side of code: a wrong refusal costs the author an argument of its own, a
//! wrong yes runs data.

mod programs;
mod reader;
mod table;

use std::collections::BTreeSet;
use std::fmt;

use reader::Reader;
pub use table::Language;
pub(crate) use table::is_code_variable;
use table::{StartedBy, find};

/// In the text of an argument: something that is not known yet.
pub const UNKNOWN: u8 = 0;

/// Code that a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// The program, or the variable that it reads the code from.
    pub program: &'static str,
    /// The language, as far as advice differs.
    pub language: Language,
}

/// What of a command is code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandCode {
    /// The arguments that are code, by position.
    pub arguments: Vec<(usize, Code)>,
    /// What its standard input is run as.
    pub stdin: Option<Code>,
    /// What a further argument would be run as.
    pub appended: Option<Code>,
    /// An interpreter, or a program that is not known yet, takes part: what is filled in later may change all this.
    pub is_open: bool,
    /// The variables that a script among the arguments makes code of.
    pub variables: BTreeSet<Vec<u8>>,
    /// The argument that is the file of a script.
    pub(crate) script: Option<usize>,
    /// It is a command of a script, which reads the scripts inside it by itself.
    is_in_script: bool,
    /// How many commands were read, one inside the other or after it.
    commands: usize,
}

impl Code {
    /// Why a placeholder cannot be there: it goes after the placeholder's name.
    pub fn refusal(&self) -> String {
        format!("is in code that {self} runs")
    }

    /// The right ways, for a placeholder of this name.
    pub fn help(&self, placeholder: &str) -> String {
        let program = self.program;
        let instead = match self.language {
            Language::Shell => format!(
                "pass it as an argument: sh -c 'echo \"$1\"' _ {placeholder}; or write it for a shell, which quotes \
                 it: --shell 'echo {placeholder}'"
            ),
            Language::RemoteShell => format!(
                "send it as input: --shell 'printf \"%s\\0\" {placeholder} | ssh HOST xargs -0 CMD'"
            ),
            Language::Python => format!(
                "pass it as an argument: {program} -c 'import sys; print(sys.argv[1])' {placeholder}"
            ),
            Language::JavaScript => {
                format!("pass it as an argument: {program} -e 'console.log(process.argv[1])' {placeholder}")
            }
            Language::Perl => format!("pass it as an argument: {program} -e 'print $ARGV[0]' {placeholder}"),
            Language::Ruby => format!("pass it as an argument: {program} -e 'puts ARGV[0]' {placeholder}"),
            Language::Php => format!("pass it as an argument: {program} -r 'echo $argv[1];' -- {placeholder}"),
            Language::Awk => format!("pass it as an argument: {program} 'BEGIN {{ print ARGV[1] }}' {placeholder}"),
            Language::Jq => format!("pass it as an argument: {program} --arg x {placeholder} '… $x …'"),
            Language::Sql => "let the client quote it, as psql does: -v x=VALUE, and :'x' in a script on standard input"
                .to_owned(),
            Language::Unknown => "write its name, so that values are written in its way".to_owned(),
            Language::Other => "pass it as an argument of its own, in a file, or on standard input".to_owned(),
        };
        format!("{instead}; --allow-code, or allow_code in a task, runs it as code")
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.program)
    }
}

/// What of a command is code, given its program and arguments. A byte [`UNKNOWN`] means what is filled in later.
///
/// ```
/// use batch_template::code_in_command;
/// let code = code_in_command(&["env", "X=1", "bash", "-lc", "echo \0", "_", "\0"]);
/// let places: Vec<usize> = code.arguments.iter().map(|(at, _)| *at).collect();
/// assert_eq!(places, [4]);
/// assert!(code_in_command(&["bash", "script.sh", "-c", "\0"]).arguments.is_empty());
/// ```
pub fn code_in_command<A: AsRef<[u8]>>(argv: &[A]) -> CommandCode {
    read_all(argv, CommandCode::default())
}

/// The same for a command of a script. What a script inside it makes code of is not looked for: that is added to the
/// commands of the script around it, each once.
pub(crate) fn code_in_script_command<A: AsRef<[u8]>>(argv: &[A]) -> CommandCode {
    let found = CommandCode {
        is_in_script: true,
        ..CommandCode::default()
    };
    read_all(argv, found)
}

fn read_all<A: AsRef<[u8]>>(argv: &[A], mut found: CommandCode) -> CommandCode {
    let argv = argv
        .iter()
        .map(|argument| argument.as_ref())
        .collect::<Vec<_>>();
    read_command(&argv, 0, &mut found);
    found.arguments.sort_by_key(|(at, _)| *at);
    found.arguments.dedup_by_key(|(at, _)| *at);
    found
}

/// A command with more commands inside is read no further: all that follows counts as code.
const MOST_COMMANDS: usize = 100;

const TOO_MANY: Code = Code {
    program: "one of more than a hundred commands inside one another",
    language: Language::Other,
};

impl CommandCode {
    /// Nothing found yet in a command inside this one.
    fn inside(&self) -> Self {
        Self {
            is_in_script: self.is_in_script,
            ..Self::default()
        }
    }
}

/// Whether there are too many commands to read one more.
fn are_too_many(argv: &[&[u8]], at: usize, found: &mut CommandCode) -> bool {
    found.commands += 1;
    if found.commands == MOST_COMMANDS {
        found
            .arguments
            .extend((at..argv.len()).map(|at| (at, TOO_MANY)));
        found.appended = Some(TOO_MANY);
        found.stdin = Some(TOO_MANY);
        found.is_open = true;
    }
    found.commands >= MOST_COMMANDS
}

/// Reads the command that begins at an argument.
fn read_command(argv: &[&[u8]], at: usize, found: &mut CommandCode) {
    let Some(name) = argv.get(at) else { return };
    if are_too_many(argv, at, found) {
        return;
    }
    if name.contains(&UNKNOWN) {
        found.is_open = true;
    }
    let Some((program, name)) = find(name) else {
        return read_started(argv, at + 1, StartedBy::Any, found);
    };
    found.is_open = true;
    Reader::new(program, name, argv, at).read(found);
    // Its options may be others than those in the list, and the command are elsewhere.
    if program.is_wrapper() {
        read_started(argv, at + 1, StartedBy::Wrappers, found);
    }
}

/// Reads what may be started among the arguments of a program.
fn read_started(argv: &[&[u8]], from: usize, by: StartedBy, found: &mut CommandCode) {
    for at in from..argv.len() {
        // `docker run --entrypoint sh … IMAGE -c CODE`: where its arguments begin cannot be told.
        let attached = argv[at].strip_prefix(b"--entrypoint=");
        let is_apart = attached.is_some() || argv[at - 1] == b"--entrypoint";
        let started = find(attached.unwrap_or(argv[at]));
        let Some((program, name)) = started.filter(|(program, _)| program.started_by >= by) else {
            continue;
        };
        let last = if is_apart { argv.len() } else { at + 1 };
        for at in at..last {
            if are_too_many(argv, at, found) {
                return;
            }
            found.is_open = true;
            Reader::new(program, name, argv, at).read(found);
        }
    }
}

/// The code in a variable such as `BASH_ENV`.
pub(crate) const VARIABLE: Code = Code {
    program: "what reads this variable",
    language: Language::Other,
};

#[cfg(test)]
mod tests;
