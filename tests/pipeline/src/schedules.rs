//! Random schedules with faults: what the oracle says must hold under every one of them.

use std::collections::BTreeSet;

use prunella_pipeline::StageConfig;
use prunella_schemas::{Outcome, PlaybookRun, RunState};
use prunella_stream::Millis;
use prunella_stream::driver::{Fault, Faults, Plant, Random, Settings, Tally};
use prunella_stream::transaction::Guarantee;

use crate::oracle::{Seen, judge};
use crate::pipeline::{Alert, Pipeline};
use crate::target::Target;

/// Seeds of one test; the environment may ask for more, or for a single one to look at.
fn seeds(count: u64) -> std::ops::Range<u64> {
    let variable = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let first = variable("PRUNELLA_SEED").unwrap_or(0);
    first..first + variable("PRUNELLA_SEEDS").unwrap_or(count)
}

/// When somebody throws the kill switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Thrown {
    Never,
    /// Before anything comes in, and every stage has read it.
    First,
    /// After that many payloads. The edge, which looks right before each effect, knows at once; the stages will.
    After(usize),
}

/// What one run of a seed gave.
struct Ran {
    pipeline: Pipeline,
    /// Series of alerts that the rule POOL is for.
    series: usize,
    thrown_at: Millis,
}

impl Ran {
    #[track_caller]
    fn judge(&self) {
        let settings = self.pipeline.driver.settings();
        if let Err(wrong) = judge(&self.pipeline, &self.pipeline.payloads()) {
            panic!("seed {} with {:?}: {wrong}", settings.seed, settings.faults);
        }
        let triggered = Seen::of(&self.pipeline).decided("Pool_Exhausted", Outcome::Triggered);
        assert_eq!(triggered, self.series, "seed {}", settings.seed);
    }
}

/// Alerts of a few clusters and services come in while faults strike; then everything settles.
fn run(settings: Settings, target: Target, thrown: Thrown) -> Ran {
    let mut random = Random::new(settings.seed ^ 0xa1e7);
    let mut config = StageConfig::default();
    if settings.seed.is_multiple_of(3) {
        // Some effects come so late then that their deadline has passed.
        config.executor.margin_ms = 100;
    }
    let mut pipeline = Pipeline::start(settings, target, &config);
    let mut thrown_at = Millis::MAX;
    if thrown == Thrown::First {
        thrown_at = pipeline.driver.now();
        pipeline.throw_kill_switch();
        pipeline.rest();
    }
    let mut sent: Vec<(String, Vec<Alert>)> = Vec::new();
    for payload in 0..5 + random.below(6) {
        let again = random.pick(&sent).filter(|_| payload % 3 == 2).cloned();
        let (cluster, alerts) = again.unwrap_or_else(|| new_payload(payload, &mut random));
        pipeline.alert(&cluster, &alerts);
        sent.push((cluster, alerts));
        if random.one_in(8) {
            pipeline.raw("alertmanager/x", b"no payload");
        }
        let steps = 20 + random.below(400);
        step(&mut pipeline, steps);
        if thrown == Thrown::After(payload) {
            thrown_at = pipeline.driver.now();
            pipeline.driver.world.killed = true;
            pipeline.throw_kill_switch();
        }
    }
    step(&mut pipeline, 1_500);
    pipeline.rest();
    Ran {
        pipeline,
        series: series(&sent),
        thrown_at,
    }
}

fn series(sent: &[(String, Vec<Alert>)]) -> usize {
    let alerts = sent
        .iter()
        .flat_map(|(cluster, alerts)| alerts.iter().map(move |alert| (cluster, alert)));
    let series: BTreeSet<_> = alerts
        .filter(|(_, alert)| alert.name == "Pool_Exhausted")
        .map(|(cluster, alert)| (cluster, &alert.service, &alert.instance))
        .collect();
    series.len()
}

fn step(pipeline: &mut Pipeline, steps: usize) {
    if let Err(failure) = pipeline.driver.run(steps) {
        panic!("{failure}");
    }
}

