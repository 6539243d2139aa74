//! What the docs show is true: queries and their answers, tables, verbs, options, and the keys of JSON replies.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use tempfile::TempDir;

/// A page of the project, by its path from the top.
fn page(name: &str) -> String {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::fs::read_to_string(top.join(name)).unwrap()
}

/// The blocks of a language, each with what is between it and the next one.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<(&'a str, &'a str)> {
    let open = format!("```{language}\n");
    text.split(&open)
        .skip(1)
        .map(|rest| rest.split_once("```").unwrap())
        .collect()
}

/// A folder with a state folder of its own.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, program: &str, args: &[&str]) -> Output {
        let binary = Path::new(env!("CARGO_BIN_EXE_bex"));
        let folders = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(binary.parent().unwrap().to_owned())
            .chain(std::env::split_paths(&folders));
        Command::new(program)
            .args(args)
            .current_dir(self.0.path())
            .env("PATH", std::env::join_paths(folders).unwrap())
            .env("BEX_HOME", self.path("home"))
            .env("XDG_CONFIG_HOME", self.path("config"))
            .env("LC_ALL", "C")
            .output()
            .unwrap()
    }

    fn bex(&self, args: &[&str]) -> Output {
        self.run(env!("CARGO_BIN_EXE_bex"), args)
    }

    /// What `bex` replies as JSON.
    fn json(&self, args: &[&str]) -> Value {
        let ended = self.bex(args);
        serde_json::from_slice(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
    }

    fn read(&self, db: &str) -> Connection {
        Connection::open_with_flags(self.path(db), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap()
    }
}

/// The answer to a query in the way of `sqlite3`: a line a row, columns apart by `|`.
fn answer(connection: &Connection, query: &str) -> String {
    let mut statement = connection
        .prepare(query)
        .unwrap_or_else(|error| panic!("{query}: {error}"));
    let columns = statement.column_count();
    let mut rows = statement.query([]).unwrap();
    let mut lines = String::new();
    while let Some(row) = rows.next().unwrap() {
        let cells: Vec<String> = (0..columns)
            .map(|column| match row.get_ref(column).unwrap() {
                ValueRef::Null => String::new(),
                ValueRef::Integer(number) => number.to_string(),
                ValueRef::Real(number) => format!("{number:?}"),
                ValueRef::Text(text) => String::from_utf8(text.to_vec()).unwrap(),
                ValueRef::Blob(_) => panic!("{query}: bytes are no answer for people"),
            })
            .collect();
        lines += &cells.join("|");
        lines.push('\n');
    }
    lines
}

/// The lines without what differs between two runs: times, and the order that follows from them.
fn timeless(answer: &str) -> Vec<String> {
    let cell = |cell: &str| {
        let is_time = cell.contains('.') && cell.chars().all(|c| "0123456789.:e-".contains(c));
        if is_time { "TIME" } else { cell }.to_owned()
    };
    let line = |line: &str| line.split('|').map(cell).collect::<Vec<_>>().join("|");
    let mut lines: Vec<String> = answer
        .lines()
        .filter(|line| !line.is_empty())
        .map(line)
        .collect();
    lines.sort_unstable();
    lines
}

#[test]
fn queries_give_the_answers_shown() {
    let text = page("docs/batch-file.md");
    let place = Place::new();
    let [(made_by, _)] = blocks(&text, "sh")[..] else {
        panic!("one line makes the batch");
    };
    let ended = place.run("sh", &["-c", made_by]);
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    let connection = place.read("b.db");
    let mut compared = 0;
    for (query, after) in blocks(&text, "sql") {
        let given = answer(&connection, query);
        // The answer, where one is shown, is right behind the query.
        if let Some(shown) = after.trim_start().strip_prefix("```text\n") {
            let shown = shown.split("```").next().unwrap();
            assert_eq!(timeless(&given), timeless(shown), "{query}");
            compared += 1;
        } else {
            assert_eq!(given, "", "{query}");
        }
    }
    assert!(compared >= 9, "only {compared} answers");
}

#[test]
fn every_table_and_column_is_described() {
    let text = page("docs/batch-file.md");
    let place = Place::new();
    let made = place.bex(&["add", "--store", "b.db", "--", "true"]);
    assert!(made.status.success(), "{made:?}");
    let columns = "select t.name || '|' || c.name from sqlite_schema t, pragma_table_info(t.name) c
        where t.type in ('table', 'view') and t.name not like 'sqlite_%'";
    let columns = answer(&place.read("b.db"), columns);
    assert!(columns.lines().count() >= 70, "{columns}");
    for line in columns.lines() {
        let (table, column) = line.split_once('|').unwrap();
        let (_, section) = text
            .split_once(&format!("**`{table}`**"))
            .unwrap_or_else(|| panic!("{table} is not described"));
        let section = section.split("\n**`").next().unwrap();
        let section = section.split("\n## ").next().unwrap();
        assert!(
            section.contains(&format!("`{column}`")),
            "{table}.{column} is not described"
        );
    }
}

/// The commands of `bex` in a page's sessions: the words of each, up to where its own options end.
fn commands(text: &str) -> Vec<Vec<String>> {
    let lines = blocks(text, "console")
        .into_iter()
        .flat_map(|(block, _)| block.lines());
    let shown = lines.filter_map(|line| line.strip_prefix("$ "));
    let calls = shown.flat_map(|line| line.split(" && ").flat_map(|part| part.split(" | ")));
    calls
        .filter_map(|call| call.strip_prefix("bex "))
        .map(|call| {
            call.split_whitespace()
                .take_while(|word| !["--", ":::", "#", "<"].contains(word))
                .map(|word| word.trim_end_matches(';').to_owned())
                .collect()
        })
        .collect()
}

#[test]
fn verbs_and_options_of_the_docs_exist() {
    let place = Place::new();
    let pages = [
        "README.md",
        "docs/guide.md",
        "docs/agents.md",
        "docs/batch-file.md",
    ];
    let shown: Vec<_> = pages
        .iter()
        .flat_map(|name| commands(&page(name)))
        .collect();
    assert!(shown.len() >= 60, "only {} commands", shown.len());
    for words in shown {
        let help = place.bex(&[&words[0], "--help"]);
        assert!(help.status.success(), "there is no verb: {words:?}");
        let help = String::from_utf8(help.stdout).unwrap();
        let options: BTreeSet<&str> = help
            .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
            .collect();
        for word in words.iter().filter(|word| word.starts_with("--")) {
            assert!(options.contains(word.as_str()), "{word} of {words:?}");
        }
    }
}

#[test]
fn every_verb_is_in_the_guide() {
    let help = Place::new().bex(&["--help"]);
    let help = String::from_utf8(help.stdout).unwrap();
    let (verbs, _) = help.split_once("\nOptions:").unwrap();
    let verbs: Vec<&str> = verbs
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next())
        .collect();
    assert!(verbs.len() >= 25, "{verbs:?}");
    let guide = page("docs/guide.md");
    let elsewhere = ["help", "template", "mcp", "tool", "completions", "man"];
    for verb in verbs {
        let known = elsewhere.contains(&verb) || guide.contains(&format!("bex {verb}"));
        assert!(known, "{verb} is not in the guide");
    }
}

