//! Outputs that lie in files, without secrets: [`mask_file`].

use std::fs::{File, OpenOptions, rename};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use batch_template::Secrets;

/// How many bytes are looked at together, beside those that a secret may reach across.
const WINDOW: usize = 1024 * 1024;

/// Writes an output anew with its secrets masked, in the place of the old file. Gives its length.
///
/// # Errors
/// When the file cannot be read or written. Then it is as it was.
pub(crate) fn mask_file(path: &Path, secrets: &Secrets) -> io::Result<u64> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".masked");
    let target = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)?;
    let masked = copy_masked(File::open(path)?, target, secrets, WINDOW);
    let masked = masked.and_then(|len| rename(&beside, path).map(|()| len));
    masked.inspect_err(|_| drop(std::fs::remove_file(&beside)))
}

/// Copies with the secrets masked, in windows that end where no secret does.
fn copy_masked(
    mut from: impl Read,
    mut to: impl Write,
    secrets: &Secrets,
    window: usize,
) -> io::Result<u64> {
    let full = window + 2 * secrets.longest();
    let mut held = Vec::new();
    let mut written = 0;
    loop {
        let room = full - held.len();
        let read = from.by_ref().take(room as u64).read_to_end(&mut held)?;
        let last = held.len().saturating_sub(secrets.longest());
        let end = match read {
            0 => held.len(),
            _ => match secrets.border(&held, last) {
                // Secrets that overlap all the way have no border.
                0 if held.len() == full => last,
                border => border,
            },
        };
        let masked = secrets.mask_bytes(&held[..end]);
        to.write_all(&masked)?;
        written += masked.len() as u64;
        if read == 0 {
            to.flush()?;
            return Ok(written);
        }
        held.drain(..end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_wherever_the_windows_end() {
        let secrets = Secrets::of(["s3cr3t", "cr3tX"]);
        for lead in 0..40 {
            let text = format!(
                "{}s3cr3t.s3cr3tXs3cr3t{}",
                "-".repeat(lead),
                "+".repeat(lead)
            );
            for window in 1..24 {
                let mut masked = Vec::new();
                let len = copy_masked(text.as_bytes(), &mut masked, &secrets, window).unwrap();
                let masked = String::from_utf8(masked).unwrap();
                assert_eq!(len, masked.len() as u64);
                assert_eq!(masked, secrets.mask(&text), "{window}");
            }
        }
    }

    #[test]
    fn secrets_that_overlap_all_the_way_lose_nothing_else() {
        let text = "a".repeat(1000) + "end";
        let mut masked = Vec::new();
        copy_masked(text.as_bytes(), &mut masked, &Secrets::of(["aaa"]), 50).unwrap();
        assert!(
            masked.ends_with(b"end") && masked.len() < 1100,
            "{masked:?}"
        );
        assert!(masked.iter().filter(|byte| **byte == b'a').count() < 100);
    }

    #[test]
    fn the_file_is_exchanged_for_one_of_its_owners_own() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        std::fs::write(&path, "x s3cr3t y").unwrap();
        assert_eq!(mask_file(&path, &Secrets::of(["s3cr3t"])).unwrap(), 7);
        assert_eq!(std::fs::read(&path).unwrap(), b"x *** y");
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
