//! A broker that is away for longer than a session: the client library gives its membership up by itself then,
//! while the coordinator, once back, still counts it as a member.

use std::time::Duration;

use prunella_broker_tests::installation::{Installation, LedgerOptions};
use prunella_test_servers::{KafkaCluster, Load, Turn};

const LEDGER: &str = env!("CARGO_BIN_EXE_ledger");
const PATIENCE: Duration = Duration::from_secs(90);
/// The ledger's session; starting a broker takes longer than what the client has waited already.
const SESSION: Duration = Duration::from_secs(3);

#[test]
fn nobody_loses_a_record_or_his_name_over_a_broker_that_was_away() {
    let _turn = Turn::take(Load::Light);
    let cluster = KafkaCluster::start(1).unwrap();
    let installation = Installation::new(cluster.bootstrap(), "outage", 4).unwrap();
    let mut ledger = installation
        .ledger(LEDGER, "away", &LedgerOptions::default())
        .unwrap();
    ledger.wait_for_log("ready", 0, PATIENCE).unwrap();
    let mut each = 0;
    for _ in 0..2 {
        installation.produce(50, 200).unwrap();
        each += 200;
        let outcome = installation.wait_for_output(50 * each as u64);
        assert!(outcome.is_ok(), "{outcome:?}\n{}", ledger.log_text());
        // Not while a commit is prepared: a lone broker that is killed then may come back without writing the
        // transaction's markers, and the partition hangs (seen with 4.3.1). The chaos tests kill one of three.
        cluster.kill(1).unwrap();
        std::thread::sleep(SESSION);
        cluster.restart(1).unwrap();
    }
    installation.produce(50, 200).unwrap();
    each += 200;
    let outcome = installation.wait_for_output(50 * each as u64);
    assert!(outcome.is_ok(), "{outcome:?}\n{}", ledger.log_text());
    assert!(ledger.is_running().unwrap(), "{}", ledger.log_text());
    assert_eq!(installation.fault(50, each).unwrap(), None);
}
