//! Why bytes are not a record, or a schema is not one of ours.

/// Why bytes could not be written or read, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// There are no bytes.
    #[error(
        "the record's value is empty; only a compacted topic holds tombstones, and they are not decoded: \
         look for the producer of an empty value"
    )]
    Empty,
    /// The bytes begin with neither of the two frames.
    #[error(
        "the value begins with {start}, which is no Avro frame; produce Avro single-object encoding \
         (C3 01) or Confluent framing (00), or check that this is the right topic"
    )]
    NotFramed {
        /// The first bytes in hexadecimal.
        start: String,
    },
    /// The frame itself is cut off.
    #[error(
        "the value ends after {length} bytes, inside its frame; it was cut off: look at its producer"
    )]
    Truncated {
        /// Length of the value in bytes.
        length: usize,
    },
    /// The value is longer than [`MAX_RECORD_BYTES`](crate::MAX_RECORD_BYTES).
    #[error(
        "the value has {length} bytes, more than the {limit} that are read; send smaller records"
    )]
    TooLong {
        /// Length of the value in bytes.
        length: usize,
        /// The most that is read.
        limit: usize,
    },
    /// Single-object bytes of a schema that is neither the one in force nor in its history.
    #[error(
        "the value was written with a schema of fingerprint {hex}, which is not in the history of {name}; \
         upgrade this process if the producer is newer, else let the producer use schemas/avro/{name}.avsc \
         or a schema registry"
    )]
    UnknownFingerprint {
        /// Name of the record that was expected.
        name: String,
        /// The fingerprint's eight bytes in the order they were read, in hexadecimal.
        hex: String,
    },
    /// The bytes are another record of ours.
    #[error(
        "the value is a {found} where a {expected} belongs; check which topic its producer writes to"
    )]
    WrongRecord {
        /// Name of the record that was expected.
        expected: &'static str,
        /// Name of the record that was found.
        found: &'static str,
    },
    /// Confluent framing with a schema id that the registry has not been told yet.
    #[error(
        "the value was written with schema {0} of a schema registry, which is not known here; configure \
         the schema registry that has it, or let the producer use Avro single-object encoding"
    )]
    NeedSchema(u32),
    /// A writer's schema that our record cannot be read from.
    #[error(
        "schema {id} of the schema registry cannot be read as one of our records: {reason}; register a \
         schema that is compatible with the one in schemas/avro"
    )]
    IncompatibleWriter {
        /// The schema's id in the registry.
        id: u32,
        /// What does not fit.
        reason: String,
    },
    /// The frame is good, what follows it is not.
    #[error(
        "the value is no {name}: {reason}; it was damaged or written with another schema than it says: \
         look at its producer"
    )]
    Malformed {
        /// Name of the record that was expected.
        name: &'static str,
        /// What was found.
        reason: String,
    },
    /// A value that its own schema cannot hold.
    #[error(
        "a {name} cannot be written with its schema: {reason}; this is a bug: please report it"
    )]
    Unwritable {
        /// Name of the record.
        name: &'static str,
        /// What does not fit.
        reason: String,
    },
    /// A schema of ours that does not parse.
    #[error(
        "the schema {name} of this build does not parse: {reason}; this is a bug: please report it"
    )]
    BrokenSchema {
        /// Name of the record.
        name: &'static str,
        /// What the parser says.
        reason: String,
    },
}

impl CodecError {
    /// The rule that was broken, in one fixed word: a metric label, a header of a dead letter.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::NotFramed { .. } => "not_framed",
            Self::Truncated { .. } => "truncated",
            Self::TooLong { .. } => "too_long",
            Self::UnknownFingerprint { .. } => "unknown_fingerprint",
            Self::WrongRecord { .. } => "wrong_record",
            Self::NeedSchema(_) => "need_schema",
            Self::IncompatibleWriter { .. } => "incompatible_writer",
            Self::Malformed { .. } => "malformed",
            Self::Unwritable { .. } => "unwritable",
            Self::BrokenSchema { .. } => "broken_schema",
        }
    }
}
