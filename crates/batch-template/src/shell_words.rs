//! How words are in a shell script: [`ShellScan`] says in which quotes a place is and what reads it once more,
//! [`quote_for_shell`] writes data as one word.
//!
//! A replacement in a script is safe only where a word in single quotes is read as just that word. The scanner
//! knows the POSIX shell and the parts of bash that change what quotes mean. Where it cannot tell, it says so,
//! and the place is refused: a wrong refusal costs the author a variable, a wrong yes runs data as code.

use std::collections::BTreeSet;

use crate::interpreters::{Code, Language, UNKNOWN};
use crate::shell_check::OpenCommand;
use crate::shell_scan::Scanner;

/// How a shell reads a script, where shells differ, and what its author allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShellRules {
    /// It is zsh or of the family of ksh, whose builtins calculate more of their arguments, as `[ x -eq 1 ]`.
    pub is_eager: bool,
    /// Values may be where the script makes code of its words.
    pub allow_code: bool,
}

/// In what a place of a script is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quoting {
    /// In none: a quoted word can be here.
    Bare,
    /// Between single quotes.
    SingleQuotes,
    /// Between double quotes.
    DoubleQuotes,
    /// Between backticks.
    Backticks,
    /// In a here-document or the word that ends one.
    HereDocument,
    /// In a comment.
    Comment,
    /// In `${…}`, which reads its content anew.
    Expansion,
    /// Where the shell calculates: it runs the code that it finds in subscripts.
    Calculated,
    /// Where the shell reads the name of a variable, which runs the code in a subscript.
    Evaluated,
    /// In code that a command of the script runs.
    Code(Code),
    /// Right after a backslash.
    AfterBackslash,
    /// Right after a `$`, or after a variable's name, which it would make longer.
    AfterDollar,
    /// The script is too intricate to tell.
    Unclear,
}

impl Quoting {
    /// Why a replacement cannot be there and how to fix it; `None` where it can.
    ///
    /// The first text goes after the name of the placeholder: "… is in single quotes".
    pub fn refusal(self) -> Option<(String, String)> {
        const REMOVE: &str = "remove the quotes: the value is quoted when it is filled in";
        const VARIABLE: &str = "put it into a variable first: x=VALUE; then use \"$x\"";
        const ALLOW: &str = "--allow-code, or allow_code in a task, lets it through";
        let (what, help) = match self {
            Self::Bare => return None,
            Self::Calculated => {
                let what = "is used in shell arithmetic, which runs code in its operands";
                let help = format!(
                    "let another program calculate (expr, bc), or compare with [ … ]; {ALLOW}"
                );
                return Some((what.to_owned(), help));
            }
            Self::Evaluated => {
                let what = "is where the shell reads a name, which runs code in its subscript";
                return Some((what.to_owned(), format!("write the name yourself; {ALLOW}")));
            }
            Self::Code(code) => return Some((code.refusal(), code.help("VALUE"))),
            Self::SingleQuotes => ("is in single quotes", REMOVE),
            Self::DoubleQuotes => ("is in double quotes", REMOVE),
            Self::Backticks => ("is in backticks", "write $(…) in place of the backticks"),
            Self::HereDocument => ("is in a here-document", VARIABLE),
            Self::Comment => ("is in a comment", "take it out of the comment"),
            Self::Expansion => ("is in ${…}", VARIABLE),
            Self::AfterBackslash => ("is after a backslash", "remove the backslash"),
            Self::AfterDollar => (
                "is directly after a $ or a variable",
                "write ${NAME} or set a space between",
            ),
            Self::Unclear => ("is where its quotes cannot be determined", VARIABLE),
        };
        Some((what.to_owned(), help.to_owned()))
    }
}

/// A script, read once: what its places are in.
#[derive(Clone, Debug, Default)]
pub struct ShellScan {
    /// For each place, in their order.
    pub quoting: Vec<Quoting>,
    /// Places that take whole numbers only, as the shell calculates with them.
    numbers: BTreeSet<usize>,
    /// Commands that read their arguments in a way that depends on the values.
    open: Vec<OpenCommand>,
}

impl ShellScan {
    /// Reads a script with places (byte offsets, ascending), each of which is taken as an ordinary letter.
    ///
    /// ```
    /// use batch_template::{Quoting, ShellRules, ShellScan};
    /// let scan = ShellScan::new(b"echo {} '{}'", &[5, 9], ShellRules::default());
    /// assert_eq!(scan.quoting, [Quoting::Bare, Quoting::SingleQuotes]);
    /// let scan = ShellScan::new(b"sh -c {}", &[6], ShellRules::default());
    /// assert!(matches!(scan.quoting[0], Quoting::Code(_)));
    /// ```
    pub fn new(script: &[u8], places: &[usize], rules: ShellRules) -> Self {
        let (mut quoting, commands) = Scanner::new(script, places).scan();
        let checked = commands.finish().check(rules, Data::Places);
        if rules.allow_code {
            return Self {
                quoting,
                ..Self::default()
            };
        }
        for (place, why) in checked.refused {
            if let Some(found @ Quoting::Bare) = quoting.get_mut(place) {
                *found = why;
            }
        }
        Self {
            quoting,
            numbers: checked.numbers,
            open: checked.open,
        }
    }

