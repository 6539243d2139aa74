//! Files that others read: each by its extension, and opened by a reader that others wrote.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::common::{Place, finish};

/// The Python with Perfetto's own package where `.ci/run` puts it; `None`, loudly, when it is not there.
fn python() -> Option<PathBuf> {
    let target = Path::new(env!("CARGO_BIN_EXE_bex")).ancestors().nth(2);
    let python = target.unwrap().join("sdk/tables/bin/python");
    if python.exists() {
        return Some(python);
    }
    let message = format!(
        "NOT TESTED: there is no {}; .ci/run installs it",
        python.display()
    );
    assert!(std::env::var_os("CI").is_none(), "{message}");
    eprintln!("{message}");
    None
}

/// A batch with a task of each kind, and its results in a file by `-o`.
fn run_into(file: &str) -> Place {
    let place = Place::new();
    place.tasks(&json!({"name": "nightly <1>", "max_concurrent": 2, "defaults": {"retry": {"initial": 0.01}, "max_retries": 0}, "tasks": [
        {"id": "good", "tags": ["unit"], "command": ["echo", "a & b"]},
        {"id": "flaky", "tags": ["unit"], "max_retries": 1, "shell": "test -e half || { touch half; exit 75; }"},
        {"id": "bad", "tags": ["slow"], "max_retries": 1, "shell": "echo 'no <such> thing' >&2; exit 3"},
        {"id": "after", "tags": ["slow"], "depends_on": ["bad"], "command": ["true"]},
    ]}));
    place.bex(&["run", "tasks.json", "-o", file]).expect(1);
    place
}

#[test]
fn a_live_run_and_an_export_write_the_same_report() {
    let place = run_into("live.xml");
    place.bex(&["export", "-o", "kept.xml"]).expect(0);
    let live = place.read("live.xml");
    for part in [
        r#"<testsuites name="nightly &lt;1&gt;" tests="4" failures="1" errors="0""#,
        r#"<testcase classname="unit" name="good""#,
        r#"<flakyFailure type="exit code" message="exit code 75">"#,
        r#"<rerunFailure type="exit code" message="exit code 3: no &lt;such&gt; thing">"#,
        "no &lt;such&gt; thing",
        r#"<skipped message="b1.3 (bad) failed"/>"#,
    ] {
        assert!(live.contains(part), "{part}\n{live}");
    }
    // The file keeps microseconds, a live run has more: the last digit of a time may differ.
    let timeless = |text: &str| -> Vec<String> {
        let lines = text.lines().map(|line| line.split(" time=").next());
        lines.flatten().map(str::to_owned).collect()
    };
    assert_eq!(timeless(&live), timeless(&place.read("kept.xml")));
}

/// Decodes a trace with the classes that Perfetto generates.
const READ_TRACE: &str = "
import json, sys
from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace
trace = Trace()
trace.ParseFromString(open(sys.argv[1], 'rb').read())
names, tracks, open_on, slices, flows, ends, counters = {}, {}, {}, [], set(), set(), {}
for packet in trace.packet:
    for name in packet.interned_data.event_names:
        names[name.iid] = name.name
    for name in packet.interned_data.debug_annotation_names:
        names['a', name.iid] = name.name
    if packet.HasField('track_descriptor'):
        tracks[packet.track_descriptor.uuid] = packet.track_descriptor.name
    if not packet.HasField('track_event'):
        continue
    event = packet.track_event
    track = tracks[event.track_uuid]
    if event.type == event.TYPE_SLICE_BEGIN:
        assert track not in open_on
        notes = {names['a', note.name_iid]: note.string_value or note.int_value or note.uint_value for note in event.debug_annotations}
        open_on[track] = dict(notes, group=names[event.name_iid], at=packet.timestamp)
        flows.update(event.flow_ids)
        ends.update(event.terminating_flow_ids)
    elif event.type == event.TYPE_SLICE_END:
        begun = open_on.pop(track)
        assert begun.pop('at') <= packet.timestamp
        slices.append(begun)
    elif event.type == event.TYPE_COUNTER:
        counters[track] = event.counter_value
