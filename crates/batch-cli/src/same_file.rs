//! Results never replace what they are made of: [`refuse_over_input`].

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::exit::CliError;

/// Refuses an output file that is one of the inputs, by whatever name, or standard input.
pub(crate) fn refuse_over_input<'p>(
    option: &str,
    output: Option<&Path>,
    inputs: impl IntoIterator<Item = &'p Path>,
) -> Result<(), CliError> {
    let Some(output) = output else { return Ok(()) };
    let found = std::fs::metadata(output).ok();
    let input = inputs
        .into_iter()
        .find(|input| is_same(output, found.as_ref(), input));
    let input = match (input, found) {
        (Some(input), _) => input.display().to_string(),
        (None, Some(found)) if found.is_file() && is_standard_input(&found) => {
            "standard input".to_owned()
        }
        (None, _) => return Ok(()),
    };
    Err(CliError::Usage(format!(
        "{option} {} would write the results over the input ({input}); give another file",
        output.display()
    )))
}

fn is_same(output: &Path, found: Option<&Metadata>, input: &Path) -> bool {
    match (found, std::fs::metadata(input)) {
        (Some(found), Ok(input)) => found.is_file() && is_one(found, &input),
        // Neither is there yet, as a batch file that is to be made.
        (None, Err(_)) => absolute(output) == absolute(input),
        _ => false,
    }
}

fn is_standard_input(found: &Metadata) -> bool {
    let input = std::fs::metadata("/dev/stdin");
    input.is_ok_and(|input| is_one(found, &input))
}

fn is_one(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// The path from the root on, its folder as it really is.
fn absolute(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    match (path.parent().map(std::fs::canonicalize), path.file_name()) {
        (Some(Ok(folder)), Some(name)) => folder.join(name),
        _ => path,
    }
}
