//! Which actions are claimed, and when.

use crate::world::{
    START, World, answered, call, call_without_probe, notification, outcome, read, spec_of,
};
use prunella_executor::{EffectOutcome, Ended, ExecutorSettings, Step};
use prunella_schemas::{Action, ResultStatus, Switch, SwitchKind};
use prunella_stream::Task;

fn world() -> World {
    World::new(ExecutorSettings::default())
}

fn succeed(world: &mut World) {
    world.settle(outcome(Ended::Succeeded));
}

fn thrown(domain: Option<&str>, on: bool) -> Switch {
    Switch {
        kind: SwitchKind::KillSwitch,
        on,
        domain: domain.map(str::to_owned),
        author: "ada".to_owned(),
        ..Switch::default()
    }
}

#[test]
fn an_action_is_claimed_then_acted_then_answered() {
    let mut world = world();
    let action = Action {
        run_id: "run".to_owned(),
        received_at: 5,
        ..call("restart", 1)
    };
    world.present_traced(&action, Some(b"00-1-2-01"));
    assert!(
        world.begun.is_empty(),
        "nothing is begun before the claim is committed"
    );
    world.commit();

    let effect = world.only();
    assert_eq!((effect.step, effect.attempt), (Step::Act, 1));
    assert_eq!(
        (effect.action_id, effect.spec),
        (action.action_id.clone(), action.spec.clone())
    );
    assert_eq!(effect.trace.as_deref(), Some("00-1-2-01"));

    world.now += 20;
    world.settle(EffectOutcome {
        output: Some(r#"{"ok":true}"#.to_owned()),
        ..outcome(Ended::Succeeded)
    });
    let result = world.result();
    assert_eq!(result.status, ResultStatus::Succeeded);
    assert_eq!(result.output.as_deref(), Some(r#"{"ok":true}"#));
    assert_eq!((result.attempt, result.claim_attempt), (1, 1));
    assert_eq!(
        (result.started_at, result.finished_at),
        (START + 1, START + 20)
    );
    assert_eq!((result.received_at, result.run_id.as_str()), (5, "run"));
    assert_eq!(world.traces, [Some(b"00-1-2-01".to_vec())]);
    assert!(world.is_at_rest());
}

#[test]
fn a_claim_outlives_every_timeout_of_its_request() {
    for (timeout_ms, expected) in [(1_000, 1_000), (0, 1), (-5, 1), (i64::MAX, 3_600_000)] {
        let mut world = world();
        world.act(&Action {
            timeout_ms,
            ..call("restart", 1)
        });
        let effect = world.only();
        assert_eq!(effect.timeout_ms, expected);
        let margin = ExecutorSettings::default().margin_ms;
        assert_eq!(world.begun[0].deadline, START + expected + margin);
    }
}

#[test]
fn an_action_is_begun_until_its_time_ends_and_not_after() {
    for (not_after, begun) in [(START, true), (START - 1, false)] {
        let mut world = world();
        world.act(&Action {
            not_after,
            ..call("restart", 1)
        });
        assert_eq!(world.begun.len(), usize::from(begun));
        if !begun {
            assert_eq!(world.result().status, ResultStatus::Expired);
            assert_eq!(world.result().started_at, 0);
        }
    }
}

#[test]
fn a_kind_that_nobody_knows_fails_by_name() {
    let mut world = world();
    world.act(&Action {
        kind: "Kubernetes_Scale".to_owned(),
        ..call("scale", 1)
    });
    assert_eq!(world.result().status, ResultStatus::Failed);
    assert!(world.result().cause.contains("`Kubernetes_Scale`"));
    assert!(world.begun.is_empty());
}

#[test]
fn a_kill_switch_stops_what_changes_its_target_and_nothing_else() {
    for (switch, action, refused) in [
        (thrown(None, true), call("a", 1), true),
        (thrown(Some("PROD"), true), call("a", 1), true),
        (thrown(Some("staging"), true), call("a", 1), false),
        (thrown(None, false), call("a", 1), false),
        (thrown(None, true), read("a", 1), false),
        (thrown(None, true), notification("a", 1), false),
        (
            Switch {
                kind: SwitchKind::Pause,
                ..thrown(None, true)
            },
            call("a", 1),
            false,
        ),
    ] {
        let mut world = world();
        world.switch("kill-switch", Some(switch.clone()));
        world.act(&action);
        assert_eq!(world.results.len(), usize::from(refused), "{switch:?}");
        if refused {
            assert_eq!(world.result().status, ResultStatus::Refused);
            assert!(world.result().cause.contains("thrown by ada"));
        } else {
            world.only();
        }
    }
}

#[test]
fn a_kill_switch_is_sticky_over_a_restart_and_ends_with_its_removal() {
    let mut world = world();
    world.switch("kill-switch", Some(thrown(None, true)));
    world.crash();
    world.act(&call("a", 1));
    assert_eq!(world.result().status, ResultStatus::Refused);
    world.switch("kill-switch", None);
    world.act(&call("b", 1));
    world.only();
}

#[test]
fn a_kill_switch_stops_what_was_waiting_for_its_turn() {
    let mut world = world();
    world.act(&call("a", 1));
    world.act(&call("b", 1));
    world.switch("kill-switch", Some(thrown(None, true)));
    succeed(&mut world);
    let ended: Vec<_> = world.results.iter().map(|result| result.status).collect();
    assert_eq!(ended, [ResultStatus::Succeeded, ResultStatus::Refused]);
    assert!(world.is_at_rest());
}

#[test]
fn a_replayed_action_is_not_done_again() {
    let mut world = world();
    world.act(&call("a", 1));
    world.act(&call("a", 1));
    world.only();
    succeed(&mut world);
    world.act(&call("a", 1));
    world.crash();
    world.act(&call("a", 1));
    // Nor is it answered otherwise than it was, once its time has ended.
    world.pass(700_000);
    world.act(&call("a", 1));
    assert_eq!(world.result().status, ResultStatus::Succeeded);
    assert!(world.begun.is_empty());
}

#[test]
fn an_action_replayed_after_it_was_forgotten_has_expired() {
    let mut world = world();
    world.act(&call("a", 1));
    succeed(&mut world);
    world.pass(600_000 + ExecutorSettings::default().remember_ms + 120_000);
    world.act(&read("something else", 1));
    world.act(&call("a", 1));
    assert_eq!(world.results.last().unwrap().status, ResultStatus::Expired);
}

#[test]
fn a_retry_of_what_failed_is_done_and_of_what_succeeded_is_not() {
    for (ended, acts) in [(Ended::Failed, true), (Ended::Succeeded, false)] {
        let mut world = world();
        world.act(&call("a", 1));
        world.settle(outcome(ended));
        world.act(&call("a", 2));
        assert_eq!(world.begun.len(), usize::from(acts), "{ended:?}");
        if !acts {
            assert_eq!(world.results[1].status, ResultStatus::Succeeded);
            assert!(world.results[1].cause.contains("attempt 1"));
        }
    }
}

#[test]
fn a_retry_that_waits_behind_its_own_first_attempt_learns_what_became_of_it() {
    let mut world = world();
    world.act(&call("a", 1));
    world.act(&call("a", 2));
    succeed(&mut world);
    assert_eq!(world.results.len(), 2);
    assert!(world.begun.is_empty());
    assert!(world.is_at_rest());
}

#[test]
fn a_retry_of_what_is_unknown_asks_the_target_first() {
    for (probe, status) in [(true, None), (false, Some(ResultStatus::Unknown))] {
        let mut world = world();
        let first = call_without_probe("a", 1);
        world.act(&first);
        world.settle(outcome(Ended::Lost));
        world.pass(10_000);
        assert_eq!(world.result().status, ResultStatus::Unknown);
        world.act(&if probe {
            call("a", 2)
        } else {
            call_without_probe("a", 2)
        });
        match status {
            Some(status) => assert_eq!(world.results[1].status, status),
            None => {
                assert_eq!(world.only().step, Step::Probe);
                world.settle(answered(200, r#"{"done":false}"#));
                assert_eq!(world.only().step, Step::Act);
            }
        }
    }
}

#[test]
fn a_retry_that_was_never_claimed_leaves_unknown_what_was_unknown() {
    let mut world = world();
    world.act(&call_without_probe("a", 1));
    world.settle(outcome(Ended::Lost));
    world.pass(10_000);
    world.act(&Action {
        not_after: START,
        ..call("a", 2)
    });
    assert_eq!(world.results[1].status, ResultStatus::Expired);
    world.act(&call("a", 3));
    assert_eq!(world.only().step, Step::Probe);
}

#[test]
fn one_action_at_a_time_changes_a_target_in_the_order_they_came() {
    let mut world = world();
    let elsewhere = Action {
        target: "other".to_owned(),
        ..call("x", 1)
    };
    for action in [
        call("a", 1),
        call("b", 1),
        call("c", 1),
        elsewhere,
        read("r", 1),
    ] {
        world.act(&action);
    }
    let under_way = |world: &World| -> Vec<String> {
        world
            .begun
            .iter()
            .map(|request| spec_of(request).action_id)
            .collect()
    };
    assert_eq!(
        under_way(&world),
        ["action a 1", "action x 1", "action r 1"]
    );
    succeed(&mut world);
    assert_eq!(
        under_way(&world),
        ["action x 1", "action r 1", "action b 1"]
    );
    world.crash();
    // After a crash `b` is in doubt and `c` still waits; the others are in doubt by themselves.
    world.pass(10_000);
    let probes: Vec<_> = world
        .begun
        .iter()
        .map(spec_of)
        .map(|effect| effect.step)
        .collect();
    assert_eq!(
        probes.iter().filter(|step| **step == Step::Probe).count(),
        2
    );
    assert!(!under_way(&world).contains(&"action c 1".to_owned()));
}

#[test]
fn an_action_whose_time_ends_in_the_line_is_not_begun() {
    let mut world = world();
    world.act(&call("a", 1));
    world.act(&Action {
        not_after: START + 2_000,
        ..call("b", 1)
    });
    world.act(&Action {
        not_after: START + 2_000,
        ..call("c", 1)
    });
    world.pass(2_000);
    assert!(world.results.is_empty());
    world.pass(1);
    let ended: Vec<_> = world.results.iter().map(|result| result.status).collect();
    assert_eq!(ended, [ResultStatus::Expired; 2]);
    succeed(&mut world);
    assert!(world.is_at_rest());
}

#[test]
fn reads_are_under_way_together_up_to_a_bound() {
    let mut world = World::new(ExecutorSettings {
        reads_in_flight: 2,
        ..ExecutorSettings::default()
    });
    for task in ["a", "b", "c", "d"] {
        world.act(&read(task, 1));
    }
    assert_eq!(world.begun.len(), 2);
    world.crash();
    world.pass(0);
    assert_eq!(
        world.begun.len(),
        2,
        "the two that were under way are read again"
    );
    for _ in 0..4 {
        assert!(world.begun.len() <= 2);
        succeed(&mut world);
    }
    assert_eq!(world.results.len(), 4);
    assert!(world.is_at_rest());
}

#[test]
fn an_aborted_transaction_leaves_nothing_and_comes_again() {
    let mut world = world();
    world.present(&call("a", 1));
    world.task.abort();
    world.commit();
    assert!(world.begun.is_empty() && world.is_at_rest());
    world.act(&call("a", 1));
    let request = world.begun.remove(0);
    world.complete(&request, outcome(Ended::Succeeded).encode());
    world.task.tick(world.now);
    world.task.abort();
    assert!(world.results.is_empty());
    world.pass(0);
    assert_eq!(world.result().status, ResultStatus::Succeeded);
}

#[test]
fn a_large_output_is_cut_and_says_so() {
    let mut world = world();
    world.act(&read("a", 1));
    world.settle(EffectOutcome {
        output: Some(format!("\"{}\"", "x".repeat(100_000))),
        ..outcome(Ended::Succeeded)
    });
    let output = world.result().output.as_deref().unwrap();
    assert!(output.len() <= 64 * 1024);
    assert!(output.contains("\"output_truncated\":true"));
}
