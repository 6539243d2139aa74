//! Starting a tokio runtime: [`start_runtime`].

use std::cell::Cell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use crate::worker::panic_text;

/// A thread that waits for work goes only when its runtime does. The one who wants few of them says so to the builder.
const KEEP_ALIVE: Duration = Duration::from_secs(24 * 60 * 60);

/// Builds a runtime and starts a thread for work that blocks.
///
/// tokio panics where the system gives it no thread or socket for these, and when there is work that blocks and no
/// thread to do it. So all that is needed is there before anything runs, and stays: with a thread, work waits its
/// turn where no other can be started.
///
/// # Errors
/// When the system is short of something.
pub fn start_runtime(builder: &mut Builder) -> io::Result<Runtime> {
    // Tried first, as the answer is an error that can be read.
    std::thread::Builder::new().spawn(|| ())?;
    #[cfg(unix)]
    std::os::unix::net::UnixStream::pair()?;
    builder.thread_keep_alive(KEEP_ALIVE);
    without_panic(|| {
        let runtime = builder.build()?;
        runtime.spawn_blocking(|| ());
        Ok(runtime)
    })
}

/// Makes an error of a panic, and has it print nothing.
fn without_panic<T>(work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    thread_local! {
        static QUIET: Cell<bool> = const { Cell::new(false) };
    }
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !QUIET.get() {
                usual(panic);
            }
        }));
    });
    QUIET.set(true);
    let done = catch_unwind(AssertUnwindSafe(work));
    QUIET.set(false);
    done.unwrap_or_else(|panic| Err(io::Error::other(panic_text(panic.as_ref()).to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error() {
        let ended = without_panic(|| -> io::Result<()> { panic!("no thread") });
        assert_eq!(ended.unwrap_err().to_string(), "no thread");
        let runtime = start_runtime(&mut Builder::new_current_thread()).unwrap();
        assert_eq!(runtime.block_on(async { 7 }), 7);
    }
}
