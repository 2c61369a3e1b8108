use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use prunella_schemas::{CowStr, NormalizedAlert};

use super::*;

const SECOND: Millis = 1_000;
const MINUTE: Millis = 60 * SECOND;
const START: Millis = 1_700_000_000_000;

/// One arrival: which occurrence of which source, and when it happened, in milliseconds from the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Arrival {
    source: u8,
    series: u8,
    at: Millis,
}

fn alert(arrival: Arrival) -> BorrowedAlert<'static> {
    let alert = NormalizedAlert {
        fingerprint: format!("series-{}", arrival.series),
        source_system: format!("source-{}", arrival.source),
        service_name: Some("inventory".to_owned()),
        domain: "prod".to_owned(),
        timestamp: START + arrival.at,
        starts_at: START + arrival.at,
        ..NormalizedAlert::default()
    };
    alert.map(CowStr::from)
}

fn six_in_five_minutes() -> Count {
    Count {
        at_least: 6,
        within_ms: 5 * MINUTE,
        grace_ms: None,
    }
}

/// What each arrival does, the time of day standing still.
fn run(arrivals: &[Arrival], window: Count, grace: Millis) -> Vec<Counting> {
    let mut state = DeciderState::default();
    let rule = Rule::default();
    arrivals
        .iter()
        .map(|arrival| {
            let alert = alert(*arrival);
            advance(&mut state.watermarks, &alert, START);
            count(&mut state, &alert, &rule, window, grace, START)
        })
        .collect()
}

fn reached(outcomes: &[Counting]) -> Vec<usize> {
    outcomes
        .iter()
        .enumerate()
        .filter(|(_, outcome)| matches!(outcome, Counting::Reached(_)))
        .map(|(number, _)| number)
        .collect()
}

/// Occurrences of one series at these seconds.
fn at_seconds(seconds: &[Millis]) -> Vec<Arrival> {
    seconds
        .iter()
        .map(|second| Arrival {
            source: 0,
            series: 0,
            at: second * SECOND,
        })
        .collect()
}

fn check(seconds: &[Millis], expected: &[usize]) {
    let outcomes = run(&at_seconds(seconds), six_in_five_minutes(), MINUTE);
    assert_eq!(reached(&outcomes), expected, "{seconds:?}: {outcomes:?}");
}

#[test]
fn the_sixth_occurrence_inside_five_minutes_triggers_and_the_fifth_does_not() {
    check(&[0, 10, 20, 30, 40], &[]);
    check(&[0, 10, 20, 30, 40, 50], &[5]);
    check(&[0, 60, 120, 180, 240, 299], &[5]);
}

#[test]
fn both_ends_of_a_window_are_inside_of_it() {
    check(&[0, 60, 120, 180, 240, 300], &[5]);
    check(&[0, 60, 120, 180, 240, 301], &[]);
    check(&[0, 61, 122, 183, 244, 305, 366, 427], &[]);
    check(&[0, 60, 120, 180, 240, 301, 300], &[6]);
}

#[test]
fn the_order_of_arrival_does_not_matter() {
    check(&[299, 240, 180, 120, 60, 0], &[5]);
    check(&[240, 0, 299, 60, 180, 120], &[5]);
}

#[test]
fn a_repeated_occurrence_never_adds_up() {
    check(&[0, 0, 0, 0, 0, 0, 0, 10, 10, 20, 30, 40], &[]);
    check(&[0, 10, 20, 30, 40, 0, 10, 50, 50], &[7]);
}

#[test]
fn a_window_starts_anew_once_it_triggered() {
    check(&[0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100], &[5]);
    check(&[0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110], &[5, 11]);
    // What it acted on does not count again, also not in the next window.
    check(
        &[
            0, 10, 20, 30, 40, 50, 0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100,
        ],
        &[5],
    );
}

