//! The lines of `docs/coming-from.md` do what the page says: each is run in a folder of its own.

#[expect(dead_code, reason = "each test file uses its part")]
mod common;

use common::{Place, finish};

/// The commands in the second column of the tables.
fn commands(page: &str) -> Vec<String> {
    let rows = page.lines().filter(|line| line.starts_with("| "));
    let cells = rows.filter_map(|row| {
        let row = row.replace("\\|", "\u{1}");
        let cell = row.split('|').nth(2)?.trim().replace('\u{1}', "|");
        let code = cell.strip_prefix('`')?.strip_suffix('`')?;
        Some(code.to_owned())
    });
    cells.collect()
}

/// A place with the files that the lines use.
fn place() -> Place {
    let place = Place::new();
    std::fs::create_dir(place.path("a")).unwrap();
    for (name, content) in [
        ("a/b.txt", "text\n"),
        ("one.txt", "1\n"),
        ("two words.txt", "22\n"),
        ("list", "x\ny\nz\n"),
        ("files", "one.txt\n"),
        ("empty", ""),
        ("tsv", "a\tb\nc\td\n"),
        ("names", "name\nann\n"),
    ] {
        std::fs::write(place.path(name), content).unwrap();
    }
    place
}

#[test]
fn every_line_runs() {
    let page = include_str!("../../../docs/coming-from.md");
    let commands = commands(page);
    assert!(commands.len() > 60, "{} lines", commands.len());
    for line in commands {
        let place = place();
        let mut shell = place.command("sh");
        let script = line.replace("bex ", "\"$BEX\" ");
        shell
            .args(["-ec", &script])
            .env("BEX", env!("CARGO_BIN_EXE_bex"))
            .stdin(std::process::Stdio::null());
        let ended = finish(shell, b"");
        assert_eq!(ended.code, Some(0), "{line}: {ended:#?}");
    }
}