assert not open_on
assert flows == ends, (flows, ends)
print(json.dumps({'tracks': sorted(tracks.values()), 'slices': slices, 'flows': len(flows), 'counters': counters}))
";

#[test]
fn perfetto_reads_a_trace() {
    let Some(python) = python() else {
        return;
    };
    let place = run_into("live.pftrace");
    place.bex(&["export", "-o", "kept.pftrace"]).expect(0);
    for file in ["live.pftrace", "kept.pftrace"] {
        let mut command = place.command(&python);
        command.args(["-c", READ_TRACE, file]).stdin(Stdio::piped());
        let read = finish(command, b"").expect(0).json();
        assert_eq!(
            read["tracks"],
            json!([
                "b1 nightly <1>",
                "failed",
                "finished",
                "running",
                "slot 1",
                "slot 2"
            ])
        );
        assert_eq!(read["flows"], 2, "{read}");
        assert_eq!(
            read["counters"],
            json!({"running": 0, "finished": 3, "failed": 3})
        );
        let mut slices: Vec<String> = read["slices"]
            .as_array()
            .unwrap()
            .iter()
            .map(|slice| {
                let text = |name: &str| slice[name].as_str().unwrap().to_owned();
                format!(
                    "{} {} {} {} {}",
                    text("group"),
                    text("task"),
                    text("name"),
                    slice["attempt"],
                    text("outcome")
                )
            })
            .collect();
        slices.sort();
        assert_eq!(
            slices,
            [
                "slow b1.3 bad 1 exit code",
                "slow b1.3 bad 2 exit code",
                "unit b1.1 good 1 completed",
                "unit b1.2 flaky 1 exit code",
                "unit b1.2 flaky 2 completed",
            ]
        );
    }
}

#[test]
fn the_page_of_a_job_gets_what_the_batch_came_to() {
    let place = Place::new();
    let page = place.path("summary.md");
    std::fs::write(&page, "before\n").unwrap();
    let mut command = place.command(env!("CARGO_BIN_EXE_bex"));
    let line = "echo '100% <b>' >&2; exit {}";
    command
        .args([
            "run",
            "--step-summary",
            "--format",
            "none",
            "--shell",
            line,
            ":::",
            "0",
            "3",
        ])
        .env("GITHUB_STEP_SUMMARY", &page)
        .stdin(Stdio::piped());
    let ended = finish(command, b"").expect(1);
    let page = place.read("summary.md");
    assert!(
        page.starts_with("before\n### ❌ b1: 2 tasks: 1 completed, 1 failed"),
        "{page}"
    );
    assert!(!page.contains("<b>") || page.contains("```text"), "{page}");
    let annotation = ended
        .stderr
        .lines()
        .find(|line| line.starts_with("::error "));
    let annotation = annotation.unwrap_or_else(|| panic!("{ended:#?}"));
    assert!(
        annotation.starts_with("::error title=1 task failed::shell: exit code 3"),
        "{annotation}"
    );
    assert!(!annotation.contains("100% "), "{annotation}");

    // Outside of such a job nothing runs.
    let refused = place
        .bex(&["run", "--step-summary", "--", "touch", ":::", "made"])
        .expect(2);
    assert!(
        refused.stderr.contains("GITHUB_STEP_SUMMARY"),
        "{refused:#?}"
    );
    assert!(!place.has("made"));
}

#[test]
fn every_new_format_is_known_by_name_and_by_extension() {
    let place = run_into("all.md");
    assert!(place.read("all.md").contains("### ❌ b1 nightly"));
    for (name, begins) in [("junit", "<?xml"), ("markdown", "### ")] {
        let shown = place.bex(&["results", "--format", name]).expect(0).stdout;
        assert!(shown.starts_with(begins), "{name}: {shown}");
    }
    let reply: Value = place
        .bex(&["export", "-o", "x.XML", "--json"])
        .expect(0)
        .json();
    assert_eq!(reply["format"], "junit");
}
