//! The system calls that std has no safe form for, each behind a safe function.
//!
//! This is the only module of the project with `unsafe` code. Every function here is a thin wrapper:
//! it takes and gives owned or borrowed Rust types, turns `errno` into [`io::Error`], and decides
//! nothing. The exception is [`spawn`], of which each system has a file of its own: what happens between the start
//! of a child and its program is decided there.

#![expect(unsafe_code, reason = "the one module that calls the C library")]

#[cfg(target_os = "linux")]
mod clone;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(any(not(target_os = "linux"), test))]
mod posix_spawn;
#[cfg(any(target_os = "linux", target_vendor = "apple"))]
mod record_lock;

use std::ffi::{CStr, CString, c_char, c_int};
use std::io::{self, PipeReader};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;
use std::sync::OnceLock;
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

#[cfg(target_os = "linux")]
pub(crate) use clone::spawn;
pub(crate) use libc::pid_t as Pid;
#[cfg(target_os = "linux")]
pub(crate) use linux::*;
#[cfg(not(target_os = "linux"))]
pub(crate) use posix_spawn::spawn;
#[cfg(any(target_os = "linux", target_vendor = "apple"))]
pub(crate) use record_lock::{RecordLock, record_lock_in_the_way, set_record_lock};

/// Turns the result of a call that gives -1 on error into a `Result`.
fn check(result: c_int) -> io::Result<c_int> {
    if result == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// Turns the result of a `posix_spawn*` call, which gives the error itself, into a `Result`.
fn check_code(code: c_int) -> io::Result<()> {
    if code == 0 {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(code))
    }
}

/// What [`spawn`] starts.
pub(crate) struct Launch<'a> {
    pub(crate) program: &'a CStr,
    pub(crate) argv: &'a [CString],
    /// `NAME=value`, all of it.
    pub(crate) env: &'a [&'a CStr],
    pub(crate) cwd: Option<&'a CStr>,
    /// What become the file descriptors 0, 1 and 2.
    pub(crate) stdio: [BorrowedFd<'a>; 3],
    /// The soft and hard limit of open files, where it is not to have ours. On Linux only.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "for Linux"))]
    pub(crate) open_files: Option<(u64, u64)>,
    /// The soft and hard limit of file locks, by which its processes are recognised. On Linux only.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "for Linux"))]
    pub(crate) file_locks: Option<(u64, u64)>,
}

fn pointers<'a>(strings: impl Iterator<Item = &'a CStr>) -> Vec<*mut c_char> {
    strings
        .map(|string| string.as_ptr().cast_mut())
        .chain([ptr::null_mut()])
        .collect()
}

/// More than there are is no harm.
const LAST_SIGNAL: c_int = 64;

/// Whether the one who started this process had it ignore the signal, as `nohup` does.
pub(crate) fn is_ignored(signal: c_int) -> bool {
    action(signal) == Some(libc::SIG_IGN)
}

/// Has this process ignore a signal.
pub(crate) fn ignore(signal: c_int) {
    // SAFETY: to be ignored runs no code of this process.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

/// What this process does at a signal: an address of a function, or one of two constants; `None` of what is no signal.
fn action(signal: c_int) -> Option<libc::sighandler_t> {
    let mut action = default_action();
    // SAFETY: the pointer is to live memory of the right type.
    let read = unsafe { libc::sigaction(signal, ptr::null(), &raw mut action) };
    (read == 0).then_some(action.sa_sigaction)
}

/// The action that signals have without one.
fn default_action() -> libc::sigaction {
    // SAFETY: zeroes are a value of the type, and mean the default.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

/// How a child ended and what it used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// As `wait` gives it; [`std::os::unix::process::ExitStatusExt`] reads it.
    pub(crate) status: c_int,
    pub(crate) cpu_time: Duration,
    /// In bytes.
    pub(crate) peak_memory: u64,
}

/// Takes the end of a child; `None` while it still runs and `block` is not set.
pub(crate) fn wait(pid: Pid, block: bool) -> io::Result<Option<Usage>> {
    let options = if block { 0 } else { libc::WNOHANG };
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    let found = loop {
        // SAFETY: both pointers are to live memory of the right type.
        let found = unsafe { libc::wait4(pid, &raw mut status, options, usage.as_mut_ptr()) };
        match check(found) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => break other?,
        }
    };
    // SAFETY: a `rusage` is integers only, for which zeroes are a value.
    let usage = unsafe { usage.assume_init() };
    Ok((found != 0).then(|| Usage {
        status,
        cpu_time: duration(usage.ru_utime) + duration(usage.ru_stime),
        peak_memory: peak_bytes(usage.ru_maxrss),
    }))
}

