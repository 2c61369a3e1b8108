//! State without the offsets that belong to it would process the same input twice.

use std::time::Duration;

use prunella_broker_tests::installation::{Installation, LedgerOptions};
use prunella_test_servers::{KafkaCluster, Load, Proc, Turn, committed_summary};

const PATIENCE: Duration = Duration::from_secs(60);

fn start(installation: &Installation, instance: &str, argument: Option<&str>) -> Proc {
    let options = LedgerOptions {
        arguments: argument.into_iter().map(str::to_owned).collect(),
    };
    installation
        .ledger(env!("CARGO_BIN_EXE_ledger"), instance, &options)
        .unwrap()
}

#[test]
fn lost_offsets_are_refused_at_every_start_until_an_operator_says_otherwise() {
    let _turn = Turn::take(Load::Waits);
    let installation = Installation::new(KafkaCluster::shared().unwrap(), "lost", 1).unwrap();
    installation.produce(5, 1).unwrap();
    let mut first = start(&installation, "first", None);
    first.wait_for_log("ready", 0, PATIENCE).unwrap();
    let output = || {
        let topic = installation.output();
        committed_summary(&installation.bootstrap, &topic, PATIENCE)
            .unwrap()
            .records
    };
    while output() < 5 {
        std::thread::sleep(Duration::from_millis(100));
    }
    first.sigterm().unwrap();
    assert!(first.wait(PATIENCE).unwrap().success());
    installation.delete_group().unwrap();

    for attempt in ["second", "third"] {
        let mut refused = start(&installation, attempt, None);
        assert_eq!(
            refused.wait(PATIENCE).unwrap().code(),
            Some(1),
            "{}",
            refused.log_text()
        );
        assert!(
            refused.log_text().contains("accept_lost_offsets"),
            "{}",
            refused.log_text()
        );
        assert_eq!(output(), 5);
    }

    let mut accepted = start(&installation, "fourth", Some("--accept-lost-offsets"));
    accepted.wait_for_log("ready", 0, PATIENCE).unwrap();
    while output() < 10 {
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn state_is_not_looked_for_where_it_does_not_lie() {
    let _turn = Turn::take(Load::Waits);
    let installation = Installation::new(KafkaCluster::shared().unwrap(), "moved", 2).unwrap();
    installation.produce(5, 1).unwrap();
    for start_anew in [false, true] {
        let mut same = start(&installation, "same", None);
        same.wait_for_log("ready", 0, PATIENCE).unwrap();
        if start_anew {
            installation.produce(5, 1).unwrap();
        }
        let wanted = if start_anew { 10 } else { 5 };
        installation.wait_for_output(wanted).unwrap();
        same.sigterm().unwrap();
        assert!(same.wait(PATIENCE).unwrap().success());
    }
    installation.grow_changelog(2).unwrap();
    let mut refused = start(&installation, "same", None);
    assert_eq!(refused.wait(PATIENCE).unwrap().code(), Some(1));
    let said = refused.log_text();
    assert!(said.contains("2 partitions and had 1"), "{said}");
    assert_eq!(installation.fault(5, 2).unwrap(), None);
}
