//! What a stage reads and writes: one declaration gives the decoder, the list of sources and the list of sinks.

use crate::record::{Record, Rejection};

/// How a stage reads a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SourceKind {
    /// One task reads one partition; all keyed sources of a stage have the same partitions.
    Keyed,
    /// Every task reads all of it and keeps its own position.
    Broadcast,
}

/// One topic that a stage reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// Topic, without the installation's prefix.
    pub topic: &'static str,
    /// How it is read.
    pub kind: SourceKind,
}

/// A stage's inputs and outputs. Made by [`crate::io!`].
pub trait Io: 'static {
    /// A decoded record of any source.
    type Input<'a>;
    /// What is read, in a fixed order.
    const SOURCES: &'static [Source];
    /// Topics that are written, in a fixed order.
    const SINKS: &'static [&'static str];
    /// Decodes a record of the source it names.
    ///
    /// # Errors
    /// A [`Rejection`] if the bytes are not what the topic holds.
    fn decode<'a>(record: &Record<'a>) -> Result<Self::Input<'a>, Rejection>;
}

/// A value that can be read from a record.
pub trait FromRecord<'a>: Sized {
    /// Reads it.
    ///
    /// # Errors
    /// A [`Rejection`] that says what is wrong with the bytes.
    fn from_record(record: &Record<'a>) -> Result<Self, Rejection>;
}

/// A value that a stage may forward. Only what the stage declared implements it, so that forwarding anything
/// else does not compile.
pub trait Emit<I: Io> {
    /// Index into the stage's sinks.
    const SINK: usize;
    /// Appends the record's key.
    fn key(&self, out: &mut Vec<u8>);
    /// Appends the record's value.
    fn value(&self, out: &mut Vec<u8>);
}

/// Declares a stage's inputs and outputs.
///
/// Types of inputs implement [`FromRecord`]. Each output names its topic, its key and how its value is encoded.
/// ```
/// use prunella_stream::{FromRecord, Record, Rejection};
/// pub struct Word<'a>(&'a [u8]);
/// impl<'a> FromRecord<'a> for Word<'a> {
///     fn from_record(record: &Record<'a>) -> Result<Self, Rejection> {
///         Ok(Word(record.value.unwrap_or_default()))
///     }
/// }
/// pub struct Count(u64);
/// prunella_stream::io! {
///     /// Words in, counts out.
///     pub struct CountIo;
///     /// A record of any source.
///     pub enum CountInput<'a> {
///         /// A word.
///         Word(Word<'a>) = Keyed "words",
///     }
///     outputs {
///         Count => "counts", key |count, out| out.extend_from_slice(b"all"), value |count, out| out.extend_from_slice(&count.0.to_be_bytes());
///     }
/// }
/// ```
#[macro_export]
macro_rules! io {
    (
        $(#[$io_meta:meta])* $vis:vis struct $io:ident;
        $(#[$in_meta:meta])* $in_vis:vis enum $input:ident<$lt:lifetime> {
            $($(#[$variant_meta:meta])* $variant:ident($type:ty) = $kind:ident $topic:expr),* $(,)?
        }
        outputs {
            $($out:ty => $sink:expr, key |$k:ident, $ko:ident| $key:expr, value |$v:ident, $vo:ident| $value:expr;)*
        }
    ) => {
        $(#[$io_meta])*
        $vis struct $io;
        $(#[$in_meta])*
        $in_vis enum $input<$lt> {
            $($(#[$variant_meta])* $variant($type),)*
            #[doc(hidden)]
            __Borrow(std::convert::Infallible, std::marker::PhantomData<&$lt ()>),
        }
        impl $crate::Io for $io {
            type Input<$lt> = $input<$lt>;
            const SOURCES: &'static [$crate::Source] = &[
                $($crate::Source { topic: $topic, kind: $crate::SourceKind::$kind }),*
            ];
            const SINKS: &'static [&'static str] = &[$($sink),*];
            fn decode<$lt>(record: &$crate::Record<$lt>) -> Result<$input<$lt>, $crate::Rejection> {
                $crate::io!(@decode record, 0usize, $input, $($variant($type)),*)
            }
        }
        $crate::io!(@emit $io, 0usize, $($out, $k, $ko, $key, $v, $vo, $value;)*);
    };
    (@decode $record:ident, $index:expr, $input:ident, $variant:ident($type:ty) $(, $rest:ident($rest_type:ty))*) => {
        if $record.source == $index {
            <$type as $crate::FromRecord<'_>>::from_record($record).map($input::$variant)
        } else {
            $crate::io!(@decode $record, $index + 1usize, $input, $($rest($rest_type)),*)
        }
    };
    (@decode $record:ident, $index:expr, $input:ident,) => {
        Err($crate::Rejection::new("unknown_source", "this stage does not read that topic"))
    };
    (@emit $io:ident, $index:expr, $out:ty, $k:ident, $ko:ident, $key:expr, $v:ident, $vo:ident, $value:expr; $($rest:tt)*) => {
        impl $crate::Emit<$io> for $out {
            const SINK: usize = $index;
            fn key(&self, $ko: &mut Vec<u8>) {
                let $k = self;
                let _ = $k;
                $key;
            }
            fn value(&self, $vo: &mut Vec<u8>) {
                let $v = self;
                $value;
            }
        }
        $crate::io!(@emit $io, $index + 1usize, $($rest)*);
    };
    (@emit $io:ident, $index:expr,) => {};
}
