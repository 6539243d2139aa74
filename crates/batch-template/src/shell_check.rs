//! Where the commands of a shell script make code of their words: [`Check`].

use std::collections::{BTreeMap, BTreeSet};

use crate::interpreters::{
    Code, Language, UNKNOWN, VARIABLE, code_in_script_command, is_code_variable,
};
use crate::shell_commands::{Command, Role, STDIN, Word, assignment, name_of};
use crate::shell_scan::is_name;
use crate::shell_words::{Quoting, STDIN_PLACE, ShellRules};

/// What was found in the commands of a script.
pub(crate) struct Checked {
    /// Why places cannot be filled in safely, for those that cannot.
    pub(crate) refused: BTreeMap<usize, Quoting>,
    /// Places whose values are calculated with by way of a variable: only whole numbers are safe there.
    pub(crate) numbers: BTreeSet<usize>,
    pub(crate) open: Vec<OpenCommand>,
}

/// A command that may read a value as code, as perl does with `-eCODE`.
#[derive(Clone, Debug)]
pub(crate) struct OpenCommand {
    words: Vec<OpenWord>,
}

#[derive(Clone, Debug)]
struct OpenWord {
    text: Vec<u8>,
    /// For each unknown byte the place that it means, if it is one.
    unknown: Vec<Option<usize>>,
}

impl OpenCommand {
    /// The first value, by place, that is code.
    pub(crate) fn code_in(&self, values: &[&[u8]]) -> Option<(usize, Code)> {
        let fill = |word: &OpenWord| {
            let mut places = word.unknown.iter();
            let mut text = Vec::new();
            for byte in &word.text {
                let place = (*byte == UNKNOWN).then(|| places.next()).flatten();
                match place.and_then(|place| values.get((*place)?)) {
                    Some(value) => text.extend_from_slice(value),
                    None => text.push(*byte),
                }
            }
            text
        };
        let argv: Vec<Vec<u8>> = self.words.iter().map(fill).collect();
        let code = code_in_script_command(&argv).arguments.into_iter();
        let place = |at: usize| self.words[at].unknown.iter().flatten().next().copied();
        let mut code = code.filter_map(|(at, code)| Some((place(at)?, code)));
        code.next()
    }
}

/// The `x` of `printf -v x` and `printf -vx`.
fn variable_to_print_to(words: &[Word]) -> Option<&[u8]> {
    let at = words.iter().position(|word| word.text.starts_with(b"-v"))?;
    let name = match words[at].text.strip_prefix(b"-v")? {
        b"" => &words.get(at + 1)?.text,
        attached => attached,
    };
    Some(name_of(name))
}

/// Looks at the commands of a script.
pub(crate) struct Check {
    /// The places that a variable's value came from.
    sources: BTreeMap<Vec<u8>, BTreeSet<usize>>,
    /// Variables whose values are calculated when they are set.
    integers: BTreeSet<Vec<u8>>,
    /// All places that are in words.
    pub(crate) all: BTreeSet<usize>,
    rules: ShellRules,
    refused: BTreeMap<usize, Quoting>,
    numbers: BTreeSet<usize>,
    open: Vec<OpenCommand>,
}

impl Check {
    pub(crate) fn new(rules: ShellRules) -> Self {
        Self {
            sources: BTreeMap::new(),
            integers: BTreeSet::new(),
            all: BTreeSet::new(),
            rules,
            refused: BTreeMap::new(),
            numbers: BTreeSet::new(),
            open: Vec::new(),
        }
    }

    /// Looks through commands, and names that are calculated with elsewhere.
    pub(crate) fn run(mut self, commands: &[Command], calculated: &BTreeSet<Vec<u8>>) -> Checked {
        self.follow_variables(commands);
        for name in calculated {
            self.refuse_name(name, Quoting::Calculated);
        }
        self.pipelines(commands);
        self.written_scripts(commands);
        for command in commands {
            self.command(command);
        }
        Checked {
            refused: self.refused,
            numbers: self.numbers,
            open: self.open,
        }
    }

