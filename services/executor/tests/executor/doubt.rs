//! What follows when nobody knows whether an effect happened.

use crate::world::{START, World, answered, call, call_without_probe, notification, outcome, read};
use prunella_executor::{EffectOutcome, Ended, ExecutorSettings, NotStarted, Step};
use prunella_schemas::{Action, ResultStatus};

const DONE: &str = r#"{"done":true}"#;
const ABSENT: &str = r#"{"done":false}"#;

fn begun(action: &Action) -> World {
    let mut world = World::new(ExecutorSettings::default());
    world.act(action);
    world
}

/// What is next: the result's status, or the step that was claimed.
fn next(world: &World) -> Result<ResultStatus, Step> {
    match world.results.first() {
        Some(result) => Ok(result.status),
        None => Err(world.only().step),
    }
}

/// What follows the edge's report, once the deadline of the claim has passed.
fn check_settled(action: &Action, outcome: EffectOutcome, expected: Result<ResultStatus, Step>) {
    let mut world = begun(action);
    world.settle(outcome.clone());
    world.pass(6_001);
    assert_eq!(next(&world), expected, "{} {outcome:?}", action.kind);
}

#[test]
fn what_the_edge_knows_is_the_result() {
    for action in [
        call("a", 1),
        call_without_probe("a", 1),
        read("a", 1),
        notification("a", 1),
    ] {
        check_settled(
            &action,
            outcome(Ended::Succeeded),
            Ok(ResultStatus::Succeeded),
        );
        check_settled(&action, outcome(Ended::Refused), Ok(ResultStatus::Refused));
        let rejected = EffectOutcome {
            status: Some(400),
            ..outcome(Ended::Failed)
        };
        check_settled(&action, rejected, Ok(ResultStatus::Failed));
    }
}

#[test]
fn a_lost_answer_is_asked_for_or_unknown_and_a_read_has_failed() {
    for lost in [
        outcome(Ended::Lost),
        EffectOutcome::decode(b""),
        EffectOutcome::decode(b"{"),
    ] {
        check_settled(&call("a", 1), lost.clone(), Err(Step::Probe));
        check_settled(
            &call_without_probe("a", 1),
            lost.clone(),
            Ok(ResultStatus::Unknown),
        );
        check_settled(&read("a", 1), lost.clone(), Ok(ResultStatus::Failed));
        check_settled(&notification("a", 1), lost, Err(Step::Act));
    }
}

#[test]
fn a_lost_answer_is_asked_for_only_after_the_deadline() {
    let mut world = begun(&call("a", 1));
    let deadline = world.begun[0].deadline;
    world.settle(outcome(Ended::Lost));
    world.pass(deadline - world.now);
    assert!(world.begun.is_empty());
    world.pass(1);
    assert_eq!(world.only().step, Step::Probe);
    assert!(world.begun[0].deadline > world.now);
}

#[test]
fn a_claim_found_open_after_a_crash_waits_out_its_deadline() {
    for (action, expected) in [
        (call("a", 1), Err(Step::Probe)),
        (call_without_probe("a", 1), Ok(ResultStatus::Unknown)),
        (notification("a", 1), Err(Step::Act)),
    ] {
        let mut world = begun(&action);
        let deadline = world.begun[0].deadline;
        world.crash();
        world.pass(deadline - world.now);
        assert!(
            world.begun.is_empty() && world.results.is_empty(),
            "{action:?}"
        );
        // A second crash meanwhile changes nothing.
        world.crash();
        world.pass(1);
        assert_eq!(next(&world), expected);
    }
}

#[test]
fn a_read_found_open_after_a_crash_is_read_again_at_once() {
    let mut world = begun(&read("a", 1));
    world.crash();
    world.pass(0);
    let effect = world.only();
    assert_eq!((effect.step, effect.attempt), (Step::Act, 2));
}

#[test]
fn a_notification_is_sent_again_under_the_same_key() {
    let mut world = begun(&notification("a", 1));
    let first = world.only();
    world.crash();
    world.pass(6_001);
    let second = world.only();
    assert_eq!(second.idempotency_key, first.idempotency_key);
    assert_eq!((second.step, second.attempt), (Step::Act, 2));
    world.settle(outcome(Ended::Succeeded));
    assert_eq!(world.result().status, ResultStatus::Succeeded);
    assert_eq!(world.result().claim_attempt, 2);
}