fn new_payload(number: usize, random: &mut Random) -> (String, Vec<Alert>) {
    let cluster = ["prod", "lab", "eu"][random.below(3)].to_owned();
    let alerts = (0..1 + random.below(3)).map(|index| {
        let names = [
            "Pool_Exhausted",
            "Pool_Exhausted",
            "Disk_Noise",
            "Connection_Error",
        ];
        let name = names[random.below(names.len())];
        let service = format!("s{}", random.below(3));
        Alert::new(name, &service, &format!("{number}-{index}"))
    });
    (cluster, alerts.collect())
}

fn flaky(seed: u64) -> Target {
    Target {
        flaky: seed.is_multiple_of(2),
        ..Target::default()
    }
}

#[test]
fn whatever_goes_wrong_each_alert_is_decided_once_and_each_fix_done_once() {
    let (mut tally, mut fixes, mut probes) = (Tally::default(), 0, 0);
    for seed in seeds(60) {
        let ran = run(Settings::seeded(seed), flaky(seed), Thrown::Never);
        ran.judge();
        tally += ran.pipeline.driver.tally();
        fixes += ran.pipeline.driver.world.done.len();
        probes += ran.pipeline.driver.world.probes;
    }
    println!("{fixes} fixes, {probes} probes, {tally:?}");
    // A schedule in which nothing happens shows nothing.
    let struck = [
        tally.crashes,
        tally.aborts,
        tally.zombies,
        tally.rebalances,
        tally.lost_completions,
        tally.refused_effects,
    ];
    assert!(struck.iter().all(|count| *count > 5), "{tally:?}");
    assert!(fixes > 100 && probes > 10, "{fixes} fixes, {probes} probes");
}

#[test]
fn with_the_kill_switch_thrown_nothing_changes_under_any_schedule() {
    for seed in seeds(20) {
        let ran = run(Settings::seeded(seed), flaky(seed), Thrown::First);
        ran.judge();
        assert!(ran.pipeline.driver.world.done.is_empty(), "seed {seed}");
    }
}

#[test]
fn a_kill_switch_thrown_in_the_midst_stops_what_has_not_begun() {
    let (mut before, mut stopped) = (0, 0);
    for seed in seeds(20) {
        let ran = run(Settings::seeded(seed), flaky(seed), Thrown::After(2));
        ran.judge();
        let done = ran.pipeline.driver.world.done.values().flatten();
        let late = done.clone().filter(|at| **at > ran.thrown_at).count();
        assert_eq!(late, 0, "seed {seed}");
        before += done.count();
        let seen = Seen::of(&ran.pipeline);
        let refused = |run: &&&PlaybookRun| run.state == RunState::Refused;
        stopped += seen.ended().values().filter(refused).count();
    }
    assert!(
        before > 5 && stopped > 20,
        "{before} before, {stopped} stopped"
    );
}

#[test]
fn equal_seeds_give_equal_runs() {
    let outputs = || {
        let ran = run(Settings::seeded(3), flaky(2), Thrown::Never);
        let topics = prunella_topology::TOPICS.iter();
        let records = topics.map(|topic| ran.pipeline.driver.committed(topic.name));
        (records.collect::<Vec<_>>(), ran.pipeline.driver.tally())
    };
    assert!(outputs() == outputs());
}

/// Whether the oracle finds fault with any of these seeds.
fn found_out(count: u64, settings: impl Fn(u64) -> Settings) -> bool {
    seeds(count).any(|seed| {
        let ran = run(settings(seed), Target::default(), Thrown::Never);
        judge(&ran.pipeline, &ran.pipeline.payloads()).is_err()
    })
}

/// The oracle can tell: what promises less, or breaks a rule of the edge, is found out.
#[test]
fn without_transactions_the_same_schedules_are_found_out() {
    let faults = Faults::of(&[Fault::Crash, Fault::Abort, Fault::Rebalance]);
    assert!(found_out(30, |seed| Settings {
        faults,
        guarantee: Guarantee::AtLeastOnce,
        ..Settings::faultless(seed)
    }));
    assert!(!found_out(10, |seed| Settings {
        faults,
        ..Settings::faultless(seed)
    }));
}

#[test]
fn an_edge_that_fences_nobody_is_found_out() {
    assert!(found_out(50, |seed| Settings {
        faults: Faults::of(&[Fault::Zombie, Fault::Rebalance]),
        plant: Some(Plant::Unfenced),
        ..Settings::faultless(seed)
    }));
}
