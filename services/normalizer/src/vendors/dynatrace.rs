//! Dynatrace: the custom webhook among its problem notifications.
//!
//! From the Dynatrace documentation, "Send Dynatrace notifications using webhooks" (list of placeholders). Its
//! payload is the user's own; this one carries all that matters:
//!
//! ```json
//! {"PID": "{PID}", "ProblemID": "{ProblemID}", "ProblemTitle": "{ProblemTitle}", "State": "{State}",
//!  "ProblemSeverity": "{ProblemSeverity}", "ProblemImpact": "{ProblemImpact}", "ProblemURL": "{ProblemURL}",
//!  "ProblemDetailsText": "{ProblemDetailsText}", "ImpactedEntities": {ImpactedEntities}, "Tags": "{Tags}",
//!  "ProblemDetailsJSON": {ProblemDetailsJSON}}
//! ```
//! Each impacted entity gives an alert of its own.

use prunella_schemas::{AlertStatus, CowStr, Severity};
use prunella_stream::Rejection;

use super::{Vendor, unexpected};
use crate::draft::{Batch, Draft, Times};
use crate::format::Format;
use crate::json::Json;
use crate::object::Object;
use crate::time;

pub(crate) static FORMAT: Format = Format {
    name: "dynatrace",
    about: "Dynatrace problems, by a custom webhook",
    documentation: "Dynatrace documentation: Send Dynatrace notifications using webhooks",
    recognised_by: "`ProblemTitle` or `ProblemID`",
    required: &["ProblemTitle", "ProblemID", "PID"],
    severities: &[
        ("AVAILABILITY", Severity::Critical),
        ("ERROR", Severity::Error),
        ("PERFORMANCE", Severity::Warning),
        ("SLOWDOWN", Severity::Warning),
        ("RESOURCE_CONTENTION", Severity::Warning),
        ("RESOURCE", Severity::Warning),
        ("MONITORING_UNAVAILABLE", Severity::Warning),
        ("CUSTOM_ALERT", Severity::Warning),
        ("INFO", Severity::Info),
    ],
    statuses: &[
        ("OPEN", AlertStatus::Firing),
        ("RESOLVED", AlertStatus::Resolved),
        ("CLOSED", AlertStatus::Resolved),
        // It goes on as part of another problem, which is told of by itself.
        ("MERGED", AlertStatus::Resolved),
    ],
    source: Some(&VENDOR),
};
static VENDOR: Vendor = Vendor {
    name: "dynatrace",
    order: &["PID", "ProblemID"],
    read,
};

fn read<'a>(mut root: Object<'a>, batch: &mut Batch<'a>) -> Result<(), Rejection> {
    let id = root.said("PID").filter(|word| expanded(word));
    let id = id
        .or_else(|| root.said("ProblemID"))
        .unwrap_or_default()
        .into_owned();
    let name = root.first(&["ProblemTitle", "ProblemID", "PID"]);
    let name = name.ok_or_else(|| unexpected("dynatrace", "has no `ProblemTitle`"))?;
    let state = root
        .said("State")
        .or_else(|| root.said("ProblemDetailsJSON.status"));
    let status = state
        .and_then(|word| FORMAT.status(&word))
        .unwrap_or_default();
    let severity = root
        .said("ProblemSeverity")
        .filter(|word| expanded(word))
        .or_else(|| root.said("ProblemDetailsJSON.severityLevel"))
        .map(|word| FORMAT.severity(&word));
    let time = |names: [&str; 2]| {
        let found = names.iter().find_map(|name| root.said(name));
        found.and_then(|text| time::parse(&text))
    };
    let times = Times {
        at: None,
        starts: time(["ProblemStartTime", "ProblemDetailsJSON.startTime"]),
        ends: time(["ProblemEndTime", "ProblemDetailsJSON.endTime"]),
    };
    let tags = root.word("Tags").filter(|word| expanded(word));
    let description = root
        .word("ProblemDetailsText")
        .or_else(|| root.word("ProblemImpact"));
    let entities = root.list("ImpactedEntities").unwrap_or_default();
    let entities = if entities.is_empty() {
        vec![Json::Null]
    } else {
        entities
    };
    for (index, entity) in entities.into_iter().enumerate() {
        let alone = entity.word().map(CowStr::from);
        let mut entity = Object::of(entity).unwrap_or_default();
        let kind = entity.word("type").unwrap_or_default();
        let named = entity.word("name").or(alone);
        let key = entity.said("entity").map(|key| key.into_owned());
        let key = key.unwrap_or_else(|| named.clone().unwrap_or_default().into_string());
        let is_host = kind.eq_ignore_ascii_case("HOST");
        let mut draft = Draft {
            name: name.clone(),
            fingerprint: batch.series(&[&id, &key]),
            severity,
            status,
            host: named.clone().filter(|_| is_host),
            service: named.filter(|_| !is_host),
            times,
            description: description.clone(),
            ..Draft::default()
        };
        draft.label("entity_type", Some(kind));
        draft.label("entity", entity.word("entity"));
        for tag in tags.iter().flat_map(|tags| tags.split(',')) {
            // `[Context]name:value`
            let tag = tag.trim();
            let tag = tag.split_once(']').map_or(tag, |(_, rest)| rest);
            let (name, value) = tag.split_once(':').unwrap_or((tag, "true"));
            draft.label(name.trim().to_owned(), Some(value.trim().to_owned()));
        }
        entity.keep_as("entity", &mut draft);
        root.share(&mut draft, index == 0);
        batch.push(draft)?;
    }
    Ok(())
}

/// Whether Dynatrace filled a placeholder.
fn expanded(word: &str) -> bool {
    !(word.starts_with('{') && word.ends_with('}') && !word.contains(' '))
}
