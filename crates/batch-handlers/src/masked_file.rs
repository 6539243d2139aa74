//! Outputs that are in files, without secrets: [`Masking`].

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use batch_export::files::open_plain;
use batch_template::Secrets;

/// How many bytes are looked at together, beside those that a secret may reach across.
const WINDOW: usize = 1024 * 1024;

/// An output whose secrets are masked in its own file. A mask is never longer than what it hides, so nothing is written
/// over that has not been read, and a full disk has room for it.
#[derive(Debug)]
pub(crate) struct Masking {
    file: File,
    secrets: Secrets,
    window: usize,
    /// Read, and not masked yet.
    held: Vec<u8>,
    /// Masked, and not written yet.
    masked: Vec<u8>,
    /// How many bytes at the front of the file are done.
    written: u64,
    is_read: bool,
}

impl Masking {
    /// # Errors
    /// When the file cannot be opened, or there is something else in its place.
    pub(crate) fn open(path: &Path, secrets: Secrets) -> io::Result<Self> {
        Ok(Self {
            file: open_plain(path, OpenOptions::new().read(true).write(true))?,
            secrets,
            window: WINDOW,
            held: Vec::new(),
            masked: Vec::new(),
            written: 0,
            is_read: false,
        })
    }

    /// Masks all of it, and gives its length.
    ///
    /// # Errors
    /// When the file cannot be read or written. Called again, it goes on where it was.
    pub(crate) fn finish(&mut self) -> io::Result<u64> {
        self.finish_by(|file, bytes, at| file.write_all_at(bytes, at))
    }

    fn finish_by(
        &mut self,
        write: impl Fn(&File, &[u8], u64) -> io::Result<()>,
    ) -> io::Result<u64> {
        loop {
            write(&self.file, &self.masked, self.written)?;
            self.written += self.masked.len() as u64;
            self.masked.clear();
            if self.is_read {
                self.file.set_len(self.written)?;
                return Ok(self.written);
            }
            self.mask_more()?;
        }
    }

    /// Reads and masks a window that ends where no secret does.
    fn mask_more(&mut self) -> io::Result<()> {
        let longest = self.secrets.longest();
        let full = self.window + 2 * longest;
        let room = (full - self.held.len()) as u64;
        let read = (&self.file).take(room).read_to_end(&mut self.held)?;
        let last = self.held.len().saturating_sub(longest);
        let end = match read {
            0 => self.held.len(),
            _ => match self.secrets.border(&self.held, last) {
                // Secrets that overlap all the way have no border.
                0 if self.held.len() == full => last,
                border => border,
            },
        };
        self.masked = self.secrets.mask_bytes(&self.held[..end]).into_owned();
        self.held.drain(..end);
        self.is_read = read == 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    struct Place(tempfile::TempDir);

    impl Place {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn masking(&self, text: &str, secrets: &[&str], window: usize) -> Masking {
            let path = self.0.path().join("out");
            std::fs::write(&path, text).unwrap();
            let mut masking = Masking::open(&path, Secrets::of(secrets)).unwrap();
            masking.window = window;
            masking
        }

        fn read(&self) -> String {
            std::fs::read_to_string(self.0.path().join("out")).unwrap()
        }
    }

    #[test]
    fn a_secret_is_found_wherever_the_windows_end() {
        let place = Place::new();
        let secrets = ["s3cr3t", "cr3tX"];
        for lead in 0..40 {
            let text = format!(
                "{}s3cr3t.s3cr3tXs3cr3t{}",
                "-".repeat(lead),
                "+".repeat(lead)
            );
            for window in 1..24 {
                let len = place.masking(&text, &secrets, window).finish().unwrap();
                let masked = place.read();
                assert_eq!(len, masked.len() as u64);
                assert_eq!(masked, Secrets::of(secrets).mask(&text), "{window}");
            }
        }
    }

    #[test]
    fn secrets_that_overlap_all_the_way_lose_nothing_else() {
        let place = Place::new();
        let text = "a".repeat(1000) + "end";
        place.masking(&text, &["aaa"], 50).finish().unwrap();
        let masked = place.read();
        assert!(masked.ends_with("end") && masked.len() < 1100, "{masked:?}");
        assert!(masked.matches('a').count() < 100);
    }

    #[test]
    fn after_an_error_it_goes_on_where_it_was() {
        let place = Place::new();
        let text = "s3cr3t, then s3cr3t; ".repeat(20);
        let mut masking = place.masking(&text, &["s3cr3t"], 10);
        let writes = Cell::new(0);
        // Each second write breaks off in its middle.
        let write = |file: &File, bytes: &[u8], at: u64| {
            writes.set(writes.get() + 1);
            match writes.get() % 2 {
                0 => file.write_all_at(bytes, at),
                _ => {
                    file.write_all_at(&bytes[..bytes.len() / 2], at)?;
                    Err(io::ErrorKind::StorageFull.into())
                }
            }
        };
        let len = loop {
            if let Ok(len) = masking.finish_by(write) {
                break len;
            }
        };
        assert_eq!(place.read(), "***, then ***; ".repeat(20));
        assert_eq!(len, place.read().len() as u64);
        assert!(writes.get() > 20, "{}", writes.get());
    }

    #[test]
    fn no_other_file_is_made_and_none_that_a_link_leads_to_is_changed() {
        let place = Place::new();
        assert_eq!(
            place
                .masking("x s3cr3t y", &["s3cr3t"], WINDOW)
                .finish()
                .unwrap(),
            7
        );
        assert_eq!(place.read(), "x *** y");
        assert_eq!(std::fs::read_dir(place.0.path()).unwrap().count(), 1);
        let link = place.0.path().join("link");
        std::os::unix::fs::symlink(place.0.path().join("out"), &link).unwrap();
        Masking::open(&link, Secrets::of(["s3cr3t"])).unwrap_err();
    }
}
