//! An executor that is stopped in the middle of its work and goes on after its successor has done it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use prunella_broker_tests::facts::Facts;
use prunella_broker_tests::feed::Feed;
use prunella_broker_tests::pipeline::{PATIENCE, Pipeline, Setup};
use prunella_broker_tests::tally::{Counts, Tally};
use prunella_broker_tests::target::Target;
use prunella_test_servers::{KafkaCluster, Load, Turn};

const ALERTS: usize = 60;
/// Calls under way at a time: the others are claimed and not yet begun.
const CALLS: usize = 40;

fn feed(first: usize) -> Feed {
    Feed {
        first,
        alerts: ALERTS,
        one_in: 1,
        per_second: 0,
    }
}

fn wait_until(what: &str, tally: &Tally, reached: impl Fn(&Counts) -> bool) {
    let give_up = Instant::now() + PATIENCE;
    while !tally.look(&reached) {
        assert!(Instant::now() < give_up, "not {what}: {:?}", tally.counts());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn an_executor_that_comes_back_from_the_dead_does_nothing_twice() {
    let _turn = Turn::take(Load::Middle);
    let target = Target::start(Duration::ZERO).unwrap();
    let setup = Setup {
        max_in_flight: CALLS,
        ..Setup::new("zombie", &target.url())
    };
    let pipeline = Pipeline::install(KafkaCluster::shared().unwrap(), setup).unwrap();
    let mut services = pipeline.start_all().unwrap();
    let tally = Tally::start(&pipeline).unwrap();
    // In mid-batch: some calls are done and not answered, others are not even begun. None is stopped between its
    // last check and its first byte: such a call only its target could refuse, and this one refuses none.
    target.hold(true);
    feed(1).run_all(&pipeline).unwrap();
    wait_until("at work", &tally, |counts| {
        counts.claims(|_| true) > CALLS && target.posts() >= CALLS
    });
    let zombie = services.last_mut().unwrap();
    assert_eq!(zombie.app, "executor");
    zombie.process.sigstop().unwrap();
    let claims = tally.counts().claims(|_| true);
    assert!(claims > 0, "the executor was stopped with nothing open");
    target.hold(false);
    let mut heir = pipeline.start("executor", "executor-heir").unwrap();
    heir.wait_ready().unwrap();
    wait_until("taken over", &tally, |counts| {
        counts.ended.len() == ALERTS && counts.nothing_open()
    });
    // Now the zombie, with its answers waiting in its sockets and a transaction that may be open, while its
    // successor is in the middle of its own work.
    let before = target.posts();
    target.hold(true);
    feed(ALERTS + 1).run_all(&pipeline).unwrap();
    wait_until("at work again", &tally, |counts| {
        counts.claims(|_| true) > CALLS && target.posts() >= before + CALLS
    });
    let zombie = services.last_mut().unwrap();
    let said = zombie.process.log_text().len() as u64;
    zombie.process.sigcont().unwrap();
    zombie
        .process
        .wait_for_log("partitions taken up", said, PATIENCE)
        .unwrap();
    target.hold(false);
    wait_until("all done", &tally, |counts| {
        counts.ended.len() == 2 * ALERTS && counts.nothing_open()
    });
    let facts = Facts::gather(&pipeline).unwrap();
    let all: BTreeSet<String> = feed(1)
        .services()
        .chain(feed(ALERTS + 1).services())
        .collect();
    assert_eq!(
        facts.faults(&all, &all, &target.keys()),
        Vec::<String>::new()
    );
    let probed = facts.results.iter().filter(|result| result.probed).count();
    println!("{claims} claims were open; {probed} outcomes were learnt by probing");
    assert!(probed > 0, "the zombie's calls were not found done");
}

#[test]
fn two_services_under_one_name_end_with_a_message_not_a_fight() {
    let _turn = Turn::take(Load::Middle);
    let target = Target::start(Duration::ZERO).unwrap();
    let pipeline = Pipeline::install(
        KafkaCluster::shared().unwrap(),
        Setup::new("twins", &target.url()),
    )
    .unwrap();
    let mut services = pipeline.start_all().unwrap();
    let tally = Tally::start(&pipeline).unwrap();
    feed(1).run_all(&pipeline).unwrap();
    let mut second = pipeline.start("executor", "executor-a").unwrap();
    second.wait_for("partitions taken up").unwrap();
    let first = services.last_mut().unwrap();
    let status = first.process.wait(PATIENCE).unwrap();
    let said = first.process.log_text();
    assert_eq!(status.code(), Some(4), "{said}");
    assert!(said.contains("another process runs as"), "{said}");
    wait_until("done by the second", &tally, |counts| {
        counts.ended.len() == ALERTS && counts.nothing_open()
    });
    assert!(second.process.is_running().unwrap());
    let facts = Facts::gather(&pipeline).unwrap();
    let all: BTreeSet<String> = feed(1).services().collect();
    assert_eq!(
        facts.faults(&all, &all, &target.keys()),
        Vec::<String>::new()
    );
}
