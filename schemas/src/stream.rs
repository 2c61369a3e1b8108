//! How stages read and keep records: the stream core's traits over the Avro codec.

use prunella_stream::{CodecFailure, FromRecord, Record, Rejection};
use serde::Serialize;

use crate::{AvroRecord, CodecError, decode, encode_borrowed};

/// A record of a compacted topic: what lies under its key now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compacted<T> {
    /// The key's bytes; empty if the record has none.
    pub key: Vec<u8>,
    /// The value under the key; absent if it was removed (a tombstone).
    pub value: Option<T>,
}

impl<'a, T: AvroRecord> FromRecord<'a> for Compacted<T> {
    fn from_record(record: &Record<'a>) -> Result<Self, Rejection> {
        let value = record.value.map(decode).transpose();
        Ok(Self {
            key: record.key.unwrap_or_default().to_vec(),
            value: value?,
        })
    }
}

impl From<CodecError> for Rejection {
    fn from(error: CodecError) -> Self {
        Self::new(error.label(), error.to_string())
    }
}

/// The value of a record on a topic without tombstones.
pub(crate) fn value_of<T: AvroRecord>(record: &Record<'_>) -> Result<T, Rejection> {
    Ok(decode(record.value.unwrap_or_default())?)
}

/// Appends a value. One that does not fit its schema becomes no bytes at all, which every reader refuses as
/// empty; the tests rule it out for every schema.
pub(crate) fn encode_value<T: AvroRecord>(value: &T, out: &mut Vec<u8>) {
    encode_borrowed_value::<T>(value, out);
}

/// As [`encode_value`], for a value that borrows its texts.
pub(crate) fn encode_borrowed_value<T: AvroRecord>(value: &impl Serialize, out: &mut Vec<u8>) {
    let written = encode_borrowed::<T>(value, out);
    debug_assert!(written.is_ok(), "{written:?}");
}

/// Reads a value of state.
pub(crate) fn decode_value<T: AvroRecord>(bytes: &[u8]) -> Result<T, CodecFailure> {
    decode(bytes).map_err(|error| CodecFailure::new(error.to_string()))
}

#[cfg(test)]
mod tests {
    use prunella_stream::Codec;

    use super::*;
    use crate::state::Position;
    use crate::{Decision, Switch};

    fn record<'a>(value: Option<&'a [u8]>) -> Record<'a> {
        Record {
            source: 0,
            partition: 0,
            offset: 7,
            timestamp: 0,
            key: Some(b"kill-switch"),
            value,
            headers: &[],
        }
    }

    fn bytes_of<T: Codec>(value: &T) -> Vec<u8> {
        let mut bytes = Vec::new();
        value.encode(&mut bytes);
        bytes
    }

    #[test]
    fn a_value_of_state_reads_back_and_damaged_bytes_do_not() {
        let position = Position { offset: 41 };
        let bytes = bytes_of(&position);
        assert_eq!(<Position as Codec>::decode(&bytes), Ok(position));
        assert!(<Position as Codec>::decode(&bytes[..bytes.len() - 1]).is_err());
    }

    #[test]
    fn a_stage_reads_a_record_and_rejects_another_one_by_name() {
        let bytes = bytes_of(&Decision::default());
        let record = record(Some(&bytes));
        assert_eq!(Decision::from_record(&record), Ok(Decision::default()));
        let rejected = Switch::from_record(&record).unwrap_err();
        assert_eq!(rejected.class, "wrong_record");
    }

    #[test]
    fn a_tombstone_is_a_removal_on_a_compacted_topic_and_empty_elsewhere() {
        let removed = Compacted::<Switch>::from_record(&record(None)).unwrap();
        assert_eq!(
            (removed.key.as_slice(), removed.value),
            (&b"kill-switch"[..], None)
        );
        assert_eq!(
            Switch::from_record(&record(None)).unwrap_err().class,
            "empty"
        );

        let bytes = bytes_of(&Switch::default());
        let kept = Compacted::<Switch>::from_record(&record(Some(&bytes))).unwrap();
        assert_eq!(kept.value, Some(Switch::default()));
    }
}
