//! The pictures, against what was last looked at. To take new ones: `UPDATE_SNAPSHOTS=1 cargo test -p
//! prunella-topology`, and look at the difference.

#![cfg(test)]
#![allow(clippy::disallowed_methods, reason = "a test reads files")]

use std::path::PathBuf;

use prunella_topology::{TOPICS, dot, mermaid};

#[track_caller]
fn check(file: &str, picture: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/snapshots")
        .join(file);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, picture).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        picture, expected,
        "{file} differs; see the head of this test"
    );
}

#[test]
fn the_mermaid_picture_is_the_one_that_was_looked_at() {
    check("topology.mmd", &mermaid(TOPICS));
}

#[test]
fn the_dot_picture_is_the_one_that_was_looked_at() {
    check("topology.dot", &dot(TOPICS));
}
