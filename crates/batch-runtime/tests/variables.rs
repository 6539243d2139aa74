//! Variables of the environment in tasks, and results of any size, for handlers of every kind.

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use async_trait::async_trait;
use batch_core::{
    Event, Failure, FailureKind, Outcome, Output, TaskOptions, TaskSpec, catalog::ParamProblem,
    control::Urgency, outcome::Stream,
};
use batch_runtime::{AttemptError, Handler, OnCancel, Registry, RunBuilder, TaskContext};
use serde_json::{Value, json};

/// A variable that is set wherever tests run, and its value.
const SET: (&str, &str) = ("CARGO_PKG_NAME", env!("CARGO_PKG_NAME"));

/// Gives back what it was given, in all ways there are.
struct Echo;

#[async_trait]
impl Handler for Echo {
    async fn run(&self, task: &TaskContext) -> Result<Output, AttemptError> {
        let env = task.spec.options.env.get("V").cloned().unwrap_or_default();
        let output = Output {
            value: Some(task.spec.params.clone()),
            stdout: Stream::from(format!("{} {env}", task.spec.params).into_bytes()),
            ..Output::default()
        };
        let secret = task.spec.params.to_value()["fail"] == true;
        match secret {
            false => Ok(output),
            true => Err(Failure::error(format!("{} {env}", task.spec.params))
                .with_output(output)
                .into()),
        }
    }

    fn takes_variables(&self, path: &str) -> bool {
        path == "a"
    }
}

/// Runs tasks; gives what became of each.
async fn run(tasks: Vec<TaskSpec>) -> Vec<Outcome> {
    let kept = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&kept);
    let keep = move |events: &[Event]| {
        let outcomes = events.iter().filter_map(|event| match event {
            Event::AttemptEnded { outcome, .. } => Some(outcome.clone()),
            _ => None,
        });
        sink.lock().unwrap().extend(outcomes);
    };
    let registry = Registry::new().with("echo", Echo);
    let run = RunBuilder::new(registry).with_sink(keep).start();
    run.submit(tasks).await.unwrap();
    run.finish().await;
    drop(run);
    std::mem::take(&mut *kept.lock().unwrap())
}

fn echo(params: &Value) -> TaskSpec {
    TaskSpec::new("echo").with_params(params).unwrap()
}

fn placeholder(name: &str) -> String {
    format!("{{{{ env.{name} }}}}")
}

