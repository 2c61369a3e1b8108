use std::fmt::Write as _;

use proptest::prelude::*;
use prunella_schemas::Severity;

use super::*;
use crate::model::{AfterFailure, Autonomy, OnSuccess};

const RULES: &str = include_str!("../../testdata/rules.yaml");
const PAYMENT: &str = include_str!("../../testdata/payment-troubleshoot.yaml");

fn file(path: &str, text: &str) -> KnowledgeFile {
    KnowledgeFile {
        path: path.to_owned(),
        text: text.to_owned(),
    }
}

fn lenient(files: &[KnowledgeFile]) -> KnowledgeSet {
    let options = Options {
        allow_missing_playbooks: true,
    };
    KnowledgeSet::parse_with(files, options).unwrap_or_else(|found| panic!("{}", shown(&found)))
}

fn shown(found: &[Diagnostic]) -> String {
    found.iter().fold(String::new(), |mut text, mistake| {
        let _ = writeln!(text, "{mistake}");
        text
    })
}

/// The files that a newcomer starts from.
const STARTER: &[(&str, &str)] = &[
    (
        "rules.yaml",
        include_str!("../../../../deploy/knowledge/rules.yaml"),
    ),
    (
        "settings.yaml",
        include_str!("../../../../deploy/knowledge/settings.yaml"),
    ),
    (
        "playbooks/cpu-scale-order.yaml",
        include_str!("../../../../deploy/knowledge/playbooks/cpu-scale-order.yaml"),
    ),
    (
        "playbooks/payment-troubleshoot.yaml",
        include_str!("../../../../deploy/knowledge/playbooks/payment-troubleshoot.yaml"),
    ),
    (
        "playbooks/disk-cleanup.yaml",
        include_str!("../../../../deploy/knowledge/playbooks/disk-cleanup.yaml"),
    ),
    (
        "playbooks/db-check-inventory.yaml",
        include_str!("../../../../deploy/knowledge/playbooks/db-check-inventory.yaml"),
    ),
];

#[test]
fn the_starter_knowledge_has_no_mistake_and_says_the_defaults() {
    let files: Vec<KnowledgeFile> = STARTER
        .iter()
        .map(|(path, text)| file(path, text))
        .collect();
    let found = check(&files);
    assert!(found.is_empty(), "{}", shown(&found));
    let set = KnowledgeSet::parse(&files).unwrap_or_else(|found| panic!("{}", shown(&found)));
    assert_eq!(set.settings, crate::model::Settings::default());
    assert_eq!(set.playbooks.len(), 4);
}

/// Checks one file and compares level, place, message and suggestion of each mistake.
fn check_file(text: &str, expected: &[&str]) {
    let found: Vec<String> = check(&[file("x.yaml", text)])
        .iter()
        .map(|mistake| {
            let level = if mistake.is_error() { 'E' } else { 'W' };
            let suggestion = mistake.suggestion.as_deref();
            let help = suggestion.map_or(String::new(), |help| format!(" | {help}"));
            format!(
                "{level}{}:{} {}{help}",
                mistake.line, mistake.column, mistake.message
            )
        })
        .collect();
    assert_eq!(found, expected, "{text}");
}

/// A playbook around some tasks.
fn playbook(tasks: &str) -> String {
    format!("playbook_id: PB\nname: x\nautonomy: observe\ntasks:\n{tasks}")
}

#[test]
fn the_rule_table_loads_as_it_stands() {
    let set = lenient(&[file("rules.yaml", RULES)]);
    let ids: Vec<&str> = set.rules.iter().map(|rule| rule.id.as_str()).collect();
    assert_eq!(ids, ["R001", "R002", "R003", "R004"]);
    let first = &set.rules[0];
    assert_eq!(first.alert_name.as_deref(), Some("High_CPU_Usage"));
    assert_eq!(first.service_name.as_deref(), Some("order-service"));
    assert_eq!(first.severity, Some(Severity::Critical));
    assert_eq!(
        first.condition.as_ref().map(|condition| condition.text()),
        Some("metric_value > 90")
    );
    assert_eq!(first.playbook.as_deref(), Some("PB-CPU-Scale-Order"));
    assert_eq!(set.rules[2].service_name, None, "`any` asks for nothing");
    let count = set.rules[3].count.expect("a count");
    assert_eq!((count.at_least, count.within_ms), (6, 300_000));
    assert_eq!(set.missing_playbooks.len(), 4);
}

