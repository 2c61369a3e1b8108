//! Reading what the commands are given.

use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use prunella_schemas::KnowledgeFile;

use crate::output::tell;

/// Largest file of knowledge, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// The YAML files below a directory, sorted by path.
///
/// # Errors
/// A directory that cannot be read, holds none, or holds one that is too large or not UTF-8.
pub fn knowledge(directory: &Path) -> Result<Vec<KnowledgeFile>> {
    if directory.is_file() {
        bail!(
            "{} is a file; name the directory that holds all rules and playbooks",
            directory.display()
        );
    }
    let mut paths = Vec::new();
    collect(directory, &mut paths, 0)?;
    paths.sort();
    if paths.is_empty() {
        bail!("{} holds no .yaml or .yml file", directory.display());
    }
    paths.iter().map(|path| read_one(directory, path)).collect()
}

fn collect(directory: &Path, paths: &mut Vec<PathBuf>, depth: usize) -> Result<()> {
    if depth > 16 {
        bail!("{} lies more than 16 directories deep", directory.display());
    }
    let entries = std::fs::read_dir(directory)
        .with_context(|| format!("cannot read the directory {}", directory.display()))?;
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        let is_yaml = path
            .extension()
            .is_some_and(|extension| extension == "yaml" || extension == "yml");
        if hidden {
            continue;
        }
        if entry.file_type()?.is_dir() {
            collect(&path, paths, depth + 1)?;
        } else if is_yaml {
            paths.push(path);
        }
    }
    Ok(())
}

fn read_one(directory: &Path, path: &Path) -> Result<KnowledgeFile> {
    let size = std::fs::metadata(path)?.len();
    if size > MAX_FILE {
        bail!(
            "{} has {size} bytes; a file of knowledge has at most {MAX_FILE}",
            path.display()
        );
    }
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let below = path.strip_prefix(directory).unwrap_or(path);
    let parts: Vec<_> = below
        .components()
        .map(|part| part.as_os_str().to_string_lossy())
        .collect();
    Ok(KnowledgeFile {
        path: parts.join("/"),
        text,
    })
}

/// A file's bytes, or those of standard input for `-` or nothing.
///
/// # Errors
/// A file that cannot be read.
pub fn bytes(file: Option<&Path>) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match file {
        Some(path) if path != Path::new("-") => {
            bytes =
                std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        }
        _ => {
            let mut input = std::io::stdin().lock();
            if input.is_terminal() {
                tell!("reading standard input; Ctrl-D ends it");
            }
            input.read_to_end(&mut bytes)?;
        }
    }
    Ok(bytes)
}
