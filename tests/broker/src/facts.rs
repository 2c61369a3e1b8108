//! What came of it all, as the Java client reads it, and what is wrong with it, if anything.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use prunella_schemas::{
    Action, ActionResult, AuditEntry, AvroRecord, Decision, NormalizedAlert, Outcome, PlaybookRun,
    RawRef, ResultStatus, RunState, decode,
};
use prunella_test_servers::{CommittedRecord, partition_ends, read_committed};
use prunella_topology::topics::{
    ACTIONS, AUDIT, DEAD_LETTERS, DECISIONS, NORMALIZED_ALERTS, RAW_ALERTS, RESULTS, RUNS,
};
use serde_json::Value;

use crate::pipeline::Pipeline;

/// Longest that one topic may take to read.
const READ: Duration = Duration::from_secs(120);
/// The most faults of one kind that are listed.
const LISTED: usize = 5;

/// Everything on the topics, decoded.
#[derive(Debug, Default)]
pub struct Facts {
    /// The service of each alert on raw-alerts, by its place there.
    pub alerts: BTreeMap<RawRef, String>,
    /// Alerts in the common shape.
    pub normalized: Vec<NormalizedAlert>,
    /// Decisions.
    pub decisions: Vec<Decision>,
    /// Snapshots of runs.
    pub runs: Vec<PlaybookRun>,
    /// Actions.
    pub actions: Vec<Action>,
    /// Results.
    pub results: Vec<ActionResult>,
    /// The audit trail.
    pub audit: Vec<AuditEntry>,
    /// Partitions that hold an open transaction.
    pub open_transactions: Vec<String>,
    /// Records in dead-letter queues, by topic.
    pub dead: BTreeMap<String, i64>,
}

impl Facts {
    /// Reads all topics of a pipeline.
    ///
    /// # Errors
    /// A topic that cannot be read, or a record that cannot be decoded.
    pub fn gather(pipeline: &Pipeline) -> Result<Self> {
        let mut facts = Self {
            normalized: all(pipeline, NORMALIZED_ALERTS)?,
            decisions: all(pipeline, DECISIONS)?,
            runs: all(pipeline, RUNS)?,
            actions: all(pipeline, ACTIONS)?,
            results: all(pipeline, RESULTS)?,
            audit: all(pipeline, AUDIT)?,
            ..Self::default()
        };
        let raw = read(pipeline, RAW_ALERTS)?;
        for record in raw {
            for (index, service) in services(&record)?.into_iter().enumerate() {
                let place = RawRef {
                    topic: RAW_ALERTS.to_owned(),
                    partition: record.partition,
                    offset: record.offset,
                    index: i32::try_from(index)?,
                };
                facts.alerts.insert(place, service);
            }
        }
        facts.look_at_ends(pipeline)?;
        Ok(facts)
    }

    fn look_at_ends(&mut self, pipeline: &Pipeline) -> Result<()> {
        for (topic, range) in partition_ends(&pipeline.bootstrap, &pipeline.prefix, READ)? {
            if range.has_open_transaction() {
                self.open_transactions.push(format!(
                    "{topic}/{} from {} to {}",
                    range.partition, range.end, range.high_watermark
                ));
            }
            let held = range.high_watermark - range.begin;
            if topic.ends_with(DEAD_LETTERS) && held > 0 {
                *self.dead.entry(topic).or_default() += held;
            }
        }
        Ok(())
    }

    /// Everything that is not as exactly-once promises. `fed` are the services of the alerts that were sent in,
    /// `acts` those whose alert triggers the playbook, `hits` the target's own count of requests by key.
    #[must_use]
    pub fn faults(
        &self,
        fed: &BTreeSet<String>,
        acts: &BTreeSet<String>,
        hits: &BTreeMap<String, usize>,
    ) -> Vec<String> {
        let mut faults = Faults::default();
        let arrived: BTreeSet<&String> = self.alerts.values().collect();
        faults.each(
            "an alert is not on raw-alerts",
            fed.iter().filter(|service| !arrived.contains(service)),
        );
        let once = |things: &mut dyn Iterator<Item = RawRef>| count(things);
        self.once(
            &mut faults,
            "normalized",
            &once(&mut self.normalized.iter().map(|alert| alert.raw.clone())),
        );
        self.once(
            &mut faults,
            "decided",
            &once(&mut self.decisions.iter().map(|decision| decision.root.clone())),
        );
        self.check_runs(&mut faults, acts);
        self.check_actions(&mut faults, hits);
        self.check_audit(&mut faults);
        faults.each("an open transaction in", &self.open_transactions);
        faults.each("dead letters in", self.dead.keys());
        faults.0
    }

    /// Each alert exactly once.
    fn once(&self, faults: &mut Faults, what: &str, seen: &BTreeMap<RawRef, usize>) {
        let times = |place: &RawRef| seen.get(place).copied().unwrap_or(0);
        let wrong = self.alerts.keys().filter(|place| times(place) != 1);
        faults.each(
            &format!("not {what} once:"),
            wrong.map(|place| format!("{place}, {} times", times(place))),
        );
        let unknown = seen.keys().filter(|place| !self.alerts.contains_key(place));
        faults.each(&format!("{what} from nothing:"), unknown);
    }

