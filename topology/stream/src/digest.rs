//! 16-byte digests: identities and compact keys.

use std::fmt;

use crate::codec::{Codec, CodecFailure};

/// What is no longer than this, in bytes, is hashed at once: about twice as fast as part by part.
const AT_ONCE: usize = 512;

/// The first 16 bytes of a BLAKE3 hash over length-prefixed parts.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 16]);

impl Digest {
    /// Digest of the parts. Each part is prefixed with its length, so that no two lists of parts collide
    /// by moving a byte from one to the next.
    #[must_use]
    pub fn of(parts: &[&[u8]]) -> Self {
        let length: usize = parts.iter().map(|part| part.len() + 8).sum();
        let hash = if length <= AT_ONCE {
            let mut bytes = [0; AT_ONCE];
            let mut end = 0;
            for part in parts {
                bytes[end..end + 8].copy_from_slice(&(part.len() as u64).to_le_bytes());
                bytes[end + 8..end + 8 + part.len()].copy_from_slice(part);
                end += 8 + part.len();
            }
            blake3::hash(&bytes[..end])
        } else {
            let mut hasher = blake3::Hasher::new();
            for part in parts {
                hasher.update(&(part.len() as u64).to_le_bytes());
                hasher.update(part);
            }
            hasher.finalize()
        };
        let mut short = [0; 16];
        short.copy_from_slice(&hash.as_bytes()[..16]);
        Self(short)
    }

    /// Lower-case hexadecimal, 32 characters.
    #[must_use]
    pub fn hex(&self) -> String {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; 32];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        std::str::from_utf8(&text).unwrap_or_default().to_owned()
    }

    /// Reads what [`Digest::hex`] wrote.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let text = text.as_bytes();
        if text.len() != 32 {
            return None;
        }
        let mut bytes = [0; 16];
        for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            let high = char::from(pair[0]).to_digit(16)?;
            let low = char::from(pair[1]).to_digit(16)?;
            *byte = u8::try_from(high * 16 + low).ok()?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.hex())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.hex())
    }
}

impl Codec for Digest {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }

    fn decode(bytes: &[u8]) -> Result<Self, CodecFailure> {
        let bytes: [u8; 16] = bytes
            .try_into()
            .map_err(|_| CodecFailure::new("a digest has 16 bytes"))?;
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_reads_back() {
        let digest = Digest::of(&[b"a", b"bc"]);
        assert_eq!(Digest::from_hex(&digest.hex()), Some(digest));
        assert_eq!(Digest::from_hex("zz"), None);
    }

    #[test]
    fn hashing_at_once_and_part_by_part_agree() {
        for length in [0, 1, AT_ONCE - 17, AT_ONCE - 16, AT_ONCE - 15, 4 * AT_ONCE] {
            let long = vec![7_u8; length];
            let mut hasher = blake3::Hasher::new();
            for part in [&b""[..], &long] {
                hasher.update(&(part.len() as u64).to_le_bytes());
                hasher.update(part);
            }
            assert_eq!(
                Digest::of(&[b"", &long]).0,
                hasher.finalize().as_bytes()[..16]
            );
        }
    }

    #[test]
    fn moving_a_byte_between_parts_changes_the_digest() {
        assert_ne!(Digest::of(&[b"a", b"bc"]), Digest::of(&[b"ab", b"c"]));
    }
}
