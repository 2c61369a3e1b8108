//! What a task promises whoever drives it: each promise with a case in which it acts and one in which it does not.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test may panic, and so may what only tests call"
)]

mod desk;

use std::sync::atomic::Ordering;

use desk::{Bench, effect_id, record};
use proptest::prelude::*;
use prunella_stream::{Accepted, Task};

/// What the task has said so far, by first words, open transaction included.
fn heard(bench: &Bench, start: &str) -> usize {
    let said = bench.said.iter().chain(&bench.unsaid);
    said.filter(|text| text.starts_with(start)).count()
}

/// One thing that happens to a task.
#[derive(Clone, Copy, Debug)]
enum Step {
    Ask,
    Arrive(u8),
    Tick,
    Commit,
    Abort,
    AbortPrepared,
    Rebuild,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => Just(Step::Ask),
        3 => (0_u8..4).prop_map(Step::Arrive),
        3 => Just(Step::Tick),
        2 => Just(Step::Commit),
        1 => Just(Step::Abort),
        1 => Just(Step::AbortPrepared),
        1 => Just(Step::Rebuild),
    ];
    prop::collection::vec(step, 0..50)
}

proptest! {
    /// An effect that was begun is answered once, whatever is aborted or rebuilt between its begin and the commit
    /// that covers its outcome.
    #[test]
    fn every_completion_is_committed_exactly_once(steps in steps()) {
        let mut bench = Bench::new();
        let mut under_way: Vec<String> = Vec::new();
        let mut arrived = 0;
        let mut asked = 0;
        for step in steps {
            match step {
                Step::Ask => {
                    asked += 1;
                    bench.order(0, 0, &format!("ask e{asked} 1"));
                }
                Step::Arrive(which) if !under_way.is_empty() => {
                    let key = under_way.remove(usize::from(which) % under_way.len());
                    bench.settle(&key, 1, "ok");
                    arrived += 1;
                }
                Step::Arrive(_) => {}
                Step::Tick => bench.tick(0),
                Step::Commit => {
                    let begun = bench.commit();
                    let keys = begun.iter().map(|r| String::from_utf8_lossy(&r.payload).into_owned());
                    under_way.extend(keys);
                }
                Step::Abort => bench.abort(),
                Step::AbortPrepared => bench.abort_prepared(),
                Step::Rebuild => {
                    bench.offset = 0;
                    bench.rebuild(&|id, _| under_way.iter().any(|key| effect_id(key) == *id));
                }
            }
        }
        bench.tick(0);
        bench.commit();
        prop_assert_eq!(heard(&bench, "settled"), arrived);
        prop_assert_eq!(heard(&bench, "doubt"), 0);
    }

    /// A task that is given refused records among the others does, keeps and says what one does that is not.
    #[test]
    fn a_refused_record_leaves_nothing_but_its_dead_letter(
        orders in prop::collection::vec((0_u8..5, 0_i64..100, 0_i64..100, any::<bool>()), 0..30)
    ) {
        let mut with = Bench::new();
        let mut without = Bench::new();
        for bench in [&mut with, &mut without] {
            bench.order(0, 0, "ask a 1");
            bench.order(0, 0, "clock later 500");
            bench.order(0, 0, "stream soon 50");
        }
        let mut refused = 0;
        for (kind, number, time, tick) in orders {
            match kind {
                0 => {
                    refused += 1;
                    let far = time + 1_000;
                    let accepted = with.order(0, far, &format!("refuse k{} {number}", number % 3));
                    prop_assert!(matches!(accepted, Accepted::Rejected(_)));
                    without.offset += 1;
                }
                1 => for bench in [&mut with, &mut without] {
                    bench.order(0, time, &format!("stream t{} {number}", number % 3));
                },
                _ => for bench in [&mut with, &mut without] {
                    bench.order(0, time, &format!("add k{} {number}", number % 3));
                },
            }
            if tick {
                with.tick(0);
                without.tick(0);
            }
        }
        prop_assert_eq!(with.dead.len(), refused);
        prop_assert_eq!(&with.unsaid, &without.unsaid);
        prop_assert_eq!(with.commit(), without.commit());
        prop_assert_eq!(&with.changelog, &without.changelog);
    }

    /// A task made anew from the changelog goes on as the old one would have.
    #[test]
    fn a_restored_task_goes_on_as_the_old_one(
        before in prop::collection::vec((0_u8..4, 0_i64..40, 0_i64..40), 0..20),
        after in prop::collection::vec((0_u8..4, 0_i64..90, 0_i64..90), 0..20),
    ) {
        let give = |bench: &mut Bench, (kind, number, time): (u8, i64, i64)| {
            let verb = ["add", "stream", "clock", "refuse"][usize::from(kind)];
            bench.order(number, time, &format!("{verb} k{} {number}", number % 4));
            bench.tick(number);
        };
        let mut old = Bench::new();
        let mut new = Bench::new();
        for order in before {
            give(&mut old, order);
        }
        old.view("set v 7");
        old.commit();
        new.changelog.clone_from(&old.changelog);
        new.offset = old.offset;
        new.views.clone_from(&old.views);
        new.restart(&|_, _| true);
        for order in after {
            give(&mut old, order);
            give(&mut new, order);
        }
        prop_assert_eq!(&old.unsaid, &new.unsaid);
        old.commit();
        new.commit();
        prop_assert_eq!(&old.changelog, &new.changelog);
    }

    #[test]
    fn now_never_goes_back_across_a_restore(earlier in 0_i64..1_000, later in 0_i64..1_000) {
        let mut bench = Bench::new();
        bench.order(earlier, 0, "add k 1");
        bench.commit();
        bench.restart(&|_, _| false);
        bench.order(later, 0, "add k 1");
        let now = earlier.max(later);
        prop_assert_eq!(&bench.unsaid, &[format!("k 2 view 0 at {now}/0")]);
    }
}

