//! What is shown to a person is what is there: no text from outside steers the terminal or hides a part of itself.

use crate::common::{Ended, Place};
use serde_json::json;

/// An escape sequence, a carriage return, a right-to-left override, a zero width space, a line separator, a tag, a
/// control of eight bits, a soft hyphen, a byte order mark.
const FOREIGN: &str = "rm \u{1b}[2K\r\u{202e}\u{200b}\u{2028}\u{e0041}\u{9b}\u{ad}\u{feff}x";
const SHOWN: &str = r"rm \u{1b}[2K\r\u{202e}\u{200b}\u{2028}\u{e0041}\u{9b}\u{ad}\u{feff}x";

#[track_caller]
fn is_clean(ended: &Ended) {
    let text = format!("{}{}", ended.stdout, ended.stderr);
    let hidden = |c: &char| {
        c.is_control() && !matches!(c, '\n' | '\t')
            || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{feff}' | '\u{e0041}')
    };
    assert_eq!(text.chars().find(hidden), None, "{ended:#?}");
}

#[track_caller]
fn shows(ended: &Ended) {
    is_clean(ended);
    let text = format!("{}{}", ended.stdout, ended.stderr);
    assert!(text.contains(SHOWN), "{ended:#?}");
}

#[test]
fn a_dry_run_shows_items_names_and_scripts() {
    let place = Place::new();
    for args in [
        &["run", "--dry-run", "--", "echo", "{}", ":::", FOREIGN][..],
        &["run", "--dry-run", "--shell", "echo {}", ":::", FOREIGN],
        &[
            "run",
            "--dry-run",
            "--function",
            "custom_function",
            "--params",
            r#"{"code": "def process(x): pass", "args": {"x": "{}"}}"#,
            ":::",
            FOREIGN,
        ],
    ] {
        let ended = place.bex(args).expect(0);
        // JSON has escapes of its own.
        match args.contains(&"--function") {
            true => is_clean(&ended),
            false => shows(&ended),
        }
    }
    place.tasks(&json!([{"name": FOREIGN, "command": ["true"]}, {"shell": FOREIGN}, {"function": "simulate", "id": FOREIGN}]));
    let ended = place.bex(&["run", "--dry-run", "tasks.json"]).expect(0);
    shows(&ended);
    assert_eq!(ended.stdout.lines().count(), 3, "{ended:#?}");
}

#[test]
fn every_verb_shows_what_is_there() {
    let place = Place::new();
    let script = format!("printf '%s' '{FOREIGN}' >&2; exit 1");
    place.tasks(&json!({"name": FOREIGN, "tasks": [
        {"id": FOREIGN, "shell": script, "tags": [FOREIGN], "max_retries": 0, "env": {"X": FOREIGN}},
        {"name": FOREIGN, "command": ["true"], "depends_on": FOREIGN}
    ]}));
    for progress in ["plain", "none"] {
        shows(
            &place
                .bex(&["run", "tasks.json", "--progress", progress])
                .expect(1),
        );
    }
    for args in [
        &["list"][..],
        &["status"],
        &["show", "1"],
        &["show", "2"],
        &["why", "1"],
        &["why", "2"],
        &["results"],
        &["results", "--format", "summary"],
        &["wait"],
        &["watch"],
        &["export", "-o", "x.csv"],
    ] {
        is_clean(&place.bex(args));
    }
    shows(&place.bex(&["list"]).expect(0));
    shows(&place.bex(&["show", "1"]).expect(0));
    // Data for programs stays as it is.
    let document = place.bex(&["results", "--json"]).json();
    assert_eq!(document["tasks"][0]["id"], FOREIGN);
    let raw = place.bex(&["logs", "1"]);
    assert_eq!(raw.stderr, FOREIGN);
}

#[test]
fn mistakes_repeat_what_was_given_in_a_visible_way() {
    let place = Place::new();
    let option = format!("--x{FOREIGN}");
    let file = format!("{FOREIGN}.json");
    std::fs::write(
        place.path(&file),
        format!("[{{\"command\": [], \"{}\": 1}}]", "a\u{202e}b"),
    )
    .unwrap();
    std::fs::write(
        place.path("bad.json"),
        json!([{"name": FOREIGN, "priority": FOREIGN}]).to_string(),
    )
    .unwrap();
    let two_lines = "no\nbex: all is well";
    for args in [
        &["run", &option][..],
        &[FOREIGN],
        &["run", FOREIGN],
        &["run", &file],
        &["run", "bad.json"],
        &["status", "-b", FOREIGN],
        &["show", FOREIGN],
        &["cancel", FOREIGN],
        &["results", "--filter", FOREIGN],
        &["run", "--template", FOREIGN],
        &["template", "show", FOREIGN],
        &["run", "--param", FOREIGN, "--template", "x"],
        &["export", "-o", FOREIGN],
        &["run", "--function", FOREIGN, ":::", "a"],
        &["add", "--function", FOREIGN],
        &[
            "add",
            "--id",
            FOREIGN,
            "--depends-on",
            FOREIGN,
            "--",
            "true",
        ],
        &["status", "--store", FOREIGN],
        &["run", "--store", FOREIGN, "--resume", "x"],
    ] {
        let ended = place.bex(args);
        is_clean(&ended);
        assert_eq!(ended.code, Some(2), "{args:?} {ended:#?}");
    }
    let ended = place.bex(&["run", two_lines]).expect(2);
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:#?}");
}
