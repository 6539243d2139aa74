//! Starting a process on Linux. Its sibling is `posix_spawn.rs`.
//!
//! The C library's `posix_spawn` maps and unmaps a stack for each child and has it ask for the action of each of
//! 64 signals, which makes up a twentieth of what starting and ending a small program costs. This does the same
//! with less: a child that shares our memory, while the thread that made it hangs, until it has become
//! another program.

use std::cell::RefCell;
use std::ffi::c_void;
use std::sync::atomic::{AtomicI32, Ordering};

use super::*;

/// What the child becomes. All is ready before there is a child: in our memory it must change nothing that another
/// thread may be using, so it allocates nothing, takes no lock and calls nothing that does.
struct Plan<'a> {
    program: *const c_char,
    argv: *const *mut c_char,
    env: *const *mut c_char,
    /// Null: the folder stays.
    cwd: *const c_char,
    stdio: [c_int; 3],
    reset: &'a [c_int],
    default: libc::sigaction,
    no_signals: libc::sigset_t,
    open_files: Option<libc::rlimit>,
    file_locks: Option<libc::rlimit>,
    /// The process that this one is to die with, if the thread that starts it lives as long as that process.
    dies_with: Option<Pid>,
    /// Why it became nothing.
    error: AtomicI32,
}

/// The child's stack until it is another program: 64 KiB, aligned as the system wants it.
type Stack = Vec<MaybeUninit<u128>>;

const STACK: usize = 64 * 1024 / size_of::<u128>();

thread_local! {
    // A thread has one child at a time that needs it.
    static CHILD_STACK: RefCell<Stack> = RefCell::new(vec![MaybeUninit::uninit(); STACK]);
}

/// Starts a process in a session and a process group of its own, with an empty signal mask and SIGPIPE at its default.
///
/// The program is resolved after the change of folder.
pub(crate) fn spawn(launch: &Launch<'_>) -> io::Result<Pid> {
    let argv = pointers(launch.argv.iter().map(CString::as_c_str));
    let env = pointers(launch.env.iter().copied());
    let plan = Plan {
        program: launch.program.as_ptr(),
        argv: argv.as_ptr(),
        env: env.as_ptr(),
        cwd: launch.cwd.map_or(ptr::null(), CStr::as_ptr),
        stdio: launch.stdio.map(|fd| fd.as_raw_fd()),
        reset: signals_to_reset(),
        default: default_action(),
        no_signals: signal_set([]),
        open_files: launch.open_files.map(limit),
        file_locks: launch.file_locks.map(limit),
        dies_with: in_main_thread(),
        error: AtomicI32::new(0),
    };
    // A signal for the child must not run our handlers in it, in memory that is ours.
    let before = block_all()?;
    let cloned = CHILD_STACK.with_borrow_mut(|stack| clone(&plan, stack));
    restore(&before)?;
    let pid = cloned?;
    match plan.error.load(Ordering::Relaxed) {
        0 => Ok(pid),
        error => {
            let _ = wait(pid, true);
            Err(io::Error::from_raw_os_error(error))
        }
    }
}

fn limit((soft, hard): (u64, u64)) -> libc::rlimit {
    libc::rlimit {
        rlim_cur: soft,
        rlim_max: hard,
    }
}

/// This process, in its main thread only. A death signal is sent when the *thread* ends that started the process:
/// the main thread ends with the process, any other may end before.
fn in_main_thread() -> Option<Pid> {
    // SAFETY: the calls touch no memory and cannot fail.
    let (thread, process) = unsafe { (libc::gettid(), libc::getpid()) };
    (thread == process).then_some(process)
}

/// Makes the child, and returns when it has become another program or has ended.
fn clone(plan: &Plan<'_>, stack: &mut Stack) -> io::Result<Pid> {
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    let top = stack.as_mut_ptr_range().end.cast();
    let argument = ptr::from_ref(plan).cast_mut().cast();
    // SAFETY: the stack is the child's alone, as this thread waits, and so is the plan, which outlives it; the child
    // runs `child`, which keeps to what a child that shares memory may do.
    check(unsafe { libc::clone(child, top, flags, argument) })
}

