//! Durations as people write them: `30`, `0.5`, `"90s"`, `"1m30s"`, `"1h"`, `"250ms"`.

use std::fmt;
use std::time::Duration;

/// The text was not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseDurationError {
    /// It is written in another way.
    #[error(
        "{0:?} is not a duration; write seconds such as 30 or 0.5, or a text such as \"1m30s\" (ms, s, m, h, d)"
    )]
    Malformed(String),
    /// It is more than 2^64 seconds.
    #[error("{0:?} is too large a duration; it can be 2^64 seconds at most")]
    TooLong(String),
}

/// Reads a duration: a number of seconds, or numbers with the units `ms`, `s`, `m`, `h`, `d`.
///
/// # Errors
/// When the text is empty, has another unit, is negative or is longer than 2^64 seconds.
///
/// ```
/// use std::time::Duration;
/// assert_eq!(batch_core::duration::parse_duration("1m30s").unwrap(), Duration::from_secs(90));
/// assert_eq!(batch_core::duration::parse_duration("0.5").unwrap(), Duration::from_millis(500));
/// assert!(batch_core::duration::parse_duration("soon").is_err());
/// ```
pub fn parse_duration(text: &str) -> Result<Duration, ParseDurationError> {
    let error = || ParseDurationError::Malformed(text.to_owned());
    let too_long = || ParseDurationError::TooLong(text.to_owned());
    let duration = |seconds: f64| match seconds.is_finite() && seconds >= 0.0 {
        true => duration_from_seconds(seconds).ok_or_else(too_long),
        false => Err(error()),
    };
    let mut rest = text.trim();
    if let Ok(seconds) = rest.parse::<f64>() {
        return duration(seconds);
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or_else(error)?;
        let (number, tail) = rest.split_at(digits);
        let unit_end = tail
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let number: f64 = number.parse().map_err(|_| error())?;
        let seconds = number * unit_seconds(unit).ok_or_else(error)?;
        total = total.checked_add(duration(seconds)?).ok_or_else(too_long)?;
        rest = tail.trim_start();
    }
    if text.trim().is_empty() {
        return Err(error());
    }
    Ok(total)
}

/// The duration of a number of seconds; `None` when it is negative, not a number or too long.
pub fn duration_from_seconds(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok()
}

fn unit_seconds(unit: &str) -> Option<f64> {
    Some(match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => return None,
    })
}

/// Shows a duration shortly, as a person says it: `0.12s`, `42s`, `3m05s`, `2h10m`, `4d06h`.
#[derive(Clone, Copy, Debug)]
pub struct ShortDuration(pub Duration);

impl fmt::Display for ShortDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let text = match seconds {
            0..10 => format!("{:.2}s", self.0.as_secs_f64()),
            10..60 => format!("{seconds}s"),
            60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
            3_600..86_400 => format!("{}h{:02}m", seconds / 3_600, seconds % 3_600 / 60),
            _ => format!("{}d{:02}h", seconds / 86_400, seconds % 86_400 / 3_600),
        };
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, millis) in [
            ("30", 30_000),
            ("0.25", 250),
            ("250ms", 250),
            ("1m30s", 90_000),
            (" 1h 5m ", 3_900_000),
            ("1.5h", 5_400_000),
            ("2d", 172_800_000),
        ] {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_millis(millis)),
                "{text}"
            );
        }
    }

    #[test]
    fn refuses_what_is_no_duration() {
        for text in ["", " ", "-1", "s", "1x", "1m30", "nan", "inf"] {
            let malformed = ParseDurationError::Malformed(text.to_owned());
            assert_eq!(parse_duration(text), Err(malformed), "{text}");
        }
        for text in ["1e300", "18446744073709551616", "99999999999999999999d"] {
            let too_long = ParseDurationError::TooLong(text.to_owned());
            assert_eq!(parse_duration(text), Err(too_long), "{text}");
        }
    }

    #[test]
    fn shows_two_units_at_most() {
        let show = |millis| ShortDuration(Duration::from_millis(millis)).to_string();
        assert_eq!(show(120), "0.12s");
        assert_eq!(show(42_000), "42s");
        assert_eq!(show(185_000), "3m05s");
        assert_eq!(show(7_800_000), "2h10m");
        assert_eq!(show(367_200_000), "4d06h");
    }
}
