//! Starting a process by `posix_spawn`, on systems other than Linux. Its sibling is `clone.rs`.
//!
//! The tests compile it on Linux as well, so that it stays what it was.

use super::*;

/// Starts a process in a session and a process group of its own, with an empty signal mask and SIGPIPE at its default.
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

/// A session of its own, which is a process group too; a group alone where there is nothing else.
#[cfg(any(target_os = "linux", target_os = "android"))]
const OWN_SESSION: c_int = libc::POSIX_SPAWN_SETSID as c_int;
/// The same on Apple's systems, where `libc` does not name it.
#[cfg(target_vendor = "apple")]
const OWN_SESSION: c_int = 0x0400;
#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
const OWN_SESSION: c_int = libc::POSIX_SPAWN_SETPGROUP;

/// An initialised `posix_spawnattr_t`. Boxed, since the C library may not like it to move.
struct Attributes(Box<MaybeUninit<libc::posix_spawnattr_t>>);

impl Attributes {
    fn new() -> io::Result<Self> {
        let flags = OWN_SESSION | libc::POSIX_SPAWN_SETSIGMASK | libc::POSIX_SPAWN_SETSIGDEF;
        let flags = libc::c_short::try_from(flags).expect("the flags of posix_spawn fit a short");
        let mut boxed = Box::new(MaybeUninit::uninit());
        // SAFETY: the pointer is to memory of the right size and alignment.
        check_code(unsafe { libc::posix_spawnattr_init(boxed.as_mut_ptr()) })?;
        let mut attributes = Self(boxed);
        let raw = attributes.0.as_mut_ptr();
        let (none, default) = (
            signal_set([]),
            signal_set(signals_to_reset().iter().copied()),
        );
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

/// The signals that children get at their default: those that we ignore (SIGPIPE, SIGXFSZ), and all that are not
/// ignored. An exec does the same
/// with the latter; but of those not named the C library asks first, and resets one by one, in each child.
fn signals_to_reset() -> &'static [c_int] {
    static SIGNALS: OnceLock<Vec<c_int>> = OnceLock::new();
    SIGNALS.get_or_init(|| {
        let ours = |signal: c_int| matches!(signal, libc::SIGPIPE | libc::SIGXFSZ);
        let resets = |signal: &c_int| ours(*signal) || !is_ignored(*signal);
        (1..=LAST_SIGNAL).filter(resets).collect()
    })
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
