//! Signals by name: [`Signal`] for those this crate sends, [`signal_name`] for any.

use crate::sys;

/// A signal for process groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// The terminal is gone.
    Hangup,
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-\.
    Quit,
    /// Ask to end.
    Terminate,
    /// End at once.
    Kill,
    /// Stop until [`Signal::Continue`].
    Stop,
    /// Go on after [`Signal::Stop`].
    Continue,
}

impl Signal {
    pub(crate) const fn number(self) -> i32 {
        match self {
            Self::Hangup => libc::SIGHUP,
            Self::Interrupt => libc::SIGINT,
            Self::Quit => libc::SIGQUIT,
            Self::Terminate => libc::SIGTERM,
            Self::Kill => libc::SIGKILL,
            Self::Stop => libc::SIGSTOP,
            Self::Continue => libc::SIGCONT,
        }
    }
}

/// Has a write beyond the limit of the size of files (RLIMIT_FSIZE) fail in this process, in place of ending it. In the
/// tasks SIGXFSZ does what it does by default. To be called first thing in `main`.
pub fn ignore_file_size_limit() {
    sys::ignore(libc::SIGXFSZ);
}

const NAMES: &[(i32, &str)] = &[
    (libc::SIGABRT, "SIGABRT"),
    (libc::SIGALRM, "SIGALRM"),
    (libc::SIGBUS, "SIGBUS"),
    (libc::SIGFPE, "SIGFPE"),
    (libc::SIGHUP, "SIGHUP"),
    (libc::SIGILL, "SIGILL"),
    (libc::SIGINT, "SIGINT"),
    (libc::SIGIO, "SIGIO"),
    (libc::SIGKILL, "SIGKILL"),
    (libc::SIGPIPE, "SIGPIPE"),
    (libc::SIGPROF, "SIGPROF"),
    (libc::SIGQUIT, "SIGQUIT"),
    (libc::SIGSEGV, "SIGSEGV"),
    (libc::SIGSYS, "SIGSYS"),
    (libc::SIGTERM, "SIGTERM"),
    (libc::SIGTRAP, "SIGTRAP"),
    (libc::SIGUSR1, "SIGUSR1"),
    (libc::SIGUSR2, "SIGUSR2"),
    (libc::SIGVTALRM, "SIGVTALRM"),
    (libc::SIGXCPU, "SIGXCPU"),
    (libc::SIGXFSZ, "SIGXFSZ"),
];

/// The name of a signal that can end a process, such as `SIGKILL` for 9; `None` for others.
///
/// ```
/// assert_eq!(batch_process::signal_name(9), Some("SIGKILL"));
/// ```
pub fn signal_name(number: i32) -> Option<&'static str> {
    NAMES
        .iter()
        .find(|(known, _)| *known == number)
        .map(|(_, name)| *name)
}
