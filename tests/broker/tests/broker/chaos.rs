//! Exactly once while everything is killed.
//!
//! The short form is part of every test run; `tests/broker/chaos --long` runs the long one: three brokers,
//! 20,000 alerts, more than twenty kills. The schedule follows from a seed, which is printed;
//! `PRUNELLA_CHAOS_SEED` repeats one.

use std::time::Duration;

use prunella_broker_tests::chaos::{Chaos, Kill, Outcome, Then, run};
use prunella_broker_tests::pipeline::{Pipeline, STAGES, Setup};
use prunella_broker_tests::target::Target;
use prunella_stream::transaction::Guarantee;
use prunella_test_servers::{ClusterOptions, KafkaCluster, Load, Turn};

/// How long the target takes: claims are open meanwhile.
const DELAY: Duration = Duration::from_millis(30);

fn is_long() -> bool {
    std::env::var("PRUNELLA_CHAOS").is_ok_and(|form| form == "long")
}

fn seed() -> u64 {
    let given = std::env::var("PRUNELLA_CHAOS_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.map_or(1, |since| since.as_secs())
    });
    println!("PRUNELLA_CHAOS_SEED={seed}");
    seed
}

/// Kills in a random order: of each service so many after which it starts again, and so many takeovers.
fn shuffled(seed: u64, of_each: &[(&'static str, usize, usize)]) -> Vec<Kill> {
    let mut kills = Vec::new();
    for (app, restarts, takeovers) in of_each {
        let kill = |then| Kill { app, then };
        kills.extend(std::iter::repeat_n(kill(Then::Restart), *restarts));
        kills.extend(std::iter::repeat_n(kill(Then::Takeover), *takeovers));
    }
    let mut state = seed;
    for place in (1..kills.len()).rev() {
        // Knuth's MMIX generator; its high bits are good enough for an order.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let other = usize::try_from(state >> 33).unwrap() % (place + 1);
        kills.swap(place, other);
    }
    kills
}

fn report(outcome: &Outcome) {
    println!(
        "{} kills, {} of them hit something open; {}",
        outcome.hits.len(),
        outcome.hits(),
        outcome.figures
    );
    for fault in &outcome.faults {
        println!("fault: {fault}");
    }
}

#[test]
fn every_playbook_runs_once_whatever_is_killed() {
    let _turn = Turn::take(Load::Middle);
    if is_long() {
        return long();
    }
    let target = Target::start(DELAY).unwrap();
    let pipeline = Pipeline::install(
        KafkaCluster::shared().unwrap(),
        Setup::new("chaos", &target.url()),
    )
    .unwrap();
    let mut kills: Vec<_> = STAGES.iter().map(|app| (*app, 1, 0)).collect();
    kills[3].2 = 1;
    kills.push(("gateway", 1, 0));
    let chaos = Chaos {
        alerts: 2_000,
        one_in: 10,
        per_second: 400,
        kills: shuffled(seed(), &kills),
        settle: Duration::from_secs(90),
    };
    let outcome = run(&pipeline, &target, &chaos, None).unwrap();
    report(&outcome);
    assert_eq!(outcome.faults, Vec::<String>::new());
}

/// The claim in full.
fn long() {
    let cluster = KafkaCluster::start_with(ClusterOptions {
        nodes: 3,
        dir: std::env::var_os("PRUNELLA_TEST_LOGS")
            .map(|dir| std::path::PathBuf::from(dir).join("cluster")),
        ..ClusterOptions::default()
    })
    .unwrap();
    let target = Target::start(DELAY).unwrap();
    let setup = Setup {
        replication: 3,
        ..Setup::new("chaos", &target.url())
    };
    let pipeline = Pipeline::install(cluster.bootstrap(), setup).unwrap();
    let mut kills: Vec<_> = STAGES.iter().map(|app| (*app, 7, 1)).collect();
    // A transaction lasts milliseconds: not every kill finds one open.
    kills[3].1 = 9;
    kills.push(("gateway", 3, 0));
    let chaos = Chaos {
        alerts: 20_000,
        one_in: 10,
        per_second: 250,
        kills: shuffled(seed(), &kills),
        settle: Duration::from_secs(240),
    };
    let outcome = run(&pipeline, &target, &chaos, Some(&cluster)).unwrap();
    report(&outcome);
    assert_eq!(outcome.faults, Vec::<String>::new());
    assert!(outcome.hits.len() >= 20, "{} kills", outcome.hits.len());
    assert!(
        outcome.hits() >= 15,
        "{} of the kills hit something open",
        outcome.hits()
    );
    for app in STAGES.iter().chain(&["gateway"]) {
        assert!(
            outcome.kills_of(app) >= 3,
            "{} kills of {app}",
            outcome.kills_of(app)
        );
    }
}

#[test]
fn at_least_once_does_not_keep_the_promise_which_shows_that_the_test_can_fail() {
    let _turn = Turn::take(Load::Middle);
    let target = Target::start(DELAY).unwrap();
    let setup = Setup {
        guarantee: Guarantee::AtLeastOnce,
        // What a killed process has forwarded since its last commit comes again.
        commit_interval_ms: 2_000,
        ..Setup::new("doubles", &target.url())
    };
    let pipeline = Pipeline::install(KafkaCluster::shared().unwrap(), setup).unwrap();
    let chaos = Chaos {
        alerts: 4_000,
        one_in: 10,
        per_second: 0,
        kills: shuffled(
            seed(),
            &[
                ("normalizer", 2, 0),
                ("decider", 3, 0),
                ("orchestrator", 2, 0),
            ],
        ),
        settle: Duration::from_secs(60),
    };
    let outcome = run(&pipeline, &target, &chaos, None).unwrap();
    report(&outcome);
    assert!(
        !outcome.faults.is_empty(),
        "nothing was doubled in {} kills",
        outcome.hits.len()
    );
}
