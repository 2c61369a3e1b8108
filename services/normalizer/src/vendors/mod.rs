//! Vendors' formats: each a small module that takes the fields it knows out of an object and keeps the rest.

pub(crate) mod argocd;
pub(crate) mod azure;
pub(crate) mod cloudevents;
pub(crate) mod cloudwatch;
pub(crate) mod datadog;
pub(crate) mod dynatrace;
pub(crate) mod elastic;
pub(crate) mod gcp;
pub(crate) mod github;
pub(crate) mod gitlab;
pub(crate) mod grafana;
pub(crate) mod graylog;
pub(crate) mod kubernetes;
pub(crate) mod newrelic;
pub(crate) mod opensearch;
pub(crate) mod opsgenie;
pub(crate) mod otel;
pub(crate) mod pagerduty;
pub(crate) mod pingdom;
pub(crate) mod sentry;
pub(crate) mod splunk;
pub(crate) mod uptime_kuma;
pub(crate) mod uptimerobot;

use prunella_stream::Rejection;

use crate::draft::Batch;
use crate::field_map::FieldMap;
use crate::generic::Generic;
use crate::json::Json;
use crate::object::Object;
use crate::payload;
use crate::source::Source;

/// The class of a payload that its vendor sends, but not about an alert.
pub(crate) const NOT_AN_ALERT: &str = "not_an_alert";

/// A format that reads one object, or a list of such.
#[derive(Debug)]
pub(crate) struct Vendor {
    pub(crate) name: &'static str,
    /// Paths of what keeps payloads in order; the first that has a word counts.
    pub(crate) order: &'static [&'static str],
    /// Takes every alert of an object into the batch.
    pub(crate) read: for<'a> fn(Object<'a>, &mut Batch<'a>) -> Result<(), Rejection>,
}

impl Source for Vendor {
    fn name(&self) -> &'static str {
        self.name
    }

    fn vendor(&'static self) -> Option<&'static Vendor> {
        Some(self)
    }

    /// Several of them (Amazon SNS, log shippers) call their JSON plain text.
    fn takes(&self, content_type: &str) -> bool {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        payload::is_json(content_type) || essence.eq_ignore_ascii_case("text/plain")
    }

    fn ordering_key(&self, text: &str) -> Result<Option<String>, Rejection> {
        let json: Json<'_> = serde_json::from_str(text).map_err(|error| payload::refuse(&error))?;
        let Some(object) = Object::of(json) else {
            return Ok(None);
        };
        Ok(self.order.iter().find_map(|path| word_at(&object, path)))
    }

    fn normalize<'a>(&self, text: &'a str, batch: &mut Batch<'a>) -> Result<(), Rejection> {
        let json: Json<'a> = serde_json::from_str(text).map_err(|error| payload::refuse(&error))?;
        match self.read_json(json, batch) {
            // Whoever set up the source may have given its messages fields of their own.
            Err(rejection)
                if rejection.class == "unexpected_shape" && batch.alerts().is_empty() =>
            {
                let generic = Generic(FieldMap::default());
                generic.normalize(text, batch).map_err(|_| rejection)
            }
            outcome => outcome,
        }
    }
}

impl Vendor {
    pub(crate) fn read_json<'a>(
        &self,
        json: Json<'a>,
        batch: &mut Batch<'a>,
    ) -> Result<(), Rejection> {
        let items = match json {
            Json::List(items) => items,
            one => vec![one],
        };
        for item in items {
            let object = Object::of(item).ok_or_else(|| unexpected(self.name, "is no object"))?;
            (self.read)(object, batch)?;
        }
        if batch.alerts().is_empty() {
            return Err(Rejection::new(
                "no_alerts",
                format!(
                    "the payload holds no alert; look at what the source sends, or whether {} is what it is",
                    self.name
                ),
            ));
        }
        Ok(())
    }
}

/// A word at a path; `>` leads into a text that holds JSON of its own.
fn word_at(object: &Object<'_>, path: &str) -> Option<String> {
    let (path, inner) = path.split_once('>').unwrap_or((path, ""));
    let word = object.said(path)?;
    if inner.is_empty() {
        return Some(word.into_owned());
    }
    let nested = Object::of(serde_json::from_str(&word).ok()?)?;
    Some(nested.said(inner)?.into_owned())
}

/// A payload that is not what the vendor sends.
pub(crate) fn unexpected(name: &str, what: &str) -> Rejection {
    Rejection::new(
        "unexpected_shape",
        format!(
            "the payload {what}, and a payload of {name} does not look like that; check the source's name, or \
             describe it under `sources:` in the knowledge"
        ),
    )
}

/// What a vendor sends beside its alerts.
pub(crate) fn not_an_alert(what: &str, advice: &str) -> Rejection {
    Rejection::new(
        NOT_AN_ALERT,
        format!("this is {what}, and no alert; {advice}"),
    )
}
