//! Reading what was written with another schema than the one in force: Avro's schema resolution.
#![allow(
    clippy::disallowed_types,
    reason = "apache-avro's values are made of hash maps; what comes of them is ordered"
)]

use std::collections::HashMap;
use std::fmt;

use apache_avro::types::Value;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

use crate::codec::read_body;
use crate::schema::Writer;
use crate::{AvroRecord, CodecError};

/// Reads a record from a body that another schema wrote. The bytes themselves are read by the fast codec,
/// which trusts no length in them; apache-avro's own reader takes a cut-off text for null and reserves
/// whatever an array announces.
pub(crate) fn read<T: AvroRecord>(writer: &Writer, body: &[u8]) -> Result<T, CodecError> {
    let malformed = |error: apache_avro::Error| CodecError::Malformed {
        name: T::NAME,
        reason: error.to_string(),
    };
    let Written(value) = read_body(T::NAME, writer, body)?;
    let resolved = value.resolve(T::schema().reader()?).map_err(malformed)?;
    apache_avro::from_value(&resolved).map_err(malformed)
}

/// A value as its writer meant it. Records are maps from field to value, and enumerations are texts: schema
/// resolution takes both.
struct Written(Value);

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WrittenVisitor).map(Written)
    }
}

struct WrittenVisitor;

impl<'de> Visitor<'de> for WrittenVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an Avro value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Boolean(value))
    }

    fn visit_i32<E>(self, value: i32) -> Result<Value, E> {
        Ok(Value::Int(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Long(value))
    }

    fn visit_f32<E>(self, value: f32) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Double(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_bytes<E>(self, value: &[u8]) -> Result<Value, E> {
        Ok(Value::Bytes(value.to_vec()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(Written(item)) = items.next_element()? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = HashMap::new();
        while let Some((key, Written(value))) = entries.next_entry::<String, Written>()? {
            map.insert(key, value);
        }
        Ok(Value::Map(map))
    }
}