#[test]
fn a_notification_that_nobody_takes_is_sent_again_a_few_times() {
    let refused = |status| EffectOutcome {
        status,
        ..outcome(Ended::Failed)
    };
    for (outcome, sent, last) in [
        (outcome(Ended::Lost), 5, ResultStatus::Unknown),
        (refused(Some(503)), 5, ResultStatus::Unknown),
        (refused(Some(429)), 5, ResultStatus::Unknown),
        (refused(None), 5, ResultStatus::Unknown),
        (refused(Some(404)), 1, ResultStatus::Failed),
    ] {
        let mut world = begun(&notification("a", 1));
        let mut count = 0;
        while world.results.is_empty() {
            count += 1;
            world.settle(outcome.clone());
            world.wait();
        }
        assert_eq!((count, world.result().status), (sent, last), "{outcome:?}");
    }
}

/// After a doubt of ours (a crash) or of the target's (no answer), and this answer of the target: what is next?
fn check_probed(crash: bool, answer: EffectOutcome, expected: Result<ResultStatus, Step>) {
    let mut world = begun(&call("a", 1));
    if crash {
        world.crash();
    } else {
        world.settle(outcome(Ended::Lost));
    }
    world.pass(6_001);
    world.settle(answer.clone());
    assert_eq!(next(&world), expected, "crash {crash}, {answer:?}");
}

#[test]
fn what_the_target_says_was_done_has_succeeded() {
    for crash in [true, false] {
        check_probed(crash, answered(200, DONE), Ok(ResultStatus::Succeeded));
        check_probed(crash, answered(500, DONE), Ok(ResultStatus::Succeeded));
    }
    let mut world = begun(&call("a", 1));
    world.crash();
    world.pass(6_001);
    world.settle(answered(200, DONE));
    let result = world.result();
    assert!(result.probed);
    assert_eq!((result.started_at, result.claim_attempt), (START, 2));
    assert_eq!(result.output.as_deref(), Some(DONE));
}

#[test]
fn what_was_not_done_is_done_again_after_our_crash_and_failed_after_the_targets_silence() {
    check_probed(true, answered(200, ABSENT), Err(Step::Act));
    check_probed(false, answered(200, ABSENT), Ok(ResultStatus::Failed));
}

#[test]
fn what_was_not_done_is_not_done_again_when_its_time_has_ended() {
    let action = Action {
        not_after: START + 3_000,
        ..call("a", 1)
    };
    let mut world = begun(&action);
    world.crash();
    world.pass(6_001);
    world.settle(answered(200, ABSENT));
    assert_eq!(world.result().status, ResultStatus::Expired);
}

#[test]
fn the_second_time_is_a_claim_of_its_own_under_the_same_key() {
    let mut world = begun(&call("a", 1));
    let first = world.only();
    world.crash();
    world.pass(6_001);
    assert_eq!(world.only().attempt, 2);
    world.settle(answered(200, ABSENT));
    let second = world.only();
    assert_eq!((second.step, second.attempt), (Step::Act, 3));
    assert_eq!(second.idempotency_key, first.idempotency_key);
}

