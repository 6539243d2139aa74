//! Why a process could not be started: [`SpawnError`], and how it is found out.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use batch_core::catalog::MAX_ARGUMENT;

/// Why a process could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// The system is short of processes, open files or memory: a later attempt may succeed.
    #[error("cannot start {program:?} for now: {source}")]
    Busy {
        /// The program.
        program: OsString,
        /// What the system said.
        source: io::Error,
    },
    /// The program is open for writing: it is just being made, or another process forgot to close it.
    #[error(
        "program {program:?} is open for writing, so it cannot be started; see which process has it open \
         and have it close the file"
    )]
    OpenForWriting {
        /// The program.
        program: OsString,
    },
    /// No argument at all, or an empty name.
    #[error("no program is given: the first argument must name one")]
    NoProgram,
    /// A program by name that no folder of the `PATH` has.
    #[error(
        "program {program:?} is not in PATH; check the spelling, install it, or give its full path"
    )]
    NotInPath {
        /// The program.
        program: OsString,
    },
    /// A program by path that is not there.
    #[error(
        "program {program:?} does not exist; check the path (it is taken from the working folder)"
    )]
    NotFound {
        /// The program.
        program: OsString,
    },
    /// The working folder is not there or cannot be entered.
    #[error("the working folder {cwd:?} cannot be entered: {source}; create it or correct `cwd`")]
    Folder {
        /// The folder.
        cwd: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The program may not be executed.
    #[error("program {program:?} may not be executed: {problem}")]
    Denied {
        /// The program.
        program: OsString,
        /// What prevents it, and how to fix it.
        problem: &'static str,
    },
    /// A script whose `#!` line names a program that is not there.
    #[error(
        "program {program:?} is a script, and its `#!` line names {interpreter:?}, which does not exist"
    )]
    Interpreter {
        /// The script.
        program: OsString,
        /// What its first line names.
        interpreter: OsString,
    },
    /// Neither a program of this system nor a script with a `#!` line.
    #[error(
        "{program:?} is neither a program of this system nor a script with a `#!` line; \
         name its interpreter before it, such as `sh`"
    )]
    NotExecutable {
        /// The file.
        program: OsString,
    },
    /// One argument is too long.
    #[error(
        "argument {index} has {len} bytes, and the system takes {MAX_ARGUMENT} at most; \
         pass it in a file or through stdin"
    )]
    ArgumentTooLong {
        /// Its number; 0 is the program.
        index: usize,
        /// Its length in bytes.
        len: usize,
    },
    /// All arguments and the environment together are too long.
    #[error(
        "the arguments and the environment of {program:?} are too long together; \
         pass them in a file or through stdin"
    )]
    TooLong {
        /// The program.
        program: OsString,
    },
    /// An argument or the folder contains a zero byte, which no program can be given.
    #[error("{what} contains a zero byte, which cannot be passed to a program")]
    ZeroByte {
        /// What it is.
        what: String,
    },
    /// The file for standard input cannot be opened.
    #[error("the file for standard input, {path:?}, cannot be opened: {source}")]
    Input {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A variable that cannot be set.
    #[error("environment variable {name:?} cannot be set: {problem}")]
    Variable {
        /// Its name.
        name: OsString,
        /// Why not.
        problem: &'static str,
    },
    /// Something else.
    #[error("cannot start {program:?}: {source}")]
    Other {
        /// The program.
        program: OsString,
        /// What the system said.
        source: io::Error,
    },
}

impl SpawnError {
    /// That the file for standard input cannot be opened.
    pub(crate) fn input(path: &Path, program: &OsStr, source: io::Error) -> Self {
        match shortage(&source) {
            Some(_) => Self::before_start(program, source),
            None => Self::Input {
                path: path.to_owned(),
                source,
            },
        }
    }

    /// Whether the system is short of something, so that fewer processes at once would help.
    pub fn is_busy(&self) -> bool {
        matches!(self, Self::Busy { .. })
    }

    /// What the system is short of, where that is why.
    pub fn shortage(&self) -> Option<String> {
        match self {
            Self::Busy { source, .. } => shortage(source),
            _ => None,
        }
    }

