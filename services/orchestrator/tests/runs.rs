//! Runs from their start to their end.

mod drive;

use drive::{DECISIONS, Drive, KNOWLEDGE, RESULTS, content, result_of};
use prunella_orchestrator::{Limits, run_id, verify_chain};
use prunella_schemas::{
    ControlKind, KnowledgeRecord, Outcome, ResultStatus, RunState, Severity, TaskState,
};

const HEAL: &str = "
playbook_id: PB
name: heal the pool
autonomy: automatic
tasks:
  - id: look
    type: API_Call
    action: GET /health/{{ service }}
    output_variable: health
  - id: restart
    type: API_Call
    action: POST http://patient:8080/pool/restart
    depends_on: [look]
    conditions: ['{{ health.sick }}']
    parameters: {reason: 'alert {{ alert.alert_name }}', run: '{{ run_id }}'}
  - id: verify
    type: API_Call
    action: GET /health/{{ service }}
    depends_on: [restart]
";

#[test]
fn a_run_goes_from_task_to_task_and_tells_people_once() {
    let mut drive = Drive::new(HEAL);
    let run = drive.trigger("pay");
    assert_eq!(drive.sent(), ["look"]);
    assert_eq!(drive.state(&run), RunState::Running);
    drive.answer("look", ResultStatus::Succeeded, "{\"sick\": true}");
    assert_eq!(drive.sent(), ["look", "restart"]);
    drive.answer("restart", ResultStatus::Succeeded, "");
    drive.answer("verify", ResultStatus::Succeeded, "{}");
    assert_eq!(drive.sent(), ["look", "restart", "verify", "_summary"]);
    assert_eq!(drive.state(&run), RunState::Succeeded);
    let told = drive.told("_summary");
    assert_eq!(told.severity, Severity::Info);
    assert!(told.message.contains("- restart: done"), "{}", told.message);
    assert_eq!(drive.run(&run).summary, told.message);
    drive.answer("_summary", ResultStatus::Succeeded, "");
    assert_eq!(verify_chain(&drive.audit), Ok(()));
    assert_eq!(drive.dead, 0);
}

#[test]
fn an_action_carries_what_its_executor_needs() {
    let mut drive = Drive::new(HEAL);
    let run = drive.trigger("pay");
    drive.answer("look", ResultStatus::Succeeded, "{\"sick\": true}");
    let look = drive.actions[0].clone();
    assert_eq!((look.target.as_str(), look.mutating), ("pay", false));
    assert!(look.guards.is_empty());
    let restart = drive.action("restart").clone();
    assert_eq!(
        (restart.target.as_str(), restart.mutating),
        ("patient:8080", true)
    );
    assert_eq!(restart.run_id, run);
    assert_eq!(restart.not_after, drive.now + 60_000);
    let guards: Vec<&str> = restart
        .guards
        .iter()
        .map(|guard| guard.guard.as_str())
        .collect();
    assert_eq!(
        guards,
        ["kill_switch", "autonomy", "freshness", "cooldown", "budget"]
    );
    let spec = drive.spec("restart");
    assert_eq!(spec["method"], "POST");
    assert_eq!(spec["url"], "http://patient:8080/pool/restart");
    assert_eq!(spec["body"]["reason"], "alert Pool_Exhausted");
    assert_eq!(spec["body"]["run"], run.as_str());
}

#[test]
fn a_false_condition_skips_and_says_why() {
    let mut drive = Drive::new(HEAL);
    let run = drive.trigger("pay");
    drive.answer("look", ResultStatus::Succeeded, "{\"sick\": false}");
    assert_eq!(drive.tasks(&run)[1], TaskState::Skipped);
    assert!(
        drive.run(&run).tasks[1]
            .cause
            .contains("condition is false")
    );
    drive.answer("verify", ResultStatus::Succeeded, "");
    assert_eq!(drive.state(&run), RunState::Succeeded);
    assert!(
        drive
            .told("_summary")
            .message
            .contains("- restart: skipped: condition is false")
    );
}

