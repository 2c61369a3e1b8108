//! `prunella topology check|graph|acls`: none needs a cluster.

use crate::program::prunella;

#[test]
fn the_declaration_and_the_stages_agree() {
    let said = prunella(["topology", "check"]).run().expect(0);
    assert!(said.out.ends_with("nothing to mend\n"), "{said:#?}");
    let said = prunella(["topology", "check", "--json"]).run().expect(0);
    assert_eq!(said.lines()[0], serde_json::json!({"findings": []}));
}

#[test]
fn an_installation_that_cannot_work_is_a_finding() {
    let said = prunella(["topology", "check"])
        .env("PRUNELLA__TOPOLOGY__PARTITIONS", "0")
        .run()
        .expect(5);
    assert!(said.out.contains("partitions"), "{said:#?}");
    let said = prunella(["topology", "check", "--json"])
        .env("PRUNELLA__TOPOLOGY__PARTITIONS", "0")
        .run()
        .expect(5);
    assert_ne!(said.lines()[0]["findings"], serde_json::json!([]));
}

#[test]
fn the_graph_shows_the_flow_in_both_forms() {
    let mermaid = prunella(["topology", "graph"]).run().expect(0).out;
    assert!(mermaid.starts_with("flowchart LR\n"), "{mermaid}");
    assert!(mermaid.contains("raw_alerts --> normalizer\n"), "{mermaid}");
    assert!(mermaid.ends_with('\n') && !mermaid.ends_with("\n\n"));
    let dot = prunella(["topology", "graph", "--format", "dot"])
        .run()
        .expect(0)
        .out;
    assert!(
        dot.starts_with("digraph") && dot.trim_end().ends_with('}'),
        "{dot}"
    );
    assert!(dot.contains("raw-alerts"), "{dot}");
}

#[test]
fn access_rules_are_commands_or_json_for_each_service() {
    let arguments = [
        "topology",
        "acls",
        "--principal-prefix",
        "User:CN=",
        "--host",
        "10.0.0.1",
    ];
    let said = prunella(arguments)
        .env("PRUNELLA__KAFKA__PREFIX", "p1.")
        .run()
        .expect(0);
    for line in said.out.lines() {
        assert!(
            line.starts_with("kafka-acls --bootstrap-server 127.0.0.1:9092 --add "),
            "{line}"
        );
        assert!(
            line.contains(" --allow-host '10.0.0.1' ") || line.contains(" --allow-host 10.0.0.1 "),
            "{line}"
        );
    }
    for part in [
        "User:CN=decider",
        "User:CN=gateway",
        "--topic p1.decisions ",
    ] {
        assert!(said.out.contains(part), "{part}");
    }
    let said = prunella(["topology", "acls", "--json"]).run().expect(0);
    let acls: serde_json::Value = serde_json::from_str(&said.out).expect("JSON");
    assert!(
        acls.to_string().contains("User:prunella-decider"),
        "{acls:#}"
    );
}
