//! Signals for all tasks. Alone in its file: they reach every task of the process.

use std::future::pending;

use batch_process::{Process, Signal, Spec, signal_all};

#[tokio::test]
async fn a_signal_for_all_reaches_every_group() {
    let spec = Spec::new(["sh", "-c", "sleep 1000 & wait"]);
    let start = || tokio::spawn(Process::spawn(&spec).unwrap().run(pending(), pending()));
    let (first, second) = (start(), start());
    assert_eq!(signal_all(Signal::Stop), 2);
    assert_eq!(signal_all(Signal::Hangup), 2);
    assert_eq!(signal_all(Signal::Continue), 2);
    for running in [first, second] {
        assert_eq!(running.await.unwrap().end.signal, Some(1));
    }
    assert_eq!(signal_all(Signal::Kill), 0);
}
