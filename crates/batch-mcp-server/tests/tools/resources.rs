//! Results and outputs as resources, the tools as they are told, and the instructions.

use serde_json::{Value, json};

use crate::place::Place;

#[test]
fn results_and_outputs_are_read_by_their_addresses() {
    let place = Place::new();
    place.run(json!({ "shell": "printf '\\033[1m%s\\nb' {}; echo err >&2", "items": ["a"] }));
    let agent = place.agent();
    assert_eq!(
        agent.resources(),
        [(
            "bex://b1/results".to_owned(),
            "results of b1 (completed)".to_owned()
        )]
    );
    let read = |uri: &str| agent.read_resource(uri);
    let results = read("bex://b1/results").unwrap();
    let row: Value = serde_json::from_str(&results.text).unwrap();
    assert_eq!(
        (&row["task_id"], &row["status"], &row["result"]["stderr"]),
        (&json!("b1.1"), &json!("completed"), &json!("err\n"))
    );
    assert_eq!(
        read("bex://b1/tasks/1/stdout").unwrap().text,
        "\\u{1b}[1ma\nb"
    );
    assert_eq!(read("bex://b1/tasks/b1.1/stderr").unwrap().text, "err");
    for unknown in [
        "bex://b1",
        "bex://b9/results",
        "bex://b1/tasks/9/stdout",
        "bex://b1/tasks/1/in",
        "file:///etc/passwd",
        "bex://../x",
    ] {
        assert!(read(unknown).is_err(), "{unknown}");
    }
}

#[test]
fn the_instructions_are_short_and_name_tools_that_exist() {
    let place = Place::new();
    let agent = place.agent();
    let (text, tools) = (agent.instructions(), agent.tools());
    assert!(text.len() < 1_200);
    for word in text
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| word.starts_with("bex_"))
    {
        assert!(tools.iter().any(|tool| tool.name == word), "{word}");
    }
}
