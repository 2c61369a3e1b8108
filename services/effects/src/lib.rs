//! Effects out: HTTP calls and notifications.
//!
//! Every request goes to a host that the operator allowed, carries the action's `Idempotency-Key` unless it is a
//! read, ends before the claim's deadline, and is checked right before it is sent: membership and deadline
//! ([`Permit`]), and for what may change its target the kill switches ([`Switches`] and the local ones). The
//! check is made when the request is handed to the client, again when a new connection stands and, for what may
//! change its target, once more when the connection takes the request up. What remains is the moment between that
//! last check and the write, in which a process may be stopped: no check of ours can close it, and for it the
//! target needs the `Idempotency-Key`.

mod answer;
mod client;
mod config;
mod credentials;
mod destinations;
mod guarded_body;
mod guards;
mod notification;
mod port;
mod request;
mod runner;

pub use config::{EffectsConfig, EffectsConfigError, HostCredential, SecretUrl};
pub use guards::{KILL_SWITCH_VARIABLE, LocalSwitch};
pub use port::{Permit, SwitchState, Switches};
pub use runner::HttpEffects;
