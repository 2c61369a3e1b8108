//! The Kafka edge: stream threads that drive the pure tasks of `prunella-stream`.
//!
//! A stream thread owns one consumer, one transactional producer and one task for each partition assigned to
//! it. The order of a transaction is `prunella_stream::transaction`; here every command of it becomes calls to
//! librdkafka. What must hold around it (fencing, group metadata, restore) is said where it is done.

mod broadcast;
mod changelog;
mod clock;
mod commit;
mod config;
mod effects;
mod fence;
mod kafka;
mod load;
mod membership;
mod metrics;
mod producer;
mod rebalance;
mod restore;
mod runtime;
mod stream_thread;
mod takeover;
mod watchdog;
mod wire;

pub use broadcast::{Broadcast, BroadcastRecord};
pub use clock::{boot_millis, wall_millis};
pub use config::{Assignment, ConfigError, KafkaConfig, Prefixed, RuntimeConfig};
pub use effects::{Done, EffectRunner, Gate, GateClosed, NoEffects};
pub use kafka::{LogContext, client_config};
pub use metrics::Metrics;
pub use prunella_stream::transaction::Guarantee;
pub use runtime::{Health, MakeTask, Runtime, RuntimeError, StageSpec};
pub use wire::{Framing, Inbound, Wire};
