//! `bex template` and `bex run --template NAME`: what is saved is checked, and so is what it is run with.

use serde_json::{Value, json};

use crate::common::Place;

const CONVERT: &str = r#"
description: Converts a file
params:
  file: {type: text, description: what to convert}
  quality: {type: integer, default: 5}
  kind: {type: text, default: ogg, choices: [ogg, mp3]}
defaults: {max_retries: 0}
tasks:
  - id: convert
    name: Convert {{ params.file }}
    shell: echo {{ params.file }} {{ params.quality }} {{ params.kind }} >> effects
  - id: check
    depends_on: [convert]
    shell: test {{ params.quality }} -lt 10
"#;

fn saved() -> Place {
    let place = Place::new();
    std::fs::write(place.path("convert.yaml"), CONVERT).unwrap();
    place
        .bex(&["template", "save", "convert", "convert.yaml"])
        .expect(0);
    place
}

fn run(place: &Place, more: &[&str]) -> crate::common::Ended {
    place.bex(&[&["run", "--template", "convert", "--format=none"], more].concat())
}

#[test]
fn a_template_is_run_with_values() {
    let place = saved();
    run(
        &place,
        &["--param", "file=a b; touch x", "--param", "kind=mp3"],
    )
    .expect(0);
    assert_eq!(place.read("effects"), "a b; touch x 5 mp3\n");
    assert!(!place.has("x"), "a value was executed");
    let task = place.bex(&["show", "convert", "--json"]).expect(0).json();
    assert_eq!(task["name"], "Convert a b; touch x");
}

#[test]
fn a_template_is_run_for_each_row() {
    let place = saved();
    std::fs::write(
        place.path("rows.csv"),
        "file,quality\none,1\ntwo,\nthree,30\n",
    )
    .unwrap();
    run(
        &place,
        &["--rows", "rows.csv", "--param", "kind=mp3", "-j1"],
    )
    .expect(1);
    let effects = place.read("effects");
    let mut ran: Vec<&str> = effects.lines().collect();
    ran.sort_unstable();
    assert_eq!(ran, ["one 1 mp3", "three 30 mp3", "two 5 mp3"]);
    let results = place
        .bex(&["results", "--failed", "--json"])
        .expect(0)
        .json();
    assert_eq!(results["tasks"][0]["id"], "check-3");
    assert_eq!(results["tasks"].as_array().unwrap().len(), 1);
}

#[test]
fn wrong_values_are_all_told_and_nothing_is_made() {
    let place = saved();
    let values = [
        "--param",
        "fiel=a",
        "--param",
        "quality=best",
        "--param",
        "kind=wav",
    ];
    let refused = run(&place, &values).expect(2);
    for part in [
        "no parameter \"fiel\"; did you mean \"file\"?",
        "\"quality\" must be a whole number",
        "\"kind\" must be one of",
        "\"file\" (text) is not given",
    ] {
        assert!(refused.stderr.contains(part), "{part}: {}", refused.stderr);
    }
    std::fs::write(place.path("rows.csv"), "file,quality\none,1\ntwo,best\n").unwrap();
    let refused = run(&place, &["--rows", "rows.csv"]).expect(2);
    assert!(refused.stderr.contains("rows.csv:3"), "{refused:?}");
    for args in [
        &["--rows", "missing.csv"][..],
        &["--param", "file"],
        &["--param", "file=a", "--param", "file=b"],
        &["--param", "file=a", "--", "echo"],
    ] {
        let refused = run(&place, args).expect(2);
        assert_ne!(refused.stderr, "", "{args:?}");
    }
    assert!(!place.has("effects"));
    assert_eq!(place.bex(&["list"]).expect(0).stdout, "no batches\n");
}

#[test]
fn params_go_with_a_template_and_a_template_that_is_not_there_is_told() {
    let place = saved();
    place
        .bex(&["run", "--param", "a=b", "--", "echo", ":::", "x"])
        .expect(2);
    for args in [
        &["run", "--template", "convrt"][..],
        &["template", "show", "convrt"],
    ] {
        let refused = place.bex(args).expect(2);
        assert!(refused.stderr.contains("convert"), "{args:?}: {refused:?}");
    }
    let outside = place.bex(&["template", "show", "../convert"]).expect(2);
    assert!(
        outside.stderr.contains("there is no template"),
        "{outside:?}"
    );
}

#[test]
fn a_broken_template_is_not_saved_and_the_old_one_stays() {
    let place = saved();
    let broken = "params: {file: {type: string}}\ntasks: [{shell: 'echo {{ params.fiel }}'}]\n";
    std::fs::write(place.path("broken.yaml"), broken).unwrap();
    let save = ["template", "save", "convert", "broken.yaml", "--replace"];
    let refused = place.bex(&save).expect(2);
    assert!(refused.stderr.contains("string"), "{refused:?}");
    run(&place, &["--param", "file=a"]).expect(0);
    place
        .bex(&["template", "save", "none", "missing.yaml"])
        .expect(2);
}

#[test]
fn templates_are_listed_as_text_and_as_json() {
    let place = saved();
    std::fs::write(
        place.path("one.json"),
        r#"{"tasks": [{"command": ["true"]}]}"#,
    )
    .unwrap();
    let save = ["template", "save", "one", "one.json", "--json"];
    place.bex(&save).expect(0).json();
    let broken = place.path("home/templates/odd.yaml");
    std::fs::write(broken, "tasks: 7\n").unwrap();
    let list = place.bex(&["template", "list", "--json"]).expect(0).json();
    let names: Vec<&Value> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|t| &t["name"])
        .collect();
    assert_eq!(names, ["convert", "odd", "one"]);
    let params: Vec<&Value> = list[0]["params"].as_array().unwrap().iter().collect();
    assert_eq!(params.len(), 3);
    assert_eq!(params[1]["default"], json!(5));
    assert_ne!(list[1]["problems"], Value::Null);
    let text = place.bex(&["template", "list"]).expect(0).stdout;
    assert!(text.contains("Converts a file"), "{text}");
    assert!(
        text.lines()
            .any(|line| line.starts_with("odd") && line.contains("broken:")),
        "{text}"
    );
    let shown = place
        .bex(&["template", "show", "convert", "--json"])
        .expect(0)
        .json();
    assert_eq!(shown["source"], CONVERT);
    let gone = place.bex(&["template", "rm", "one", "--json"]).expect(0);
    gone.json();
    place.bex(&["template", "show", "one"]).expect(2);
}