#[test]
fn a_condition_that_cannot_be_evaluated_skips_and_tells() {
    let mut drive = Drive::new(HEAL);
    let run = drive.trigger("pay");
    drive.answer("look", ResultStatus::Succeeded, "{\"sick\": null}");
    assert_eq!(drive.tasks(&run)[1], TaskState::Skipped);
    assert!(drive.run(&run).tasks[1].cause.contains("condition error"));
    assert_eq!(drive.sent(), ["look", "_notify_restart", "verify"]);
}

#[test]
fn the_same_decision_starts_nothing_twice() {
    let mut drive = Drive::new(HEAL);
    let decision = drive.decision("pay", "PB");
    drive.feed(DECISIONS, &decision);
    drive.feed(DECISIONS, &decision);
    assert_eq!(drive.sent(), ["look"]);
    drive.answer("look", ResultStatus::Failed, "");
    assert_eq!(drive.sent(), ["look", "_summary"]);
    drive.restart();
    drive.feed(DECISIONS, &decision);
    assert_eq!(drive.sent(), ["look", "_summary"]);
}

fn parallel(on_failure: &str) -> String {
    format!(
        "
playbook_id: PB
autonomy: automatic
timeout: 10m
tasks:
  - id: a
    type: API_Call
    action: GET /a
    on_failure: {on_failure}
    retry: {{max_attempts: 3, backoff: 1s, max_backoff: 1500ms}}
  - {{id: b, type: API_Call, action: GET /b}}
  - {{id: c, type: API_Call, action: GET /c, depends_on: [a, b]}}
"
    )
}

#[test]
fn independent_tasks_start_together() {
    let mut drive = Drive::new(&parallel("abort"));
    drive.trigger("pay");
    assert_eq!(drive.sent(), ["a", "b"]);
}

#[test]
fn a_failed_attempt_is_repeated_after_a_growing_wait_under_its_own_key() {
    let mut drive = Drive::new(&parallel("abort"));
    let run = drive.trigger("pay");
    drive.answer("a", ResultStatus::Failed, "");
    assert_eq!(drive.tasks(&run)[0], TaskState::Waiting);
    drive.pass(999);
    assert_eq!(drive.sent(), ["a", "b"]);
    drive.pass(1);
    assert_eq!(drive.sent(), ["a", "b", "a"]);
    let [first, .., second] = &drive.actions[..] else {
        panic!("two attempts")
    };
    assert_eq!((first.attempt, second.attempt), (1, 2));
    assert_eq!(first.idempotency_key, second.idempotency_key);
    assert_ne!(first.action_id, second.action_id);
    assert_eq!(first.spec, second.spec);
    drive.answer("a", ResultStatus::Failed, "");
    drive.pass(1_499);
    assert_eq!(drive.sent().len(), 3);
    drive.pass(1);
    assert_eq!(drive.sent().len(), 4);
    drive.answer("a", ResultStatus::Failed, "");
    assert_eq!(drive.tasks(&run)[0], TaskState::Failed);
}

/// One failing task of a pair whose other task is still out.
fn check_failure(on_failure: &str, end: RunState, goes_on: bool, tells: bool) {
    let text = parallel(on_failure).replace("max_attempts: 3", "max_attempts: 1");
    let mut drive = Drive::new(&text);
    let run = drive.trigger("pay");
    drive.answer("a", ResultStatus::Failed, "");
    assert_eq!(drive.state(&run), RunState::Running, "b is still out");
    drive.answer("b", ResultStatus::Succeeded, "");
    assert_eq!(drive.sent().contains(&"c"), goes_on, "{on_failure}");
    if goes_on {
        drive.answer("c", ResultStatus::Succeeded, "");
    }
    assert_eq!(drive.sent().contains(&"_notify_a"), tells, "{on_failure}");
    assert_eq!(drive.state(&run), end, "{on_failure}");
    assert_eq!(drive.summaries(&run), 1);
}

#[test]
fn what_follows_a_failure_is_what_the_playbook_says() {
    check_failure("abort", RunState::Aborted, false, false);
    check_failure("abort_with_notification", RunState::Aborted, false, true);
    check_failure("continue", RunState::Failed, true, false);
    check_failure("continue_with_notification", RunState::Failed, true, true);
    check_failure("send_notification", RunState::Failed, true, true);
    check_failure("escalate", RunState::Escalated, false, true);
    check_failure(
        "send_notification_and_escalate",
        RunState::Escalated,
        false,
        true,
    );
}

