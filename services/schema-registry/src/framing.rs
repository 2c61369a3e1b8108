//! Between topics, where values are in Confluent framing, and stages, which know single-object encoding.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use prunella_runtime::{Inbound, Prefixed, Wire};
use prunella_schemas::{CodecError, Registry, by_name, to_single_object};
use prunella_topology::{Topic, topic};

use crate::client::{Client, RegistryError};
use crate::config::SchemaRegistryConfig;

/// Bytes of the frame in single-object encoding: the marker and the schema's fingerprint.
const SINGLE_OBJECT: usize = 10;
const MARKER: [u8; 2] = [0xC3, 0x01];
const CONFLUENT: u8 = 0x00;
/// A follower of a registry may not have heard of an id yet that its leader has just given.
const LAG: Duration = Duration::from_millis(300);
/// How long an id counts as unknown before it is asked for again: a flood of bad records must not become a flood of
/// questions.
const FORGET_UNKNOWN: Duration = Duration::from_secs(10);
/// Ids that are remembered as unknown at a time.
const UNKNOWN_IDS: usize = 1_000;

/// Confluent framing on the topics.
pub struct ConfluentFraming {
    client: Client,
    known: RwLock<Registry>,
    /// Ids that the registry does not have, or has with a schema that is none of ours, and since when.
    unknown: Mutex<BTreeMap<u32, Instant>>,
    /// What is written to a topic: the frame that stages write, and the one that replaces it.
    frames: BTreeMap<&'static str, Frames>,
}

struct Frames {
    single_object: [u8; SINGLE_OBJECT],
    confluent: [u8; 5],
}

impl ConfluentFraming {
    /// Reads both framings and writes none, as `prunella tail` does; nothing if no registry is configured.
    ///
    /// # Errors
    /// [`RegistryError::Config`].
    pub fn reading(config: &SchemaRegistryConfig) -> Result<Option<Self>, RegistryError> {
        config.validate()?;
        if !config.is_configured() {
            return Ok(None);
        }
        Ok(Some(Self {
            client: Client::new(config)?,
            known: RwLock::default(),
            unknown: Mutex::default(),
            frames: BTreeMap::new(),
        }))
    }

    /// Registers the schemas of the Avro topics among these, which are named without prefix, under the subjects
    /// that Confluent's serializers would use (`TOPIC-value`); nothing if no registry is configured.
    ///
    /// # Errors
    /// [`RegistryError`]; the registry must answer.
    pub fn start<'a>(
        config: &SchemaRegistryConfig,
        prefix: &Prefixed,
        sinks: impl IntoIterator<Item = &'a str>,
    ) -> Result<Option<Self>, RegistryError> {
        let Some(mut framing) = Self::reading(config)? else {
            return Ok(None);
        };
        for declared in sinks.into_iter().filter_map(avro_topic) {
            framing.register(prefix, declared)?;
        }
        Ok(Some(framing))
    }

    fn register(&mut self, prefix: &Prefixed, declared: &Topic) -> Result<(), RegistryError> {
        let Some(schema) = by_name(declared.value).map(|known| known.schema()) else {
            return Ok(());
        };
        let Ok(fingerprint) = schema.fingerprint() else {
            return Ok(());
        };
        let subject = format!("{}-value", prefix.name(declared.name));
        let id = self.client.register(&subject, schema.text())?;
        tracing::info!(subject, id, "schema registered");
        let mut single_object = [0; SINGLE_OBJECT];
        single_object[..2].copy_from_slice(&MARKER);
        single_object[2..].copy_from_slice(&fingerprint);
        let mut confluent = [CONFLUENT; 5];
        confluent[1..].copy_from_slice(&id.to_be_bytes());
        let frames = Frames {
            single_object,
            confluent,
        };
        self.frames.insert(declared.name, frames);
        self.learn(id, schema.text());
        Ok(())
    }

    /// Remembers a schema; false if no record of ours is read from it.
    fn learn(&self, id: u32, schema: &str) -> bool {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let learnt = known.learn(id, schema);
        if let Err(error) = &learnt {
            tracing::warn!(id, %error, "records of this schema go to the dead-letter queue");
        }
        learnt.is_ok()
    }

    fn translate(&self, value: &[u8], out: &mut Vec<u8>) -> Result<(), CodecError> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        to_single_object(&known, value, out)
    }

    /// Asks for a schema; false if there is none to read the record with.
    fn look_up(&self, id: u32) -> Result<bool, RegistryError> {
        if self.is_unknown(id) {
            return Ok(false);
        }
        let mut found = self.client.schema(id)?;
        if found.is_none() {
            std::thread::sleep(LAG);
            found = self.client.schema(id)?;
        }
        if found.is_some_and(|schema| self.learn(id, &schema)) {
            return Ok(true);
        }
        let mut unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
        unknown.retain(|_, since| since.elapsed() < FORGET_UNKNOWN);
        if unknown.len() < UNKNOWN_IDS {
            unknown.insert(id, Instant::now());
        }
        Ok(false)
    }

    fn is_unknown(&self, id: u32) -> bool {
        let unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
        unknown
            .get(&id)
            .is_some_and(|since| since.elapsed() < FORGET_UNKNOWN)
    }
}

impl Wire for ConfluentFraming {
    fn inbound(&self, topic: &str, value: &[u8], out: &mut Vec<u8>) -> Inbound {
        if value.first() != Some(&CONFLUENT) || avro_topic(topic).is_none() {
            return Inbound::AsItIs;
        }
        let mark = out.len();
        let mut translated = self.translate(value, out);
        if let Err(CodecError::NeedSchema(id)) = translated {
            match self.look_up(id) {
                Ok(true) => translated = self.translate(value, out),
                // The stage's own codec says what is wrong and puts the record aside.
                Ok(false) => {}
                Err(error) => return Inbound::NotNow(error.to_string()),
            }
        }
        match translated {
            Ok(()) => Inbound::Changed,
            Err(error) => {
                tracing::debug!(topic, %error, "left in Confluent framing");
                out.truncate(mark);
                Inbound::AsItIs
            }
        }
    }

    fn outbound(&self, topic: &str, value: &[u8], out: &mut Vec<u8>) -> bool {
        let Some(frames) = self.frames.get(topic) else {
            return false;
        };
        let Some(body) = value.strip_prefix(&frames.single_object) else {
            return false;
        };
        out.extend_from_slice(&frames.confluent);
        out.extend_from_slice(body);
        true
    }
}

/// The declared topic of that name, if its values are Avro: others carry vendors' own bytes.
fn avro_topic(name: &str) -> Option<&'static Topic> {
    topic(name).filter(|declared| declared.value != Topic::BYTES)
}