#[test]
fn an_abort_presents_a_doubt_again_and_a_commit_does_not() {
    let mut bench = Bench::new();
    bench.order(0, 0, "ask a 1");
    bench.commit();
    bench.restart(&|_, _| false);
    bench.tick(0);
    assert_eq!(heard(&bench, "doubt a 1"), 1);
    bench.abort();
    assert_eq!(heard(&bench, "doubt a 1"), 0);
    assert_eq!(bench.task.next_due(), Some(i64::MIN));
    bench.tick(0);
    bench.commit();
    bench.abort();
    bench.tick(0);
    assert_eq!(heard(&bench, "doubt a 1"), 1);
    assert_eq!(bench.task.open_effects(), 1);
}

#[test]
fn an_effect_under_way_in_this_process_is_not_in_doubt() {
    let mut bench = Bench::new();
    bench.order(0, 0, "ask a 1");
    bench.order(0, 0, "ask b 1");
    bench.commit();
    bench.restart(&|id, _| *id == effect_id("a"));
    bench.tick(0);
    assert_eq!(heard(&bench, "doubt a"), 0);
    assert_eq!(heard(&bench, "doubt b"), 1);
}

#[test]
fn a_completion_held_here_survives_a_rebuild_and_one_in_another_process_does_not() {
    for (rebuilt, settled, doubted) in [(true, 1, 0), (false, 0, 1)] {
        let mut bench = Bench::new();
        bench.order(0, 0, "ask a 1");
        bench.commit();
        bench.settle("a", 1, "ok");
        bench.tick(0);
        if rebuilt {
            bench.rebuild(&|_, _| false);
        } else {
            bench.restart(&|_, _| false);
        }
        bench.tick(0);
        assert_eq!(heard(&bench, "settled a 1 ok"), settled);
        assert_eq!(heard(&bench, "doubt a 1"), doubted);
    }
}

#[test]
fn a_doubt_that_was_asked_for_anew_is_no_doubt() {
    for (order, doubts) in [("ask a 2", 0), ("close a 0", 0), ("ask c 1", 1)] {
        let mut bench = Bench::new();
        bench.order(0, 0, "ask a 1");
        bench.order(0, 0, "ask b 1");
        bench.commit();
        bench.restart(&|_, _| false);
        bench.order(0, 0, order);
        bench.tick(0);
        assert_eq!(heard(&bench, "doubt a"), doubts, "{order}");
        assert_eq!(heard(&bench, "doubt b"), 1, "{order}");
        bench.abort();
        bench.tick(0);
        assert_eq!(heard(&bench, "doubt a"), 1, "{order}, undone");
    }
}

