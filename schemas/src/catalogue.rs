//! Every schema of this build, and reading bytes without knowing which of them they are.

use std::marker::PhantomData;

use serde_json::Value;

use crate::codec::{Frame, hex};
use crate::state::{
    Answered, Budget, ChainHead, Claim, Cooldown, Counted, LiveRun, Position, Seen, Watermark,
    Window,
};
use crate::{
    Action, ActionResult, AuditEntry, AvroRecord, CodecError, Compiled, Control, Decision,
    KnowledgeRecord, NormalizedAlert, PlaybookRun, Registry, Switch, decode_with, encode,
};

/// Every schema: the records on the topics, then the values in the stages' state.
pub static ALL: &[&dyn Known] = &[
    &Entry::<NormalizedAlert>::NEW,
    &Entry::<Decision>::NEW,
    &Entry::<Action>::NEW,
    &Entry::<ActionResult>::NEW,
    &Entry::<PlaybookRun>::NEW,
    &Entry::<Control>::NEW,
    &Entry::<Switch>::NEW,
    &Entry::<AuditEntry>::NEW,
    &Entry::<KnowledgeRecord>::NEW,
    &Entry::<Position>::NEW,
    &Entry::<LiveRun>::NEW,
    &Entry::<ChainHead>::NEW,
    &Entry::<Cooldown>::NEW,
    &Entry::<Budget>::NEW,
    &Entry::<Claim>::NEW,
    &Entry::<Answered>::NEW,
    &Entry::<Seen>::NEW,
    &Entry::<Counted>::NEW,
    &Entry::<Window>::NEW,
    &Entry::<Watermark>::NEW,
];

/// One schema of this build, its Rust type forgotten.
pub trait Known: Sync {
    /// Its name: the path below `schemas/avro`, without the ending.
    fn name(&self) -> &'static str;

    /// The schema and its history.
    fn schema(&self) -> &'static Compiled;

    /// Decodes a record and shows it as JSON with the schema's field names.
    ///
    /// # Errors
    /// As [`decode_with`].
    fn to_json(&self, registry: &Registry, bytes: &[u8]) -> Result<Value, CodecError>;

    /// Decodes a record and shows it as one line of JSON, its fields in the schema's order.
    ///
    /// # Errors
    /// As [`decode_with`].
    fn to_json_line(&self, registry: &Registry, bytes: &[u8]) -> Result<String, CodecError>;

    /// Decodes a record and appends it in single-object encoding with the schema in force.
    ///
    /// # Errors
    /// As [`decode_with`].
    fn transcode(
        &self,
        registry: &Registry,
        bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), CodecError>;

    /// Encodes a record that is given as JSON with the schema's field names.
    ///
    /// # Errors
    /// [`CodecError::Malformed`] if the JSON is no such record.
    fn encode_json(&self, json: &Value) -> Result<Vec<u8>, CodecError>;
}

/// The schema of that name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static dyn Known> {
    ALL.iter().copied().find(|known| known.name() == name)
}

/// Decodes bytes of any of our schemas, older versions included: the schema's name, and the record as JSON with
/// the schema's field names.
///
/// # Errors
/// As [`decode`](crate::decode).
pub fn decode_any(bytes: &[u8]) -> Result<(&'static str, Value), CodecError> {
    decode_any_with(Registry::empty(), bytes)
}

/// As [`decode_any`], with the writers' schemas that the registry has been told.
///
/// # Errors
/// As [`decode_with`].
pub fn decode_any_with(
    registry: &Registry,
    bytes: &[u8],
) -> Result<(&'static str, Value), CodecError> {
    let found = match Frame::parse(bytes)? {
        Frame::SingleObject { fingerprint, .. } => {
            by_fingerprint(fingerprint)?.ok_or_else(|| CodecError::UnknownFingerprint {
                name: "any of our records".to_owned(),
                hex: hex(&fingerprint),
            })?
        }
        Frame::Confluent { schema_id, .. } => registry.writer(schema_id)?.target,
    };
    Ok((found.name(), found.to_json(registry, bytes)?))
}

/// The schema that has, or once had, that fingerprint.
pub(crate) fn by_fingerprint(
    fingerprint: [u8; 8],
) -> Result<Option<&'static dyn Known>, CodecError> {
    for known in ALL.iter().copied() {
        let schema = known.schema();
        if schema.fingerprint()? == fingerprint || schema.older(fingerprint)?.is_some() {
            return Ok(Some(known));
        }
    }
    Ok(None)
}

struct Entry<T>(PhantomData<fn() -> T>);

impl<T> Entry<T> {
    const NEW: Self = Self(PhantomData);
}

impl<T: AvroRecord> Known for Entry<T> {
    fn name(&self) -> &'static str {
        T::NAME
    }

    fn schema(&self) -> &'static Compiled {
        T::schema()
    }

    fn to_json(&self, registry: &Registry, bytes: &[u8]) -> Result<Value, CodecError> {
        let record: T = decode_with(registry, bytes)?;
        serde_json::to_value(&record).map_err(no_json::<T>)
    }

    fn to_json_line(&self, registry: &Registry, bytes: &[u8]) -> Result<String, CodecError> {
        let record: T = decode_with(registry, bytes)?;
        serde_json::to_string(&record).map_err(no_json::<T>)
    }

    fn transcode(
        &self,
        registry: &Registry,
        bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        let record: T = decode_with(registry, bytes)?;
        encode(&record, out)
    }

    fn encode_json(&self, json: &Value) -> Result<Vec<u8>, CodecError> {
        let record = T::deserialize(json).map_err(no_json::<T>)?;
        let mut bytes = Vec::new();
        encode(&record, &mut bytes)?;
        Ok(bytes)
    }
}

fn no_json<T: AvroRecord>(error: serde_json::Error) -> CodecError {
    CodecError::Malformed {
        name: T::NAME,
        reason: error.to_string(),
    }
}

/// The full name of the record that a schema describes.
pub(crate) fn record_name(schema_json: &str) -> Result<String, String> {
    let schema: Value =
        serde_json::from_str(schema_json).map_err(|error| format!("not JSON: {error}"))?;
    let text = |key| schema.get(key).and_then(Value::as_str);
    match (text("namespace"), text("name")) {
        (_, Some(name)) if name.contains('.') => Ok(name.to_owned()),
        (Some(namespace), Some(name)) => Ok(format!("{namespace}.{name}")),
        (None, Some(name)) => Ok(name.to_owned()),
        (_, None) => Err("it is no record with a name".to_owned()),
    }
}
