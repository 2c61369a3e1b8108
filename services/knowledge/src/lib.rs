//! Rules and playbooks: parsing, checking, digests.

pub mod condition;
pub mod model;
mod suggest;

pub use condition::{Condition, ConditionError, Lookup, Reference, Term, Variables};
pub use model::*;