    /// The places whose data is in a word.
    fn data(&self, word: &Word) -> BTreeSet<usize> {
        let from_variables = word
            .variables
            .iter()
            .filter_map(|name| self.sources.get(name));
        word.places
            .iter()
            .chain(from_variables.flatten())
            .copied()
            .collect()
    }

    fn refuse(&mut self, word: &Word, why: Quoting) {
        if why == Quoting::Calculated {
            for place in &word.places {
                self.refused.entry(*place).or_insert(why);
            }
            for name in &word.variables {
                self.refuse_name(name, why);
            }
            return;
        }
        for place in self.data(word) {
            self.refused.entry(place).or_insert(why);
        }
    }

    fn refuse_all(&mut self, words: &[Word], why: Quoting) {
        words.iter().for_each(|word| self.refuse(word, why));
    }

    /// Refuses what came into variables that are named in a text, from its first bracket on if `in_brackets`.
    fn refuse_names_in(&mut self, text: &[u8], in_brackets: bool, why: Quoting) {
        let bracket = text.iter().position(|byte| *byte == b'[');
        let from = if in_brackets {
            bracket.unwrap_or(text.len())
        } else {
            0
        };
        for name in text[from..].split(|byte| !is_name(*byte)) {
            self.refuse_name(name, why);
        }
    }

    /// Refuses words that are calculated, and the variables in them, which need no `$` there.
    fn refuse_calculated(&mut self, words: &[Word]) {
        for word in words {
            self.refuse(word, Quoting::Calculated);
            self.refuse_names_in(&word.text, false, Quoting::Calculated);
        }
    }

    /// Refuses words that are read as names, and the variables in their subscripts.
    fn refuse_evaluated(&mut self, words: &[Word]) {
        for word in words {
            self.refuse(word, Quoting::Evaluated);
            self.refuse_names_in(&word.text, true, Quoting::Calculated);
        }
    }

    /// Refuses what came into a variable. Where it is calculated with, whole numbers may come.
    fn refuse_name(&mut self, name: &[u8], why: Quoting) {
        let sources = self.sources.get(name).cloned().unwrap_or_default();
        if why == Quoting::Calculated {
            return self.numbers.extend(sources);
        }
        for place in sources {
            self.refused.entry(place).or_insert(why);
        }
    }

    /// Finds which variables hold data, until nothing new is found.
    fn follow_variables(&mut self, commands: &[Command]) {
        loop {
            let before: usize = self.sources.values().map(BTreeSet::len).sum();
            for command in commands {
                self.follow(&command.words);
            }
            if before == self.sources.values().map(BTreeSet::len).sum::<usize>() {
                return;
            }
        }
    }

    fn follow(&mut self, words: &[Word]) {
        for word in words {
            if let Some((name, _)) = assignment(word) {
                let (name, data) = (name.to_vec(), self.data(word));
                self.add_source(name, data);
            }
        }
        let words = without_lead(words);
        let Some(first) = words.first() else { return };
        let rest: BTreeSet<usize> = words
            .iter()
            .skip(1)
            .flat_map(|word| self.data(word))
            .collect();
        match &*first.text {
            b"for" | b"select" => {
                if let Some(name) = words.get(1) {
                    let arguments = self.sources.get(&b"@"[..]).cloned();
                    let has_list = words.iter().any(|word| word.text == b"in");
                    let arguments = arguments.filter(|_| !has_list).unwrap_or_default();
                    self.add_source(name.text.clone(), &rest | &arguments);
                }
            }
            b"set" => {
                self.add_positional(&rest);
            }
            b"read" | b"mapfile" | b"readarray" => {
                // Whatever the script reads: a pipe or a redirection may be around a loop.
                for word in words.iter().skip(1) {
                    self.add_source(word.text.clone(), self.all.clone());
                }
                self.add_source(b"REPLY".to_vec(), self.all.clone());
            }
            b"printf" | b"print" => {
                if let Some(name) = variable_to_print_to(words) {
                    self.add_source(name.to_vec(), rest);
                }
            }
            b"declare" | b"typeset" | b"local" | b"integer" | b"export" | b"readonly" => {
                let is_integer = first.text == b"integer"
                    || words.iter().any(|word| matches!(&*word.text, [b'-', flags @ ..] if flags.contains(&b'i') || flags.contains(&b'n')));
                if is_integer {
                    let names = words
                        .iter()
                        .skip(1)
                        .filter(|word| !word.text.starts_with(b"-"));
                    self.integers
                        .extend(names.map(|word| name_of(&word.text).to_vec()));
                }
            }
            _ => {}
        }
    }

