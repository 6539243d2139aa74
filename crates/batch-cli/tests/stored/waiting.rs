//! Waiting for another process that makes a batch.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::sync::mpsc::channel;

use crate::common::{LIMIT, Place};
use crate::harness::{code_of, kill};

const RUN: [&str; 9] = [
    "run",
    "--progress",
    "none",
    "--format",
    "none",
    "--shell",
    "touch ran",
    ":::",
    "1",
];

/// The numbers of the batches, locked as by someone who makes one and hangs.
fn numbers(place: &Place) -> File {
    place.bex(&["add", "--shell", "true"]).expect(0);
    let path = place.path("home/batches/.ids");
    let file = File::options().read(true).write(true).open(path).unwrap();
    file.lock().unwrap();
    file
}

#[test]
fn who_waits_for_another_that_makes_a_batch_tells_it_and_obeys_signals() {
    let place = Place::new();
    let _numbers = numbers(&place);
    let mut command = place.command(env!("CARGO_BIN_EXE_bex"));
    command.args(RUN).stdout(Stdio::null());
    let mut run = command.spawn().unwrap();
    let lines = BufReader::new(run.stderr.take().unwrap()).lines();
    let (sender, told) = channel();
    std::thread::spawn(move || {
        lines
            .map_while(Result::ok)
            .try_for_each(|line| sender.send(line))
    });
    let line = told.recv_timeout(LIMIT).expect("it says what it waits for");
    assert!(
        line.contains("waiting for another bex that makes a batch"),
        "{line}"
    );
    // What makes none does not wait.
    place.bex(&["prune"]).expect(0);
    assert!(kill("TERM", run.id()));
    assert_eq!(code_of(run), Some(128 + 15));
    assert!(!place.has("ran"));
}

#[test]
fn a_run_goes_on_when_the_other_one_has_made_its_batch() {
    let place = Place::new();
    let numbers = numbers(&place);
    let mut command = place.command(env!("CARGO_BIN_EXE_bex"));
    command
        .args(RUN)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let run = command.spawn().unwrap();
    drop(numbers);
    assert_eq!(code_of(run), Some(0));
    assert!(place.has("ran"));
}
