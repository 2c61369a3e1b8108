//! Tokens: read from configuration, a file or the environment, never shown again.

use std::fmt;
use std::path::PathBuf;

pub use prunella_secret::Secret;
use prunella_stream::Digest;

/// What is kept of a token: enough to recognise it. The token itself is forgotten.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fingerprint([u8; 16]);

impl Fingerprint {
    pub(crate) fn of(token: &str) -> Self {
        Self(Digest::of(&[b"bearer token", token.as_bytes()]).0)
    }

    /// Whether it is the same, in a time that says nothing about where the two differ. What is compared are
    /// digests, so that even a leak would say nothing about the token.
    pub(crate) fn is(&self, other: &Self) -> bool {
        let differences = self.0.iter().zip(&other.0);
        let sum = differences.fold(0, |sum, (left, right)| sum | (left ^ right));
        std::hint::black_box(sum) == 0
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[redacted]")
    }
}

/// Why tokens cannot be had from where the configuration says they are.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// More than one place.
    #[error("name one of `token`, `token_file` and `token_env`, not several")]
    Ambiguous,
    /// The file cannot be read.
    #[error(
        "token_file {path}: {reason}; create it with `openssl rand -hex 32`, readable by this process"
    )]
    File {
        /// The file.
        path: String,
        /// What the system says.
        reason: std::io::Error,
    },
    /// The variable is not there.
    #[error("token_env: the environment has no variable {0}; set it, or use token_file")]
    Environment(String),
    /// There is nothing in it.
    #[error("the token is empty; make one with `openssl rand -hex 32`")]
    Empty,
    /// HTTP could not carry it.
    #[error(
        "the token holds a character that no HTTP header carries; make one with `openssl rand -hex 32`"
    )]
    Unprintable,
}

/// The tokens from one of the three places; none if no place is named. Each line of a file is a token, so that
/// an old and a new one can be valid at the same time.
pub(crate) fn tokens(
    token: Option<&Secret>,
    file: Option<&PathBuf>,
    variable: Option<&String>,
) -> Result<Vec<Fingerprint>, TokenError> {
    let text = match (token, file, variable) {
        (None, None, None) => return Ok(Vec::new()),
        (Some(token), None, None) => token.reveal().to_owned(),
        (None, Some(path), None) => {
            std::fs::read_to_string(path).map_err(|reason| TokenError::File {
                path: path.display().to_string(),
                reason,
            })?
        }
        (None, None, Some(name)) => {
            std::env::var(name).map_err(|_| TokenError::Environment(name.clone()))?
        }
        _ => return Err(TokenError::Ambiguous),
    };
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let tokens: Vec<&str> = lines.collect();
    if tokens.is_empty() {
        return Err(TokenError::Empty);
    }
    if !tokens
        .iter()
        .all(|token| token.bytes().all(|byte| byte.is_ascii_graphic()))
    {
        return Err(TokenError::Unprintable);
    }
    Ok(tokens.into_iter().map(Fingerprint::of).collect())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_fingerprint_is_never_shown() {
        assert_eq!(format!("{:?}", Fingerprint::of("s3cret")), "[redacted]");
    }

    #[test]
    fn a_token_is_recognised_and_another_is_not() {
        let token = Fingerprint::of("a-token");
        assert!(token.is(&Fingerprint::of("a-token")));
        assert!(!token.is(&Fingerprint::of("a-tokem")));
        assert!(!token.is(&Fingerprint::of("")));
    }

    #[test]
    fn each_line_of_a_file_is_a_token() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "old\n\n new ").unwrap();
        let found = tokens(None, Some(&file.path().to_owned()), None).unwrap();
        assert_eq!(found, [Fingerprint::of("old"), Fingerprint::of("new")]);
    }

    #[test]
    fn a_token_that_is_not_there_is_an_error_and_no_token_is_none() {
        let secret = |text: &str| Some(Secret::new(text));
        assert!(tokens(None, None, None).unwrap().is_empty());
        assert!(matches!(
            tokens(secret(" ").as_ref(), None, None),
            Err(TokenError::Empty)
        ));
        assert!(matches!(
            tokens(secret("a b").as_ref(), None, None),
            Err(TokenError::Unprintable)
        ));
        let absent = "PRUNELLA_NO_SUCH_VARIABLE".to_owned();
        assert!(matches!(
            tokens(None, None, Some(&absent)),
            Err(TokenError::Environment(_))
        ));
        assert!(matches!(
            tokens(secret("a").as_ref(), None, Some(&absent)),
            Err(TokenError::Ambiguous)
        ));
        let nowhere = PathBuf::from("no/such/file");
        assert!(matches!(
            tokens(None, Some(&nowhere), None),
            Err(TokenError::File { .. })
        ));
    }
}
