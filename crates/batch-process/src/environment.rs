//! The environment of tasks: the executor's own, captured once, and the additions of each.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::OnceLock;

use crate::spawn_error::SpawnError;
use crate::spec::MAX_ARGUMENT_BYTES;

/// One `NAME=value`, with the length of the name.
#[derive(Debug)]
pub(crate) struct Variable {
    name: usize,
    text: CString,
}

impl Variable {
    pub(crate) fn new(name: &OsStr, value: &OsStr) -> Result<Self, SpawnError> {
        let bad = |problem| SpawnError::Variable {
            name: name.to_owned(),
            problem,
        };
        if name.is_empty() || name.as_bytes().contains(&b'=') {
            return Err(bad("a name must not be empty or contain `=`"));
        }
        let mut text = OsString::with_capacity(name.len() + value.len() + 2);
        text.push(name);
        text.push("=");
        text.push(value);
        if text.len() > MAX_ARGUMENT_BYTES {
            return Err(bad("with its value it is longer than 131071 bytes"));
        }
        let text = CString::new(text.into_vec()).map_err(|_| bad("it contains a zero byte"))?;
        Ok(Self {
            name: name.len(),
            text,
        })
    }

    fn name(&self) -> &[u8] {
        &self.text.as_bytes()[..self.name]
    }

    fn value(&self) -> &[u8] {
        &self.text.as_bytes()[self.name + 1..]
    }
}

/// What of the executor's environment goes on to tasks, as it was at the first use.
fn base() -> &'static [Variable] {
    static BASE: OnceLock<Vec<Variable>> = OnceLock::new();
    BASE.get_or_init(|| {
        std::env::vars_os()
            .filter(|(name, _)| is_for_tasks(name))
            .filter_map(|(name, value)| Variable::new(&name, &value).ok())
            .collect()
    })
}

/// Whether a variable goes on to tasks. Of our own (`BEX_…`) only those do that a `bex` which a task calls is to find:
/// others may be secrets, as `BEX_MCP_TOKEN` is, or tell of a task that we ourselves are part of.
fn is_for_tasks(name: &OsStr) -> bool {
    const PASSED_ON: [&str; 3] = ["BEX_HOME", "BEX_CONFIG", "BEX_ALLOW_NETWORK_FS"];
    let is_ours = name.as_bytes().starts_with(b"BEX_");
    !is_ours || PASSED_ON.iter().any(|passed| name == *passed)
}

/// The whole environment of a process: the executor's with `additions` on top.
pub(crate) fn with(additions: &[Variable]) -> Vec<&CStr> {
    let last = |name: &[u8]| additions.iter().rposition(|added| added.name() == name);
    let inherited = base().iter().filter(|own| last(own.name()).is_none());
    let added = additions
        .iter()
        .enumerate()
        .filter(|(index, added)| last(added.name()) == Some(*index))
        .map(|(_, added)| added);
    inherited
        .chain(added)
        .map(|variable| variable.text.as_c_str())
        .collect()
}

/// The value a process with these additions finds.
pub(crate) fn value<'a>(additions: &'a [Variable], name: &str) -> Option<&'a OsStr> {
    additions
        .iter()
        .rev()
        .chain(base())
        .find(|variable| variable.name() == name.as_bytes())
        .map(|variable| OsStr::from_bytes(variable.value()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(name: &str, value: &str) -> Variable {
        Variable::new(OsStr::new(name), OsStr::new(value)).unwrap()
    }

    #[test]
    fn the_later_of_two_values_counts_and_stands_once() {
        let additions = [
            variable("PATH", "/a"),
            variable("X", "1"),
            variable("PATH", "/b=c"),
        ];
        let all = with(&additions);
        let paths: Vec<_> = all
            .iter()
            .filter(|text| text.to_bytes().starts_with(b"PATH="))
            .collect();
        assert_eq!(paths, [&c"PATH=/b=c"]);
        assert!(all.contains(&c"X=1"));
        assert_eq!(value(&additions, "PATH"), Some(OsStr::new("/b=c")));
    }

    #[test]
    fn of_our_own_variables_only_some_go_on() {
        for name in ["BEX_HOME", "BEX_CONFIG", "HOME", "BEXLEY", "bex_token"] {
            assert!(is_for_tasks(OsStr::new(name)), "{name}");
        }
        for name in [
            "BEX_MCP_TOKEN",
            "BEX_TASK_ID",
            "BEX_RUN",
            "BEX_SLOT",
            "BEX_ANYTHING",
        ] {
            assert!(!is_for_tasks(OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn what_cannot_be_a_variable_is_refused() {
        let long = "v".repeat(MAX_ARGUMENT_BYTES - 1);
        for (name, value) in [("", "x"), ("a=b", "x"), ("a", "x\0y"), ("a", long.as_str())] {
            assert!(
                Variable::new(OsStr::new(name), OsStr::new(value)).is_err(),
                "{name}"
            );
        }
    }
}
