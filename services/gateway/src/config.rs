//! What can be configured under `[gateway]`.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::Deserialize;

use crate::secret::{Secret, TokenError};

/// The `[gateway]` table. Sizes are in bytes, times in milliseconds.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GatewayConfig {
    /// Where to listen. Default `127.0.0.1:8080`. Anything but loopback needs tokens, and a proxy in front of
    /// it that speaks TLS: the gateway speaks plain HTTP.
    pub listen: SocketAddr,
    /// The longest alert or log payload. Default 1,000,000: with its key and headers it fits into what Kafka
    /// takes by default (1,048,588).
    pub max_body_bytes: usize,
    /// The longest knowledge bundle. Default 4 MiB.
    pub max_knowledge_bytes: usize,
    /// Requests with a body that are worked on at the same time; more are told to come again. Default 256.
    pub max_requests_in_flight: usize,
    /// Connections at the same time; more wait. Default 1,024.
    pub max_connections: usize,
    /// How long a request's head may take, and how long a connection may stay idle. Default 30,000.
    pub header_timeout_ms: u64,
    /// How long a request's body may take. Default 30,000.
    pub body_timeout_ms: u64,
    /// How long Kafka may take to acknowledge. Default 10,000.
    pub ack_timeout_ms: u64,
    /// How long requests may go on after the stop signal. Default 10,000.
    pub drain_timeout_ms: u64,
    /// Who may send alerts and logs, by name.
    pub sources: BTreeMap<String, SourceConfig>,
    /// Who may command, by name; the name is what is recorded as the author.
    pub people: BTreeMap<String, PersonConfig>,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            max_body_bytes: 1_000_000,
            max_knowledge_bytes: 4 << 20,
            max_requests_in_flight: 256,
            max_connections: 1_024,
            header_timeout_ms: 30_000,
            body_timeout_ms: 30_000,
            ack_timeout_ms: 10_000,
            drain_timeout_ms: 10_000,
            sources: BTreeMap::new(),
            people: BTreeMap::new(),
        }
    }
}

/// A source, `[gateway.sources.NAME]`: a monitoring system or a log shipper. Its name also says which format it
/// sends, unless the knowledge describes it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SourceConfig {
    /// Its bearer token. Better kept in a file or the environment.
    pub token: Option<Secret>,
    /// A file with its tokens, one a line.
    pub token_file: Option<PathBuf>,
    /// An environment variable with its token.
    pub token_env: Option<String>,
    /// Requests a second that it may send for long. Default 1,000.
    pub requests_per_second: u32,
    /// Requests that it may send at once. Default 2,000.
    pub burst: u32,
    /// Overrides the gateway's.
    pub max_body_bytes: Option<usize>,
    /// Services whose logs it may send; `*` for any. Default none.
    pub log_services: Vec<String>,
}

impl Default for SourceConfig {
    fn default() -> Self {
        Self {
            token: None,
            token_file: None,
            token_env: None,
            requests_per_second: 1_000,
            burst: 2_000,
            max_body_bytes: None,
            log_services: Vec::new(),
        }
    }
}

/// A person, or a program that acts for one, `[gateway.people.NAME]`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PersonConfig {
    /// Their bearer token. Better kept in a file or the environment.
    pub token: Option<Secret>,
    /// A file with their tokens, one a line.
    pub token_file: Option<PathBuf>,
    /// An environment variable with their token.
    pub token_env: Option<String>,
    /// What they may do besides looking. Default nothing.
    pub roles: Vec<Role>,
}

/// What a person may do. Everybody with a token may look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Look at switches and knowledge.
    Read,
    /// Control runs and throw switches.
    Operate,
    /// Publish knowledge.
    Publish,
}

impl Role {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Publish => "publish",
        }
    }
}

