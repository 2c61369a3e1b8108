//! Random schedules of a whole topology agree with a simple oracle, and planted bugs do not.
//!
//! `PRUNELLA_SCHEDULES=10000 cargo test -p prunella-stream --test schedules` runs that many instead of 500.

#![allow(
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a test may panic, and so may what only tests call"
)]

mod example;

use std::ops::Range;

use example::{Broken, oracle, run};
use prunella_stream::driver::{Fault, Faults, Plant, Settings, Tally};
use prunella_stream::transaction::Guarantee;

/// Seeds within which a planted bug must be caught.
const SEEDS: Range<u64> = 0..50;

/// Runs one schedule and judges it.
fn check(settings: Settings, broken: Broken) -> Result<Tally, String> {
    let seed = settings.seed;
    let faults = settings.faults;
    let driver = run(settings, broken).map_err(|failure| failure.to_string())?;
    let verdict = oracle::judge(&driver);
    verdict.map_err(|error| format!("seed {seed} with faults {faults:?}: {error}"))?;
    Ok(driver.tally())
}

/// Runs these seeds and returns what happened in all of them, or the first that fails.
fn check_all(seeds: Range<u64>) -> Result<Tally, String> {
    let mut total = Tally::default();
    for seed in seeds {
        total += check(Settings::seeded(seed), Broken::Nothing)?;
    }
    Ok(total)
}

/// At least one of the seeds must fail with that bug planted; prints which is the first.
fn caught(plant: Option<Plant>, broken: Broken) {
    let mut seeds = SEEDS;
    let caught = seeds.find_map(|seed| {
        let mut settings = Settings::seeded(seed);
        settings.plant = plant;
        check(settings, broken).err()
    });
    let caught = caught.expect("one of 50 seeds catches the planted bug");
    println!("caught: {caught}");
}

#[test]
fn random_schedules_agree_with_the_oracle() {
    let schedules = std::env::var("PRUNELLA_SCHEDULES");
    let schedules = schedules.map_or(500, |count| count.parse().expect("a number of schedules"));
    let total = check_all(0..schedules).expect("every schedule agrees");
    println!("{schedules} schedules: {total:#?}");
    let acted = [
        ("commits", total.commits),
        ("aborts", total.aborts),
        ("retries", total.retries),
        ("rebuilds", total.rebuilds),
        ("unknown commits", total.unknown_commits),
        ("crashes", total.crashes),
        ("lost completions", total.lost_completions),
        ("redeliveries", total.redeliveries),
        ("duplicates", total.duplicates),
        ("rebalances", total.rebalances),
        ("zombies", total.zombies),
        ("fenced", total.fenced),
        ("delays", total.delays),
        ("restores", total.restores),
        ("effects", total.effects),
        ("refused effects", total.refused_effects),
    ];
    for (what, count) in acted {
        assert!(count >= 20, "too few {what}: {count}");
    }
}

#[test]
fn without_a_planted_bug_the_same_seeds_pass() {
    check_all(SEEDS).expect("every schedule agrees");
}

#[test]
fn each_class_of_fault_alone_agrees_with_the_oracle() {
    for fault in Fault::ALL {
        for seed in 0..6 {
            let mut settings = Settings::seeded(seed);
            settings.faults = Faults::of(&[fault]);
            check(settings, Broken::Nothing).expect("agrees");
        }
    }
}

#[test]
fn without_faults_nothing_is_aborted_restarted_or_moved() {
    let settings = Settings::faultless(3);
    let tally = check(settings, Broken::Nothing).expect("agrees");
    assert_eq!((tally.aborts, tally.rebuilds, tally.crashes), (0, 0, 0));
    assert_eq!((tally.redeliveries, tally.fenced, tally.zombies), (0, 0, 0));
}

#[test]
fn equal_settings_give_equal_runs() {
    let run = |seed| {
        let mut settings = Settings::seeded(seed);
        settings.journal = true;
        let driver = example::run(settings, Broken::Nothing).expect("settles");
        driver.journal().to_vec()
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}

#[test]
fn offsets_committed_before_outputs_are_caught() {
    caught(Some(Plant::OffsetsBeforeOutputs), Broken::Nothing);
}

#[test]
fn state_folded_before_the_commit_is_caught() {
    caught(None, Broken::FoldsEarly);
}

#[test]
fn a_timer_fired_before_the_restore_is_caught() {
    caught(None, Broken::FiresEarly);
}

#[test]
fn a_retry_under_a_new_idempotency_key_is_caught() {
    caught(None, Broken::NewKeys);
}

#[test]
fn a_lost_completion_is_caught() {
    caught(Some(Plant::LostCompletion), Broken::Nothing);
}

#[test]
fn a_savepoint_not_undone_is_caught() {
    caught(None, Broken::Savepoints);
}

#[test]
fn a_zombie_that_nobody_fences_is_caught() {
    caught(Some(Plant::Unfenced), Broken::Nothing);
}

#[test]
fn at_least_once_loses_nothing_and_does_not_hold_exactly_once() {
    let mut doubled = 0;
    for seed in SEEDS {
        let mut settings = Settings::seeded(seed);
        settings.guarantee = Guarantee::AtLeastOnce;
        settings.faults = Faults::of(&[Fault::Crash, Fault::Abort, Fault::Redeliver]);
        let driver = run(settings, Broken::Nothing).expect("settles");
        oracle::nothing_lost(&driver).expect("nothing is lost");
        doubled += u32::from(oracle::judge(&driver).is_err());
    }
    assert!(doubled > 0, "at least once was exactly once in every run");
}
