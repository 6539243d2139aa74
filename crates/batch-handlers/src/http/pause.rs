//! The pause that a server asks for: [`retry_after`].

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::{rfc2822, strtime};
use jiff::tz::TimeZone;
use reqwest::header::{HeaderMap, RETRY_AFTER};

/// The pause that the server asks for, as seconds or as a date; nothing where it has passed.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(text.parse().map_or(Duration::MAX, Duration::from_secs));
    }
    let until = date(text)?;
    Some(Duration::try_from(until.duration_since(Timestamp::now())).unwrap_or_default())
}

/// A date in one of the three forms that HTTP knows.
fn date(text: &str) -> Option<Timestamp> {
    if let Ok(date) = rfc2822::parse(text) {
        return Some(date.timestamp());
    }
    // Those of RFC 850 and of asctime, in UTC.
    ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"]
        .into_iter()
        .find_map(|form| {
            let date = strtime::parse(form, text).ok()?.to_datetime().ok()?;
            TimeZone::UTC.to_timestamp(date).ok()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_date_of_http_is_read() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            let read = date(text).map(|date| date.to_string());
            assert_eq!(read.as_deref(), Some("1994-11-06T08:49:37Z"), "{text}");
        }
        for text in ["soon", "", "-1", "1.5", "Sun Nov 31 08:49:37 1994"] {
            assert_eq!(date(text), None, "{text}");
        }
    }

    #[test]
    fn pauses_are_read() {
        for (text, expected) in [
            ("7", Some(Duration::from_secs(7))),
            ("0", Some(Duration::ZERO)),
            ("99999999999999999999999999", Some(Duration::MAX)),
            ("Sun Nov  6 08:49:37 1994", Some(Duration::ZERO)),
            ("-7", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            assert_eq!(retry_after(&headers), expected, "{text}");
        }
    }
}
