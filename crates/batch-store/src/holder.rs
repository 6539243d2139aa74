//! Who works on a batch and what it says of its run, as the file of the lease has it: [`Holder`], [`LeaseNote`].

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use batch_process::awake_time;
use serde::{Deserialize, Serialize};

use crate::runs::EndCause;

pub(crate) const BEAT: u64 = 496;
pub(crate) const NOTE: u64 = 512;
pub(crate) const SLOTS: u64 = 1_024;
pub(crate) const NOTE_BYTES: usize = (SLOTS - NOTE) as usize;

/// Who gives no sign of life for this long is told of. One is due every second.
pub const SILENT: Duration = Duration::from_secs(5);

/// A process that holds a lease, or held it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holder {
    /// Its number.
    pub pid: u32,
    /// Its number and start time: `PID-START`.
    pub mark: String,
    /// The start of the system it ran on.
    pub boot: String,
    /// Its run; 0 for one that only handled a request.
    pub run: u32,
    /// What it says of its run.
    pub note: Option<LeaseNote>,
    /// When it last gave a sign of life, as time that the system was awake; `None` while it begins or ends.
    pub beat: Option<Duration>,
}

/// What the holder of a lease says of its run, as the batch file itself may take no note then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LeaseNote {
    /// It is being stopped.
    Stopping,
    /// It waits for room on the disk.
    DiskFull,
    /// It waits for another program to let go of the batch file.
    FileBusy,
    /// The system is short of something, so it runs fewer tasks at once.
    Short {
        /// What of, and what the system said.
        what: String,
        /// How many tasks run at once at most for now.
        slots: u32,
        /// How many would.
        asked_for: u32,
    },
    /// It stays when all is done, and waits for more tasks.
    Staying,
    /// It has ended like this, and the batch file took no note of it.
    Ended(EndCause),
    /// What another version says, in words.
    #[serde(skip)]
    Other(String),
}

impl LeaseNote {
    /// Whether tasks are started all the same, or none is to be any more.
    pub fn is_running(&self) -> bool {
        matches!(
            self,
            Self::Stopping | Self::Short { .. } | Self::Staying | Self::Ended(_)
        )
    }

    /// The bytes in the lease: JSON.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let json = |note: &Self| serde_json::to_vec(note).unwrap_or_default();
        match (json(self), self) {
            // Without what the system said.
            (
                long,
                Self::Short {
                    slots, asked_for, ..
                },
            ) if long.len() > NOTE_BYTES => json(&Self::Short {
                what: String::new(),
                slots: *slots,
                asked_for: *asked_for,
            }),
            (bytes, _) => bytes,
        }
    }

    /// The note in the lease. The first versions wrote sentences.
    fn of_text(text: String) -> Option<Self> {
        match text.as_str() {
            "" => None,
            "it is being stopped" => Some(Self::Stopping),
            "the disk is full; it goes on when there is room" => Some(Self::DiskFull),
            json => Some(serde_json::from_str(json).unwrap_or(Self::Other(text))),
        }
    }
}

impl Holder {
    /// How long it has given no sign of life, where that is too long.
    pub fn silence(&self) -> Option<Duration> {
        let silence = awake_time().saturating_sub(self.beat?);
        (silence >= SILENT).then_some(silence)
    }
}

/// What is in a lease.
pub(crate) struct Signed {
    pub(crate) holder: Holder,
    /// The database that it is about.
    pub(crate) database: String,
}

/// Who signed, and what it noted. Read at once: a holder that lets go meanwhile is there with its note, or not at
/// all.
pub(crate) fn read_signed(file: &File) -> io::Result<Option<Signed>> {
    let mut bytes = [0; SLOTS as usize];
    let length = file.read_at(&mut bytes, 0)?;
    let (signed, note) = bytes[..length].split_at(length.min(NOTE as usize));
    let (signed, beat) = signed.split_at(signed.len().min(BEAT as usize));
    let beat = beat
        .first_chunk()
        .map_or(0, |beat| u64::from_le_bytes(*beat));
    let beat = (beat > 0).then(|| Duration::from_micros(beat));
    Ok(parse(&text(signed), text(note), beat))
}

fn parse(signed: &str, note: String, beat: Option<Duration>) -> Option<Signed> {
    let mut lines = signed.lines();
    let holder = Holder {
        pid: lines.next()?.parse().ok()?,
        mark: lines.next()?.to_owned(),
        boot: lines.next()?.to_owned(),
        run: lines.next()?.parse().ok()?,
        note: LeaseNote::of_text(note),
        beat,
    };
    Some(Signed {
        holder,
        database: lines.next().unwrap_or_default().to_owned(),
    })
}

/// A text that ends with a zero byte or with its place.
fn text(bytes: &[u8]) -> String {
    let text = bytes.split(|byte| *byte == 0).next();
    String::from_utf8_lossy(text.unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_come_back_also_those_of_the_first_versions() {
        let short = |what: &str| LeaseNote::Short {
            what: what.to_owned(),
            slots: 3,
            asked_for: 8,
        };
        for note in [
            LeaseNote::Stopping,
            LeaseNote::DiskFull,
            LeaseNote::FileBusy,
            LeaseNote::Ended(EndCause::CutShort),
            short("processes: no"),
        ] {
            let read = LeaseNote::of_text(text(&note.bytes()));
            assert_eq!(read, Some(note));
        }
        let long = short(&"x".repeat(NOTE_BYTES)).bytes();
        assert!(long.len() <= NOTE_BYTES);
        assert_eq!(LeaseNote::of_text(text(&long)), Some(short("")));
        let old = |text: &str| LeaseNote::of_text(text.to_owned());
        assert_eq!(old(""), None);
        assert_eq!(old("it is being stopped"), Some(LeaseNote::Stopping));
        let other = "short of memory; running 1 task at once, not 2";
        assert_eq!(old(other), Some(LeaseNote::Other(other.to_owned())));
    }
}
