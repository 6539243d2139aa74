//! Random operations against a naive model that keeps everything in plain lists.

mod model;
mod pair;
mod restored;

use std::time::Duration;

use pair::Pair;
use proptest::prelude::*;

use super::{RestoredState, StopMode};
use crate::settings::{Halt, HaltLimit, HaltMode, HaltOf};
use crate::{OnInterrupt, Priority, RunOn, Status, Time};

const LIMIT: u32 = 2;
const DELAY: Duration = Duration::from_secs(7);
const TIMEOUT: Duration = Duration::from_secs(20);

/// The settings that change what becomes of tasks.
#[derive(Clone, Copy, Debug, Default)]
struct Setup {
    halt: Halt,
    delay: Option<Duration>,
    batch_timeout: Option<Duration>,
}

#[derive(Clone, Debug)]
enum Operation {
    Submit(Wish),
    /// Tasks that are checked together, and may depend on each other.
    SubmitPlan {
        wishes: Vec<Wish>,
        on_later_ones: bool,
    },
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
    CancelAll,
    Stop(StopMode),
    Pause,
    Resume,
    Pass(u64),
    /// Sets the wall clock this many seconds ahead of the run's.
    SetClock(u64),
}

/// What a task is to be like.
#[derive(Clone, Debug, Default)]
struct Wish {
    priority: Priority,
    retries: u32,
    after: Vec<(usize, RunOn)>,
    limited: bool,
    timeout: bool,
    on_interrupt: OnInterrupt,
    hold: bool,
    finally: bool,
    /// When it may start, in seconds.
    not_before: Option<u64>,
}

/// What a task has been through.
#[derive(Clone, Debug)]
struct PastWish {
    priority: Priority,
    attempts: u32,
    retries: u32,
    state: RestoredState,
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

fn run_on() -> impl Strategy<Value = RunOn> {
    prop_oneof![4 => Just(RunOn::Success), 1 => Just(RunOn::Failure), 1 => Just(RunOn::Finished)]
}

fn wish() -> impl Strategy<Value = Wish> {
    (
        priority(),
        0u32..3,
        prop::collection::vec((any::<usize>(), run_on()), 0..3),
        any::<bool>(),
        any::<bool>(),
        prop::sample::select(OnInterrupt::ALL.to_vec()),
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.05),
        prop::option::weighted(0.1, 0u64..40),
    )
        .prop_map(
            |(
                priority,
                retries,
                after,
                limited,
                timeout,
                on_interrupt,
                hold,
                finally,
                not_before,
            )| Wish {
                priority,
                retries,
                after,
                limited,
                timeout,
                on_interrupt,
                hold,
                finally,
                not_before,
            },
        )
}

fn setup() -> impl Strategy<Value = Setup> {
    let batch_timeout = prop::option::weighted(0.3, (1u64..60).prop_map(Duration::from_secs));
    let delay = prop::option::weighted(0.3, (1u64..6).prop_map(Duration::from_secs));
    (halt(), delay, batch_timeout).prop_map(|(halt, delay, batch_timeout)| Setup {
        halt,
        delay,
        batch_timeout,
    })
}

fn halt() -> impl Strategy<Value = Halt> {
    let limit = prop_oneof![
        (1u32..4).prop_map(HaltLimit::Tasks),
        (1u8..101).prop_map(HaltLimit::Percent),
    ];
    let mode = prop::sample::select(vec![HaltMode::Now, HaltMode::Soon]);
    let of = prop::sample::select(vec![HaltOf::Fail, HaltOf::Success, HaltOf::Done]);
    let when = (mode, of, limit).prop_map(|(mode, of, limit)| Halt::When { mode, of, limit });
    prop_oneof![2 => Just(Halt::Never), 1 => Just(Halt::FAIL_FAST), 3 => when]
}

fn past() -> impl Strategy<Value = PastWish> {
    let second = |seconds: u64| Time::from_micros(seconds * 1_000_000);
    let state = prop_oneof![
        4 => Just(RestoredState::Queued),
        1 => (0u64..40).prop_map(move |s| RestoredState::Delayed { until: second(s) }),
        1 => Just(RestoredState::Held),
        1 => Just(RestoredState::GivenOut),
        2 => (0u64..9, 0u64..9, 1u32..4).prop_map(move |(started, last_seen, deaths)| RestoredState::Running {
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
    let plan = (prop::collection::vec(wish(), 1..4), any::<bool>());
    let modes = [StopMode::Graceful, StopMode::End, StopMode::Kill];
    prop_oneof![
        16 => wish().prop_map(Operation::Submit),
        4 => plan.prop_map(|(wishes, on_later_ones)| Operation::SubmitPlan { wishes, on_later_ones }),
        6 => (wish(), past()).prop_map(|(wish, past)| Operation::Restore(wish, past)),
        4 => over.prop_map(Operation::RestoreOver),
        6 => prop::collection::vec(any::<usize>(), 1..4).prop_map(Operation::Reopen),
        16 => Just(Operation::Claim),
        12 => (any::<usize>(), ending).prop_map(|(which, ending)| Operation::Report { which, ending }),
        2 => any::<usize>().prop_map(|which| Operation::ReportTwice { which }),
        2 => any::<usize>().prop_map(Operation::Postpone),
        2 => any::<usize>().prop_map(Operation::Cancel),
        2 => any::<usize>().prop_map(Operation::Release),
        2 => (any::<usize>(), priority()).prop_map(|(which, p)| Operation::SetPriority(which, p)),
        2 => (1u32..6).prop_map(Operation::SetConcurrency),
        2 => Just(Operation::Pause),
        4 => Just(Operation::Resume),
        1 => Just(Operation::CancelAll),
        1 => prop::sample::select(modes.to_vec()).prop_map(Operation::Stop),
        6 => (0u64..15).prop_map(Operation::Pass),
        1 => (0u64..30).prop_map(Operation::SetClock),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_batch_agrees_with_the_model(
        setup in setup(),
        operations in prop::collection::vec(operation(), 1..120),
    ) {
        let mut pair = Pair::new(setup);
        for operation in &operations {
            pair.apply(operation);
            pair.check();
        }
        pair.drain();
        pair.check();
        pair.check_events();
    }

    #[test]
    fn the_same_operations_give_the_same_events(
        setup in setup(),
        operations in prop::collection::vec(operation(), 1..60),
    ) {
        let run = || {
            let mut pair = Pair::new(setup);
            operations.iter().for_each(|operation| pair.apply(operation));
            let mut events = Vec::new();
            pair.batch.take_events(&mut events);
            format!("{events:?}")
        };
        prop_assert_eq!(run(), run());
    }

    #[test]
    fn folding_the_events_again_gives_the_same_statistics(
        setup in setup(),
        operations in prop::collection::vec(operation(), 1..60),
    ) {
        let new = |operation: &&Operation| !matches!(operation, Operation::Restore(_, past)
            if matches!(past.state, RestoredState::Running { .. } | RestoredState::GivenOut));
        let mut pair = Pair::new(setup);
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
