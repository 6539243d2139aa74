//! Times at which tasks may start: [`start_time`].

use batch_core::{Time, duration::parse_duration};
use jiff::civil::{self, DateTime};
use jiff::{SignedDuration, Timestamp, ZonedDateTime};

/// The text is no time at which a task may start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartTimeError {
    /// It has none of the forms.
    #[error(
        "{0:?} is no time: give a time of day such as 22:00, a local time such as 2026-12-01T08:00, one with an offset \
         such as 2026-12-01T08:00:00Z, or a delay such as +2h"
    )]
    Unreadable(String),
    /// It cannot be counted from 1970 on, or is beyond the year 9999.
    #[error("{0:?} is out of range")]
    OutOfRange(String),
}

/// Reads when a task may start, where and when it is `now`: see [`start_time`].
/// # Errors
/// When it has none of these forms.
pub(crate) fn parse_start_time(text: &str, now: &ZonedDateTime) -> Result<Time, StartTimeError> {
    let text = text.trim();
    let out_of_range = |_| StartTimeError::OutOfRange(text.to_owned());
    let moment = if let Some(delay) = text.strip_prefix('+') {
        let delay =
            parse_duration(delay).map_err(|_| StartTimeError::Unreadable(text.to_owned()))?;
        let delay = SignedDuration::try_from(delay).map_err(out_of_range)?;
        now.timestamp().checked_add(delay).map_err(out_of_range)?
    } else if let Ok(moment) = text.parse::<Timestamp>() {
        moment
    } else if let Ok(local) = text.parse::<DateTime>() {
        let zoned = local.to_zoned_datetime(now.time_zone().clone());
        zoned.map_err(out_of_range)?.timestamp()
    } else {
        let time: civil::Time = text
            .parse()
            .map_err(|_| StartTimeError::Unreadable(text.to_owned()))?;
        next_time_of_day(time, now).map_err(out_of_range)?
    };
    let micros = u64::try_from(moment.as_microsecond());
    micros
        .map(Time::from_micros)
        .map_err(|_| StartTimeError::OutOfRange(text.to_owned()))
}

/// Reads when a task may start:
///
/// - `22:00` or `22:00:30`: when the clock next shows that;
/// - `2026-12-01`, `2026-12-01T08:00`: local time. Where a change of the clock leaves a time out, the time after it; where
///   it gives one twice, the first;
/// - `2026-12-01T08:00:00+01:00`, `…Z`: that moment, anywhere;
/// - `+2h`: so long after now.
///
/// # Errors
/// When it has none of these forms, or is out of range.
pub fn start_time(text: &str) -> Result<Time, StartTimeError> {
    parse_start_time(text, &ZonedDateTime::now())
}

/// When the clock next shows a time.
fn next_time_of_day(time: civil::Time, now: &ZonedDateTime) -> Result<Timestamp, jiff::Error> {
    let on = |day: civil::Date| {
        day.to_datetime(time)
            .to_zoned_datetime(now.time_zone().clone())
    };
    let today = on(now.date())?;
    if today > *now {
        return Ok(today.timestamp());
    }
    Ok(on(now.date().tomorrow()?)?.timestamp())
}

#[cfg(test)]
mod tests {
    use jiff::tz::{AmbiguousOffset, TimeZone};

    use super::*;

    /// The rules of Berlin, without a time zone database.
    fn berlin(text: &str) -> ZonedDateTime {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        text.parse::<DateTime>()
            .unwrap()
            .to_zoned_datetime(zone)
            .unwrap()
    }

    #[track_caller]
    fn check(text: &str, now: &ZonedDateTime, expected: &str) {
        let at = parse_start_time(text, now).unwrap();
        let at = Timestamp::from_microsecond(at.as_micros().try_into().unwrap()).unwrap();
        assert_eq!(at.to_string(), expected, "{text}");
    }

    #[test]
    fn a_time_of_day_is_the_next_one() {
        let now = berlin("2026-11-27T12:00");
        check("22:00", &now, "2026-11-27T21:00:00Z");
        check("11:59:30", &now, "2026-11-28T10:59:30Z");
        check("12:00", &now, "2026-11-28T11:00:00Z");
    }

    #[test]
    fn times_with_a_date_are_local_unless_they_have_an_offset() {
        let now = berlin("2026-11-27T12:00");
        check("2026-12-01T08:00", &now, "2026-12-01T07:00:00Z");
        check("2026-12-01 08:00", &now, "2026-12-01T07:00:00Z");
        check("2026-12-01", &now, "2026-11-30T23:00:00Z");
        check("2026-12-01T08:00:00Z", &now, "2026-12-01T08:00:00Z");
        check("2026-12-01T08:00:00+05:30", &now, "2026-12-01T02:30:00Z");
        check("+2h", &now, "2026-11-27T13:00:00Z");
        check("+1m30s", &now, "2026-11-27T11:01:30Z");
    }

    #[test]
    fn changes_of_the_clock_move_no_task_back() {
        // 02:30 does not exist on 28 March 2027, and comes twice on 31 October.
        check("02:30", &berlin("2027-03-27T23:00"), "2027-03-28T01:30:00Z");
        check("02:30", &berlin("2027-10-30T23:00"), "2027-10-31T00:30:00Z");
        // The day of the change is an hour longer.
        check("22:00", &berlin("2027-10-31T00:00"), "2027-10-31T21:00:00Z");
        check("22:00", &berlin("2027-10-30T21:00"), "2027-10-30T20:00:00Z");
        let twice = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let ambiguous = twice.to_ambiguous_zoned_datetime("2027-10-31T02:30".parse().unwrap());
        assert!(matches!(ambiguous.offset(), AmbiguousOffset::Fold { .. }));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        let now = berlin("2026-11-27T12:00");
        for text in [
            "",
            "soon",
            "25:00",
            "2026-13-01",
            "+",
            "+soon",
            "-2h",
            "1969-12-31T00:00:00Z",
        ] {
            assert!(parse_start_time(text, &now).is_err(), "{text}");
        }
    }
}
