//! One TOML file and the environment: `PRUNELLA__SECTION__KEY=value` wins over the file.

mod read;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use anyhow::Result;
use prunella_effects::EffectsConfig;
use prunella_gateway::GatewayConfig;
use prunella_runtime::{KafkaConfig, RuntimeConfig};
use prunella_schema_registry::SchemaRegistryConfig;
use prunella_topology::Installation;
use serde::Deserialize;

/// Everything that can be set.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How to reach Kafka.
    pub kafka: KafkaConfig,
    /// Confluent framing, if its url is set. What the gateway writes stays in single-object encoding.
    pub schema_registry: SchemaRegistryConfig,
    /// How stages run.
    pub runtime: RuntimeConfig,
    /// Health and metrics.
    pub http: HttpConfig,
    /// Topics: partitions and replicas.
    pub topology: Installation,
    /// HTTP in.
    pub gateway: GatewayConfig,
    /// Effects out.
    pub effects: EffectsConfig,
    /// Logs.
    pub log: LogConfig,
}

/// The listener for health and metrics.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// `address:port`; port 0 takes a free one.
    pub listen: SocketAddr,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9464)),
        }
    }
}

/// Logs go to standard error.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// `human` or `json`.
    pub format: LogFormat,
    /// For example `info` or `info,prunella_runtime=debug`.
    pub level: String,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            format: LogFormat::Human,
            level: "info,librdkafka=warn".to_owned(),
        }
    }
}

/// Form of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

impl Config {
    /// Reads the file, if there is one, and the environment.
    ///
    /// # Errors
    /// A file that cannot be read, or a key or value that cannot be, with its place; never the value itself.
    pub fn load(file: Option<&Path>) -> Result<Self> {
        read::load(file)
    }
}
