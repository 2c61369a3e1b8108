//! Exit codes, as the README documents them.

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit(pub u8);

impl Exit {
    /// All is well.
    pub const SUCCESS: Self = Self(0);
}

/// Something failed; the message says what.
pub const FAILED: Exit = Exit(1);
/// The kill switch was thrown and nothing was changed (`prunella demo --kill-switch`).
pub const KILL_SWITCH: Exit = Exit(3);
/// Another process runs under the same name.
pub const NAME_IN_USE: Exit = Exit(4);
/// A check found something to mend.
pub const FOUND: Exit = Exit(5);

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        std::process::ExitCode::from(exit.0)
    }
}
