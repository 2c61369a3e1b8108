//! The stages' code against the declaration.

use std::collections::BTreeSet;

use prunella_stream::SourceKind;

use super::{Finding, Rule, StageIo, declared_stages, list, named, source};
use crate::declaration::Topic;
use crate::installation::Installation;

pub(super) fn check(
    topics: &[Topic],
    installation: &Installation,
    stages: &[StageIo],
    findings: &mut Vec<Finding>,
) {
    let declared = declared_stages(topics);
    for stage in stages {
        co_partitioned(topics, installation, stage, findings);
        has_partitions(stage, findings);
        sources_exist(topics, stage, findings);
        match declared.iter().find(|it| it.app == stage.app) {
            Some(declared) => agrees(topics, stage, declared, findings),
            None => findings.push(Finding::new(
                Rule::Agreement,
                &stage.app,
                "no stage is declared under this name; add it to Service, or correct its APP",
            )),
        }
    }
    every_stage_once(&declared, stages, findings);
}

/// Records of one key must meet in one task, whichever topic they come from.
fn co_partitioned(
    topics: &[Topic],
    installation: &Installation,
    stage: &StageIo,
    findings: &mut Vec<Finding>,
) {
    let keyed: Vec<&Topic> = stage
        .sources
        .iter()
        .filter(|source| source.kind == SourceKind::Keyed)
        .filter_map(|source| named(topics, source.topic))
        .collect();
    let counts: BTreeSet<i32> = keyed
        .iter()
        .map(|topic| installation.partitions_of(topic))
        .collect();
    if counts.len() > 1 {
        let counts: Vec<String> = keyed
            .iter()
            .map(|topic| format!("{} has {}", topic.name, installation.partitions_of(topic)))
            .collect();
        findings.push(Finding::new(
            Rule::CoPartitioned,
            &stage.app,
            format!(
                "it joins topics of different partition counts ({}); give them one count, best by the name of \
                 their group",
                counts.join(", ")
            ),
        ));
    }
    let groups: BTreeSet<Option<&str>> =
        keyed.iter().map(|topic| topic.co_partition_group).collect();
    if keyed.len() > 1 && (groups.len() > 1 || groups.contains(&None)) {
        let names: Vec<&str> = keyed.iter().map(|topic| topic.name).collect();
        findings.push(Finding::new(
            Rule::CoPartitioned,
            &stage.app,
            format!(
                "it joins {}, which are not declared to share their key and partitions; give them one \
                 co_partition_group, or read one of them as a broadcast",
                names.join(", ")
            ),
        ));
    }
}

/// Tasks, and with them the changelog's partitions, come from keyed sources.
fn has_partitions(stage: &StageIo, findings: &mut Vec<Finding>) {
    let keyed = |it: &prunella_stream::Source| it.kind == SourceKind::Keyed;
    if !stage.sources.iter().any(keyed) {
        findings.push(Finding::new(
            Rule::Changelog,
            &stage.app,
            "it reads no keyed topic, so nothing fixes its tasks and its changelog's partitions; read one",
        ));
    }
}

fn sources_exist(topics: &[Topic], stage: &StageIo, findings: &mut Vec<Finding>) {
    for source in &stage.sources {
        if named(topics, source.topic).is_none_or(|topic| topic.writers.is_empty()) {
            findings.push(Finding::new(
                Rule::NoOrphan,
                &stage.app,
                format!(
                    "it reads {}, which nobody writes; declare the topic and its writer, or stop reading it",
                    source.topic
                ),
            ));
        }
    }
}

fn agrees(topics: &[Topic], stage: &StageIo, declared: &StageIo, findings: &mut Vec<Finding>) {
    let mut wrong = |message: String| {
        findings.push(Finding::new(Rule::Agreement, &stage.app, message));
    };
    for read in &stage.sources {
        let Some(topic) = named(topics, read.topic) else {
            continue;
        };
        let as_declared = source(topic);
        if read.kind != as_declared.kind {
            wrong(format!(
                "it reads {} as {:?}, which is declared {:?}; make the two agree",
                read.topic, read.kind, as_declared.kind
            ));
        }
        if declared.sources.iter().all(|it| it.topic != read.topic) {
            wrong(format!(
                "it reads {}, but its declared readers are [{}]; add it to them, or stop reading",
                read.topic,
                list(topic.readers)
            ));
        }
    }
    for it in &declared.sources {
        if stage.sources.iter().all(|read| read.topic != it.topic) {
            wrong(format!(
                "it is declared to read {} and does not; read it, or remove it from the readers",
                it.topic
            ));
        }
    }
    for sink in &stage.sinks {
        if !declared.sinks.contains(sink) {
            let writers = named(topics, sink).map_or(&[][..], |topic| topic.writers);
            wrong(format!(
                "it writes {sink}, but its declared writers are [{}]; add it to them, or stop writing",
                list(writers)
            ));
        }
    }
    for sink in &declared.sinks {
        if !stage.sinks.contains(sink) {
            wrong(format!(
                "it is declared to write {sink} and does not; write it, or remove it from the writers"
            ));
        }
    }
}

fn every_stage_once(declared: &[StageIo], stages: &[StageIo], findings: &mut Vec<Finding>) {
    for expected in declared {
        let present = stages.iter().filter(|it| it.app == expected.app).count();
        if present != 1 {
            findings.push(Finding::new(
                Rule::Agreement,
                &expected.app,
                format!("declared as one stage, and there are {present}; register it once"),
            ));
        }
    }
}