    /// Each alert that asks for it triggers once, however often it was sent; each run runs once, to its end.
    fn check_runs(&self, faults: &mut Faults, acts: &BTreeSet<String>) {
        let triggered = self
            .decisions
            .iter()
            .filter(|decision| decision.outcome == Outcome::Triggered);
        let triggered =
            count(&mut triggered.map(|decision| decision.service_name.clone().unwrap_or_default()));
        exactly(
            faults,
            "a playbook not triggered once for",
            &triggered,
            acts,
        );
        let ended = self.runs.iter().filter(|run| run.finished_at > 0);
        let ended = count(&mut ended.map(|run| run.run_id.clone()));
        let runs: BTreeSet<String> = self.runs.iter().map(|run| run.run_id.clone()).collect();
        exactly(faults, "a run that did not end once:", &ended, &runs);
        let mut services: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
        for run in &self.runs {
            services
                .entry(run.service_name.clone().unwrap_or_default())
                .or_default()
                .insert(&run.run_id);
        }
        let services: BTreeMap<String, usize> = services
            .into_iter()
            .map(|(service, runs)| (service, runs.len()))
            .collect();
        exactly(faults, "not one run for", &services, acts);
        let failed = self
            .runs
            .iter()
            .filter(|run| run.finished_at > 0 && run.state != RunState::Succeeded);
        faults.each(
            "a run that failed:",
            failed.map(|run| format!("{} {:?}: {}", run.run_id, run.state, run.summary)),
        );
    }

    /// Each action once, each with one good result, and each change once at its target.
    fn check_actions(&self, faults: &mut Faults, hits: &BTreeMap<String, usize>) {
        let ids: BTreeSet<String> = self
            .actions
            .iter()
            .map(|action| action.action_id.clone())
            .collect();
        let asked = count(&mut self.actions.iter().map(|action| action.action_id.clone()));
        exactly(faults, "an action not asked for once:", &asked, &ids);
        let answered = count(&mut self.results.iter().map(|result| result.action_id.clone()));
        exactly(faults, "an action not answered once:", &answered, &ids);
        let bad = self
            .results
            .iter()
            .filter(|result| result.status != ResultStatus::Succeeded);
        faults.each(
            "a bad result:",
            bad.map(|result| format!("{} {:?}: {}", result.action_id, result.status, result.cause)),
        );
        let changes = self.actions.iter().filter(|action| action.mutating);
        let keys = changes
            .map(|action| action.idempotency_key.clone())
            .collect();
        exactly(faults, "not once in the target's log: key", hits, &keys);
    }

    /// Each writer's chain is one chain: no entry lost, none written twice.
    fn check_audit(&self, faults: &mut Faults) {
        let mut chains: BTreeMap<&str, BTreeMap<i64, Vec<&AuditEntry>>> = BTreeMap::new();
        for entry in &self.audit {
            chains
                .entry(&entry.writer)
                .or_default()
                .entry(entry.seq)
                .or_default()
                .push(entry);
        }
        for (writer, chain) in chains {
            let mut before = "";
            for (place, (seq, entries)) in chain.iter().enumerate() {
                let whole = i64::try_from(place) == Ok(*seq) && entries.len() == 1;
                if !whole || entries[0].prev_hash != before {
                    faults.0.push(format!(
                        "the audit chain of {writer} breaks at {seq}, {} entries",
                        entries.len()
                    ));
                    break;
                }
                before = &entries[0].hash;
            }
        }
    }
}

/// Faults in words.
#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    fn each<T: ToString>(&mut self, what: &str, found: impl IntoIterator<Item = T>) {
        let found: Vec<String> = found.into_iter().map(|thing| thing.to_string()).collect();
        self.0.extend(
            found
                .iter()
                .take(LISTED)
                .map(|thing| format!("{what} {thing}")),
        );
        if found.len() > LISTED {
            self.0.push(format!("... {what} {} in all", found.len()));
        }
    }
}

fn count<T: Ord>(things: &mut dyn Iterator<Item = T>) -> BTreeMap<T, usize> {
    let mut counts = BTreeMap::new();
    for thing in things {
        *counts.entry(thing).or_default() += 1;
    }
    counts
}

/// Every wanted thing once, and nothing else.
fn exactly(
    faults: &mut Faults,
    what: &str,
    seen: &BTreeMap<String, usize>,
    wanted: &BTreeSet<String>,
) {
    let times = |thing: &String| seen.get(thing).copied().unwrap_or(0);
    let all: BTreeSet<&String> = wanted.iter().chain(seen.keys()).collect();
    let wrong = all
        .into_iter()
        .filter(|thing| times(thing) != usize::from(wanted.contains(*thing)));
    faults.each(
        what,
        wrong.map(|thing| format!("{thing} ({} times)", times(thing))),
    );
}

fn read(pipeline: &Pipeline, topic: &str) -> Result<Vec<CommittedRecord>> {
    Ok(read_committed(
        &pipeline.bootstrap,
        &pipeline.topic(topic),
        READ,
    )?)
}

fn all<T: AvroRecord>(pipeline: &Pipeline, topic: &str) -> Result<Vec<T>> {
    let decoded = read(pipeline, topic)?.into_iter().map(|record| {
        let value = record.value.unwrap_or_default();
        decode(&value)
            .map_err(|error| anyhow!("{topic}/{}/{}: {error}", record.partition, record.offset))
    });
    decoded.collect()
}

/// The services of the alerts in one payload: an Alertmanager webhook, or a single event.
fn services(record: &CommittedRecord) -> Result<Vec<String>> {
    let payload: Value = serde_json::from_slice(record.value.as_deref().unwrap_or_default())?;
    let text = |value: &Value| {
        value
            .as_str()
            .map(str::to_owned)
            .context("an alert without a service")
    };
    match payload["alerts"].as_array() {
        Some(alerts) => alerts
            .iter()
            .map(|alert| text(&alert["labels"]["service"]))
            .collect(),
        None => Ok(vec![text(&payload["service"])?]),
    }
}
