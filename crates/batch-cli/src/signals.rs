//! What Ctrl-C and its like do to a run.

use std::sync::Arc;

use batch_actions::DiskSpace;
use batch_core::StopMode;
use batch_process::{ControlSignal, ControlSignals, suspend};
use batch_runtime::RunHandle;
use tokio::signal::unix::{SignalKind, signal};

use crate::progress::Screen;
use crate::terminal::hide;

/// Obeys signals for as long as it is polled; returns only when the guardian has died and the tasks are
/// to be killed, as there is nothing left to handle then.
///
/// `stop` stops the run, and `die` ends it as if this process had been killed; `ended_by` becomes the number of the
/// signal that stopped the run.
pub(crate) async fn handle(
    mut signals: ControlSignals,
    run: RunHandle,
    stop: &dyn Fn(StopMode),
    die: &dyn Fn(),
    screen: Screen,
    ended_by: &std::cell::Cell<Option<u8>>,
) {
    let mut interrupts = 0;
    loop {
        match signals.next().await {
            ControlSignal::Interrupt => {
                ended_by.set(Some(2));
                interrupts += 1;
                let (mode, message) = interrupted(interrupts);
                screen.say(message);
                stop(mode);
            }
            ControlSignal::Terminate => {
                let again = ended_by.replace(Some(15)).is_some();
                stop(if again { StopMode::Kill } else { StopMode::End });
            }
            ControlSignal::Hangup => {
                ended_by.set(Some(1));
                stop(StopMode::End);
            }
            ControlSignal::Quit => {
                ended_by.set(Some(3));
                stop(StopMode::Kill);
            }
            ControlSignal::ParentDied => {
                ended_by.set(Some(9));
                die();
            }
            ControlSignal::Suspend => {
                // The shell shows its prompt where the bar was.
                hide();
                run.exclude_suspended(suspend());
            }
            ControlSignal::Continue => {}
        }
    }
}

/// Has nobody wait for room on the disk any more as soon as a signal comes. For the end of a run, when the last results are
/// written and there is no run to stop.
pub(crate) fn give_up_on_signal(disk_space: Arc<DiskSpace>) {
    // A runtime of its own, as this thread is the one that waits. Where there can be none, only the end of the process helps.
    let listen = move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let mut interrupt = signal(SignalKind::interrupt())?;
            let mut terminate = signal(SignalKind::terminate())?;
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            disk_space.give_up(StopMode::Kill);
            std::io::Result::Ok(())
        })
    };
    let _ = std::thread::Builder::new().spawn(listen);
}

/// What Ctrl-C does, the so-manieth time.
fn interrupted(times: u32) -> (StopMode, &'static str) {
    match times {
        1 => (
            StopMode::Graceful,
            "stopping: running tasks end first; Ctrl-C again terminates them",
        ),
        2 => (
            StopMode::End,
            "terminating running tasks; Ctrl-C again kills them",
        ),
        _ => (StopMode::Kill, "killing running tasks"),
    }
}
