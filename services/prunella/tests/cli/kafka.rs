//! Commands that need a Kafka, where none answers.

use std::net::TcpListener;

use crate::program::{dead_port, prunella};

#[test]
fn doctor_says_that_nothing_listens_and_what_to_do() {
    let server = format!("127.0.0.1:{}", dead_port());
    let doctor = |arguments: &[&str]| {
        prunella(["doctor"].iter().chain(arguments))
            .env("PRUNELLA__KAFKA__BOOTSTRAP_SERVERS", &server)
            .run()
            .expect(5)
    };
    let said = doctor(&[]);
    assert!(
        said.out
            .starts_with(&format!("BAD  broker: no Kafka listens there ({server}: ")),
        "{said:#?}"
    );
    for part in [
        "Connection refused",
        "kafka.bootstrap_servers",
        "prunella up --embedded",
    ] {
        assert!(said.out.contains(part), "{part}: {said:#?}");
    }
    let said = doctor(&["--json"]);
    let report = &said.lines()[0];
    assert_eq!(report["good"], false);
    assert_eq!(report["findings"][0]["what"], "broker");
    assert_eq!(report["findings"][0]["good"], false);
}

/// Something that takes connections and never answers.
#[test]
fn doctor_waits_for_no_broker_for_ever() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let server = silent.local_addr().expect("its address").to_string();
    let said = prunella(["doctor"])
        .env("PRUNELLA__KAFKA__BOOTSTRAP_SERVERS", &server)
        .run()
        .expect(5);
    for part in ["does not answer", "advertised name", "TLS and SASL"] {
        assert!(said.out.contains(part), "{part}: {said:#?}");
    }
}

#[test]
fn every_command_that_needs_kafka_says_which_one_is_not_there() {
    let server = format!("127.0.0.1:{}", dead_port());
    let commands: [&[&str]; 3] = [&["tail", "decisions"], &["topology", "topics"], &["up"]];
    for command in commands {
        prunella(command)
            .env("PRUNELLA__KAFKA__BOOTSTRAP_SERVERS", &server)
            .run()
            .refused(1, &format!("no Kafka listens there ({server}: "));
    }
    prunella(["tail", "decisions", "--filter", "value.x ="])
        .run()
        .refused(1, "--filter: ");
    prunella(["run", "decider"])
        .env("PRUNELLA__KAFKA__BOOTSTRAP_SERVERS", &server)
        .env("PRUNELLA__HTTP__LISTEN", "127.0.0.1:0")
        .run()
        .refused(1, "prunella doctor");
}
