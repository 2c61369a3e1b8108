//! Where the registry is and who asks.

pub use prunella_secret::Secret;
use serde::Deserialize;

/// How to reach a schema registry. Without a URL there is none, and records are written in Avro single-object
/// encoding.
///
/// The gateway asks no registry: what it writes (`control`, `knowledge`, `switches`) stays in single-object
/// encoding, which every stage reads beside Confluent framing.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SchemaRegistryConfig {
    /// For example `https://registry:8081`, or with a path as Apicurio's `http://registry:8080/apis/ccompat/v7`.
    pub url: String,
    /// For basic authentication, with `password`.
    pub username: Option<String>,
    /// Its password.
    pub password: Option<Secret>,
    /// A bearer token, instead of a user.
    pub token: Option<Secret>,
    /// Longest wait for an answer, in milliseconds, 100 to 5,000: a stream thread that asks does nothing else
    /// meanwhile. Default 2,000.
    pub timeout_ms: u64,
}

impl Default for SchemaRegistryConfig {
    fn default() -> Self {
        Self {
            url: String::new(),
            username: None,
            password: None,
            token: None,
            timeout_ms: 2_000,
        }
    }
}

/// A setting that cannot be. Says nothing of what stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// No URL of HTTP.
    #[error(
        "schema_registry.url is no URL: write `http://HOST:PORT` or `https://HOST`, with a path if it has one"
    )]
    Url,
    /// A URL with a user in it would be printed with every error.
    #[error(
        "schema_registry.url names a user: use schema_registry.username and schema_registry.password"
    )]
    UserInUrl,
    /// Half of a user, or a user and a token.
    #[error("schema_registry needs username and password, or token, or none of them")]
    Credentials,
    /// A wait that is none, or too long.
    #[error("schema_registry.timeout_ms: 100 to 5000")]
    Timeout,
    /// Credentials or settings without a registry.
    #[error("schema_registry has credentials and no url: set schema_registry.url, or remove them")]
    NoUrl,
}

impl SchemaRegistryConfig {
    /// Whether a registry is configured.
    #[must_use]
    pub fn is_configured(&self) -> bool {
        !self.url.is_empty()
    }

    /// Checks what no type can say.
    ///
    /// # Errors
    /// [`ConfigError`] with the setting's name.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if !(100..=5_000).contains(&self.timeout_ms) {
            return Err(ConfigError::Timeout);
        }
        match (&self.username, &self.password, &self.token) {
            (None, None, None) => {}
            _ if !self.is_configured() => return Err(ConfigError::NoUrl),
            (Some(_), Some(_), None) | (None, None, Some(_)) => {}
            _ => return Err(ConfigError::Credentials),
        }
        if !self.is_configured() {
            return Ok(());
        }
        let url = reqwest::Url::parse(&self.url).map_err(|_| ConfigError::Url)?;
        if !matches!(url.scheme(), "http" | "https") || url.query().is_some() {
            return Err(ConfigError::Url);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(ConfigError::UserInUrl);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<(), ConfigError>) {
        let config: SchemaRegistryConfig = toml::from_str(text).unwrap();
        assert_eq!(config.validate(), expected, "{text}");
    }

    #[test]
    fn what_cannot_be_is_refused_and_what_can_is_not() {
        check("", Ok(()));
        check("url = 'http://127.0.0.1:8081'", Ok(()));
        check("url = 'https://r/apis/ccompat/v7'\ntoken = 't'", Ok(()));
        check("url = 'http://r'\nusername = 'u'\npassword = 'p'", Ok(()));
        check("url = 'r:8081'", Err(ConfigError::Url));
        check("url = 'not a url'", Err(ConfigError::Url));
        check("url = 'http://u:p@r'", Err(ConfigError::UserInUrl));
        check(
            "url = 'http://r'\nusername = 'u'",
            Err(ConfigError::Credentials),
        );
        check(
            "url = 'http://r'\nusername = 'u'\npassword = 'p'\ntoken = 't'",
            Err(ConfigError::Credentials),
        );
        check("token = 't'", Err(ConfigError::NoUrl));
        check(
            "url = 'http://r'\ntimeout_ms = 60000",
            Err(ConfigError::Timeout),
        );
    }

    #[test]
    fn an_unknown_key_is_refused() {
        assert!(toml::from_str::<SchemaRegistryConfig>("urll = 'http://r'").is_err());
    }

    #[test]
    fn secrets_are_not_printed() {
        let config: SchemaRegistryConfig =
            toml::from_str("url = 'http://r'\npassword = 'hush'\ntoken = 'hush'").unwrap();
        let shown = format!("{config:?}");
        assert!(
            shown.contains("redacted") && !shown.contains("hush"),
            "{shown}"
        );
    }
}