#[test]
fn a_missing_playbook_is_an_error_unless_it_is_allowed() {
    let files = [file("rules.yaml", RULES), file("p.yaml", PAYMENT)];
    let found = check(&files);
    let errors: Vec<usize> = found
        .iter()
        .filter(|mistake| mistake.is_error())
        .map(|mistake| mistake.line)
        .collect();
    assert_eq!(errors, [8, 22, 29], "{}", shown(&found));
    assert!(KnowledgeSet::parse(&files).is_err());
    assert_eq!(lenient(&files).missing_playbooks.len(), 3);
}

#[test]
fn the_playbook_loads_as_it_stands() {
    let set = lenient(&[file("p.yaml", PAYMENT)]);
    let playbook = &set.playbooks["PB-Payment-Troubleshoot"];
    assert_eq!(playbook.tasks.len(), 5);
    assert_eq!(playbook.autonomy, Autonomy::Observe);
    assert_eq!(set.rules[0].id, "PB-Payment-Troubleshoot#1");
    assert_eq!(
        set.rules[0].playbook.as_deref(),
        Some("PB-Payment-Troubleshoot")
    );

    let [status, logs, downstream, scale, report] = playbook.tasks.as_slice() else {
        panic!("five tasks");
    };
    assert_eq!(
        status.action.as_deref(),
        Some("GET /api/v1/health/payment-gateway")
    );
    assert_eq!(
        (status.on_failure.then, status.on_failure.notify),
        (AfterFailure::Abort, true)
    );
    assert_eq!(logs.parameters["keywords"][1], "TIMEOUT");
    assert_eq!(
        (logs.on_failure.then, logs.on_failure.notify),
        (AfterFailure::Continue, true)
    );
    assert_eq!(downstream.parameters["type"], "downstream");
    assert_eq!(scale.conditions.len(), 2);
    assert_eq!(scale.parameters["max_replicas"], 5);
    assert_eq!(scale.on_success, OnSuccess::Notify);
    assert_eq!(scale.on_failure.then, AfterFailure::Escalate);
    assert_eq!(report.depends_on, ["temporary_scale_payment_gateway"]);

    let found = check(&[file("p.yaml", PAYMENT)]);
    let places: Vec<(usize, Level)> = found
        .iter()
        .map(|mistake| (mistake.line, mistake.level))
        .collect();
    let warning = Level::Warning;
    assert_eq!(
        places,
        [(17, warning), (34, warning), (36, warning)],
        "{}",
        shown(&found)
    );
}

