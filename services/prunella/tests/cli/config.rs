//! The configuration: one file and variables.

use crate::program::{directory, prunella, text};

/// A configuration that is refused, from a file, by a command that needs nothing else.
fn check_file(toml: &str, because: &str) {
    let configuration = directory(&[("p.toml", toml)]);
    let path = text(&configuration.path().join("p.toml"));
    let said = prunella(["topology", "check", "--config", &path])
        .run()
        .refused(1, because);
    assert!(said.err.starts_with(&format!("error: {path}")), "{said:#?}");
}

fn check_variable(name: &str, value: &str, because: &str) {
    prunella(["topology", "check"])
        .env(name, value)
        .run()
        .refused(1, because);
}

#[test]
fn an_unknown_key_is_refused_by_name_with_what_was_meant() {
    check_file(
        "[kafka]\nbootstrap_server = \"a:1\"\n",
        "p.toml:2:1: unknown field `bootstrap_server`",
    );
    check_file(
        "[kafka]\nbootstrap_server = \"a:1\"\n",
        "did you mean `bootstrap_servers`?",
    );
    check_file("\n[gatway]\n", "p.toml:2:2: unknown field `gatway`");
    check_file("\n[gatway]\n", "did you mean `gateway`?");
    check_file(
        "[gateway.people.ada]\nroles = [\"publsh\"]\n",
        "did you mean `publish`?",
    );
    check_variable(
        "PRUNELLA__RUNTIME__THREDS",
        "2",
        "PRUNELLA__RUNTIME__THREDS: unknown field `threds`",
    );
    check_variable("PRUNELLA__RUNTIME__THREDS", "2", "did you mean `threads`?");
    check_variable("PRUNELLA__RUNTIM__THREADS", "2", "did you mean `runtime`?");
}

#[test]
fn what_cannot_be_read_is_refused_at_its_place() {
    check_file("[kafka\n", "p.toml:1:7: ");
    check_file("[log]\nformat = json\n", "p.toml:2:10: ");
    check_file(
        "[runtime]\nthreads = \"many\"\n",
        "p.toml:2:11: a number, 0 or more, is expected here, not text",
    );
    check_file(
        "[gateway]\nlisten = \"nowhere\"\n",
        "p.toml:2:10: invalid socket address",
    );
    check_file(
        "[http]\nlisten = \"9464\"\n",
        "p.toml:2:10: invalid socket address",
    );
    check_variable(
        "PRUNELLA__RUNTIME__THREADS",
        "many",
        "PRUNELLA__RUNTIME__THREADS: ",
    );
    check_variable("PRUNELLA__KAFKA__PREFIX", "a b", "kafka.prefix: ");
    check_variable(
        "PRUNELLA__KAFKA",
        "a:1",
        "PRUNELLA__KAFKA: a section is expected here",
    );
    check_variable(
        "PRUNELLA__LOG__LEVEL",
        "loud",
        "log.level: `loud` is no level; use off, error, warn",
    );
    check_variable("PRUNELLA__LOG__LEVEL", "info,a=loud", "log.level: ");
    prunella(["topology", "check", "--config", "no/such.toml"])
        .run()
        .refused(1, "cannot read the configuration no/such.toml");
}

#[test]
fn a_variable_wins_over_the_file() {
    let configuration = directory(&[(
        "p.toml",
        "[kafka]\nbootstrap_servers = \"file:1\"\nprefix = \"p1.\"\n",
    )]);
    let path = text(&configuration.path().join("p.toml"));
    let acls = || prunella(["--config", &path, "topology", "acls"]);
    let from_file = acls().run().expect(0).out;
    assert!(
        from_file.contains("--bootstrap-server file:1 "),
        "{from_file}"
    );
    assert!(from_file.contains("--topic p1.decisions "), "{from_file}");
    let from_variable = acls()
        .env("PRUNELLA__KAFKA__BOOTSTRAP_SERVERS", "variable:2")
        .run()
        .expect(0)
        .out;
    assert!(
        from_variable.contains("--bootstrap-server variable:2 "),
        "{from_variable}"
    );
    assert!(
        from_variable.contains("--topic p1.decisions "),
        "{from_variable}"
    );
}

#[test]
fn variables_of_other_programs_do_not_matter() {
    prunella(["topology", "check"])
        .env("PRUNELLA_GATEWAY", "http://127.0.0.1:1")
        .env("PRUNELLAS", "x")
        .run()
        .expect(0);
}
