//! Zabbix, through the media type that ships beside this crate (`zabbix/prunella-mediatype.yaml`).
//!
//! The media type sends one JSON object for each problem, update and recovery. Every value is a text, as
//! Zabbix's macros are; a macro that Zabbix could not expand (`{HOST.IP}`, `*UNKNOWN*`) counts as none.
//!
//! | field | macro | meaning |
//! |---|---|---|
//! | `trigger_id` | `{TRIGGER.ID}` | with the host, the identity of the series |
//! | `event_id` | `{EVENT.ID}` | the problem; the same in its recovery |
//! | `event_name` | `{EVENT.NAME}` | name of the alert; the tag `alertname` overrides it |
//! | `event_value` | `{EVENT.VALUE}` | `1` problem, `0` recovery |
//! | `update_status` | `{EVENT.UPDATE.STATUS}` | `1` if this is an update of a problem |
//! | `severity` | `{EVENT.SEVERITY}` | name of the severity |
//! | `nseverity` | `{EVENT.NSEVERITY}` | `0` not classified to `5` disaster; wins over the name, which may be translated |
//! | `started_at`, `resolved_at` | `{EVENT.TIMESTAMP}` or date and time | seconds since the epoch |
//! | `host`, `host_ip` | `{HOST.HOST}`, `{HOST.IP}` | where |
//! | `item_value` | `{ITEM.VALUE}` | the number, with or without a percent sign |
//! | `opdata`, `message`, `url` | | kept as annotations |
//! | `tags` | `{EVENT.TAGSJSON}` | list of `{tag, value}`: the labels |

use prunella_schemas::{AlertStatus, CowStr, Severity};
use prunella_stream::{Digest, Rejection};

use crate::draft::{Batch, Draft, Times};
use crate::json::{Fields, Json};
use crate::labels::{self, first};
use crate::payload;
use crate::source::Source;
use crate::{time, words};

/// The format.
#[derive(Debug)]
pub(crate) struct Zabbix;

impl Source for Zabbix {
    fn name(&self) -> &'static str {
        "zabbix"
    }

    fn ordering_key(&self, text: &str) -> Result<Option<String>, Rejection> {
        let fields = fields(text)?;
        Ok(word(&fields, "trigger_id").or_else(|| word(&fields, "event_id")))
    }

    fn normalize<'a>(&self, text: &'a str, batch: &mut Batch<'a>) -> Result<(), Rejection> {
        let fields = fields(text)?;
        let draft = draft(&fields, batch.source())?;
        batch.push(draft)
    }
}

fn fields(text: &str) -> Result<Fields<'_>, Rejection> {
    match serde_json::from_str(text).map_err(|error| payload::refuse(&error))? {
        Json::Object(fields) => Ok(fields),
        _ => Err(not_ours()),
    }
}

fn not_ours() -> Rejection {
    Rejection::new(
        "unexpected_shape",
        "the payload is not what the Zabbix media type of this project sends (event_name and trigger_id are \
         missing); import prunella-mediatype.yaml into Zabbix, or name the source differently",
    )
}

/// A field's text, unless Zabbix had nothing to put there.
fn word(fields: &Fields<'_>, name: &str) -> Option<String> {
    let text = fields.get(name)?.word()?;
    let text = text.trim();
    let unexpanded = text.starts_with('{') && text.ends_with('}') && text.contains('.');
    let unknown = unexpanded || matches!(text, "" | "*UNKNOWN*");
    (!unknown).then(|| text.to_owned())
}

fn draft(fields: &Fields<'_>, source: &str) -> Result<Draft<'static>, Rejection> {
    let word = |name| word(fields, name);
    let labels = fields.get("tags").and_then(labels::from_json);
    let labels = labels.unwrap_or_default();
    let name = first(&labels, &["alertname"]);
    let name = name.or_else(|| Some(word("event_name")?.into()));
    let name = name.ok_or_else(not_ours)?;
    let series = word("trigger_id").or_else(|| word("event_id"));
    let series = series.ok_or_else(not_ours)?;
    let host = word("host_ip").or_else(|| word("host"));
    let parts: [&[u8]; 4] = [
        b"zabbix",
        source.as_bytes(),
        series.as_bytes(),
        host.as_deref().unwrap_or_default().as_bytes(),
    ];
    let value = word("item_value").and_then(|text| words::number(&text));
    let mut draft = Draft {
        name,
        fingerprint: Some(Digest::of(&parts).hex().into()),
        severity: severity(word("nseverity"), word("severity")),
        status: match word("event_value").as_deref() {
            Some("0") => AlertStatus::Resolved,
            _ => AlertStatus::Firing,
        },
        host: host.map(CowStr::from),
        value,
        times: Times {
            at: None,
            starts: word("started_at").and_then(|text| time::parse(&text)),
            ends: word("resolved_at").and_then(|text| time::parse(&text)),
        },
        labels,
        description: word("message").or_else(|| word("opdata")).map(CowStr::from),
        ..Draft::default()
    };
    keep_rest(fields, &mut draft);
    Ok(draft)
}

/// Keeps what has no place of its own; the numbers by which Zabbix knows the problem among it.
fn keep_rest(fields: &Fields<'_>, draft: &mut Draft<'static>) {
    for (name, json) in fields {
        let taken = match name.as_ref() {
            "host_ip" | "message" | "nseverity" => true,
            "tags" => labels::from_json(json).is_some(),
            "item_value" => draft.value.is_some(),
            "started_at" => draft.times.starts.is_some(),
            "resolved_at" => draft.times.ends.is_some(),
            _ => false,
        };
        if taken {
            continue;
        }
        match json {
            Json::List(_) | Json::Object(_) => draft.keep(name.to_string(), json.text()),
            _ => draft.keep(name.to_string(), word(fields, name).unwrap_or_default()),
        }
    }
}

fn severity(number: Option<String>, name: Option<String>) -> Option<Severity> {
    match number.as_deref() {
        Some("1") => Some(Severity::Info),
        Some("2" | "3") => Some(Severity::Warning),
        Some("4") => Some(Severity::Error),
        Some("5") => Some(Severity::Critical),
        Some("0") => Some(Severity::Unknown),
        _ => name.map(|name| Severity::parse(&name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_severitys_number_wins_over_its_name() {
        let check = |number: Option<&str>, name: Option<&str>, expected| {
            let owned = |text: Option<&str>| text.map(str::to_owned);
            assert_eq!(severity(owned(number), owned(name)), expected);
        };
        check(Some("5"), Some("Katastrophe"), Some(Severity::Critical));
        check(Some("0"), Some("Disaster"), Some(Severity::Unknown));
        check(None, Some("High"), Some(Severity::Error));
        check(None, None, None);
    }

    #[test]
    fn a_trigger_keeps_its_events_in_order() {
        let key = |text| Zabbix.ordering_key(text).unwrap();
        assert_eq!(
            key(r#"{"trigger_id": "7", "event_id": "9"}"#).as_deref(),
            Some("7")
        );
        assert_eq!(
            key(r#"{"trigger_id": "{TRIGGER.ID}", "event_id": 9}"#).as_deref(),
            Some("9")
        );
        assert_eq!(key("{}"), None);
        assert_eq!(
            Zabbix.ordering_key("[]").unwrap_err().class,
            "unexpected_shape"
        );
    }
}
