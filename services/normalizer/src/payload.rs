//! What every payload must be before a format looks at it, and what is said of one that is not.

use prunella_stream::Rejection;

/// The longest payload that is read, in bytes: 16 MiB. Kafka's own limit is usually far lower.
pub const MAX_PAYLOAD_BYTES: usize = 16 << 20;
/// The deepest nesting of a payload. It is the JSON parser's own limit.
pub const MAX_DEPTH: usize = 127;
/// The most labels, and the most annotations, that one alert may carry.
pub const MAX_LABELS: usize = 1_000;
/// The most alerts in one payload.
pub const MAX_ALERTS: usize = 10_000;

/// The payload's text, without a byte order mark and surrounding space.
///
/// # Errors
/// `too_large`, `content_type`, `invalid_utf8`, `empty`.
pub(crate) fn text_of<'a>(
    content_type: Option<&str>,
    takes: &dyn Fn(&str) -> bool,
    payload: &'a [u8],
) -> Result<&'a str, Rejection> {
    if payload.len() > MAX_PAYLOAD_BYTES {
        return Err(Rejection::new(
            "too_large",
            format!(
                "the payload has {} bytes, more than the {MAX_PAYLOAD_BYTES} that are read; let the source send \
                 smaller groups",
                payload.len()
            ),
        ));
    }
    if let Some(content_type) = content_type.filter(|content_type| !takes(content_type)) {
        return Err(Rejection::new(
            "content_type",
            format!(
                "the content type is `{}`, and this format is JSON; let the source send application/json",
                shorten(content_type)
            ),
        ));
    }
    let text = std::str::from_utf8(payload).map_err(|error| {
        Rejection::new(
            "invalid_utf8",
            format!(
                "byte {} of the payload is not UTF-8; let the source encode its JSON as UTF-8",
                error.valid_up_to()
            ),
        )
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim();
    if text.is_empty() {
        return Err(Rejection::new(
            "empty",
            "the payload is empty; look at what the source sends",
        ));
    }
    Ok(text)
}

/// Whether a media type is JSON: `application/json`, `text/json`, `application/...+json`, or nothing at all.
pub(crate) fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let ends = |suffix: &str| {
        essence
            .len()
            .checked_sub(suffix.len())
            .and_then(|at| essence.get(at..))
            .is_some_and(|end| end.eq_ignore_ascii_case(suffix))
    };
    essence.is_empty()
        || essence.eq_ignore_ascii_case("application/json")
        || essence.eq_ignore_ascii_case("text/json")
        || ends("+json")
}

/// Classes that the formats' own deserializers raise: their message begins with the class and a colon.
const RAISED: &[&str] = &["duplicate_key", "nul", "too_many_labels", "too_many_alerts"];

/// What the JSON parser's complaint means.
pub(crate) fn refuse(error: &serde_json::Error) -> Rejection {
    let text = error.to_string();
    if let Some((class, detail)) = text.split_once(": ")
        && let Some(class) = RAISED.iter().find(|raised| **raised == class)
    {
        return Rejection::new(*class, detail.to_owned());
    }
    let (class, advice) = if error.is_eof() {
        ("truncated_json", "it was cut off: look at what sends it")
    } else if text.starts_with("recursion limit exceeded") {
        (
            "too_deep",
            "it is nested more than 127 deep: no alert is, look at what sends it",
        )
    } else if text.starts_with("number out of range") {
        (
            "number_out_of_range",
            "a number in it is larger than a double holds: let the source send it as text",
        )
    } else if text.starts_with("duplicate field") {
        (
            "duplicate_key",
            "one object says the same thing twice: which one is meant?",
        )
    } else if error.is_data() {
        (
            "unexpected_shape",
            "its JSON is not what this source sends: check the source's name, or describe it under `sources:` \
             in the knowledge",
        )
    } else {
        ("malformed_json", "it is not JSON: look at what sends it")
    };
    Rejection::new(class, format!("{}; {advice}", shorten(&text)))
}

/// The beginning of a text that somebody else chose, fit for a log line.
pub(crate) fn shorten(text: &str) -> String {
    const LIMIT: usize = 120;
    let mut short: String = text
        .chars()
        .take(LIMIT)
        .map(|char| if char.is_control() { ' ' } else { char })
        .collect();
    if short.len() < text.len() && text.chars().nth(LIMIT).is_some() {
        short.push_str("...");
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(content_type: Option<&str>, payload: &[u8], expected: Result<&str, &str>) {
        let seen = text_of(content_type, &is_json, payload);
        let seen = seen.as_ref().map(|text| *text).map_err(|rejection| {
            assert!(!rejection.detail.is_empty());
            rejection.class.as_ref()
        });
        assert_eq!(seen, expected, "{content_type:?}");
    }

    #[test]
    fn text_is_given_without_its_mark_and_surrounding_space() {
        check(None, b" {} \n", Ok("{}"));
        check(None, b"\xef\xbb\xbf{}", Ok("{}"));
    }

    #[test]
    fn what_is_not_text_is_refused() {
        check(None, b"", Err("empty"));
        check(None, b" \n\t", Err("empty"));
        check(None, b"{\"a\": \"\xff\"}", Err("invalid_utf8"));
        check(None, &vec![b' '; MAX_PAYLOAD_BYTES + 1], Err("too_large"));
    }

    #[test]
    fn json_is_known_by_its_media_type() {
        for json in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "text/json",
            "application/vnd.acme+json",
            "",
        ] {
            check(Some(json), b"{}", Ok("{}"));
        }
        for other in ["text/plain", "application/x-www-form-urlencoded", "json"] {
            check(Some(other), b"{}", Err("content_type"));
        }
    }

    #[test]
    fn long_foreign_text_is_cut() {
        assert_eq!(shorten("a\nb"), "a b");
        assert_eq!(shorten(&"x".repeat(500)).len(), 123);
    }
}
