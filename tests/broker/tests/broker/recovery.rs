//! State that a process had when it was killed is the state its successor goes on with, whoever that is.
//! How long it takes is measured elsewhere (tests/bench); here the counts must be right.

use std::collections::HashMap;
use std::time::Duration;

use prunella_broker_tests::installation::{Installation, LedgerOptions};
use prunella_test_servers::{KafkaCluster, Load, Proc, Turn, read_committed};

const LEDGER: &str = env!("CARGO_BIN_EXE_ledger");
const PATIENCE: Duration = Duration::from_secs(120);
/// Some times what a restore reads in one go.
const KEYS: usize = 100_000;

/// Starts a process and waits until it has its partitions. Processes of one name log into one file: `after` is
/// the one before it.
fn start(installation: &Installation, instance: &str, after: Option<&Proc>) -> Proc {
    let from = after.map_or(0, |before| before.log_text().len() as u64);
    let mut ledger = installation
        .ledger(LEDGER, instance, &LedgerOptions::default())
        .unwrap();
    ledger.wait_for_log("ready", from, PATIENCE).unwrap();
    ledger
}

#[test]
fn a_hundred_thousand_keys_are_restored_under_the_same_name_and_by_another() {
    let _turn = Turn::take(Load::Heavy);
    let bootstrap = KafkaCluster::shared().unwrap();
    let installation = Installation::new(bootstrap, "recovery", 4).unwrap();
    let round = |number: u64| {
        installation.produce(KEYS, 1).unwrap();
        installation.wait_for_output(number * KEYS as u64).unwrap();
    };
    let mut first = start(&installation, "a", None);
    round(1);
    first.kill9().unwrap();
    let mut again = start(&installation, "a", Some(&first));
    round(2);
    // The other one shares the work before it takes over the rest.
    let other = start(&installation, "b", None);
    again.kill9().unwrap();
    round(3);
    drop(other);
    let mut counts: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
    for record in read_committed(bootstrap, &installation.output(), PATIENCE).unwrap() {
        counts
            .entry(record.key.unwrap())
            .or_default()
            .extend(record.value.unwrap());
    }
    assert_eq!(counts.len(), KEYS);
    let wrong = counts
        .iter()
        .find(|(_, numbers)| numbers.as_slice() != b"123");
    assert_eq!(wrong, None, "a key must count 1, 2, 3");
}
