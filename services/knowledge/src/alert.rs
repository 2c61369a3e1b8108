//! What conditions can read of an alert.

use prunella_schemas::NormalizedAlert;

use crate::condition::{Lookup, Term};

/// The names under which conditions read an alert's fields.
pub const ALERT_VARIABLES: &[&str] = &[
    "alert_name",
    "annotations",
    "description",
    "domain",
    "fingerprint",
    "host_ip",
    "labels",
    "metric_value",
    "received_at",
    "service_name",
    "severity",
    "source_system",
    "starts_at",
    "status",
    "timestamp",
];

/// Further names that a playbook's conditions and texts read: the whole alert, the run and its task, and the
/// parameters. No output variable may have such a name, or that of one of the alert's fields.
pub const RUN_VARIABLES: &[&str] = &[
    "alert",
    "idempotency_key",
    "parameters",
    "run",
    "run_id",
    "service",
    "task_id",
];

/// An alert's fields as variables, read where they lie.
#[derive(Clone, Copy, Debug)]
pub struct AlertScope<'a>(pub &'a NormalizedAlert);

impl Lookup for AlertScope<'_> {
    fn variable(&self, name: &str) -> Option<Term<'_>> {
        let alert = self.0;
        Some(match name {
            "alert_name" => Term::Text(&alert.alert_name),
            "annotations" => Term::Texts(&alert.annotations),
            "description" => Term::Text(&alert.description),
            "domain" => Term::Text(&alert.domain),
            "fingerprint" => Term::Text(&alert.fingerprint),
            "host_ip" => text(alert.host_ip.as_deref()),
            "labels" => Term::Texts(&alert.labels),
            "metric_value" => alert.metric_value.map_or(Term::Null, Term::Double),
            "received_at" => Term::Int(alert.received_at),
            "service_name" => text(alert.service_name.as_deref()),
            "severity" => Term::Text(alert.severity.as_str()),
            "source_system" => Term::Text(&alert.source_system),
            "starts_at" => Term::Int(alert.starts_at),
            "status" => Term::Text(alert.status.as_str()),
            "timestamp" => Term::Int(alert.timestamp),
            _ => return None,
        })
    }
}

fn text(text: Option<&str>) -> Term<'_> {
    text.map_or(Term::Null, Term::Text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Condition;

    fn alert() -> NormalizedAlert {
        NormalizedAlert {
            alert_name: "Disk_Full".to_owned(),
            metric_value: Some(91.0),
            starts_at: 5,
            labels: [("team".to_owned(), "db".to_owned())].into(),
            ..NormalizedAlert::default()
        }
    }

    #[test]
    fn every_variable_of_an_alert_is_there() {
        let alert = alert();
        let scope = AlertScope(&alert);
        for name in ALERT_VARIABLES {
            assert!(scope.variable(name).is_some(), "{name}");
        }
        assert_eq!(scope.variable("nothing"), None);
        for name in RUN_VARIABLES {
            assert_eq!(scope.variable(name), None, "{name}");
        }
    }

    #[test]
    fn conditions_read_an_alert_where_it_lies() {
        let alert = alert();
        for text in [
            "metric_value > 90 && starts_at == 5 && labels.team == 'db'",
            "severity == 'Unknown' && status == 'Firing' && alert_name == 'Disk_Full'",
            "host_ip == null && service_name == null",
        ] {
            let condition = Condition::compile(text).expect(text);
            assert_eq!(condition.evaluate(&AlertScope(&alert)), Ok(true), "{text}");
        }
    }
}
