//! The commands of a shell script, and where they make code of their words: [`Commands`].
//!
//! A quoted word is safe as an argument, and no more than that: `eval`, `sh -c`, `let`, `[[ x -eq 1 ]]` and others
//! read their words once more. The scanner of [`shell_words`](crate::shell_words) feeds this module with words; when
//! the script has ended, [`Commands::check`] tells which of the places are in such a word. Variables are followed
//! by their names: what was put into one from a place is as good as the place itself.

use std::collections::BTreeSet;

use crate::interpreters::{CommandCode, Language, UNKNOWN, code_in_script_command};
use crate::shell_check::{Check, Checked, arguments};
use crate::shell_scan::{Scanner, is_name};
use crate::shell_words::{Data, STDIN_PLACE, ShellRules, variable_place};

/// A word of a command: what is known of its text, and what of it is data.
#[derive(Clone, Debug, Default)]
pub(crate) struct Word {
    /// Without its quotes; [`UNKNOWN`] for places and expansions.
    pub(crate) text: Vec<u8>,
    pub(crate) is_quoted: bool,
    /// For each [`UNKNOWN`] the place it means, if it is one.
    pub(crate) unknown: Vec<Option<usize>>,
    /// The places in it, also inside its `$(…)`.
    pub(crate) places: Vec<usize>,
    /// The variables that are expanded in it.
    pub(crate) variables: BTreeSet<Vec<u8>>,
    /// An expansion in it is outside quotes, so that it can become several words.
    pub(crate) is_split: bool,
    pub(crate) role: Role,
}

/// What a word is for its command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Role {
    #[default]
    Argument,
    /// The file of a redirection.
    File,
    /// The text after `<<<`.
    Input,
}

/// A simple command, or a part of `[[ … ]]`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Command {
    pub(crate) words: Vec<Word>,
    /// Commands with the same number are joined by pipes.
    pub(crate) pipeline: usize,
    /// It is in a `>(…)` or `<(…)`, where it may read what any other command writes.
    pub(crate) is_in_process: bool,
    /// The words from the program on, and what of them is code: known when the script is finished.
    pub(crate) arguments: Vec<Word>,
    pub(crate) code: CommandCode,
}

/// Collects the words of a script.
#[derive(Default)]
pub(crate) struct Commands {
    all: Vec<Command>,
    words: Vec<Word>,
    word: Option<Word>,
    next_role: Role,
    pipeline: usize,
    pipelines: usize,
    /// What is around the current `(…)`, from the outside in.
    outer: Vec<Outer>,
    /// Names that are calculated with.
    calculated: BTreeSet<Vec<u8>>,
    has_function: bool,
}

/// What opens with a parenthesis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    /// `(…)`: commands of their own, or the elements of a list.
    List,
    /// `$(…)`: what they write becomes a word.
    Substitution,
    /// `<(…)`: what they write is read as a file.
    Process,
}

/// What goes on after a `)`.
struct Outer {
    opening: Opening,
    words: Vec<Word>,
    word: Option<Word>,
    next_role: Role,
    pipeline: usize,
    first: usize,
}

impl Commands {
    /// A byte of the current word.
    pub(crate) fn byte(&mut self, byte: u8) {
        self.current().text.push(byte);
    }

    /// Bytes of the current word that were in quotes.
    pub(crate) fn quoted(&mut self, bytes: &[u8]) {
        let word = self.current();
        word.is_quoted = true;
        let unknown = bytes.iter().filter(|byte| **byte == UNKNOWN);
        word.unknown.extend(unknown.map(|_| None));
        word.text.extend_from_slice(bytes);
    }

    /// A place, the `index`th of the script.
    pub(crate) fn place(&mut self, index: usize) {
        let word = self.current();
        word.text.push(UNKNOWN);
        word.unknown.push(Some(index));
        word.places.push(index);
    }

    /// An expansion, with the name of its variable if it has one, and whether it is outside quotes.
    pub(crate) fn expansion(&mut self, name: &[u8], is_split: bool) {
        let word = self.current();
        word.text.push(UNKNOWN);
        word.unknown.push(None);
        word.is_split |= is_split;
        if !name.is_empty() {
            word.variables.insert(name.to_vec());
        }
    }

    /// A name that is calculated with, as in `$((x + 1))` or `${a[x]}`.
    pub(crate) fn calculated(&mut self, name: &[u8]) {
        self.calculated.insert(name.to_vec());
    }

