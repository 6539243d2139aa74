//! Where the configuration is.

use std::ffi::OsString;
use std::path::PathBuf;

/// A file that may be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) path: PathBuf,
    /// It was named explicitly, so it must exist.
    pub(crate) must_exist: bool,
}

/// The file that counts: `$BEX_CONFIG`, else `$XDG_CONFIG_HOME/bex/config.toml`, else
/// `~/.config/bex/config.toml`. It may not be there. `None` when there is no home either. The standard of
/// `XDG_CONFIG_HOME` has a relative path ignored.
pub fn default_path() -> Option<PathBuf> {
    of_environment().map(|place| place.path)
}

/// As [`default_path`], and whether it was named.
pub(crate) fn of_environment() -> Option<Place> {
    find(|name| std::env::var_os(name).filter(|value| !value.is_empty()))
}

fn find(variable: impl Fn(&str) -> Option<OsString>) -> Option<Place> {
    if let Some(path) = variable("BEX_CONFIG") {
        return Some(Place {
            path: path.into(),
            must_exist: true,
        });
    }
    let folder = variable("XDG_CONFIG_HOME").map(PathBuf::from);
    let folder = folder.filter(|folder| folder.is_absolute());
    let folder = folder.or_else(|| Some(PathBuf::from(variable("HOME")?).join(".config")))?;
    Some(Place {
        path: folder.join("bex").join("config.toml"),
        must_exist: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(variables: &[(&str, &str)]) -> Option<(String, bool)> {
        let place = find(|wanted| {
            let mut all = variables.iter();
            let (_, value) = all.find(|(name, _)| *name == wanted)?;
            Some((*value).into())
        })?;
        Some((place.path.display().to_string(), place.must_exist))
    }

    #[test]
    fn the_named_file_comes_first_and_then_the_folders() {
        let home = ("HOME", "/home/a");
        let xdg = ("XDG_CONFIG_HOME", "/x");
        let named = ("BEX_CONFIG", "my.toml");
        let expect = |path: &str, must| Some((path.to_owned(), must));
        assert_eq!(found(&[home, xdg, named]), expect("my.toml", true));
        assert_eq!(found(&[home, xdg]), expect("/x/bex/config.toml", false));
        assert_eq!(
            found(&[home]),
            expect("/home/a/.config/bex/config.toml", false)
        );
        let relative = ("XDG_CONFIG_HOME", "x");
        assert_eq!(found(&[home, relative]), found(&[home]));
        assert_eq!(found(&[]), None);
    }
}