/// The child's life.
extern "C" fn child(argument: *mut c_void) -> c_int {
    // SAFETY: the argument is the plan that `clone` was given, which is only read.
    let plan = unsafe { &*argument.cast::<Plan<'_>>() };
    let error = become_program(plan).raw_os_error();
    plan.error
        .store(error.unwrap_or(libc::EINVAL), Ordering::Relaxed);
    // SAFETY: the call ends this process without running anything of the parent's.
    unsafe { libc::_exit(127) }
}

/// Returns only when that failed.
fn become_program(plan: &Plan<'_>) -> io::Error {
    // SAFETY: all calls are safe after a fork, and all pointers are to live, initialised values; both arrays end
    // with a null pointer. Signals are let in when none runs code of ours any more.
    unsafe {
        // A new child leads no group yet, so this cannot fail but because memory ran out. A session has no terminal: who
        // reads or sets that of ours, from a group in its background, would be stopped for ever.
        if libc::setsid() == -1 {
            return io::Error::last_os_error();
        }
        for signal in plan.reset {
            libc::sigaction(*signal, &raw const plan.default, ptr::null_mut());
        }
        if let Some(parent) = plan.dies_with {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            // Who has died before that sends nothing.
            if libc::getppid() != parent {
                libc::_exit(127);
            }
        }
        if let Some(limit) = &plan.open_files {
            // It is no more than a kindness to old programs.
            libc::setrlimit(libc::RLIMIT_NOFILE, limit);
        }
        if let Some(limit) = &plan.file_locks {
            // Without it the process is recognised by its environment only.
            libc::setrlimit(libc::RLIMIT_LOCKS, limit);
        }
        if !plan.cwd.is_null() && libc::chdir(plan.cwd) == -1 {
            return io::Error::last_os_error();
        }
        for (fd, target) in plan.stdio.iter().zip(0..) {
            let done = match *fd == target {
                // Nothing to copy, but it must stay open.
                true => libc::fcntl(target, libc::F_SETFD, 0),
                false => libc::dup2(*fd, target),
            };
            if done == -1 {
                return io::Error::last_os_error();
            }
        }
        libc::sigprocmask(
            libc::SIG_SETMASK,
            &raw const plan.no_signals,
            ptr::null_mut(),
        );
        libc::execve(plan.program, plan.argv.cast(), plan.env.cast());
        io::Error::last_os_error()
    }
}

/// The signals that children get at their default: those that we ignore (SIGPIPE, SIGXFSZ), and all that are not
/// ignored. An exec does the same
/// with the latter, but until then they would run handlers of ours. Of those beyond the standard ones only who has
/// a handler when the first process starts, and so SIGABRT, for which C libraries take a lock.
fn signals_to_reset() -> &'static [c_int] {
    static SIGNALS: OnceLock<Vec<c_int>> = OnceLock::new();
    const STANDARD: c_int = 31;
    SIGNALS.get_or_init(|| {
        let resets = |signal: &c_int| match *signal {
            libc::SIGKILL | libc::SIGSTOP => false,
            libc::SIGPIPE | libc::SIGXFSZ => true,
            1..=STANDARD if *signal != libc::SIGABRT => !is_ignored(*signal),
            other => !matches!(action(other), None | Some(libc::SIG_IGN | libc::SIG_DFL)),
        };
        (1..=LAST_SIGNAL).filter(resets).collect()
    })
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::sys::posix_spawn;

    type Spawn = fn(&Launch<'_>) -> io::Result<Pid>;

    const WAYS: [Spawn; 2] = [spawn, posix_spawn::spawn];

    /// Starts a program with its output in a file, and gives its exit code and output.
    fn run(way: Spawn, argv: &[&CStr], cwd: Option<&CStr>) -> io::Result<(i32, String)> {
        let mut output = memory_file()?;
        let null = std::fs::File::open("/dev/null")?;
        let argv: Vec<CString> = argv.iter().map(|&word| word.to_owned()).collect();
        let pid = way(&Launch {
            program: &argv[0],
            argv: &argv,
            env: &[c"A=b"],
            cwd,
            stdio: [null.as_fd(), output.as_fd(), output.as_fd()],
            open_files: None,
            file_locks: None,
        })?;
        let end = wait(pid, true)?.expect("it has been waited for");
        let mut text = String::new();
        io::Seek::rewind(&mut output)?;
        io::Read::read_to_string(&mut output, &mut text)?;
        Ok((libc::WEXITSTATUS(end.status), text))
    }

    #[test]
    fn both_ways_start_a_program_in_its_folder_and_session_with_its_environment() {
        let script = c"pwd; echo $A; echo $0; \
            ps -o pid= -o pgid= -o sid= -p $$ | grep -Eq '^ *([0-9]+) +\\1 +\\1$' && echo leads >&2; exit 7";
        for way in WAYS {
            let (code, text) =
                run(way, &[c"/bin/sh", c"-c", script, c"name"], Some(c"/usr")).unwrap();
            assert_eq!((code, &*text), (7, "/usr\nb\nname\nleads\n"));
        }
    }

    #[test]
    fn both_ways_let_signals_in_and_none_is_ignored_that_was_not() {
        let script = c"grep -E 'SigBlk|SigIgn' /proc/self/status";
        let [ours, theirs] =
            WAYS.map(|way| run(way, &[c"/bin/sh", c"-c", script], None).unwrap().1);
        assert!(ours.contains("SigBlk:\t0000000000000000"), "{ours}");
        assert!(theirs.contains("SigBlk:\t0000000000000000"), "{theirs}");
        // The C library ignores two signals of its own for its child, which does not mind.
        let ignored = |text: &str| {
            let (_, mask) = text.trim().rsplit_once('\t').unwrap();
            u64::from_str_radix(mask, 16).unwrap() & 0x7fff_ffff
        };
        assert_eq!(ignored(&ours), ignored(&theirs));
    }

    #[test]
    fn both_ways_tell_why_a_program_did_not_start() {
        for way in WAYS {
            let error = |program, cwd| run(way, &[program], cwd).unwrap_err().raw_os_error();
            assert_eq!(error(c"/no/such/program", None), Some(libc::ENOENT));
            assert_eq!(error(c"/etc/passwd", None), Some(libc::EACCES));
            assert_eq!(error(c"/bin/true", Some(c"/no/folder")), Some(libc::ENOENT));
        }
        // None is left to be waited for, of those that did not start.
        let left = std::fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
        for pid in left.split_whitespace() {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            assert!(!stat.contains(") Z "), "{stat}");
        }
    }

    #[test]
    fn a_limit_of_open_files_holds_from_the_first_instruction() {
        let (_, hard) = open_files().unwrap();
        let mut output = memory_file().unwrap();
        let argv = [
            c"/bin/sh".to_owned(),
            c"-c".to_owned(),
            c"ulimit -Sn".to_owned(),
        ];
        let pid = spawn(&Launch {
            program: &argv[0],
            argv: &argv,
            env: &[],
            cwd: None,
            stdio: [output.as_fd(); 3],
            open_files: Some((77, hard)),
            file_locks: None,
        });
        wait(pid.unwrap(), true).unwrap();
        let mut text = String::new();
        io::Seek::rewind(&mut output).unwrap();
        io::Read::read_to_string(&mut output, &mut text).unwrap();
        assert_eq!(text, "77\n");
    }
}
