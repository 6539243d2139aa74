//! The system calls that std has no safe form for, each behind a safe function.
//!
//! This is the only module of the project with `unsafe` code. Every function here is a thin wrapper:
//! it takes and gives owned or borrowed Rust types, turns `errno` into [`io::Error`], and decides
//! nothing.

#![expect(unsafe_code, reason = "the one module that calls the C library")]

use std::ffi::{CStr, CString, c_char, c_int};
use std::io::{self, PipeReader};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;
use std::sync::OnceLock;
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

pub(crate) use libc::pid_t as Pid;

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
}

/// Starts a process in a process group of its own, with an empty signal mask and SIGPIPE at its default.
///
/// `posix_spawn` shares the memory until the exec, as `vfork` does, so its cost does not grow with the
/// executor. The program is resolved after the change of folder.
pub(crate) fn spawn(launch: &Launch<'_>) -> io::Result<Pid> {
    let argv = pointers(launch.argv.iter().map(CString::as_c_str));
    let env = pointers(launch.env.iter().copied());
    let attributes = Attributes::new()?;
    let mut actions = Actions::new()?;
    if let Some(cwd) = launch.cwd {
        actions.change_folder(cwd)?;
    }
    for (fd, target) in launch.stdio.iter().zip(0..) {
        actions.duplicate(*fd, target)?;
    }
    let mut pid: Pid = 0;
    // SAFETY: all pointers are to live, initialised values; both arrays end with a null pointer, and
    // their strings outlive the call, which copies nothing beyond it.
    let code = unsafe {
        libc::posix_spawn(
            &raw mut pid,
            launch.program.as_ptr(),
            actions.0.as_ptr(),
            attributes.0.as_ptr(),
            argv.as_ptr(),
            env.as_ptr(),
        )
    };
    check_code(code).map(|()| pid)
}

fn pointers<'a>(strings: impl Iterator<Item = &'a CStr>) -> Vec<*mut c_char> {
    strings
        .map(|string| string.as_ptr().cast_mut())
        .chain([ptr::null_mut()])
        .collect()
}

/// An initialised `posix_spawnattr_t`. Boxed, since the C library may not like it to move.
struct Attributes(Box<MaybeUninit<libc::posix_spawnattr_t>>);

impl Attributes {
    fn new() -> io::Result<Self> {
        let flags = libc::POSIX_SPAWN_SETPGROUP
            | libc::POSIX_SPAWN_SETSIGMASK
            | libc::POSIX_SPAWN_SETSIGDEF;
        let flags = libc::c_short::try_from(flags).expect("the flags of posix_spawn fit a short");
        let mut boxed = Box::new(MaybeUninit::uninit());
        // SAFETY: the pointer is to memory of the right size and alignment.
        check_code(unsafe { libc::posix_spawnattr_init(boxed.as_mut_ptr()) })?;
        let mut attributes = Self(boxed);
        let raw = attributes.0.as_mut_ptr();
        let (none, default) = (signal_set(&[]), signal_set(signals_to_reset()));
        // SAFETY: `raw` was initialised above, and the sets are initialised and outlive the calls.
        unsafe {
            check_code(libc::posix_spawnattr_setpgroup(raw, 0))?;
            check_code(libc::posix_spawnattr_setsigmask(raw, &raw const none))?;
            check_code(libc::posix_spawnattr_setsigdefault(raw, &raw const default))?;
            check_code(libc::posix_spawnattr_setflags(raw, flags))?;
        }
        Ok(attributes)
    }
}

/// The signals that children get at their default: SIGPIPE, and all that are not ignored. An exec does the same
/// with the latter; but of those not named the C library asks first, and resets one by one, in each child.
fn signals_to_reset() -> &'static [c_int] {
    static SIGNALS: OnceLock<Vec<c_int>> = OnceLock::new();
    SIGNALS.get_or_init(|| {
        let resets = |signal: &c_int| *signal == libc::SIGPIPE || !is_ignored(*signal);
        (1..=LAST_SIGNAL).filter(resets).collect()
    })
}

/// More than there are is no harm.
const LAST_SIGNAL: c_int = 64;

/// Whether whoever started this process had it ignore the signal, as `nohup` does.
pub(crate) fn is_ignored(signal: c_int) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: the pointer is to live memory of the right type, for which zeroes are a value.
    unsafe {
        libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) == 0
            && action.assume_init().sa_sigaction == libc::SIG_IGN
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: a value of this type is initialised, and this is its only destruction.
        unsafe { libc::posix_spawnattr_destroy(self.0.as_mut_ptr()) };
    }
}

