//! The schemas of this build, compiled once on first use.

use std::sync::OnceLock;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::CodecError;

/// A record with an Avro schema of its own. Implemented with `avro_value!`, never by hand.
pub trait AvroRecord: Serialize + DeserializeOwned + Send + 'static {
    /// Name of the schema: its path below `schemas/avro`, without the ending.
    const NAME: &'static str;

    /// The schema in force and its history.
    fn schema() -> &'static Compiled;
}

/// Declares the Avro schema of a type of this crate: `avro_value!(Type, "name", history: [1, 2]);`.
///
/// The schema in force is `avro/NAME.avsc`, equal to the newest of `history/NAME/VERSION.avsc`. The type also
/// becomes a [`prunella_stream::Codec`], so that a stage can keep it in its state. Every such type needs an
/// entry in [`ALL`](crate::ALL) and examples in `examples/NAME.json`; tests say what is missing.
macro_rules! avro_value {
    ($type:ty, $name:literal, history: [$($version:literal),+ $(,)?]) => {
        impl $crate::AvroRecord for $type {
            const NAME: &'static str = $name;

            fn schema() -> &'static $crate::Compiled {
                static COMPILED: $crate::Compiled = $crate::Compiled::new(
                    $name,
                    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/avro/", $name, ".avsc")),
                    &[$(include_str!(concat!(
                        env!("CARGO_MANIFEST_DIR"), "/history/", $name, "/", $version, ".avsc"
                    ))),+],
                );
                &COMPILED
            }
        }

        impl prunella_stream::Codec for $type {
            fn encode(&self, out: &mut Vec<u8>) {
                $crate::stream::encode_value(self, out);
            }

            fn decode(bytes: &[u8]) -> Result<Self, prunella_stream::CodecFailure> {
                $crate::stream::decode_value(bytes)
            }
        }
    };
}
pub(crate) use avro_value;

/// As `avro_value!`, for a record of a topic: a stage can also declare it as an input.
macro_rules! avro_record {
    ($type:ty, $name:literal, history: [$($version:literal),+ $(,)?]) => {
        $crate::schema::avro_value!($type, $name, history: [$($version),+]);

        impl<'a> prunella_stream::FromRecord<'a> for $type {
            fn from_record(
                record: &prunella_stream::Record<'a>,
            ) -> Result<Self, prunella_stream::Rejection> {
                $crate::stream::value_of(record)
            }
        }
    };
}
pub(crate) use avro_record;

/// Lets a stage declare the borrowed form of a record as an input and an output: the same bytes, read where they
/// lie.
macro_rules! borrowed_record {
    ($type:ty, $owned:ty) => {
        impl<'a> prunella_stream::FromRecord<'a> for $type {
            fn from_record(
                record: &prunella_stream::Record<'a>,
            ) -> Result<Self, prunella_stream::Rejection> {
                let bytes = record.value.unwrap_or_default();
                Ok($crate::decode_borrowed::<$owned, Self>(bytes, |owned| {
                    owned.map($crate::CowStr::from)
                })?)
            }
        }
    };
}
pub(crate) use borrowed_record;

/// A schema of this build with its history. Parsed when it is first needed.
pub struct Compiled {
    name: &'static str,
    text: &'static str,
    history: &'static [&'static str],
    current: OnceLock<Result<Writer, CodecError>>,
    older: OnceLock<Result<Vec<Writer>, CodecError>>,
    reader: OnceLock<Result<apache_avro::Schema, CodecError>>,
}

impl Compiled {
    /// A schema from its text; `history` is every version of it, the oldest first.
    #[must_use]
    pub const fn new(
        name: &'static str,
        text: &'static str,
        history: &'static [&'static str],
    ) -> Self {
        Self {
            name,
            text,
            history,
            current: OnceLock::new(),
            older: OnceLock::new(),
            reader: OnceLock::new(),
        }
    }

    /// Its name: the path below `schemas/avro`, without the ending.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The schema in force, as JSON with its documentation: what a schema registry is given.
    #[must_use]
    pub fn text(&self) -> &'static str {
        self.text
    }

    /// Every version of it, the oldest first.
    #[must_use]
    pub fn history(&self) -> &'static [&'static str] {
        self.history
    }

    /// The CRC-64-AVRO fingerprint of the canonical form, in the order in which it is written.
    ///
    /// # Errors
    /// [`CodecError::BrokenSchema`] if the schema does not parse, which a test rules out.
    pub fn fingerprint(&self) -> Result<[u8; 8], CodecError> {
        Ok(self.current()?.fingerprint())
    }

    /// The schema in force, as the fast codec needs it.
    pub(crate) fn current(&self) -> Result<&Writer, CodecError> {
        self.current
            .get_or_init(|| self.writer(self.text))
            .as_ref()
            .map_err(Clone::clone)
    }

    /// The older version with that fingerprint.
    pub(crate) fn older(&self, fingerprint: [u8; 8]) -> Result<Option<&Writer>, CodecError> {
        let older = self
            .older
            .get_or_init(|| self.history.iter().map(|text| self.writer(text)).collect())
            .as_ref()
            .map_err(Clone::clone)?;
        Ok(older
            .iter()
            .find(|writer| writer.fingerprint() == fingerprint))
    }

    /// The schema in force, as schema resolution needs it.
    pub(crate) fn reader(&self) -> Result<&apache_avro::Schema, CodecError> {
        self.reader
            .get_or_init(|| {
                apache_avro::Schema::parse_str(self.text).map_err(|error| self.broken(&error))
            })
            .as_ref()
            .map_err(Clone::clone)
    }

    fn writer(&self, text: &str) -> Result<Writer, CodecError> {
        Writer::parse(text).map_err(|error| self.broken(&error))
    }

    fn broken(&self, error: &dyn std::fmt::Display) -> CodecError {
        CodecError::BrokenSchema {
            name: self.name,
            reason: error.to_string(),
        }
    }
}

/// A schema that bytes were or are written with.
pub(crate) struct Writer {
    pub(crate) schema: serde_avro_fast::Schema,
}

impl Writer {
    pub(crate) fn parse(text: &str) -> Result<Self, serde_avro_fast::schema::SchemaError> {
        Ok(Self {
            schema: text.parse()?,
        })
    }

    pub(crate) fn fingerprint(&self) -> [u8; 8] {
        *self.schema.rabin_fingerprint()
    }
}
