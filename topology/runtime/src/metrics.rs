//! Metrics of the Kafka edge. Names are constants of the project; labels are stages and outcomes only.

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// Which stage.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct StageLabel {
    pub(crate) stage: &'static str,
}

/// Which stage and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OutcomeLabel {
    pub(crate) stage: &'static str,
    pub(crate) outcome: &'static str,
}

/// The metrics of one process.
pub struct Metrics {
    registry: Registry,
    /// `prunella_records_total`: records processed, by stage and outcome (processed, skipped, rejected).
    pub(crate) records: Family<OutcomeLabel, Counter>,
    /// `prunella_transactions_total`: transactions, by stage and outcome (committed, aborted, rebuilt).
    pub(crate) transactions: Family<OutcomeLabel, Counter>,
    /// `prunella_commit_seconds`: from closing a transaction to its fold, by stage.
    pub(crate) commit_seconds: Family<StageLabel, Histogram, fn() -> Histogram>,
    /// `prunella_rebalances_total`: assignments taken up, by stage.
    pub(crate) rebalances: Family<StageLabel, Counter>,
    /// `prunella_fences_total`: dead owners fenced on takeover, by stage.
    pub(crate) fences: Family<StageLabel, Counter>,
    /// `prunella_restored_records_total`: changelog records read back, by stage.
    pub(crate) restored: Family<StageLabel, Counter>,
    /// `prunella_open_effects`: effects claimed and not settled, by stage.
    pub(crate) open_effects: Family<StageLabel, Gauge>,
    /// `prunella_assigned_partitions`: tasks running here, by stage.
    pub(crate) assigned: Family<StageLabel, Gauge>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("prunella"),
            records: Family::default(),
            transactions: Family::default(),
            commit_seconds: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets(0.001, 2.0, 14))
            }),
            rebalances: Family::default(),
            fences: Family::default(),
            restored: Family::default(),
            open_effects: Family::default(),
            assigned: Family::default(),
        };
        let registry = &mut metrics.registry;
        registry.register(
            "records",
            "Records by what became of them",
            metrics.records.clone(),
        );
        registry.register(
            "transactions",
            "Transactions by how they ended",
            metrics.transactions.clone(),
        );
        registry.register(
            "commit_seconds",
            "Time from closing a transaction to its fold",
            metrics.commit_seconds.clone(),
        );
        registry.register(
            "rebalances",
            "Assignments taken up",
            metrics.rebalances.clone(),
        );
        registry.register(
            "fences",
            "Dead owners fenced on takeover",
            metrics.fences.clone(),
        );
        registry.register(
            "restored_records",
            "Changelog records read back",
            metrics.restored.clone(),
        );
        registry.register(
            "open_effects",
            "Effects claimed and not settled",
            metrics.open_effects.clone(),
        );
        registry.register(
            "assigned_partitions",
            "Tasks running here",
            metrics.assigned.clone(),
        );
        metrics
    }
}

impl Metrics {
    /// The registry, for other parts of the process to add theirs before it is shared.
    pub fn registry_mut(&mut self) -> &mut Registry {
        &mut self.registry
    }

    /// Everything in the text format that Prometheus scrapes.
    #[must_use]
    pub fn render(&self) -> String {
        let mut out = String::new();
        // Writing to a string does not fail.
        let _ = text::encode(&mut out, &self.registry);
        out
    }

    pub(crate) fn record(&self, stage: &'static str, outcome: &'static str, count: u64) {
        if count > 0 {
            self.records
                .get_or_create(&OutcomeLabel { stage, outcome })
                .inc_by(count);
        }
    }

    pub(crate) fn transaction(&self, stage: &'static str, outcome: &'static str) {
        self.transactions
            .get_or_create(&OutcomeLabel { stage, outcome })
            .inc();
    }
}
