//! Single cases, without faults.

use std::collections::BTreeMap;

use prunella_pipeline::StageConfig;
use prunella_schemas::{Outcome, ResultStatus, RunState, TaskState};
use prunella_stream::driver::Settings;
use prunella_topology::topics;

use crate::oracle::{Seen, judge};
use crate::pipeline::{Alert, Pipeline};
use crate::target::Target;

fn pipeline(target: Target) -> Pipeline {
    Pipeline::start(Settings::faultless(1), target, &StageConfig::default())
}

fn pool(service: &str) -> Alert {
    Alert::new("Pool_Exhausted", service, "a")
}

/// Puts what the case wants, lets it settle, and holds the oracle against it.
#[track_caller]
fn settled(target: Target, put: impl FnOnce(&mut Pipeline)) -> (Pipeline, Seen) {
    let mut pipeline = pipeline(target);
    put(&mut pipeline);
    pipeline.rest();
    let verdict = judge(&pipeline, &pipeline.payloads());
    assert_eq!(verdict, Ok(()));
    let seen = Seen::of(&pipeline);
    (pipeline, seen)
}

#[test]
fn an_alert_ends_in_one_verified_fix() {
    let (pipeline, seen) = settled(Target::default(), |it| it.alert("prod", &[pool("orders")]));
    assert_eq!(seen.decided("Pool_Exhausted", Outcome::Triggered), 1);
    assert_eq!(pipeline.driver.world.done.len(), 1);
    assert_eq!(pipeline.driver.world.reads, 2);
    let ended = seen.ended();
    let run = ended.values().next().expect("one run");
    assert_eq!(run.state, RunState::Succeeded, "{}", run.summary);
    assert!(
        run.tasks
            .iter()
            .all(|task| task.state == TaskState::Succeeded)
    );
}

#[test]
fn every_result_leads_back_to_its_raw_record() {
    let (_, seen) = settled(Target::default(), |it| it.alert("prod", &[pool("orders")]));
    let raw = &seen.alerts[0].raw;
    assert!(seen.decisions.iter().all(|decision| decision.root == *raw));
    assert!(seen.actions.iter().all(|action| action.root == *raw));
    assert!(seen.results.iter().all(|result| result.root == *raw));
    assert!(seen.runs.iter().all(|run| run.root == *raw));
}

#[test]
fn an_alert_that_fires_on_is_decided_and_not_acted_upon_again() {
    let (pipeline, seen) = settled(Target::default(), |it| {
        for _ in 0..3 {
            it.alert("prod", &[pool("orders")]);
        }
    });
    assert_eq!(seen.decided("Pool_Exhausted", Outcome::Triggered), 1);
    assert_eq!(seen.decided("Pool_Exhausted", Outcome::Deduplicated), 2);
    assert_eq!(pipeline.driver.world.done.len(), 1);
}

#[test]
fn alerts_that_no_rule_names_and_resolved_ones_are_decided_and_start_nothing() {
    let resolved = Alert {
        resolved: true,
        ..pool("orders")
    };
    let noise = Alert::new("Disk_Noise", "orders", "a");
    let (pipeline, seen) = settled(Target::default(), |it| it.alert("prod", &[noise, resolved]));
    assert_eq!(seen.decided("Disk_Noise", Outcome::NoRule), 1);
    assert_eq!(seen.decided("Pool_Exhausted", Outcome::Resolved), 1);
    assert!(seen.runs.is_empty() && pipeline.driver.world.done.is_empty());
}

#[test]
fn a_rule_without_a_playbook_tells_people() {
    let certificate = Alert::new("Certificate_Expires", "orders", "a");
    let (pipeline, seen) = settled(Target::default(), |it| it.alert("prod", &[certificate]));
    assert_eq!(seen.decided("Certificate_Expires", Outcome::Notified), 1);
    assert_eq!(pipeline.driver.world.told.len(), 1);
    assert!(seen.runs.is_empty());
}

#[test]
fn a_windowed_rule_counts_occurrences_and_no_notifications() {
    let error = |instance: &str| Alert::new("Connection_Error", "stock", instance);
    let (_, seen) = settled(Target::default(), |it| {
        for instance in ["a", "a", "b", "a", "b"] {
            it.alert("prod", &[error(instance)]);
        }
    });
    assert_eq!(seen.decided("Connection_Error", Outcome::Triggered), 0);
    let (_, seen) = settled(Target::default(), |it| {
        it.alert("prod", &[error("a"), error("b"), error("c")]);
    });
    assert_eq!(seen.decided("Connection_Error", Outcome::Triggered), 1);
}

#[test]
fn a_payload_that_is_none_is_put_aside_and_stops_nothing() {
    let (pipeline, seen) = settled(Target::default(), |it| {
        it.raw("alertmanager/x", b"{\"alerts\": [");
        it.raw("alertmanager/x", b"");
        it.alert("prod", &[pool("orders")]);
    });
    assert_eq!(seen.dead, BTreeMap::from([(topics::RAW_ALERTS, 2)]));
    assert_eq!(pipeline.driver.world.done.len(), 1);
}

#[test]
fn with_the_kill_switch_thrown_nothing_changes_and_people_are_told() {
    let (pipeline, seen) = settled(Target::default(), |it| {
        it.throw_kill_switch();
        it.rest();
        it.alert("prod", &[pool("orders"), pool("stock")]);
    });
    nothing_was_changed(&pipeline, &seen, 2);
    // The orchestrator knows: it asks for no change at all.
    assert!(seen.actions.iter().all(|action| !action.mutating));
}

#[test]
fn a_kill_switch_that_only_the_edge_knows_of_refuses_right_before_the_effect() {
    let target = Target {
        killed: true,
        ..Target::default()
    };
    let (pipeline, seen) = settled(target, |it| it.alert("prod", &[pool("orders")]));
    nothing_was_changed(&pipeline, &seen, 1);
    let refused = seen.results.iter().filter(|result| result.mutating);
    assert!(refused.clone().count() > 0);
    assert!(
        refused
            .into_iter()
            .all(|result| result.status == ResultStatus::Refused)
    );
}

#[track_caller]
fn nothing_was_changed(pipeline: &Pipeline, seen: &Seen, runs: usize) {
    assert!(pipeline.driver.world.done.is_empty());
    let ended = seen.ended();
    assert_eq!(ended.len(), runs);
    for run in ended.values() {
        assert_eq!(run.state, RunState::Refused, "{}", run.summary);
        assert!(run.summary.contains("kill"), "{}", run.summary);
        let told = pipeline.driver.world.told.iter();
        assert!(told.filter(|notice| notice.run_id == run.run_id).count() > 0);
    }
}
