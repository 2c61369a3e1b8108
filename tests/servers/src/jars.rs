//! Where the jars of the real servers are.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use crate::error::{Doing, Result, ServerError};

/// The directory with the jars: `PRUNELLA_JARS` if set, else what `tests/servers/fetch` says, which downloads
/// them when they are not in its cache.
pub fn jars() -> Result<&'static Path> {
    static JARS: OnceLock<PathBuf> = OnceLock::new();
    if let Some(dir) = JARS.get() {
        return Ok(dir);
    }
    let dir = match std::env::var_os("PRUNELLA_JARS") {
        Some(dir) if !dir.is_empty() => PathBuf::from(dir),
        _ => fetch()?,
    };
    Ok(JARS.get_or_init(|| dir))
}

fn fetch() -> Result<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("fetch");
    let output = Command::new(&script)
        .stdin(Stdio::null())
        .output()
        .doing(|| format!("run {}", script.display()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(ServerError::Fetch {
            status: output.status,
            said,
        });
    }
    Ok(PathBuf::from(
        String::from_utf8_lossy(&output.stdout).trim_end(),
    ))
}
