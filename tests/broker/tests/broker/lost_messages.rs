//! The broker hears nothing, or is not heard: what the Kafka edge does not know it finds out, and nothing is lost or
//! done twice.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use prunella_broker_tests::burst::{Burst, LINES, SPOILT};
use prunella_broker_tests::hosted::{Hosted, config};
use prunella_broker_tests::installation::Installation;
use prunella_broker_tests::ledger::Ledger;
use prunella_broker_tests::proxy::{Api, Lost, Proxy};
use prunella_runtime::{NoEffects, RuntimeConfig};
use prunella_test_servers::{KafkaCluster, Load, Turn, partition_ends};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

const PATIENCE: Duration = Duration::from_secs(60);
const KEYS: usize = 50;
const EACH: usize = 20;
/// How long records are stuck.
const STUCK: Duration = Duration::from_secs(1);
/// Records of the batch that is aborted; the last of them ends it.
const PAGES: usize = 200;

/// A ledger that reaches the broker through a proxy, and has counted its first records.
struct World {
    proxy: Proxy,
    installation: Installation,
    stage: Hosted,
    each: usize,
}

impl World {
    fn start(name: &str) -> Self {
        let bootstrap = KafkaCluster::shared().unwrap();
        let installation = Installation::new(bootstrap, name, 2).unwrap();
        let proxy = Proxy::start(bootstrap).unwrap();
        let stage = Hosted::start(
            &installation,
            &proxy.address(),
            config("a"),
            Ledger,
            Arc::new(NoEffects),
        )
        .unwrap();
        let mut world = Self {
            proxy,
            installation,
            stage,
            each: 0,
        };
        world.produce();
        world.all_came_out();
        assert_eq!(world.stage.taken_up(), 1);
        world
    }

    /// Straight to the broker.
    fn produce(&mut self) {
        self.installation.produce(KEYS, EACH).unwrap();
        self.each += EACH;
    }

    fn all_came_out(&self) {
        let wanted = (KEYS * self.each) as u64;
        self.installation.wait_for_output(wanted).unwrap();
        assert_eq!(self.installation.fault(KEYS, self.each).unwrap(), None);
    }