/// An initialised `posix_spawn_file_actions_t`.
struct Actions(Box<MaybeUninit<libc::posix_spawn_file_actions_t>>);

impl Actions {
    fn new() -> io::Result<Self> {
        let mut boxed = Box::new(MaybeUninit::uninit());
        // SAFETY: the pointer is to memory of the right size and alignment.
        check_code(unsafe { libc::posix_spawn_file_actions_init(boxed.as_mut_ptr()) })?;
        Ok(Self(boxed))
    }

    fn change_folder(&mut self, path: &CStr) -> io::Result<()> {
        // SAFETY: `self` is initialised, and the C library copies the path.
        check_code(unsafe {
            libc::posix_spawn_file_actions_addchdir_np(self.0.as_mut_ptr(), path.as_ptr())
        })
    }

    fn duplicate(&mut self, from: BorrowedFd<'_>, to: c_int) -> io::Result<()> {
        // SAFETY: `self` is initialised.
        check_code(unsafe {
            libc::posix_spawn_file_actions_adddup2(self.0.as_mut_ptr(), from.as_raw_fd(), to)
        })
    }
}

impl Drop for Actions {
    fn drop(&mut self) {
        // SAFETY: a value of this type is initialised, and this is its only destruction.
        unsafe { libc::posix_spawn_file_actions_destroy(self.0.as_mut_ptr()) };
    }
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
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the pointer is to a live value of the right type.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) })?;
    Ok((limit.rlim_cur, limit.rlim_max))
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

fn signal_set(signals: &[c_int]) -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: `sigemptyset` initialises the set; `sigaddset` fails on a wrong number, no more.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for signal in signals {
            libc::sigaddset(set.as_mut_ptr(), *signal);
        }
        set.assume_init()
    }
}

#[cfg(target_os = "linux")]
pub(crate) use linux::*;

#[cfg(target_os = "linux")]
mod linux {
    use std::fs::File;
    use std::os::fd::FromRawFd;

    use super::*;

    /// A descriptor that stands for a process, and is readable once it has ended.
    pub(crate) fn pidfd_open(pid: Pid) -> io::Result<OwnedFd> {
        // SAFETY: the call touches no memory.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        own(fd)
    }