    /// What the arguments of the script or of a function come from.
    pub(crate) fn add_positional(&mut self, places: &BTreeSet<usize>) {
        for name in b"@*0123456789" {
            self.add_source(vec![*name], places.clone());
        }
    }

    pub(crate) fn add_source(&mut self, name: Vec<u8>, places: BTreeSet<usize>) {
        if !places.is_empty() {
            self.sources.entry(name).or_default().extend(places);
        }
    }

    /// What one command of a pipeline writes, another may run.
    fn pipelines(&mut self, commands: &[Command]) {
        for (index, command) in commands.iter().enumerate() {
            let words = &command.arguments;
            let is_source = words
                .first()
                .is_some_and(|word| matches!(&*word.text, b"." | b"source"));
            let reads_stdin = words.iter().skip(1).any(|word| word.text == STDIN);
            let code = match is_source {
                true => reads_stdin.then_some(SHELL),
                false => command.code.stdin,
            };
            let Some(code) = code else { continue };
            if self.all.contains(&STDIN_PLACE) {
                self.refused
                    .entry(STDIN_PLACE)
                    .or_insert(Quoting::Code(code));
            }
            if command.is_in_process {
                let all = self.all.iter().map(|place| (*place, Quoting::Code(code)));
                self.refused.extend(all);
            }
            for (other_index, other) in commands.iter().enumerate() {
                let is_joined = other.pipeline == command.pipeline;
                let is_before = other_index < index && is_joined;
                // `{ …; } | sh`, and `while …; do sh; done < …`: the commands inside are not told apart.
                let is_end = is_end(&other.words[0]);
                if is_before && is_end {
                    let all = self.all.iter().map(|place| (*place, Quoting::Code(code)));
                    self.refused.extend(all);
                }
                for word in &other.words {
                    let is_read = match word.role {
                        Role::Input => true,
                        Role::File => word.text == STDIN,
                        Role::Argument => false,
                    };
                    if is_before || is_read && (is_joined || is_end) {
                        self.refuse(word, Quoting::Code(code));
                    }
                }
            }
            for word in words.iter().filter(|word| word.text == STDIN) {
                self.refuse(word, Quoting::Code(code));
            }
        }
    }

    /// `echo DATA > f; sh f`.
    fn written_scripts(&mut self, commands: &[Command]) {
        let files = commands.iter().flat_map(|command| {
            let files = command.words.iter().filter(|word| word.role == Role::File);
            files.map(move |file| (&*file.text, command))
        });
        let files: Vec<(&[u8], &Command)> = files
            .filter(|(file, _)| *file != STDIN && !file.contains(&UNKNOWN))
            .collect();
        for command in commands.iter().filter(|_| !files.is_empty()) {
            let texts = command.texts();
            let Some(first) = texts.first() else { continue };
            let script = match *first {
                b"." | b"source" => texts.get(1),
                _ => command.code.script.and_then(|at| texts.get(at)),
            };
            let bare = |name: &[u8]| name.strip_prefix(b"./").unwrap_or(name).to_vec();
            let run = [Some(first), script].map(|name| name.map(|name| bare(name)));
            for (file, writer) in &files {
                if run.contains(&Some(bare(file))) {
                    self.refuse_all(&writer.words, Quoting::Code(SHELL));
                }
            }
        }
    }

