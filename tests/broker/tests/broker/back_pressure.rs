//! A stage whose effects hang stops reading, and goes on where it stopped.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use prunella_broker_tests::caller::{Caller, Calls, DONE};
use prunella_broker_tests::hosted::{Hosted, config};
use prunella_broker_tests::installation::Installation;
use prunella_runtime::{KafkaConfig, RuntimeConfig, client_config};
use prunella_test_servers::{KafkaCluster, Load, Turn};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};

const PATIENCE: Duration = Duration::from_secs(60);
const PARTITIONS: i32 = 2;
const RECORDS: usize = 3_000;
/// The most that a thread reads before it looks at its open effects again.
const TURN: usize = 500;
/// The least time after which the group takes partitions away from a thread that does not poll.
const MAX_POLL_INTERVAL: Duration = Duration::from_secs(30);

/// Records that the stage has committed as read.
fn read(installation: &Installation) -> usize {
    let kafka = KafkaConfig {
        bootstrap_servers: installation.bootstrap.clone(),
        ..KafkaConfig::default()
    };
    let group = installation.group();
    let consumer: BaseConsumer = client_config(&kafka)
        .set("group.id", &group)
        .create()
        .unwrap();
    let mut wanted = TopicPartitionList::new();
    wanted.add_partition_range(&installation.name("caller-in"), 0, PARTITIONS - 1);
    let committed = consumer.committed_offsets(wanted, PATIENCE).unwrap();
    let offsets = committed.elements();
    let offsets = offsets.iter().filter_map(|it| it.offset().to_raw());
    usize::try_from(offsets.filter(|offset| *offset > 0).sum::<i64>()).unwrap()
}

/// Lets effects hang under a limit; `stays` is what must hold of the number of effects begun.
fn check(name: &str, limit: usize, stays: impl Fn(usize) -> bool, hang: Duration) {
    let bootstrap = KafkaCluster::shared().unwrap();
    let installation = Installation::of("caller", bootstrap, name, PARTITIONS).unwrap();
    installation.produce(RECORDS, 1).unwrap();
    let config = RuntimeConfig {
        max_open_effects: limit,
        ..config("a")
    };
    let calls = Arc::new(Calls::held());
    let effects = Arc::clone(&calls);
    let stage = Hosted::start(&installation, bootstrap, config, Caller, effects).unwrap();
    let begun = || calls.begun().len();
    let wanted = RECORDS.min(limit + 1);
    stage.wait_until("full", || begun() >= wanted).unwrap();
    std::thread::sleep(hang);
    assert!(stays(begun()), "{} effects were begun", begun());
    assert_eq!(read(&installation), begun(), "what is read is claimed");
    assert_eq!(stage.taken_up(), 1, "the partitions were taken away");

    calls.let_go();
    installation.wait_for_output(RECORDS as u64).unwrap();
    let once: BTreeMap<String, usize> = (0..RECORDS).map(|key| (format!("k{key}"), 1)).collect();
    assert_eq!(calls.begun(), once);
    let done = vec![DONE.to_owned()];
    let came_out = installation.came_out().unwrap();
    assert_eq!(came_out.len(), RECORDS);
    assert!(came_out.values().all(|outcomes| *outcomes == done));
    assert_eq!(stage.taken_up(), 1, "the partitions were taken away");
    stage.stop();
}

#[test]
fn a_stage_whose_effects_hang_stops_reading_and_keeps_its_partitions() {
    let _turn = Turn::take(Load::Waits);
    let limit = 20;
    check(
        "full",
        limit,
        |begun| begun <= limit + TURN,
        // It must go on polling without reading.
        MAX_POLL_INTERVAL + Duration::from_secs(2),
    );
}

#[test]
fn a_stage_with_room_for_all_its_effects_reads_on() {
    let _turn = Turn::take(Load::Waits);
    check("room", RECORDS, |begun| begun == RECORDS, Duration::ZERO);
}
