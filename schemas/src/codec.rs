//! From Rust types to framed Avro and back.

use serde::{Deserialize, Serialize};
use serde_avro_fast::de::read::SliceRead;
use serde_avro_fast::de::{DeserializerConfig, DeserializerState};
use serde_avro_fast::ser::{SerializerConfig, SerializerState};

use crate::catalogue;
use crate::resolution;
use crate::schema::Writer;
use crate::{AvroRecord, CodecError, Registry};

/// The longest value that is read, in bytes: 16 MiB. In memory a hostile one takes up to some 25 times that.
pub const MAX_RECORD_BYTES: usize = 16 << 20;

const SINGLE_OBJECT: [u8; 2] = [0xC3, 0x01];
const CONFLUENT: u8 = 0x00;

/// Appends the value in Avro single-object encoding. Equal values give equal bytes.
///
/// # Errors
/// [`CodecError::Unwritable`] if the value does not fit its own schema; `out` is then as it was.
pub fn encode<T: AvroRecord>(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
    encode_borrowed::<T>(value, out)
}

/// Appends a value of another type than the record's in the same bytes: one that borrows its texts.
///
/// # Errors
/// [`CodecError::Unwritable`] if the value does not fit the record's schema; `out` is then as it was.
pub fn encode_borrowed<T: AvroRecord>(
    value: &impl Serialize,
    out: &mut Vec<u8>,
) -> Result<(), CodecError> {
    let writer = T::schema().current()?;
    let mark = out.len();
    out.extend_from_slice(&SINGLE_OBJECT);
    out.extend_from_slice(&writer.fingerprint());
    write_body(T::NAME, value, writer, mark, out)
}

/// Appends the value in Confluent framing, under the id that the schema registry gave to the schema in force.
///
/// # Errors
/// [`CodecError::Unwritable`] if the value does not fit its own schema; `out` is then as it was.
pub fn encode_confluent<T: AvroRecord>(
    value: &T,
    schema_id: u32,
    out: &mut Vec<u8>,
) -> Result<(), CodecError> {
    let writer = T::schema().current()?;
    let mark = out.len();
    out.push(CONFLUENT);
    out.extend_from_slice(&schema_id.to_be_bytes());
    write_body(T::NAME, value, writer, mark, out)
}

/// Reads a record from exactly these bytes, written with the schema in force or an older version of it.
///
/// # Errors
/// Every [`CodecError`] about reading; [`CodecError::NeedSchema`] for Confluent framing.
pub fn decode<T: AvroRecord>(bytes: &[u8]) -> Result<T, CodecError> {
    decode_with(Registry::empty(), bytes)
}

/// Reads a record as a type that borrows from these bytes. What an older version of the schema wrote is read as
/// the record itself, and made that type.
///
/// # Errors
/// As [`decode`].
pub fn decode_borrowed<'a, T: AvroRecord, B: Deserialize<'a>>(
    bytes: &'a [u8],
    from_owned: impl FnOnce(T) -> B,
) -> Result<B, CodecError> {
    let current = T::schema().current()?;
    match Frame::parse(bytes)? {
        Frame::SingleObject { fingerprint, body } if fingerprint == current.fingerprint() => {
            read_body(T::NAME, current, body)
        }
        _ => decode(bytes).map(from_owned),
    }
}

/// As [`decode`], with the writers' schemas that the registry has been told.
///
/// # Errors
/// Every [`CodecError`] about reading; [`CodecError::NeedSchema`] if the registry does not know the id: look it
/// up, [`learn`](Registry::learn) it, and decode again.
pub fn decode_with<T: AvroRecord>(registry: &Registry, bytes: &[u8]) -> Result<T, CodecError> {
    match Frame::parse(bytes)? {
        Frame::SingleObject { fingerprint, body } => decode_single_object(fingerprint, body),
        Frame::Confluent { schema_id, body } => {
            let learnt = registry.writer(schema_id)?;
            if learnt.target.name() != T::NAME {
                return Err(CodecError::WrongRecord {
                    expected: T::NAME,
                    found: learnt.target.name(),
                });
            }
            if learnt.in_force {
                read_body(T::NAME, &learnt.writer, body)
            } else {
                resolution::read(&learnt.writer, body)
            }
        }
    }
}