#[test]
fn a_completion_of_an_attempt_that_an_abort_brings_back_is_held() {
    let mut bench = Bench::new();
    bench.order(0, 0, "ask a 1");
    bench.commit();
    bench.order(0, 0, "ask a 2");
    bench.settle("a", 1, "ok");
    bench.tick(0);
    assert_eq!(heard(&bench, "settled"), 0);
    bench.abort();
    bench.tick(0);
    assert_eq!(heard(&bench, "settled a 1 ok"), 1);
}

#[test]
fn a_completion_of_an_attempt_that_is_over_is_dropped() {
    let mut bench = Bench::new();
    bench.order(0, 0, "ask a 1");
    bench.commit();
    bench.order(0, 0, "ask a 2");
    bench.commit();
    bench.settle("a", 1, "ok");
    bench.tick(0);
    assert_eq!(heard(&bench, "settled"), 0);
    assert!(!bench.task.changed());
    assert_eq!(bench.task.next_due(), None);
}

#[test]
fn effects_begin_in_the_order_in_which_they_were_asked_for() {
    let mut bench = Bench::new();
    for order in [
        "ask c 1",
        "ask a 1",
        "ask b 1",
        "ask c 2",
        "ask d 1",
        "close d 0",
    ] {
        bench.order(0, 0, order);
    }
    let begun = bench.commit();
    let begun: Vec<(&[u8], u32)> = begun.iter().map(|r| (&r.payload[..], r.attempt)).collect();
    assert_eq!(begun, [(&b"a"[..], 1), (b"b", 1), (b"c", 2)]);
    assert!(bench.commit().is_empty());
}

#[test]
fn a_panic_is_tried_again_and_then_dead_lettered() {
    for (panics, dead, total) in [(0, 0, 1), (2, 0, 1), (3, 1, 0), (9, 1, 0)] {
        let mut bench = Bench::new();
        bench.desk.panics.store(panics, Ordering::Relaxed);
        let accepted = bench.order(0, 0, "panic k 7");
        assert_eq!(heard(&bench, "k 7"), total, "{panics} panics");
        assert_eq!(bench.dead.len(), dead, "{panics} panics");
        assert_eq!(matches!(accepted, Accepted::Rejected(_)), dead == 1);
        assert_eq!(bench.task.open_effects(), total);
        assert_eq!(bench.task.next_due(), (total == 1).then_some(7));
        assert!(bench.dead.iter().all(|class| class == "panicked"));
    }
}

#[test]
fn a_decoder_that_panics_stops_nothing() {
    let mut bench = Bench::new();
    let accepted = bench.order(0, 0, "decoder-panics k 1");
    assert!(matches!(accepted, Accepted::Rejected(_)));
    assert_eq!(bench.dead, ["panicked"]);
    assert_eq!(bench.order(0, 0, "add k 1"), Accepted::Processed);
}

#[test]
fn a_view_learnt_before_a_restart_is_not_undone_by_an_abort() {
    let mut bench = Bench::new();
    bench.view("set v 7");
    bench.commit();
    bench.restart(&|_, _| false);
    bench.order(0, 0, "add k 1");
    bench.abort();
    bench.order(0, 0, "add k 1");
    assert_eq!(heard(&bench, "k 1 view 7"), 1);
}

#[test]
fn a_view_learnt_in_an_aborted_transaction_is_undone_and_wanted_again() {
    let mut bench = Bench::new();
    bench.view("set v 7");
    bench.abort();
    assert_eq!(bench.task.position(1), 0);
    bench.order(0, 0, "add k 1");
    assert_eq!(heard(&bench, "k 1 view 0"), 1);
    assert_eq!(bench.give(1, 0, 0, 0, "set v 7"), Accepted::Processed);
    assert_eq!(bench.give(1, 0, 0, 0, "set v 7"), Accepted::Skipped);
}

#[test]
fn a_view_is_the_same_before_and_after_a_restart_even_if_its_record_was_refused() {
    for (second, view) in [
        ("set v 8", 8),
        ("refuse v 8", 8),
        ("unlearnable v 8", 7),
        ("bad", 7),
    ] {
        let mut bench = Bench::new();
        bench.view("set v 7");
        bench.view(second);
        bench.order(0, 0, "add before 1");
        bench.commit();
        bench.restart(&|_, _| false);
        assert_eq!(bench.task.position(1), 2, "{second}");
        bench.order(0, 0, "add after 1");
        let expected = [("before", 1), ("after", 1)];
        for (key, count) in expected {
            assert_eq!(
                heard(&bench, &format!("{key} 1 view {view}")),
                count,
                "{second}"
            );
        }
    }
}

