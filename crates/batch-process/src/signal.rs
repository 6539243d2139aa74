//! The signals that this crate sends: [`Signal`].

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

#[cfg(test)]
mod tests {
    use batch_core::outcome::SignalNumber;

    /// The core knows no system; here its numbers are compared with those of the system.
    #[test]
    fn the_names_of_signals_are_those_of_the_system() {
        let numbers = [
            ("SIGABRT", libc::SIGABRT),
            ("SIGALRM", libc::SIGALRM),
            ("SIGBUS", libc::SIGBUS),
            ("SIGFPE", libc::SIGFPE),
            ("SIGHUP", libc::SIGHUP),
            ("SIGILL", libc::SIGILL),
            ("SIGINT", libc::SIGINT),
            ("SIGIO", libc::SIGIO),
            ("SIGKILL", libc::SIGKILL),
            ("SIGPIPE", libc::SIGPIPE),
            ("SIGPROF", libc::SIGPROF),
            ("SIGQUIT", libc::SIGQUIT),
            ("SIGSEGV", libc::SIGSEGV),
            ("SIGSYS", libc::SIGSYS),
            ("SIGTERM", libc::SIGTERM),
            ("SIGTRAP", libc::SIGTRAP),
            ("SIGUSR1", libc::SIGUSR1),
            ("SIGUSR2", libc::SIGUSR2),
            ("SIGVTALRM", libc::SIGVTALRM),
            ("SIGXCPU", libc::SIGXCPU),
            ("SIGXFSZ", libc::SIGXFSZ),
        ];
        let known: Vec<_> = SignalNumber::all()
            .map(|(name, signal)| (name, signal.0))
            .collect();
        assert_eq!(known, numbers);
    }
}
