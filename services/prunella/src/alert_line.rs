//! A NormalizedAlert as people write it by hand: what only the pipeline knows may be left out.

use anyhow::{Context, Result, bail};
use prunella_schemas::{AlertStatus, NormalizedAlert, Severity};
use prunella_stream::Digest;
use serde_json::{Map, Value, json};

/// Reads one line of JSON. `number` counts lines from 1, `now` is the latest receive time so far.
///
/// Left out, `starts_at` is `timestamp`; `received_at` is now, since lines come in the order of their arrival;
/// `domain` comes from the labels `cluster` or `env`; a `fingerprint` is made of source, name, service, host and
/// labels.
///
/// # Errors
/// What is missing or is not what it should be.
pub fn read(line: &str, number: usize, now: i64) -> Result<NormalizedAlert> {
    let value: Value = serde_json::from_str(line).context("not JSON")?;
    let Value::Object(mut fields) = value else {
        bail!("a NormalizedAlert is a JSON object");
    };
    let timestamp = time_of(fields.get("timestamp"))?;
    fields.insert("timestamp".to_owned(), json!(timestamp));
    default(&mut fields, "starts_at", || json!(timestamp));
    default(&mut fields, "received_at", || json!(now.max(timestamp)));
    default(&mut fields, "labels", || json!({}));
    default(&mut fields, "source_system", || json!("by-hand"));
    default(&mut fields, "status", || json!("Firing"));
    default(&mut fields, "severity", || json!("Unknown"));
    default(
        &mut fields,
        "raw",
        || json!({ "topic": "by-hand", "partition": 0, "offset": number, "index": 0 }),
    );
    let domain = domain_of(&fields);
    default(&mut fields, "domain", || json!(domain));
    let fingerprint = fingerprint_of(&fields);
    default(&mut fields, "fingerprint", || json!(fingerprint));
    default(&mut fields, "alert_id", || json!(format!("line-{number}")));
    words(&mut fields)?;
    serde_json::from_value(Value::Object(fields)).context("no NormalizedAlert")
}

fn default(fields: &mut Map<String, Value>, name: &str, value: impl FnOnce() -> Value) {
    if fields.get(name).is_none_or(Value::is_null) {
        fields.insert(name.to_owned(), value());
    }
}

fn time_of(time: Option<&Value>) -> Result<i64> {
    match time {
        None => bail!("`timestamp` is missing: milliseconds since the Unix epoch"),
        Some(Value::Number(number)) if number.is_i64() => Ok(number.as_i64().unwrap_or_default()),
        Some(other) => bail!("`timestamp` is {other}: write milliseconds since the Unix epoch"),
    }
}

/// Severity and status compare without case.
fn words(fields: &mut Map<String, Value>) -> Result<()> {
    if let Some(Value::String(severity)) = fields.get("severity") {
        let parsed = Severity::parse(severity);
        if parsed == Severity::Unknown && !severity.eq_ignore_ascii_case("unknown") {
            bail!("`{severity}` is no severity: use Critical, Error, Warning, Info or Unknown");
        }
        fields.insert("severity".to_owned(), json!(parsed));
    }
    if let Some(Value::String(status)) = fields.get("status") {
        let parsed = [AlertStatus::Firing, AlertStatus::Resolved]
            .into_iter()
            .find(|known| status.eq_ignore_ascii_case(known.as_str()));
        let Some(parsed) = parsed else {
            bail!("`{status}` is no status: use Firing or Resolved");
        };
        fields.insert("status".to_owned(), json!(parsed));
    }
    Ok(())
}

fn domain_of(fields: &Map<String, Value>) -> String {
    let label = |name: &str| fields.get("labels")?.get(name)?.as_str();
    label("cluster")
        .or_else(|| label("env"))
        .unwrap_or("default")
        .to_owned()
}

fn fingerprint_of(fields: &Map<String, Value>) -> String {
    let parts: Vec<String> = [
        "source_system",
        "alert_name",
        "service_name",
        "host_ip",
        "labels",
    ]
    .iter()
    .map(|name| fields.get(*name).map(Value::to_string).unwrap_or_default())
    .collect();
    let parts: Vec<&[u8]> = parts.iter().map(String::as_bytes).collect();
    Digest::of(&parts).hex()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_the_pipeline_knows_may_be_left_out() {
        let line = r#"{"alert_name":"Disk_Full","severity":"warning","status":"firing","service_name":"db","timestamp":5,"labels":{"env":"prod"}}"#;
        let alert = read(line, 3, 7).expect("enough");
        assert_eq!((alert.starts_at, alert.received_at), (5, 7));
        assert_eq!(alert.domain, "prod");
        assert_eq!(alert.severity, Severity::Warning);
        assert_eq!(alert.raw.offset, 3);
        assert_eq!(
            alert.fingerprint,
            read(line, 9, 9).expect("the same").fingerprint
        );
    }

    #[test]
    fn a_whole_alert_stays_as_it_is() {
        let alert = NormalizedAlert {
            alert_name: "x".into(),
            fingerprint: "f".into(),
            domain: "d".into(),
            timestamp: 9,
            starts_at: 4,
            received_at: 6,
            ..NormalizedAlert::default()
        };
        let line = serde_json::to_string(&alert).expect("an alert");
        let back = read(&line, 1, 100).expect("the same");
        assert_eq!(
            (back.starts_at, back.received_at, back.fingerprint),
            (4, 6, "f".to_owned())
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        let check = |line: &str, expected: &str| {
            let error = format!("{:#}", read(line, 1, 0).expect_err(line));
            assert!(error.contains(expected), "{error}");
        };
        check("{}", "`timestamp` is missing");
        check("[]", "JSON object");
        check(r#"{"timestamp":1,"severity":"terrible"}"#, "no severity");
        check(r#"{"timestamp":1}"#, "alert_name");
    }
}
