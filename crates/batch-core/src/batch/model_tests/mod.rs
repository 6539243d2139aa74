//! Random operations against a naive model that keeps everything in plain lists.

mod model;
mod pair;
mod restored;

use std::time::Duration;

use pair::Pair;
use proptest::prelude::*;

use super::PastState;
use crate::{OnInterrupt, Priority, Status, Time};

const LIMIT: u32 = 2;
const DELAY: Duration = Duration::from_secs(7);
const TIMEOUT: Duration = Duration::from_secs(20);

#[derive(Clone, Debug)]
enum Operation {
    Submit(Wish),
    Restore(Wish, PastWish),
    /// A task that is over before it comes: finished, or cleared away.
    RestoreOver(Option<Status>),
    Reopen(Vec<usize>),
    Claim,
    Report {
        which: usize,
        ending: Ending,
    },
    Postpone(usize),
    ReportTwice {
        which: usize,
    },
    Cancel(usize),
    Release(usize),
    SetPriority(usize, Priority),
    SetConcurrency(u32),
    Pause,
    Resume,
    Pass(u64),
}

/// What a task is to be like.
#[derive(Clone, Debug, Default)]
struct Wish {
    priority: Priority,
    retries: u32,
    after: Vec<usize>,
    limited: bool,
    timeout: bool,
    on_interrupt: OnInterrupt,
}

/// What a task has been through.
#[derive(Clone, Debug)]
struct PastWish {
    priority: Priority,
    attempts: u32,
    retries: u32,
    state: PastState,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Ending {
    Completed,
    Failed,
    GivenUp,
    Interrupted,
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap()
}

fn priority() -> impl Strategy<Value = Priority> {
    prop::sample::select(Priority::ALL.to_vec())
}

fn wish() -> impl Strategy<Value = Wish> {
    (
        priority(),
        0u32..3,
        prop::collection::vec(any::<usize>(), 0..3),
        any::<bool>(),
        any::<bool>(),
        prop::sample::select(OnInterrupt::ALL.to_vec()),
    )
        .prop_map(
            |(priority, retries, after, limited, timeout, on_interrupt)| Wish {
                priority,
                retries,
                after,
                limited,
                timeout,
                on_interrupt,
            },
        )
}

fn past() -> impl Strategy<Value = PastWish> {
    let second = |seconds: u64| Time::from_micros(seconds * 1_000_000);
    let state = prop_oneof![
        4 => Just(PastState::Queued),
        1 => (0u64..40).prop_map(move |s| PastState::Delayed { until: second(s) }),
        1 => Just(PastState::Held),
        1 => Just(PastState::GivenOut),
        2 => (0u64..9, 0u64..9, 1u32..4).prop_map(move |(started, last_seen, deaths)| PastState::Running {
            started: second(started),
            last_seen: second(last_seen),
            deaths,
        }),
    ];
    (priority(), 0u32..3, 0u32..2, state).prop_map(|(priority, attempts, retries, state)| {
        PastWish {
            priority,
            attempts,
            retries,
            state,
        }
    })
}

fn operation() -> impl Strategy<Value = Operation> {
    let ending = prop_oneof![
        4 => Just(Ending::Completed),
        3 => Just(Ending::Failed),
        1 => Just(Ending::GivenUp),
        1 => Just(Ending::Interrupted),
    ];
    let over = prop::sample::select(vec![
        None,
        Some(Status::Completed),
        Some(Status::Failed),
        Some(Status::Cancelled),
    ]);
    prop_oneof![
        8 => wish().prop_map(Operation::Submit),
        3 => (wish(), past()).prop_map(|(wish, past)| Operation::Restore(wish, past)),
        2 => over.prop_map(Operation::RestoreOver),
        3 => prop::collection::vec(any::<usize>(), 1..4).prop_map(Operation::Reopen),
        8 => Just(Operation::Claim),
        6 => (any::<usize>(), ending).prop_map(|(which, ending)| Operation::Report { which, ending }),
        1 => any::<usize>().prop_map(|which| Operation::ReportTwice { which }),
        1 => any::<usize>().prop_map(Operation::Postpone),
        1 => any::<usize>().prop_map(Operation::Cancel),
        1 => any::<usize>().prop_map(Operation::Release),
        1 => (any::<usize>(), priority()).prop_map(|(which, p)| Operation::SetPriority(which, p)),
        1 => (1u32..6).prop_map(Operation::SetConcurrency),
        1 => Just(Operation::Pause),
        2 => Just(Operation::Resume),
        3 => (0u64..15).prop_map(Operation::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_batch_agrees_with_the_model(operations in prop::collection::vec(operation(), 1..120)) {
        let mut pair = Pair::new();
        for operation in &operations {
            pair.apply(operation);
            pair.check();
        }
        pair.drain();
        pair.check();
        pair.check_events();
    }

    #[test]
    fn the_same_operations_give_the_same_events(operations in prop::collection::vec(operation(), 1..60)) {
        let run = || {
            let mut pair = Pair::new();
            operations.iter().for_each(|operation| pair.apply(operation));
            let mut events = Vec::new();
            pair.batch.take_events(&mut events);
            format!("{events:?}")
        };
        prop_assert_eq!(run(), run());
    }

    #[test]
    fn folding_the_events_again_gives_the_same_statistics(
        operations in prop::collection::vec(operation(), 1..60)
    ) {
        let new = |operation: &&Operation| !matches!(operation, Operation::Restore(_, past)
            if matches!(past.state, PastState::Running { .. } | PastState::GivenOut));
        let mut pair = Pair::new();
        for operation in operations.iter().filter(new) {
            pair.apply(operation);
            pair.check();
        }
        let mut folded = crate::Stats::default();
        folded.carry_over(&pair.carried);
        pair.events.iter().for_each(|event| folded.apply(event));
        prop_assert_eq!(format!("{folded:?}"), format!("{:?}", pair.batch.stats()));
    }
}
