//! The writers' schemas that a schema registry has told us.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::catalogue;
use crate::compatibility::can_read;
use crate::schema::Writer;
use crate::{ALL, CodecError, Known};

/// What is known of a schema registry: id to writer's schema. Looking ids up is the Kafka edge's work.
/// A clone is cheap and shares what was learnt before.
#[derive(Clone, Default)]
pub struct Registry {
    writers: BTreeMap<u32, Arc<Learnt>>,
}

/// A writer's schema and which of our records is read from it.
pub(crate) struct Learnt {
    pub(crate) writer: Writer,
    pub(crate) target: &'static dyn Known,
    /// Whether the two schemas are the same, so that schema resolution has nothing to do.
    pub(crate) in_force: bool,
}

impl Registry {
    /// A registry that knows nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            writers: BTreeMap::new(),
        }
    }

    /// Whether the id has been learnt.
    #[must_use]
    pub fn knows(&self, id: u32) -> bool {
        self.writers.contains_key(&id)
    }

    /// Remembers the schema of that id. It is the schema of whichever of our records has its full name.
    ///
    /// # Errors
    /// [`CodecError::IncompatibleWriter`] if it does not parse, is no record of ours, or is one from which
    /// ours cannot be read; the registry is then as it was.
    pub fn learn(&mut self, id: u32, schema_json: &str) -> Result<(), CodecError> {
        let refuse = |reason: String| CodecError::IncompatibleWriter { id, reason };
        let writer = Writer::parse(schema_json).map_err(|error| refuse(error.to_string()))?;
        let target = same_name(schema_json).map_err(refuse)?;
        let in_force = writer.fingerprint() == target.schema().fingerprint()?;
        if !in_force {
            can_read(schema_json, target.schema().text()).map_err(refuse)?;
        }
        let learnt = Learnt {
            writer,
            target,
            in_force,
        };
        self.writers.insert(id, Arc::new(learnt));
        Ok(())
    }

    pub(crate) fn empty() -> &'static Self {
        static EMPTY: Registry = Registry::new();
        &EMPTY
    }

    pub(crate) fn writer(&self, id: u32) -> Result<&Learnt, CodecError> {
        self.writers
            .get(&id)
            .map(AsRef::as_ref)
            .ok_or(CodecError::NeedSchema(id))
    }
}

/// Our record of the same full name as the writer's.
fn same_name(schema_json: &str) -> Result<&'static dyn Known, String> {
    let name = catalogue::record_name(schema_json)?;
    ALL.iter()
        .copied()
        .find(|known| catalogue::record_name(known.schema().text()).as_ref() == Ok(&name))
        .ok_or_else(|| format!("no record of ours is called {name}"))
}
