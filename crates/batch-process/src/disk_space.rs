//! What is done where the disk of the outputs is full: nothing is lost, and someone is told ([`DiskSpaceWatch`]).

use std::fmt::Debug;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

/// Between two tries to write to a full disk.
pub(crate) const PAUSE: Duration = Duration::from_millis(500);

/// Hears that outputs find no room on their disk. An output that finds none is read no further, so that its process waits as
/// soon as its pipe is full, and goes on by itself when there is room.
pub trait DiskSpaceWatch: Debug + Send + Sync {
    /// One more output waits for room.
    fn wanted(&self);

    /// One waits no more: it has found room, or its process was ended.
    fn found(&self);
}

/// Whether there was no room on a disk, or the quota was used up: what was tried can be tried again later.
pub fn is_disk_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// Does something that needs room on a disk, again and again until there is some.
///
/// # Errors
/// What `attempt` says, when it is anything else, or `give_up` is ready.
pub async fn until_space<T, F: Future<Output = io::Result<T>>>(
    disk_space: Option<&Arc<dyn DiskSpaceWatch>>,
    give_up: impl Future<Output = ()>,
    mut attempt: impl FnMut() -> F,
) -> io::Result<T> {
    let mut give_up = std::pin::pin!(give_up);
    let mut waiting = None;
    loop {
        let error = match attempt().await {
            Err(error) if is_disk_full(&error) => error,
            done => return done,
        };
        if let (None, Some(disk_space)) = (&waiting, disk_space) {
            waiting = Some(Waiting::new(Arc::clone(disk_space)));
        }
        tokio::select! {
            () = &mut give_up => return Err(error),
            () = sleep(PAUSE) => {}
        }
    }
}

/// Tells that someone waits for room, for as long as it lives.
#[derive(Debug)]
pub(crate) struct Waiting(Arc<dyn DiskSpaceWatch>);

impl Waiting {
    pub(crate) fn new(disk_space: Arc<dyn DiskSpaceWatch>) -> Self {
        disk_space.wanted();
        Self(disk_space)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.found();
    }
}
