//! Alerts, whatever system raised them, and where their bytes lie.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::words;
use crate::schema::avro_record;

/// Where the bytes that an alert came from lie: enough to fetch them again.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RawRef {
    /// Topic of the raw record, without the installation's prefix.
    pub topic: String,
    /// Partition of the raw record.
    pub partition: i32,
    /// Offset of the raw record.
    pub offset: i64,
    /// Place of the alert inside the payload, from 0: one payload may carry many alerts.
    pub index: i32,
}

/// `topic/partition/offset/index`.
impl fmt::Display for RawRef {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            topic,
            partition,
            offset,
            index,
        } = self;
        write!(formatter, "{topic}/{partition}/{offset}/{index}")
    }
}

/// How bad it is, in one vocabulary for all sources. Ordered from the mildest to the worst.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Severity {
    /// The source did not say, or said something that no table maps.
    #[default]
    Unknown,
    /// For information.
    Info,
    /// Look at it in working hours.
    Warning,
    /// Something is broken.
    Error,
    /// Users are hurt now.
    Critical,
}
words!(Severity {
    Unknown,
    Info,
    Warning,
    Error,
    Critical
});

impl Severity {
    /// The severity that a monitoring system means by a word of its own, whatever its case. Zabbix's words are
    /// mapped as its own connectors to other systems map them. A word that is not listed is `Unknown`.
    #[must_use]
    pub fn parse(word: &str) -> Self {
        match word.trim().to_ascii_lowercase().as_str() {
            "info" | "information" | "informational" | "notice" | "debug" | "low" | "none"
            | "p4" | "p5" | "sev4" | "sev5" => Self::Info,
            "warning" | "warn" | "average" | "medium" | "moderate" | "minor" | "ticket" | "p3"
            | "sev3" => Self::Warning,
            "error" | "err" | "high" | "major" | "p2" | "sev2" => Self::Error,
            "critical" | "crit" | "fatal" | "disaster" | "emergency" | "emerg" | "alert"
            | "page" | "severe" | "p1" | "sev1" => Self::Critical,
            _ => Self::Unknown,
        }
    }
}

/// Whether an alert is active.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum AlertStatus {
    /// The condition holds.
    #[default]
    Firing,
    /// The condition has ended.
    Resolved,
}
words!(AlertStatus { Firing, Resolved });

/// One alert, whatever system raised it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NormalizedAlert {
    /// Digest of the raw record's place: the same bytes at the same place give the same id.
    pub alert_id: String,
    /// Identity of the series: stable over re-notifications, the same for firing and resolved.
    pub fingerprint: String,
    /// Name of the source as configured at the gateway, for example `alertmanager`.
    pub source_system: String,
    /// Name of the alerting rule.
    pub alert_name: String,
    /// Severity in the common vocabulary.
    #[serde(default)]
    pub severity: Severity,
    /// Firing or resolved.
    pub status: AlertStatus,
    /// The service concerned, if the source names one.
    pub service_name: Option<String>,
    /// The host or address concerned, if the source names one.
    pub host_ip: Option<String>,
    /// The number that crossed the threshold, if the source gives one.
    pub metric_value: Option<f64>,
    /// Event time: when it began to fire, or when it resolved.
    pub timestamp: i64,
    /// When this occurrence began to fire; with the fingerprint it identifies the occurrence.
    pub starts_at: i64,
    /// When the gateway (or the producer) put the payload on raw-alerts.
    pub received_at: i64,
    /// True if the source's time lay in the future and was clamped to `received_at`.
    #[serde(default)]
    pub time_clamped: bool,
    /// The island a mistake can hurt: the cluster, the environment.
    pub domain: String,
    /// Labels as the source gave them.
    #[serde(default, deserialize_with = "super::sorted_map")]
    pub labels: BTreeMap<String, String>,
    /// Annotations and every field that has no place of its own.
    #[serde(default, deserialize_with = "super::sorted_map")]
    pub annotations: BTreeMap<String, String>,
    /// Text for people.
    #[serde(default)]
    pub description: String,
    /// Where the raw bytes lie.
    pub raw: RawRef,
}
avro_record!(NormalizedAlert, "normalized-alert", history: [1]);

#[cfg(test)]
mod tests {
    use super::*;

    fn check(words: &[&str], severity: Severity) {
        for word in words {
            assert_eq!(Severity::parse(word), severity, "{word}");
        }
    }

    #[test]
    fn words_of_monitoring_systems_become_severities() {
        check(
            &["critical", "CRITICAL", " Disaster ", "page", "P1"],
            Severity::Critical,
        );
        check(&["error", "High", "major"], Severity::Error);
        check(&["Warning", "warn", "Average"], Severity::Warning);
        check(&["info", "Information", "none"], Severity::Info);
    }

    #[test]
    fn a_word_that_no_table_maps_is_unknown() {
        check(
            &["", "purple", "not classified", "critical!"],
            Severity::Unknown,
        );
    }

    #[test]
    fn every_severity_parses_from_its_own_word() {
        for severity in Severity::ALL {
            assert_eq!(Severity::parse(severity.as_str()), *severity);
        }
    }

    #[test]
    fn severities_are_ordered_from_the_mildest_to_the_worst() {
        assert!(Severity::ALL.is_sorted());
    }

    #[test]
    fn a_raw_record_is_named_by_topic_partition_offset_and_index() {
        let raw = RawRef {
            topic: "raw-alerts".to_owned(),
            partition: 3,
            offset: 41,
            index: 2,
        };
        assert_eq!(raw.to_string(), "raw-alerts/3/41/2");
    }

    #[test]
    fn labels_are_sorted_and_the_last_of_a_repeated_one_wins() {
        let mut json = serde_json::to_value(NormalizedAlert::default()).unwrap();
        json["labels"] = serde_json::Value::from("LABELS");
        let text = json.to_string();
        let text = text.replace("\"LABELS\"", r#"{"b": "1", "a": "2", "b": "3"}"#);
        let alert: NormalizedAlert = serde_json::from_str(&text).unwrap();
        let labels: Vec<_> = alert.labels.iter().collect();
        let expected =
            [("a", "2"), ("b", "3")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(
            labels,
            expected
                .iter()
                .map(|(key, value)| (key, value))
                .collect::<Vec<_>>()
        );
    }
}