    /// The current word ends.
    pub(crate) fn end_word(&mut self) {
        if let Some(mut word) = self.word.take() {
            word.role = std::mem::take(&mut self.next_role);
            self.words.push(word);
        }
    }

    /// The next word is the file of a redirection, or what is read after `<<<`.
    pub(crate) fn redirect(&mut self, is_input: bool) {
        // A number before it belongs to it.
        if self
            .word
            .as_ref()
            .is_some_and(|word| word.text.iter().all(u8::is_ascii_digit))
        {
            self.word = None;
        }
        self.end_word();
        self.next_role = if is_input { Role::Input } else { Role::File };
    }

    /// The current command ends, with `|` after it or something else.
    pub(crate) fn end_command(&mut self, is_piped: bool) {
        self.end_word();
        let words = std::mem::take(&mut self.words);
        if !words.is_empty() {
            self.all.push(Command {
                words,
                pipeline: self.pipeline,
                ..Command::default()
            });
        }
        if !is_piped {
            self.pipelines += 1;
            self.pipeline = self.pipelines;
        }
    }

    /// A here-document begins after this line. Gives the number of the pipeline that reads it.
    pub(crate) fn here_document(&mut self) -> usize {
        self.next_role = Role::default();
        self.pipeline
    }

    /// A line of a here-document in which variables are expanded.
    pub(crate) fn here_line(&mut self, line: &[u8], pipeline: usize) {
        let mut word = Word {
            role: Role::Input,
            ..Word::default()
        };
        let mut rest = line;
        while let Some(dollar) = rest.iter().position(|byte| *byte == b'$') {
            rest = &rest[dollar + 1..];
            let name = rest.strip_prefix(b"{").unwrap_or(rest);
            let length = name.iter().take_while(|byte| is_name(**byte)).count();
            word.variables.insert(name[..length].to_vec());
        }
        if !word.variables.is_empty() {
            self.all.push(Command {
                words: vec![word],
                pipeline,
                ..Command::default()
            });
        }
    }

    /// A `(` or `$(`, or `<(` of a process: other commands begin, inside the current word.
    pub(crate) fn open(&mut self, opening: Opening) {
        self.pipelines += 1;
        self.outer.push(Outer {
            opening,
            words: std::mem::take(&mut self.words),
            word: self.word.take(),
            next_role: std::mem::take(&mut self.next_role),
            pipeline: std::mem::replace(&mut self.pipeline, self.pipelines),
            first: self.all.len(),
        });
    }

    /// The `)` that belongs to the last opening, and whether it is outside quotes.
    pub(crate) fn close(&mut self, is_split: bool) {
        self.end_command(false);
        let Some(outer) = self.outer.pop() else {
            return;
        };
        for command in &mut self.all[outer.first..] {
            command.is_in_process |= outer.opening == Opening::Process;
        }
        let inner = self.all[outer.first..]
            .iter()
            .flat_map(|command| &command.words);
        // Each once: a word inside has those of the words inside it already.
        let (mut places, mut variables) = (BTreeSet::<usize>::new(), BTreeSet::new());
        for word in inner {
            places.extend(&word.places);
            variables.extend(word.variables.iter().cloned());
        }
        self.words = outer.words;
        self.word = outer.word;
        self.next_role = outer.next_role;
        self.pipeline = outer.pipeline;
        if self.all.len() == outer.first && self.word.as_ref().is_some_and(is_function_name) {
            // `name()`: what follows is the body.
            self.has_function = true;
            self.word = None;
            self.words.clear();
            return;
        }
        let is_command = outer.opening == Opening::List && self.word.is_none();
        let word = self.current();
        if outer.opening == Opening::Process {
            word.text.extend_from_slice(STDIN);
        } else {
            word.text.push(UNKNOWN);
            word.unknown.push(None);
            word.is_split |= is_split && outer.opening == Opening::Substitution;
        }
        word.places.extend(places);
        word.variables.extend(variables);
        if is_command {
            // Of the same pipeline as what follows.
            self.end_command(true);
        }
    }

    fn current(&mut self) -> &mut Word {
        self.word.get_or_insert_default()
    }

    /// At the end of the script: ends what is open, and reads the scripts inside.
    pub(crate) fn finish(mut self) -> Self {
        self.end();
        self.add_inner_scripts();
        self
    }

