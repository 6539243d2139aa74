//! What people know tasks and batches by, and its colours.

use serde_json::json;

use crate::common::{Ended, Place, finish};

#[test]
fn tasks_of_a_command_get_ids_and_names_made_of_their_items() {
    let place = Place::new();
    let run = [
        "run",
        "--id",
        "job-{/.}",
        "--task-name",
        "Job {#}: {}",
        "--format",
        "jsonl",
        "-k",
        "--",
        "echo",
        ":::",
        "d/a.txt",
        "b",
    ];
    let printed = place.bex(&run).expect(0).stdout;
    let labels: Vec<_> = printed
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|task| (task["id"].clone(), task["name"].clone()))
        .collect();
    assert_eq!(
        labels,
        [
            (json!("job-a"), json!("Job 1: d/a.txt")),
            (json!("job-b"), json!("Job 2: b")),
        ]
    );
    place.bex(&["show", "job-b"]).expect(0);
    let twice = [
        "run", "--key", "k", "--id", "job", "--", "touch", ":::", "marker", "b",
    ];
    let refused = place.bex(&twice).expect(2);
    assert!(
        refused
            .stderr
            .contains("its id would be \"job\", which task 1 has"),
        "{refused:?}"
    );
    assert!(!place.has("marker"));
}

#[test]
fn a_task_of_a_command_is_known_by_its_item() {
    let place = Place::new();
    std::fs::write(place.path("photo 12.jpg"), "").unwrap();
    let run = [
        "run",
        "--format",
        "text",
        "--",
        "ls",
        ":::",
        "photo 12.jpg",
        "none",
    ];
    let shown = place.bex(&run).expect(1);
    assert!(
        shown.stdout.contains("completed b1.1  photo 12.jpg  "),
        "{shown:?}"
    );
    assert!(shown.stdout.contains("failed    b1.2  none  "), "{shown:?}");
    assert!(
        shown.stderr.contains("b1.2 none"),
        "the cause names it: {shown:?}"
    );
    let why = place.bex(&["why", "1"]).expect(0).stdout;
    assert!(why.starts_with("b1.1 (photo 12.jpg) completed"), "{why}");
    let exported = place.bex(&["results", "--json", "1"]).expect(0).json();
    assert_eq!(exported["tasks"][0]["name"], "photo 12.jpg");
    let filter = ["results", "--filter", "name:~photo", "--format", "csv"];
    let found = place.bex(&filter).expect(0).stdout;
    let row = found.lines().nth(1).unwrap();
    assert!(row.starts_with("b1.1,photo 12.jpg,command,"), "{found}");
}

#[test]
fn a_task_without_a_name_is_known_by_its_id_or_its_command_line() {
    let place = Place::new();
    place.tasks(&json!([
        { "command": ["echo", "it's"] },
        { "id": "build", "shell": "true" },
        { "shell": format!("echo {} end", "long ".repeat(40)) },
        { "function": "simulate", "params": { "duration": 0 } },
    ]));
    let shown = place.bex(&["run", "tasks.json", "-k"]).expect(0).stdout;
    let names: Vec<&str> = shown
        .lines()
        .filter(|line| line.starts_with("completed"))
        .collect();
    assert!(
        names[0].starts_with(r"completed b1.1  echo 'it'\''s'  "),
        "{shown}"
    );
    assert!(names[1].starts_with("completed b1.2  build  "), "{shown}");
    assert!(
        names[2].starts_with("completed b1.3  echo long long")
            && names[2].contains("…")
            && names[2].contains(" end  "),
        "{shown}"
    );
    assert!(
        names[3].starts_with("completed b1.4  simulate  "),
        "{shown}"
    );
    assert!(names[2].chars().count() < 120, "{shown}");
}