    /// Whether a script makes code of its arguments, `$1` and so on.
    pub(crate) fn runs_arguments(script: &[u8]) -> bool {
        let (_, commands) = Scanner::new(script, &[]).scan();
        let checked = commands
            .finish()
            .check(ShellRules::default(), Data::Arguments);
        !checked.refused.is_empty() || !checked.numbers.is_empty()
    }

    /// What a script makes code of that comes from outside of it. A byte [`UNKNOWN`] means what is not known.
    ///
    /// ```
    /// use batch_template::ShellScan;
    /// let inherited = ShellScan::inherited(b"read x; eval \"$x\"; echo \"$y\"");
    /// assert!(inherited.stdin && inherited.variables.contains(&b"x".to_vec()));
    /// assert!(!inherited.variables.contains(&b"y".to_vec()));
    /// ```
    pub fn inherited(script: &[u8]) -> Inherited {
        let places: Vec<usize> = (0..script.len())
            .filter(|at| script[*at] == UNKNOWN)
            .collect();
        let (_, commands) = Scanner::new(script, &places).scan();
        let commands = commands.finish();
        let names = commands.variables();
        let checked = commands.check(ShellRules::default(), Data::Inherited(&names));
        let is_code =
            |place| checked.refused.contains_key(&place) || checked.numbers.contains(&place);
        let variables = names
            .iter()
            .enumerate()
            .filter(|(index, _)| is_code(variable_place(*index)));
        Inherited {
            stdin: is_code(STDIN_PLACE),
            variables: variables.map(|(_, name)| name.clone()).collect(),
        }
    }

    /// Whether [`code_in`](Self::code_in) can find anything.
    pub fn is_open(&self) -> bool {
        !self.open.is_empty() || !self.numbers.is_empty()
    }

    /// The first of the values, by place, that a command of the script would run as code, as `-eCODE` of perl.
    pub fn code_in(&self, values: &[&[u8]]) -> Option<(usize, Code)> {
        let is_code = |place: &&usize| values.get(**place).is_some_and(|value| !is_number(value));
        if let Some(place) = self.numbers.iter().find(is_code) {
            return Some((*place, ARITHMETIC));
        }
        self.open.iter().find_map(|command| command.code_in(values))
    }
}

/// What of its context a script makes code of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inherited {
    /// Its standard input.
    pub stdin: bool,
    /// These variables of its environment.
    pub variables: BTreeSet<Vec<u8>>,
}

/// What is data in a script.
pub(crate) enum Data<'a> {
    /// Its places.
    Places,
    /// Its arguments as well, as if they were the first place.
    Arguments,
    /// Standard input and these variables as well, each as if it were a place of its own.
    Inherited(&'a BTreeSet<Vec<u8>>),
}

/// The place that means standard input.
pub(crate) const STDIN_PLACE: usize = usize::MAX;

/// The place that means a variable.
pub(crate) const fn variable_place(index: usize) -> usize {
    usize::MAX - 1 - index
}

/// What runs the code in operands.
const ARITHMETIC: Code = Code {
    program: "the arithmetic of the shell",
    language: Language::Other,
};

/// Whether a value is a whole number, or nothing.
fn is_number(value: &[u8]) -> bool {
    let digits = value.strip_prefix(b"-").unwrap_or(value);
    digits.iter().all(u8::is_ascii_digit)
}

/// Appends `word` so that a POSIX shell reads it as one word of exactly these bytes.
///
/// Plain words stay as they are; the others go between single quotes. The word must not hold a NUL byte.
///
/// ```
/// let mut line = b"echo ".to_vec();
/// batch_template::quote_for_shell(b"it's", &mut line);
/// assert_eq!(line, br"echo 'it'\''s'");
/// ```
pub fn quote_for_shell(word: &[u8], to: &mut Vec<u8>) {
    if is_plain(word) {
        to.extend_from_slice(word);
        return;
    }
    to.push(b'\'');
    for &byte in word {
        if byte == b'\'' {
            to.extend_from_slice(br"'\''");
        } else {
            to.push(byte);
        }
    }
    to.push(b'\'');
}

