//! `prunella knowledge check`, and what needs a gateway when there is none.

use serde_json::json;

use crate::program::{checkout, dead_port, directory, prunella, text};

#[test]
fn what_is_shipped_has_no_mistakes() {
    for path in ["deploy/knowledge", "deploy/demo"] {
        let path = text(&checkout(path));
        let said = prunella(["knowledge", "check", &path]).run().expect(0);
        assert!(said.out.ends_with(": no mistakes\n"), "{said:#?}");
        assert_eq!(said.err, "");
        let said = prunella(["knowledge", "check", "--json", &path])
            .run()
            .expect(0);
        assert_eq!(said.lines()[0]["diagnostics"], json!([]));
        assert_eq!(said.lines()[0]["digest"].as_str().map(str::len), Some(32));
    }
}

const RULES: &str = "rules:
  - id: R1
    alert_name: Cold
    severty: Critical
  - id: R2
    alert_name: Hot
    condition: \"metric_value >\"
    playbook: PB-Restrat
";
const PLAYBOOK: &str = "playbook_id: PB-Restart
autonomy: automatic
tasks:
  - id: ask
    type: API_Cal
    action: GET /health
  - id: act
    type: API_Call
    action: POST /restart
    depends_on: [aks]
";
const SOURCES: &str = "sources:
  acme:
    feilds: {alert_name: what}
";

fn mistaken() -> tempfile::TempDir {
    directory(&[
        ("rules.yaml", RULES),
        ("playbooks/restart.yaml", PLAYBOOK),
        ("sources.yml", SOURCES),
    ])
}

/// File, line and column of each mistake, and what its message or suggestion says.
const MISTAKES: [(&str, u64, u64, &str); 6] = [
    ("playbooks/restart.yaml", 5, 11, "API_Call"),
    ("playbooks/restart.yaml", 10, 18, "ask"),
    ("rules.yaml", 4, 5, "severity"),
    ("rules.yaml", 7, 31, "condition"),
    ("rules.yaml", 8, 15, "PB-Restart"),
    ("sources.yml", 3, 5, "fields"),
];

#[test]
fn all_mistakes_are_shown_at_once_each_with_its_place() {
    let knowledge = mistaken();
    let path = text(knowledge.path());
    let said = prunella(["knowledge", "check", &path]).run().expect(5);
    for (file, line, column, word) in MISTAKES {
        let place = format!("{file}:{line}:{column}: error: ");
        let found = said.err.split("\n\n").find(|part| part.contains(&place));
        assert!(
            found.is_some_and(|part| part.contains(word)),
            "{place}{word}: {said:#?}"
        );
    }
    assert!(said.out.contains("3 files, digest "), "{said:#?}");
    assert!(said.out.ends_with(": 6 errors, 0 warnings\n"), "{said:#?}");

    let said = prunella(["knowledge", "check", "--json", &path])
        .run()
        .expect(5);
    assert_eq!(said.err, "", "with --json everything is in the JSON");
    let report = &said.lines()[0];
    let found = report["diagnostics"].as_array().expect("diagnostics");
    assert_eq!(found.len(), MISTAKES.len(), "{report:#}");
    for (found, (file, line, column, word)) in found.iter().zip(MISTAKES) {
        assert_eq!(found["level"], "error");
        assert_eq!(found["file"], file, "{found}");
        assert_eq!(
            (&found["line"], &found["column"]),
            (&json!(line), &json!(column)),
            "{found}"
        );
        let words = format!("{} {}", found["message"], found["suggestion"]);
        assert!(words.contains(word), "{found}");
    }
}

#[test]
fn a_missing_playbook_is_an_error_unless_it_is_allowed() {
    let path = text(&checkout("services/knowledge/testdata"));
    let said = prunella(["knowledge", "check", &path]).run().expect(5);
    assert!(
        said.err
            .contains("error: there is no playbook `PB-CPU-Scale-Order`"),
        "{said:#?}"
    );
    let said = prunella(["knowledge", "check", "--allow-missing", &path])
        .run()
        .expect(0);
    assert!(
        said.err
            .contains("warning: there is no playbook `PB-CPU-Scale-Order`"),
        "{said:#?}"
    );
    assert!(said.out.contains("0 errors, "), "{said:#?}");
}

#[test]
fn what_is_no_directory_of_knowledge_is_said() {
    let empty = directory(&[("notes.txt", "")]);
    for (path, because) in [
        (
            "no/such/rules".to_owned(),
            "cannot read the directory no/such/rules",
        ),
        (
            text(&checkout("deploy/demo/rules.yaml")),
            "name the directory",
        ),
        (text(empty.path()), "holds no .yaml or .yml file"),
    ] {
        prunella(["knowledge", "check", &path])
            .run()
            .refused(1, because);
    }
}

#[test]
fn mistakes_are_found_before_a_gateway_is_asked() {
    let knowledge = mistaken();
    let gateway = format!("http://127.0.0.1:{}", dead_port());
    let apply = ["knowledge", "apply", "--gateway", &gateway];
    let path = text(knowledge.path());
    prunella(apply.iter().chain(&[path.as_str()]))
        .run()
        .refused(5, "6 errors, 0 warnings: nothing was published");
    prunella(["up", "--embedded", "--knowledge", &path])
        .run()
        .refused(5, "nothing was started");
    let demo = text(&checkout("deploy/demo"));
    prunella(apply.iter().chain(&[demo.as_str()]))
        .run()
        .refused(1, "is it running");
    for command in [
        ["knowledge", "list"],
        ["kill-switch", "on"],
        ["kill-switch", "status"],
    ] {
        let said = prunella(command.iter().chain(&["--gateway", &gateway]))
            .run()
            .refused(1, "is it running");
        assert!(said.err.contains(&gateway), "{said:#?}");
    }
}
