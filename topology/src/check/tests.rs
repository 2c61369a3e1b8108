use std::collections::BTreeMap;

use super::*;
use crate::declaration::Cleanup;

use Service::{Decider, Gateway, Normalizer, Orchestrator};

/// The real topology, to be broken in one place.
struct Case {
    topics: Vec<Topic>,
    installation: Installation,
    stages: Vec<StageIo>,
}

impl Case {
    fn topic(&mut self, name: &str) -> &mut Topic {
        let found = self.topics.iter_mut().find(|topic| topic.name == name);
        found.unwrap_or_else(|| panic!("{name}"))
    }

    fn stage(&mut self, app: &str) -> &mut StageIo {
        let found = self.stages.iter_mut().find(|stage| stage.app == app);
        found.unwrap_or_else(|| panic!("{app}"))
    }

    fn partitions(&mut self, name: &str, partitions: i32) {
        self.installation
            .partitions_of
            .insert(name.to_owned(), partitions);
    }
}

fn case() -> Case {
    Case {
        topics: TOPICS.to_vec(),
        installation: Installation::default(),
        stages: declared_stages(TOPICS),
    }
}

/// Breaks one thing, and expects findings of one rule about one subject, whose first message holds a part.
#[track_caller]
fn check_broken(rule: Rule, subject: &str, part: &str, change: impl FnOnce(&mut Case)) {
    let mut case = case();
    change(&mut case);
    let findings = check_topics(&case.topics, &case.installation, &case.stages);
    let found = findings
        .iter()
        .find(|finding| finding.rule == rule && finding.subject == subject);
    let message = found.map(|finding| finding.message.as_str());
    assert!(
        message.is_some_and(|message| message.contains(part)),
        "{findings:#?}"
    );
}

#[track_caller]
fn check_clean(change: impl FnOnce(&mut Case)) {
    let mut case = case();
    change(&mut case);
    let findings = check_topics(&case.topics, &case.installation, &case.stages);
    assert_eq!(findings, []);
}

#[test]
fn the_declared_topology_is_clean() {
    check_clean(|_| {});
    for partitions in 1..=8 {
        check_clean(|case| case.installation.partitions = partitions);
    }
}

#[test]
fn topics_that_a_stage_joins_have_equal_partition_counts() {
    check_broken(Rule::CoPartitioned, "orchestrator", "results has 4", |it| {
        it.partitions("results", 4);
    });
    check_clean(|it| it.partitions("domain", 4));
}

#[test]
fn topics_that_a_stage_joins_share_their_key() {
    check_broken(
        Rule::CoPartitioned,
        "orchestrator",
        "one co_partition_group",
        |it| it.topic("control").co_partition_group = None,
    );
    check_clean(|it| it.topic("normalized-alerts").co_partition_group = None);
}

#[test]
fn a_topic_has_one_writer_unless_it_says_why_not() {
    check_broken(
        Rule::SingleWriter,
        "actions",
        "orchestrator, decider",
        |it| {
            it.topic("actions").writers = &[Orchestrator, Decider];
        },
    );
    check_clean(|it| {
        it.topic("audit").writers = &[Orchestrator, Gateway];
    });
}

#[test]
fn a_topic_has_a_writer_and_a_reader() {
    check_broken(Rule::NoOrphan, "raw-logs", "nobody writes it", |it| {
        it.topic("raw-logs").writers = &[];
    });
    check_broken(Rule::NoOrphan, "raw-logs", "nobody reads it", |it| {
        it.topic("raw-logs").outside_readers = None;
    });
    check_clean(|it| it.topic("decisions").outside_readers = None);
}

#[test]
fn a_stage_reads_what_somebody_writes() {
    let source = Source {
        topic: "rumours",
        kind: SourceKind::Broadcast,
    };
    check_broken(Rule::NoOrphan, "decider", "it reads rumours", |it| {
        it.stage("decider").sources.push(source);
    });
    check_broken(Rule::NoOrphan, "normalizer", "it reads raw-alerts", |it| {
        it.topic("raw-alerts").writers = &[];
    });
}

#[test]
fn a_stage_does_what_is_declared_of_it() {
    let rule = Rule::Agreement;
    check_broken(
        rule,
        "normalizer",
        "but its declared readers are [orchestrator]",
        |it| {
            it.stage("normalizer").sources.push(Source {
                topic: "control",
                kind: SourceKind::Keyed,
            });
        },
    );
    check_broken(rule, "decider", "declared to read switches", |it| {
        it.stage("decider")
            .sources
            .retain(|source| source.topic != "switches");
    });
    check_broken(
        rule,
        "decider",
        "its declared writers are [orchestrator]",
        |it| {
            it.stage("decider").sinks.push("actions");
        },
    );
    check_broken(rule, "normalizer", "its declared writers are []", |it| {
        it.stage("normalizer").sinks.push("rumours");
    });
    check_broken(
        rule,
        "normalizer",
        "declared to write normalized-alerts",
        |it| {
            it.stage("normalizer").sinks.clear();
        },
    );
    check_broken(rule, "executor", "reads switches as Keyed", |it| {
        let sources = &mut it.stage("executor").sources;
        let switches = sources.iter_mut().find(|it| it.topic == "switches");
        switches.unwrap().kind = SourceKind::Keyed;
    });
}

