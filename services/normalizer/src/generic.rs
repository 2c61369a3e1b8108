//! Any JSON: an object or a list of objects, with the usual field names or described by a [`FieldMap`].

use prunella_schemas::CowStr;
use prunella_stream::{Digest, Rejection};

use crate::draft::{Batch, Draft, Times};
use crate::field_map::{FieldMap, Target, walk};
use crate::json::{Fields, Json};
use crate::labels::{self, LabelMap, first};
use crate::object::Object;
use crate::payload;
use crate::source::Source;
use crate::{time, words};

/// The format.
#[derive(Debug)]
pub(crate) struct Generic(pub(crate) FieldMap);

/// Fields under which a payload that is not described keeps a list of alerts.
const LISTS: &[&str] = &["alerts", "events"];

impl Source for Generic {
    fn name(&self) -> &'static str {
        "generic"
    }

    fn ordering_key(&self, text: &str) -> Result<Option<String>, Rejection> {
        let json: Json<'_> = serde_json::from_str(text).map_err(|error| payload::refuse(&error))?;
        if let Some(path) = &self.0.ordering_key {
            return Ok(walk(&json, path).and_then(Json::word));
        }
        // A list may be about several series: only one order of all of them is then surely right.
        let Ok([Json::Object(fields)]) = self.items(&json) else {
            return Ok(None);
        };
        let word = |target| self.word(fields, target);
        Ok(word(Target::Fingerprint)
            .or_else(|| word(Target::Id))
            .or_else(|| {
                let name = word(Target::Name)?;
                Some(format!(
                    "{name}/{}",
                    word(Target::Service).unwrap_or_default()
                ))
            }))
    }

    fn normalize<'a>(&self, text: &'a str, batch: &mut Batch<'a>) -> Result<(), Rejection> {
        let json: Json<'_> = serde_json::from_str(text).map_err(|error| payload::refuse(&error))?;
        let items = self.items(&json)?;
        for (index, item) in items.iter().enumerate() {
            let mut draft = self.draft(item, batch.source()).ok_or_else(|| {
                Rejection::new(
                    "no_alert_name",
                    format!(
                        "item {index} of the payload has no field that gives the alert's name (alert_name, name, \
                         title, ...); describe the source under `sources:` in the knowledge"
                    ),
                )
            })?;
            self.share(&json, items, &mut draft, index == 0);
            batch.push(draft)?;
        }
        if batch.alerts().is_empty() {
            return Err(Rejection::new(
                "no_alerts",
                "the payload holds an empty list; look at what the source sends",
            ));
        }
        Ok(())
    }
}

