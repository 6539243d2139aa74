//! Finding a program by its name, as a shell does: [`find_program`].

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::environment::{self, Variable};
use crate::spawn_error::SpawnError;

/// Where programs are looked for when there is no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The file a program name means in the executor's own `PATH`; `None` when there is no such
/// program. A name with a slash is literal.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = environment::value(&[], "PATH");
    resolve(OsStr::new(name), path, None).ok()
}

/// The program of a spec, for its start: a path, relative ones from `cwd`.
pub(crate) fn locate(
    name: &OsStr,
    additions: &[Variable],
    cwd: Option<&Path>,
) -> Result<PathBuf, SpawnError> {
    if name.as_bytes().contains(&b'/') {
        return Ok(name.into());
    }
    let path = environment::value(additions, "PATH");
    let key = (name.to_owned(), path.map(OsStr::to_owned));
    if let Some(known) = cached(&key) {
        return Ok(known);
    }
    let found = resolve(name, path, cwd)?;
    if found.is_absolute() && cwd.is_none_or(|cwd| !found.starts_with(cwd)) {
        remember(key, found.clone());
    }
    Ok(found)
}

type Key = (OsString, Option<OsString>);

static CACHE: Mutex<Option<HashMap<Key, PathBuf>>> = Mutex::new(None);

/// Forgets what was found, since it was not there when it was wanted.
pub(crate) fn forget() {
    *CACHE.lock().unwrap_or_else(PoisonError::into_inner) = None;
}

fn cached(key: &Key) -> Option<PathBuf> {
    let cache = CACHE.lock().unwrap_or_else(PoisonError::into_inner);
    cache.as_ref()?.get(key).cloned()
}

fn remember(key: Key, found: PathBuf) {
    /// More different names than this are no batch of like tasks: start anew.
    const MOST: usize = 256;
    let mut cache = CACHE.lock().unwrap_or_else(PoisonError::into_inner);
    let map = cache.get_or_insert_default();
    if map.len() >= MOST {
        map.clear();
    }
    map.insert(key, found);
}

fn resolve(name: &OsStr, path: Option<&OsStr>, cwd: Option<&Path>) -> Result<PathBuf, SpawnError> {
    if name.is_empty() {
        return Err(SpawnError::NoProgram);
    }
    if name.as_bytes().contains(&b'/') {
        return Ok(name.into());
    }
    let path = path.unwrap_or(OsStr::new(DEFAULT_PATH));
    let mut unfit = false;
    for folder in std::env::split_paths(path) {
        // An empty entry means the working folder.
        let relative = Path::new(".").join(&folder).join(name);
        let candidate = if folder.is_absolute() {
            folder.join(name)
        } else {
            relative
        };
        let seen = cwd.map_or_else(|| candidate.clone(), |cwd| cwd.join(&candidate));
        match fs::metadata(&seen) {
            Ok(file) if file.is_file() && file.permissions().mode() & 0o111 != 0 => {
                return Ok(candidate);
            }
            Ok(file) if file.is_file() => unfit = true,
            _ => {}
        }
    }
    let program = name.to_owned();
    if unfit {
        let problem = "the file of this name in PATH is not executable; make it so with chmod +x";
        return Err(SpawnError::Denied { program, problem });
    }
    Err(SpawnError::NotInPath { program })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_searched_in_order_and_from_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let bin = folder.path().join("bin");
        fs::create_dir(&bin).unwrap();
        fs::write(bin.join("tool"), "#!/bin/sh\n").unwrap();
        let look = |path: &str| {
            resolve(
                OsStr::new("tool"),
                Some(OsStr::new(path)),
                Some(folder.path()),
            )
        };
        assert!(matches!(look("bin"), Err(SpawnError::Denied { .. })));
        fs::set_permissions(bin.join("tool"), fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(look("/nowhere:bin").unwrap(), Path::new("./bin/tool"));
        assert!(matches!(
            look("/nowhere"),
            Err(SpawnError::NotInPath { .. })
        ));
    }
}
