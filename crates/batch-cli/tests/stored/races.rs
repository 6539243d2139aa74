//! Two commands at one moment: one batch, and each task once.

use serde_json::{Value, json};

use crate::common::{Ended, Place};

const ROUNDS: usize = 10;

/// Runs two commands at one moment in a fresh place, again and again.
fn each_round(args: &[&str], made_before: bool, key: bool, check: impl Fn(&Place, [Ended; 2])) {
    for _ in 0..ROUNDS {
        let place = Place::new();
        let task = |id: &str| json!({ "id": id, "shell": format!("echo {id} >> effects") });
        let mut file = json!({ "tasks": [task("a"), task("b")] });
        if key {
            file["key"] = Value::from("k");
        }
        place.tasks(&file);
        if made_before {
            place.bex(&["add", "--file", "tasks.json"]).expect(0);
        }
        let both = std::thread::scope(|scope| {
            let run = || scope.spawn(|| place.bex(args));
            [run(), run()].map(|run| run.join().unwrap())
        });
        check(&place, both);
    }
}

#[track_caller]
fn assert_once(place: &Place) {
    place.bex(&["wait"]).expect(0);
    let effects = place.read("effects");
    let mut lines: Vec<&str> = effects.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["a", "b"]);
    let list = place.bex(&["list", "--json"]).expect(0).json();
    assert_eq!(list.as_array().unwrap().len(), 1, "{list}");
}

#[test]
fn two_runs_of_one_file_with_resume_are_one_batch() {
    let args = ["run", "--resume", "tasks.json", "--format", "none"];
    each_round(&args, false, false, |place, both| {
        for ended in both {
            // The second one is refused while the first one runs, and has nothing to do after it.
            assert!(matches!(ended.code, Some(0 | 2)), "{ended:?}");
        }
        assert_once(place);
    });
}

#[test]
fn of_two_runs_with_a_key_the_second_one_waits_or_is_told_that_it_runs() {
    let args = ["run", "tasks.json", "--format", "none"];
    each_round(&args, false, true, |place, both| {
        for ended in both {
            assert!(matches!(ended.code, Some(0 | 6)), "{ended:?}");
        }
        assert_once(place);
    });
}

#[test]
fn two_who_add_with_a_key_add_once() {
    let args = ["add", "--file", "tasks.json"];
    each_round(&args, false, true, |place, both| {
        for ended in both {
            ended.expect(0);
        }
        place.bex(&["resume", "--format", "none"]).expect(0);
        assert_once(place);
    });
}

#[test]
fn two_who_resume_or_start_run_each_task_once() {
    for args in [&["resume", "--format", "none"][..], &["start"]] {
        each_round(args, true, false, |place, both| {
            for ended in both {
                assert!(matches!(ended.code, Some(0 | 2)), "{ended:?}");
            }
            assert_once(place);
        });
    }
}
