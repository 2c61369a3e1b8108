//! People's commands.

mod drive;

use drive::{CONTROL, Drive};
use prunella_orchestrator::run_id;
use prunella_schemas::{Control, ControlKind, ResultStatus, RunState, TaskState};
use prunella_stream::Digest;

const TWO: &str = "
playbook_id: PB
name: two steps
tasks:
  - {id: a, type: API_Call, action: 'GET /a', retry: {max_attempts: 2, backoff: 1m}}
  - {id: b, type: API_Call, action: 'GET /b/{{ parameters.which | default(\"none\") }}', depends_on: [a]}
";

#[test]
fn a_cancelled_run_begins_nothing_more_and_waits_for_what_is_out() {
    let mut drive = Drive::new(TWO);
    let run = drive.trigger("pay");
    drive.control(ControlKind::Cancel, &run);
    assert_eq!(drive.state(&run), RunState::Running);
    assert_eq!(drive.tasks(&run), [TaskState::Running, TaskState::Skipped]);
    drive.answer("a", ResultStatus::Succeeded, "");
    assert_eq!(drive.state(&run), RunState::Cancelled);
    assert_eq!(drive.sent(), ["a", "_summary"]);
    assert!(drive.run(&run).summary.contains("cancelled by eva"));
}

#[test]
fn a_retry_is_not_made_once_its_run_is_cancelled() {
    let mut drive = Drive::new(TWO);
    let run = drive.trigger("pay");
    drive.answer("a", ResultStatus::Failed, "");
    drive.control(ControlKind::Cancel, &run);
    assert_eq!(drive.state(&run), RunState::Cancelled);
    drive.pass(120_000);
    assert_eq!(drive.sent(), ["a", "_summary"]);
}

#[test]
fn a_confirmed_run_ends_well() {
    let mut drive = Drive::new(TWO);
    let run = drive.trigger("pay");
    drive.answer("a", ResultStatus::Failed, "");
    drive.control(ControlKind::Confirm, &run);
    assert_eq!(drive.state(&run), RunState::Succeeded);
}

#[test]
fn resume_ends_a_back_off() {
    let mut drive = Drive::new(TWO);
    let run = drive.trigger("pay");
    drive.answer("a", ResultStatus::Failed, "");
    drive.control(ControlKind::Resume, &run);
    assert_eq!(drive.sent(), ["a", "a"]);
    drive.control(ControlKind::Resume, &run);
    assert_eq!(drive.sent(), ["a", "a"]);
}

#[test]
fn a_playbook_started_by_hand_has_its_parameters() {
    let mut drive = Drive::new(TWO);
    let control = Control {
        control_id: "c-1".to_owned(),
        domain: "prod".to_owned(),
        kind: ControlKind::Start,
        playbook_id: "PB".to_owned(),
        parameters: [("which", "seven"), ("service", "pay")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        author: "eva".to_owned(),
        at: drive.now,
        ..Control::default()
    };
    drive.feed(CONTROL, &control);
    drive.feed(CONTROL, &control);
    let decision = Digest::of(&[b"control", b"c-1"]).hex();
    let run = run_id(&decision, "PB").hex();
    assert_eq!(drive.sent(), ["a"]);
    assert_eq!(drive.run(&run).service_name.as_deref(), Some("pay"));
    assert_eq!(drive.run(&run).root.topic, "control");
    drive.answer("a", ResultStatus::Succeeded, "");
    assert_eq!(drive.spec("b")["path"], "/b/seven");
    assert!(drive.audit.iter().any(|entry| entry.actor == "eva"));
}

fn check_noted(kind: ControlKind, answer: &str) {
    let mut drive = Drive::new(TWO);
    drive.control(kind, "0123456789abcdef0123456789abcdef");
    assert!(drive.actions.is_empty() && drive.runs.is_empty());
    assert_eq!(drive.audit.len(), 1);
    assert!(
        drive.audit[0].summary.contains(answer),
        "{:?}",
        drive.audit[0]
    );
}

#[test]
fn a_command_that_changes_nothing_is_on_record() {
    check_noted(ControlKind::Approve, "nothing waits for approval");
    check_noted(ControlKind::Reject, "nothing waits for approval");
    check_noted(ControlKind::Cancel, "no run");
    check_noted(ControlKind::Resume, "no run");
    check_noted(ControlKind::Confirm, "no run");
    check_noted(ControlKind::None, "does not know");
}
