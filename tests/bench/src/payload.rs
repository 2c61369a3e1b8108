//! Alertmanager payloads of about 1 KB with one alert each.

/// Domains that alerts are spread over: enough for eight partitions to have about as much each.
const DOMAINS: u64 = 64;
/// What the playbook of the benchmark is started by.
pub const TRIGGER: &str = "BenchTrigger";
/// What no rule is for.
pub const NOISE: &str = "BenchNoise";

/// One alert.
#[derive(Clone, Copy, Debug)]
pub struct Alert<'a> {
    /// Its number: its service and its fingerprint follow from it, so that no two alerts have to do with each
    /// other.
    pub number: u64,
    /// Its name.
    pub name: &'a str,
    /// When it began, in RFC 3339.
    pub starts_at: &'a str,
}

impl Alert<'_> {
    /// Key of the raw record: the source and what keeps its groups in order.
    #[must_use]
    pub fn key(&self) -> String {
        format!("alertmanager/group-{}", self.number % DOMAINS)
    }

    /// The webhook's body.
    #[must_use]
    pub fn payload(&self) -> String {
        let Alert {
            number,
            name,
            starts_at,
        } = self;
        let service = service_of(*number);
        // What is critical and has no rule is told to people, which would be work of its own.
        let severity = if *name == TRIGGER {
            "critical"
        } else {
            "warning"
        };
        let cluster = format!("cluster-{:02}", number % DOMAINS);
        format!(
            r#"{{"receiver":"prunella","status":"firing","alerts":[{{"status":"firing","labels":{{"alertname":"{name}","service":"{service}","severity":"{severity}","cluster":"{cluster}","instance":"10.{a}.{b}.{c}:9100","job":"node","namespace":"shop","pod":"{service}-7d9f8b6c5-x2x{number}"}},"annotations":{{"summary":"{service} answers slowly","description":"the 99th percentile of {service} has been over 500 ms for five minutes","runbook_url":"https://runbooks.example.com/{name}","value":"731.25"}},"startsAt":"{starts_at}","endsAt":"0001-01-01T00:00:00Z","generatorURL":"https://prometheus.example.com/graph?g0.expr=latency_seconds","fingerprint":"{number:016x}"}}],"groupLabels":{{"alertname":"{name}"}},"commonLabels":{{"alertname":"{name}","cluster":"{cluster}","severity":"{severity}"}},"commonAnnotations":{{}},"externalURL":"https://alertmanager.example.com","version":"4","groupKey":"{{}}:{{alertname=\"{name}\"}}","truncatedAlerts":0}}"#,
            a = number >> 16 & 255,
            b = number >> 8 & 255,
            c = number & 255,
        )
    }
}

/// The service of an alert's number.
#[must_use]
pub fn service_of(number: u64) -> String {
    format!("svc-{number:08}")
}

/// The number of an alert whose service this is.
#[must_use]
pub fn number_of(service: &str) -> Option<u64> {
    service.strip_prefix("svc-")?.parse().ok()
}

/// The number of the alert that this payload is.
#[must_use]
pub fn number_in(payload: &[u8]) -> Option<u64> {
    const BEFORE: &[u8] = b"\"service\":\"";
    let at = payload
        .windows(BEFORE.len())
        .position(|window| window == BEFORE)?;
    let service = payload[at + BEFORE.len()..]
        .split(|byte| *byte == b'"')
        .next()?;
    number_of(std::str::from_utf8(service).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_json_of_about_a_kilobyte() {
        let alert = Alert {
            number: 123_456,
            name: TRIGGER,
            starts_at: "2026-01-01T00:00:00Z",
        };
        let payload = alert.payload();
        assert!((900..1_300).contains(&payload.len()), "{}", payload.len());
        let json: serde_json::Value = serde_json::from_str(&payload).unwrap();
        assert_eq!(json["alerts"][0]["labels"]["service"], service_of(123_456));
        assert_eq!(number_in(payload.as_bytes()), Some(123_456));
    }

    #[test]
    fn a_service_tells_its_number() {
        assert_eq!(number_of(&service_of(77)), Some(77));
        assert_eq!(number_of("orders"), None);
    }
}
