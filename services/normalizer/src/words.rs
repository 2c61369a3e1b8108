//! Words and numbers as sources write them.

use std::borrow::Cow;

use prunella_schemas::AlertStatus;

/// The status that a source means by a word of its own, whatever its case; nothing for a word that is not
/// listed.
pub(crate) fn status(word: &str) -> Option<AlertStatus> {
    match lower(word.trim()).as_ref() {
        "firing" | "fired" | "open" | "opened" | "active" | "problem" | "alert" | "alerting"
        | "alarm" | "triggered" | "trigger" | "new" | "acknowledged" | "ack" | "down"
        | "critical" | "error" | "warning" | "failing" | "failed" | "1" | "true" => {
            Some(AlertStatus::Firing)
        }
        "resolved" | "resolve" | "closed" | "close" | "ok" | "recovered" | "recovery"
        | "inactive" | "cleared" | "clear" | "normal" | "up" | "healthy" | "completed" | "0"
        | "false" => Some(AlertStatus::Resolved),
        _ => None,
    }
}

/// The word in lower case; the word itself if it is.
fn lower(word: &str) -> Cow<'_, str> {
    if word.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(word.to_ascii_lowercase())
    } else {
        Cow::Borrowed(word)
    }
}

/// A number from a text that holds nothing else, a percent sign aside. What is not finite is no number.
pub(crate) fn number(text: &str) -> Option<f64> {
    let text = text.trim();
    let text = text.strip_suffix('%').unwrap_or(text).trim_end();
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_monitoring_systems_become_a_status() {
        for (word, expected) in [
            ("firing", Some(AlertStatus::Firing)),
            (" PROBLEM ", Some(AlertStatus::Firing)),
            ("ALARM", Some(AlertStatus::Firing)),
            ("Resolved", Some(AlertStatus::Resolved)),
            ("OK", Some(AlertStatus::Resolved)),
            ("purple", None),
            ("", None),
        ] {
            assert_eq!(status(word), expected, "{word}");
        }
    }

    #[test]
    fn a_number_is_taken_only_if_there_is_nothing_else() {
        for (text, expected) in [
            ("93.5", Some(93.5)),
            (" 93.5 % ", Some(93.5)),
            ("1.2e+02", Some(120.0)),
            ("-0", Some(0.0)),
            ("1e999", None),
            ("NaN", None),
            ("+Inf", None),
            ("1.5 GB", None),
            ("Up (1)", None),
            ("", None),
        ] {
            assert_eq!(number(text), expected, "{text}");
        }
    }
}
