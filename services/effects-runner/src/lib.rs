//! Joins the executor's requests, the runtime's gates and the effects.
//!
//! The executor and the effects know no Kafka, the runtime knows no effects. Here a request becomes an effect, the
//! runtime's gate becomes the leave that the effect asks for, and the switches topic its kill switches.

mod runner;
mod switches;

pub use runner::HttpRunner;
pub use switches::SwitchesOf;
