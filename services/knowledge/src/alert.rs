//! What conditions can read of an alert.

use prunella_schemas::NormalizedAlert;
use serde_json::Value;

use crate::condition::{Lookup, Term, Variables};

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

/// The name under which a playbook's conditions and texts read the whole alert.
pub const ALERT: &str = "alert";

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

impl Variables {
    /// Sets what a playbook sees of the alert that started it: each field under its own name, and all of it
    /// under [`ALERT`].
    pub fn set_alert(&mut self, alert: &NormalizedAlert) -> &mut Self {
        let all = serde_json::to_value(alert).unwrap_or(Value::Null);
        for name in ALERT_VARIABLES {
            self.set(*name, all.get(*name).unwrap_or(&Value::Null));
        }
        self.set(ALERT, &all)
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
    fn both_ways_to_read_an_alert_agree_on_every_variable() {
        let alert = alert();
        let mut variables = Variables::new();
        variables.set_alert(&alert);
        let scope = AlertScope(&alert);
        for name in ALERT_VARIABLES {
            assert!(scope.variable(name).is_some(), "{name}");
            for comparison in ["== null", "!= null"] {
                let condition = Condition::compile(&format!("{name} {comparison}")).expect(name);
                assert_eq!(
                    condition.evaluate(&scope),
                    condition.evaluate(&variables),
                    "{name}"
                );
            }
        }
        for text in [
            "metric_value > 90 && starts_at == 5 && labels.team == 'db'",
            "severity == 'Unknown' && status == 'Firing' && alert_name == 'Disk_Full'",
        ] {
            let condition = Condition::compile(text).expect(text);
            assert_eq!(condition.evaluate(&scope), Ok(true), "{text}");
            assert_eq!(condition.evaluate(&variables), Ok(true), "{text}");
        }
        let whole = Condition::compile("alert.metric_value > 90").expect("a condition");
        assert_eq!(whole.evaluate(&variables), Ok(true));
    }
}
