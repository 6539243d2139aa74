//! Execution times in the status, the summary and the exports, and CSV cells that are cut.

use serde_json::Value;

use crate::common::Place;

const NAMES: [&str; 3] = [
    "median_execution_time",
    "p95_execution_time",
    "max_execution_time",
];

/// Three tasks that are ended, of which two completed.
fn ended(options: &[&str]) -> (Place, String) {
    let place = Place::new();
    let run = ["run", "--shell", "test {} != c"];
    let ended = place
        .bex(&[&run, options, &[":::", "a", "b", "c"]].concat())
        .expect(1);
    (place, ended.stderr)
}

fn check(document: &Value) {
    let times = NAMES.map(|name| {
        document[name]
            .as_f64()
            .unwrap_or_else(|| panic!("{name}: {document}"))
    });
    assert!(
        0.0 < times[0] && times[0] <= times[1] && times[1] <= times[2],
        "{times:?}"
    );
}

fn has_line(text: &str) -> bool {
    let mut lines = text.lines();
    lines.any(|line| line.starts_with("execution time: median ") && line.contains(", longest "))
}

#[test]
fn execution_times_are_shown_at_the_end_of_a_run_and_in_its_export() {
    for kept in [&[][..], &["--durability", "none"]] {
        let (place, summary) = ended(&[kept, &["-o", "out.json"]].concat());
        assert!(has_line(&summary), "{summary}");
        let document = std::fs::read_to_string(place.path("out.json")).unwrap();
        let document: Value = serde_json::from_str(&document).unwrap();
        check(&document["metadata"]);
        let longest = document["tasks"].as_array().unwrap().iter();
        let longest = longest
            .filter(|task| task["status"] == "completed")
            .map(|task| task["execution_time"].as_f64().unwrap())
            .fold(0.0, f64::max);
        assert_eq!(document["metadata"]["max_execution_time"], longest);
    }
}

#[test]
fn status_and_results_show_execution_times() {
    let (place, _) = ended(&[]);
    for args in [&["status"][..], &["results", "--format", "summary"]] {
        let shown = place.bex(args).expect(0).stdout;
        assert!(has_line(&shown), "{shown}");
    }
    check(&place.bex(&["status", "--json"]).expect(0).json());
    check(
        &place
            .bex(&["results", "--json", "--limit", "1"])
            .expect(0)
            .json()["metadata"],
    );
    let failed = place
        .bex(&["results", "--format", "summary", "--failed"])
        .expect(0)
        .stdout;
    assert!(!has_line(&failed), "{failed}");
    place.bex(&["add", "--new", "--", "true"]).expect(0);
    let status = place.bex(&["status", "--json"]).expect(0).json();
    for name in NAMES {
        assert_eq!(status.get(name), Some(&Value::Null), "{name}");
    }
}

/// The cell `result` of the first row.
fn result(csv: &str) -> String {
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let column = reader
        .headers()
        .unwrap()
        .iter()
        .position(|name| name == "result");
    reader.records().next().unwrap().unwrap()[column.unwrap()].to_owned()
}

#[test]
fn long_cells_are_cut_in_every_verb_that_writes_csv() {
    let place = Place::new();
    let script = "head -c 100000 /dev/zero | tr '\\0' {}";
    let run = ["run", "--format", "csv", "--shell", script, ":::", "x"];
    let whole_of = |cell: &str| {
        let (_, path) = cell
            .split_once("… [cut: 100,000 bytes in all, whole in ")
            .expect(cell);
        path.trim_end_matches(']')
            .trim_start_matches("b1.1 of ")
            .to_owned()
    };
    let shown = result(&place.bex(&run).expect(0).stdout);
    assert_eq!(shown.find('…'), Some(32_000));
    assert!(
        std::path::Path::new(&whole_of(&shown)).exists(),
        "{}",
        whole_of(&shown)
    );
    let results = |args: &[&str]| {
        let args = [&["results", "--format", "csv"], args].concat();
        result(&place.bex(&args).expect(0).stdout)
    };
    assert_eq!(results(&[]), shown);
    assert_eq!(results(&["--cell-limit", "7"]).find('…'), Some(7));
    assert!(results(&["--cell-limit", "0"]).len() > 100_000);
    place
        .bex(&["export", "-o", "out.csv", "--cell-limit", "9"])
        .expect(0);
    let exported = std::fs::read_to_string(place.path("out.csv")).unwrap();
    assert_eq!(result(&exported).find('…'), Some(9));
    let resumed = ["resume", "--format", "csv", "--cell-limit", "0"];
    assert!(result(&place.bex(&resumed).expect(0).stdout).len() > 100_000);
    let lost = [
        &["run", "--durability", "none", "--cell-limit", "50"],
        &run[1..],
    ]
    .concat();
    let lost = result(&place.bex(&lost).expect(0).stdout);
    assert!(
        lost.ends_with("… [cut: 100,000 bytes in all, not kept]"),
        "{lost}"
    );
    let refused = place.bex(&["results", "--cell-limit=-1"]).expect(2);
    assert!(refused.stderr.contains("--cell-limit"), "{refused:?}");
}