#[test]
fn what_comes_after_its_windows_have_closed_is_late() {
    let outcomes = run(
        &at_seconds(&[0, 359, 1, 360, 0, 2]),
        six_in_five_minutes(),
        MINUTE,
    );
    assert_eq!(
        outcomes,
        [
            Counting::Counted(1),
            Counting::Counted(1),
            Counting::Counted(2),
            Counting::Counted(2),
            Counting::Again,
            Counting::Counted(3),
        ]
    );
    let outcomes = run(&at_seconds(&[361, 0, 1]), six_in_five_minutes(), MINUTE);
    assert_eq!(
        outcomes,
        [
            Counting::Counted(1),
            Counting::Late(SECOND),
            Counting::Counted(1)
        ]
    );
}

#[test]
fn a_fast_clock_silences_no_other_source() {
    let hour = 60 * MINUTE;
    let slow = |number: Millis| Arrival {
        source: 1,
        series: 0,
        at: number * SECOND,
    };
    let fast = |number: Millis| Arrival {
        source: 0,
        series: 1,
        at: hour + number * hour,
    };
    let mut arrivals = Vec::new();
    for number in 0..6 {
        arrivals.push(fast(number));
        arrivals.push(slow(number));
    }
    let outcomes = run(&arrivals, six_in_five_minutes(), MINUTE);
    assert_eq!(reached(&outcomes), [11], "{outcomes:?}");
}

#[test]
fn services_and_domains_are_counted_apart_and_services_without_case() {
    let mut state = DeciderState::default();
    let rule = Rule::default();
    let window = Count {
        at_least: 2,
        ..six_in_five_minutes()
    };
    let mut number = 0;
    let mut take = |service: Option<&str>, domain: &str| {
        number += 1;
        let alert = BorrowedAlert {
            service_name: service.map(|name| name.to_owned().into()),
            domain: domain.to_owned().into(),
            ..alert(at_seconds(&[number])[0])
        };
        advance(&mut state.watermarks, &alert, START);
        count(&mut state, &alert, &rule, window, MINUTE, START)
    };
    assert_eq!(take(Some("a"), "prod"), Counting::Counted(1));
    assert_eq!(take(Some("b"), "prod"), Counting::Counted(1));
    assert_eq!(take(Some("a"), "test"), Counting::Counted(1));
    assert_eq!(take(None, "prod"), Counting::Counted(1));
    assert_eq!(take(Some(""), "prod"), Counting::Counted(1));
    assert_eq!(take(Some("A"), "prod"), Counting::Reached(2));
}

#[test]
fn a_source_that_fell_silent_does_not_count_twice_what_was_forgotten() {
    let mut state = DeciderState::default();
    let rule = Rule::default();
    let window = Count {
        at_least: 2,
        ..six_in_five_minutes()
    };
    let first = alert(at_seconds(&[0])[0]);
    let mut take = |now: Millis| {
        state.expire(now);
        advance(&mut state.watermarks, &first, now);
        count(&mut state, &first, &rule, window, MINUTE, now)
    };
    assert_eq!(take(START), Counting::Counted(1));
    // Each time it comes again, it is remembered for longer.
    assert_eq!(take(START + HOLD_MS), Counting::Again);
    assert_eq!(take(START + 2 * HOLD_MS), Counting::Again);
    assert!(matches!(take(START + 5 * HOLD_MS), Counting::Late(_)));
}

#[test]
fn what_was_counted_is_let_go_of_in_the_end() {
    let mut state = DeciderState::default();
    let rule = Rule::default();
    for second in 0..2_000 {
        let alert = alert(at_seconds(&[second * 100])[0]);
        advance(&mut state.watermarks, &alert, START);
        count(
            &mut state,
            &alert,
            &rule,
            six_in_five_minutes(),
            MINUTE,
            START,
        );
    }
    let window = state
        .windows
        .get(&window_key(&alert(at_seconds(&[0])[0]), &rule));
    let held = window.map_or(0, |window| window.times["source-0"].len());
    assert!(held <= 7, "{held} held");
    for _ in 0..2_000 {
        state.expire(START + 5 * HOLD_MS);
    }
    assert!(state.counted.is_empty() && state.windows.is_empty() && state.watermarks.is_empty());
}

