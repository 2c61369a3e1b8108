//! Kubernetes Events: `v1` and `events.k8s.io/v1`, alone, in a list, or as a watch gives them.
//!
//! From the Kubernetes API reference, "Event v1 core" and "Event v1 events.k8s.io", and "Kubernetes API concepts"
//! for lists and watches.
//!
//! An Event says that something happened. A few say that something is well again; they resolve the alert of what
//! was wrong.

use prunella_schemas::{AlertStatus, CowStr, Severity};
use prunella_stream::Rejection;

use super::{Vendor, not_an_alert, unexpected};
use crate::draft::{Batch, Draft, Times};
use crate::format::Format;
use crate::object::Object;
use crate::time;

pub(crate) static FORMAT: Format = Format {
    name: "kubernetes",
    about: "Kubernetes Events, of either API, alone, in lists and from watches",
    documentation: "Kubernetes API reference: Event v1 core, Event v1 events.k8s.io",
    recognised_by: "`reason` and `involvedObject` or `regarding`; lists: `items`; watches: `object`",
    required: &[
        "reason",
        "object.reason",
        "items.*.reason",
        "object.type",
        "type",
    ],
    severities: &[
        ("NodeNotReady", Severity::Critical),
        ("SystemOOM", Severity::Critical),
        ("OOMKilling", Severity::Error),
        ("BackOff", Severity::Error),
        ("CrashLoopBackOff", Severity::Error),
        ("Failed", Severity::Error),
        ("FailedScheduling", Severity::Error),
        ("FailedMount", Severity::Error),
        ("FailedAttachVolume", Severity::Error),
        ("Evicted", Severity::Error),
        ("NodeHasInsufficientMemory", Severity::Error),
        ("NodeHasDiskPressure", Severity::Error),
        ("NodeHasInsufficientPID", Severity::Error),
        ("Warning", Severity::Warning),
        ("Normal", Severity::Info),
    ],
    // The reasons that say that all is well again.
    statuses: &[
        ("NodeReady", AlertStatus::Resolved),
        ("NodeHasSufficientMemory", AlertStatus::Resolved),
        ("NodeHasNoDiskPressure", AlertStatus::Resolved),
        ("NodeHasSufficientPID", AlertStatus::Resolved),
    ],
    source: Some(&VENDOR),
};
static VENDOR: Vendor = Vendor {
    name: "kubernetes",
    order: &[
        "involvedObject.uid",
        "regarding.uid",
        "object.involvedObject.uid",
        "object.regarding.uid",
        "metadata.uid",
    ],
    read,
};

/// What is over when these happen.
const RECOVERIES: &[(&str, &str)] = &[
    ("NodeReady", "NodeNotReady"),
    ("NodeHasSufficientMemory", "NodeHasInsufficientMemory"),
    ("NodeHasNoDiskPressure", "NodeHasDiskPressure"),
    ("NodeHasSufficientPID", "NodeHasInsufficientPID"),
];

fn read<'a>(mut root: Object<'a>, batch: &mut Batch<'a>) -> Result<(), Rejection> {
    if let Some(items) = root.list("items") {
        for item in items {
            let item = Object::of(item);
            let mut item =
                item.ok_or_else(|| unexpected("kubernetes", "has an item that is no object"))?;
            item.adopt(root.clone().within("list"));
            event(item, batch)?;
        }
        return Ok(());
    }
    if root.nests("object") {
        if root
            .said("type")
            .is_some_and(|kind| kind == "DELETED" || kind == "BOOKMARK")
        {
            return Err(not_an_alert(
                "a watch telling that an Event was deleted, or how far it has come",
                "send only what was added or modified",
            ));
        }
        let mut inner = root.object("object");
        inner.adopt(root.without(&["type"]));
        return event(inner, batch);
    }
    event(root, batch)
}

