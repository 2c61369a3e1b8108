//! Datadog: the webhook integration, with the documented variables.
//!
//! From the Datadog documentation, "Webhooks" (default payload and list of variables). Its payload is the user's
//! own; this one carries all that matters:
//!
//! ```json
//! {"alert_id": "$ALERT_ID", "alert_title": "$ALERT_TITLE", "alert_transition": "$ALERT_TRANSITION",
//!  "alert_type": "$ALERT_TYPE", "alert_priority": "$ALERT_PRIORITY", "alert_scope": "$ALERT_SCOPE",
//!  "alert_metric": "$ALERT_METRIC", "alert_status": "$ALERT_STATUS", "alert_query": "$ALERT_QUERY",
//!  "alert_cycle_key": "$ALERT_CYCLE_KEY", "aggreg_key": "$AGGREG_KEY", "hostname": "$HOSTNAME",
//!  "tags": "$TAGS", "date": "$DATE", "body": "$TEXT_ONLY_MSG", "link": "$LINK", "org_name": "$ORG_NAME"}
//! ```
//! Names are read in either case, and those of the default payload (`title`, `body`, `last_updated`, ...) too. A
//! variable that Datadog had nothing for stays as it is written, `$HOSTNAME`, and counts as none.

use std::borrow::Cow;

use prunella_schemas::{AlertStatus, CowStr, Severity};
use prunella_stream::Rejection;

use super::{Vendor, unexpected};
use crate::draft::{Batch, Draft, Times};
use crate::format::Format;
use crate::labels::LabelMap;
use crate::object::Object;
use crate::words;

pub(crate) static FORMAT: Format = Format {
    name: "datadog",
    about: "Datadog monitors, by the webhook integration",
    documentation: "Datadog documentation: Integrations, Webhooks",
    recognised_by: "`alert_title`, `title` or `event_title`",
    required: &[
        "alert_title",
        "title",
        "event_title",
        "ALERT_TITLE",
        "EVENT_TITLE",
    ],
    severities: &[
        ("P1", Severity::Critical),
        ("P2", Severity::Error),
        ("P3", Severity::Warning),
        ("P4", Severity::Info),
        ("P5", Severity::Info),
        ("error", Severity::Error),
        ("warning", Severity::Warning),
        ("success", Severity::Info),
        ("info", Severity::Info),
    ],
    statuses: &[
        ("Triggered", AlertStatus::Firing),
        ("Re-Triggered", AlertStatus::Firing),
        ("Renotify", AlertStatus::Firing),
        ("Warn", AlertStatus::Firing),
        ("Re-Warn", AlertStatus::Firing),
        ("No Data", AlertStatus::Firing),
        ("Re-No Data", AlertStatus::Firing),
        ("Recovered", AlertStatus::Resolved),
        ("success", AlertStatus::Resolved),
    ],
    source: Some(&VENDOR),
};
static VENDOR: Vendor = Vendor {
    name: "datadog",
    order: &["alert_id", "ALERT_ID", "aggreg_key", "AGGREG_KEY", "id"],
    read,
};

