//! From what a format found in a payload to a [`NormalizedAlert`]: what all sources have in common.

use std::collections::btree_map::Entry;

use prunella_schemas::{AlertStatus, BorrowedAlert, CowStr, RawRef, Severity};
use prunella_stream::{Digest, Millis, Rejection};

use crate::Meta;
use crate::labels::{self, LabelMap, first, host};
use crate::object::Object;
use crate::payload::{MAX_ALERTS, MAX_LABELS};
use crate::words;

/// The domain of an alert that names none.
pub(crate) const DEFAULT_DOMAIN: &str = "default";

/// One alert as a format found it. What is left out is looked for among labels and annotations.
#[derive(Debug, Default)]
pub(crate) struct Draft<'a> {
    pub(crate) name: CowStr<'a>,
    /// The source's own identity of the series.
    pub(crate) fingerprint: Option<CowStr<'a>>,
    pub(crate) severity: Option<Severity>,
    pub(crate) status: AlertStatus,
    pub(crate) service: Option<CowStr<'a>>,
    pub(crate) host: Option<CowStr<'a>>,
    pub(crate) value: Option<f64>,
    pub(crate) times: Times,
    pub(crate) domain: Option<CowStr<'a>>,
    pub(crate) labels: LabelMap<'a>,
    pub(crate) annotations: LabelMap<'a>,
    pub(crate) description: Option<CowStr<'a>>,
}

/// What a source says of when, each part only if it says so.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Times {
    /// When the source observed it.
    pub(crate) at: Option<Millis>,
    /// When the occurrence began to fire.
    pub(crate) starts: Option<Millis>,
    /// When it resolved.
    pub(crate) ends: Option<Millis>,
}

impl<'a> Draft<'a> {
    /// Adds a label, unless there is nothing to say or the source has given one of that name.
    pub(crate) fn label(
        &mut self,
        name: impl Into<CowStr<'a>>,
        value: Option<impl Into<CowStr<'a>>>,
    ) {
        let value = value.map(Into::into).filter(|value| !value.is_empty());
        if let Some(value) = value {
            self.labels.entry(name.into()).or_insert(value);
        }
    }

    /// Keeps a field that has no place of its own. An annotation of that name stays; the field then goes by
    /// `field.NAME`.
    pub(crate) fn keep(&mut self, name: impl Into<CowStr<'a>>, value: impl Into<CowStr<'a>>) {
        let (name, value) = (name.into(), value.into());
        if value.is_empty() {
            return;
        }
        match self.annotations.entry(name) {
            Entry::Vacant(place) => drop(place.insert(value)),
            Entry::Occupied(taken) => {
                let name = format!("field.{}", taken.key());
                self.annotations.insert(name.into(), value);
            }
        }
    }
}

/// The alerts of one payload, as they are found.
pub(crate) struct Batch<'a> {
    source: &'a str,
    meta: &'a Meta<'a>,
    place: Place<'a>,
    alerts: Vec<BorrowedAlert<'a>>,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(source: &'a str, meta: &'a Meta<'a>) -> Self {
        Self {
            source,
            meta,
            place: Place::of(meta),
            alerts: Vec::new(),
        }
    }

    pub(crate) fn source(&self) -> &'a str {
        self.source
    }

    pub(crate) fn received_at(&self) -> Millis {
        self.meta.received_at
    }

    pub(crate) fn alerts(&self) -> &[BorrowedAlert<'a>] {
        &self.alerts
    }

    pub(crate) fn into_alerts(self) -> Vec<BorrowedAlert<'a>> {
        self.alerts
    }

    /// Identity of a series from what its vendor names it by. Nothing, if that is nothing: it then follows from
    /// the labels.
    pub(crate) fn series(&self, parts: &[&str]) -> Option<CowStr<'a>> {
        if parts.iter().all(|part| part.is_empty()) {
            return None;
        }
        let mut all: Vec<&[u8]> = vec![b"vendor", self.source.as_bytes()];
        all.extend(parts.iter().map(|part| part.as_bytes()));
        Some(Digest::of(&all).hex().into())
    }

    /// Gives back the alerts from a position on.
    pub(crate) fn forget_from(&mut self, position: usize) {
        self.alerts.truncate(position);
    }

    /// Annotates the alerts from a position on with what stood around all of them, unless they have such an
    /// annotation; all of it the first, the others with what is short.
    pub(crate) fn note_from(&mut self, position: usize, around: &Object<'a>) {
        for (index, alert) in self.alerts.iter_mut().skip(position).enumerate() {
            for (name, text) in around.texts() {
                if !text.is_empty() && (index == 0 || text.len() <= Object::SHORT) {
                    alert.annotations.entry(name).or_insert(text);
                }
            }
        }
    }

    /// Completes an alert and takes it in.
    pub(crate) fn push(&mut self, draft: Draft<'a>) -> Result<(), Rejection> {
        self.check(&draft)?;
        let received_at = self.meta.received_at;
        let (timestamp, starts_at) = draft.times.resolve(draft.status, received_at);
        let index = i32::try_from(self.alerts.len()).unwrap_or(i32::MAX);
        let labels = &draft.labels;
        let severity = draft.severity.or_else(|| severity(labels));
        let service_name = draft.service.or_else(|| first(labels, labels::SERVICE));
        let host_ip = draft.host.or_else(|| first(labels, labels::HOST));
        let host_ip = host_ip
            .map(|instance| instance.part(host))
            .filter(|host| !host.is_empty());
        let domain = draft.domain.or_else(|| first(labels, labels::DOMAIN));
        let domain = domain.unwrap_or_else(|| DEFAULT_DOMAIN.into());
        let metric_value = draft
            .value
            .or_else(|| value(&draft.annotations, &draft.labels));
        let description = draft
            .description
            .or_else(|| first(&draft.annotations, labels::DESCRIPTION))
            .unwrap_or_default();
        let mut alert = BorrowedAlert {
            alert_id: self.place.alert_id(index).into(),
            fingerprint: draft.fingerprint.unwrap_or_default(),
            source_system: self.source.into(),
            alert_name: draft.name,
            severity: severity.unwrap_or_default(),
            status: draft.status,
            service_name,
            host_ip,
            metric_value,
            timestamp: timestamp.min(received_at),
            starts_at,
            received_at,
            time_clamped: timestamp > received_at,
            domain,
            labels: draft.labels,
            annotations: draft.annotations,
            description,
            raw: self.place.raw(index),
        };
        if alert.fingerprint.is_empty() {
            alert.fingerprint = fingerprint(&alert).into();
        }
        self.alerts.push(alert);
        Ok(())
    }

    fn check(&self, draft: &Draft<'_>) -> Result<(), Rejection> {
        let count = draft.labels.len().max(draft.annotations.len());
        if count > MAX_LABELS {
            return Err(Rejection::new(
                "too_many_labels",
                format!(
                    "alert {} carries {count} labels or annotations, more than the {MAX_LABELS} that are read; \
                     let the source drop those that nobody reads",
                    self.alerts.len()
                ),
            ));
        }
        if self.alerts.len() == MAX_ALERTS {
            return Err(Rejection::new(
                "too_many_alerts",
                format!(
                    "the payload holds more than {MAX_ALERTS} alerts; let the source send smaller groups"
                ),
            ));
        }
        Ok(())
    }
}

