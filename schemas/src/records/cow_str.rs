//! Texts that may still lie where they were read.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::ops::Deref;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::{Serialize, Serializer};

/// A text of a record: borrowed from the bytes it was read from, or owned.
///
/// A [`Cow`] would do, but inside of an `Option` or a map it is always read into memory of its own.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CowStr<'a>(Cow<'a, str>);

impl<'a> CowStr<'a> {
    /// The part of it that `cut` leaves, borrowed if the text is.
    #[must_use]
    pub fn part(&self, cut: impl Fn(&str) -> &str) -> Self {
        match &self.0 {
            Cow::Borrowed(text) => Self(Cow::Borrowed(cut(text))),
            Cow::Owned(text) => Self(Cow::Owned(cut(text).to_owned())),
        }
    }

    /// The text in memory of its own.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0.into_owned()
    }
}

impl Deref for CowStr<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for CowStr<'_> {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// Compares and hashes as the text does, so that maps find it by any text.
impl Borrow<str> for CowStr<'_> {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl<'a> From<&'a str> for CowStr<'a> {
    fn from(text: &'a str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

impl From<String> for CowStr<'_> {
    fn from(text: String) -> Self {
        Self(Cow::Owned(text))
    }
}

impl<'a> From<Cow<'a, str>> for CowStr<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        Self(text)
    }
}

impl From<CowStr<'_>> for String {
    fn from(text: CowStr<'_>) -> Self {
        text.into_string()
    }
}

impl fmt::Debug for CowStr<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, formatter)
    }
}

impl fmt::Display for CowStr<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

impl Serialize for CowStr<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for CowStr<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl<'de> Visitor<'de> for Text {
            type Value = CowStr<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a text")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(text.into())
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(text.to_owned().into())
            }

            fn visit_string<E: Error>(self, text: String) -> Result<Self::Value, E> {
                Ok(text.into())
            }
        }

        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_text_is_borrowed_where_it_lies_whole_and_owned_where_it_does_not() {
        let borrowed = |json: &str| {
            let texts: BTreeMap<CowStr<'_>, Option<CowStr<'_>>> =
                serde_json::from_str(json).unwrap();
            let (name, value) = texts.into_iter().next().unwrap();
            [name, value.unwrap()].map(|text| matches!(text.0, Cow::Borrowed(_)))
        };
        assert_eq!(borrowed(r#"{"a": "b"}"#), [true, true]);
        assert_eq!(borrowed(r#"{"a": "\n"}"#), [true, false]);
    }

    #[test]
    fn a_part_of_a_text_is_borrowed_if_the_text_is() {
        for (text, borrowed) in [(" a ".into(), true), (" a ".to_owned().into(), false)] {
            let text: CowStr<'_> = text;
            let part = text.part(str::trim);
            assert_eq!(
                (&*part, matches!(part.0, Cow::Borrowed(_))),
                ("a", borrowed)
            );
        }
    }

    #[test]
    fn a_map_finds_a_text_by_any_other() {
        let map = BTreeMap::from([(CowStr::from("a"), 1), (CowStr::from("b".to_owned()), 2)]);
        assert_eq!(
            (map.get("a"), map.get("b"), map.get("c")),
            (Some(&1), Some(&2), None)
        );
    }
}