    /// Waits until the group has given up its members.
    fn wait_until_expelled(&self) {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.installation.bootstrap)
            .create()
            .unwrap();
        let group = self.installation.group();
        let give_up = Instant::now() + PATIENCE;
        loop {
            let found = consumer.fetch_group_list(Some(&group), PATIENCE).unwrap();
            if found
                .groups()
                .iter()
                .all(|group| group.members().is_empty())
            {
                return;
            }
            assert!(Instant::now() < give_up, "the group keeps its member");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Loses what belongs to commits until the thread has given its producer and its state up.
fn unknown_commit(name: &str, lost: Lost) {
    let _turn = Turn::take(Load::Waits);
    let mut world = World::start(name);
    world.proxy.lose(Api::END_TXN, lost, usize::MAX);
    world.produce();
    let rebuilt = || world.stage.transactions("rebuilt") > 0;
    world.stage.wait_until("rebuilt", rebuilt).unwrap();
    assert!(world.proxy.lost() > 0);
    world.proxy.lose(Api::END_TXN, lost, 0);
    world.all_came_out();
    assert!(world.stage.taken_up() > 1, "the state was not thrown away");
    world.produce();
    world.all_came_out();
    world.stage.stop();
}

#[test]
fn a_commit_that_happened_and_was_never_confirmed_is_not_done_again() {
    unknown_commit("unheard", Lost::Answer);
}

#[test]
fn a_commit_that_never_happened_and_was_never_refused_is_made_up_for() {
    unknown_commit("unsaid", Lost::Request);
}

#[test]
fn a_commit_confirmed_at_the_second_try_keeps_producer_and_state() {
    let _turn = Turn::take(Load::Waits);
    for (name, lost) in [
        ("once-unheard", Lost::Answer),
        ("once-unsaid", Lost::Request),
    ] {
        let mut world = World::start(name);
        world.proxy.lose(Api::END_TXN, lost, 1);
        world.produce();
        world.all_came_out();
        assert_eq!(world.proxy.lost(), 1, "{lost:?}");
        assert_eq!(world.stage.transactions("rebuilt"), 0, "{lost:?}");
        assert_eq!(world.stage.taken_up(), 1, "{lost:?}");
        world.stage.stop();
    }
}

#[test]
fn a_broker_that_is_silent_for_longer_than_a_session_costs_the_membership_and_no_record() {
    let _turn = Turn::take(Load::Waits);
    let mut world = World::start("silent");
    world.produce();
    // In mid-batch, as likely as not.
    world.proxy.silence(true);
    world.produce();
    world.wait_until_expelled();
    world.proxy.silence(false);
    world.all_came_out();
    assert!(world.stage.taken_up() > 1, "it never was expelled");
    world.produce();
    world.all_came_out();
    world.stage.stop();
}

#[test]
fn a_broker_that_is_silent_for_a_moment_costs_nothing() {
    let _turn = Turn::take(Load::Waits);
    let mut world = World::start("hushed");
    world.produce();
    world.proxy.silence(true);
    world.produce();
    world.proxy.wait_for(Api::HEARTBEAT).unwrap();
    world.proxy.silence(false);
    world.all_came_out();
    assert_eq!(world.stage.taken_up(), 1);
    assert_eq!(world.stage.transactions("rebuilt"), 0);
    world.stage.stop();
}

/// Aborts a batch of many records; with `held`, while none of them can be delivered.
fn aborted_batch(name: &str, held: bool) {
    const AFTER: usize = 4;
    let bootstrap = KafkaCluster::shared().unwrap();
    let installation = Installation::of("burst", bootstrap, name, 1).unwrap();
    // All there before the stage is, so that they are one batch.
    let records = (0..PAGES).map(|page| {
        let value = if page + 1 == PAGES { SPOILT } else { "" };
        (format!("p{page}"), value.to_owned())
    });
    installation.produce_records(records).unwrap();
    let proxy = Proxy::start(bootstrap).unwrap();
    proxy.hold(held.then_some(Api::PRODUCE));
    let burst = Burst::default();
    let spoilt = Arc::clone(&burst.spoilt);
    // Nothing but the record that cannot be sent ends the batch.
    let config = RuntimeConfig {
        commit_interval_ms: 600_000,
        transaction_timeout_ms: 60_000,
        ..config("a")
    };
    let effects = Arc::new(NoEffects);
    let stage = Hosted::start(&installation, &proxy.address(), config, burst, effects).unwrap();
    let aborting = || spoilt.load(Ordering::SeqCst);
    stage.wait_until("aborting", aborting).unwrap();
    if held {
        proxy.wait_for(Api::PRODUCE).unwrap();
        // Long enough for the client to take back what it has not sent; what it has sent must be answered.
        std::thread::sleep(STUCK);
        proxy.hold(None);
    }
    let lines = PAGES * LINES;
    installation.wait_for_output(lines as u64).unwrap();
    let came_out = installation.came_out().unwrap();
    assert_eq!(came_out.len(), lines);
    // Each page is counted once: the aborted count is undone.
    assert!(came_out.keys().all(|key| key.contains("/1/")));
    assert!(came_out.values().all(|values| values.len() == 1));
    // Every transaction that follows must find the producer as good as new.
    let mut after = 0;
    while after < AFTER {
        installation.produce(1, 1).unwrap();
        after += 1;
        let wanted = lines + after * LINES;
        installation.wait_for_output(wanted as u64).unwrap();
    }
    assert_eq!(stage.transactions("aborted"), 1);
    assert_eq!(stage.transactions("rebuilt"), 0);
    stage.stop();
    let ends = partition_ends(bootstrap, &installation.output(), PATIENCE).unwrap();
    let written: i64 = ends.iter().map(|(_, range)| range.end - range.begin).sum();
    println!("{written} offsets for {} records", lines + AFTER * LINES);
}

#[test]
fn an_abort_ends_although_nothing_can_be_delivered_and_none_of_it_is_seen() {
    let _turn = Turn::take(Load::Light);
    aborted_batch("held", true);
}

#[test]
fn an_abort_undoes_what_was_delivered() {
    let _turn = Turn::take(Load::Light);
    aborted_batch("flowing", false);
}