#[test]
fn a_mistake_in_a_rule_is_found_where_it_stands() {
    check_file(
        "rules:\n  - id: A\n    alert_name: x\n    severty: Critical\n    thing: 1\n",
        &[
            "E4:5 a rule has no field `severty` | did you mean `severity`?",
            "E5:5 a rule has no field `thing` | its fields are id, condition, alert_name, service_name, \
             severity, source_system, domain, labels, count, act_within, rearm_after, playbook, description",
        ],
    );
    check_file(
        "rules:\n  - id: A\n    alert_name: true\n    severity: Critcal\n    count: {at_least: 0, within: 5min}\n",
        &[
            "E3:17 `alert_name` is a text, not true or false | put it in quotes",
            "E4:15 `Critcal` is no severity | did you mean `Critical`?",
            "E5:23 `at_least` is a whole number from 1 to 1000",
            "E5:34 `within`: `min` is no unit of time | write it as 500ms, 30s, 5m, 1h or 2d",
        ],
    );
    check_file("rules:\n  - alert_name: x\n", &["E2:5 a rule needs `id`"]);
    check_file(
        "rules:\n  - {id: A, alert_name: x}\n  - {id: A, alert_name: y}\n",
        &["E3:10 the rule `A` is there twice; first in `x.yaml`, line 2"],
    );
    check_file(
        "rules:\n  - id: A\n",
        &["W2:5 this matches every alert | name at least an `alert_name` or a `service_name`"],
    );
    check_file(
        "rules: [{id: A, alert_name: x, count: {at_least: 2, within: 20h, grace: 5h}}]",
        &["E1:32 a window and its grace are a day long at most"],
    );
    check_file(
        "rules: {id: A}\n",
        &["E1:8 `rules` is a list, not a mapping"],
    );
    check_file(
        "rules:\n  - just text\n",
        &["E2:5 a rule is a mapping, not a text"],
    );
}

#[test]
fn a_mistake_in_a_condition_is_found_inside_of_it() {
    check_file(
        "rules:\n  - id: A\n    alert_name: x\n    condition: \"metric_valu > 90\"\n",
        &["E4:17 there is no variable `metric_valu` | did you mean `metric_value`?"],
    );
    check_file(
        "rules:\n  - id: A\n    alert_name: x\n    condition: metric_value > 90 && containz('a')\n",
        &["E4:37 there is no function `containz`; did you mean `contains`?"],
    );
    check_file(
        "rules: [{id: A, alert_name: x, condition: [1]}]",
        &["E1:43 a condition is a text, not a list | put it in quotes"],
    );
    let found = check(&[file(
        "x.yaml",
        "rules:\n  - {id: A, alert_name: x, condition: 'metric_value >'}\n",
    )]);
    assert_eq!((found.len(), found[0].line), (1, 2), "{}", shown(&found));
    assert!(found[0].message.contains("not a condition"), "{}", found[0]);
    assert!(found[0].column >= 41, "{}", found[0]);
}

#[test]
fn a_mistake_in_a_task_is_found_where_it_stands() {
    check_file(
        &playbook(
            "  - id: a\n    type: API_Cal\n    on_failure: abort_with_notifcation\n    retry: {max_attempts: 0}\n    timeout: 0s\n",
        ),
        &[
            "E6:11 there is no type of task `API_Cal` | did you mean `API_Call`?",
            "E7:17 `on_failure` cannot be `abort_with_notifcation` | did you mean `abort_with_notification`?",
            "E8:27 `max_attempts` is a whole number from 1 to 100",
            "E9:14 `timeout` must be longer than nothing",
        ],
    );
    check_file(
        &playbook(
            "  - {id: a, type: api_call, action: FETCH /x}\n  - {id: b, type: API_Call, action: GET}\n  - {id: c, type: API_Call}\n",
        ),
        &[
            "E5:37 `FETCH` is no HTTP method | it is one of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
            "E6:37 the action names no URL | write it as `GET /path` or `POST https://host/path`",
            "E7:5 an API_Call needs `action` | write `action: GET /path`",
        ],
    );
    check_file(
        &playbook(
            "  - {id: a, type: Notification, output_variable: labels}\n  - {id: b, type: Notification, output_variable: 2x}\n",
        ),
        &[
            "E5:50 `labels` has a meaning of its own already | name it `labels_found`, say",
            "E6:50 `2x` cannot name a variable | use letters, digits and `_`, a letter first",
        ],
    );
    check_file(
        &playbook("  - {id: a, type: Notification}\n  - {id: a, type: Notification}\n"),
        &["E6:10 the task `a` stands here twice; first in line 5"],
    );
    check_file(
        &playbook("  []\n"),
        &["E4:1 a playbook has at least one task"],
    );
}