fn read<'a>(mut root: Object<'a>, batch: &mut Batch<'a>) -> Result<(), Rejection> {
    let said = |names: &[&str]| {
        let found = names
            .iter()
            .find_map(|name| root.said(name).filter(|word| expanded(word)));
        found.map(Cow::into_owned)
    };
    let title = said(&[
        "alert_title",
        "title",
        "event_title",
        "ALERT_TITLE",
        "EVENT_TITLE",
    ]);
    let title = title.ok_or_else(|| unexpected("datadog", "has no `alert_title` or `title`"))?;
    let word = said(&["alert_transition", "ALERT_TRANSITION"]);
    // The default payload says it in its title only: "[Recovered] Disk full on db-1".
    let word = word.or_else(|| {
        Some(
            title
                .strip_prefix('[')?
                .split([']', ' '])
                .next()?
                .to_owned(),
        )
    });
    let status = word.and_then(|word| FORMAT.status(&word));
    let kind = said(&["alert_type", "ALERT_TYPE"]);
    let severity = said(&["alert_priority", "priority", "ALERT_PRIORITY", "PRIORITY"])
        .map(|word| FORMAT.severity(&word))
        .filter(|severity| *severity != Severity::Unknown)
        .or_else(|| kind.as_deref().map(|word| FORMAT.severity(word)));
    let name = bare(&title);
    let id = said(&["alert_id", "ALERT_ID"]);
    let scope = said(&["alert_scope", "ALERT_SCOPE", "scope"]);
    let scope = scope.or_else(|| Some(in_title(&title)?.to_owned()));
    // The event's own `id` is another in each message.
    let key = said(&["aggreg_key", "AGGREG_KEY"]).filter(|_| id.is_none());
    let series = [&id, &scope, &key].map(|part| part.clone().unwrap_or_default());
    let series = match &series {
        [id, _, key] if id.is_empty() && key.is_empty() => batch.series(&[name, &series[1]]),
        [id, scope, key] => batch.series(&[id, scope, key]),
    };
    let at = said(&["date", "DATE", "last_updated", "LAST_UPDATED"]);
    let at = at.and_then(|text| crate::time::parse(&text));
    let status = status.or_else(|| kind.as_deref().and_then(|word| FORMAT.status(word)));
    let mut draft = Draft {
        name: name.to_owned().into(),
        fingerprint: series,
        severity,
        status: status.unwrap_or_default(),
        host: said(&["hostname", "HOSTNAME", "host"]).map(Into::into),
        value: said(&["alert_value", "value", "ALERT_VALUE"]).and_then(|text| words::number(&text)),
        times: Times {
            at,
            ..Times::default()
        },
        labels: said(&["tags", "TAGS", "event_tags"])
            .map(|text| pairs(&text))
            .unwrap_or_default(),
        ..Draft::default()
    };
    for (name, value) in scope.as_deref().map(pairs).unwrap_or_default() {
        draft.label(name, Some(value));
    }
    draft.label("metric", said(&["alert_metric", "ALERT_METRIC"]));
    draft.label("monitor_id", id);
    draft.description = root.first(&[
        "body",
        "TEXT_ONLY_MSG",
        "text_only_msg",
        "EVENT_MSG",
        "event_msg",
    ]);
    root.keep(&mut draft);
    draft.annotations.retain(|_, text| expanded(text));
    batch.push(draft)
}

/// Whether Datadog had something to put there.
fn expanded(word: &str) -> bool {
    let rest = word.strip_prefix('$').unwrap_or_default();
    rest.is_empty()
        || !rest
            .chars()
            .all(|char| char.is_ascii_uppercase() || "_[]".contains(char))
}

/// A title without the state and the scope in front of it.
fn bare(title: &str) -> &str {
    let rest = title
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("] "));
    rest.map_or(title, |(_, rest)| rest.trim())
}

/// The group in a title: `[Triggered on {host:db-1}] Disk full`.
fn in_title(title: &str) -> Option<&str> {
    let (state, _) = title.strip_prefix('[')?.split_once("] ")?;
    let (_, group) = state.split_once('{')?;
    group.strip_suffix('}')
}

/// Tags: `env:eu, role:db`.
fn pairs(text: &str) -> LabelMap<'static> {
    let mut labels = LabelMap::new();
    for word in text
        .split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty())
    {
        let (name, value) = word.split_once(':').unwrap_or((word, "true"));
        labels.insert(
            CowStr::from(name.trim().to_owned()),
            CowStr::from(value.trim().to_owned()),
        );
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_was_left_as_it_is_counts_as_none() {
        assert!(!expanded("$HOSTNAME"));
        for word in ["$5 lost", "web-1", "$", ""] {
            assert!(expanded(word), "{word}");
        }
    }

    #[test]
    fn the_state_is_no_part_of_a_name() {
        assert_eq!(bare("[Triggered on {host:db-1}] Disk full"), "Disk full");
        assert_eq!(bare("Disk full"), "Disk full");
        assert_eq!(
            in_title("[Triggered on {host:db-1}] Disk full"),
            Some("host:db-1")
        );
        assert_eq!(in_title("[Triggered] Disk {full}"), None);
    }
}
