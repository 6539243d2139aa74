//! What would be taken for something else than it was meant: refused by its name, and nothing runs.

use std::fs::File;

use serde_json::json;

use crate::common::{Place, finish};

#[track_caller]
fn refuse(place: &Place, args: &[&str], named: &str) {
    let before = std::fs::read_dir(place.path(".")).unwrap().count();
    let refused = place.bex_with(b"a\nb\n", args).expect(2);
    assert!(refused.stderr.contains(named), "{args:?}: {refused:?}");
    assert_eq!(refused.stdout, "", "{args:?}");
    let after = std::fs::read_dir(place.path(".")).unwrap().count();
    assert_eq!(after, before, "{args:?} left something behind");
}

#[test]
fn placeholders_of_other_tools_are_not_passed_on() {
    let place = Place::new();
    for placeholder in [
        "{+}", "{+/}", "{0}", "{-1}", "{##}", "{...}", "{=uc=}", "{^.gz}", "{2}", "{3/.}",
    ] {
        refuse(&place, &["run", "--", "echo", placeholder], placeholder);
        let inside = format!("x{placeholder}y{{}}");
        refuse(
            &place,
            &["run", "--", "echo", &inside, ":::", "a"],
            placeholder,
        );
        refuse(
            &place,
            &["run", "--shell", &format!("echo {placeholder}")],
            placeholder,
        );
        let params = json!({ "url": format!("http://h/{placeholder}") }).to_string();
        let args = ["run", "--function", "http", "--params", &params];
        refuse(&place, &args, placeholder);
    }
}

#[test]
fn braces_of_shells_and_other_languages_are_passed_on() {
    let place = Place::new();
    for braces in [
        "${1}",
        "${10}",
        "{print $1}",
        "a{1,3}",
        "{1..3}",
        "{x}",
        "{%s}",
        "{{.Names}}",
        "${#}",
    ] {
        let args = ["run", "--", "echo", braces, ":::", "item"];
        assert_eq!(
            place.bex(&args).expect(0).stdout,
            format!("{braces} item\n")
        );
    }
}

#[test]
fn braces_in_quotes_are_passed_on_as_they_are() {
    let args = ["run", "--", "echo", "{\"{1}\"}{1}{\"{+}{}\"}", ":::", "a"];
    assert_eq!(Place::new().bex(&args).expect(0).stdout, "{1}a{+}{}\n");
}

#[test]
fn slots_may_be_told_by_the_cpus() {
    let place = Place::new();
    let concurrency = |given: &str| {
        place
            .bex(&["run", "-j", given, "--", "true", ":::", "a"])
            .expect(0);
        let status = place.bex(&["status", "--json"]).expect(0).json();
        status["max_concurrent"].as_u64().unwrap()
    };
    let cpus = std::thread::available_parallelism().unwrap().get() as u64;
    assert_eq!(concurrency("+1"), cpus + 1);
    assert_eq!(concurrency("200%"), 2 * cpus);
    assert_eq!(concurrency("50%"), (cpus / 2).max(1));
    for wrong in ["+", "0%", "-1", "1%%", "half", "+1%"] {
        refuse(&place, &["run", "-j", wrong, "--", "touch", "marker"], "'");
    }
}

#[test]
fn results_never_replace_what_they_are_made_of() {
    let place = Place::new();
    let same = |name: &str, text: &str, args: &[&str]| {
        std::fs::write(place.path(name), text).unwrap();
        refuse(&place, args, name);
        assert_eq!(place.read(name), text, "{args:?}");
    };
    let tasks = r#"[{"command": ["touch", "marker"]}]"#;
    std::fs::write(place.path("task.yaml"), "command: [echo, '{{ row.a }}']\n").unwrap();
    std::fs::write(place.path("rows.csv"), "a\n1\n").unwrap();
    std::os::unix::fs::symlink("t.json", place.path("link.json")).unwrap();
    std::fs::write(place.path("t.json"), tasks).unwrap();
    std::fs::hard_link(place.path("t.json"), place.path("hard.json")).unwrap();
    same("t.json", tasks, &["run", "t.json", "-o", "t.json"]);
    same("t.json", tasks, &["run", "t.json", "-o", "./t.json"]);
    same("t.json", tasks, &["run", "t.json", "-o", "link.json"]);
    same("t.json", tasks, &["run", "link.json", "-o", "t.json"]);
    same("t.json", tasks, &["run", "t.json", "-o", "hard.json"]);
    same(
        "r.csv",
        "a\n1\n",
        &["run", "r.csv", "--template", "task.yaml", "-o", "r.csv"],
    );
    let template = "command: [echo, '{{ row.a }}']\n";
    let args = [
        "run",
        "rows.csv",
        "--template",
        "t.yaml",
        "-o",
        "t.yaml",
        "--format",
        "json",
    ];
    same("t.yaml", template, &args);
    let args = [
        "run", "t.json", "--store", "new.db", "-o", "new.db", "--format", "json",
    ];
    refuse(&place, &args, "new.db");
}

#[test]
fn results_replace_neither_standard_input_nor_the_batch() {
    let place = Place::new();
    std::fs::write(place.path("list.txt"), "a\nb\n").unwrap();
    let mut command = place.command(env!("CARGO_BIN_EXE_bex"));
    command.args(["run", "-o", "list.txt", "--", "echo"]);
    command.stdin(File::open(place.path("list.txt")).unwrap());
    let refused = finish(command, b"").expect(2);
    assert!(refused.stderr.contains("standard input"), "{refused:?}");
    assert_eq!(place.read("list.txt"), "a\nb\n");

    place
        .bex(&["add", "--store", "b.db", "--", "true"])
        .expect(0);
    let file = std::fs::read(place.path("b.db")).unwrap();
    for verb in ["resume", "export"] {
        let args = [verb, "--store", "b.db", "-o", "./b.db", "--format", "json"];
        let refused = place.bex(&args).expect(2);
        assert!(refused.stderr.contains("over the input"), "{refused:?}");
    }
    assert_eq!(std::fs::read(place.path("b.db")).unwrap(), file);
}

#[test]
fn a_job_log_over_the_input_is_refused() {
    let place = Place::new();
    std::fs::write(place.path("list"), "a\nb\n").unwrap();
    let told = place
        .bex(&["run", "--joblog", "list", "--", "echo", "::::", "list"])
        .expect(2)
        .stderr;
    assert!(told.contains("--joblog list would write"), "{told}");
    assert_eq!(place.read("list"), "a\nb\n");
    let same = [
        "run", "--joblog", "x.json", "-o", "x.json", "--", "true", ":::", "a",
    ];
    place.bex(&same).expect(2);
}