/// Appends a record of either frame in single-object encoding, so that whoever reads it needs no registry. A
/// record written with the schema in force only changes its frame and is not looked into.
///
/// # Errors
/// Those of the frame; and as [`decode_with`] if the record must be read to be written anew.
pub fn to_single_object(
    registry: &Registry,
    bytes: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), CodecError> {
    let Frame::Confluent { schema_id, body } = Frame::parse(bytes)? else {
        out.extend_from_slice(bytes);
        return Ok(());
    };
    let learnt = registry.writer(schema_id)?;
    if !learnt.in_force {
        return learnt.target.transcode(registry, bytes, out);
    }
    out.extend_from_slice(&SINGLE_OBJECT);
    out.extend_from_slice(&learnt.writer.fingerprint());
    out.extend_from_slice(body);
    Ok(())
}

/// The frame around a record.
pub(crate) enum Frame<'a> {
    SingleObject {
        fingerprint: [u8; 8],
        body: &'a [u8],
    },
    Confluent {
        schema_id: u32,
        body: &'a [u8],
    },
}

impl<'a> Frame<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, CodecError> {
        if bytes.len() > MAX_RECORD_BYTES {
            return Err(CodecError::TooLong {
                length: bytes.len(),
                limit: MAX_RECORD_BYTES,
            });
        }
        let truncated = || CodecError::Truncated {
            length: bytes.len(),
        };
        match bytes {
            [] => Err(CodecError::Empty),
            [0xC3] => Err(truncated()),
            [0xC3, 0x01, rest @ ..] => {
                let (fingerprint, body) = rest.split_first_chunk().ok_or_else(truncated)?;
                Ok(Self::SingleObject {
                    fingerprint: *fingerprint,
                    body,
                })
            }
            [CONFLUENT, rest @ ..] => {
                let (schema_id, body) = rest.split_first_chunk().ok_or_else(truncated)?;
                Ok(Self::Confluent {
                    schema_id: u32::from_be_bytes(*schema_id),
                    body,
                })
            }
            _ => Err(CodecError::NotFramed {
                start: hex(&bytes[..bytes.len().min(8)]),
            }),
        }
    }
}