fn duration(time: libc::timeval) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let micros = u64::try_from(time.tv_usec).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_micros(micros)
}

/// Linux counts in KiB, Apple's systems in bytes.
fn peak_bytes(value: libc::c_long) -> u64 {
    let unit = if cfg!(target_vendor = "apple") {
        1
    } else {
        1024
    };
    u64::try_from(value).unwrap_or(0).saturating_mul(unit)
}

/// Any child that has ended and not been waited for; it stays so. `Ok(None)` when all children run,
/// `ECHILD` when there is no child.
pub(crate) fn ended_child() -> io::Result<Option<Pid>> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: the pointer is to live memory of the right type.
    check(unsafe { libc::waitid(libc::P_ALL, 0, info.as_mut_ptr(), options) })?;
    // SAFETY: zeroes are a value of the type, and `waitid` fills the field for a child it found.
    let pid = unsafe { info.assume_init().si_pid() };
    Ok((pid != 0).then_some(pid))
}

/// Sends a signal to a process, or with a negative number to a process group.
pub(crate) fn kill(pid: Pid, signal: c_int) -> io::Result<()> {
    // SAFETY: the call touches no memory.
    check(unsafe { libc::kill(pid, signal) }).map(drop)
}

/// The user that this process acts for.
pub(crate) fn own_user() -> u32 {
    // SAFETY: the call touches no memory and cannot fail.
    unsafe { libc::geteuid() }
}

/// Sets whether reads return at once when there is nothing to read. For read ends of pipes, which have
/// no other flag set.
pub(crate) fn set_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the descriptor is open, and the call touches no memory.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) }).map(drop)
}

/// What owns one file descriptor, which stays the same and open for as long as the owner lives.
pub(crate) trait Owner: AsRawFd {}

impl Owner for OwnedFd {}
impl Owner for PipeReader {}

/// Has the runtime tell when a descriptor is readable.
pub(crate) fn watch_readable<T: Owner>(fd: T) -> io::Result<AsyncFd<T>> {
    // SAFETY: this is what `Owner` promises, and it is implemented above only.
    unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }.map_err(io::Error::from)
}

/// The soft and hard limit of open files of this process.
pub(crate) fn open_files() -> io::Result<(u64, u64)> {
    let mut limit = zero_limit();
    // SAFETY: the pointer is to a live value of the right type.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) })?;
    Ok((limit.rlim_cur, limit.rlim_max))
}

/// The soft limit of the processes of this user; the greatest number there is where there is none.
#[cfg(target_os = "linux")]
pub(crate) fn most_processes() -> io::Result<u64> {
    let mut limit = zero_limit();
    // SAFETY: the pointer is to a live value of the right type.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NPROC, &raw mut limit) })?;
    Ok(limit.rlim_cur)
}

fn zero_limit() -> libc::rlimit {
    libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    }
}

/// Sets the soft and hard limit of open files of this process.
pub(crate) fn set_open_files(soft: u64, hard: u64) -> io::Result<()> {
    let limit = libc::rlimit {
        rlim_cur: soft,
        rlim_max: hard,
    };
    // SAFETY: the pointer is to a live value of the right type.
    check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }).map(drop)
}

fn signal_set(signals: impl IntoIterator<Item = c_int>) -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: `sigemptyset` initialises the set; `sigaddset` fails on a wrong number, no more.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for signal in signals {
            libc::sigaddset(set.as_mut_ptr(), signal);
        }
        set.assume_init()
    }
}

/// Whether a child has ended; its end stays to be taken.
#[cfg(not(target_os = "linux"))]
pub(crate) fn has_ended(pid: Pid) -> io::Result<bool> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    let id = libc::id_t::try_from(pid).expect("the pid of a child is positive");
    // SAFETY: the pointer is to live memory of the right type.
    check(unsafe { libc::waitid(libc::P_PID, id, info.as_mut_ptr(), options) })?;
    // SAFETY: zeroes are a value of the type, and `waitid` fills the field for a child it found.
    Ok(unsafe { info.assume_init().si_pid() } != 0)
}
