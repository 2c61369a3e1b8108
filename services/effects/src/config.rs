//! The `[effects]` part of the configuration.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;

/// Where effects may go and how.
///
/// ```toml
/// [effects]
/// base_url = "http://ops.example.com:8080/api"
/// allowed_hosts = ["api.example.com", "10.0.0.7:9000", ".internal.example.com"]
/// notification_webhook = "https://chat.example.com/hooks/ops"
/// kill_file = "/etc/prunella/stop"
///
/// [effects.headers."api.example.com"]
/// token_file = "/run/secrets/api-token"
/// ```
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EffectsConfig {
    /// What a `path` in a playbook stands below. Its host is allowed.
    pub base_url: Option<SecretUrl>,
    /// Hosts that may be called: `host` (the scheme's own port), `host:port`, or `.suffix` for every host below
    /// it (`.suffix:port` likewise). Everything else is refused.
    pub allowed_hosts: Vec<String>,
    /// Gets every notification as a POST of JSON. Without one, notifications are log lines only.
    pub notification_webhook: Option<SecretUrl>,
    /// While this file exists, this process changes nothing.
    pub kill_file: Option<PathBuf>,
    /// How many calls are under way at once, and as many notifications besides. Default 256.
    pub max_in_flight: usize,
    /// Longest answer that is read, in bytes. Default 1 MiB.
    pub max_response_bytes: usize,
    /// How many redirects a read follows, to the same scheme, host and port only. Default 0.
    pub max_redirects: usize,
    /// Longest wait for a connection, in milliseconds; the request's own timeout holds as well. Default 5,000.
    pub connect_timeout_ms: u64,
    /// Secrets that go with every request to a host, by `host` or `host:port`.
    pub headers: BTreeMap<String, HostCredential>,
}

impl Default for EffectsConfig {
    fn default() -> Self {
        Self {
            base_url: None,
            allowed_hosts: Vec::new(),
            notification_webhook: None,
            kill_file: None,
            max_in_flight: 256,
            max_response_bytes: 1 << 20,
            max_redirects: 0,
            connect_timeout_ms: 5_000,
            headers: BTreeMap::new(),
        }
    }
}

impl EffectsConfig {
    pub(crate) fn check(&self) -> Result<(), EffectsConfigError> {
        for (key, value) in [
            ("max_in_flight", self.max_in_flight),
            ("max_response_bytes", self.max_response_bytes),
        ] {
            if value == 0 {
                return Err(EffectsConfigError::Zero { key });
            }
        }
        Ok(())
    }
}

/// A secret header. The secret comes from a file, read anew for every request so that it may be rotated, or from
/// an environment variable.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostCredential {
    /// File that holds the secret.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    /// Environment variable that holds it.
    #[serde(default)]
    pub token_env: Option<String>,
    /// Header. Default `Authorization`.
    #[serde(default = "authorization")]
    pub header: String,
    /// What stands before the secret. Default `Bearer `.
    #[serde(default = "bearer")]
    pub prefix: String,
}

fn authorization() -> String {
    "Authorization".to_owned()
}

fn bearer() -> String {
    "Bearer ".to_owned()
}

/// A URL that may hold a secret (a webhook's path): it is never printed.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct SecretUrl(pub String);

impl fmt::Debug for SecretUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[a URL]")
    }
}

/// What is wrong with the `[effects]` part of the configuration.
#[derive(Debug, thiserror::Error)]
pub enum EffectsConfigError {
    /// Not an absolute HTTP URL, or one with a user in it.
    #[error("effects.{key} cannot be used ({reason}): write it as http://HOST:PORT/PATH")]
    Url {
        /// Which.
        key: &'static str,
        /// Why.
        reason: String,
    },
    /// Not a host.
    #[error(
        "effects.allowed_hosts: `{entry}` is no host: write `host`, `host:port`, `.suffix` or `.suffix:port`, without scheme or path"
    )]
    Host {
        /// The entry.
        entry: String,
    },
    /// A secret that is not there, or one that cannot go into a header.
    #[error("effects.headers.\"{host}\": {reason}")]
    Credential {
        /// Whose.
        host: String,
        /// What is wrong; never the secret.
        reason: String,
    },
    /// A number out of range.
    #[error("effects.{key} must be at least 1")]
    Zero {
        /// Which.
        key: &'static str,
    },
    /// The HTTP client cannot be made.
    #[error("the HTTP client cannot be made ({0}): look at the machine's TLS certificates")]
    Client(String),
}
