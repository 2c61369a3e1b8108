//! The formats that are built in: one table, which the code, the documentation and the tests read.

use prunella_schemas::{AlertStatus, Severity};

use crate::alertmanager::Alertmanager;
use crate::source::Source;
use crate::vendors;
use crate::words;
use crate::zabbix::Zabbix;

/// What one kind of system sends, and what its words mean.
#[derive(Debug)]
pub struct Format {
    /// Its name, as sources are named after it.
    pub name: &'static str,
    /// What sends it.
    pub about: &'static str,
    /// Where its vendor describes it.
    pub documentation: &'static str,
    /// By what a payload is known to be of it, in words for people.
    pub recognised_by: &'static str,
    /// Paths of the fields without which a payload may be refused: names with dots in between, `*` for any item
    /// of a list; in a payload that is a list, of each of its items. Everything else may be missing, or of another type, and costs no more than itself.
    pub required: &'static [&'static str],
    /// The vendor's words for severities that mean something else in general, or nothing. Compared without case,
    /// before [`Severity::parse`] is asked.
    pub severities: &'static [(&'static str, Severity)],
    /// The same for statuses.
    pub statuses: &'static [(&'static str, AlertStatus)],
    pub(crate) source: Option<&'static dyn Source>,
}

impl Format {
    /// The severity that the vendor means by a word.
    pub(crate) fn severity(&self, word: &str) -> Severity {
        meaning(self.severities, word).unwrap_or_else(|| Severity::parse(word))
    }

    /// The status that the vendor means by a word.
    pub(crate) fn status(&self, word: &str) -> Option<AlertStatus> {
        meaning(self.statuses, word).or_else(|| words::status(word))
    }
}

fn meaning<T: Copy>(table: &[(&str, T)], word: &str) -> Option<T> {
    let word = word.trim();
    let found = table
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(word))?;
    Some(found.1)
}

/// Every format that is built in.
pub static TABLE: &[&Format] = &[
    &ALERTMANAGER,
    &ZABBIX,
    &GENERIC,
    &vendors::grafana::FORMAT,
    &vendors::cloudwatch::FORMAT,
    &vendors::azure::FORMAT,
    &vendors::gcp::FORMAT,
    &vendors::datadog::FORMAT,
    &vendors::newrelic::FORMAT,
    &vendors::pagerduty::FORMAT,
    &vendors::sentry::FORMAT,
    &vendors::opsgenie::FORMAT,
    &vendors::pingdom::FORMAT,
    &vendors::uptimerobot::FORMAT,
    &vendors::uptime_kuma::FORMAT,
    &vendors::graylog::FORMAT,
    &vendors::dynatrace::FORMAT,
    &vendors::splunk::FORMAT,
    &vendors::kubernetes::FORMAT,
    &vendors::github::FORMAT,
    &vendors::gitlab::FORMAT,
    &vendors::argocd::FORMAT,
    &vendors::otel::FORMAT,
    &vendors::elastic::FORMAT,
    &vendors::opensearch::FORMAT,
    &vendors::cloudevents::FORMAT,
];

/// The formats' names, in the table's order.
pub static FORMATS: &[&str] = &NAMES;

static NAMES: [&str; TABLE.len()] = {
    let mut names = [""; TABLE.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = TABLE[at].name;
        at += 1;
    }
    names
};

/// The format that a source is named after: its name alone, or with something added.
pub(crate) fn named(source: &str) -> Option<&'static Format> {
    let fits = |format: &&&Format| {
        let rest = source.strip_prefix(format.name);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_', '.']))
    };
    TABLE.iter().find(fits).copied()
}

static ALERTMANAGER: Format = Format {
    name: "alertmanager",
    about: "Prometheus Alertmanager, webhook version 4, and what is compatible with it",
    documentation: "https://prometheus.io/docs/alerting/latest/configuration/#webhook_config",
    recognised_by: "a list `alerts`",
    required: &["alerts.*.labels"],
    severities: &[],
    statuses: &[],
    source: Some(&Alertmanager),
};

static ZABBIX: Format = Format {
    name: "zabbix",
    about: "Zabbix, through the media type that ships with Prunella",
    documentation: "https://www.zabbix.com/documentation/current/en/manual/config/notifications/media/webhook",
    recognised_by: "`event_name` and `trigger_id`",
    required: &["event_name", "trigger_id", "event_id"],
    severities: &[
        ("Not classified", Severity::Unknown),
        ("Information", Severity::Info),
        ("Average", Severity::Warning),
        ("High", Severity::Error),
        ("Disaster", Severity::Critical),
    ],
    statuses: &[
        ("PROBLEM", AlertStatus::Firing),
        ("1", AlertStatus::Firing),
        ("0", AlertStatus::Resolved),
    ],
    source: Some(&Zabbix),
};

static GENERIC: Format = Format {
    name: "generic",
    about: "any JSON with the usual field names, or as the knowledge describes it",
    documentation: "`sources:` in the knowledge",
    recognised_by: "a field that gives the alert's name: alert_name, name, title, ...",
    required: &[
        "alert_name",
        "alertname",
        "alertName",
        "name",
        "rule_name",
        "ruleName",
        "title",
        "alerts.*.alert_name",
        "alerts.*.name",
        "alerts.*.title",
        "events.*.alert_name",
        "events.*.name",
        "events.*.title",
    ],
    severities: &[],
    statuses: &[],
    source: None,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_found_by_its_name_alone_or_with_something_added() {
        for (source, name) in [
            ("zabbix", Some("zabbix")),
            ("alertmanager-eu", Some("alertmanager")),
            ("zabbix.lab", Some("zabbix")),
            ("zabbixes", None),
            ("", None),
        ] {
            assert_eq!(named(source).map(|format| format.name), name, "{source}");
        }
    }

    #[test]
    fn names_are_unique_and_no_name_hides_another() {
        for format in TABLE {
            assert_eq!(
                named(format.name).map(|found| found.name),
                Some(format.name)
            );
            assert!(!format.about.is_empty() && !format.recognised_by.is_empty());
        }
    }

    #[test]
    fn a_vendors_word_comes_before_the_general_meaning() {
        assert_eq!(ZABBIX.severity("high"), Severity::Error);
        assert_eq!(ZABBIX.severity("nonsense"), Severity::Unknown);
        assert_eq!(ZABBIX.status(" 0 "), Some(AlertStatus::Resolved));
        assert_eq!(ZABBIX.status("nonsense"), None);
    }
}
