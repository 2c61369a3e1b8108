//! Effects out: HTTP calls and notifications.
//!
//! Every request goes to a host that the operator allowed, carries the action's `Idempotency-Key` unless it is a
//! read, ends before the claim's deadline, and is checked right before it is sent: membership and deadline
//! ([`Permit`]), and for what may change its target the kill switches ([`Switches`] and the local ones). The
//! check is made when the request is handed to the client and again when a new connection stands; what remains
//! is the moment between that check and the write, for which the target needs the `Idempotency-Key`.

mod answer;
mod client;
mod config;
mod credentials;
mod destinations;
mod guards;
mod notification;
mod port;
mod request;
mod runner;

pub use config::{EffectsConfig, EffectsConfigError, HostCredential, SecretUrl};
pub use guards::{KILL_SWITCH_VARIABLE, LocalSwitch};
pub use port::{Permit, SwitchState, Switches};
pub use runner::HttpEffects;
