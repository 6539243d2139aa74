//! The names of signals, for reading and for showing: one table.

use std::fmt;

/// Name, number on Linux, number on other systems.
const SIGNALS: [(&str, i32, i32); 21] = [
    ("SIGABRT", 6, 6),
    ("SIGALRM", 14, 14),
    ("SIGBUS", 7, 10),
    ("SIGFPE", 8, 8),
    ("SIGHUP", 1, 1),
    ("SIGILL", 4, 4),
    ("SIGINT", 2, 2),
    ("SIGIO", 29, 23),
    ("SIGKILL", 9, 9),
    ("SIGPIPE", 13, 13),
    ("SIGPROF", 27, 27),
    ("SIGQUIT", 3, 3),
    ("SIGSEGV", 11, 11),
    ("SIGSYS", 31, 12),
    ("SIGTERM", 15, 15),
    ("SIGTRAP", 5, 5),
    ("SIGUSR1", 10, 30),
    ("SIGUSR2", 12, 31),
    ("SIGVTALRM", 26, 26),
    ("SIGXCPU", 24, 24),
    ("SIGXFSZ", 25, 25),
];

/// The number of a signal. It is shown as `signal 9 (SIGKILL)`, or `signal 35` where it has no name.
///
/// ```
/// use batch_core::outcome::SignalNumber;
/// assert_eq!(SignalNumber(9).to_string(), "signal 9 (SIGKILL)");
/// assert_eq!(SignalNumber::named("sigkill"), Some(SignalNumber(9)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SignalNumber(pub i32);

impl SignalNumber {
    /// The signals that can end a process and have a name.
    pub fn all() -> impl Iterator<Item = (&'static str, Self)> {
        let on_this_system = |(name, linux, other)| match cfg!(target_os = "linux") {
            true => (name, Self(linux)),
            false => (name, Self(other)),
        };
        SIGNALS.into_iter().map(on_this_system)
    }

    /// The signal with a name, in any case.
    pub fn named(name: &str) -> Option<Self> {
        let mut all = Self::all();
        all.find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, signal)| signal)
    }

    /// The name, if it can end a process and has one.
    pub fn name(self) -> Option<&'static str> {
        let mut all = Self::all();
        all.find(|(_, signal)| *signal == self)
            .map(|(name, _)| name)
    }
}

impl fmt::Display for SignalNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "signal {}", self.0)?;
        self.name().map_or(Ok(()), |name| write!(f, " ({name})"))
    }
}
