//! Durations as people write them: `500ms`, `30s`, `5m`, `1h30m`, `2d`.

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// The longest, so that sums of times cannot overflow.
const MAX: i64 = 366 * DAY;

/// Milliseconds of a duration.
///
/// # Errors
/// What is wrong with the text, in words.
pub fn parse_duration(text: &str) -> Result<i64, String> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err("a duration is a number with a unit".to_owned());
    }
    let mut total = 0_i64;
    while !rest.is_empty() {
        let digits = rest.find(|character: char| !character.is_ascii_digit());
        let (number, after) = rest.split_at(digits.unwrap_or(rest.len()));
        let letters = after.find(|character: char| !character.is_ascii_alphabetic());
        let (unit, after) = after.split_at(letters.unwrap_or(after.len()));
        let number: i64 = number
            .parse()
            .map_err(|_| format!("`{text}` is no duration"))?;
        let factor = match unit {
            "ms" => 1,
            "s" => SECOND,
            "m" => MINUTE,
            "h" => HOUR,
            "d" => DAY,
            "" => return Err(format!("`{text}` has no unit")),
            _ => return Err(format!("`{unit}` is no unit of time")),
        };
        total = number
            .checked_mul(factor)
            .and_then(|part| total.checked_add(part))
            .filter(|total| *total <= MAX)
            .ok_or_else(|| format!("`{text}` is longer than a year"))?;
        rest = after;
    }
    Ok(total)
}

/// A duration in words that [`parse_duration`] reads.
#[must_use]
pub fn format_duration(milliseconds: i64) -> String {
    let mut left = milliseconds.max(0);
    if left == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (factor, unit) in [
        (DAY, "d"),
        (HOUR, "h"),
        (MINUTE, "m"),
        (SECOND, "s"),
        (1, "ms"),
    ] {
        if left >= factor {
            text.push_str(&format!("{}{unit}", left / factor));
            left %= factor;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written() {
        for (text, expected) in [
            ("500ms", 500),
            ("30s", 30_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("1h30m", 5_400_000),
            ("2d", 172_800_000),
            ("0s", 0),
        ] {
            assert_eq!(parse_duration(text), Ok(expected), "{text}");
            assert_eq!(format_duration(expected), text);
        }
    }

    #[test]
    fn what_is_no_duration_says_why() {
        for (text, reason) in [
            ("", "a number with a unit"),
            ("5", "has no unit"),
            ("m", "is no duration"),
            ("5 m", "has no unit"),
            ("5min", "is no unit of time"),
            ("-5m", "is no duration"),
            ("1.5h", "has no unit"),
            ("99999999999999999999s", "is no duration"),
            ("9223372036854775807d", "longer than a year"),
            ("500d", "longer than a year"),
        ] {
            let found = parse_duration(text).expect_err(text);
            assert!(found.contains(reason), "{text}: {found}");
        }
    }
}