/// Why the gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// Anybody on the network could act.
    #[error(
        "gateway.listen is {0}, which others can reach, and there is no token: configure [gateway.sources.NAME] \
         and [gateway.people.NAME] with token_file or token_env, or listen on 127.0.0.1"
    )]
    Unprotected(SocketAddr),
    /// A token cannot be had.
    #[error("gateway.{table}.{name}: {reason}")]
    Token {
        /// `sources` or `people`.
        table: &'static str,
        /// Whose.
        name: String,
        /// Why.
        reason: TokenError,
    },
    /// Somebody without a token, while others have one.
    #[error("gateway.{table}.{name} has no token: set token_file or token_env, or remove it")]
    NoToken {
        /// `sources` or `people`.
        table: &'static str,
        /// Whose.
        name: String,
    },
    /// One token, two identities.
    #[error(
        "{0} and {1} have the same token, so that nobody can tell them apart; give each its own"
    )]
    SharedToken(String, String),
    /// A name that no path and no key could carry.
    #[error("gateway.{table}.{name:?} is no name: use up to 64 letters, digits, '-', '_' and '.'")]
    Name {
        /// `sources` or `people`.
        table: &'static str,
        /// The name.
        name: String,
    },
    /// A number that makes no sense.
    #[error("gateway.{0} must be at least 1")]
    Zero(String),
    /// The address is taken, or not ours.
    #[error(
        "cannot listen on {address}: {reason}; stop what listens there, or change gateway.listen"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        reason: std::io::Error,
    },
    /// librdkafka refuses its settings.
    #[error("the Kafka settings are refused: {0}; correct them under [kafka]")]
    Kafka(#[from] rdkafka::error::KafkaError),
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

/// A name that goes into a path and a key as it is.
pub(crate) fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(allowed)
}

impl GatewayConfig {
    /// The numbers that must not be zero.
    pub(crate) fn check(&self) -> Result<(), GatewayError> {
        let mut numbers = vec![
            ("max_body_bytes".to_owned(), self.max_body_bytes),
            ("max_knowledge_bytes".to_owned(), self.max_knowledge_bytes),
            (
                "max_requests_in_flight".to_owned(),
                self.max_requests_in_flight,
            ),
            ("max_connections".to_owned(), self.max_connections),
        ];
        for (name, source) in &self.sources {
            let path = |field| format!("sources.{name}.{field}");
            numbers.push((
                path("requests_per_second"),
                source.requests_per_second as usize,
            ));
            numbers.push((path("burst"), source.burst as usize));
        }
        match numbers.into_iter().find(|(_, number)| *number == 0) {
            Some((name, _)) => Err(GatewayError::Zero(name)),
            None => Ok(()),
        }
    }

    /// The longest body that any route takes.
    pub(crate) fn largest_body(&self) -> usize {
        let sources = self
            .sources
            .values()
            .filter_map(|source| source.max_body_bytes);
        sources
            .chain([self.max_body_bytes, self.max_knowledge_bytes])
            .max()
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parse(config: Value) -> Result<GatewayConfig, String> {
        serde_json::from_value(config).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_not_said_has_its_default_and_what_is_not_known_is_refused() {
        assert_eq!(parse(json!({})), Ok(GatewayConfig::default()));
        let config = parse(json!({
            "listen": "[::1]:9000",
            "sources": {"alertmanager": {"token_env": "TOKEN", "burst": 5}},
            "people": {"ada": {"token_file": "ada.token", "roles": ["operate", "publish"]}},
        }))
        .unwrap();
        assert_eq!(config.sources["alertmanager"].burst, 5);
        assert_eq!(config.sources["alertmanager"].requests_per_second, 1_000);
        assert_eq!(config.people["ada"].roles, [Role::Operate, Role::Publish]);
        for unknown in [
            json!({"lisen": "127.0.0.1:1"}),
            json!({"sources": {"a": {"tokn": "x"}}}),
            json!({"people": {"a": {"roles": ["root"]}}}),
        ] {
            let error = parse(unknown).unwrap_err();
            assert!(error.contains("unknown"), "{error}");
        }
    }

    #[test]
    fn a_bound_of_nothing_is_refused_by_its_path() {
        let check = |config: Value, path: &str| {
            let error = parse(config).unwrap().check().unwrap_err().to_string();
            assert!(error.contains(path), "{error}");
        };
        check(json!({"max_body_bytes": 0}), "gateway.max_body_bytes");
        check(
            json!({"sources": {"a": {"burst": 0}}}),
            "gateway.sources.a.burst",
        );
        assert!(GatewayConfig::default().check().is_ok());
    }

    #[test]
    fn the_producer_is_made_for_the_longest_body_of_any_route() {
        let config = parse(json!({"sources": {"a": {"max_body_bytes": 9_000_000}}})).unwrap();
        assert_eq!(config.largest_body(), 9_000_000);
        assert_eq!(GatewayConfig::default().largest_body(), 4 << 20);
    }

    #[test]
    fn a_configuration_shows_no_token() {
        let config = parse(json!({"people": {"ada": {"token": "s3cret"}}})).unwrap();
        assert!(!format!("{config:?}").contains("s3cret"));
    }
}
