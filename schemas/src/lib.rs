//! The records on the topics and the values in the stages' state: their Avro schemas, their Rust types and
//! the codec between the two.
//!
//! Bytes are written in Avro single-object encoding, or in Confluent framing where a schema registry is
//! used. What was written with the schema in force is read straight into the Rust types; what was written
//! with an older or another writer's schema goes through Avro's schema resolution. The crate knows no
//! registry: asked for bytes whose schema it was not told, it answers [`CodecError::NeedSchema`].

mod catalogue;
mod codec;
mod compatibility;
mod error;
pub mod records;
mod registry;
mod resolution;
mod schema;
pub mod spec;
pub mod state;
mod stream;

pub use catalogue::{ALL, Known, by_name, decode_any, decode_any_with};
pub use codec::{
    MAX_RECORD_BYTES, decode, decode_borrowed, decode_with, encode, encode_borrowed,
    encode_confluent, to_single_object,
};
pub use compatibility::{can_read, compatible};
pub use error::CodecError;
pub use records::*;
pub use registry::Registry;
pub use schema::{AvroRecord, Compiled};
pub use stream::Compacted;