/// Whether a shell takes the word as it is, wherever it is. A number could become part of a redirection
/// (`2>file`), and `done` end a loop, so these are quoted.
fn is_plain(word: &[u8]) -> bool {
    const RESERVED: [&[u8]; 17] = [
        b"case",
        b"coproc",
        b"do",
        b"done",
        b"elif",
        b"else",
        b"esac",
        b"fi",
        b"for",
        b"function",
        b"if",
        b"in",
        b"select",
        b"then",
        b"time",
        b"until",
        b"while",
    ];
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"_./:@+-".contains(b);
    word.iter().all(plain) && !word.iter().all(u8::is_ascii_digit) && !RESERVED.contains(&word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Quoting::{
        AfterBackslash, AfterDollar, Backticks, Bare, Calculated, Comment, DoubleQuotes, Expansion,
        HereDocument, SingleQuotes, Unclear,
    };

    /// What is told of each `@` in a script.
    fn at_signs(script: &str) -> Vec<Quoting> {
        let places: Vec<usize> = script.match_indices('@').map(|(at, _)| at).collect();
        ShellScan::new(script.as_bytes(), &places, ShellRules::default()).quoting
    }

    #[test]
    fn bare_words_are_told_from_quoted_ones() {
        for (script, expected) in [
            ("@", vec![Bare]),
            (
                "a @ '@' \"@\" @",
                vec![Bare, SingleQuotes, DoubleQuotes, Bare],
            ),
            ("a=@ b='x'@\"y\"@", vec![Bare, Bare, Bare]),
            ("`ls @` @", vec![Backticks, Bare]),
            ("\"`ls @`\" @", vec![Backticks, Bare]),
            ("echo \\@ \\\\@ \\'@", vec![AfterBackslash, Bare, Bare]),
            (
                "echo $@ $HOME@ $HOME/@ ${HOME}@",
                vec![AfterDollar, AfterDollar, Bare, Bare],
            ),
            ("echo 'it'\\''s' @", vec![Bare]),
            ("# don't @\necho @", vec![Comment, Bare]),
            ("echo a#b'@' x;# '@\n@", vec![SingleQuotes, Comment, Bare]),
            ("echo \"a # @\" # \"@", vec![DoubleQuotes, Comment]),
            ("echo 'open @", vec![SingleQuotes]),
            ("awk '{print $1}' @ | sed \"s/a/b/\" > @", vec![Bare, Bare]),
        ] {
            assert_eq!(at_signs(script), expected, "{script}");
        }
    }

    #[test]
    fn expansions_nest() {
        for (script, expected) in [
            ("x=\"$(cat @)\" @ \"@\"", vec![Bare, Bare, DoubleQuotes]),
            (
                "\"$(echo \"@\" '@' @)@\"",
                vec![DoubleQuotes, SingleQuotes, Bare, DoubleQuotes],
            ),
            ("\"$(echo \")\" @)\" @", vec![Bare, Bare]),
            ("${x:-@} \"${x:-@}\" @", vec![Expansion, Expansion, Bare]),
            (
                "$((1 + @)) @ ((@)) @",
                vec![Calculated, Bare, Calculated, Bare],
            ),
            ("$((1 << 2)) \n@", vec![Bare]),
            ("(cd a; ls @); echo $(ls @) @", vec![Bare, Bare, Bare]),
            (
                "case @ in (a) x @;; b) y '@';; esac; @",
                vec![Bare, Bare, SingleQuotes, Bare],
            ),
            ("\"$(case a in b) echo \"@\";; esac)\"", vec![Unclear]),
            (
                "$(case a in b) echo @ '@';; esac) @",
                vec![Bare, SingleQuotes, Bare],
            ),
            ("echo $'a' @ $'\\'' @", vec![Bare, Unclear]),
            ("\"${x:-'}\" @", vec![Unclear]),
        ] {
            assert_eq!(at_signs(script), expected, "{script}");
        }
    }

    #[test]
    fn here_documents_are_seen() {
        for (script, expected) in [
            ("cat <<E @\n@ '\nE\n@", vec![Bare, HereDocument, Bare]),
            (
                "cat <<'E' <<-\"F G\"\n@\nE\n\t@\n\tF G\n@",
                vec![HereDocument, HereDocument, Bare],
            ),
            ("cat <<E\n@\n E\n@", vec![HereDocument, HereDocument]),
            ("cat <<< @", vec![Bare]),
            ("cat <<@\n@", vec![HereDocument, HereDocument]),
            ("x=$(cat <<E\n@ )\nE\n) @", vec![HereDocument, Bare]),
        ] {
            assert_eq!(at_signs(script), expected, "{script}");
        }
    }

    #[test]
    fn data_is_followed_into_the_scripts_inside() {
        let is_refused = |script: &str| {
            let places: Vec<usize> = script.match_indices('@').map(|(at, _)| at).collect();
            let scan = ShellScan::new(script.as_bytes(), &places, ShellRules::default());
            scan.quoting.iter().any(|quoting| *quoting != Bare) || !scan.numbers.is_empty()
        };
        for script in [
            "v=@ sh -c 'eval \"$v\"'",
            "export v=@; sh -c 'eval \"$v\"'",
            "v=@ bash -c 'echo $((v))'",
            "v=@ nice bash -c 'sh -c \"eval \\$v\"'",
            "printf -v v %s @; eval $v",
            "v=@; printf $v x",
            "v=@; printf -v n $v; eval $n",
            "v=@; printf -v $v %s x",
            "printf -vv %s @; eval $v",
            "tee >(sh) <<< @",
            "echo @ > f; sh f",
            "echo @ >> ./f; . f",
            "echo @ > f; chmod +x f; ./f",
            "echo @ | sh -c 'cat | sh'",
            "echo @ | sh -c 'read x; eval \"$x\"'",
        ] {
            assert!(is_refused(script), "{script}");
        }
        for script in [
            "v=@ sh -c 'echo \"$v\"'",
            "echo @ > f; sort f",
            "grep @ f > out; sed -n 1p out",
            "echo @ > f; sh g",
            "tee >(cat) <<< @",
            "v=@; printf '[%s]' $v",
            "v=@; printf %s x$v y | wc -c",
            "i=0; while [ $i -lt 3 ]; do echo \"$i\" @; i=$((i+1)); done",
        ] {
            assert!(!is_refused(script), "{script}");
        }
    }

    #[test]
    fn scripts_inside_scripts_take_no_more_than_their_length() {
        let mut script = "eval \"$X\"".to_owned();
        while script.len() < 100_000 {
            script = format!("sh -c '{}'", script.replace('\'', "'\\''"));
        }
        // This would not come to its end if each script were read again for each one around it.
        assert!(
            ShellScan::inherited(script.as_bytes())
                .variables
                .contains(&b"X"[..])
        );
    }

    #[test]
    fn what_a_script_runs_of_its_surroundings_is_known() {
        for (script, stdin, variables) in [
            ("sh", true, vec![]),
            ("bash -s x", true, vec![]),
            ("cat | sh", true, vec![]),
            ("read x; eval $x", true, vec!["x"]),
            ("while read l; do echo \"$l\"; done", false, vec![]),
            ("eval $X; echo $Y", false, vec!["X"]),
            ("sh -c 'eval $X'", false, vec!["X"]),
            ("sh -c \"$X\"", false, vec!["X"]),
            ("echo $((N * 2)) $M", false, vec!["N"]),
            ("cat; echo \"$X\"", false, vec![]),
        ] {
            let inherited = ShellScan::inherited(script.as_bytes());
            let names: Vec<&[u8]> = inherited.variables.iter().map(|name| &**name).collect();
            let expected: Vec<&[u8]> = variables
                .iter()
                .map(|name: &&str| name.as_bytes())
                .collect();
            assert_eq!((inherited.stdin, names), (stdin, expected), "{script}");
        }
    }

    #[test]
    fn words_are_quoted_where_a_shell_could_read_more_into_them() {
        for (word, quoted) in [
            ("a/b-c.txt", "a/b-c.txt"),
            ("", "''"),
            ("a b", "'a b'"),
            ("it's", "'it'\\''s'"),
            ("$(x)", "'$(x)'"),
            ("2", "'2'"),
            ("done", "'done'"),
            ("A=b", "'A=b'"),
            ("~", "'~'"),
        ] {
            let mut line = Vec::new();
            quote_for_shell(word.as_bytes(), &mut line);
            assert_eq!(line, quoted.as_bytes());
        }
    }

    proptest::proptest! {
        #[test]
        fn quoted_words_come_back_unchanged(words in proptest::collection::vec("[^\0]*", 1..6)) {
            let mut line = Vec::new();
            for word in &words {
                quote_for_shell(word.as_bytes(), &mut line);
                line.push(b' ');
            }
            let line = String::from_utf8(line).unwrap();
            proptest::prop_assert_eq!(shlex::split(&line), Some(words));
        }

        #[test]
        fn any_script_is_scanned_to_its_end(script: Vec<u8>, place in 0usize..64) {
            let scan = ShellScan::new(&script, &[place], ShellRules::default());
            proptest::prop_assert_eq!(scan.quoting.len(), 1);
        }

        #[test]
        fn intricate_scripts_are_scanned_to_their_end(script in "[`'\"$(){}<#\\\\a \n@]{0,40}") {
            at_signs(&script);
        }
    }
}