#[test]
fn a_batch_without_a_name_is_listed_by_its_command() {
    let place = Place::new();
    place
        .bex(&["run", "--", "ls", "-d", "{}", ":::", "."])
        .expect(0);
    place
        .bex(&["run", "--shell", "wc -c {} | sort", ":::", "/dev/null"])
        .expect(0);
    place.tasks(&json!([{ "command": ["true"] }]));
    place.bex(&["run", "tasks.json"]).expect(0);
    place.bex(&["add", "--", "make", "docs"]).expect(0);
    place
        .bex(&["add", "--new", "--name", "nightly", "--", "true"])
        .expect(0);
    let list = place.bex(&["list"]).expect(0).stdout;
    let names: Vec<&str> = list
        .lines()
        .skip(1)
        .map(|line| {
            line.split_whitespace()
                .nth(5)
                .map_or("", |word| &line[line.find(word).unwrap()..])
        })
        .collect();
    for (line, name) in list.lines().skip(1).zip([
        "ls -d {}",
        "wc -c {} | sort",
        "tasks.json",
        "make docs",
        "nightly",
    ]) {
        assert!(line.ends_with(&format!("  {name}")), "{names:?}: {list}");
    }
    let json = place.bex(&["list", "--json"]).expect(0).json();
    assert_eq!(
        (&json[0]["name"], &json[0]["command"]),
        (&json!(null), &json!("ls -d {}"))
    );
}

#[test]
fn colours_are_where_they_are_wanted() {
    let place = Place::new();
    let script = "test -e {} || { touch b; exit 1; }";
    let run = [
        "run",
        "--progress",
        "none",
        "--max-retries",
        "1",
        "--shell",
        script,
        ":::",
        ".",
        "b",
        "/no",
    ];
    place.bex(&run).expect(1);
    let green = "\x1b[32mcompleted\x1b[0m";
    for args in [&["results"][..], &["list"], &["status"]] {
        let plain = place.bex(args).expect(0).stdout;
        assert!(!plain.contains('\x1b'), "{plain}");
        let coloured = place
            .bex(&[&["--color", "always"], args].concat())
            .expect(0)
            .stdout;
        assert!(coloured.contains("\x1b[31m"), "{coloured}");
        // Nothing else differs.
        let bare = ["\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[35m", "\x1b[0m"];
        let bare = bare
            .iter()
            .fold(coloured, |text, code| text.replace(code, ""));
        let head = |text: &str| text.lines().next().unwrap().to_owned();
        assert_eq!(head(&bare), head(&plain));
    }
    let results = place.bex(&["results", "--color=always"]).expect(0).stdout;
    assert!(results.contains(green), "{results}");
    assert!(
        results.contains("\x1b[33m(flaky, 2 attempts)\x1b[0m"),
        "{results}"
    );
    // Only texts for people have them.
    let raw = place
        .bex(&["results", "--color=always", "--format", "csv"])
        .expect(0)
        .stdout;
    assert!(!raw.contains('\x1b'), "{raw}");
}

/// The output of a command at a terminal.
fn at_a_terminal(place: &Place, line: &str, more: &[(&str, &str)]) -> Ended {
    let mut script = place.command("script");
    script.env("TERM", "xterm").env_remove("NO_COLOR");
    script
        .args(["-qec", line, "/dev/null"])
        .envs(more.iter().copied());
    finish(script, b"")
}

#[test]
fn a_terminal_has_colours_unless_they_are_unwanted() {
    let place = Place::new();
    place.bex(&["run", "--", "true", ":::", "a"]).expect(0);
    let list = format!("{} list", env!("CARGO_BIN_EXE_bex"));
    let green = "\x1b[32m";
    assert!(at_a_terminal(&place, &list, &[]).stdout.contains(green));
    assert!(
        !at_a_terminal(&place, &list, &[("NO_COLOR", "1")])
            .stdout
            .contains(green)
    );
    assert!(
        !at_a_terminal(&place, &list, &[("TERM", "dumb")])
            .stdout
            .contains(green)
    );
    let never = format!("{list} --color never");
    assert!(!at_a_terminal(&place, &never, &[]).stdout.contains(green));
    let always = format!("{list} --color always | cat");
    assert!(
        at_a_terminal(&place, &always, &[("NO_COLOR", "1")])
            .stdout
            .contains(green)
    );
}
