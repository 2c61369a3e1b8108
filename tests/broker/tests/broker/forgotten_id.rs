//! Brokers forget a transactional id that was not used for a week. A stage with two ids, which it uses in turn, may
//! find one forgotten and the other not.

use std::time::Duration;

use prunella_broker_tests::installation::{Installation, LedgerOptions};
use prunella_test_servers::{ClusterOptions, KafkaCluster, Load, Turn};

const LEDGER: &str = env!("CARGO_BIN_EXE_ledger");
const PATIENCE: Duration = Duration::from_secs(60);
/// A week, made short.
const EXPIRY: Duration = Duration::from_secs(8);
/// What a failed call of a transaction leaves in the log.
const FAILED: &str = "transaction call failed";

fn cluster() -> KafkaCluster {
    let expiry = EXPIRY.as_millis().to_string();
    let properties = [
        ("transactional.id.expiration.ms", expiry.as_str()),
        (
            "transaction.remove.expired.transaction.cleanup.interval.ms",
            "500",
        ),
    ];
    KafkaCluster::start_with(ClusterOptions {
        nodes: 1,
        properties: properties
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
        ..ClusterOptions::default()
    })
    .unwrap()
}

#[test]
fn a_forgotten_id_costs_one_new_producer_and_no_record() {
    let _turn = Turn::take(Load::Middle);
    let cluster = cluster();
    let installation = Installation::new(cluster.bootstrap(), "forgotten", 1).unwrap();
    let mut ledger = installation
        .ledger(LEDGER, "a", &LedgerOptions::default())
        .unwrap();
    ledger.wait_for_log("ready", 0, PATIENCE).unwrap();
    let mut count = 0;
    let mut one_more = || {
        installation.produce(1, 1).unwrap();
        count += 1;
        let outcome = installation.wait_for_output(count as u64);
        assert!(outcome.is_ok(), "{outcome:?}");
        count
    };
    // Each id rests for two of these pauses: longer than it is remembered; the other for one: not so long.
    for _ in 0..3 {
        one_more();
        std::thread::sleep(EXPIRY * 5 / 8);
    }
    assert!(
        ledger.log_text().contains(FAILED),
        "no id was forgotten:\n{}",
        ledger.log_text()
    );
    for _ in 0..12 {
        one_more();
    }
    let failed = ledger.log_text().matches(FAILED).count();
    assert!(failed <= 4, "{failed} calls failed:\n{}", ledger.log_text());
    assert!(ledger.is_running().unwrap());
    let count = one_more();
    assert_eq!(installation.fault(1, count).unwrap(), None);
}
