//! How keys and values of state become bytes on a changelog topic.

/// Bytes that a changelog record cannot be read from: written by something else, or damaged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CodecFailure(pub String);

impl CodecFailure {
    /// A failure with that reason.
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

/// Bytes and back. Encoding is deterministic: equal values give equal bytes.
pub trait Codec: Sized {
    /// Appends the value's bytes.
    fn encode(&self, out: &mut Vec<u8>);
    /// Reads a value from exactly these bytes.
    ///
    /// # Errors
    /// [`CodecFailure`] if they are not such a value.
    fn decode(bytes: &[u8]) -> Result<Self, CodecFailure>;
}

impl Codec for String {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }

    fn decode(bytes: &[u8]) -> Result<Self, CodecFailure> {
        String::from_utf8(bytes.to_vec()).map_err(|_| CodecFailure::new("not UTF-8"))
    }
}

impl Codec for Vec<u8> {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn decode(bytes: &[u8]) -> Result<Self, CodecFailure> {
        Ok(bytes.to_vec())
    }
}

impl Codec for i64 {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_be_bytes());
    }

    fn decode(bytes: &[u8]) -> Result<Self, CodecFailure> {
        let bytes: [u8; 8] = bytes
            .try_into()
            .map_err(|_| CodecFailure::new("an integer has 8 bytes"))?;
        Ok(i64::from_be_bytes(bytes))
    }
}

impl Codec for () {
    fn encode(&self, _out: &mut Vec<u8>) {}

    fn decode(bytes: &[u8]) -> Result<Self, CodecFailure> {
        if bytes.is_empty() {
            Ok(())
        } else {
            Err(CodecFailure::new("a unit has no bytes"))
        }
    }
}

/// A pair: the first part is prefixed with its length as four bytes.
impl<A: Codec, B: Codec> Codec for (A, B) {
    fn encode(&self, out: &mut Vec<u8>) {
        let mark = out.len();
        out.extend_from_slice(&[0; 4]);
        self.0.encode(out);
        let length = u32::try_from(out.len() - mark - 4).unwrap_or(u32::MAX);
        out[mark..mark + 4].copy_from_slice(&length.to_be_bytes());
        self.1.encode(out);
    }

    fn decode(bytes: &[u8]) -> Result<Self, CodecFailure> {
        let short = || CodecFailure::new("a pair is cut short");
        let (length, rest) = bytes.split_first_chunk::<4>().ok_or_else(short)?;
        let length = u32::from_be_bytes(*length) as usize;
        let (first, second) = rest.split_at_checked(length).ok_or_else(short)?;
        Ok((A::decode(first)?, B::decode(second)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: Codec + PartialEq + std::fmt::Debug>(value: T) {
        let mut bytes = Vec::new();
        value.encode(&mut bytes);
        assert_eq!(T::decode(&bytes), Ok(value));
    }

    #[test]
    fn values_read_back() {
        check(String::from("prunella"));
        check(vec![0_u8, 255]);
        check(-5_i64);
        check((String::from("a"), (7_i64, String::new())));
    }

    #[test]
    fn a_cut_pair_is_refused() {
        assert!(<(String, String)>::decode(&[0, 0, 0, 9, b'a']).is_err());
        assert!(<(String, String)>::decode(&[0]).is_err());
    }
}
