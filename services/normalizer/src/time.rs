//! Times as sources write them.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::rfc2822;
use jiff::tz::TimeZone;
use prunella_stream::Millis;

/// Milliseconds since the Unix epoch from RFC 3339, from the texts that vendors write, or from a number of seconds, milliseconds, microseconds or
/// nanoseconds since the epoch. A date and time without an offset is UTC.
///
/// A time at or before the epoch is none: sources write year 1, or 0, for "not yet".
pub(crate) fn parse(text: &str) -> Option<Millis> {
    let text = text.trim();
    let millis = match text.parse::<Timestamp>() {
        Ok(timestamp) => timestamp.as_millisecond(),
        Err(_) => match text.parse::<f64>() {
            Ok(number) => return from_number(number),
            Err(_) => civil(text).or_else(|| written(text))?.as_millisecond(),
        },
    };
    (millis > 0).then_some(millis)
}

/// A date and time without an offset.
fn civil(text: &str) -> Option<Timestamp> {
    let civil = text.parse::<DateTime>().ok()?;
    Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

/// Forms with an offset, of vendors that do not write RFC 3339.
const WITH_OFFSET: &[&str] = &[
    "%Y-%m-%d %H:%M:%S%.f %z UTC",
    "%Y-%m-%d %H:%M:%S%.f %z",
    "%Y/%m/%d %H:%M:%S%.f %z",
    "%d/%b/%Y:%H:%M:%S %z",
];
/// Forms without one, or with the letters of one that is none.
const WITHOUT_OFFSET: &[&str] = &[
    "%Y-%m-%d %H:%M:%S%.f UTC",
    "%Y-%m-%d %H:%M:%S%.f GMT",
    "%Y-%m-%d %H:%M:%S%.fZ",
    "%Y-%m-%d, %H:%M UTC",
    "%Y-%m-%d %H:%M",
    "%Y.%m.%d %H:%M:%S",
    "%Y/%m/%d %H:%M:%S",
    "%a %b %e %H:%M:%S UTC %Y",
    "%a %b %e %H:%M:%S %Y",
    "%b %e, %Y %I:%M:%S %p",
    "%e %B %Y %H:%M:%S",
];

/// The texts that vendors write for people. What could be a day or a month is not guessed.
fn written(text: &str) -> Option<Timestamp> {
    const LONGEST: usize = 48;
    if text.len() > LONGEST || !text.bytes().any(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if let Ok(zoned) = rfc2822::parse(text) {
        return Some(zoned.timestamp());
    }
    let offset = WITH_OFFSET
        .iter()
        .find_map(|form| Timestamp::strptime(form, text).ok());
    offset.or_else(|| {
        let civil = WITHOUT_OFFSET
            .iter()
            .find_map(|form| DateTime::strptime(form, text).ok())?;
        Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp())
    })
}

/// The unit follows from the size: seconds reach the year 5138 before they are taken for milliseconds of 1973,
/// and so on.
pub(crate) fn from_number(number: f64) -> Option<Millis> {
    const SECONDS: f64 = 1e11;
    const MILLIS: f64 = 1e14;
    const MICROS: f64 = 1e17;
    const NANOS: f64 = 9.2e18;
    let millis = match number {
        number if !(number > 0.0 && number < NANOS) => return None,
        number if number < SECONDS => number * 1e3,
        number if number < MILLIS => number,
        number if number < MICROS => number / 1e3,
        number => number / 1e6,
    };
    // In range: it is below 1e14.
    let millis = millis.round() as Millis;
    (millis > 0).then_some(millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<Millis>) {
        assert_eq!(parse(text), expected, "{text}");
    }

    const NOON: Millis = 1_706_702_400_000;

    #[test]
    fn rfc_3339_is_read_with_its_offset() {
        check("2024-01-31T12:00:00Z", Some(NOON));
        check("2024-01-31T14:00:00.5+02:00", Some(NOON + 500));
        check("2024-01-31T12:00:00.123456789Z", Some(NOON + 123));
    }

    #[test]
    fn a_time_without_an_offset_is_utc() {
        check("2024-01-31 12:00:00", Some(NOON));
        check("2024-01-31T12:00:00", Some(NOON));
    }

    #[test]
    fn texts_that_vendors_write_are_read() {
        for text in [
            "Wed, 31 Jan 2024 12:00:00 GMT",
            "Wed, 31 Jan 2024 14:00:00 +0200",
            "2024-01-31T12:00:00.000+0000",
            "2024-01-31 12:00:00 UTC",
            "2024-01-31 14:00:00 +0200",
            "2024-01-31 12:00:00 +0000 UTC",
            "2024-01-31 12:00:00.000Z",
            "2024-01-31, 12:00 UTC",
            "2024.01.31 12:00:00",
            "2024/01/31 12:00:00",
            "Wed Jan 31 12:00:00 UTC 2024",
            "Jan 31, 2024 12:00:00 PM",
            "31 January 2024 12:00:00",
        ] {
            check(text, Some(NOON));
        }
        // The third of January, or the first of March?
        check("01/03/2024 12:00:00", None);
        check(&"2024-01-31 ".repeat(10_000), None);
    }

    #[test]
    fn the_unit_of_a_number_follows_from_its_size() {
        check("1706702400", Some(NOON));
        check("1706702400.25", Some(NOON + 250));
        check("1706702400000", Some(NOON));
        check("1706702400000000", Some(NOON));
        check("1706702400000000000", Some(NOON));
    }

    #[test]
    fn what_means_not_yet_or_nothing_is_no_time() {
        for text in [
            "",
            "0",
            "-5",
            "0001-01-01T00:00:00Z",
            "yesterday",
            "1e999",
            "NaN",
            "2024-13-45T00:00:00Z",
        ] {
            check(text, None);
        }
    }
}
