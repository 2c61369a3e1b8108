//! What is counted. The names are constants and documented here; labels take few values: never a name that
//! somebody outside chose.

use axum::http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::problem::Kind;

/// Answers, by route and status. Exposed as `prunella_gateway_responses_total`.
pub const RESPONSES: &str = "prunella_gateway_responses";
/// Requests that were refused, by route and kind of problem. Exposed with `_total`.
pub const REFUSALS: &str = "prunella_gateway_refusals";
/// Records that Kafka acknowledged, by topic. Exposed with `_total`.
pub const RECORDS: &str = "prunella_gateway_records";
/// Bytes of the values of those records, by topic. Exposed with `_total`.
pub const RECORD_BYTES: &str = "prunella_gateway_record_bytes";
/// Records that Kafka did not acknowledge, by topic. Exposed with `_total`.
pub const FAILURES: &str = "prunella_gateway_failures";
/// Seconds from handing a record to the producer to Kafka's acknowledgement.
pub const ACKNOWLEDGEMENT: &str = "prunella_gateway_acknowledgement_seconds";
/// Open connections.
pub const CONNECTIONS: &str = "prunella_gateway_connections";

/// The gateway's routes, as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Alerts,
    Logs,
    Control,
    Switches,
    Knowledge,
    /// Health, readiness, metrics.
    Watch,
    /// Whatever else was asked for.
    Other,
}

impl Route {
    /// The route that serves a path.
    pub(crate) fn of(path: &str) -> Self {
        let mut parts = path.split('/').skip(1);
        match (parts.next(), parts.next()) {
            (Some("v1"), Some("alerts")) => Self::Alerts,
            (Some("v1"), Some("logs")) => Self::Logs,
            (Some("v1"), Some("control")) => Self::Control,
            (Some("v1"), Some("switches")) => Self::Switches,
            (Some("v1"), Some("knowledge")) => Self::Knowledge,
            (Some("healthz" | "readyz" | "metrics"), None) => Self::Watch,
            _ => Self::Other,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Alerts => "alerts",
            Self::Logs => "logs",
            Self::Control => "control",
            Self::Switches => "switches",
            Self::Knowledge => "knowledge",
            Self::Watch => "watch",
            Self::Other => "other",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    route: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refused {
    route: &'static str,
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Written {
    topic: &'static str,
}

/// Every metric of a gateway.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    responses: Family<Answered, Counter>,
    refusals: Family<Refused, Counter>,
    records: Family<Written, Counter>,
    record_bytes: Family<Written, Counter>,
    failures: Family<Written, Counter>,
    acknowledgement: Histogram,
    pub(crate) connections: Gauge,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::default(),
            responses: Family::default(),
            refusals: Family::default(),
            records: Family::default(),
            record_bytes: Family::default(),
            failures: Family::default(),
            acknowledgement: Histogram::new(exponential_buckets(0.001, 2.0, 14)),
            connections: Gauge::default(),
        };
        let registry = &mut metrics.registry;
        registry.register(RESPONSES, "Answers", metrics.responses.clone());
        registry.register(
            REFUSALS,
            "Requests that were refused",
            metrics.refusals.clone(),
        );
        registry.register(
            RECORDS,
            "Records that Kafka acknowledged",
            metrics.records.clone(),
        );
        registry.register(
            RECORD_BYTES,
            "Bytes that Kafka acknowledged",
            metrics.record_bytes.clone(),
        );
        registry.register(
            FAILURES,
            "Records that Kafka did not acknowledge",
            metrics.failures.clone(),
        );
        registry.register(
            ACKNOWLEDGEMENT,
            "Seconds until Kafka acknowledged a record",
            metrics.acknowledgement.clone(),
        );
        registry.register(CONNECTIONS, "Open connections", metrics.connections.clone());
        metrics
    }

    pub(crate) fn answered(&self, route: Route, status: StatusCode, refused: Option<Kind>) {
        let route = route.name();
        let status = status.as_u16();
        self.responses
            .get_or_create(&Answered { route, status })
            .inc();
        if let Some(kind) = refused {
            let kind = kind.name();
            self.refusals.get_or_create(&Refused { route, kind }).inc();
        }
    }

    pub(crate) fn written(&self, topic: &'static str, bytes: usize, seconds: f64) {
        let topic = Written { topic };
        self.records.get_or_create(&topic).inc();
        self.record_bytes.get_or_create(&topic).inc_by(bytes as u64);
        self.acknowledgement.observe(seconds);
    }

    pub(crate) fn failed(&self, topic: &'static str) {
        self.failures.get_or_create(&Written { topic }).inc();
    }

    /// Everything in the OpenMetrics text format.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a text cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_belongs_to_one_route_whatever_is_in_it() {
        for (path, route) in [
            ("/v1/alerts/anything", Route::Alerts),
            ("/v1/alerts", Route::Alerts),
            ("/v1/switches/kill-switch/eu", Route::Switches),
            ("/metrics", Route::Watch),
            ("/metrics/x", Route::Other),
            ("/../v1/alerts", Route::Other),
            ("", Route::Other),
        ] {
            assert_eq!(Route::of(path), route, "{path}");
        }
    }

    #[test]
    fn refusals_are_counted_by_route_and_kind() {
        let metrics = Metrics::new();
        metrics.answered(
            Route::Alerts,
            StatusCode::PAYLOAD_TOO_LARGE,
            Some(Kind::TooLarge),
        );
        metrics.answered(Route::Alerts, StatusCode::ACCEPTED, None);
        let text = metrics.text();
        for line in [
            r#"prunella_gateway_refusals_total{route="alerts",kind="too-large"} 1"#,
            r#"prunella_gateway_responses_total{route="alerts",status="413"} 1"#,
            r#"prunella_gateway_responses_total{route="alerts",status="202"} 1"#,
        ] {
            assert!(text.contains(line), "{text}");
        }
    }
}