#[tokio::test]
async fn a_value_is_filled_in_at_the_start_and_masked_in_what_comes_back() {
    let mut task = echo(&json!({"a": format!("<{}>", placeholder(SET.0)), "fail": false}));
    task.options = Arc::new(TaskOptions {
        env: [("V".to_owned(), placeholder(SET.0))].into(),
        ..TaskOptions::default()
    });
    let mut failing = echo(&json!({"a": placeholder(SET.0), "fail": true}));
    failing.options = Arc::clone(&task.options);
    let outcomes = run(vec![task, failing]).await;
    for outcome in &outcomes {
        let output = outcome.output().unwrap();
        let value = output.value.as_ref().unwrap().to_value();
        let Stream::Inline(stdout) = &output.stdout else {
            panic!("it is short")
        };
        let stdout = std::str::from_utf8(stdout).unwrap();
        assert!(stdout.ends_with("} ***"), "{stdout}");
        match outcome {
            Outcome::Completed(_) => assert_eq!(value["a"], "<***>"),
            Outcome::Failed(failure) => {
                assert_eq!(value["a"], "***");
                assert!(failure.message.ends_with(" ***") && !failure.message.contains(SET.1));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(outcomes.len(), 2);
}

#[tokio::test]
async fn a_variable_that_is_not_set_fails_the_attempt_by_its_name() {
    let mut task = echo(&json!({}));
    task.options = Arc::new(TaskOptions {
        env: [("V".to_owned(), "{{ env.BEX_TEST_NONE }}".to_owned())].into(),
        ..TaskOptions::default()
    });
    let tasks = vec![echo(&json!({"a": "{{ env.BEX_TEST_NONE }}"})), task];
    for outcome in run(tasks).await {
        let Outcome::Failed(failure) = outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!(
            (failure.kind, failure.permanent),
            (FailureKind::InputError, true)
        );
        let said = "the variable BEX_TEST_NONE is not set in the environment of the executor";
        assert!(failure.message.contains(said), "{}", failure.message);
    }
}

#[test]
fn where_a_variable_may_stand_is_a_matter_of_the_function() {
    use batch_core::catalog::Catalog as _;
    let registry = Registry::new().with("echo", Echo);
    let check =
        |params: Value| registry.check(&TaskSpec::new("echo").with_params(&params).unwrap());
    assert_eq!(check(json!({"a": "{{ env.X }}"})), Ok(()));
    let refused: Vec<ParamProblem> =
        check(json!({"b": ["{{ env.X }}", "{{ env.Y }}"]})).unwrap_err();
    assert_eq!(refused.len(), 2);
    assert_eq!(refused[0].path, "b[0]");
    assert!(refused[0].help.as_ref().unwrap().contains("$NAME"));
}

#[tokio::test]
async fn a_part_of_a_large_result_is_passed_on_and_a_large_part_is_not() {
    let many = vec!["7".repeat(2 << 20); 5];
    let tasks = vec![
        echo(&json!({"n": 5, "many": many})).with_id("large"),
        echo(&json!({"a": "{{ tasks.large.result.n }}"})),
        echo(&json!({"a": "{{ tasks.large.result.many[4] }}"})),
        echo(&json!({"a": "{{ tasks.large.result.many }}"})),
    ];
    let mut outcomes = run(tasks).await;
    outcomes.remove(0);
    let mut told: Vec<String> = outcomes
        .iter()
        .map(|outcome| match outcome {
            Outcome::Failed(failure) => failure.message.clone(),
            outcome => outcome
                .output()
                .unwrap()
                .value
                .as_ref()
                .unwrap()
                .to_string(),
        })
        .collect();
    told.sort_by_key(|told| told.starts_with('{').then_some(told.len()));
    assert_eq!(
        told[1..],
        [
            "{\"a\":5}".to_owned(),
            format!("{{\"a\":\"{}\"}}", "7".repeat(2 << 20))
        ]
    );
    assert!(
        told[0].contains("too large to pass on (10485776 bytes)"),
        "{}",
        told[0]
    );
}

/// Waits until it is told to end, and tells that.
struct Patient(Mutex<mpsc::Sender<()>>);

#[async_trait]
impl Handler for Patient {
    async fn run(&self, task: &TaskContext) -> Result<Output, AttemptError> {
        task.cancel.reached(Urgency::End).await;
        let _ = self.0.lock().unwrap().send(());
        Ok(Output::default())
    }

    fn on_cancel(&self) -> OnCancel {
        OnCancel::Cooperate
    }
}

#[tokio::test]
async fn a_timeout_comes_while_a_sink_has_no_room_for_what_others_left() {
    let (tell, told) = mpsc::channel();
    let registry = Registry::new()
        .with("patient", Patient(Mutex::new(tell)))
        .with_fn("large", |_| async {
            Ok(Output {
                stdout: Stream::from(vec![b'x'; 50 * 1024 * 1024]),
                ..Output::default()
            })
        });
    // It takes nothing in until the timeout has come. Without one it would wait for ever, and so fails.
    let mut waits = true;
    let failed = Arc::new(Mutex::new(false));
    let seen = Arc::clone(&failed);
    let sink = move |events: &[Event]| {
        let has_output = |event: &Event| matches!(event, Event::AttemptEnded { outcome, .. } if outcome.output().is_some());
        if waits && events.iter().any(has_output) {
            waits = false;
            *seen.lock().unwrap() = told.recv_timeout(Duration::from_secs(30)).is_err();
        }
    };
    let patient = TaskSpec {
        options: Arc::new(TaskOptions {
            timeout: Some(Duration::from_millis(500)),
            ..TaskOptions::default()
        }),
        ..TaskSpec::new("patient")
    };
    let settings = batch_core::BatchSettings::with_slots(std::num::NonZeroU32::new(2).unwrap());
    let run = RunBuilder::new(registry)
        .with_settings(settings)
        .with_sink(sink)
        .start();
    let large = (0..6).map(|_| TaskSpec::new("large"));
    run.submit(std::iter::once(patient).chain(large).collect())
        .await
        .unwrap();
    let report = run.finish().await;
    assert!(report.sink_error.is_none());
    assert!(!*failed.lock().unwrap(), "the timeout did not come");
}

#[tokio::test]
async fn a_message_of_any_length_is_kept_short() {
    let registry = Registry::new().with_fn("fail", |_| async {
        Err(Failure::error("ä".repeat(100_000)).into())
    });
    let (tell, told) = mpsc::channel();
    let sink = move |events: &[Event]| {
        for event in events {
            if let Event::AttemptEnded {
                outcome: Outcome::Failed(failure),
                ..
            } = event
            {
                tell.send(failure.message.clone()).unwrap();
            }
        }
    };
    let run = RunBuilder::new(registry).with_sink(sink).start();
    run.submit(vec![TaskSpec::new("fail")]).await.unwrap();
    run.finish().await;
    let message = told.recv().unwrap();
    assert!(
        message.len() < 20_000 && message.ends_with("ä…"),
        "{}",
        message.len()
    );
}

#[tokio::test]
async fn a_long_message_is_cut_where_no_secret_is_cut_with_it() {
    struct Loud;

    #[async_trait]
    impl Handler for Loud {
        async fn run(&self, task: &TaskContext) -> Result<Output, AttemptError> {
            let (before, value) = ("-".repeat(16 * 1024 - 4), &task.spec.options.env["V"]);
            Err(Failure::error(format!("{before}{value}{before}")).into())
        }
    }

    let options = TaskOptions {
        env: [("V".to_owned(), format!("{{{{ env.{} }}}}", SET.0))].into(),
        ..TaskOptions::default()
    };
    let task = TaskSpec {
        options: options.into(),
        ..TaskSpec::new("loud")
    };
    let failed = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&failed);
    let keep = move |events: &[Event]| {
        let failures = events.iter().filter_map(|event| match event {
            Event::AttemptEnded {
                outcome: Outcome::Failed(failure),
                ..
            } => Some(failure.clone()),
            _ => None,
        });
        sink.lock().unwrap().extend(failures);
    };
    let run = RunBuilder::new(Registry::new().with("loud", Loud))
        .with_sink(keep)
        .start();
    run.submit(vec![task]).await.unwrap();
    run.finish().await;
    drop(run);
    let message = failed.lock().unwrap()[0].message.clone();
    assert!(message.ends_with("-***-…"), "{}", &message[16_000..]);
}
