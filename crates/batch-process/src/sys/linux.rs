//! System calls that only Linux has, and those that only its guardian and executor need.

use std::fs::File;
use std::os::fd::FromRawFd;

use super::*;

/// A descriptor that means a process, and is readable once it has ended.
pub(crate) fn pidfd_open(pid: Pid) -> io::Result<OwnedFd> {
    // SAFETY: the call touches no memory.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    own(fd)
}

/// Sends a signal to the process a descriptor means, which can be no other by now.
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

/// The soft and hard limit of file locks of a process, 0 for this one. Nothing in the kernel uses it since 2.4.25.
pub(crate) fn file_locks(pid: Pid) -> io::Result<(u64, u64)> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the pointer is to a live value of the right type, and no new limit is passed.
    check(unsafe { libc::prlimit(pid, libc::RLIMIT_LOCKS, ptr::null(), &raw mut limit) })?;
    Ok((limit.rlim_cur, limit.rlim_max))
}

/// Sets the soft and hard limit of file locks of this process.
pub(crate) fn set_file_locks(soft: u64, hard: u64) -> io::Result<()> {
    let limit = libc::rlimit {
        rlim_cur: soft,
        rlim_max: hard,
    };
    // SAFETY: the pointer is to a live value of the right type.
    check(unsafe { libc::setrlimit(libc::RLIMIT_LOCKS, &raw const limit) }).map(drop)
}

/// Closes all descriptors from a number on.
pub(crate) fn close_from(first: u32) -> io::Result<()> {
    // SAFETY: the call touches no memory; nobody in this process uses the descriptors, says the caller.
    match unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// A file that is in memory only and is closed on exec.
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

/// Whether this process adopts the orphans below it.
pub(crate) fn is_subreaper() -> bool {
    let mut set: c_int = 0;
    // SAFETY: the pointer is to a live value of the right type.
    let got = unsafe { libc::prctl(libc::PR_GET_CHILD_SUBREAPER, &raw mut set, 0, 0, 0) };
    got == 0 && set != 0
}

/// Names the calling thread, which for the main thread is what `ps` and `top` show.
pub(crate) fn set_name(name: &CStr) -> io::Result<()> {
    // SAFETY: the name is a valid C string; the kernel copies at most 16 bytes of it.
    check(unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr(), 0, 0, 0) }).map(drop)
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
    let set = signal_set(signals.iter().copied());
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

/// Blocks all signals in this thread, and gives what was blocked before.
pub(crate) fn block_all() -> io::Result<Mask> {
    let (mut all, mut old) = (MaybeUninit::uninit(), MaybeUninit::uninit());
    // SAFETY: both pointers are to live memory of the right type; the calls fill it.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        check_code(libc::pthread_sigmask(
            libc::SIG_BLOCK,
            all.as_ptr(),
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
    let set = signal_set(signals.iter().copied());
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
    let set = signal_set([signal]);
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
