//! The safety envelope at work: what is refused goes nowhere, and people hear of it.

mod drive;

use drive::{DECISIONS, Drive, LIFTED};
use prunella_orchestrator::Limits;
use prunella_schemas::{ResultStatus, RunState, SwitchKind, TaskState};

fn playbook(autonomy: &str, on_failure: &str) -> String {
    format!(
        "
playbook_id: PB
autonomy: {autonomy}
tasks:
  - {{id: act, type: API_Call, action: POST /restart, target: '{{{{ labels.pod }}}}', on_failure: {on_failure}}}
  - {{id: after, type: API_Call, action: GET /x, depends_on: [act]}}
"
    )
}

/// A refused change: no action of it, its guard named, people told, the run ended as the playbook says.
fn check_refused(mut drive: Drive, guard: &str, end: RunState) {
    let before = drive.actions.len();
    let run = drive.trigger("pay");
    let sent: Vec<&str> = drive.actions[before..]
        .iter()
        .map(|action| action.task_id.as_str())
        .collect();
    assert_eq!(sent, ["_notify_act", "_summary"]);
    assert_eq!(drive.state(&run), end);
    let cause = format!("refused by {guard}: ");
    assert!(
        drive.run(&run).tasks[0].cause.contains(&cause),
        "{:?}",
        drive.run(&run).tasks[0]
    );
    assert!(drive.told("_notify_act").message.contains(&cause));
    assert!(
        drive
            .audit
            .iter()
            .any(|entry| entry.summary.contains(&cause))
    );
}

#[test]
fn an_observing_playbook_changes_nothing() {
    check_refused(
        Drive::new(&playbook("observe", "abort")),
        "autonomy",
        RunState::Refused,
    );
    check_refused(
        Drive::new(&playbook("observe", "escalate")),
        "autonomy",
        RunState::Escalated,
    );
}

#[test]
fn a_kill_switch_refuses_every_change() {
    for name in ["kill-switch", "kill-switch/prod"] {
        let mut drive = Drive::new(&playbook("automatic", "abort"));
        drive.switch(name, SwitchKind::KillSwitch, true);
        drive.restart();
        check_refused(drive, "kill_switch", RunState::Refused);
    }
    let mut drive = Drive::new(&playbook("automatic", "abort"));
    drive.switch("kill-switch", SwitchKind::KillSwitch, true);
    drive.switch("kill-switch", SwitchKind::KillSwitch, false);
    drive.trigger("pay");
    assert_eq!(drive.sent(), ["act"]);
}

#[test]
fn a_refusal_goes_on_where_the_playbook_says_so() {
    let mut drive = Drive::new(&playbook("observe", "continue"));
    let run = drive.trigger("pay");
    assert_eq!(drive.sent(), ["_notify_act", "after"]);
    drive.answer("after", ResultStatus::Succeeded, "");
    assert_eq!(drive.state(&run), RunState::Failed);
}

fn with_settings(settings: &str) -> Drive {
    let text = playbook("automatic", "abort");
    Drive::with(
        &[("p.yaml", &text), ("settings.yaml", settings)],
        Limits::default(),
    )
}

fn run_through(drive: &mut Drive, service: &str) {
    drive.trigger(service);
    drive.answer("act", ResultStatus::Succeeded, "");
    drive.answer("after", ResultStatus::Succeeded, "");
}

#[test]
fn a_target_that_was_just_changed_rests() {
    let settings = "cooldown: 5m\ncooldown_max: 1h\nbudget_actions: 1000000\n";
    let mut drive = with_settings(settings);
    run_through(&mut drive, "pay");
    drive.restart();
    drive.pass(299_999);
    check_refused(drive, "cooldown", RunState::Refused);

    let mut drive = with_settings(settings);
    run_through(&mut drive, "pay");
    drive.pass(300_000);
    run_through(&mut drive, "pay");
    drive.pass(599_999);
    check_refused(drive, "cooldown", RunState::Refused);
}

#[test]
fn a_domain_has_a_budget() {
    let settings = "cooldown: 1ms\ncooldown_max: 1ms\nbudget_actions: 3\nbudget_within: 5m\n";
    let mut drive = with_settings(settings);
    for _ in 0..3 {
        run_through(&mut drive, "pay");
        drive.pass(10);
    }
    drive.restart();
    check_refused(drive, "budget", RunState::Refused);

    let mut drive = with_settings(settings);
    for _ in 0..4 {
        run_through(&mut drive, "pay");
        drive.pass(150_000);
    }
    assert_eq!(
        drive.sent().iter().filter(|task| **task == "act").count(),
        4
    );
}