    /// Sends a signal to the process a descriptor stands for, which can be no other by now.
    pub(crate) fn pidfd_signal(fd: BorrowedFd<'_>, signal: c_int) -> io::Result<()> {
        let none = ptr::null::<libc::siginfo_t>();
        // SAFETY: the descriptor is open, and no `siginfo_t` is passed.
        let result =
            unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd.as_raw_fd(), signal, none, 0) };
        if result == -1 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    }

    /// Closes all descriptors from a number on.
    pub(crate) fn close_from(first: u32) -> io::Result<()> {
        // SAFETY: the call touches no memory; nobody in this process uses the descriptors, says the caller.
        match unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }

    /// A file that lies in memory only and is closed on exec.
    pub(crate) fn memory_file() -> io::Result<File> {
        // SAFETY: the name is a valid C string.
        let fd = unsafe { libc::memfd_create(c"stdin".as_ptr(), libc::MFD_CLOEXEC) };
        own(fd.into()).map(File::from)
    }

    fn own(fd: libc::c_long) -> io::Result<OwnedFd> {
        if fd == -1 {
            return Err(io::Error::last_os_error());
        }
        let fd = c_int::try_from(fd).expect("a file descriptor fits an int");
        // SAFETY: the kernel has just made this descriptor for us alone.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }

    /// Makes this process the one that adopts the orphans below it.
    pub(crate) fn become_subreaper() -> io::Result<()> {
        // SAFETY: the call touches no memory.
        check(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }).map(drop)
    }

    /// Names the calling thread, which for the main thread is what `ps` and `top` show.
    pub(crate) fn set_name(name: &CStr) -> io::Result<()> {
        // SAFETY: the name is a valid C string; the kernel copies at most 16 bytes of it.
        check(unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr(), 0, 0, 0) }).map(drop)
    }

    /// Sets the soft limit of open files of another process.
    pub(crate) fn set_open_files_of(pid: Pid, soft: u64) -> io::Result<()> {
        let mut limit = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        // SAFETY: the pointers are null or to a live value of the right type.
        check(unsafe { libc::prlimit(pid, libc::RLIMIT_NOFILE, ptr::null(), &raw mut limit) })?;
        limit.rlim_cur = soft.min(limit.rlim_max);
        // SAFETY: as above.
        check(unsafe { libc::prlimit(pid, libc::RLIMIT_NOFILE, &raw const limit, ptr::null_mut()) })
            .map(drop)
    }

    /// The side of a fork this is.
    pub(crate) enum Fork {
        Parent(Pid),
        Child,
    }

    /// Splits this process in two.
    ///
    /// # Errors
    /// What `fork` says, and `Unsupported` when the process has other threads: they, and any lock
    /// they hold, would be missing in the child.
    pub(crate) fn fork() -> io::Result<Fork> {
        if std::fs::read_dir("/proc/self/task")?.count() != 1 {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "the process has more than one thread",
            ));
        }
        // SAFETY: this is the only thread, so the child is as whole as the parent.
        Ok(match check(unsafe { libc::fork() })? {
            0 => Fork::Child,
            pid => Fork::Parent(pid),
        })
    }

    /// Whether this process leads its session.
    ///
    /// The leader's id is 0 when it lives outside our pid namespace, as for a program in a container whose
    /// session began without; a type for ids that are never 0 cannot take that answer.
    pub(crate) fn leads_session() -> bool {
        // SAFETY: the calls touch no memory and cannot fail for the process itself.
        unsafe { libc::getsid(0) == libc::getpid() }
    }

    /// Puts a process into a group of its own.
    pub(crate) fn own_group(pid: Pid) -> io::Result<()> {
        // SAFETY: the call touches no memory.
        check(unsafe { libc::setpgid(pid, pid) }).map(drop)
    }

    /// A set of blocked signals, as [`block`] found it.
    pub(crate) struct Mask(libc::sigset_t);

    /// Blocks signals in this thread, and gives what was blocked before.
    pub(crate) fn block(signals: &[c_int]) -> io::Result<Mask> {
        let set = signal_set(signals);
        let mut old = MaybeUninit::uninit();
        // SAFETY: both pointers are to live memory of the right type; the call fills `old`.
        unsafe {
            check_code(libc::pthread_sigmask(
                libc::SIG_BLOCK,
                &raw const set,
                old.as_mut_ptr(),
            ))?;
            Ok(Mask(old.assume_init()))
        }
    }

    /// Sets what is blocked in this thread.
    pub(crate) fn restore(mask: &Mask) -> io::Result<()> {
        // SAFETY: the pointer is to a live set.
        check_code(unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const mask.0, ptr::null_mut())
        })
    }

    /// Waits for one of these signals, which must be blocked.
    pub(crate) fn next_signal(signals: &[c_int]) -> io::Result<c_int> {
        let set = signal_set(signals);
        let mut signal = 0;
        // SAFETY: both pointers are to live values of the right type.
        check_code(unsafe { libc::sigwait(&raw const set, &raw mut signal) })?;
        Ok(signal)
    }

    /// Gives a signal its default action.
    pub(crate) fn set_default(signal: c_int) {
        // SAFETY: the default action runs no code of this process.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }

    /// Ends or stops this process by a signal, which must have its default action.
    pub(crate) fn raise_unblocked(signal: c_int) {
        let set = signal_set(&[signal]);
        // SAFETY: the pointer is to a live set; the signals' actions run no code of this process.
        unsafe {
            libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, ptr::null_mut());
            libc::raise(signal);
        }
    }

    /// Keeps this process from writing a core dump.
    pub(crate) fn no_core_dump() {
        let limit = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        // SAFETY: the pointer is to a live value of the right type.
        unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const limit) };
    }

    /// What became of a child.
    pub(crate) enum Change {
        /// It ended: the number that `wait` gives.
        Ended(Pid, c_int),
        Stopped(Pid),
        Other,
    }

    /// The next child that ended, stopped or went on; `None` when there is none such now.
    pub(crate) fn next_change(block: bool) -> io::Result<Option<Change>> {
        let options = libc::WUNTRACED | if block { 0 } else { libc::WNOHANG };
        let mut status = 0;
        // SAFETY: the pointer is to a live value.
        let pid = check(unsafe { libc::waitpid(-1, &raw mut status, options) })?;
        Ok((pid != 0).then(|| {
            if libc::WIFSTOPPED(status) {
                Change::Stopped(pid)
            } else if libc::WIFEXITED(status) || libc::WIFSIGNALED(status) {
                Change::Ended(pid, status)
            } else {
                Change::Other
            }
        }))
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
