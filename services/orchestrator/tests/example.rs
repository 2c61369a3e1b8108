//! A playbook as an operations team would write it runs as it stands.

mod drive;

use drive::Drive;
use prunella_schemas::{ResultStatus, RunState, TaskState};

/// The whole of an ordinary team's playbook, kinds included that this version cannot run.
const PLAYBOOK: &str = include_str!("payment-troubleshoot.yaml");

fn trigger(drive: &mut Drive) -> String {
    let mut decision = drive.decision("payment-gateway", "PB-Payment-Troubleshoot");
    decision.rule_id = Some("R002".to_owned());
    drive.feed(drive::DECISIONS, &decision);
    prunella_orchestrator::run_id(&decision.decision_id, "PB-Payment-Troubleshoot").hex()
}

#[test]
fn what_cannot_be_run_is_told_and_the_rest_goes_on() {
    let mut drive = Drive::new(PLAYBOOK);
    let run = trigger(&mut drive);
    drive.answer(
        "check_payment_service_status",
        ResultStatus::Succeeded,
        "{\"is_healthy\": true}",
    );
    drive.answer("analyze_payment_service_logs", ResultStatus::Failed, "");
    assert!(
        drive
            .sent()
            .contains(&"_notify_analyze_payment_service_logs")
    );
    assert_eq!(
        drive.spec("check_downstream_dependencies")["query"]["type"],
        "downstream"
    );
    let scale = &drive.run(&run).tasks[3];
    assert_eq!(scale.state, TaskState::Skipped);
    assert!(scale.cause.contains("condition error"), "{}", scale.cause);
    let report = drive.told("send_final_report");
    assert_eq!(report.recipients, ["oncall@example.com"]);
    drive.answer(
        "check_downstream_dependencies",
        ResultStatus::Succeeded,
        "[]",
    );
    drive.answer("send_final_report", ResultStatus::Succeeded, "");
    assert_eq!(drive.state(&run), RunState::Failed);
    assert_eq!(drive.summaries(&run), 1);
}

#[test]
fn an_observing_playbook_scales_nothing_though_its_conditions_hold() {
    let mut drive = Drive::new(PLAYBOOK);
    let run = trigger(&mut drive);
    drive.answer(
        "check_payment_service_status",
        ResultStatus::Succeeded,
        "{\"is_healthy\": true}",
    );
    drive.answer(
        "analyze_payment_service_logs",
        ResultStatus::Succeeded,
        "{\"error_rate\": 0.05, \"error_count\": 12}",
    );
    assert!(!drive.sent().contains(&"temporary_scale_payment_gateway"));
    assert!(
        drive
            .sent()
            .contains(&"_notify_temporary_scale_payment_gateway")
    );
    drive.answer(
        "check_downstream_dependencies",
        ResultStatus::Succeeded,
        "[]",
    );
    assert_eq!(drive.state(&run), RunState::Escalated);
}

#[test]
fn an_automatic_one_scales_and_reports() {
    let text = format!("autonomy: automatic\n{PLAYBOOK}");
    let mut drive = Drive::new(&text);
    let run = trigger(&mut drive);
    drive.answer(
        "check_payment_service_status",
        ResultStatus::Succeeded,
        "{\"is_healthy\": true}",
    );
    drive.answer(
        "analyze_payment_service_logs",
        ResultStatus::Succeeded,
        "{\"error_rate\": 0.05, \"error_count\": 12}",
    );
    drive.answer(
        "temporary_scale_payment_gateway",
        ResultStatus::Succeeded,
        "",
    );
    assert_eq!(
        drive.told("send_final_report").message,
        "payment-gateway: 12 errors in ten minutes"
    );
    drive.answer("send_final_report", ResultStatus::Succeeded, "");
    drive.answer(
        "check_downstream_dependencies",
        ResultStatus::Succeeded,
        "[]",
    );
    assert_eq!(drive.state(&run), RunState::Succeeded);
}
