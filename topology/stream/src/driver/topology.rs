//! What a run consists of: stages, their partitions and their topics.

use super::broker::{Broker, TopicId};
use super::failure::Cause;
use super::group::Group;
use crate::io::SourceKind;
use crate::task::Task;

type Factory = Box<dyn Fn(i32) -> Box<dyn Task>>;

/// The stages of a run and the topics between them.
#[derive(Default)]
pub struct Topology {
    topics: Vec<(String, i32)>,
    stages: Vec<(i32, Factory)>,
}

impl Topology {
    /// An empty topology.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Declares a topic. Only topics whose partition count matters and that no stage reads need it: a keyed
    /// source has its stage's partitions, anything else one.
    #[must_use]
    pub fn topic(mut self, name: &str, partitions: i32) -> Self {
        self.topics.push((name.to_owned(), partitions));
        self
    }

    /// Adds a stage of that many partitions. `factory` makes the task of a partition, empty, as a process
    /// that starts would; it is called again after every crash and whenever a partition moves.
    #[must_use]
    pub fn stage(
        mut self,
        partitions: i32,
        factory: impl Fn(i32) -> Box<dyn Task> + 'static,
    ) -> Self {
        self.stages.push((partitions, Box::new(factory)));
        self
    }

    /// Creates every topic and returns the stages.
    pub(super) fn build(self, broker: &mut Broker) -> Result<Vec<Stage>, Cause> {
        for (name, partitions) in &self.topics {
            require(broker, name, Some(*partitions))?;
        }
        let mut stages: Vec<Stage> = Vec::new();
        for (partitions, factory) in self.stages {
            let first = factory(0);
            let app = first.app();
            if stages.iter().any(|stage| stage.app == app) {
                return Err(Cause::Topology(format!("two stages are named {app}")));
            }
            let sources = sources_of(broker, first.as_ref(), partitions)?;
            broker.add_group(partitions, sources.len());
            stages.push(Stage {
                app,
                sources,
                sinks: first.sinks().to_vec(),
                outputs: Vec::new(),
                changelog: require(broker, &format!("{app}-changelog"), Some(partitions))?,
                group: Group::new(partitions),
                factory,
            });
        }
        // Sinks come last: those that a stage reads have its partitions.
        for stage in &mut stages {
            for sink in &stage.sinks {
                stage.outputs.push(require(broker, sink, None)?);
            }
        }
        Ok(stages)
    }
}

/// One source of a stage.
#[derive(Clone, Copy, Debug)]
pub(super) struct StageSource {
    pub(super) topic: TopicId,
    pub(super) dead_letters: TopicId,
    pub(super) kind: SourceKind,
}

/// A stage of a run.
pub(super) struct Stage {
    pub(super) app: &'static str,
    pub(super) sources: Vec<StageSource>,
    sinks: Vec<&'static str>,
    pub(super) outputs: Vec<TopicId>,
    pub(super) changelog: TopicId,
    pub(super) group: Group,
    pub(super) factory: Factory,
}

fn sources_of(
    broker: &mut Broker,
    task: &dyn Task,
    partitions: i32,
) -> Result<Vec<StageSource>, Cause> {
    let mut sources = Vec::new();
    for source in task.sources() {
        let wanted = match source.kind {
            SourceKind::Keyed => partitions,
            SourceKind::Broadcast => 1,
        };
        sources.push(StageSource {
            topic: require(broker, source.topic, Some(wanted))?,
            dead_letters: require(broker, &format!("{}.dlq", source.topic), None)?,
            kind: source.kind,
        });
    }
    Ok(sources)
}

/// The topic of that name, created if need be; an error if it has another number of partitions.
fn require(broker: &mut Broker, name: &str, partitions: Option<i32>) -> Result<TopicId, Cause> {
    let Some(topic) = broker.topic(name) else {
        return Ok(broker.create(name, partitions.unwrap_or(1)));
    };
    let present = broker.partitions(topic);
    match partitions {
        Some(wanted) if wanted != present => Err(Cause::Topology(format!(
            "topic {name} has {present} partitions and should have {wanted}: keyed sources have their \
             stage's partitions, broadcast sources one"
        ))),
        _ => Ok(topic),
    }
}