impl Generic {
    /// The payload's alerts.
    fn items<'j, 'a>(&self, json: &'j Json<'a>) -> Result<&'j [Json<'a>], Rejection> {
        let found = match (&self.0.list, json) {
            (Some(path), _) => walk(json, path),
            (None, Json::Object(fields)) if self.0.find(fields, Target::Name).is_none() => LISTS
                .iter()
                .filter_map(|name| fields.get(*name))
                .find(|list| matches!(list, Json::List(_)))
                .or(Some(json)),
            (None, _) => Some(json),
        };
        match found {
            Some(Json::List(items)) => Ok(items),
            Some(one @ Json::Object(_)) => Ok(std::slice::from_ref(one)),
            _ => Err(Rejection::new(
                "unexpected_shape",
                "the payload is neither an object nor a list of objects, or its `list` is not where the source's \
                 description says; correct `sources:` in the knowledge, or what the source sends",
            )),
        }
    }

    /// Keeps what stands beside the list of alerts: all of it with the first, what is short with the others.
    fn share(&self, json: &Json<'_>, items: &[Json<'_>], draft: &mut Draft<'_>, first: bool) {
        let Json::Object(fields) = json else {
            return;
        };
        let within = |value: &Json<'_>| match (&self.0.list, value) {
            (None, Json::List(list)) => std::ptr::eq(list.as_slice(), items),
            _ => false,
        };
        let led = self.0.list.as_ref().and_then(|path| path.first());
        let alone = self.0.list.is_none() && !fields.values().any(within);
        if alone {
            return;
        }
        for (name, value) in fields {
            let listed = within(value) || led.is_some_and(|step| step == name.as_ref());
            let text = value.text();
            if !listed && (first || text.len() <= Object::SHORT) {
                draft.keep(name.to_string(), text);
            }
        }
    }

    /// The alert that an object is; nothing if it has no name.
    pub(crate) fn draft(&self, item: &Json<'_>, source: &str) -> Option<Draft<'static>> {
        let Json::Object(fields) = item else {
            return None;
        };
        let word = |target| self.word(fields, target);
        let time = |target| word(target).and_then(|text| time::parse(&text));
        let labels = self.map(fields, Target::Labels);
        // A label says more than a default.
        let fact = |target, names| {
            self.said(fields, target)
                .map(CowStr::from)
                .or_else(|| first(&labels, names))
                .or_else(|| Some(self.0.default_of(target)?.to_owned().into()))
        };
        let mut draft = Draft {
            name: fact(Target::Name, &["alertname", "alert_name"])?,
            fingerprint: word(Target::Fingerprint).map(CowStr::from).or_else(|| {
                let id = word(Target::Id)?;
                Some(
                    Digest::of(&[b"id", source.as_bytes(), id.as_bytes()])
                        .hex()
                        .into(),
                )
            }),
            severity: fact(Target::Severity, labels::SEVERITY).map(|word| self.0.severity(&word)),
            status: word(Target::Status)
                .and_then(|word| self.0.status(&word))
                .unwrap_or_default(),
            service: fact(Target::Service, labels::SERVICE),
            host: fact(Target::Host, labels::HOST),
            value: word(Target::Value).and_then(|text| words::number(&text)),
            times: Times {
                at: time(Target::Timestamp),
                starts: time(Target::StartsAt),
                ends: time(Target::EndsAt),
            },
            domain: fact(Target::Domain, labels::DOMAIN),
            annotations: self.map(fields, Target::Annotations),
            description: word(Target::Description).map(CowStr::from),
            labels: LabelMap::new(),
        };
        draft.labels = labels;
        self.keep_rest(fields, &mut draft);
        Some(draft)
    }

    /// Keeps every field that has no place of its own in the alert, or whose value was not understood.
    fn keep_rest(&self, fields: &Fields<'_>, draft: &mut Draft<'static>) {
        let understood = |target: &Target, json: &Json<'_>| match target {
            Target::Id => false,
            Target::Value => draft.value.is_some(),
            Target::Timestamp => draft.times.at.is_some(),
            Target::StartsAt => draft.times.starts.is_some(),
            Target::EndsAt => draft.times.ends.is_some(),
            Target::Labels | Target::Annotations => labels::from_json(json).is_some(),
            // Our own word for it says the same; any other is worth keeping.
            Target::Severity => draft
                .severity
                .is_some_and(|severity| is(severity.as_str(), json)),
            Target::Status => is(draft.status.as_str(), json),
            _ => json.word().is_some(),
        };
        let taken: Vec<&str> = Target::ALL
            .iter()
            .filter_map(|target| {
                let (name, json) = self.0.find(fields, *target)?;
                understood(target, json).then_some(name)
            })
            .collect();
        for (name, value) in fields {
            if !taken.contains(&name.as_ref()) {
                draft.keep(name.to_string(), value.text());
            }
        }
    }

    fn map(&self, fields: &Fields<'_>, target: Target) -> LabelMap<'static> {
        let found = self.0.find(fields, target).map(|(_, json)| json);
        found.and_then(labels::from_json).unwrap_or_default()
    }

    /// The word that the payload, or else the description, gives for a target.
    fn word(&self, fields: &Fields<'_>, target: Target) -> Option<String> {
        self.said(fields, target)
            .or_else(|| self.0.default_of(target).map(str::to_owned))
    }

    fn said(&self, fields: &Fields<'_>, target: Target) -> Option<String> {
        let (_, json) = self.0.find(fields, target)?;
        Some(json.word()?.trim().to_owned())
    }
}

fn is(word: &str, json: &Json<'_>) -> bool {
    word.eq_ignore_ascii_case(json.text().trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        let key = Generic(FieldMap::default()).ordering_key(text).unwrap();
        assert_eq!(key.as_deref(), expected, "{text}");
    }

    #[test]
    fn an_alert_is_ordered_by_the_surest_identity_it_gives() {
        check(
            r#"{"fingerprint": "f", "alert_id": 7, "name": "n"}"#,
            Some("f"),
        );
        check(r#"{"alert_id": 7, "name": "n"}"#, Some("7"));
        check(r#"{"name": "n", "service": "s"}"#, Some("n/s"));
        check(r#"[{"name": "n", "service": "s"}]"#, Some("n/s"));
        check(r#"{"alerts": [{"alert_id": "a"}]}"#, Some("a"));
    }

    #[test]
    fn a_list_of_several_alerts_keeps_one_order() {
        check(r#"[{"alert_id": 1}, {"alert_id": 2}]"#, None);
        check(r#"{"x": 1}"#, None);
        check("7", None);
    }
}
