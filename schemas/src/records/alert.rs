//! Alerts, whatever system raised them, and where their bytes lie.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{CowStr, words};
use crate::schema::{avro_record, borrowed_record};
use crate::stream::encode_borrowed_value;

/// Where the bytes that an alert came from lie: enough to fetch them again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RawRef<S = String> {
    /// Topic of the raw record, without the installation's prefix.
    pub topic: S,
    /// Partition of the raw record.
    pub partition: i32,
    /// Offset of the raw record.
    pub offset: i64,
    /// Place of the alert inside the payload, from 0: one payload may carry many alerts.
    pub index: i32,
}

impl Default for RawRef {
    fn default() -> Self {
        Self {
            topic: String::new(),
            partition: 0,
            offset: 0,
            index: 0,
        }
    }
}

impl<S> RawRef<S> {
    /// The same with other texts.
    pub fn map<R>(self, text: impl Fn(S) -> R) -> RawRef<R> {
        RawRef {
            topic: text(self.topic),
            partition: self.partition,
            offset: self.offset,
            index: self.index,
        }
    }
}

/// `topic/partition/offset/index`.
impl<S: fmt::Display> fmt::Display for RawRef<S> {
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

/// One alert, whatever system raised it. Its texts are its own, or still those of the bytes that it was read from
/// ([`BorrowedAlert`]).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound(
    serialize = "S: Serialize",
    deserialize = "S: Deserialize<'de> + Default + Ord"
))]
pub struct NormalizedAlert<S = String> {
    /// Digest of the raw record's place: the same bytes at the same place give the same id.
    pub alert_id: S,
    /// Identity of the series: stable over re-notifications, the same for firing and resolved.
    pub fingerprint: S,
    /// Name of the source as configured at the gateway, for example `alertmanager`.
    pub source_system: S,
    /// Name of the alerting rule.
    pub alert_name: S,
    /// Severity in the common vocabulary.
    #[serde(default)]
    pub severity: Severity,
    /// Firing or resolved.
    pub status: AlertStatus,
    /// The service concerned, if the source names one.
    pub service_name: Option<S>,
    /// The host or address concerned, if the source names one.
    pub host_ip: Option<S>,
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
    pub domain: S,
    /// Labels as the source gave them.
    #[serde(default, deserialize_with = "super::sorted_map")]
    pub labels: BTreeMap<S, S>,
    /// Annotations and every field that has no place of its own.
    #[serde(default, deserialize_with = "super::sorted_map")]
    pub annotations: BTreeMap<S, S>,
    /// Text for people.
    #[serde(default)]
    pub description: S,
    /// Where the raw bytes lie.
    pub raw: RawRef<S>,
}

/// An alert on its way through a stage: nothing of it is copied that is only looked at.
pub type BorrowedAlert<'a> = NormalizedAlert<CowStr<'a>>;

impl BorrowedAlert<'_> {
    /// Appends the record's bytes.
    pub fn write(&self, out: &mut Vec<u8>) {
        encode_borrowed_value::<NormalizedAlert>(self, out);
    }
}

impl Default for NormalizedAlert {
    fn default() -> Self {
        Self {
            alert_id: String::new(),
            fingerprint: String::new(),
            source_system: String::new(),
            alert_name: String::new(),
            severity: Severity::default(),
            status: AlertStatus::default(),
            service_name: None,
            host_ip: None,
            metric_value: None,
            timestamp: 0,
            starts_at: 0,
            received_at: 0,
            time_clamped: false,
            domain: String::new(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            description: String::new(),
            raw: RawRef::default(),
        }
    }
}

impl<S> NormalizedAlert<S> {
    /// The same with other texts.
    pub fn map<R: Ord>(self, text: impl Fn(S) -> R) -> NormalizedAlert<R> {
        let map = |entries: BTreeMap<S, S>| {
            let entries = entries.into_iter();
            entries
                .map(|(name, value)| (text(name), text(value)))
                .collect()
        };
        NormalizedAlert {
            alert_id: text(self.alert_id),
            fingerprint: text(self.fingerprint),
            source_system: text(self.source_system),
            alert_name: text(self.alert_name),
            severity: self.severity,
            status: self.status,
            service_name: self.service_name.map(&text),
            host_ip: self.host_ip.map(&text),
            metric_value: self.metric_value,
            timestamp: self.timestamp,
            starts_at: self.starts_at,
            received_at: self.received_at,
            time_clamped: self.time_clamped,
            domain: text(self.domain),
            labels: map(self.labels),
            annotations: map(self.annotations),
            description: text(self.description),
            raw: self.raw.map(&text),
        }
    }
}

avro_record!(NormalizedAlert, "normalized-alert", history: [1]);
borrowed_record!(BorrowedAlert<'a>, NormalizedAlert);

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
    fn a_borrowed_alert_has_the_bytes_of_one_that_owns_its_texts_and_reads_them_back() {
        let alert = NormalizedAlert {
            alert_name: "Hot".to_owned(),
            service_name: Some("shop".to_owned()),
            labels: [("b", "1"), ("a", "2")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            ..NormalizedAlert::default()
        };
        let mut owned = Vec::new();
        crate::encode(&alert, &mut owned).unwrap();
        let mut bytes = Vec::new();
        alert.clone().map(CowStr::from).write(&mut bytes);
        assert_eq!(bytes, owned);
        let never = |_: NormalizedAlert| unreachable!("the schema is the one in force");
        let read: BorrowedAlert<'_> = crate::decode_borrowed(&bytes, never).unwrap();
        assert_eq!(read.map(CowStr::into_string), alert);
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
