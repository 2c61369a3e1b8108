//! The orchestrator: playbook runs inside the safety envelope.
//!
//! A triggered decision starts the run of its playbook, once. The run follows the knowledge its decision was
//! made with, to its end. Of each service one run is at work at a time, the others wait in their order. Every
//! run ends, and tells people exactly once what was done, what was not, and why.
//!
//! What may change a target passes the [`guards`] first. A refusal is a failed task that names its guard, never
//! an action. An action whose result does not come is not sent again; it counts as unknown, and a person is
//! asked to look.
//!
//! Of a run the changelog holds one value, and its id once it has ended; queues and due times follow from the
//! runs. One timer serves them all: time limits, retries, and results that do not come.

mod audit;
mod control;
mod finish;
mod graph;
pub mod guards;
mod notify;
mod outcome;
mod plan;
mod processor;
mod render;
mod request;
mod run;
mod scope;
mod settings;
mod start;
mod state;
mod step;
mod summary;

pub use audit::{Break, BrokenAt, verify_chain};
pub use control::Command;
pub use finish::SUMMARY;
pub use graph::{Graph, GraphError};
pub use notify::{action_id, idempotency_key};
pub use plan::{Plan, PlannedTask};
pub use processor::{Orchestrator, OrchestratorInput, OrchestratorIo};
pub use render::RenderError;
pub use settings::Limits;
pub use start::run_id;
pub use state::{Lane, NO_TURN, OrchestratorState, Timer, domain_key, lane_key, target_key};
