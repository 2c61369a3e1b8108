//! Texts of the configuration that are never printed.

use std::fmt;

use serde::Deserialize;

/// A token or a password. `Debug` shows that it is there and nothing of it; it has no `Display`, so that it cannot
/// get into a message or a log line by itself.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// A secret with that text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for whoever has to send it or to recognise it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_as_a_text_and_never_shown() {
        let secret: Secret = serde_json::from_str("\"s3cret\"").unwrap();
        assert_eq!(secret, Secret::new("s3cret"));
        assert_eq!(secret.reveal(), "s3cret");
        assert_eq!(format!("{:?}", Some(&secret)), "Some([redacted])");
    }
}