#[test]
fn only_one_task_reports_a_refused_broadcast_record() {
    for (partition, letters) in [(0, 1), (1, 0)] {
        let desk = desk::Desk::default();
        let mut task = prunella_stream::StageTask::new(desk, partition);
        task.restored(&|_, _| false);
        task.record(0, &record(1, 0, 0, "bad", &[]));
        let mut count = 0;
        task.drain(&mut |_| count += 1);
        assert_eq!(count, letters, "partition {partition}");
    }
}

#[test]
fn stream_time_fires_per_record_also_what_was_set_in_the_past() {
    let mut bench = Bench::new();
    bench.order(0, 100, "stream late 50");
    assert_eq!(heard(&bench, "timer late"), 0);
    bench.order(0, 10, "add k 1");
    assert_eq!(bench.unsaid[0], "timer late at 0/100");
    bench.order(0, 100, "stream early 101");
    bench.order(0, 100, "add k 1");
    assert_eq!(heard(&bench, "timer early"), 0);
}

#[test]
fn an_aborted_transaction_takes_stream_time_back() {
    for abort in [Bench::abort, Bench::abort_prepared] {
        let mut bench = Bench::new();
        bench.order(0, 10, "add k 1");
        bench.commit();
        bench.order(0, 99, "add k 1");
        abort(&mut bench);
        bench.order(0, 20, "add k 1");
        assert_eq!(bench.unsaid, ["k 2 view 0 at 0/20"]);
    }
}

#[test]
fn an_aborted_transaction_leaves_no_position_behind() {
    for (aborted, position) in [(true, 1), (false, 2)] {
        let mut bench = Bench::new();
        bench.view("set v 7");
        bench.commit();
        bench.view("set v 8");
        if aborted {
            bench.abort_prepared();
        }
        bench.order(0, 0, "add k 1");
        bench.commit();
        bench.restart(&|_, _| false);
        assert_eq!(bench.task.position(1), position, "aborted: {aborted}");
    }
}

#[test]
fn a_refused_record_begins_no_effect_and_not_one_that_is_under_way_either() {
    let mut bench = Bench::new();
    bench.order(0, 0, "ask b 1");
    assert_eq!(bench.commit().len(), 1);
    bench.order(0, 0, "refuse k 1");
    assert!(bench.commit().is_empty());
    bench.order(0, 0, "ask b 2");
    assert_eq!(bench.commit().len(), 1);
}

#[test]
fn nothing_fires_before_the_restore_has_ended() {
    let mut bench = Bench::new();
    bench.order(0, 0, "clock k 5");
    bench.commit();
    let mut task = prunella_stream::StageTask::new(bench.desk.clone(), 0);
    for (key, value) in &bench.changelog {
        task.restore(key, Some(value)).expect("own bytes");
    }
    assert!(!task.tick(100));
    assert_eq!(task.next_due(), None);
    assert!(!task.changed());
    task.restored(&|_, _| false);
    assert_eq!(task.next_due(), Some(5));
    task.tick(100);
    assert!(task.changed());
}

#[test]
fn a_record_that_was_processed_is_skipped() {
    let mut bench = Bench::new();
    bench.order(0, 0, "add k 1");
    assert_eq!(bench.give(0, 0, 0, 0, "add k 1"), Accepted::Skipped);
    assert_eq!(bench.give(0, 1, 0, 0, "add k 1"), Accepted::Processed);
}

#[test]
fn a_changelog_of_a_newer_program_is_refused() {
    let mut bench = Bench::new();
    let refused = bench.task.restore(&[9, 1], Some(&[1]));
    assert!(
        refused
            .expect_err("unknown store")
            .to_string()
            .contains("newer")
    );
    assert!(bench.task.restore(&[], None).is_err());
    assert_eq!(
        bench.task.restore(&[1, b'k'], Some(&1_i64.to_be_bytes())),
        Ok(())
    );
}