    fn command(&mut self, command: &Command) {
        for word in &command.words {
            self.assigned(word);
        }
        self.compared(&command.words);
        let (words, code) = (&command.arguments, &command.code);
        if self.all.is_empty() {
            return;
        }
        for at in 0..words.len() {
            // `command`, `builtin` and an assignment may be before it.
            if at == 0 || is_lead(&words[at - 1]) {
                self.builtin(&words[at..]);
            }
        }
        for (at, code) in &code.arguments {
            self.refuse(&words[*at], Quoting::Code(*code));
        }
        for (at, word) in words.iter().enumerate() {
            // Split up, a value could be a program and its arguments, or an option and its code.
            if word.is_split && (at == 0 || code.is_open && !is_after_format(words, at)) {
                self.refuse(word, Quoting::Code(SHELL));
            }
        }
        if code.is_open && words.iter().any(|word| !word.places.is_empty()) {
            let words = words.iter().map(|word| OpenWord {
                text: word.text.clone(),
                unknown: word.unknown.clone(),
            });
            self.open.push(OpenCommand {
                words: words.collect(),
            });
        }
    }

    /// `x[DATA]=…`, `PS4=DATA`, and `x=DATA` where `x` is an integer.
    fn assigned(&mut self, word: &Word) {
        if let Some(inner) = subscript(word) {
            self.refuse_names_in(inner, false, Quoting::Calculated);
            if inner.contains(&UNKNOWN) {
                return self.refuse(word, Quoting::Calculated);
            }
        }
        let Some((name, _)) = assignment(word) else {
            return;
        };
        if is_code_variable(name) {
            self.refuse(word, Quoting::Code(VARIABLE));
        } else if self.integers.contains(name) || is_integer_variable(name) {
            self.refuse_calculated(std::slice::from_ref(word));
        }
    }

    /// `DATA -eq 1`, which `[[` calculates, and in some shells `[` as well.
    fn compared(&mut self, words: &[Word]) {
        const OPERATORS: [&[u8]; 6] = [b"-eq", b"-ne", b"-lt", b"-le", b"-gt", b"-ge"];
        let single = words
            .iter()
            .any(|word| matches!(&*word.text, b"[" | b"test"));
        for (at, word) in words.iter().enumerate() {
            let is_operator = OPERATORS.contains(&&*word.text);
            if is_operator && (self.rules.is_eager || !single) {
                let sides = words
                    .get(at.wrapping_sub(1))
                    .into_iter()
                    .chain(words.get(at + 1));
                let sides: Vec<Word> = sides.cloned().collect();
                self.refuse_calculated(&sides);
            }
            let is_name = match &*word.text {
                b"-v" | b"-R" => true,
                b"-t" => self.rules.is_eager,
                _ => false,
            };
            let names = is_name
                && words
                    .iter()
                    .any(|w| matches!(&*w.text, b"[" | b"[[" | b"test"));
            if let (true, Some(name)) = (names, words.get(at + 1)) {
                let name = name.clone();
                self.refuse_evaluated(&[name]);
            }
        }
    }

    /// Builtins that read their words once more.
    fn builtin(&mut self, words: &[Word]) {
        let Some((first, rest)) = words.split_first() else {
            return;
        };
        if first.text.contains(&UNKNOWN) {
            return;
        }
        match &*first.text {
            b"eval" => self.refuse_all(rest, Quoting::Code(SHELL)),
            b"trap" | b"alias" | b"compgen" | b"complete" | b"bind" | b"fc" | b"zmodload"
            | b"sched" | b"zle" => {
                self.refuse_all(rest, Quoting::Code(SHELL));
            }
            b"let" => self.refuse_calculated(rest),
            b"unset" | b"read" | b"getopts" | b"mapfile" | b"readarray" | b"wait" | b"vared"
            | b"unalias" => {
                self.refuse_evaluated(rest);
            }
            b"printf" | b"print" if self.rules.is_eager && !takes_text(rest) => {
                self.refuse_evaluated(rest);
            }
            b"printf" | b"print" => {
                let name = rest.iter().skip_while(|word| word.text != b"-v").nth(1);
                let name: Vec<Word> = name.into_iter().cloned().collect();
                self.refuse_evaluated(&name);
            }
            b"declare" | b"typeset" | b"local" | b"export" | b"readonly" | b"integer"
            | b"float" => {
                self.declared(first, rest);
            }
            b"set"
                if rest
                    .first()
                    .is_some_and(|word| matches!(&*word.text, b"-A" | b"+A")) =>
            {
                self.refuse_all(rest, Quoting::Evaluated);
            }
            b"shift" | b"return" | b"break" | b"continue" | b"exit" | b"repeat" | b"ulimit"
                if self.rules.is_eager =>
            {
                self.refuse_all(rest, Quoting::Calculated);
            }
            _ => {}
        }
    }

