//! CloudEvents: the envelope, in structured mode, alone or as a batch, and what is in it.
//!
//! From the CloudEvents specification, "JSON event format" and "HTTP protocol binding" (structured and batched
//! content mode).
//!
//! Where the event's type or source names a system whose format is built in, its data is read in that format. Any
//! other data is read with the usual field names; what gives no name is named by the event's type.

use prunella_stream::Rejection;

use super::{NOT_AN_ALERT, Vendor, unexpected};
use crate::draft::{Batch, Times};
use crate::field_map::FieldMap;
use crate::format::{Format, TABLE};
use crate::generic::Generic;
use crate::json::Json;
use crate::object::Object;
use crate::words;

pub(crate) static FORMAT: Format = Format {
    name: "cloudevents",
    about: "CloudEvents in structured mode, and any built-in format inside",
    documentation: "CloudEvents specification: JSON event format",
    recognised_by: "`specversion` and `type`",
    required: &["type"],
    severities: &[],
    statuses: &[],
    source: Some(&VENDOR),
};
static VENDOR: Vendor = Vendor {
    name: "cloudevents",
    order: &["subject", "source", "type"],
    read,
};

/// Words in an event's type or source by which it is known, besides a format's own name.
const ALIASES: &[(&str, &str)] = &[
    // Alertmanager's payload is Grafana's, less what Grafana adds.
    ("alertmanager", "grafana"),
    ("prometheus", "grafana"),
    ("apiserver", "kubernetes"),
    ("k8s", "kubernetes"),
    ("argoproj", "argocd"),
    ("aws", "cloudwatch"),
    ("microsoft", "azure"),
    ("kibana", "elastic"),
    ("datadoghq", "datadog"),
    ("opentelemetry", "otel"),
];

fn read<'a>(mut root: Object<'a>, batch: &mut Batch<'a>) -> Result<(), Rejection> {
    let kind = root.word("type");
    let kind = kind.ok_or_else(|| unexpected("cloudevents", "has no `type`"))?;
    let source = root.said("source").unwrap_or_default().into_owned();
    let data = root.take("data").unwrap_or(Json::Null);
    let mut rest = root;
    let at = rest.said("time").and_then(|text| crate::time::parse(&text));
    let before = batch.alerts().len();
    if let Some(vendor) = inside(&kind, &source) {
        match vendor.read_json(data.clone(), batch) {
            Err(rejection) if rejection.class == NOT_AN_ALERT => return Err(rejection),
            Err(_) => batch.forget_from(before),
            Ok(()) => {}
        }
    }
    if batch.alerts().len() == before {
        let mut draft = Generic(FieldMap::default())
            .draft(&data, batch.source())
            .unwrap_or_default();
        if draft.name.is_empty() {
            draft.name = kind.clone();
            draft.keep("data", data.into_text());
        }
        if draft.fingerprint.is_none() {
            let subject = rest.said("subject").unwrap_or_default();
            draft.fingerprint = batch.series(&[&source, &kind, &subject, &draft.name]);
        }
        let times = draft.times;
        draft.times = Times {
            at: times.at.or(at),
            ..times
        };
        // An event whose type says how it went: `com.example.job.failed`.
        let told = kind.rsplit(['.', '/']).next().and_then(words::status);
        if draft.status == Default::default() {
            draft.status = told.unwrap_or_default();
        }
        batch.push(draft)?;
    }
    rest.adopt(Object::one("type", Json::Text(kind.into_string().into())));
    batch.note_from(before, &rest.within("cloudevent"));
    Ok(())
}

/// The format that the data is in.
fn inside(kind: &str, source: &str) -> Option<&'static Vendor> {
    let words = |text: &'_ str| {
        let lower = text.to_ascii_lowercase();
        let parts = lower.split(|char: char| !(char.is_ascii_alphanumeric() || char == '-'));
        parts.map(str::to_owned).collect::<Vec<_>>()
    };
    words(kind)
        .into_iter()
        .chain(words(source))
        .find_map(|word| {
            let alias = ALIASES.iter().find(|(known, _)| *known == word);
            let name = alias.map_or(word.as_str(), |(_, name)| *name);
            let format = TABLE
                .iter()
                .find(|format| format.name == name && name != FORMAT.name)?;
            format.source?.vendor()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_inside_follows_from_type_or_source() {
        for (kind, source, expected) in [
            (
                "dev.knative.apiserver.resource.add",
                "https://10.0.0.1",
                Some("kubernetes"),
            ),
            ("io.prometheus.alert", "/alertmanager", Some("grafana")),
            ("com.example.alert", "urn:pagerduty:eu", Some("pagerduty")),
            ("com.example.alert", "/cloudevents", None),
        ] {
            let found = inside(kind, source).map(|vendor| vendor.name);
            assert_eq!(found, expected, "{kind} {source}");
        }
    }
}
