//! The rules of the Kafka edge, each with the case that would break it.

use std::time::Duration;

use prunella_broker_tests::installation::{Installation, LedgerOptions};
use prunella_test_servers::{KafkaCluster, Load, Proc, Turn, read_committed};

const LEDGER: &str = env!("CARGO_BIN_EXE_ledger");
const PATIENCE: Duration = Duration::from_secs(60);

fn installation(name: &str, partitions: i32) -> Installation {
    Installation::new(KafkaCluster::shared().unwrap(), name, partitions).unwrap()
}

fn options(arguments: &[&str]) -> LedgerOptions {
    LedgerOptions {
        arguments: arguments
            .iter()
            .map(|argument| (*argument).to_owned())
            .collect(),
    }
}

fn start(installation: &Installation, instance: &str, arguments: &[&str]) -> Proc {
    installation
        .ledger(LEDGER, instance, &options(arguments))
        .unwrap()
}

fn wait_ready(process: &mut Proc) {
    process.wait_for_log("ready", 0, PATIENCE).unwrap();
}

#[test]
fn every_record_comes_out_once() {
    let _turn = Turn::take(Load::Light);
    let installation = installation("plain", 4);
    installation.produce(50, 40).unwrap();
    let mut ledger = start(&installation, "a", &[]);
    wait_ready(&mut ledger);
    installation.wait_for_output(2_000).unwrap();
    assert_eq!(installation.fault(50, 40).unwrap(), None);
}

#[test]
fn a_rejected_record_is_dead_lettered_with_its_change_undone() {
    let _turn = Turn::take(Load::Light);
    let installation = installation("reject", 1);
    let values = ["count", "reject", "count"];
    installation
        .produce_records(
            values
                .iter()
                .map(|value| ("k0".to_owned(), (*value).to_owned())),
        )
        .unwrap();
    let mut ledger = start(&installation, "a", &[]);
    wait_ready(&mut ledger);
    installation.wait_for_output(2).unwrap();
    assert_eq!(installation.fault(1, 2).unwrap(), None);
    let dead = read_committed(
        &installation.bootstrap,
        &installation.name("ledger-in.dlq"),
        PATIENCE,
    )
    .unwrap();
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].value.as_deref(), Some(b"reject".as_slice()));
}

#[test]
fn a_killed_process_goes_on_under_its_name() {
    let _turn = Turn::take(Load::Light);
    let installation = installation("killed", 4);
    let mut ledger = start(&installation, "a", &["--commit-interval-ms", "20"]);
    wait_ready(&mut ledger);
    for _ in 0..4 {
        installation.produce(50, 100).unwrap();
        std::thread::sleep(Duration::from_millis(60));
        ledger.kill9().unwrap();
        ledger = start(&installation, "a", &["--commit-interval-ms", "20"]);
    }
    installation.wait_for_output(20_000).unwrap();
    assert_eq!(installation.fault(50, 400).unwrap(), None);
}

#[test]
fn another_instance_takes_over_and_fences_the_dead_one() {
    let _turn = Turn::take(Load::Light);
    let installation = installation("takeover", 4);
    let mut first = start(&installation, "a", &[]);
    wait_ready(&mut first);
    let mut second = start(&installation, "b", &[]);
    wait_ready(&mut second);
    installation.produce(50, 200).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    first.kill9().unwrap();
    installation.wait_for_output(10_000).unwrap();
    assert_eq!(installation.fault(50, 200).unwrap(), None);
}

#[test]
fn a_zombie_commits_nothing() {
    let _turn = Turn::take(Load::Light);
    let installation = installation("zombie", 2);
    let mut zombie = start(&installation, "z", &[]);
    wait_ready(&mut zombie);
    installation.produce(50, 100).unwrap();
    // In mid-batch: the first records are out, the last are not.
    std::thread::sleep(Duration::from_millis(30));
    zombie.sigstop().unwrap();
    let mut heir = start(&installation, "h", &[]);
    wait_ready(&mut heir);
    installation.wait_for_output(5_000).unwrap();
    installation.produce(50, 100).unwrap();
    zombie.sigcont().unwrap();
    installation.wait_for_output(10_000).unwrap();
    assert_eq!(installation.fault(50, 200).unwrap(), None);
}

#[test]
fn two_processes_under_one_name_end_with_a_message_not_a_fight() {
    let _turn = Turn::take(Load::Light);
    let installation = installation("twins", 2);
    let mut first = start(&installation, "twin", &[]);
    wait_ready(&mut first);
    installation.produce(50, 20).unwrap();
    let mut second = start(&installation, "twin", &[]);
    wait_ready(&mut second);
    let status = first.wait(PATIENCE).unwrap();
    assert_eq!(status.code(), Some(4), "{}", first.log_text());
    assert!(
        first.log_text().contains("another process runs as"),
        "{}",
        first.log_text()
    );
    installation.produce(50, 20).unwrap();
    installation.wait_for_output(2_000).unwrap();
    assert_eq!(installation.fault(50, 40).unwrap(), None);
    assert!(second.is_running().unwrap());
}

#[test]
fn a_stopped_process_hands_over_without_a_fence() {
    let _turn = Turn::take(Load::Light);
    let installation = installation("handover", 4);
    let mut first = start(&installation, "a", &[]);
    wait_ready(&mut first);
    installation.produce(50, 20).unwrap();
    installation.wait_for_output(1_000).unwrap();
    first.sigterm().unwrap();
    assert!(
        first.wait(PATIENCE).unwrap().success(),
        "{}",
        first.log_text()
    );
    let mut second = start(&installation, "b", &[]);
    wait_ready(&mut second);
    installation.produce(50, 20).unwrap();
    installation.wait_for_output(2_000).unwrap();
    assert_eq!(installation.fault(50, 40).unwrap(), None);
    assert!(
        !second.log_text().contains("fencing"),
        "{}",
        second.log_text()
    );
}