/// The mutating task of the healing playbook ends this way.
fn check_restart(status: ResultStatus, end: RunState, cause: &str) {
    let mut drive = Drive::new(HEAL);
    let run = drive.trigger("pay");
    drive.answer("look", ResultStatus::Succeeded, "{\"sick\": true}");
    drive.answer("restart", status, "");
    assert_eq!(drive.state(&run), end, "{status}");
    assert!(
        drive.run(&run).tasks[1].cause.contains(cause),
        "{:?}",
        drive.run(&run).tasks[1]
    );
    assert_eq!(drive.tasks(&run)[2], TaskState::Skipped);
    assert_eq!(drive.summaries(&run), 1);
}

#[test]
fn each_kind_of_result_has_its_consequence() {
    check_restart(ResultStatus::Failed, RunState::Aborted, "it said no");
    check_restart(ResultStatus::Expired, RunState::Aborted, "nothing was done");
    check_restart(ResultStatus::Refused, RunState::Refused, "nothing was done");
    check_restart(ResultStatus::Unknown, RunState::Escalated, "nobody knows");
}

#[test]
fn an_unknown_change_is_never_repeated() {
    let mut drive = Drive::new(&HEAL.replace(
        "    depends_on: [look]",
        "    depends_on: [look]\n    retry: 5",
    ));
    let run = drive.trigger("pay");
    drive.answer("look", ResultStatus::Succeeded, "{\"sick\": true}");
    drive.answer("restart", ResultStatus::Unknown, "");
    drive.pass(3_600_000);
    assert_eq!(
        drive.sent(),
        ["look", "restart", "_notify_restart", "_summary"]
    );
    assert_eq!(drive.told("_summary").severity, Severity::Critical);
    assert_eq!(drive.state(&run), RunState::Escalated);
}

#[test]
fn a_change_without_a_result_counts_as_unknown_and_is_not_sent_again() {
    let mut drive = Drive::new(HEAL);
    let run = drive.trigger("pay");
    drive.answer("look", ResultStatus::Succeeded, "{\"sick\": true}");
    let restart = drive.action("restart").clone();
    drive.restart();
    // 60 s to begin, twice the timeout of 30 s, 60 s of grace.
    drive.pass(179_999);
    assert_eq!(drive.state(&run), RunState::Running);
    drive.pass(1);
    assert_eq!(drive.state(&run), RunState::Escalated);
    assert_eq!(
        drive.sent(),
        ["look", "restart", "_notify_restart", "_summary"]
    );
    let (runs, sent) = (drive.runs.len(), drive.actions.len());
    drive.answer_to(&restart, ResultStatus::Succeeded, "");
    assert_eq!((drive.runs.len(), drive.actions.len()), (runs, sent));
    let last = drive.audit.last().unwrap();
    assert!(
        last.summary.contains("nothing waits for"),
        "{}",
        last.summary
    );
}

#[test]
fn a_result_that_comes_twice_counts_once() {
    let mut drive = Drive::new(HEAL);
    drive.trigger("pay");
    let look = drive.action("look").clone();
    let result = result_of(&look, ResultStatus::Succeeded, "{\"sick\": true}");
    drive.feed(RESULTS, &result);
    drive.feed(RESULTS, &result);
    assert_eq!(drive.sent(), ["look", "restart"]);
}

#[test]
fn a_run_that_takes_too_long_ends_and_waits_for_what_is_out() {
    let mut drive = Drive::new(&parallel("abort").replace("timeout: 10m", "timeout: 20s"));
    let run = drive.trigger("pay");
    drive.answer("a", ResultStatus::Succeeded, "");
    drive.pass(20_000);
    assert_eq!(drive.state(&run), RunState::Running);
    assert_eq!(
        drive.tasks(&run),
        [TaskState::Succeeded, TaskState::Running, TaskState::Skipped]
    );
    drive.answer("b", ResultStatus::Succeeded, "");
    assert_eq!(drive.state(&run), RunState::TimedOut);
    assert_eq!(drive.sent(), ["a", "b", "_summary"]);
    assert_eq!(
        drive.next_due().map(|due| due > drive.now),
        Some(true),
        "only the sweep is left"
    );
}