#[test]
fn a_probe_only_reads_and_says_what_its_answer_means() {
    check_file(
        &playbook(
            "  - id: a\n    type: API_Call\n    action: POST /x\n    parameters:\n      \
             probe: {action: POST /y, done_if: 'statu == 200', absnt_if: x}\n",
        ),
        &[
            "E9:23 a probe only reads, `POST` may do more | it is one of GET, HEAD",
            "E9:42 there is no variable `statu` | did you mean `status`?",
            "E9:57 a probe has no field `absnt_if` | did you mean `absent_if`?",
        ],
    );
    check_file(
        &playbook(
            "  - {id: a, type: API_Call, action: POST /x, parameters: {probe: {action: GET /y}}}\n",
        ),
        &["E5:66 a probe needs `done_if`"],
    );
    // Elsewhere a parameter of that name means what it means there.
    check_file(
        &playbook("  - {id: a, type: Notification, parameters: {probe: 5}}\n"),
        &[],
    );
}

#[test]
fn tasks_that_do_not_hang_together_are_found() {
    check_file(
        &playbook("  - {id: first, type: Notification, depends_on: [frist]}\n"),
        &["E5:50 there is no task `frist` to depend on | did you mean `first`?"],
    );
    check_file(
        &playbook(
            "  - {id: a, type: Notification, depends_on: [c]}\n  - {id: b, type: Notification, depends_on: a}\n  \
             - {id: c, type: Notification, depends_on: [b]}\n  - {id: d, type: Notification, depends_on: [a]}\n",
        ),
        &["E5:10 these tasks wait for each other: a -> c -> b -> a"],
    );
    check_file(
        &playbook("  - {id: a, type: Notification, depends_on: [a]}\n"),
        &["E5:10 these tasks wait for each other: a -> a"],
    );
    check_file(
        &playbook(
            "  - {id: a, type: API_Call, action: GET /x, output_variable: health}\n  \
             - {id: b, type: Notification, depends_on: [a], conditions: ['{{ health.ok && metric_value > 1 && alert.raw.index == 0 }}']}\n  \
             - {id: c, type: Notification, conditions: ['health.ok', 'helth.ok']}\n",
        ),
        &[
            "E7:47 there is no variable `health` | the task `a` makes it, which need not come before: add it to `depends_on`",
            "E7:60 there is no variable `helth` | did you mean `health`?",
        ],
    );
}

#[test]
fn what_this_version_does_less_than_one_might_think_is_a_warning() {
    check_file(
        "playbook_id: PB\ntasks:\n  - {id: a, type: Kubernetes_Scale}\n",
        &[
            "W3:10 the playbook says nothing of its autonomy: it observes, and this task is refused | \
             write `autonomy: automatic` to let it act, or `autonomy: observe`",
            "W3:19 this version cannot run `Kubernetes_Scale`; the task will fail with that cause",
        ],
    );
    check_file(
        "playbook_id: PB\ntasks:\n  - {id: a, type: API_Call, action: GET /x}\n",
        &[],
    );
}

#[test]
fn a_file_says_by_its_fields_what_it_is() {
    check_file("# nothing\n", &["W1:1 the file says nothing"]);
    check_file("- a\n", &["E1:1 a knowledge file is a mapping, not a list"]);
    check_file(
        "rule: []\n",
        &["E1:1 a knowledge file has no field `rule` | did you mean `rules`?"],
    );
    check_file(
        "rules: [\n",
        &["E2:1 this is not YAML: while parsing a node, did not find expected node content"],
    );
    let files = [
        file("settings.yaml", "act_within: 20m\nbudget_actions: 9\n"),
        file(
            "all.yml",
            "rules:\n  - {id: A, alert_name: x, playbook: P}\nplaybooks:\n  - playbook_id: P\n    tasks: [{id: a, type: Notification}]\n",
        ),
        file(
            "two.yaml",
            "---\nplaybook_id: Q\ntasks: [{id: a, type: Notification}]\n---\nrules: [{id: B, alert_name: y, playbook: Q}]\n",
        ),
        file(
            "sources.yaml",
            "sources:\n  zabbix: {severity: {field: level}, list: [1, 1.5, null, true]}\n",
        ),
        file("README.md", "not: [yaml"),
    ];
    let set = KnowledgeSet::parse(&files).unwrap_or_else(|found| panic!("{}", shown(&found)));
    assert_eq!(set.settings.act_within_ms, 1_200_000);
    assert_eq!(set.settings.budget_actions, 9);
    assert_eq!(set.settings.rearm_after_ms, 3_600_000);
    assert_eq!(set.playbooks.len(), 2);
    assert_eq!(set.rules.len(), 2);
    assert_eq!(
        set.sources["zabbix"],
        serde_json::json!({"severity": {"field": "level"}, "list": [1, 1.5, null, true]})
    );
}

