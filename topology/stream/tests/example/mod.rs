//! An example topology of three stages, its inputs, its world and the oracle that judges a run.

pub mod actor;
pub mod counter;
pub mod normaliser;
pub mod oracle;
pub mod plants;

use prunella_stream::driver::{Driver, Failure, Message, Random, Settings, Topology};
use prunella_stream::{Record, Rejection, StageTask, Task};

use self::actor::{Actor, Target};
use self::counter::Counter;
use self::normaliser::{Normaliser, Remembered};
use self::plants::{FoldsEarly, Hasty, Stuck};

/// Partitions of every keyed topic.
pub const PARTITIONS: i32 = 3;
/// Steps after an input, at most: some inputs come in bursts, so that transactions hold several.
const STEPS: usize = 90;
/// Inputs of a run.
const INPUTS: i64 = 28;
/// Length of a window of event time.
pub const WINDOW: i64 = 60_000;

/// A stage's bug, planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// None.
    Nothing,
    /// Tasks fold their state as soon as they have handed over its changes.
    FoldsEarly,
    /// Tasks fire timers while they are being restored.
    FiresEarly,
    /// A retry acts under a key of its own.
    NewKeys,
    /// A store ignores rollbacks to a savepoint.
    Savepoints,
}

/// Text of a record's value.
pub fn text<'a>(record: &Record<'a>) -> Result<&'a str, Rejection> {
    let value = record
        .value
        .ok_or_else(|| Rejection::new("no_value", "a tombstone"))?;
    std::str::from_utf8(value).map_err(|_| Rejection::new("not_text", "not UTF-8"))
}

/// The parts of a record's text, separated by bars.
pub fn parts<const N: usize>(text: &str) -> Result<[&str; N], Rejection> {
    let parts: Vec<&str> = text.split('|').collect();
    <[&str; N]>::try_from(parts)
        .map_err(|_| Rejection::new("malformed", format!("{N} parts wanted in {text:?}")))
}

/// A number in a record's text.
pub fn number(text: &str) -> Result<i64, Rejection> {
    text.parse()
        .map_err(|_| Rejection::new("malformed", format!("{text:?} is no number")))
}

/// The example's stages, whole or broken.
pub fn topology(broken: Broken) -> Topology {
    let normaliser: fn(i32) -> Box<dyn Task> = if broken == Broken::Savepoints {
        |partition| Box::new(StageTask::new(Normaliser::<Stuck>::default(), partition))
    } else {
        |partition| {
            Box::new(StageTask::new(
                Normaliser::<Remembered>::default(),
                partition,
            ))
        }
    };
    let wrap = move |task: Box<dyn Task>| -> Box<dyn Task> {
        match broken {
            Broken::FoldsEarly => Box::new(FoldsEarly::new(task)),
            Broken::FiresEarly => Box::new(Hasty::new(task)),
            _ => task,
        }
    };
    Topology::new()
        .stage(PARTITIONS, move |partition| wrap(normaliser(partition)))
        .stage(PARTITIONS, move |partition| {
            wrap(Box::new(StageTask::new(Counter, partition)))
        })
        .stage(PARTITIONS, move |partition| {
            let new_keys = broken == Broken::NewKeys;
            wrap(Box::new(StageTask::new(Actor { new_keys }, partition)))
        })
}

/// Runs one schedule of the example and returns the driver once everything has settled.
pub fn run(settings: Settings, broken: Broken) -> Result<Driver<Target>, Failure> {
    let mut random = Random::new(settings.seed ^ 0xda7a);
    let mut driver = Driver::new(settings, topology(broken), Target::default())?;
    for index in 0..INPUTS {
        if index % 7 == 3 {
            let limit = match random.below(6) {
                0 => "unreadable".to_owned(),
                1 => format!("{index}|refused"),
                _ => format!("{index}|taken"),
            };
            driver.put("limits", Message::new("limit", limit));
        }
        let (series, value) = reading(index, &mut random);
        driver.put("raw", Message::new(series, value));
        let burst = random.one_in(3);
        driver.run(if burst { 0 } else { random.below(STEPS) })?;
    }
    driver.calm()?;
    // One more reading of each series, when all is quiet: it must see the last limit.
    for series in 0..SERIES {
        let time = 2_000_000_000 + series * WINDOW;
        let value = format!("last-{series}|s{series}|{time}|1|good");
        driver.put("raw", Message::new(format!("s{series}"), value));
    }
    driver.calm()?;
    Ok(driver)
}

const SERIES: i64 = 5;

/// A reading: id, series, event time, amount, flag. Some are sent again under the same id, some are malformed, some
/// are refused only after half the work is done.
fn reading(index: i64, random: &mut Random) -> (String, String) {
    let index = if random.one_in(8) {
        (index - 2).max(0)
    } else {
        index
    };
    let series = format!("s{}", index * 7 % SERIES);
    let time = 1_000_000_000 + index * 9_000 - index * 37 % 11 * 2_500;
    let value = match index % 9 {
        4 => format!("r{index}|{series}|{time}"),
        2 | 7 => format!("r{index}|{series}|{time}|5|bad"),
        _ => format!("r{index}|{series}|{time}|{}|good", index % 4 + 1),
    };
    (series, value)
}
