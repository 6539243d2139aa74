//! Programs that are just being made: [`when_written`].

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::spawn_error::SpawnError;

/// The one who makes a program has closed it long before this.
const WRITER_TIMEOUT: Duration = Duration::from_secs(2);

const WRITER_POLL: Duration = Duration::from_millis(20);

/// Starts a program by `spawn`, again for two seconds while that is open for writing. To be dropped when it is to start
/// no more.
///
/// # Errors
/// What `spawn` says, in the end.
pub async fn when_written<T>(
    mut spawn: impl FnMut() -> Result<T, SpawnError>,
) -> Result<T, SpawnError> {
    let until = Instant::now() + WRITER_TIMEOUT;
    loop {
        match spawn() {
            Err(SpawnError::OpenForWriting { .. }) if Instant::now() < until => {
                sleep(WRITER_POLL).await;
            }
            started => return started,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_virtual_time<T>(test: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build();
        runtime.unwrap().block_on(test)
    }

    fn open() -> SpawnError {
        SpawnError::OpenForWriting {
            program: "tool".into(),
        }
    }

    #[test]
    fn a_program_that_is_made_meanwhile_starts() {
        let mut tries = 0;
        let started = in_virtual_time(when_written(|| {
            tries += 1;
            if tries < 5 {
                Err(open())
            } else {
                Ok("started")
            }
        }));
        assert_eq!(started.unwrap(), "started");
    }

    #[test]
    fn one_that_stays_open_is_an_error_after_two_seconds() {
        let (ended, took) = in_virtual_time(async {
            let began = Instant::now();
            let ended = when_written(|| Err::<(), _>(open())).await;
            (ended, began.elapsed())
        });
        assert!(matches!(ended, Err(SpawnError::OpenForWriting { .. })));
        assert_eq!(took.as_secs(), 2);
    }
}