#[test]
fn runs_of_one_service_take_turns_and_others_do_not_wait() {
    let mut drive = Drive::new(HEAL);
    let first = drive.trigger("pay");
    let second = drive.trigger("PAY");
    let third = drive.trigger("pay");
    let other = drive.trigger("cart");
    assert_eq!(drive.state(&second), RunState::Queued);
    assert_eq!(drive.state(&other), RunState::Running);
    assert_eq!(drive.sent(), ["look", "look"]);
    drive.restart();
    let look = drive.actions[0].clone();
    assert_eq!(look.run_id, first);
    drive.answer_to(&look, ResultStatus::Failed, "");
    assert_eq!(drive.state(&second), RunState::Running);
    assert_eq!(drive.state(&third), RunState::Queued);
    let look = drive.action("look").clone();
    assert_eq!(look.run_id, second);
    drive.answer_to(&look, ResultStatus::Failed, "");
    assert_eq!(drive.action("look").run_id, third);
}

#[test]
fn a_run_whose_alert_waited_too_long_is_told_and_not_acted_upon() {
    let settings = format!("{}act_within: 1m\n", drive::LIFTED);
    let mut drive = Drive::with(
        &[("p.yaml", HEAL), ("settings.yaml", &settings)],
        Limits::default(),
    );
    drive.trigger("pay");
    let second = drive.trigger("pay");
    let third = drive.trigger("pay");
    drive.pass(60_001);
    drive.answer("look", ResultStatus::Failed, "");
    assert_eq!(drive.state(&second), RunState::Refused);
    assert_eq!(drive.state(&third), RunState::Refused);
    assert!(
        drive.run(&second).summary.contains("waited too long"),
        "{}",
        drive.run(&second).summary
    );
    assert_eq!(drive.sent(), ["look", "_summary", "_summary", "_summary"]);
    let fourth = drive.trigger("pay");
    assert_eq!(
        drive.state(&fourth),
        RunState::Running,
        "the service is free again"
    );
}

#[test]
fn a_full_queue_refuses_and_tells() {
    let limits = Limits {
        queue_per_service: 1,
        ..Limits::default()
    };
    let mut drive = Drive::with(&[("p.yaml", HEAL)], limits);
    drive.trigger("pay");
    let second = drive.trigger("pay");
    let third = drive.trigger("pay");
    assert_eq!(drive.state(&second), RunState::Queued);
    assert_eq!(drive.state(&third), RunState::Refused);
    assert_eq!(drive.summaries(&third), 1);
    drive.control(ControlKind::Cancel, &second);
    assert_eq!(drive.state(&second), RunState::Cancelled);
    let fourth = drive.trigger("pay");
    assert_eq!(
        drive.state(&fourth),
        RunState::Queued,
        "a cancelled run leaves its place"
    );
}

#[test]
fn a_missing_playbook_is_told_never_silent() {
    let mut drive = Drive::new(HEAL);
    let decision = drive.decision("pay", "PB-Gone");
    drive.feed(DECISIONS, &decision);
    let run = run_id(&decision.decision_id, "PB-Gone").hex();
    assert_eq!(drive.state(&run), RunState::Escalated);
    assert_eq!(drive.sent(), ["_summary"]);
    assert!(
        drive
            .told("_summary")
            .message
            .contains("no playbook PB-Gone")
    );
}

#[test]
fn knowledge_that_arrives_late_is_waited_for_but_not_for_long() {
    let files = [("p.yaml", HEAL)];
    let mut drive = Drive::bare(Limits::default());
    drive.digest = content(&files).digest;
    let run = drive.trigger("pay");
    assert_eq!(drive.state(&run), RunState::Queued);
    drive.pass(1_000);
    drive.publish(&files);
    drive.pass(250);
    assert_eq!(drive.state(&run), RunState::Running);

    drive.digest = "0123".to_owned();
    let lost = drive.trigger("cart");
    drive.pass(9_999);
    assert_eq!(drive.state(&lost), RunState::Queued);
    drive.pass(1);
    assert_eq!(drive.state(&lost), RunState::Escalated);
    assert_eq!(drive.summaries(&lost), 1);
}

