//! What must have come out, worked out from what lies on the input topic, with no partitions, no faults and no
//! transactions.

use std::collections::{BTreeMap, BTreeSet};

use prunella_stream::driver::{Driver, Stored};

use super::actor::Target;
use super::{WINDOW, number, parts};

/// Judges a run that has settled. The error says what differs.
pub fn judge(driver: &Driver<Target>) -> Result<(), String> {
    let expected = expectation(driver);
    judge_readings(driver, &expected)?;
    judge_limits(driver)?;
    let keys = judge_counts(driver, &expected)?;
    same("keys acted on", driver.world.log.clone(), keys.clone())?;
    same("results", texts(driver, "results"), keys)
}

/// Ids of the readings that must be lost nowhere: for a run that promises no more.
pub fn nothing_lost(driver: &Driver<Target>) -> Result<(), String> {
    let clean: BTreeSet<String> = texts(driver, "clean")
        .iter()
        .filter_map(|text| Some(text.split('|').next()?.to_owned()))
        .collect();
    let accepted = expectation(driver).accepted;
    match accepted.keys().find(|id| !clean.contains(*id)) {
        Some(id) => Err(format!("reading {id} is lost")),
        None => Ok(()),
    }
}

struct Expectation {
    /// Series, time and amount of each reading that is accepted, by id.
    accepted: BTreeMap<String, (String, i64, i64)>,
    /// Partition and offset of each that is not.
    refused: Vec<String>,
}

fn expectation(driver: &Driver<Target>) -> Expectation {
    let mut expected = Expectation {
        accepted: BTreeMap::new(),
        refused: Vec::new(),
    };
    for record in driver.committed("raw") {
        match parts::<5>(record.value_text()) {
            Ok([id, series, time, amount, "good"]) => {
                let numbers = (number(time).expect("time"), number(amount).expect("amount"));
                let reading = (series.to_owned(), numbers.0, numbers.1);
                expected.accepted.insert(id.to_owned(), reading);
            }
            _ => expected
                .refused
                .push(format!("{}/{}", record.partition, record.offset)),
        }
    }
    expected
}

fn judge_readings(driver: &Driver<Target>, expected: &Expectation) -> Result<(), String> {
    let mut ids = Vec::new();
    let mut ordinals: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    let mut versions: BTreeMap<i32, i64> = BTreeMap::new();
    for record in driver.committed("clean") {
        let [id, series, _, _, ordinal, version] =
            parts(record.value_text()).map_err(|rejection| rejection.to_string())?;
        ids.push(id.to_owned());
        let ordinal = number(ordinal).expect("ordinal");
        ordinals.entry(series.to_owned()).or_default().push(ordinal);
        let version = number(version).expect("version");
        let before = versions.insert(record.partition, version);
        if before.is_some_and(|before| before > version) {
            return Err(format!("the limit went back from {before:?} at {id}"));
        }
    }
    same("readings", ids, expected.accepted.keys().cloned().collect())?;
    for (series, ordinals) in ordinals {
        let whole: Vec<i64> = (1..).take(ordinals.len()).collect();
        same(&format!("ordinals of {series}"), ordinals, whole)?;
    }
    let refused = driver.committed("raw.dlq");
    let refused = refused.iter().map(|record| place(record)).collect();
    same("refused readings", refused, expected.refused.clone())?;
    let last = last_version(driver);
    match versions.iter().find(|(_, version)| **version != last) {
        Some(seen) => Err(format!(
            "the last limit is {last}, and not in force: {seen:?}"
        )),
        None => Ok(()),
    }
}

fn judge_limits(driver: &Driver<Target>) -> Result<(), String> {
    let limits = driver.committed("limits");
    let bad = limits
        .iter()
        .filter(|record| !record.value_text().ends_with("|taken"));
    let bad = bad.map(|record| format!("0/{}", record.offset)).collect();
    let refused = driver.committed("limits.dlq");
    same(
        "refused limits",
        refused.iter().map(|r| place(r)).collect(),
        bad,
    )
}

/// The last limit that can be read: also one that the stage refused after learning it.
fn last_version(driver: &Driver<Target>) -> i64 {
    let limits = driver.committed("limits");
    let mut versions = limits.iter().rev().filter_map(|record| {
        let [version, _] = parts(record.value_text()).ok()?;
        number(version).ok()
    });
    versions.next().unwrap_or(0)
}

/// Counts and sums agree with a plain fold. Returns the key of every part.
fn judge_counts(driver: &Driver<Target>, expected: &Expectation) -> Result<Vec<String>, String> {
    let mut fold: BTreeMap<(String, i64), (i64, i64)> = BTreeMap::new();
    for (series, time, amount) in expected.accepted.values() {
        let start = time - time.rem_euclid(WINDOW);
        let total = fold.entry((series.clone(), start)).or_default();
        *total = (total.0 + 1, total.1 + amount);
    }
    let mut counted: BTreeMap<(String, i64), (i64, i64)> = BTreeMap::new();
    let mut keys = Vec::new();
    for record in driver.committed("counts") {
        let [series, start, part, count, sum] =
            parts(record.value_text()).map_err(|rejection| rejection.to_string())?;
        let window = (series.to_owned(), number(start).expect("start"));
        let total = counted.entry(window).or_default();
        let count = number(count).expect("count");
        *total = (total.0 + count, total.1 + number(sum).expect("sum"));
        let key = format!("{series}|{start}|{part}");
        if count == 0 || keys.contains(&key) {
            return Err(format!("a window closed twice: {key}, {count}"));
        }
        keys.push(key);
    }
    same(
        "windows",
        counted.into_iter().collect(),
        fold.into_iter().collect(),
    )?;
    Ok(keys)
}

fn place(record: &Stored) -> String {
    let header = |name| String::from_utf8_lossy(record.header(name).unwrap_or_default());
    let partition = header("prunella.error.partition");
    format!("{partition}/{}", header("prunella.error.offset"))
}

fn texts(driver: &Driver<Target>, topic: &str) -> Vec<String> {
    let records = driver.committed(topic);
    records.iter().map(|r| r.value_text().to_owned()).collect()
}

fn same<T: Ord + std::fmt::Debug>(
    what: &str,
    mut seen: Vec<T>,
    mut wanted: Vec<T>,
) -> Result<(), String> {
    seen.sort_unstable();
    wanted.sort_unstable();
    if seen == wanted {
        Ok(())
    } else {
        Err(format!("{what}: seen {seen:?}, wanted {wanted:?}"))
    }
}