impl Times {
    /// Event time and begin of the occurrence. The begin is part of the occurrence's identity and therefore
    /// stays what the source says, even if that lies in the future; only where the source says nothing of time
    /// at all does it follow from the receive time.
    fn resolve(self, status: AlertStatus, received_at: Millis) -> (Millis, Millis) {
        let Self { at, starts, ends } = self;
        let timestamp = match status {
            AlertStatus::Firing => at.or(starts),
            AlertStatus::Resolved => ends.or(at),
        };
        let starts_at = starts.or(at).or(ends);
        (
            timestamp.unwrap_or(received_at),
            starts_at.unwrap_or(received_at),
        )
    }
}

/// The place of a payload.
struct Place<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
}

impl<'a> Place<'a> {
    fn of(meta: &'a Meta<'a>) -> Self {
        Self {
            topic: meta.topic,
            partition: meta.partition,
            offset: meta.offset,
        }
    }

    fn alert_id(&self, index: i32) -> String {
        let [mut partition, mut offset, mut place] = [itoa::Buffer::new(); 3];
        Digest::of(&[
            b"alert",
            self.topic.as_bytes(),
            partition.format(self.partition).as_bytes(),
            offset.format(self.offset).as_bytes(),
            place.format(index).as_bytes(),
        ])
        .hex()
    }

    fn raw(&self, index: i32) -> RawRef<CowStr<'a>> {
        RawRef {
            topic: self.topic.into(),
            partition: self.partition,
            offset: self.offset,
            index,
        }
    }
}

/// Identity of a series whose source gives none: what it is about, but not how bad it is, what it measured or
/// whether it fires.
fn fingerprint(alert: &BorrowedAlert<'_>) -> String {
    let mut parts: Vec<&[u8]> = vec![
        b"series",
        alert.source_system.as_bytes(),
        alert.alert_name.as_bytes(),
        alert.service_name.as_deref().unwrap_or_default().as_bytes(),
        alert.host_ip.as_deref().unwrap_or_default().as_bytes(),
        alert.domain.as_bytes(),
    ];
    let volatile = |name: &str| labels::SEVERITY.contains(&name) || labels::VALUE.contains(&name);
    for (name, value) in alert.labels.iter().filter(|(name, _)| !volatile(name)) {
        parts.push(name.as_bytes());
        parts.push(value.as_bytes());
    }
    Digest::of(&parts).hex()
}

fn severity(labels: &LabelMap<'_>) -> Option<Severity> {
    first(labels, labels::SEVERITY).map(|word| Severity::parse(&word))
}

fn value(annotations: &LabelMap<'_>, labels: &LabelMap<'_>) -> Option<f64> {
    let named = |map| first(map, labels::VALUE).and_then(|text| words::number(&text));
    named(annotations).or_else(|| named(labels))
}