#[test]
fn every_declared_stage_is_there_once_and_no_other() {
    check_broken(Rule::Agreement, "executor", "there are 0", |it| {
        it.stages.retain(|stage| stage.app != "executor");
    });
    check_broken(Rule::Agreement, "decider", "there are 2", |it| {
        let decider = it.stage("decider").clone();
        it.stages.push(decider);
    });
    check_broken(Rule::Agreement, "gateway", "no stage is declared", |it| {
        it.stage("decider").app = "gateway".to_owned();
    });
}

#[test]
fn a_broadcast_topic_has_one_partition() {
    check_broken(
        Rule::BroadcastPartitions,
        "switches",
        "3 partitions",
        |it| {
            it.partitions("switches", 3);
        },
    );
    check_clean(|it| it.partitions("switches", 1));
}

#[test]
fn the_partitions_of_a_changelog_follow_from_its_stage_and_it_is_compacted() {
    check_broken(Rule::Changelog, "decider-changelog", "here 2", |it| {
        it.partitions("decider-changelog", 4);
    });
    check_broken(
        Rule::Changelog,
        "decider-changelog",
        "cleanup.policy",
        |it| {
            let settings = BTreeMap::from([("cleanup.policy".to_owned(), "delete".to_owned())]);
            it.installation
                .settings_of
                .insert("decider-changelog".to_owned(), settings);
        },
    );
    check_broken(Rule::Changelog, "executor", "no keyed topic", |it| {
        it.stage("executor")
            .sources
            .retain(|source| source.kind == SourceKind::Broadcast);
    });
    check_clean(|it| {
        let settings = BTreeMap::from([("segment.ms".to_owned(), "60000".to_owned())]);
        it.installation
            .settings_of
            .insert("decider-changelog".to_owned(), settings);
    });
}

#[test]
fn names_and_schemas_exist_once() {
    let rule = Rule::Declaration;
    check_broken(rule, "runs", "no schema is called \"run\"", |it| {
        it.topic("runs").value = "run";
    });
    check_broken(rule, "runs", "declared twice", |it| {
        let runs = *it.topic("runs");
        it.topics.push(runs);
    });
    for name in ["Runs", "old-changelog", ""] {
        check_broken(rule, name, "not a name", |it| {
            it.topics.push(Topic {
                name,
                cleanup: Cleanup::Compact,
                ..TOPICS[0]
            });
        });
    }
}

#[test]
fn an_installation_that_makes_no_sense_is_refused() {
    let rule = Rule::Installation;
    check_broken(rule, "partitions", "at least 1", |it| {
        it.installation.partitions = 0;
    });
    check_broken(rule, "runs", "at least 1", |it| it.partitions("runs", -1));
    check_broken(rule, "replication", "at least 1", |it| {
        it.installation.replication = 0;
    });
    check_broken(rule, "min_insync", "from 1 to 3", |it| {
        it.installation.min_insync = 4;
    });
    check_broken(rule, "p1.runs", "no topic has this name", |it| {
        it.partitions("p1.runs", 4);
    });
    check_broken(rule, "raw-alerts.dlq", "one partition", |it| {
        it.partitions("raw-alerts.dlq", 4);
    });
    check_broken(rule, "rums", "no topic has this name", |it| {
        it.installation
            .settings_of
            .insert("rums".to_owned(), BTreeMap::new());
    });
    check_broken(rule, "runs", "cleanup.policy", |it| {
        let settings = BTreeMap::from([("cleanup.policy".to_owned(), "delete".to_owned())]);
        it.installation
            .settings_of
            .insert("runs".to_owned(), settings);
    });
    check_clean(|it| {
        it.installation = Installation::on_one_broker(crate::Prefix::default(), 1);
    });
}

#[test]
fn a_finding_names_its_subject_and_its_rule() {
    let finding = Finding::new(Rule::SingleWriter, "actions", "written by two");
    assert_eq!(
        finding.to_string(),
        "actions (single-writer): written by two"
    );
}

#[test]
fn the_stages_of_the_declaration_are_those_that_are_no_edges() {
    let apps: Vec<String> = declared_stages(TOPICS)
        .into_iter()
        .map(|it| it.app)
        .collect();
    assert_eq!(apps, ["normalizer", "decider", "orchestrator", "executor"]);
    assert_eq!(apps[0], Normalizer.name());
}
