//! Every stage by name: what it reads, what it writes, and how its tasks are made.

use prunella_decider::Decider;
use prunella_executor::{Executor, ExecutorSettings};
use prunella_normalizer::Normalizer;
use prunella_orchestrator::{Limits, Orchestrator};
use prunella_stream::{Io, Processor, Source, StageTask, Task};
use prunella_topology::StageIo;

/// What can be set about the stages' code. What people set about rules and playbooks lies in the knowledge.
#[derive(Clone, Debug, Default)]
pub struct StageConfig {
    /// The orchestrator's limits.
    pub limits: Limits,
    /// The executor's settings.
    pub executor: ExecutorSettings,
}

/// A stage.
#[derive(Clone, Copy, Debug)]
pub struct StageSpec {
    /// Application id, without the installation's prefix.
    pub app: &'static str,
    /// What it reads.
    pub sources: &'static [Source],
    /// Topics it writes, besides dead letters and changelog.
    pub sinks: &'static [&'static str],
    /// Makes the task of a partition, with nothing restored yet.
    pub make: fn(i32) -> Box<dyn Task>,
    /// The same, not with the default settings.
    pub make_with: fn(&StageConfig, i32) -> Box<dyn Task>,
}

impl StageSpec {
    /// What it reads and writes, to be checked against the topology.
    #[must_use]
    pub fn io(&self) -> StageIo {
        StageIo {
            app: self.app.to_owned(),
            sources: self.sources.to_vec(),
            sinks: self.sinks.to_vec(),
        }
    }
}

/// Every stage, in the order of the flow.
#[must_use]
pub fn stages() -> &'static [StageSpec] {
    STAGES
}

/// The stage of that application id.
#[must_use]
pub fn stage(app: &str) -> Option<&'static StageSpec> {
    STAGES.iter().find(|stage| stage.app == app)
}

/// The task of a stage on a partition, with nothing restored yet.
#[must_use]
pub fn task(app: &str, partition: i32) -> Option<Box<dyn Task>> {
    stage(app).map(|stage| (stage.make)(partition))
}

/// Declares a stage by the expression that makes its processor from a [`StageConfig`].
macro_rules! stage {
    ($processor:ty, |$config:ident| $make:expr) => {
        StageSpec {
            app: <$processor as Processor>::APP,
            sources: <<$processor as Processor>::Io as Io>::SOURCES,
            sinks: <<$processor as Processor>::Io as Io>::SINKS,
            make: |partition| {
                let $config = &StageConfig::default();
                Box::new(StageTask::<$processor>::new($make, partition))
            },
            make_with: |$config, partition| {
                Box::new(StageTask::<$processor>::new($make, partition))
            },
        }
    };
}

static STAGES: &[StageSpec] = &[
    stage!(Normalizer, |_config| Normalizer),
    stage!(Decider, |_config| Decider::default()),
    stage!(Orchestrator, |config| Orchestrator::new(config.limits)),
    stage!(Executor, |config| Executor::new(config.executor.clone())),
];

#[cfg(test)]
mod tests {
    use prunella_topology::{Installation, Service, check};

    use super::*;

    #[test]
    fn the_stages_read_and_write_what_the_topology_declares() {
        let stages: Vec<StageIo> = stages().iter().map(StageSpec::io).collect();
        assert_eq!(check(&Installation::default(), &stages), []);
    }

    #[test]
    fn a_stage_that_is_left_out_is_noticed() {
        let stages: Vec<StageIo> = stages().iter().skip(1).map(StageSpec::io).collect();
        assert!(!check(&Installation::default(), &stages).is_empty());
    }

    #[test]
    fn every_declared_stage_is_found_by_its_name_and_no_edge_is() {
        for service in Service::ALL {
            let found = stage(service.name()).map(|stage| stage.app);
            let expected = service.is_stage().then_some(service.name());
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_task_is_what_its_stage_says_it_is() {
        for stage in stages() {
            let made = [
                (stage.make)(3),
                (stage.make_with)(&StageConfig::default(), 3),
            ];
            for task in made {
                assert_eq!(StageIo::of_task(task.as_ref()), stage.io());
                assert_eq!(task.partition(), 3);
            }
        }
        assert!(task("gateway", 0).is_none());
        assert!(task("decider", 0).is_some());
    }
}
