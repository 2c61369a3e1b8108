//! What a task of a playbook becomes on the actions topic.

mod drive;

use drive::Drive;
use prunella_schemas::{ResultStatus, RunState, TaskState};
use serde_json::{Value, json};

/// One task, as YAML, and the spec it gives.
fn check(task: &str, target: &str, spec: Value) {
    let drive = of(task);
    assert_eq!(drive.spec("t"), spec, "{task}");
    assert_eq!(drive.action("t").target, target, "{task}");
}

fn of(task: &str) -> Drive {
    let mut drive = Drive::new(&format!(
        "playbook_id: PB\nname: fix it\nautonomy: automatic\ntasks:\n  - {{id: t, {task}}}\n"
    ));
    drive.trigger("pay");
    drive
}

fn check_fails(task: &str, cause: &str) {
    let drive = of(task);
    assert_eq!((drive.dead, drive.runs.len()), (0, 1), "{task}");
    let run = &drive.runs[0];
    assert_eq!(
        (run.state, run.tasks[0].state),
        (RunState::Aborted, TaskState::Failed),
        "{task}"
    );
    assert!(
        run.tasks[0].cause.contains(cause),
        "{task}: {}",
        run.tasks[0].cause
    );
    assert_eq!(drive.sent(), ["_summary"]);
}

#[test]
fn parameters_are_the_query_of_a_read_and_the_body_of_a_change() {
    check(
        "type: API_Call, action: GET /deps/pay, parameters: {type: downstream, deep: 2}",
        "pay",
        json!({"method": "GET", "path": "/deps/pay", "query": {"type": "downstream", "deep": "2"}, "timeout_ms": 30000}),
    );
    check(
        "type: API_Call, action: POST /scale, timeout: 5s, parameters: {by: 1, why: '{{ alert_name }}'}",
        "pay",
        json!({"method": "POST", "path": "/scale", "body": {"by": 1, "why": "Pool_Exhausted"}, "timeout_ms": 5000}),
    );
    check(
        "type: API_Call, action: DELETE /pods/x, parameters: {grace: 5}",
        "pay",
        json!({"method": "DELETE", "path": "/pods/x", "query": {"grace": "5"}, "timeout_ms": 30000}),
    );
}

#[test]
fn what_is_named_explicitly_goes_where_it_says() {
    check(
        "type: API_Call, action: 'put https://Api.Example:8443/x', parameters: {headers: {X-Run: 7}, query: {a: b}, body: [1], expect: 202, rest: r}",
        "api.example:8443",
        json!({
            "method": "PUT", "url": "https://Api.Example:8443/x", "headers": {"X-Run": "7"},
            "query": {"a": "b", "rest": "r"}, "body": [1], "expect": [202], "timeout_ms": 30000
        }),
    );
}

#[test]
fn a_probe_is_rendered_and_its_conditions_are_not() {
    check(
        "type: API_Call, action: POST /restart, target: pool, parameters: {probe: {action: 'GET /pool/{{ service }}', done_if: 'body.key == \"{{ x }}\"', absent_if: 'status == 404'}}",
        "pool",
        json!({
            "method": "POST", "path": "/restart", "timeout_ms": 30000,
            "probe": {"method": "GET", "path": "/pool/pay", "done_if": "body.key == \"{{ x }}\"", "absent_if": "status == 404"}
        }),
    );
}

#[test]
fn kinds_that_only_later_versions_run_carry_their_parameters() {
    check(
        "type: Kubernetes_Scale, parameters: {service: cart, replicas_increase: 1}",
        "cart",
        json!({"service": "cart", "replicas_increase": 1}),
    );
    assert!(of("type: Kubernetes_Scale").action("t").mutating);
    assert!(!of("type: Log_Aggregation").action("t").mutating);
    assert!(!of("type: Metric_Query").action("t").mutating);
}

#[test]
fn a_method_may_be_a_template_and_then_counts_as_a_change() {
    let drive = of("type: API_Call, action: '{{ \"get\" }} /x/{{ service }}'");
    assert_eq!(
        (
            drive.spec("t")["method"].clone(),
            drive.spec("t")["path"].clone()
        ),
        (json!("GET"), json!("/x/pay"))
    );
    assert!(drive.action("t").mutating);
}

#[test]
fn a_task_that_cannot_be_rendered_fails_and_sends_nothing() {
    check_fails("type: API_Call, action: 'GET /x/{{ nobody }}'", "undefined");
    check_fails(
        "type: API_Call, action: 'GET /x/{{ alert.host_ip }}'",
        "undefined",
    );
    check_fails(
        "type: API_Call, action: 'GET {{ service }}'",
        "neither an http(s) URL nor a path",
    );
    check_fails(
        "type: API_Call, action: POST /x, target: '{{ \" \" }}'",
        "it is empty",
    );
    check_fails(
        "type: API_Call, action: POST /x, parameters: {headers: 5}",
        "names and values",
    );
}

#[test]
fn a_notification_is_filled_in_or_goes_out_as_it_was_written() {
    let drive = of(
        "type: Notification, parameters: {recipients: [a@example.com], message: 'slow: {{ alert.metric_value }}'}",
    );
    let told = drive.told("t");
    assert_eq!(
        (told.message.as_str(), &told.recipients[..]),
        ("slow: 97.5", &["a@example.com".to_owned()][..])
    );
    assert_eq!(
        (told.title.as_str(), told.domain.as_str()),
        ("fix it: t", "prod")
    );

    let told = of("type: Notification, parameters: {message: 'slow: {{ nobody }}'}").told("t");
    assert!(
        told.message.starts_with("slow: {{ nobody }}\n"),
        "{}",
        told.message
    );
    assert!(told.message.contains("undefined"), "{}", told.message);
}

#[test]
fn outputs_of_earlier_tasks_are_data() {
    let text = "
playbook_id: PB
autonomy: automatic
tasks:
  - {id: ask, type: API_Call, action: GET /x, output_variable: answer}
  - id: say
    type: Notification
    depends_on: [ask]
    conditions: ['answer.count > 2', 'run.tasks.ask.state == \"Succeeded\"']
    parameters: {message: '{{ answer.text }} {{ answer.count + 1 }}'}
";
    let mut drive = Drive::new(text);
    drive.trigger("pay");
    drive.answer(
        "ask",
        ResultStatus::Succeeded,
        "{\"count\": 3, \"text\": \"{{ run_id }}\"}",
    );
    assert_eq!(drive.told("say").message, "{{ run_id }} 4");
}