    fn end(&mut self) {
        while !self.outer.is_empty() {
            self.close(true);
        }
        self.end_command(false);
    }

    /// The variables that the script expands, calculates with or sets.
    pub(crate) fn variables(&self) -> BTreeSet<Vec<u8>> {
        let words = self.all.iter().flat_map(|command| &command.words);
        let words = words.flat_map(|word| word.variables.iter().cloned());
        words
            .chain(self.calculated.iter().cloned())
            .filter(|name| !name.first().is_none_or(u8::is_ascii_digit))
            .collect()
    }

    /// Reads the scripts that commands of this one give to a shell, as if they were parts of it: what is in a
    /// variable here is there as well.
    fn add_inner_scripts(&mut self) {
        let mut left = MOST_SCRIPTS;
        let mut at = 0;
        while at < self.all.len() {
            let command = &mut self.all[at];
            command.read();
            let pipeline = command.pipeline;
            for script in command.scripts().into_iter().take(left) {
                left -= 1;
                let (_, mut inner) = Scanner::new(&script, &[]).scan();
                inner.end();
                // They read what comes to the command around them.
                let commands = inner.all.into_iter();
                self.all.extend(commands.map(|command| Command {
                    pipeline,
                    ..command
                }));
                self.calculated.extend(inner.calculated);
                self.has_function |= inner.has_function;
            }
            at += 1;
        }
    }

    /// Looks through all commands of a finished script.
    pub(crate) fn check(self, rules: ShellRules, data: Data<'_>) -> Checked {
        let mut check = Check::new(rules);
        let words = self.all.iter().flat_map(|command| &command.words);
        check.all = words.flat_map(|word| word.places.iter().copied()).collect();
        let has_arguments = matches!(data, Data::Arguments);
        match data {
            Data::Places => {}
            Data::Arguments => _ = check.all.insert(0),
            Data::Inherited(names) => {
                check.all.insert(STDIN_PLACE);
                for (index, name) in names.iter().enumerate() {
                    check.add_source(name.clone(), [variable_place(index)].into());
                }
            }
        }
        let is_function =
            |command: &Command| command.words.iter().any(|word| word.text == b"function");
        if self.has_function || has_arguments || self.all.iter().any(is_function) {
            check.add_positional(&check.all.clone());
        }
        check.run(&self.all, &self.calculated)
    }
}

/// Scripts inside scripts are read up to this number.
const MOST_SCRIPTS: usize = 20;

impl Command {
    fn read(&mut self) {
        self.arguments = arguments(&self.words);
        self.code = code_in_script_command(&self.texts());
    }

    /// The texts of the arguments.
    pub(crate) fn texts(&self) -> Vec<&[u8]> {
        self.arguments.iter().map(|word| &*word.text).collect()
    }

    /// The scripts that it gives to a shell.
    fn scripts(&self) -> Vec<Vec<u8>> {
        let code = self.code.arguments.iter();
        let scripts = code.filter(|(_, code)| code.language == Language::Shell);
        let known = |byte: &u8| if *byte == UNKNOWN { b'x' } else { *byte };
        scripts
            .map(|(at, _)| self.arguments[*at].text.iter().map(known).collect())
            .collect()
    }
}

/// The text of a word that means a process, as in `<(…)`.
pub(crate) const STDIN: &[u8] = b"/dev/stdin";

fn is_function_name(word: &Word) -> bool {
    assignment(word).is_none() && !word.text.ends_with(b"=") && !word.text.contains(&UNKNOWN)
}

/// The name and the value of an assignment such as `x=1`, `x+=1` or `x[1]=2`.
pub(crate) fn assignment(word: &Word) -> Option<(&[u8], &[u8])> {
    let name = name_of(&word.text);
    let mut rest = word.text.get(name.len()..)?;
    if name.is_empty() {
        return None;
    }
    if rest.starts_with(b"[") {
        let end = rest
            .windows(2)
            .position(|pair| pair == b"]=" || pair == b"]+")?;
        rest = &rest[end + 1..];
    }
    let rest = rest.strip_prefix(b"+").unwrap_or(rest);
    Some((name, rest.strip_prefix(b"=")?))
}

/// The name that a text begins with.
pub(crate) fn name_of(text: &[u8]) -> &[u8] {
    let length = text.iter().take_while(|byte| is_name(**byte)).count();
    if text.first().is_some_and(u8::is_ascii_digit) {
        b""
    } else {
        &text[..length]
    }
}
