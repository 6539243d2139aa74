//! How long a command line may be: [`command_line_room`].

use rustix::process::{Resource, getrlimit};

/// What the kernel keeps for arguments at least, and at most however large the stack may become.
const ROOM: std::ops::RangeInclusive<u64> = 128 << 10..=6 << 20;

/// Room for the variables that each task is given, for the path of the program, and for the interpreter of a script.
const BESIDE: usize = 8 << 10;

/// How many bytes the arguments of a task may take together, beside the environment of this process, as the kernel
/// counts: each with a NUL at its end and a pointer to it.
pub fn command_line_room() -> usize {
    let stack = getrlimit(Resource::Stack).current.unwrap_or(u64::MAX);
    let most = match cfg!(target_os = "linux") {
        true => (stack / 4).clamp(*ROOM.start(), *ROOM.end()),
        false => *ROOM.start(),
    };
    let variables = std::env::vars_os().map(|(name, value)| name.len() + value.len() + 2);
    let variables = variables.map(|bytes| bytes + size_of::<*const u8>());
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    most.saturating_sub(variables.sum::<usize>() + BESIDE)
}
