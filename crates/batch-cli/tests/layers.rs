//! What the layers below the front ends must not hold: advice in the words of the command line.

use std::fs;
use std::path::{Path, PathBuf};

/// The crates that speak to someone.
const FRONT_ENDS: [&str; 2] = ["batch-cli", "batch-mcp-server"];

const VERBS: [&str; 28] = [
    "run",
    "add",
    "start",
    "stop",
    "resume",
    "pause",
    "set",
    "cancel",
    "release",
    "retry",
    "clear",
    "status",
    "list",
    "show",
    "why",
    "logs",
    "watch",
    "wait",
    "results",
    "export",
    "rm",
    "prune",
    "template",
    "mcp",
    "tool",
    "execute",
    "completions",
    "man",
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// The lines of code that name a command of `bex` in a text.
fn commands_in(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let names_command = |line: &&str| {
        let mut rest = line.split("bex ").skip(1);
        rest.any(|after| {
            let word = after.split(|c: char| !c.is_ascii_alphabetic()).next();
            word.is_some_and(|word| VERBS.contains(&word))
        })
    };
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .filter(names_command)
        .map(|line| format!("{}: {}", path.display(), line.trim()))
        .collect()
}

#[test]
fn no_layer_below_the_front_ends_names_a_command() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut wrong = Vec::new();
    for entry in fs::read_dir(crates).unwrap() {
        let entry = entry.unwrap();
        if FRONT_ENDS.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        let mut files = Vec::new();
        sources(&entry.path().join("src"), &mut files);
        assert!(!files.is_empty(), "{}", entry.path().display());
        wrong.extend(files.iter().flat_map(|path| commands_in(path)));
    }
    assert_eq!(wrong, Vec::<String>::new());
    // It would find some.
    let hints = crates.join("batch-cli/src/hints.rs");
    assert!(!commands_in(&hints).is_empty());
}
