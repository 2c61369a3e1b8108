//! One TOML file and the environment: `PRUNELLA__SECTION__KEY=value` wins over the file.

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use prunella_effects::EffectsConfig;
use prunella_gateway::GatewayConfig;
use prunella_runtime::{KafkaConfig, RuntimeConfig};
use prunella_topology::{Installation, Prefix};
use serde::Deserialize;
use toml::{Table, Value};

/// What environment variables of the configuration begin with.
const VARIABLES: &str = "PRUNELLA__";

/// Everything that can be set.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How to reach Kafka.
    pub kafka: KafkaConfig,
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
    pub listen: String,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:9464".to_owned(),
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
    /// A file that cannot be read, or a key or value that cannot be, by name.
    pub fn load(file: Option<&Path>) -> Result<Self> {
        let text = match file {
            Some(file) => std::fs::read_to_string(file)
                .with_context(|| format!("cannot read the configuration {}", file.display()))?,
            None => String::new(),
        };
        let variables = std::env::vars().filter(|(name, _)| name.starts_with(VARIABLES));
        let config = Self::parse(&text, variables);
        config.with_context(|| match file {
            Some(file) => format!(
                "configuration {} and {VARIABLES}... variables",
                file.display()
            ),
            None => format!("configuration from {VARIABLES}... variables"),
        })
    }

    /// Reads a text and variables.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(text: &str, variables: impl Iterator<Item = (String, String)>) -> Result<Self> {
        let mut table: Table = text
            .parse()
            .map_err(|error: toml::de::Error| anyhow!("{error}"))?;
        for (name, value) in variables {
            set(&mut table, &name, &value)?;
        }
        let prefix = prefix_of(&table)?;
        let mut config = Self::deserialize(Value::Table(table)).map_err(|error| explain(&error))?;
        config.topology.prefix = prefix;
        Ok(config)
    }
}

/// The prefix is configured with the cluster and checked where the topology declares what may be one.
fn prefix_of(table: &Table) -> Result<Prefix> {
    let prefix = table
        .get("kafka")
        .and_then(|kafka| kafka.get("prefix"))
        .and_then(Value::as_str)
        .unwrap_or_default();
    Prefix::new(prefix).context("kafka.prefix")
}

fn set(table: &mut Table, name: &str, value: &str) -> Result<()> {
    let path: Vec<String> = name[VARIABLES.len()..]
        .split("__")
        .map(str::to_lowercase)
        .collect();
    let Some((key, sections)) = path.split_last() else {
        bail!("{name} names no key");
    };
    let mut section = table;
    for name in sections {
        let entry = section
            .entry(name.clone())
            .or_insert_with(|| Value::Table(Table::new()));
        let Value::Table(inner) = entry else {
            bail!(
                "{VARIABLES}{}: `{name}` is a value, not a section",
                path.join("__")
            );
        };
        section = inner;
    }
    section.insert(key.clone(), scalar(value));
    Ok(())
}

/// Numbers, booleans and lists as TOML writes them; everything else is text.
fn scalar(value: &str) -> Value {
    let parsed = format!("value = {value}").parse::<Table>();
    let parsed = parsed.ok().and_then(|mut table| table.remove("value"));
    match parsed {
        Some(
            value @ (Value::Integer(_) | Value::Boolean(_) | Value::Array(_) | Value::Float(_)),
        ) => value,
        _ => Value::String(value.to_owned()),
    }
}

/// Adds the name that was probably meant.
fn explain(error: &toml::de::Error) -> anyhow::Error {
    let message = error.message();
    let mut quoted = message.split('`').skip(1).step_by(2);
    let suggestion = quoted
        .next()
        .filter(|_| message.starts_with("unknown field"))
        .and_then(|unknown| {
            quoted
                .map(|known| (strsim::damerau_levenshtein(unknown, known), known))
                .min()
                .filter(|(distance, _)| *distance <= 3)
                .map(|(_, known)| known)
        });
    match suggestion {
        Some(known) => anyhow!("{error}\ndid you mean `{known}`?"),
        None => anyhow!("{error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, variables: &[(&str, &str)]) -> Result<Config> {
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::parse(text, variables)
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let config = parse(
            "[kafka]\nbootstrap_servers = \"a:1\"\nprefix = \"p1.\"",
            &[
                ("PRUNELLA__KAFKA__BOOTSTRAP_SERVERS", "b:2"),
                ("PRUNELLA__RUNTIME__THREADS", "3"),
            ],
        )
        .expect("a good configuration");
        assert_eq!(config.kafka.bootstrap_servers, "b:2");
        assert_eq!(config.runtime.threads, 3);
        assert_eq!(config.topology.prefix.as_str(), "p1.");
    }

    #[test]
    fn an_unknown_key_is_refused_by_name_with_a_suggestion() {
        let error = parse("[kafka]\nbootstrap_server = \"a:1\"", &[]).expect_err("a typo");
        let text = error.to_string();
        assert!(text.contains("`bootstrap_server`"), "{text}");
        assert!(text.contains("did you mean `bootstrap_servers`?"), "{text}");
        let error = parse("", &[("PRUNELLA__RUNTIM__THREADS", "3")]).expect_err("a typo");
        assert!(
            error.to_string().contains("did you mean `runtime`?"),
            "{error}"
        );
    }

    #[test]
    fn librdkafka_settings_pass_through() {
        let config =
            parse("[kafka.properties]\n\"security.protocol\" = \"ssl\"", &[]).expect("good");
        assert_eq!(config.kafka.properties["security.protocol"], "ssl");
    }
}
