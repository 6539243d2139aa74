//! Times and durations as the exports have them: [`Timestamp`] and [`Seconds`].

use std::fmt;
use std::time::Duration;

use batch_core::Time;
use serde::{Serialize, Serializer};

/// A time as RFC 3339 in UTC with milliseconds: `2026-01-02T03:04:05.678Z`.
///
/// ```
/// let time = batch_core::Time::from_micros(1_767_323_045_678_901);
/// assert_eq!(batch_export::rfc3339(time), "2026-01-02T03:04:05.678Z");
/// ```
pub fn rfc3339(time: Time) -> String {
    Timestamp(time).to_string()
}

/// A time, shown as RFC 3339 in UTC with milliseconds.
#[derive(Clone, Copy)]
pub(crate) struct Timestamp(pub(crate) Time);

impl Timestamp {
    /// The last second that four digits of a year can say: later times are shown as this one.
    const LAST_SECOND: u64 = 253_402_300_799;

    /// Without the cost of `fmt`: a row has five of them.
    fn text(self, text: &mut [u8; 24]) -> &str {
        let micros = self.0.as_micros();
        let second = (micros / 1_000_000).min(Self::LAST_SECOND);
        let (year, month, day) = civil_date(second / 86_400);
        *text = *b"0000-00-00T00:00:00.000Z";
        for (end, number) in [
            (4, year),
            (7, month),
            (10, day),
            (13, second % 86_400 / 3_600),
            (16, second % 3_600 / 60),
            (19, second % 60),
            (23, micros / 1_000 % 1_000),
        ] {
            write_digits(&mut text[..end], number);
        }
        std::str::from_utf8(text).expect("digits are ASCII")
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text(&mut [0; 24]))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.text(&mut [0; 24]))
    }
}

/// A duration in seconds, rounded to microseconds. As text it has no exponent, which some readers of CSV do not know:
/// `0.25`, `3.0`, `0.000001`.
#[derive(Clone, Copy)]
pub(crate) struct Seconds(pub(crate) Duration);

impl Seconds {
    fn rounded(self) -> Duration {
        self.0.saturating_add(Duration::from_nanos(500))
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, mut micros) = (self.rounded().as_secs(), self.rounded().subsec_micros());
        let mut places = 6;
        while places > 1 && micros.is_multiple_of(10) {
            micros /= 10;
            places -= 1;
        }
        write!(f, "{seconds}.{micros:0places$}")
    }
}

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.rounded().as_micros() as f64 / 1e6)
    }
}

/// Writes the last digits of a number to the end of a text, up to what is no digit there.
fn write_digits(text: &mut [u8], mut number: u64) {
    for place in text.iter_mut().rev().take_while(|byte| **byte == b'0') {
        *place = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Year, month and day of a number of days since 1970-01-01, counted in eras of 400 years from March on: the leap day
/// is then the last one of a year.
const fn civil_date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    if month < 10 {
        (era * 400 + year, month + 3, date)
    } else {
        (era * 400 + year + 1, month - 9, date)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
            assert_eq!(Seconds(Duration::from_nanos(nanos)).to_string(), text);
        }
        let longest = Seconds(Duration::MAX).to_string();
        assert!(longest.starts_with("18446744073709551615."));
    }

    #[test]
    fn a_time_past_the_year_9999_is_shown_as_its_end() {
        let text = rfc3339(Time::from_micros(u64::MAX));
        assert!(text.starts_with("9999-12-31T23:59:59."));
    }

    proptest! {
        #[test]
        fn durations_are_the_same_number_as_text_and_in_json(micros in prop_oneof![10_u64..100_000, 10..1_000_000_000_000_u64]) {
            let duration = Seconds(Duration::from_micros(micros));
            prop_assert_eq!(duration.to_string(), serde_json::to_string(&duration).unwrap());
        }

        #[test]
        fn times_agree_with_a_calendar(millis in 0..253_402_200_000_000_u64) {
            let expected = jiff::Timestamp::from_millisecond(millis.cast_signed()).unwrap();
            let text = rfc3339(Time::from_micros(millis * 1_000 + 999));
            prop_assert_eq!(text, format!("{expected:.3}"));
        }
    }
}