#[test]
fn a_target_that_cannot_tell_is_asked_a_few_times_and_then_it_is_a_persons() {
    for unclear in [
        answered(503, r#"{"text":"busy"}"#),
        answered(200, "{}"),
        answered(200, r#"{"done":"yes"}"#),
        answered(200, r#"{"done":null}"#),
        outcome(Ended::Lost),
        outcome(Ended::Failed),
        EffectOutcome::new(Ended::Answered, ""),
    ] {
        let mut world = begun(&call("a", 1));
        world.crash();
        world.pass(6_001);
        let mut asked = 0;
        while world.results.is_empty() {
            assert_eq!(world.only().step, Step::Probe);
            asked += 1;
            world.settle(unclear.clone());
            world.wait();
        }
        assert_eq!(asked, 5, "{unclear:?}");
        assert_eq!(world.result().status, ResultStatus::Unknown);
        assert!(world.result().cause.contains("a person must look"));
        assert!(world.is_at_rest());
    }
}

#[test]
fn without_absent_if_what_is_not_done_stays_unknown() {
    let spec = r#"{"method":"POST","path":"/r","timeout_ms":1,"probe":{"method":"GET","path":"/p","done_if":"status == 200"}}"#;
    for (status, expected) in [(200, ResultStatus::Succeeded), (404, ResultStatus::Unknown)] {
        let mut world = begun(&Action {
            spec: spec.to_owned(),
            ..call("a", 1)
        });
        world.crash();
        world.pass(6_001);
        while world.results.is_empty() {
            world.settle(answered(status, "{}"));
            world.wait();
        }
        assert_eq!(world.result().status, expected);
    }
}

#[test]
fn an_answer_that_says_both_says_nothing() {
    let spec = r#"{"method":"POST","path":"/r","timeout_ms":1,"probe":{"method":"GET","path":"/p","done_if":"status == 200","absent_if":"status < 300"}}"#;
    let mut world = begun(&Action {
        spec: spec.to_owned(),
        ..call("a", 1)
    });
    world.crash();
    world.pass(6_001);
    world.settle(answered(200, "{}"));
    world.wait();
    assert_eq!(next(&world), Err(Step::Probe));
}

#[test]
fn a_probe_found_open_after_a_crash_is_asked_again_at_once() {
    let mut world = begun(&call("a", 1));
    world.crash();
    world.pass(6_001);
    let deadline = world.begun[0].deadline;
    world.crash();
    world.pass(0);
    assert_eq!(world.only().step, Step::Probe);
    assert_eq!(world.only().attempt, 3);
    assert!(deadline > START);
}

#[test]
fn what_was_not_begun_is_claimed_again_and_in_the_end_refused_or_failed() {
    use NotStarted::{DeadlinePassed, Draining, KillSwitch, LeaseExpired, SwitchUnconfirmed};
    for (reason, claims, status) in [
        (LeaseExpired, 8, ResultStatus::Failed),
        (DeadlinePassed, 8, ResultStatus::Failed),
        (Draining, 8, ResultStatus::Failed),
        (SwitchUnconfirmed, 8, ResultStatus::Refused),
        (KillSwitch, 1, ResultStatus::Refused),
    ] {
        let mut world = begun(&call("a", 1));
        let mut claimed = 0;
        while world.results.is_empty() {
            claimed += 1;
            assert_eq!(world.only().step, Step::Act);
            world.settle(outcome(Ended::NotStarted(reason)));
            world.wait();
        }
        assert_eq!(
            (claimed, world.result().status),
            (claims, status),
            "{reason:?}"
        );
        assert_eq!(world.result().started_at, 0);
    }
}

#[test]
fn what_was_not_begun_before_its_time_ended_has_expired() {
    let mut world = begun(&Action {
        not_after: START + 100,
        ..call("a", 1)
    });
    world.settle(outcome(Ended::NotStarted(NotStarted::LeaseExpired)));
    world.pass(10_000);
    assert_eq!(world.result().status, ResultStatus::Expired);
}

#[test]
fn an_effect_that_never_reports_counts_as_lost_after_its_deadline() {
    for (action, expected) in [
        (call("a", 1), Err(Step::Probe)),
        (read("a", 1), Ok(ResultStatus::Failed)),
        (notification("a", 1), Err(Step::Act)),
        (call_without_probe("a", 1), Ok(ResultStatus::Unknown)),
    ] {
        let mut world = begun(&action);
        let lost = world.begun.remove(0);
        world.pass(lost.deadline - world.now);
        assert!(world.begun.is_empty() && world.results.is_empty());
        world.wait();
        assert_eq!(next(&world), expected);
        // Its report, should it still come, is about a claim that is over.
        world.complete(&lost, outcome(Ended::Failed).encode());
        world.pass(0);
        assert_eq!(next(&world), expected);
    }
}

#[test]
fn a_report_that_comes_while_the_deadline_is_waited_out_is_believed() {
    let mut world = begun(&call("a", 1));
    let request = world.begun.remove(0);
    world.restart();
    world.pass(100);
    world.complete(&request, outcome(Ended::Succeeded).encode());
    world.pass(0);
    assert_eq!(world.result().status, ResultStatus::Succeeded);
    assert!(!world.result().probed);
    world.pass(60_000);
    assert!(world.is_at_rest() && world.results.len() == 1);
}
