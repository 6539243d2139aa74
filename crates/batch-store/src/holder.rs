//! Who works on a batch, as it stands in the file of the lease: [`Holder`].

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use batch_process::awake_time;

pub(crate) const BEAT: u64 = 496;
pub(crate) const NOTE: u64 = 512;
pub(crate) const SLOTS: u64 = 1_024;

/// Who gives no sign of life for so long is told of. One is due every second.
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
    /// Its run; 0 for one that only obeyed a request.
    pub run: u32,
    /// Why the batch stands still, as it noted it; see [`Notice`](crate::Notice).
    pub note: Option<Box<str>>,
    /// When it last gave a sign of life, as time that the system was awake; `None` while it begins or ends.
    pub beat: Option<Duration>,
}

impl Holder {
    /// How long it has given no sign of life, where that is too long.
    pub fn silence(&self) -> Option<Duration> {
        let silence = awake_time().saturating_sub(self.beat?);
        (silence >= SILENT).then_some(silence)
    }
}

/// What stands in a lease.
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
        note: (!note.is_empty()).then(|| note.into()),
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
