//! Numbers, durations and times as text, without the cost of `fmt` on the way of every row.

use std::io::{self, Write};
use std::time::Duration;

use batch_core::{FullTaskId, Time};

/// Writes a whole number.
pub(crate) fn write_u64<W: Write>(out: &mut W, number: u64) -> io::Result<()> {
    let mut buffer = [0; 20];
    out.write_all(digits(number, &mut buffer))
}

/// Writes a whole number with its sign.
pub(crate) fn write_i64<W: Write>(out: &mut W, number: i64) -> io::Result<()> {
    if number < 0 {
        out.write_all(b"-")?;
    }
    write_u64(out, number.unsigned_abs())
}

/// Writes `b1.42`.
pub(crate) fn write_task_id<W: Write>(out: &mut W, id: FullTaskId) -> io::Result<()> {
    out.write_all(b"b")?;
    write_u64(out, u64::from(id.batch.get()))?;
    out.write_all(b".")?;
    write_u64(out, u64::from(id.task.get()))
}

/// Writes a duration as seconds, rounded to microseconds: `0.25`, `3.0`. Never with an exponent, which
/// some readers of CSV do not know.
pub(crate) fn write_seconds<W: Write>(out: &mut W, duration: Duration) -> io::Result<()> {
    let rounded = duration.saturating_add(Duration::from_nanos(500));
    write_u64(out, rounded.as_secs())?;
    let mut micros = rounded.subsec_micros();
    let mut fraction = *b".000000";
    for place in fraction[1..].iter_mut().rev() {
        *place = digit(u64::from(micros));
        micros /= 10;
    }
    let significant = fraction.iter().rposition(|byte| *byte != b'0').unwrap_or(0);
    out.write_all(&fraction[..=significant.max(1)])
}

/// Writes times as RFC 3339 in UTC with milliseconds: `2026-01-02T03:04:05.678Z`.
///
/// Keeps the text of the last second, since the times of a row and of its neighbours mostly share it.
#[derive(Clone, Debug)]
pub(crate) struct Stamps {
    second: Option<u64>,
    text: [u8; 24],
}

impl Default for Stamps {
    fn default() -> Self {
        Self {
            second: None,
            text: *b"0000-00-00T00:00:00.000Z",
        }
    }
}

impl Stamps {
    /// The last second that four digits of a year can say: later times are shown as this one.
    const LAST_SECOND: u64 = 253_402_300_799;

    /// The text of a time.
    pub(crate) fn text(&mut self, time: Time) -> &[u8; 24] {
        let second = (time.as_micros() / 1_000_000).min(Self::LAST_SECOND);
        if self.second != Some(second) {
            self.second = Some(second);
            self.set_second(second);
        }
        self.set(20..23, time.as_micros() / 1_000 % 1_000);
        &self.text
    }

    fn set_second(&mut self, second: u64) {
        let (year, month, day) = civil_date(second / 86_400);
        self.set(0..4, year);
        self.set(5..7, month);
        self.set(8..10, day);
        self.set(11..13, second % 86_400 / 3_600);
        self.set(14..16, second % 3_600 / 60);
        self.set(17..19, second % 60);
    }

    fn set(&mut self, places: std::ops::Range<usize>, mut number: u64) {
        for place in self.text[places].iter_mut().rev() {
            *place = digit(number);
            number /= 10;
        }
    }
}

/// A time as RFC 3339 in UTC with milliseconds: `2026-01-02T03:04:05.678Z`.
///
/// ```
/// let time = batch_core::Time::from_micros(1_767_323_045_678_901);
/// assert_eq!(batch_export::rfc3339(time), "2026-01-02T03:04:05.678Z");
/// ```
pub fn rfc3339(time: Time) -> String {
    let mut stamps = Stamps::default();
    stamps.text(time).iter().copied().map(char::from).collect()
}

/// Year, month and day of a number of days since 1970-01-01.
fn civil_date(days: u64) -> (u64, u64, u64) {
    // A guess that is never late (no year is longer than 366 days), and then a few steps.
    let mut year = 1970 + days / 366;
    while days_before(year + 1) <= days {
        year += 1;
    }
    let mut day = days - days_before(year);
    let leap = u64::from(days_before(year + 1) - days_before(year) == 366);
    let mut month = 1;
    for length in [31, 28 + leap, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if day < length {
            break;
        }
        day -= length;
        month += 1;
    }
    (year, month, day + 1)
}

/// The days from 1970-01-01 to the first of January of a year.
const fn days_before(year: u64) -> u64 {
    const fn leap_years_to(year: u64) -> u64 {
        year / 4 - year / 100 + year / 400
    }
    (year - 1970) * 365 + leap_years_to(year - 1) - leap_years_to(1969)
}

fn digits(mut number: u64, buffer: &mut [u8; 20]) -> &[u8] {
    let mut start = buffer.len();
    loop {
        start -= 1;
        buffer[start] = digit(number);
        number /= 10;
        if number == 0 {
            return &buffer[start..];
        }
    }
}

/// The last decimal digit of a number.
const fn digit(number: u64) -> u8 {
    b'0' + (number % 10) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seconds(duration: Duration) -> String {
        let mut out = Vec::new();
        write_seconds(&mut out, duration).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn durations_are_plain_numbers() {
        for (nanos, text) in [
            (0, "0.0"),
            (1_000, "0.000001"),
            (499, "0.0"),
            (999_999_500, "1.0"),
            (250_000_000, "0.25"),
            (63_000_001_000, "63.000001"),
            (100_000_000_000, "100.0"),
        ] {
            assert_eq!(seconds(Duration::from_nanos(nanos)), text);
        }
        assert!(seconds(Duration::MAX).starts_with("18446744073709551615."));
    }

    #[test]
    fn a_time_past_the_year_9999_is_shown_as_its_end() {
        let text = *Stamps::default().text(Time::from_micros(u64::MAX));
        assert!(text.starts_with(b"9999-12-31T23:59:59."));
    }

    proptest! {
        #[test]
        fn numbers_read_back(number in any::<i64>()) {
            let mut out = Vec::new();
            write_i64(&mut out, number).unwrap();
            prop_assert_eq!(String::from_utf8(out).unwrap(), number.to_string());
        }

        #[test]
        fn durations_are_written_as_serde_json_would(micros in 10_u64..1_000_000_000_000) {
            let duration = Duration::from_micros(micros);
            let number = micros as f64 / 1e6;
            prop_assert_eq!(seconds(duration), serde_json::to_string(&number).unwrap());
        }

        #[test]
        fn times_agree_with_a_calendar(millis in 0..253_402_300_799_999_u64, same_second in 0..1_000_u64) {
            let mut stamps = Stamps::default();
            for millis in [millis, millis / 1_000 * 1_000 + same_second] {
                let expected = jiff::Timestamp::from_millisecond(millis.cast_signed()).unwrap();
                let text = *stamps.text(Time::from_micros(millis * 1_000 + 999));
                prop_assert_eq!(std::str::from_utf8(&text).unwrap(), format!("{expected:.3}"));
            }
        }
    }
}
