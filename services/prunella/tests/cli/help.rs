//! Help, versions, wrong command lines, colours.

use std::process::Stdio;

use crate::program::{checkout, drain, ended, prunella, text};

const COMMANDS: [&[&str]; 20] = [
    &["demo"],
    &["up"],
    &["run"],
    &["tail"],
    &["normalize"],
    &["decide"],
    &["knowledge"],
    &["knowledge", "check"],
    &["knowledge", "apply"],
    &["knowledge", "list"],
    &["kill-switch"],
    &["kill-switch", "on"],
    &["kill-switch", "off"],
    &["kill-switch", "status"],
    &["topology"],
    &["topology", "check"],
    &["topology", "graph"],
    &["topology", "topics"],
    &["topology", "acls"],
    &["doctor"],
];

/// Names under `Commands:`, but `help`.
fn listed(help: &str) -> Vec<String> {
    let commands = help.split("Commands:\n").nth(1).unwrap_or_default();
    commands
        .lines()
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_command_has_help_with_examples() {
    for command in COMMANDS {
        let said = prunella(command.iter().chain(&["--help"])).run().expect(0);
        let examples = said.out.split("Examples:\n").nth(1).unwrap_or_default();
        let example = format!("prunella {} ", command.join(" "));
        let ends = |line: &str| format!("{line} ").contains(&example);
        assert!(examples.lines().any(ends), "{}", said.out);
        assert_eq!(said.err, "");
    }
}

#[test]
fn no_command_is_left_out_here() {
    let mut found: Vec<Vec<String>> = Vec::new();
    for name in listed(&prunella(["--help"]).run().expect(0).out) {
        let below = listed(&prunella([&name, "--help"]).run().expect(0).out);
        found.push(vec![name.clone()]);
        found.extend(below.into_iter().map(|below| vec![name.clone(), below]));
    }
    let known: Vec<Vec<String>> = COMMANDS
        .iter()
        .map(|command| command.iter().map(|word| (*word).to_owned()).collect())
        .collect();
    assert_eq!(found, known);
}

#[test]
fn the_help_tells_the_exit_codes_and_where_to_start() {
    let said = prunella(["--help"]).run().expect(0);
    for part in [
        "prunella demo",
        "Exit codes: 0 done",
        "5 a check",
        "--config",
        "PRUNELLA__",
    ] {
        assert!(said.out.contains(part), "{part}: {}", said.out);
    }
    let said = prunella(["--version"]).run().expect(0);
    assert_eq!(
        said.out,
        format!("prunella {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn a_wrong_command_line_ends_with_2_and_says_what_was_meant() {
    let cases: [(&[&str], &str); 7] = [
        (&["run", "nosuch"], "possible values: gateway, normalizer"),
        (&["run"], "<SERVICES>"),
        (&["tial", "decisions"], "'tail'"),
        (&["up", "--embeded"], "'--embedded'"),
        (
            &["up", "--embedded", "--kafka", "a:1"],
            "cannot be used with",
        ),
        (
            &["topology", "graph", "--format", "svg"],
            "possible values: mermaid, dot",
        ),
        (&[], "Usage: prunella"),
    ];
    for (arguments, because) in cases {
        prunella(arguments).run().refused(2, because);
    }
}

#[test]
fn there_are_no_colour_codes_where_no_terminal_is() {
    let demo = text(&checkout("deploy/demo"));
    let cases: [&[&str]; 6] = [
        &["--help"],
        &["run", "--help"],
        &["tial"],
        &["knowledge", "check", &demo],
        &["topology", "check"],
        &["up", "--kafka", "127.0.0.1:1"],
    ];
    for arguments in cases {
        let said = prunella(arguments)
            .env("PRUNELLA__LOG__LEVEL", "trace")
            .run();
        assert!(
            !said.out.contains('\x1b') && !said.err.contains('\x1b'),
            "{said:#?}"
        );
    }
}

/// A pipe whose reader is gone before anything is written.
#[test]
fn a_reader_that_has_gone_is_no_reason_to_panic() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_prunella"))
        .args(["topology", "acls"])
        .stdout(Stdio::from(writer))
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program");
    let err = drain(child.stderr.take().expect("its errors"));
    let status = ended(&mut child);
    assert_eq!(
        (status.code(), err.join().expect("errors")),
        (Some(1), String::new())
    );
}
