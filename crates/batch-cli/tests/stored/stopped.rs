//! Tasks whose processes a signal has stopped: `bex why` tells of them, and how to let them go on.

use std::time::Instant;

use crate::common::{LIMIT, finish};
use crate::harness::Live;

#[test]
fn why_tells_of_stopped_processes_and_how_they_go_on() {
    for script in [
        "echo $BEX_TASK_ID > marks; kill -STOP $$; echo on",
        "echo $BEX_TASK_ID > marks; sh -c 'kill -STOP $$'; echo on",
        "echo $BEX_TASK_ID > marks; setsid sh -c 'kill -TSTP $$; kill -STOP $$'; echo on",
    ] {
        let live = Live::new();
        live.bex(&["add", "--shell", script], 0);
        live.bex(&["start"], 0);
        live.begun();
        let until = Instant::now() + LIMIT;
        let why = loop {
            let why = live.bex(&["why", "1"], 0);
            if why.contains("stopped") {
                break why;
            }
            // Each look takes a moment.
            assert!(Instant::now() < until, "{why}");
        };
        assert!(why.contains("(sh) of it is stopped by a signal"), "{why}");
        let (_, command) = why.split_once("with: ").expect("how it goes on");
        let command = command.trim().trim_end_matches('.').to_owned();
        assert!(command.starts_with("kill -CONT "), "{why}");
        let mut shell = live.place.command("sh");
        shell.args(["-c", &command]);
        finish(shell, b"").expect(0);
        live.bex(&["wait"], 0);
        assert_eq!(live.bex(&["logs", "1"], 0), "on\n");
    }
}