    /// A declaration takes data as the value of a plain variable, and nowhere else.
    fn declared(&mut self, first: &Word, rest: &[Word]) {
        let has_flags = rest.iter().any(|word| {
            matches!(&*word.text, [b'-' | b'+', flags @ ..] if flags.iter().any(|flag| b"aAinEFTUZLR\0".contains(flag)))
        });
        let is_number = matches!(&*first.text, b"integer" | b"float");
        for word in rest {
            let is_value = assignment(word).is_some();
            if has_flags || is_number || !is_value {
                self.refuse(word, Quoting::Evaluated);
            }
        }
    }
}

/// The shell that runs the script.
const SHELL: Code = Code {
    program: "the shell",
    language: Language::Shell,
};

/// The words that are arguments, from the program on.
pub(crate) fn arguments(words: &[Word]) -> Vec<Word> {
    let words = words.iter().filter(|word| word.role == Role::Argument);
    let words: Vec<Word> = words.cloned().collect();
    without_lead(&words).to_vec()
}

/// The command without what may be before it: reserved words and assignments.
fn without_lead(words: &[Word]) -> &[Word] {
    const RESERVED: [&[u8]; 14] = [
        b"if",
        b"then",
        b"elif",
        b"else",
        b"do",
        b"while",
        b"until",
        b"!",
        b"{",
        b"time",
        b"coproc",
        b"-p",
        b"function",
        b"always",
    ];
    let is_before = |word: &&Word| {
        (!word.is_quoted && RESERVED.contains(&&*word.text)) || assignment(word).is_some()
    };
    &words[words.iter().take_while(is_before).count()..]
}

/// Whether a word is behind the format of `printf`, where there are no more options.
fn is_after_format(words: &[Word], at: usize) -> bool {
    match words {
        [program, format, ..] => {
            at > 1
                && program.text == b"printf"
                && !format.text.starts_with(b"-")
                && !format.text.contains(&UNKNOWN)
        }
        _ => false,
    }
}

/// Whether the format of `printf` takes texts only: numbers are calculated by some shells.
fn takes_text(words: &[Word]) -> bool {
    words.first().is_some_and(|format| {
        let mut fields = format.text.split(|byte| *byte == b'%').skip(1);
        let is_text = |field: &[u8]| matches!(field.first(), None | Some(b's' | b'b' | b'q'));
        !format.text.contains(&UNKNOWN) && fields.all(is_text)
    })
}

/// Whether a word ends a group of commands.
fn is_end(word: &Word) -> bool {
    !word.is_quoted && matches!(&*word.text, b"}" | b"done" | b"fi" | b"esac")
}

/// Whether a command may begin after a word.
fn is_lead(word: &Word) -> bool {
    matches!(
        &*word.text,
        b"command" | b"builtin" | b"exec" | b"nocorrect" | b"noglob" | b"--" | b"-p" | b"{" | b"!"
    )
}

/// What is between the brackets of `x[…]=` or `[…]=`.
fn subscript(word: &Word) -> Option<&[u8]> {
    let rest = &word.text[name_of(&word.text).len()..];
    let has_name = rest.len() < word.text.len();
    let inner = rest.strip_prefix(b"[")?;
    let end = inner.iter().position(|byte| *byte == b']')?;
    let after = &inner[end + 1..];
    let is_assigned = after.starts_with(b"=") || after.starts_with(b"+=");
    (is_assigned || has_name && inner[..end].contains(&UNKNOWN)).then_some(&inner[..end])
}

/// Variables of bash that calculate what is put into them.
fn is_integer_variable(name: &[u8]) -> bool {
    matches!(
        name,
        b"RANDOM"
            | b"SRANDOM"
            | b"SECONDS"
            | b"LINENO"
            | b"OPTIND"
            | b"HISTCMD"
            | b"EPOCHSECONDS"
            | b"BASHPID"
    )
}
