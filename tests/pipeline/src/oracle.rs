//! What must hold of every run, whatever went wrong in it.

use std::collections::{BTreeMap, BTreeSet};

use prunella_orchestrator::{SUMMARY, run_id, verify_chain};
use prunella_schemas::{
    Action, ActionResult, AuditEntry, Decision, NormalizedAlert, Outcome, PlaybookRun,
    ResultStatus, RunState,
};
use prunella_topology::topics;

use crate::pipeline::Pipeline;

/// Everything that came out of a pipeline at rest.
pub(crate) struct Seen {
    pub(crate) alerts: Vec<NormalizedAlert>,
    pub(crate) decisions: Vec<Decision>,
    pub(crate) actions: Vec<Action>,
    pub(crate) results: Vec<ActionResult>,
    pub(crate) runs: Vec<PlaybookRun>,
    audit: Vec<AuditEntry>,
    /// Dead letters by topic.
    pub(crate) dead: BTreeMap<&'static str, usize>,
}

impl Seen {
    pub(crate) fn of(pipeline: &Pipeline) -> Self {
        let dead = prunella_topology::TOPICS.iter().map(|topic| {
            let letters = pipeline.driver.committed(&topics::dead_letters(topic.name));
            (topic.name, letters.len())
        });
        Self {
            alerts: pipeline.read(topics::NORMALIZED_ALERTS),
            decisions: pipeline.read(topics::DECISIONS),
            actions: pipeline.read(topics::ACTIONS),
            results: pipeline.read(topics::RESULTS),
            runs: pipeline.read(topics::RUNS),
            audit: pipeline.read(topics::AUDIT),
            dead: dead.filter(|(_, count)| *count > 0).collect(),
        }
    }

    /// Decisions with that outcome for alerts of that name.
    pub(crate) fn decided(&self, alert_name: &str, outcome: Outcome) -> usize {
        self.decisions
            .iter()
            .filter(|decision| decision.alert_name == alert_name && decision.outcome == outcome)
            .count()
    }

    /// The last snapshot of every run.
    pub(crate) fn ended(&self) -> BTreeMap<&str, &PlaybookRun> {
        let runs = self.runs.iter();
        runs.filter(|run| run.finished_at != 0)
            .map(|run| (run.run_id.as_str(), run))
            .collect()
    }
}

/// The first thing that does not hold of a pipeline at rest. `payloads` is how many alerts each payload on
/// raw-alerts holds, by its bytes; a payload that is not there is expected among the dead letters.
pub(crate) fn judge(
    pipeline: &Pipeline,
    payloads: &BTreeMap<Vec<u8>, usize>,
) -> Result<(), String> {
    let seen = Seen::of(pipeline);
    every_alert_is_normalized_once(pipeline, &seen, payloads)?;
    every_alert_is_decided_once(&seen)?;
    every_occurrence_triggers_at_most_once(&seen)?;
    every_triggered_playbook_runs_once(&seen)?;
    every_action_has_one_result(&seen)?;
    every_key_acts_at_most_once(pipeline, &seen)?;
    every_run_is_told(pipeline, &seen)?;
    the_audit_trail_is_whole(&seen)
}

fn once<'a>(what: &str, ids: impl Iterator<Item = &'a str>) -> Result<BTreeSet<&'a str>, String> {
    let mut seen = BTreeSet::new();
    for id in ids {
        if !seen.insert(id) {
            return Err(format!("{what} {id} is there twice"));
        }
    }
    Ok(seen)
}

fn same(what: &str, found: &BTreeSet<&str>, expected: &BTreeSet<&str>) -> Result<(), String> {
    let lost: Vec<_> = expected.difference(found).collect();
    let extra: Vec<_> = found.difference(expected).collect();
    if lost.is_empty() && extra.is_empty() {
        return Ok(());
    }
    Err(format!("{what}: lost {lost:?}, from nowhere {extra:?}"))
}

fn every_alert_is_normalized_once(
    pipeline: &Pipeline,
    seen: &Seen,
    payloads: &BTreeMap<Vec<u8>, usize>,
) -> Result<(), String> {
    let ids = seen.alerts.iter().map(|alert| alert.raw.to_string());
    let ids: Vec<String> = ids.collect();
    let found = once("alert", ids.iter().map(String::as_str))?;
    let mut expected = Vec::new();
    let mut dead = 0;
    for raw in pipeline.driver.committed(topics::RAW_ALERTS) {
        let bytes = raw.value.clone().unwrap_or_default();
        match payloads.get(&bytes) {
            None => dead += 1,
            Some(alerts) => expected.extend((0..*alerts).map(|index| {
                format!(
                    "{}/{}/{}/{index}",
                    topics::RAW_ALERTS,
                    raw.partition,
                    raw.offset
                )
            })),
        }
    }
    let expected = expected.iter().map(String::as_str).collect();
    same("alerts", &found, &expected)?;
    let dead = BTreeMap::from_iter((dead > 0).then_some((topics::RAW_ALERTS, dead)));
    if seen.dead != dead {
        return Err(format!("dead letters: {:?}, expected {dead:?}", seen.dead));
    }
    Ok(())
}