#[test]
fn a_run_follows_the_knowledge_it_began_with() {
    let mut drive = Drive::new(HEAL);
    let run = drive.trigger("pay");
    drive.publish(&[("p.yaml", &HEAL.replace("id: verify", "id: other"))]);
    drive.answer("look", ResultStatus::Succeeded, "{\"sick\": true}");
    drive.answer("restart", ResultStatus::Succeeded, "");
    assert_eq!(drive.run(&run).tasks[2].task_id, "verify");
}

#[test]
fn a_broken_set_is_refused_and_replaces_nothing() {
    let mut drive = Drive::new(HEAL);
    let broken = content(&[("p.yaml", "playbook_id: PB\ntasks: 7\n")]);
    drive.feed::<KnowledgeRecord>(KNOWLEDGE, &broken);
    assert_eq!(drive.dead, 1);
    let run = drive.trigger("pay");
    assert_eq!(drive.state(&run), RunState::Running);
}

fn check_outcome(outcome: Outcome, severity: Severity, told: bool) {
    let mut drive = Drive::new(HEAL);
    let mut decision = drive.decision("pay", "PB");
    decision.outcome = outcome;
    decision.severity = severity;
    decision.reason = "because".to_owned();
    drive.feed(DECISIONS, &decision);
    drive.feed(DECISIONS, &decision);
    let expected: &[&str] = if told { &["_notify"] } else { &[] };
    assert_eq!(drive.sent(), expected, "{outcome} {severity}");
    assert!(drive.runs.is_empty());
    assert_eq!(drive.audit.len(), expected.len());
    if told {
        let spec = drive.told("_notify");
        assert!(spec.message.contains("because"), "{}", spec.message);
    }
}

#[test]
fn decisions_that_start_nothing_are_told_or_leave_no_trace() {
    check_outcome(Outcome::Notified, Severity::Warning, true);
    check_outcome(Outcome::ConditionError, Severity::Warning, true);
    check_outcome(Outcome::Stale, Severity::Critical, true);
    check_outcome(Outcome::Stale, Severity::Warning, false);
    for outcome in [
        Outcome::NoRule,
        Outcome::Deduplicated,
        Outcome::ConditionFalse,
        Outcome::Counting,
        Outcome::Resolved,
        Outcome::Silenced,
    ] {
        check_outcome(outcome, Severity::Critical, false);
    }
}

#[test]
fn ended_runs_are_forgotten_after_the_retention() {
    let limits = Limits {
        retention_ms: 600_000,
        ..Limits::default()
    };
    let mut drive = Drive::with(&[("p.yaml", HEAL)], limits);
    for _ in 0..20 {
        drive.trigger("pay");
        drive.answer("look", ResultStatus::Failed, "");
    }
    assert_eq!(drive.task().state().done.len(), 20);
    drive.pass(840_000);
    let state = drive.task().state();
    assert_eq!(
        (state.done.len(), state.runs.len(), state.lanes.0.len()),
        (0, 0, 0)
    );
    assert_eq!(drive.next_due(), None);
}

#[test]
fn a_long_output_is_cut_in_the_snapshot_and_whole_for_later_tasks() {
    let mut drive = Drive::new(HEAL);
    let run = drive.trigger("pay");
    let output = format!("{{\"sick\": true, \"log\": \"{}\"}}", "x".repeat(40_000));
    drive.answer("look", ResultStatus::Succeeded, &output);
    assert_eq!(
        drive.sent(),
        ["look", "restart"],
        "the condition could read it"
    );
    let shown = drive.run(&run).tasks[0].output.clone().unwrap();
    assert!(
        shown.len() < 16 * 1024 && shown.contains("\"cut\":true"),
        "{shown}"
    );
}
