//! The records that travel on the topics. Field names are the Avro field names; times are milliseconds
//! since the Unix epoch in UTC; ids are lower-case hexadecimal digests.
//!
//! Where a field has a default in the schema it has the same default here, so that a record given as JSON may
//! leave it out too.

mod action;
mod alert;
mod audit;
mod control;
mod cow_str;
mod decision;
mod knowledge;
mod run;

pub use action::{Action, ActionResult, GuardVerdict, ResultStatus};
pub use alert::{AlertStatus, BorrowedAlert, NormalizedAlert, RawRef, Severity};
pub use audit::AuditEntry;
pub use control::{Control, ControlKind, Switch, SwitchKind};
pub use cow_str::CowStr;
pub use decision::{BorrowedDecision, Decision, Outcome};
pub use knowledge::{KnowledgeFile, KnowledgeRecord};
pub use run::{PlaybookRun, RunState, TaskRun, TaskState};

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

/// Reads a map in one go: our writers sort, and building from a sorted list is much cheaper than inserting entry
/// by entry. Unsorted maps of other writers are read too; a key that is there twice keeps its last value.
fn sorted_map<'de, D: Deserializer<'de>, S: Deserialize<'de> + Ord>(
    deserializer: D,
) -> Result<BTreeMap<S, S>, D::Error> {
    struct Entries<S>(PhantomData<S>);

    impl<'de, S: Deserialize<'de> + Ord> Visitor<'de> for Entries<S> {
        type Value = BTreeMap<S, S>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a map of texts")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
            let mut list = Vec::with_capacity(USUAL_ENTRIES);
            while let Some(entry) = entries.next_entry()? {
                list.push(entry);
            }
            Ok(list.into_iter().collect())
        }
    }

    deserializer.deserialize_map(Entries(PhantomData))
}

/// Most maps hold no more, and their list then never grows.
const USUAL_ENTRIES: usize = 16;

/// Gives an enumeration its words: the symbols of its Avro schema, in their order.
macro_rules! words {
    ($name:ident { $($symbol:ident),+ $(,)? }) => {
        impl $name {
            /// Every value, in the schema's order.
            pub const ALL: &'static [Self] = &[$(Self::$symbol),+];

            /// The schema's word for it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$symbol => stringify!($symbol)),+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.pad(self.as_str())
            }
        }
    };
}
use words;