fn event<'a>(mut root: Object<'a>, batch: &mut Batch<'a>) -> Result<(), Rejection> {
    let reason = root.word("reason");
    let reason = reason.ok_or_else(|| unexpected("kubernetes", "has no `reason`"))?;
    let mut concerned = root.object("involvedObject");
    concerned.adopt(root.object("regarding"));
    let mut metadata = root.object("metadata");
    metadata.forget(&["managedFields"]);
    let over = RECOVERIES
        .iter()
        .find(|(well, _)| reason.eq_ignore_ascii_case(well));
    let name = over.map_or(reason.clone(), |(_, wrong)| (*wrong).into());
    let kind = concerned.word("kind").unwrap_or_default();
    let object = concerned.word("name").unwrap_or_default();
    let namespace = concerned
        .word("namespace")
        .or_else(|| metadata.word("namespace"));
    let space = namespace.as_deref().unwrap_or_default();
    let own = FORMAT.severity(&name);
    let by_type = root.said("type").map(|word| FORMAT.severity(&word));
    let severity = if own == Severity::Unknown {
        by_type
    } else {
        Some(own)
    };
    let status = match over {
        Some(_) => AlertStatus::Resolved,
        None => AlertStatus::Firing,
    };
    let mut draft = Draft {
        fingerprint: batch.series(&[space, &kind, &object, &name]),
        severity,
        status,
        service: Some(workload(&kind, &object).to_owned().into())
            .filter(|name: &CowStr<'_>| !name.is_empty()),
        times: times(&mut root, &mut metadata),
        description: root.word("message").or_else(|| root.word("note")),
        name,
        ..Draft::default()
    };
    if status == AlertStatus::Resolved {
        // When the trouble began, this Event does not say.
        draft.times = Times {
            ends: draft.times.at.or(draft.times.starts),
            ..Times::default()
        };
    }
    if kind.eq_ignore_ascii_case("Node") {
        draft.host = Some(object.clone());
    }
    draft.host = draft
        .host
        .or_else(|| Some(root.said("source.host")?.into_owned().into()));
    draft.label("namespace", namespace.clone());
    draft.label("kind", Some(kind));
    draft.label("object", Some(object));
    draft.label("reason", Some(reason));
    draft.label(
        "component",
        root.first(&["reportingComponent", "reportingController"]),
    );
    concerned.keep_as("involvedObject", &mut draft);
    metadata.keep_as("metadata", &mut draft);
    root.keep(&mut draft);
    batch.push(draft)
}

/// An Event that repeats keeps the time of its first occurrence.
fn times(root: &mut Object<'_>, metadata: &mut Object<'_>) -> Times {
    let repeated = root
        .said("series.lastObservedTime")
        .and_then(|text| time::parse(&text));
    let last = root
        .time("lastTimestamp")
        .or_else(|| root.time("deprecatedLastTimestamp"));
    let first = root
        .time("firstTimestamp")
        .or_else(|| root.time("deprecatedFirstTimestamp"));
    let once = root.time("eventTime");
    let made = metadata.time("creationTimestamp");
    Times {
        at: repeated.or(last).or(once).or(made),
        starts: first.or(once).or(made),
        ends: None,
    }
}

/// What a Pod belongs to, from the form of its name: what a Deployment, a DaemonSet or a StatefulSet has made ends
/// in letters that Kubernetes chose, or in a number.
fn workload<'n>(kind: &str, name: &'n str) -> &'n str {
    // Kubernetes draws from these, so that no word comes out.
    let drawn = |part: &str| {
        part.bytes()
            .all(|byte| b"bcdfghjklmnpqrstvwxz2456789".contains(&byte))
    };
    if kind.eq_ignore_ascii_case("ReplicaSet") {
        let cut = name
            .rsplit_once('-')
            .filter(|(_, hash)| hash.len() >= 6 && drawn(hash));
        return cut.map_or(name, |(rest, _)| rest);
    }
    if !kind.eq_ignore_ascii_case("Pod") {
        return name;
    }
    match name.rsplit_once('-') {
        Some((rest, last)) if last.len() == 5 && drawn(last) => match rest.rsplit_once('-') {
            Some((deployment, hash)) if (6..=10).contains(&hash.len()) && drawn(hash) => deployment,
            _ => rest,
        },
        Some((rest, last))
            if !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            rest
        }
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pods_workload_follows_from_its_name() {
        for (kind, name, expected) in [
            ("Pod", "checkout-6d4b75cb6d-hx7kq", "checkout"),
            ("Pod", "node-exporter-hx7kq", "node-exporter"),
            ("Pod", "orders-db-0", "orders-db"),
            ("Pod", "one-shot", "one-shot"),
            ("ReplicaSet", "checkout-6d4b75cb6d", "checkout"),
            ("Deployment", "checkout-0", "checkout-0"),
            ("Pod", "", ""),
        ] {
            assert_eq!(workload(kind, name), expected, "{name}");
        }
    }
}