#[test]
fn a_lifted_budget_lets_everything_pass_and_keeps_nothing() {
    let mut drive = with_settings(LIFTED);
    for _ in 0..50 {
        run_through(&mut drive, "pay");
    }
    assert_eq!(
        drive.sent().iter().filter(|task| **task == "act").count(),
        50
    );
    let state = drive.task().state();
    assert!(state.budgets.is_empty() && state.cooldowns.is_empty());
}

#[test]
fn an_old_alert_begins_no_change_but_a_begun_run_may_finish() {
    let text = "
playbook_id: PB
autonomy: automatic
tasks:
  - {id: wait, type: API_Call, action: GET /wait, timeout: 5m}
  - {id: act, type: API_Call, action: POST /restart, depends_on: [wait]}
  - {id: undo, type: API_Call, action: POST /undo, depends_on: [act], timeout: 5m}
";
    let settings = format!("{LIFTED}act_within: 1m\n");
    let files = [("p.yaml", text), ("settings.yaml", &settings)];
    let mut drive = Drive::with(&files, Limits::default());
    let run = drive.trigger("pay");
    drive.pass(60_001);
    drive.answer("wait", ResultStatus::Succeeded, "");
    assert_eq!(drive.state(&run), RunState::Refused);
    assert!(
        drive.run(&run).tasks[1]
            .cause
            .contains("refused by freshness")
    );

    let run = drive.trigger("pay");
    drive.answer("wait", ResultStatus::Succeeded, "");
    drive.pass(60_001);
    drive.answer("act", ResultStatus::Succeeded, "");
    drive.answer("undo", ResultStatus::Succeeded, "");
    assert_eq!(drive.state(&run), RunState::Succeeded);
}

#[test]
fn taking_autonomy_back_holds_for_runs_on_their_way() {
    let text = "
playbook_id: PB
autonomy: automatic
tasks:
  - {id: look, type: API_Call, action: GET /x}
  - {id: act, type: API_Call, action: POST /restart, depends_on: [look]}
";
    let mut drive = Drive::new(text);
    let run = drive.trigger("pay");
    drive.publish(&[("p.yaml", &text.replace("automatic", "observe"))]);
    drive.answer("look", ResultStatus::Succeeded, "");
    assert_eq!(drive.tasks(&run), [TaskState::Succeeded, TaskState::Failed]);
    assert!(
        drive.run(&run).tasks[1]
            .cause
            .contains("refused by autonomy")
    );
}

#[test]
fn reads_and_notifications_pass_whatever_is_thrown() {
    let text = "
playbook_id: PB
tasks:
  - {id: look, type: API_Call, action: GET /x}
  - {id: tell, type: Notification, parameters: {message: 'see {{ alert.service_name }}'}}
";
    let mut drive = Drive::new(text);
    drive.switch("kill-switch", SwitchKind::KillSwitch, true);
    drive.trigger("pay");
    assert_eq!(drive.sent(), ["look", "tell"]);
    assert_eq!(drive.told("tell").message, "see pay");
}

#[test]
fn a_pause_lets_runs_wait() {
    let mut drive = Drive::new(&playbook("automatic", "abort"));
    drive.switch("pause", SwitchKind::Pause, true);
    let run = drive.trigger("pay");
    drive.pass(10_000);
    assert!(drive.sent().is_empty());
    assert_eq!(drive.state(&run), RunState::Running);
    drive.switch("pause", SwitchKind::Pause, false);
    drive.pass(1_000);
    assert_eq!(drive.sent(), ["act"]);
}

#[test]
fn an_attempt_that_a_guard_stops_halfway_is_not_sent() {
    let text = playbook("automatic", "abort").replace(
        "type: API_Call, action: POST",
        "retry: 3, type: API_Call, action: POST",
    );
    let mut drive = Drive::new(&text);
    let run = drive.trigger("pay");
    drive.answer("act", ResultStatus::Failed, "");
    drive.switch("kill-switch", SwitchKind::KillSwitch, true);
    drive.pass(1_000);
    assert_eq!(drive.sent(), ["act", "_notify_act", "_summary"]);
    assert_eq!(drive.state(&run), RunState::Refused);
}

#[test]
fn what_an_alert_says_cannot_choose_another_endpoint() {
    let text = "
playbook_id: PB
autonomy: automatic
tasks:
  - {id: act, type: API_Call, action: 'POST /pods/{{ labels.pod }}/restart'}
";
    let mut drive = Drive::new(text);
    let mut decision = drive.decision("pay", "PB");
    if let Some(alert) = &mut decision.alert {
        alert.labels.insert(
            "pod".to_owned(),
            "x/../../shutdown?now={{ 7*7 }}".to_owned(),
        );
    }
    drive.feed(DECISIONS, &decision);
    let path = drive.spec("act")["path"].clone();
    assert_eq!(
        path,
        "/pods/x%2F..%2F..%2Fshutdown%3Fnow%3D%7B%7B%207%2A7%20%7D%7D/restart"
    );
}
