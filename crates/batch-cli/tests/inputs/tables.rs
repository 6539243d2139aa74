//! Tables with other separators than commas, and tasks of a matrix, run.

use crate::common::Place;

#[test]
#[expect(clippy::too_many_lines, reason = "one case after the other")]
fn tables_have_tabs_or_semicolons() {
    let place = Place::new();
    std::fs::write(
        place.path("t.yaml"),
        "command: [echo, '{{ row.a }}-{{ row.b }}']\n",
    )
    .unwrap();
    std::fs::write(place.path("t.tsv"), "a\tb\nx y\t\"1\t2\"\n").unwrap();
    std::fs::write(place.path("t.csv"), "a;b\n\"x;y\";2,5\n").unwrap();
    let printed = |args: &[&str]| {
        let args = [&["run", "--template", "t.yaml", "--format", "raw"], args].concat();
        place.bex(&args).expect(0).stdout
    };
    assert_eq!(printed(&["t.tsv"]), "x y-1\t2\n");
    assert_eq!(printed(&["t.csv", "--sep", ";"]), "x;y-2,5\n");
    assert_eq!(
        printed(&["t.csv", "--sep", "semicolon", "--input", "csv"]),
        "x;y-2,5\n"
    );
    let input = std::fs::read(place.path("t.tsv")).unwrap();
    let args = [
        "run",
        "-",
        "--input",
        "tsv",
        "--template",
        "t.yaml",
        "--format",
        "raw",
    ];
    assert_eq!(place.bex_with(&input, &args).expect(0).stdout, "x y-1\t2\n");
    place
        .bex(&[
            "add",
            "--file",
            "t.csv",
            "--sep",
            ";",
            "--template",
            "t.yaml",
        ])
        .expect(0);
    let shown = place.bex(&["show", "1", "--json"]).expect(0).json();
    assert_eq!(shown["params"]["argv"][1], "x;y-2,5");

    let template = "params: {a: {type: text}, b: {type: text}}\ntasks: [{command: [echo, '{{ params.b }}']}]\n";
    std::fs::write(place.path("s.yaml"), template).unwrap();
    place.bex(&["template", "save", "s", "s.yaml"]).expect(0);
    let saved = |rows: &[&str]| {
        let args = [
            &["run", "--template", "s", "--format", "raw", "--rows"],
            rows,
        ]
        .concat();
        place.bex(&args).expect(0).stdout
    };
    assert_eq!(saved(&["t.tsv"]), "1\t2\n");
    assert_eq!(saved(&["t.csv", "--sep", ";"]), "2,5\n");
    for args in [
        &["run", "t.csv", "--template", "t.yaml", "--sep", "ab"][..],
        &["run", "t.yaml", "--sep", ";"],
        &["run", "t.yaml", "--colsep", ";"],
    ] {
        let refused = place.bex(args).expect(2);
        assert!(refused.stderr.contains("sep"), "{args:?}: {refused:?}");
    }
}

#[test]
fn a_matrix_is_mapped_and_then_reduced() {
    let place = Place::new();
    let tasks = "
tasks:
- id: train
  shell: 'echo {{ matrix.lr }} {{ matrix.seed }} > out-{{ matrix.lr }}-{{ matrix.seed }}'
  matrix: {lr: [0.1, 0.01], seed: {from: 1, to: 3}}
  exclude: [{lr: 0.01, seed: 3}]
- id: sum
  shell: cat out-* | sort
  depends_on: [train-*]
";
    std::fs::write(place.path("tasks.yaml"), tasks).unwrap();
    let args = ["run", "tasks.yaml", "--format", "json"];
    let document = place.bex(&args).expect(0).json();
    let tasks = document["tasks"].as_array().unwrap();
    assert_eq!(tasks.len(), 6);
    let sum = tasks.iter().find(|task| task["id"] == "sum").unwrap();
    assert_eq!(
        sum["result"]["stdout"],
        "0.01 1\n0.01 2\n0.1 1\n0.1 2\n0.1 3\n"
    );
    let shown = place
        .bex(&["show", "train[0.1,3]", "--json"])
        .expect(0)
        .json();
    assert_eq!(shown["status"], "completed");
    let resumed = place.bex(&["run", "--resume", "tasks.yaml"]).expect(0);
    assert!(!resumed.stderr.contains("6 new"), "{resumed:?}");
}

#[test]
fn columns_may_be_separated_by_a_blank() {
    let place = Place::new();
    let ended = place
        .bex_with(
            b"a b\nc d\n",
            &["run", "-k", "--colsep", " ", "--", "echo", "{2}"],
        )
        .expect(0);
    assert_eq!(ended.stdout, "b\nd\n");
}