fn every_alert_is_decided_once(seen: &Seen) -> Result<(), String> {
    let decided = seen.decisions.iter().map(|it| it.alert_id.as_str());
    let decided = once("the decision of alert", decided)?;
    let alerts = seen.alerts.iter().map(|it| it.alert_id.as_str()).collect();
    same("decided alerts", &decided, &alerts)
}

/// Nothing re-arms within a run: an occurrence that was decided stays so.
fn every_occurrence_triggers_at_most_once(seen: &Seen) -> Result<(), String> {
    let triggered = seen
        .decisions
        .iter()
        .filter(|decision| decision.outcome == Outcome::Triggered);
    once(
        "the triggering of series",
        triggered.map(|decision| decision.fingerprint.as_str()),
    )?;
    Ok(())
}

fn every_triggered_playbook_runs_once(seen: &Seen) -> Result<(), String> {
    let triggered = seen
        .decisions
        .iter()
        .filter(|decision| decision.outcome == Outcome::Triggered);
    let wanted: Vec<String> = triggered
        .filter_map(|it| Some(run_id(&it.decision_id, it.playbook_id.as_deref()?).hex()))
        .collect();
    let wanted = wanted.iter().map(String::as_str).collect();
    let ended = seen.runs.iter().filter(|run| run.finished_at != 0);
    let ended = once("the end of run", ended.map(|run| run.run_id.as_str()))?;
    same("runs", &ended, &wanted)?;
    let begun = seen.runs.iter().map(|run| run.run_id.as_str()).collect();
    same("runs begun", &begun, &ended)
}

fn every_action_has_one_result(seen: &Seen) -> Result<(), String> {
    let asked = once(
        "action",
        seen.actions.iter().map(|it| it.action_id.as_str()),
    )?;
    let answered = once(
        "the result of action",
        seen.results.iter().map(|it| it.action_id.as_str()),
    )?;
    same("results", &answered, &asked)
}

/// The target's own record against what was reported of it.
fn every_key_acts_at_most_once(pipeline: &Pipeline, seen: &Seen) -> Result<(), String> {
    let target = &pipeline.driver.world;
    for (key, times) in &target.done {
        if times.len() > 1 {
            return Err(format!("key {key} acted {} times: {times:?}", times.len()));
        }
    }
    // A retry under another key would slip past the keys.
    if let Some((task, times)) = target.by_task.iter().find(|(_, times)| **times > 1) {
        return Err(format!("the task {task:?} acted {times} times"));
    }
    let mut reported = BTreeSet::new();
    for result in seen.results.iter().filter(|result| result.mutating) {
        match result.status {
            ResultStatus::Succeeded => {
                reported.insert(result.idempotency_key.as_str());
            }
            ResultStatus::Unknown => {
                return Err(format!("a target that can be asked: {}", result.cause));
            }
            _ => {}
        }
    }
    let done = target.done.keys().map(String::as_str).collect();
    same("changes reported", &reported, &done)
}

/// People hear of the end of every run, at least once.
fn every_run_is_told(pipeline: &Pipeline, seen: &Seen) -> Result<(), String> {
    let summaries = seen.actions.iter().filter(|it| it.task_id == SUMMARY);
    let summaries = once("the summary of run", summaries.map(|it| it.run_id.as_str()))?;
    let ended = seen.ended();
    same("summaries", &summaries, &ended.keys().copied().collect())?;
    let told = pipeline.driver.world.told.iter();
    let told: BTreeSet<&str> = told.map(|notice| notice.run_id.as_str()).collect();
    for (id, run) in ended {
        if !told.contains(id) {
            return Err(format!("nobody heard of the end of run {id}"));
        }
        if matches!(run.state, RunState::Queued | RunState::Running) {
            return Err(format!("run {id} ended as {}", run.state));
        }
    }
    Ok(())
}

fn the_audit_trail_is_whole(seen: &Seen) -> Result<(), String> {
    let mut chains: BTreeMap<&str, Vec<&AuditEntry>> = BTreeMap::new();
    for entry in &seen.audit {
        chains.entry(&entry.writer).or_default().push(entry);
    }
    for mut chain in chains.into_values() {
        // A chain's domains lie in different partitions.
        chain.sort_by_key(|entry| entry.seq);
        if chain.first().is_some_and(|entry| entry.seq != 0) {
            return Err(format!("the chain of {} has no beginning", chain[0].writer));
        }
        verify_chain(chain).map_err(|broken| broken.to_string())?;
    }
    Ok(())
}
