//! What is said on standard output and standard error. A reader that has gone (`prunella ... | head`) ends the
//! command quietly, where `println!` would panic.

use std::fmt;
use std::io::{self, ErrorKind, Write};

use anyhow::Result;

/// Whoever reads standard output has enough.
#[derive(Debug)]
pub struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("nobody reads standard output any more")
    }
}

impl std::error::Error for Closed {}

/// Writes a line to standard output; see [`say!`].
///
/// # Errors
/// [`Closed`], or what the system says.
pub fn line(text: fmt::Arguments<'_>) -> Result<()> {
    let mut out = io::stdout().lock();
    closed(out.write_fmt(text).and_then(|()| out.write_all(b"\n")))
}

/// A write of which the reader has gone is [`Closed`].
///
/// # Errors
/// [`Closed`], or what the system says.
pub fn closed(written: io::Result<()>) -> Result<()> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Closed.into()),
        other => Ok(other?),
    }
}

/// Writes a line to standard error, if anybody is there; see [`tell!`].
pub fn tell_line(text: fmt::Arguments<'_>) {
    let mut out = io::stderr().lock();
    // Where it cannot be said, nothing can be said about it.
    let _ = out.write_fmt(text).and_then(|()| out.write_all(b"\n"));
}

/// Prints a line of what was asked for, on standard output.
macro_rules! say {
    ($($arguments:tt)*) => { $crate::output::line(format_args!($($arguments)*)) };
}

/// Prints a line of what is to be known besides, on standard error.
macro_rules! tell {
    ($($arguments:tt)*) => { $crate::output::tell_line(format_args!($($arguments)*)) };
}

pub(crate) use {say, tell};

/// An error with its causes, but none whose words have been said already.
#[must_use]
pub fn explain(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn a_cause_is_said_once() {
        let error = anyhow!("refused")
            .context("no answer (refused)")
            .context("asking");
        assert_eq!(explain(&error), "asking: no answer (refused)");
    }

    #[test]
    fn only_a_reader_that_has_gone_is_closed() {
        let is_closed = |kind: ErrorKind| {
            let error = closed(Err(kind.into())).expect_err("an error");
            error.is::<Closed>()
        };
        assert!(is_closed(ErrorKind::BrokenPipe));
        assert!(!is_closed(ErrorKind::StorageFull));
        assert!(closed(Ok(())).is_ok());
    }
}
