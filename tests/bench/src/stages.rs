//! Stages by name.

use std::sync::Arc;

use anyhow::{Result, bail};
use prunella_runtime::StageSpec;
use prunella_stream::{Io, Processor, StageTask};

use crate::relay::{Hop1, Hop2, Hop3, Hop4, PlainRelay, Relay, Tally};

/// The stages of the pipeline, in the order of the flow.
pub const PIPELINE: &[&str] = &["normalizer", "decider", "orchestrator", "executor"];
/// Four stages that only pass records on.
pub const CHAIN: &[&str] = &["hop-1", "hop-2", "hop-3", "hop-4"];

/// The stage of this name.
///
/// # Errors
/// If there is none.
pub fn stage(name: &str) -> Result<StageSpec> {
    Ok(match name {
        "relay" => of::<Relay>(),
        "plain-relay" => of::<PlainRelay>(),
        "hop-1" => of::<Hop1>(),
        "hop-2" => of::<Hop2>(),
        "hop-3" => of::<Hop3>(),
        "hop-4" => of::<Hop4>(),
        "tally" => of::<Tally>(),
        _ => {
            let Some(stage) = prunella_pipeline::stage(name) else {
                bail!("there is no stage `{name}`");
            };
            StageSpec {
                app: stage.app,
                sources: stage.sources,
                sinks: stage.sinks,
                make: Arc::new(stage.make),
            }
        }
    })
}

fn of<P: Processor + Default>() -> StageSpec {
    StageSpec {
        app: P::APP,
        sources: P::Io::SOURCES,
        sinks: P::Io::SINKS,
        make: Arc::new(|partition| Box::new(StageTask::new(P::default(), partition))),
    }
}