#[test]
fn settings_and_sources_are_checked_too() {
    check_file(
        "settings: {act_withn: 5m, grace: 0s, cooldown: 2h, cooldown_max: 1h}\nsources: {a: 5}\n",
        &[
            "E1:11 `cooldown_max` is shorter than `cooldown`",
            "E1:12 the settings has no field `act_withn` | did you mean `act_within`?",
            "E2:14 the source `a` is a mapping",
        ],
    );
}

#[test]
fn a_name_is_there_once_in_all_files() {
    let playbook = "playbook_id: P\ntasks: [{id: a, type: Notification}]\n";
    let files = [
        file("a.yaml", playbook),
        file("b.yaml", playbook),
        file("c.yaml", "settings: {grace: 1m}"),
        file("d.yaml", "settings: {grace: 2m}"),
    ];
    let found = check(&files);
    let messages: Vec<String> = found
        .iter()
        .map(|mistake| format!("{} {}", mistake.path, mistake.message))
        .collect();
    assert_eq!(
        messages,
        [
            "b.yaml the playbook `P` is there twice; first in `a.yaml`, line 1",
            "d.yaml there are settings in `c.yaml` already",
        ]
    );
}

#[test]
fn the_digest_is_of_paths_and_texts_whatever_their_order() {
    let (a, b) = (file("a.yaml", "x"), file("b.yaml", "y"));
    let digest = digest_of(&[a.clone(), b.clone()]);
    assert_eq!(digest, digest_of(&[b.clone(), a.clone()]));
    assert_eq!(digest.len(), 32);
    assert_ne!(digest, digest_of(std::slice::from_ref(&a)));
    assert_ne!(
        digest,
        digest_of(&[file("a.yaml", "y"), file("b.yaml", "x")])
    );
    assert_ne!(
        digest,
        digest_of(&[file("a.yaml", "x"), file("c.yaml", "y")])
    );
}

#[test]
fn a_thousand_mistakes_are_all_found() {
    let mut text = "rules:\n".to_owned();
    for number in 0..1_000 {
        let _ = writeln!(text, "  - {{id: R{number}, alert_nam: x}}");
    }
    // The unknown field, and that nothing is left to match by.
    assert_eq!(check(&[file("x.yaml", &text)]).len(), 2_000);
}

proptest! {
    #[test]
    fn whatever_a_file_holds_checking_it_returns(text in "\\PC{0,200}") {
        let _ = check(&[file("x.yaml", &text)]);
    }

    #[test]
    fn whatever_happens_to_a_good_file_checking_it_returns(
        at in 0_usize..PAYMENT.len(),
        length in 0_usize..40,
        put in "[\\[\\]{}:,&*!|>'\"#%@` \n\ta-z0-9-]{0,12}",
    ) {
        let end = (at + length).min(PAYMENT.len());
        let text = format!("{}{put}{}", &PAYMENT[..at], &PAYMENT[end..]);
        let _ = check(&[file("x.yaml", &text), file("rules.yaml", RULES)]);
    }
}