#[cfg(test)]
mod tests {
    use prunella_schemas::NormalizedAlert;

    use super::*;

    const META: Meta<'_> = Meta {
        topic: "raw-alerts",
        partition: 3,
        offset: 41,
        received_at: 1_000_000,
    };

    fn finish(draft: Draft<'static>) -> NormalizedAlert {
        let mut batch = Batch::new("acme", &META);
        batch.push(draft).unwrap();
        batch.into_alerts().remove(0).map(CowStr::into_string)
    }

    fn map(pairs: &[(&'static str, &'static str)]) -> LabelMap<'static> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect()
    }

    fn check_times(
        status: AlertStatus,
        times: [Option<Millis>; 3],
        expected: (Millis, Millis, bool),
    ) {
        let [at, starts, ends] = times;
        let alert = finish(Draft {
            status,
            times: Times { at, starts, ends },
            ..Draft::default()
        });
        assert_eq!(
            (alert.timestamp, alert.starts_at, alert.time_clamped),
            expected,
            "{status} {times:?}"
        );
    }

    #[test]
    fn event_time_is_the_begin_of_what_fires_and_the_end_of_what_resolved() {
        use AlertStatus::{Firing, Resolved};
        check_times(Firing, [None, Some(5), Some(9)], (5, 5, false));
        check_times(Resolved, [None, Some(5), Some(9)], (9, 5, false));
        check_times(Firing, [Some(7), Some(5), None], (7, 5, false));
        check_times(Firing, [Some(7), None, None], (7, 7, false));
        check_times(Resolved, [None, Some(5), None], (1_000_000, 5, false));
        check_times(Firing, [None, None, None], (1_000_000, 1_000_000, false));
    }

    #[test]
    fn a_time_in_the_future_is_clamped_and_marked_but_the_occurrence_keeps_its_identity() {
        check_times(
            AlertStatus::Firing,
            [None, Some(1_000_001), None],
            (1_000_000, 1_000_001, true),
        );
        check_times(
            AlertStatus::Firing,
            [None, Some(1_000_000), None],
            (1_000_000, 1_000_000, false),
        );
    }

    #[test]
    fn facts_are_found_among_labels_and_annotations() {
        let alert = finish(Draft {
            labels: map(&[
                ("app", "shop"),
                ("instance", "10.0.0.7:9100"),
                ("env", "eu"),
                ("severity", "page"),
            ]),
            annotations: map(&[("value", "93.5%"), ("summary", "too hot")]),
            ..Draft::default()
        });
        assert_eq!(alert.service_name.as_deref(), Some("shop"));
        assert_eq!(alert.host_ip.as_deref(), Some("10.0.0.7"));
        assert_eq!(alert.domain, "eu");
        assert_eq!(alert.severity, Severity::Critical);
        assert_eq!(alert.metric_value, Some(93.5));
        assert_eq!(alert.description, "too hot");
    }

    #[test]
    fn what_nobody_says_is_left_open() {
        let alert = finish(Draft::default());
        assert_eq!(alert.service_name, None);
        assert_eq!(alert.host_ip, None);
        assert_eq!(alert.metric_value, None);
        assert_eq!(alert.severity, Severity::Unknown);
        assert_eq!(alert.domain, "default");
    }

    #[test]
    fn the_same_place_gives_the_same_id_and_each_alert_its_own() {
        let ids = || {
            let mut batch = Batch::new("acme", &META);
            batch.push(Draft::default()).unwrap();
            batch.push(Draft::default()).unwrap();
            let ids: Vec<CowStr<'_>> = batch
                .into_alerts()
                .into_iter()
                .map(|a| a.alert_id)
                .collect();
            ids
        };
        assert_eq!(ids(), ids());
        assert_ne!(ids()[0], ids()[1]);
        let parts: [&[u8]; 5] = [b"alert", b"raw-alerts", b"3", b"41", b"1"];
        assert_eq!(&*ids()[1], Digest::of(&parts).hex());
    }

    #[test]
    fn a_series_keeps_its_identity_when_its_severity_or_value_changes() {
        let series = |labels: &[(&'static str, &'static str)]| {
            finish(Draft {
                name: "Hot".into(),
                labels: map(labels),
                ..Draft::default()
            })
            .fingerprint
        };
        let warning = series(&[("severity", "warning"), ("value", "1"), ("pod", "a")]);
        assert_eq!(
            warning,
            series(&[("severity", "critical"), ("value", "2"), ("pod", "a")])
        );
        assert_ne!(
            warning,
            series(&[("severity", "warning"), ("value", "1"), ("pod", "b")])
        );
    }

    #[test]
    fn a_field_does_not_replace_an_annotation_of_its_name() {
        let mut draft = Draft {
            annotations: map(&[("receiver", "mine")]),
            ..Draft::default()
        };
        draft.keep("receiver", "theirs");
        draft.keep("empty", "");
        assert_eq!(
            draft.annotations,
            map(&[("field.receiver", "theirs"), ("receiver", "mine")])
        );
    }
}
