//! A small run of each target; `cargo run -p batch-fuzz` makes longer ones.

use batch_fuzz::{Mutator, run, targets};

fn small(name: &str, inputs: u64) {
    let target = targets().into_iter().find(|target| target.name == name);
    let target = target.expect("there is such a target");
    if let Err(found) = run(&target, inputs, 42) {
        panic!("{}: {}", found.panic, found.input.escape_ascii());
    }
}

macro_rules! small_runs {
    ($($name:ident: $inputs:literal,)*) => {
        $(#[test] fn $name() { small(stringify!($name), $inputs); })*

        #[test]
        fn every_target_has_a_small_run() {
            let named = [$(stringify!($name)),*];
            assert!(targets().iter().all(|target| named.contains(&target.name)));
        }
    };
}

small_runs! {
    json: 2_000,
    jsonl: 2_000,
    yaml: 2_000,
    csv: 2_000,
    filter: 2_000,
    template: 2_000,
    saved: 2_000,
    duration: 2_000,
    config: 2_000,
    batch: 200,
    agent: 2_000,
}

#[test]
fn the_same_seed_gives_the_same_inputs() {
    let target = targets().remove(0);
    let inputs = |seed| {
        let mut mutator = Mutator::new(&target.seeds, target.words, seed);
        std::iter::repeat_with(move || mutator.next_input())
            .take(50)
            .collect::<Vec<_>>()
    };
    assert_eq!(inputs(1), inputs(1));
    assert_ne!(inputs(1), inputs(2));
}
