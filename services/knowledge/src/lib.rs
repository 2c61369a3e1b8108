//! Rules and playbooks: parsing, checking, digests.

mod alert;
pub mod condition;
mod diagnostic;
mod duration;
mod fields;
mod files;
pub mod kinds;
pub mod model;
mod set;
mod suggest;
mod switches;
mod view;
mod yaml;

pub use alert::{ALERT_VARIABLES, AlertScope, RUN_VARIABLES};
pub use condition::{Condition, ConditionError, Lookup, Reference, Term, Variables};
pub use diagnostic::{Diagnostic, Level};
pub use duration::{format_duration, parse_duration};
pub use model::*;
pub use set::{Options, check, check_with, digest_of};
pub use switches::SwitchView;
pub use view::KnowledgeView;