/// The names that the guide's table of JSON replies has for a verb.
fn keys_told(guide: &str, verb: &str) -> BTreeSet<String> {
    let (_, table) = guide.split_once("| verb | prints |").unwrap();
    let row = table
        .lines()
        .find(|line| {
            line.split(" | ")
                .next()
                .unwrap()
                .contains(&format!("`{verb}`"))
        })
        .unwrap_or_else(|| panic!("{verb} is not in the table"));
    let told = row.split(" | ").nth(1).unwrap();
    told.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

#[test]
fn json_replies_have_the_keys_told() {
    let guide = page("docs/guide.md");
    let place = Place::new();
    let check = |verb: &str, args: &[&str]| {
        let reply = place.json(args);
        let keys: BTreeSet<String> = reply.as_object().unwrap().keys().cloned().collect();
        assert_eq!(keys, keys_told(&guide, verb), "{verb}");
    };
    check("add", &["add", "--json", "--", "false"]);
    check("set", &["set", "-j", "2", "--json"]);
    check("pause", &["pause", "--json"]);
    check("start", &["start", "--json"]);
    check("wait", &["wait", "--json"]);
    check("status", &["status", "--json"]);
    check("retry", &["retry", "--json"]);
    check("cancel", &["cancel", "--all", "--json"]);
    check("why", &["why", "1", "--json"]);
    check("logs", &["logs", "1", "--json"]);
    check("results", &["results", "--json"]);
    check("export", &["export", "-o", "r.csv", "--json"]);
    check("clear", &["clear", "--json"]);
}

/// The Python with pandas, Polars, DuckDB and Perfetto where `.ci/run` puts them; `None`, loudly, when it is not there.
fn python_with_tables() -> Option<PathBuf> {
    let target = Path::new(env!("CARGO_BIN_EXE_bex")).ancestors().nth(2);
    let python = target
        .expect("the binary lies in target/PROFILE")
        .join("sdk/tables/bin/python");
    if python.exists() {
        return Some(python);
    }
    let message = format!(
        "NOT TESTED: there is no {}; .ci/run installs it",
        python.display()
    );
    assert!(std::env::var_os("CI").is_none(), "{message}");
    eprintln!("{message}");
    None
}

/// Runs SQL in DuckDB, and prints rows as the docs show them.
const DUCKDB: &str = "
import sys, duckdb
for statement in duckdb.extract_statements(sys.stdin.read()):
    for row in duckdb.execute(statement).fetchall() if 'copy' not in statement.query.lower() else duckdb.execute(statement) and []:
        print('|'.join(str(cell) for cell in row))
";

#[test]
fn recipes_print_what_is_shown() {
    let Some(python) = python_with_tables() else {
        return;
    };
    let python = python.to_str().unwrap();
    let text = page("docs/results.md");
    let place = Place::new();
    let (script, _) = blocks(&text, "sh")[0];
    assert!(place.run("sh", &["-ec", script]).status.success());
    let run = |code: &str, sql: &str| {
        let mut command = Command::new(python);
        command.args(["-c", code]).current_dir(place.0.path());
        let mut child = command
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        std::io::Write::write_all(&mut input, sql.as_bytes()).unwrap();
        drop(input);
        child.wait_with_output().unwrap()
    };
    let recipes = blocks(&text, "python")
        .into_iter()
        .map(|(code, after)| (run(code, ""), code, after));
    let queries = blocks(&text, "sql")
        .into_iter()
        .map(|(sql, after)| (run(DUCKDB, sql), sql, after));
    let mut tried = 0;
    for (output, recipe, after) in recipes.chain(queries) {
        let (_, shown) = after.split_once("```text\n").unwrap();
        let (shown, _) = shown.split_once("```").unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{recipe}\n{errors}");
        let lines = |text: &str| {
            text.trim()
                .lines()
                .map(|line| line.trim_end().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(lines(&printed), lines(shown), "{recipe}\n{errors}");
        tried += 1;
    }
    assert_eq!(tried, 5);
}
