//! Reading the arguments of a program as it does: [`Reader`].

use std::borrow::Cow;

use super::read_started;
use super::table::{Language, Operands, Program, StartedBy, find};
use super::{
    Code, CommandCode, UNKNOWN, VARIABLE, code_in_script_command, is_code_variable, read_command,
};
use crate::shell_words::ShellScan;

/// Reads the arguments of a program that is known.
pub(super) struct Reader<'a> {
    program: &'static Program,
    name: &'static str,
    argv: &'a [&'a [u8]],
    /// The next argument.
    at: usize,
    operands: Vec<usize>,
    /// The code came with an option.
    has_code: bool,
    /// A shell was told that its first operand is code, or that its code comes by standard input.
    shell_flags: (bool, bool),
    /// The text that `xargs` replaces.
    replaced: Option<&'a [u8]>,
    /// What follows are arguments of what the options gave, as after `python -c CODE`.
    is_over: bool,
    /// An option was not known, so that what follows it may be its value.
    is_unsure: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        program: &'static Program,
        name: &'static str,
        argv: &'a [&'a [u8]],
        at: usize,
    ) -> Self {
        Self {
            program,
            name,
            argv,
            at: at + 1,
            operands: Vec::new(),
            has_code: false,
            shell_flags: (false, false),
            replaced: None,
            is_over: false,
            is_unsure: false,
        }
    }

    fn code(&self) -> Code {
        Code {
            program: self.name,
            language: self.program.language,
        }
    }

    fn add(&mut self, at: usize, found: &mut CommandCode) {
        self.has_code = true;
        if at < self.argv.len() {
            found.arguments.push((at, self.code()));
        } else {
            found.appended = Some(self.code());
        }
    }

    pub(super) fn read(mut self, found: &mut CommandCode) {
        let mut options_end = false;
        while let Some(argument) = self.argv.get(self.at) {
            let is_option = !options_end && !self.is_over && self.begins_option(argument);
            let is_unsure = std::mem::take(&mut self.is_unsure);
            if !is_option && is_unsure && !looks_like_file(argument) {
                self.at += 1;
            } else if !is_option {
                self.operands.push(self.at);
                options_end |= !self.program.permutes;
                self.at += 1;
            } else if matches!(*argument, b"--" | b"-") {
                options_end = true;
                self.at += 1;
            } else {
                self.read_option(argument, found);
            }
        }
        self.read_operands(found);
    }

    fn begins_option(&self, argument: &[u8]) -> bool {
        let is_shell = self.program.operands == Operands::Shell;
        match argument {
            [b'-'] => is_shell,
            [b'-', ..] => true,
            [b'+', ..] => is_shell || self.program.names.starts_with("vim "),
            _ => false,
        }
    }

    fn read_option(&mut self, argument: &'a [u8], found: &mut CommandCode) {
        let here = self.at;
        self.at += 1;
        let name = argument
            .strip_prefix(b"--")
            .or_else(|| argument.strip_prefix(b"-"));
        let name = name.unwrap_or(argument);
        let (name, value) = match name.iter().position(|byte| matches!(byte, b'=' | b':')) {
            Some(end) => (&name[..end], Some(&name[end + 1..])),
            None => (name, None),
        };
        let is_long =
            |names: &str| name.len() > 1 && names.split(' ').any(|known| is_name(name, known));
        if is_long(self.program.code_long) {
            let at = if value.is_some() { here } else { self.next() };
            self.add_value(at, value, found);
        } else if is_long(self.program.value_long) {
            if self.program.operands == Operands::Appending {
                self.replaced = value.or_else(|| self.argv.get(self.at).copied());
            }
            self.reads_code_from(
                name,
                value.or_else(|| self.argv.get(self.at).copied()),
                found,
            );
            self.at += usize::from(value.is_none());
        } else if is_long(self.program.two_values) {
            self.at += 2;
        } else if argument.starts_with(b"--") {
            // Its name is not known as a whole: it could be any of the options.
            if name.contains(&UNKNOWN) && self.takes_code() {
                self.add(here, found);
            }
            self.is_unsure = self.program.operands == Operands::Script && value.is_none();
        } else {
            self.read_letters(here, &argument[1..], found);
        }
        if argument[0] == b'+' && self.program.operands != Operands::Shell {
            self.add(here, found);
        }
    }

    /// Whether one of its options takes code.
    fn takes_code(&self) -> bool {
        !self.program.code.is_empty()
            || !self.program.code_long.is_empty()
            || self.program.operands == Operands::Shell
    }

    /// The next argument is the value of an option.
    fn next(&mut self) -> usize {
        self.at += 1;
        self.at - 1
    }

    fn read_letters(&mut self, here: usize, letters: &'a [u8], found: &mut CommandCode) {
        let is_shell = self.program.operands == Operands::Shell;
        for (index, letter) in letters.iter().enumerate() {
            let rest = &letters[index + 1..];
            let is_in = |letters: &str| letters.as_bytes().contains(letter);
            if *letter == UNKNOWN {
                // Any letter may come, with its value behind it.
                if self.takes_code() {
                    self.add(here, found);
                }
                return;
            }
            if is_shell {
                self.shell_flags.0 |= *letter == b'c' && self.argv[here][0] == b'-';
                self.shell_flags.1 |= *letter == b's';
                self.at += usize::from(is_in(self.program.value));
                continue;
            }
            if is_in(self.program.code) {
                if self.program.is_apart && !rest.is_empty() {
                    continue;
                }
                let attached = (!rest.is_empty()).then_some(rest);
                let at = if attached.is_some() {
                    here
                } else {
                    self.next()
                };
                self.is_over = self.program.language == Language::Python;
                return self.add_value(at, attached, found);
            }
            if is_in(self.program.value) {
                if self.program.operands == Operands::Appending && matches!(letter, b'I') {
                    self.replaced = if rest.is_empty() {
                        self.argv.get(self.at).copied()
                    } else {
                        Some(rest)
                    };
                }
                let value = (!rest.is_empty()).then_some(rest);
                let value = value.or_else(|| self.argv.get(self.at).copied());
                self.reads_code_from(&[*letter], value, found);
                self.at += usize::from(rest.is_empty());
                if self.program.language == Language::Python && *letter == b'm' {
                    self.read_module(
                        if rest.is_empty() { self.at - 1 } else { here },
                        rest,
                        found,
                    );
                }
                return;
            }
            if is_in(self.program.attached) {
                if self.program.operands == Operands::Appending && *letter == b'i' {
                    self.replaced = Some(if rest.is_empty() { b"{}" } else { rest });
                }
                return;
            }
        }
    }

    /// The value of an option is a file with code, which may be standard input.
    fn reads_code_from(&self, option: &[u8], file: Option<&[u8]>, found: &mut CommandCode) {
        let reads = matches!(
            self.program.operands,
            Operands::Program | Operands::Assignments
        ) || self.program.names.contains("gdb");
        let is_file = matches!(
            option,
            b"f" | b"x" | b"file" | b"from-file" | b"makefile" | b"command"
        );
        if reads && is_file && file.is_some_and(is_stdin) {
            found.stdin = Some(self.code());
        }
    }

    /// `python -m MODULE`: what follows are its arguments, which some modules run.
    fn read_module(&mut self, at: usize, attached: &[u8], found: &mut CommandCode) {
        const RUN: [&[u8]; 6] = [
            b"timeit",
            b"pdb",
            b"IPython",
            b"bpython",
            b"ptpython",
            b"idlelib",
        ];
        let module = if attached.is_empty() {
            self.argv.get(at).copied().unwrap_or_default()
        } else {
            attached
        };
        self.is_over = true;
        if RUN.contains(&module) {
            (self.at..self.argv.len()).for_each(|at| self.add(at, found));
            found.appended = Some(self.code());
        }
    }

    /// The value of an option that is code, as the whole of an argument or behind its letter.
    fn add_value(&mut self, at: usize, attached: Option<&[u8]>, found: &mut CommandCode) {
        let value = attached
            .or_else(|| self.argv.get(at).copied())
            .unwrap_or_default();
        match self.program.operands {
            // Of the options that ssh takes, these run commands.
            _ if self.program.language == Language::RemoteShell
                && self.program.code == "o"
                && !is_command_option(value) => {}
            Operands::Environment => self.read_split(at, value, found),
            _ => self.add(at, found),
        }
    }

    /// `env -S 'bash -c'`: the words of a text are before the other arguments.
    fn read_split(&mut self, at: usize, text: &[u8], found: &mut CommandCode) {
        // It may be filled in as a whole.
        self.add(at, found);
        if text.contains(&UNKNOWN) {
            return;
        }
        let words: Vec<Cow<'_, [u8]>> = text
            .split(|byte| byte.is_ascii_whitespace())
            .filter(|word| !word.is_empty())
            .map(|word| {
                word.iter()
                    .copied()
                    .filter(|byte| !b"'\"\\".contains(byte))
                    .collect()
            })
            .collect();
        let from = self.at.min(self.argv.len());
        let line: Vec<&[u8]> = words
            .iter()
            .map(|word| &**word)
            .chain(self.argv[from..].iter().copied())
            .collect();
        let mut inner = found.inside();
        read_environment(&line, 0, &mut inner);
        self.take_inner(
            inner,
            |index| (index + from).checked_sub(words.len()),
            found,
        );
        self.at = self.argv.len();
    }

    /// Takes over what was found in a command made of arguments; `place` gives back where they are.
    fn take_inner(
        &self,
        inner: CommandCode,
        place: impl Fn(usize) -> Option<usize>,
        found: &mut CommandCode,
    ) {
        let known = inner.arguments.into_iter();
        found
            .arguments
            .extend(known.filter_map(|(at, code)| Some((place(at)?, code))));
        found.stdin = found.stdin.or(inner.stdin);
        found.appended = found.appended.or(inner.appended);
        found.variables.extend(inner.variables);
        found.is_open = true;
    }

    fn read_operands(mut self, found: &mut CommandCode) {
        let operands = std::mem::take(&mut self.operands);
        let end = self.argv.len();
        let nth = |n: usize| operands.get(n).copied();
        match self.program.operands {
            Operands::Data => {}
            Operands::Shell if self.shell_flags.0 => self.read_shell_code(&operands, found),
            Operands::Shell if self.shell_flags.1 => found.stdin = Some(self.code()),
            Operands::Shell | Operands::Script => self.read_script(&operands, found),
            Operands::Program if self.has_code || self.has_file() => {}
            Operands::Program => self.read_program(&operands, found),
            Operands::Code(skip) => self.read_code(&operands, skip, found),
            Operands::Command(skip) => read_command(self.argv, nth(skip).unwrap_or(end), found),
            // Options and a command may follow the user.
            Operands::ShellOf => {
                let user = operands.iter().position(|at| self.argv[*at] != b"-");
                if let Some((user, shell)) = user.zip(find(b"sh")) {
                    let first = operands.get(user + 1).map_or(operands[user], |at| at - 1);
                    Reader::new(shell.0, self.name, self.argv, first).read(found);
                }
            }
            Operands::ShellAfterDashes => {
                let dashes = self.argv.iter().position(|argument| *argument == b"--");
                if let Some((dashes, shell)) = dashes.zip(find(b"sh")) {
                    Reader::new(shell.0, self.name, self.argv, dashes).read(found);
                }
            }
            Operands::Git => self.read_git(&operands, found),
            Operands::Bang => {
                let argv = self.argv;
                let commands = operands.iter().filter(|at| argv[**at].starts_with(b"!"));
                commands.for_each(|at| self.add(*at, found));
            }
            Operands::Environment => read_environment(self.argv, nth(0).unwrap_or(end), found),
            Operands::Remote => self.read_remote(nth(0), found),
            Operands::Appending => self.read_appending(nth(0), found),
            Operands::Find => self.read_find(found),
            Operands::Assignments => {
                let argv = self.argv;
                let assigned = operands.iter().filter(|at| argv[**at].contains(&b'='));
                assigned.for_each(|at| self.add(*at, found));
            }
            Operands::Subcommand => {
                const RUN: [&str; 8] = [
                    "eval", "exec", "repl", "runner", "r", "query", "evalsha", "script",
                ];
                let word = nth(0).map(|at| self.argv[at].to_ascii_lowercase());
                if word.is_some_and(|word| RUN.iter().any(|run| run.as_bytes() == word)) {
                    operands[1..].iter().for_each(|at| self.add(*at, found));
                    found.appended = Some(self.code());
                }
            }
        }
        let own = match self.program.operands {
            Operands::Remote | Operands::Code(1) | Operands::Data | Operands::ShellOf => 1,
            Operands::Command(own) => own,
            _ => 0,
        };
        if self.program.reads_stdin && !self.has_code && operands.len() <= own {
            found.stdin = found.stdin.or(Some(self.code()));
        }
    }

    /// A program such as that of awk, which is before the names of files.
    fn read_program(&mut self, operands: &[usize], found: &mut CommandCode) {
        let argv = self.argv;
        // The `-i ''` of some seds, and the `eval` of some yqs.
        let is_program =
            |at: &&usize| !matches!(argv[**at], b"" | b"e" | b"ea" | b"eval" | b"eval-all");
        let first = operands.iter().find(is_program).or(operands.first());
        self.add(first.copied().unwrap_or(argv.len()), found);
    }

    /// Code for a shell, and its arguments, which that code may run.
    fn read_shell_code(&mut self, operands: &[usize], found: &mut CommandCode) {
        let Some((code, arguments)) = operands.split_first() else {
            return self.add(self.argv.len(), found);
        };
        self.add(*code, found);
        let code = self.argv[*code];
        if !found.is_in_script {
            let inherited = ShellScan::inherited(code);
            found.variables.extend(inherited.variables);
            if inherited.stdin {
                found.stdin = Some(self.code());
            }
        }
        if !code.contains(&UNKNOWN) && ShellScan::runs_arguments(code) {
            arguments.iter().for_each(|at| self.add(*at, found));
            found.appended = Some(self.code());
        }
    }

    /// A script and its arguments.
    fn read_script(&mut self, operands: &[usize], found: &mut CommandCode) {
        let script = operands.first().filter(|_| !self.has_code && !self.is_over);
        found.script = script.copied().or(found.script);
        if script.is_some_and(|at| is_stdin(self.argv[*at])) {
            found.stdin = Some(self.code());
        }
        // The files that perl reads may be commands.
        if self.program.language == Language::Perl {
            let argv = self.argv;
            let pipes = operands.iter().filter(|at| is_pipe(argv[**at]));
            pipes.for_each(|at| self.add(*at, found));
        }
    }

    /// Code after some operands, up to the `:::` of parallel.
    fn read_code(&mut self, operands: &[usize], skip: usize, found: &mut CommandCode) {
        let argv = self.argv;
        let is_code = |at: &&usize| !argv[**at].starts_with(b":::");
        let count = operands.iter().take_while(is_code).count();
        let code = operands[..count].iter().skip(skip);
        code.for_each(|at| self.add(*at, found));
        if operands.len() >= skip && count == operands.len() {
            found.appended = found.appended.or(Some(self.code()));
        }
    }

    /// Whether a program of awk and the like comes from a file.
    fn has_file(&self) -> bool {
        let names: [&[u8]; 4] = [b"-f", b"--file", b"--from-file", b"-File"];
        self.argv.iter().any(|argument| {
            names
                .iter()
                .any(|name| argument == name || argument.starts_with(b"--file="))
        })
    }

    /// The subcommands of git that run commands.
    fn read_git(&mut self, operands: &[usize], found: &mut CommandCode) {
        const OPTIONS: &str = "exec upload-pack receive-pack extcmd config open-files-in-pager tree-filter \
            index-filter msg-filter env-filter commit-filter parent-filter tag-name-filter setup";
        const HARMLESS: [&[u8]; 4] = [b"user.", b"init.", b"color.", b"branch."];
        let Some((first, rest)) = operands.split_first() else {
            return;
        };
        let argv = self.argv;
        let subcommand = argv[*first];
        let add_rest = |this: &mut Self, from: usize, found: &mut CommandCode| {
            rest.iter().skip(from).for_each(|at| this.add(*at, found));
            found.appended = Some(this.code());
        };
        match (subcommand, rest.first().map(|at| argv[*at])) {
            (b"submodule", Some(b"foreach")) | (b"bisect", Some(b"run")) => {
                add_rest(self, 1, found)
            }
            (b"config", _) => {
                let mut words = rest.iter().map(|at| argv[*at]);
                let key = words.find(|word| !word.starts_with(b"-") && word.contains(&b'.'));
                if !key.is_some_and(|key| HARMLESS.iter().any(|known| key.starts_with(known))) {
                    add_rest(self, 0, found);
                }
            }
            _ => {}
        }
        let short: &[u8] = match subcommand {
            b"rebase" | b"difftool" => b"-x",
            b"clone" => b"-c",
            b"grep" => b"-O",
            _ => b"--",
        };
        for at in rest {
            let word = argv[*at];
            let name = word.split(|byte| *byte == b'=').next().unwrap_or(word);
            let is_long = name.strip_prefix(b"--").is_some_and(|name| {
                name.len() > 2 && OPTIONS.split_whitespace().any(|known| is_name(name, known))
            });
            if is_long && name.len() == word.len() || word == short && short != b"--" {
                self.add(at + 1, found);
            } else if is_long || (short != b"--" && word.starts_with(short)) {
                self.add(*at, found);
            }
        }
        read_started(argv, first + 1, StartedBy::Any, found);
    }

    /// Everything after the host is joined and read by a shell.
    fn read_remote(&mut self, host: Option<usize>, found: &mut CommandCode) {
        let Some(host) = host else { return };
        // Options may follow the host once more.
        let mut rest = Reader::new(self.program, self.name, self.argv, host);
        while rest
            .argv
            .get(rest.at)
            .is_some_and(|argument| rest.begins_option(argument))
        {
            let argument = rest.argv[rest.at];
            if argument == b"--" {
                rest.at += 1;
                break;
            }
            rest.read_option(argument, found);
        }
        let from = rest.at.min(self.argv.len());
        (from..self.argv.len()).for_each(|at| self.add(at, found));
        let line = self.argv[from..].join(&b' ');
        let words: Vec<&[u8]> = line
            .split(|byte| b" '\"\\".contains(byte))
            .filter(|word| !word.is_empty())
            .collect();
        found.stdin = found.stdin.or(code_in_script_command(&words).stdin);
        found.appended = Some(self.code());
    }

    /// What `xargs` reads from standard input becomes arguments, or is in place of a text.
    fn read_appending(&self, command: Option<usize>, found: &mut CommandCode) {
        let Some(command) = command else { return };
        read_command(self.argv, command, found);
        let replaced = |at: &usize| {
            self.replaced.is_some_and(|text| {
                !text.is_empty() && self.argv[*at].windows(text.len()).any(|part| part == text)
            })
        };
        let in_code = found
            .arguments
            .iter()
            .find(|(at, _)| replaced(at))
            .map(|(_, code)| *code);
        found.stdin = found.stdin.or(in_code).or(found.appended);
    }

    fn read_find(&self, found: &mut CommandCode) {
        const RUN: [&[u8]; 8] = [
            b"-exec",
            b"-execdir",
            b"-ok",
            b"-okdir",
            b"-x",
            b"--exec",
            b"-X",
            b"--exec-batch",
        ];
        for (at, argument) in self.argv.iter().enumerate() {
            if !RUN.contains(argument) {
                continue;
            }
            // Filled in, it begins a command that nobody meant to run.
            found.arguments.push((at, self.code()));
            let rest = &self.argv[at + 1..];
            let end = rest
                .iter()
                .position(|word| *word == b";" || *word == b"+")
                .unwrap_or(rest.len());
            let mut inner = found.inside();
            read_command(&rest[..end], 0, &mut inner);
            self.take_inner(inner, |index| Some(at + 1 + index), found);
        }
    }
}

