//! Every format over every example: `examples/SOURCE/NAME.in.json` must give `examples/SOURCE/NAME.out.jsonl`,
//! one alert a line, or the rejection. `UPDATE_EXAMPLES=1 cargo test -p prunella-normalizer` writes them anew.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test's own steps may fail loudly, and it reads files"
)]

use std::fs;
use std::path::{Path, PathBuf};

use prunella_normalizer::{FORMATS, Meta, Sources, normalize};

/// 2024-02-01T12:00:00Z: a little after the alerts of the examples.
const RECEIVED_AT: i64 = 1_706_788_800_000;

#[test]
fn every_example_gives_what_is_written_beside_it() {
    let update = std::env::var_os("UPDATE_EXAMPLES").is_some();
    let mut wrong = Vec::new();
    for source in sorted(&examples()) {
        for input in sorted(&source) {
            let name = file_name(&input);
            let Some(stem) = name.strip_suffix(".in.json") else {
                continue;
            };
            let output = source.join(format!("{stem}.out.jsonl"));
            let seen = run(&source, &input);
            if update {
                fs::write(&output, seen).unwrap();
            } else if fs::read_to_string(&output).ok().as_ref() != Some(&seen) {
                wrong.push(format!("{}:\n{seen}", output.display()));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "these examples differ; if that is meant, run with UPDATE_EXAMPLES=1\n{}",
        wrong.join("\n")
    );
}

#[test]
fn every_format_has_examples_and_every_output_its_input() {
    for format in FORMATS {
        let directory = examples().join(format);
        assert!(sorted(&directory).len() >= 4, "{format}");
        for path in sorted(&directory) {
            if let Some(stem) = file_name(&path).strip_suffix(".out.jsonl") {
                let input = directory.join(format!("{stem}.in.json"));
                assert!(input.exists(), "{}", input.display());
            }
        }
    }
}

fn run(source: &Path, input: &Path) -> String {
    let described = source.join("sources.json");
    let sources = match fs::read_to_string(described) {
        Ok(text) => Sources::parse(&serde_json::from_str(&text).unwrap()).unwrap(),
        Err(_) => Sources::default(),
    };
    let meta = Meta {
        topic: "raw-alerts",
        partition: 0,
        offset: 7,
        received_at: RECEIVED_AT,
    };
    let payload = fs::read(input).unwrap();
    let json = Some("application/json");
    match normalize(&file_name(source), json, &payload, &meta, &sources) {
        Ok(alerts) => alerts
            .iter()
            .map(|alert| serde_json::to_string(alert).unwrap() + "\n")
            .collect(),
        Err(rejection) => format!("{rejection}\n"),
    }
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

fn sorted(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}
