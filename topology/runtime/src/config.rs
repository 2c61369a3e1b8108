//! Settings of the Kafka edge. The defaults are the measured ones.

use std::collections::BTreeMap;

use prunella_stream::transaction::Guarantee;
use serde::Deserialize;

/// How to reach Kafka.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KafkaConfig {
    /// `host:port,...`
    pub bootstrap_servers: String,
    /// Put before every topic, group and transactional id, so that several installations share a cluster.
    pub prefix: String,
    /// librdkafka settings passed through to every client: security, timeouts, buffers.
    pub properties: BTreeMap<String, String>,
}

impl Default for KafkaConfig {
    fn default() -> Self {
        Self {
            bootstrap_servers: "127.0.0.1:9092".to_owned(),
            prefix: String::new(),
            properties: BTreeMap::new(),
        }
    }
}

/// Values of properties may be secrets: only their names are shown.
impl std::fmt::Debug for KafkaConfig {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("KafkaConfig")
            .field("bootstrap_servers", &self.bootstrap_servers)
            .field("prefix", &self.prefix)
            .field("properties", &self.properties.keys().collect::<Vec<_>>())
            .finish()
    }
}

/// How a process gets its partitions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Assignment {
    /// As a static member of the stage's group. Exactly once requires it.
    #[default]
    Group,
    /// All of them, without a group: the embedded broker has one process.
    All,
}

/// How stages run.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RuntimeConfig {
    /// Name of this instance, stable over restarts: names its members and transactional ids.
    pub instance: String,
    /// Stream threads for each stage in this process.
    pub threads: usize,
    /// `exactly_once` (the default) or `at_least_once`.
    #[serde(deserialize_with = "guarantee")]
    pub guarantee: Guarantee,
    /// Where partitions come from.
    pub assignment: Assignment,
    /// A transaction commits as soon as the input is drained, or after so many records.
    pub commit_records: usize,
    /// Or after so many milliseconds.
    pub commit_interval_ms: u64,
    /// Session timeout of the groups: how soon another instance takes a dead one's partitions over.
    pub session_timeout_ms: u32,
    /// Longest a transaction may stay open at the broker.
    pub transaction_timeout_ms: u32,
    /// A stage with more open effects than this reads no further input.
    pub max_open_effects: usize,
    /// How long a stopping process waits for its effects to end.
    pub drain_ms: u64,
    /// Start although a changelog was restored and its group has no offset or foreign metadata: what was
    /// processed before may be processed again.
    pub accept_lost_offsets: bool,
}

impl Default for RuntimeConfig {
    fn default() -> Self {
        Self {
            instance: "prunella-0".to_owned(),
            threads: 1,
            guarantee: Guarantee::ExactlyOnce,
            assignment: Assignment::Group,
            commit_records: 10_000,
            commit_interval_ms: 100,
            session_timeout_ms: 10_000,
            transaction_timeout_ms: 15_000,
            max_open_effects: 512,
            drain_ms: 5_000,
            accept_lost_offsets: false,
        }
    }
}

fn guarantee<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Guarantee, D::Error> {
    let text = String::deserialize(deserializer)?;
    match text.as_str() {
        "exactly_once" => Ok(Guarantee::ExactlyOnce),
        "at_least_once" => Ok(Guarantee::AtLeastOnce),
        other => Err(serde::de::Error::custom(format!(
            "`{other}` is no guarantee; use `exactly_once` or `at_least_once`"
        ))),
    }
}

/// A setting that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A setting is out of its range.
    #[error("{setting}: {reason}")]
    OutOfRange {
        /// Its name.
        setting: &'static str,
        /// What is wrong and what to write instead.
        reason: String,
    },
}

impl RuntimeConfig {
    /// Checks what no type can say.
    ///
    /// # Errors
    /// [`ConfigError`] with the setting's name.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let refuse = |setting, reason: &str| {
            Err(ConfigError::OutOfRange {
                setting,
                reason: reason.to_owned(),
            })
        };
        if self.instance.is_empty() {
            return refuse(
                "runtime.instance",
                "give each process a name that stays the same over restarts",
            );
        }
        if self.threads == 0 {
            return refuse("runtime.threads", "at least 1");
        }
        if self.commit_records == 0 {
            return refuse("runtime.commit_records", "at least 1");
        }
        if self.transaction_timeout_ms < 1_000 || self.session_timeout_ms < 1_000 {
            return refuse("runtime.session_timeout_ms", "timeouts of a second or more");
        }
        if self.guarantee == Guarantee::ExactlyOnce && self.assignment == Assignment::All {
            return refuse(
                "runtime.assignment",
                "exactly once needs group membership: two processes would own the same partitions",
            );
        }
        Ok(())
    }
}

/// Names as they are in the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prefixed(pub String);

impl Prefixed {
    /// A topic's, group's or id's name with the prefix.
    #[must_use]
    pub fn name(&self, name: &str) -> String {
        format!("{}{name}", self.0)
    }

    /// The name without the prefix, if it has it.
    #[must_use]
    pub fn strip<'a>(&self, name: &'a str) -> Option<&'a str> {
        name.strip_prefix(self.0.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_once_without_membership_is_refused_and_with_it_is_not() {
        let config = RuntimeConfig {
            assignment: Assignment::All,
            ..RuntimeConfig::default()
        };
        assert!(config.validate().is_err());
        assert_eq!(RuntimeConfig::default().validate(), Ok(()));
    }

    #[test]
    fn secrets_are_not_printed() {
        let mut config = KafkaConfig::default();
        config
            .properties
            .insert("sasl.password".into(), "hush".into());
        let shown = format!("{config:?}");
        assert!(shown.contains("sasl.password") && !shown.contains("hush"));
    }
}
