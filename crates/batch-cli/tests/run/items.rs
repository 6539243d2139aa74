//! Items: from standard input, from the command line, and how they get into a command.

use serde_json::json;

use crate::common::Place;

#[test]
fn items_come_from_the_lines_of_standard_input() {
    let ended = Place::new().bex_with(b"a b\nc\n", &["run", "-k", "--", "echo", "got"]);
    assert_eq!(ended.expect(0).stdout, "got a b\ngot c\n");
}

#[test]
fn a_last_line_without_a_newline_counts() {
    let ended = Place::new().bex_with(b"a\nb", &["run", "-k", "--", "echo"]);
    assert_eq!(ended.expect(0).stdout, "a\nb\n");
}

#[test]
fn items_come_from_the_command_line() {
    let ended = Place::new().bex(&["run", "-k", "--", "printf", "%s.", ":::", "a b", "$HOME"]);
    assert_eq!(ended.expect(0).stdout, "a b.$HOME.");
}

#[test]
fn separators_are_words_to_other_verbs_and_data_on_standard_input() {
    let place = Place::new();
    let args = ["run", "-k", "--", "echo"];
    let input = b":::\n::::\n";
    assert_eq!(place.bex_with(input, &args).expect(0).stdout, ":::\n::::\n");
    place.bex(&["add", "--", "echo", ":::", "a"]).expect(0);
    let task = place.bex(&["show", "1", "--json"]).expect(0).json();
    assert_eq!(task["params"]["argv"], json!(["echo", ":::", "a"]));
}

#[test]
fn a_shell_gets_items_quoted() {
    let place = Place::new();
    let items = [
        "$(touch x)",
        "`touch x`",
        "a'b\"c",
        "; touch x",
        "-",
        "two  spaces",
        "*",
    ];
    let mut args = vec!["run", "-k", "--shell", "printf '%s\\n' {}", ":::"];
    args.extend(items);
    let ended = place.bex(&args).expect(0);
    assert_eq!(ended.stdout.lines().collect::<Vec<_>>(), items);
    assert!(!place.has("x"), "an item was executed");
    let ended = place.bex_with(
        b"$(touch x)\nb\n",
        &["run", "-k", "--shell", "echo {} | tr a-z A-Z"],
    );
    assert_eq!(ended.expect(0).stdout, "$(TOUCH X)\nB\n");
    assert!(!place.has("x"), "a line was executed");
}

#[test]
fn items_may_end_with_nul() {
    let args = ["run", "-k", "-0", "--", "printf", "<%s>"];
    let ended = Place::new().bex_with(b"a\nb\0c\0", &args);
    assert_eq!(ended.expect(0).stdout, "<a\nb><c>");
}

#[test]
fn no_items_is_success_and_runs_nothing() {
    let place = Place::new();
    let ended = place
        .bex_with(b"", &["run", "--", "touch", "marker"])
        .expect(0);
    assert_eq!(ended.stdout, "");
    assert!(!place.has("marker"));
    place.tasks(&json!([]));
    place
        .bex(&["run", "tasks.json", "--format", "jsonl"])
        .expect(0);
}

#[test]
fn what_runs_nothing_leaves_no_batch() {
    let place = Place::new();
    place.tasks(&json!([]));
    for (args, code) in [
        (&["run", "--", "echo"][..], 0),
        (&["run", "tasks.json"], 0),
        (&["run", "--key", "k", "--", "echo"], 0),
        (&["run", "--resume", "tasks.json"], 0),
        (&["run", "--store", "b.db", "tasks.json"], 0),
        (&["run", "-o", "none/out.json", "--", "echo", ":::", "a"], 3),
        (&["run", "--resume", "tasks.json", "-o", "none/x.csv"], 3),
    ] {
        let ended = place.bex(args).expect(code);
        assert_eq!(ended.stdout, "", "{args:?}");
        assert!(
            code != 0 || ended.stderr.ends_with("0 tasks\n"),
            "{ended:?}"
        );
    }
    let long = [b'x'; 200_000];
    place.bex_with(&long, &["run", "--", "echo"]).expect(2);
    assert_eq!(place.bex(&["list"]).expect(0).stdout, "no batches\n");
    assert!(!place.has("b.db"));
    place
        .bex(&["run", "tasks.json", "-o", "out.json"])
        .expect(0);
    assert!(place.read("out.json").contains("\"total_tasks\":0"));
}

#[test]
fn every_placeholder_is_replaced() {
    let args = [
        "run", "-k", "--", "echo", "{}", "{.}", "{/}", "{//}", "{#}", "a{}b", ":::",
    ];
    let mut args = args.to_vec();
    args.extend(["d.x/f.tar.gz", "plain"]);
    let ended = Place::new().bex(&args).expect(0);
    let expected =
        "d.x/f.tar.gz d.x/f.tar f.tar.gz d.x 1 ad.x/f.tar.gzb\nplain plain plain . 2 aplainb\n";
    assert_eq!(ended.stdout, expected);
}

#[test]
fn a_command_without_a_placeholder_gets_the_item_appended() {
    let ended = Place::new().bex(&["run", "-k", "--", "echo", "x", ":::", "a"]);
    assert_eq!(ended.expect(0).stdout, "x a\n");
    let ended = Place::new().bex(&["run", "-k", "--", "echo", "n{#}", ":::", "a", "b"]);
    assert_eq!(ended.expect(0).stdout, "n1\nn2\n");
}

#[test]
fn a_template_of_another_tool_arrives_unchanged_from_the_command_line() {
    let args = ["run", "--", "echo", "{{.Names}}", ":::", "a"];
    let ended = Place::new().bex(&args).expect(0);
    assert_eq!(ended.stdout, "{{.Names}} a\n");
}

#[test]
fn a_file_refuses_an_unknown_placeholder_and_says_how_to_write_braces() {
    let place = Place::new();
    place.tasks(&json!([{"command": ["echo", "{{.Names}}"]}]));
    let ended = place
        .bex(&["run", "tasks.json", "--format", "raw"])
        .expect(2);
    let escape = r#"{{ "{{" }}"#;
    assert!(
        ended.stderr.contains(".Names") && ended.stderr.contains(escape),
        "{ended:#?}"
    );
    place.tasks(&json!([{"command": ["echo", format!("{escape}.Names}}}}")]}]));
    let ended = place
        .bex(&["run", "tasks.json", "--format", "raw"])
        .expect(0);
    assert_eq!(ended.stdout, "{{.Names}}\n");
}

#[test]
fn a_script_may_print_its_item_without_quotes() {
    let place = Place::new();
    let ended = place
        .bex(&[
            "run",
            "-k",
            "--",
            "sh",
            "-c",
            "printf '[%s]' $1",
            "_",
            ":::",
            "1",
            "2",
            "3",
        ])
        .expect(0);
    assert_eq!(ended.stdout, "[1][2][3]");
}