/// `NAME=VALUE` pairs and a command.
fn read_environment(argv: &[&[u8]], from: usize, found: &mut CommandCode) {
    let mut at = from;
    while let Some(argument) = argv.get(at) {
        let Some(equals) = argument.iter().position(|byte| *byte == b'=') else {
            break;
        };
        if is_code_variable(&argument[..equals]) {
            found.arguments.push((at, VARIABLE));
        }
        at += 1;
    }
    read_command(argv, at, found);
}

/// Whether a long option is the one meant; the end of a name may be left out.
fn is_name(given: &[u8], known: &str) -> bool {
    let known = known.as_bytes();
    given == known || (given.len() >= 3 && known.starts_with(given))
}

/// Whether a value of `ssh -o` names a command; one that is not known yet may.
fn is_command_option(value: &[u8]) -> bool {
    const NAMES: [&str; 4] = [
        "proxycommand",
        "localcommand",
        "knownhostscommand",
        "remotecommand",
    ];
    let end = value
        .iter()
        .position(|byte| b"= \t".contains(byte))
        .unwrap_or(value.len());
    let name = value[..end].to_ascii_lowercase();
    name.contains(&UNKNOWN) || NAMES.iter().any(|known| known.as_bytes() == name)
}

/// Whether perl takes the name of a file for a command.
fn is_pipe(name: &[u8]) -> bool {
    let name = name.trim_ascii();
    name.starts_with(b"|") || name.ends_with(b"|")
}

/// Whether an argument is a script rather than the value of an option.
fn looks_like_file(argument: &[u8]) -> bool {
    argument.iter().any(|byte| matches!(byte, b'.' | b'/'))
}

/// Whether a script is standard input under another name.
fn is_stdin(script: &[u8]) -> bool {
    matches!(
        script,
        b"-" | b"/dev/stdin" | b"/dev/fd/0" | b"/proc/self/fd/0"
    )
}