    /// Whether another attempt cannot help.
    pub fn is_permanent(&self) -> bool {
        !matches!(
            self,
            Self::Busy { .. } | Self::OpenForWriting { .. } | Self::Other { .. }
        )
    }

    /// Wraps an error that came before the start itself, as from making a pipe.
    pub(crate) fn before_start(program: &OsStr, source: io::Error) -> Self {
        let program = program.to_owned();
        if shortage(&source).is_some() {
            Self::Busy { program, source }
        } else {
            Self::Other { program, source }
        }
    }

    /// Finds out what an error of the start itself means.
    ///
    /// The system gives one number for the folder, the program and the interpreter of a script, so
    /// this looks which of them it was.
    pub(crate) fn of_start(
        program: &OsStr,
        resolved: &Path,
        cwd: Option<&Path>,
        source: io::Error,
    ) -> Self {
        let name = program.to_owned();
        if shortage(&source).is_some() {
            return Self::Busy {
                program: name,
                source,
            };
        }
        if let Some(error) = cwd.and_then(folder_problem) {
            return error;
        }
        let file = cwd.map_or_else(|| resolved.to_owned(), |cwd| cwd.join(resolved));
        match source.raw_os_error() {
            Some(libc::ENOENT) => missing(name, &file),
            Some(libc::EACCES | libc::EPERM) => Self::Denied {
                program: name,
                problem: denial(&file),
            },
            Some(libc::ETXTBSY) => Self::OpenForWriting { program: name },
            Some(libc::ENOEXEC) => Self::NotExecutable { program: name },
            Some(libc::E2BIG) => Self::TooLong { program: name },
            Some(libc::ENOTDIR | libc::ELOOP | libc::ENAMETOOLONG) => {
                Self::NotFound { program: name }
            }
            _ => Self::Other {
                program: name,
                source,
            },
        }
    }
}

/// What the system is short of, if an error says so: `open files: Too many open files (os error 24)`.
pub fn shortage(error: &io::Error) -> Option<String> {
    let what = match error.raw_os_error()? {
        libc::EAGAIN => "processes",
        libc::EMFILE => "open files",
        libc::ENFILE => "open files in the whole system",
        libc::ENOMEM => "memory",
        _ => return None,
    };
    Some(format!("{what}: {error}"))
}

fn folder_problem(cwd: &Path) -> Option<SpawnError> {
    let source = match fs::metadata(cwd) {
        Ok(found) if !found.is_dir() => io::Error::from(io::ErrorKind::NotADirectory),
        // This needs the right to enter it, as the process does.
        Ok(_) => fs::metadata(cwd.join(".")).err()?,
        Err(error) => error,
    };
    Some(SpawnError::Folder {
        cwd: cwd.to_owned(),
        source,
    })
}

fn missing(program: OsString, file: &Path) -> SpawnError {
    if !file.exists() {
        return SpawnError::NotFound { program };
    }
    match interpreter(file) {
        Some(interpreter) => SpawnError::Interpreter {
            program,
            interpreter,
        },
        // A binary whose dynamic loader is not on this system, as one of another libc.
        None => SpawnError::NotExecutable { program },
    }
}

/// What the `#!` line of a script names.
fn interpreter(file: &Path) -> Option<OsString> {
    let mut start = [0; 256];
    let mut open = fs::File::open(file).ok()?;
    let len = open.read(&mut start).ok()?;
    let line = start[..len].strip_prefix(b"#!")?;
    let line = line.split(|byte| *byte == b'\n').next()?;
    // A carriage return stays: it is the usual reason why such an interpreter does not exist.
    let mut words = line.split(|byte| matches!(byte, b' ' | b'\t'));
    words
        .find(|word| !word.is_empty())
        .map(|word| OsStr::from_bytes(word).to_owned())
}

fn denial(file: &Path) -> &'static str {
    use std::os::unix::fs::PermissionsExt;
    match fs::metadata(file) {
        Ok(found) if found.is_dir() => "it is a folder",
        Ok(found) if found.permissions().mode() & 0o111 == 0 => {
            "permission denied; make it executable with chmod +x, or name its interpreter before it"
        }
        _ => "permission denied",
    }
}
