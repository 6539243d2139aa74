//! A placeholder is one however its braces are written in JSON: for the plan, the check of its place, and the worker.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use batch_core::{Event, Json, Output, Plan, TaskSpec};
use batch_runtime::{AttemptError, Handler, Registry, RunBuilder, TaskContext};
use batch_template::{Encoding, Encodings, ShellRules};

/// Gives back its parameters; `script` is a script.
struct Echo;

#[async_trait]
impl Handler for Echo {
    async fn run(&self, task: &TaskContext) -> Result<Output, AttemptError> {
        Ok(Output::from_value(task.spec.params.clone()))
    }

    fn encodings(&self, _: &Json) -> Encodings {
        Encodings::text().with("script", Encoding::Shell(ShellRules::default()))
    }
}

fn registry() -> Registry {
    Registry::new().with("echo", Echo)
}

fn echo(params: &str) -> TaskSpec {
    TaskSpec {
        params: Json::parse(params).unwrap(),
        ..TaskSpec::new("echo")
    }
}

/// The same braces, as JSON may write them.
const BRACES: [(&str, &str); 4] = [
    ("{{", "}}"),
    (r"\u007b\u007b", r"\u007d\u007d"),
    (r"{\u007B", r"}\u007D"),
    (r"\u007b{", "}}"),
];

#[tokio::test]
async fn a_result_is_filled_in() {
    for (open, close) in BRACES {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&kept);
        let keep = move |events: &[Event]| {
            let values = events.iter().filter_map(|event| match event {
                Event::AttemptEnded { outcome, .. } => outcome.output()?.value.clone(),
                _ => None,
            });
            sink.lock().unwrap().extend(values);
        };
        let run = RunBuilder::new(registry()).with_sink(keep).start();
        let used = format!(r#"{{"x":"{open} tasks.a.result.n {close}"}}"#);
        let tasks = vec![echo(r#"{"n":7}"#).with_id("a"), echo(&used).with_id("b")];
        let plan = Plan::check(tasks.clone(), &registry()).unwrap();
        let needed: Vec<Vec<usize>> = plan.tasks().map(|(_, after)| after.collect()).collect();
        assert_eq!(needed, [vec![], vec![0]], "{open}");
        run.submit(tasks).await.unwrap();
        run.finish().await;
        drop(run);
        let values: Vec<String> = kept.lock().unwrap().iter().map(Json::to_string).collect();
        assert_eq!(values, [r#"{"n":7}"#, r#"{"x":7}"#], "{open}");
    }
}

#[test]
fn its_place_is_checked() {
    for (open, close) in BRACES {
        let script = format!(r#"{{"script":"echo '{open} tasks.a.result.n {close}'"}}"#);
        let tasks = vec![echo("{}").with_id("a"), echo(&script)];
        let problems = Plan::check(tasks, &registry()).unwrap_err();
        assert_eq!(problems.len(), 1, "{open}");
        let message = "{{ tasks.a.result.n }} is in single quotes";
        assert_eq!(problems[0].message, message);
        assert_eq!(problems[0].field, "params.script");
    }
}