/// The same in as few words as possible, and as slow as that is: every stretch that starts at an occurrence is
/// counted anew at every arrival, and nothing is forgotten but by the rule that says so.
fn oracle(arrivals: &[Arrival], window: Count, grace: Millis) -> Vec<&'static str> {
    let within = window.within_ms;
    let mut clocks: BTreeMap<u8, Millis> = BTreeMap::new();
    let mut known: BTreeSet<(u8, Millis)> = BTreeSet::new();
    let mut open: Vec<Arrival> = Vec::new();
    let mut outcomes = Vec::new();
    for arrival in arrivals {
        let clock = clocks.entry(arrival.source).or_insert(Millis::MIN);
        *clock = (*clock).max(arrival.at);
        if known.contains(&(arrival.series, arrival.at)) {
            outcomes.push("again");
            continue;
        }
        if arrival.at + within + grace < *clock {
            outcomes.push("late");
            continue;
        }
        known.insert((arrival.series, arrival.at));
        open.push(*arrival);
        open.retain(|old| old.at + 2 * within + grace >= clocks[&old.source]);
        let full = open.iter().any(|first| {
            let inside = open
                .iter()
                .filter(|other| first.at <= other.at && other.at <= first.at + within);
            inside.count() >= window.at_least as usize
        });
        if full {
            open.clear();
            outcomes.push("reached");
        } else {
            outcomes.push("counted");
        }
    }
    outcomes
}

fn agrees(arrivals: &[Arrival], window: Count, grace: Millis) -> TestCaseResult {
    let found: Vec<&str> = run(arrivals, window, grace)
        .into_iter()
        .map(|outcome| match outcome {
            Counting::Again => "again",
            Counting::Late(_) => "late",
            Counting::Counted(_) => "counted",
            Counting::Reached(_) => "reached",
        })
        .collect();
    prop_assert_eq!(found, oracle(arrivals, window, grace));
    Ok(())
}

fn arrivals(sources: u8, span: Millis) -> impl Strategy<Value = Vec<Arrival>> {
    let arrival = (0..sources, 0_u8..3, 0..span).prop_map(|(source, series, at)| Arrival {
        source,
        // A series belongs to one source, as a fingerprint does.
        series: source * 3 + series,
        at: at * 100,
    });
    (prop::collection::vec(arrival, 0..60), any::<u64>()).prop_map(|(once, seed)| {
        // Some of them come again, anywhere.
        let mut all = once.clone();
        let mut seed = seed;
        for arrival in once {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            if seed >> 62 == 0 {
                let place = usize::try_from(seed >> 8).unwrap_or(0) % (all.len() + 1);
                all.insert(place, arrival);
            }
        }
        all
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn random_arrivals_agree_with_the_oracle(
        arrivals in arrivals(3, 120),
        at_least in 1_u32..7,
        within in 1_i64..40,
        grace in 0_i64..20,
    ) {
        let window = Count { at_least, within_ms: within * 100, grace_ms: None };
        agrees(&arrivals, window, grace * 100)?;
    }

    #[test]
    fn six_inside_five_minutes_trigger_once_in_every_order_and_however_often_each_comes(
        seconds in prop::collection::btree_set(0_i64..300, 6),
        order in prop::collection::vec(0_usize..6, 0..30),
    ) {
        let seconds: Vec<Millis> = seconds.into_iter().collect();
        // Whatever was drawn, and in the end each of them for certain.
        let order: Vec<usize> = order.into_iter().chain([3, 0, 5, 1, 4, 2]).collect();
        let times: Vec<Millis> = order.iter().map(|number| seconds[*number]).collect();
        let outcomes = run(&at_seconds(&times), six_in_five_minutes(), 0);
        let distinct = |upto: usize| order[..=upto].iter().collect::<BTreeSet<_>>().len();
        let sixth = (0..order.len()).find(|upto| distinct(*upto) == 6);
        prop_assert_eq!(reached(&outcomes), sixth.into_iter().collect::<Vec<_>>());
    }
}