/// Reads a value that must fill the body. Lengths that the body declares are believed only as far as it
/// reaches, so damaged bytes cost no more memory than good ones.
pub(crate) fn read_body<'de, T: Deserialize<'de>>(
    name: &'static str,
    writer: &Writer,
    body: &'de [u8],
) -> Result<T, CodecError> {
    let malformed = |reason: String| CodecError::Malformed { name, reason };
    let mut config = DeserializerConfig::new(&writer.schema);
    config.max_seq_size = body.len();
    let mut state = DeserializerState::with_config(SliceRead::new(body), config);
    let value =
        T::deserialize(state.deserializer()).map_err(|error| malformed(error.to_string()))?;
    let left = std::io::BufRead::fill_buf(&mut state.into_reader()).map_or(0, <[u8]>::len);
    if left > 0 {
        return Err(malformed(format!("{left} bytes follow its end")));
    }
    Ok(value)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn decode_single_object<T: AvroRecord>(fingerprint: [u8; 8], body: &[u8]) -> Result<T, CodecError> {
    let schema = T::schema();
    let current = schema.current()?;
    if fingerprint == current.fingerprint() {
        return read_body(T::NAME, current, body);
    }
    if let Some(older) = schema.older(fingerprint)? {
        return resolution::read(older, body);
    }
    Err(match catalogue::by_fingerprint(fingerprint)? {
        Some(other) => CodecError::WrongRecord {
            expected: T::NAME,
            found: other.name(),
        },
        None => CodecError::UnknownFingerprint {
            name: T::NAME.to_owned(),
            hex: hex(&fingerprint),
        },
    })
}

fn write_body(
    name: &'static str,
    value: &impl Serialize,
    writer: &Writer,
    mark: usize,
    out: &mut Vec<u8>,
) -> Result<(), CodecError> {
    // The types' fields stand in the schema's order (a test says so): the configuration then needs none of
    // its buffers, and making it costs nothing.
    let mut config = SerializerConfig::new(&writer.schema);
    let mut state = SerializerState::from_writer(&mut *out, &mut config);
    let written = value.serialize(state.serializer());
    written.map_err(|error| {
        out.truncate(mark);
        CodecError::Unwritable {
            name,
            reason: error.to_string(),
        }
    })
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::Compiled;

    const FIRST: &str = r#"{"type": "record", "name": "Seen", "namespace": "t", "fields": [
        {"name": "id", "type": "string"}, {"name": "count", "type": "int"}]}"#;
    const SECOND: &str = r#"{"type": "record", "name": "Seen", "namespace": "t", "fields": [
        {"name": "count", "type": "long"},
        {"name": "id", "type": "string"},
        {"name": "why", "type": "string", "default": "not known"}]}"#;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Before {
        id: String,
        count: i32,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct After {
        count: i64,
        id: String,
        why: String,
    }

    impl AvroRecord for Before {
        const NAME: &'static str = "seen";

        fn schema() -> &'static Compiled {
            static COMPILED: Compiled = Compiled::new("seen", FIRST, &[FIRST]);
            &COMPILED
        }
    }

    impl AvroRecord for After {
        const NAME: &'static str = "seen";

        fn schema() -> &'static Compiled {
            static COMPILED: Compiled = Compiled::new("seen", SECOND, &[FIRST, SECOND]);
            &COMPILED
        }
    }

    fn before() -> Vec<u8> {
        let value = Before {
            id: "a".to_owned(),
            count: -3,
        };
        let mut bytes = Vec::new();
        encode(&value, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn what_an_older_version_wrote_is_read_with_the_defaults() {
        let expected = After {
            count: -3,
            id: "a".to_owned(),
            why: "not known".to_owned(),
        };
        assert_eq!(decode(&before()).as_ref(), Ok(&expected));
        let same = |after: After| after;
        assert_eq!(decode_borrowed(&before(), same), Ok(expected));
    }

    #[test]
    fn what_an_older_version_wrote_is_refused_if_it_is_damaged() {
        let mut bytes = before();
        bytes.push(0);
        assert_eq!(decode::<After>(&bytes).unwrap_err().label(), "malformed");
        bytes.truncate(bytes.len() - 2);
        assert_eq!(decode::<After>(&bytes).unwrap_err().label(), "malformed");
    }

    #[test]
    fn an_older_reader_says_what_to_do_about_a_newer_writer() {
        let value = After {
            count: 1,
            id: String::new(),
            why: String::new(),
        };
        let mut bytes = Vec::new();
        encode(&value, &mut bytes).unwrap();
        let error = decode::<Before>(&bytes).unwrap_err();
        assert_eq!(error.label(), "unknown_fingerprint");
        assert!(
            error.to_string().contains("upgrade this process"),
            "{error}"
        );
    }

    /// A type that has not what its schema asks for.
    #[derive(Debug, Serialize, Deserialize)]
    struct Lacking {
        id: String,
    }

    impl AvroRecord for Lacking {
        const NAME: &'static str = "lacking";

        fn schema() -> &'static Compiled {
            static COMPILED: Compiled = Compiled::new("lacking", FIRST, &[]);
            &COMPILED
        }
    }

    #[test]
    fn a_value_that_does_not_fit_its_schema_leaves_the_output_as_it_was() {
        let mut bytes = b"before".to_vec();
        let value = Lacking { id: "a".to_owned() };
        let error = encode(&value, &mut bytes).unwrap_err();
        assert_eq!(
            (error.label(), bytes.as_slice()),
            ("unwritable", &b"before"[..])
        );
    }

    /// A type whose schema is none.
    #[derive(Debug, Serialize, Deserialize)]
    struct Broken;

    impl AvroRecord for Broken {
        const NAME: &'static str = "broken";

        fn schema() -> &'static Compiled {
            static COMPILED: Compiled = Compiled::new("broken", "{", &[]);
            &COMPILED
        }
    }

    #[test]
    fn a_schema_that_does_not_parse_is_an_error_and_no_panic() {
        let error = encode(&Broken, &mut Vec::new()).unwrap_err();
        assert_eq!(error.label(), "broken_schema");
    }
}
