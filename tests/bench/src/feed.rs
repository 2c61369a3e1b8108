//! Input for measurements.

use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use prunella_knowledge::{check, digest_of};
use prunella_schemas::{AvroRecord, KnowledgeFile, KnowledgeRecord, encode};

use crate::cluster::{Feeder, Scene};
use crate::payload::{Alert, NOISE, TRIGGER};

/// What an alert's name is.
#[derive(Clone, Copy, Debug)]
pub struct Mix {
    one_in: u64,
}

/// One alert in so many starts a run.
#[must_use]
pub fn every(one_in: u64) -> Mix {
    Mix {
        one_in: one_in.max(1),
    }
}

impl Mix {
    /// Name of the alert of this number.
    #[must_use]
    pub fn name(self, number: u64) -> &'static str {
        if number.is_multiple_of(self.one_in) {
            TRIGGER
        } else {
            NOISE
        }
    }

    /// How many of these start a run.
    #[must_use]
    pub fn triggers(self, numbers: &Range<u64>) -> u64 {
        numbers.end.div_ceil(self.one_in) - numbers.start.div_ceil(self.one_in)
    }
}

/// The rules and the playbook of the benchmark: every alert named [`TRIGGER`] starts a run of one call to the
/// target, budgets and cooldowns lifted.
fn files(target: &str) -> Vec<KnowledgeFile> {
    let file = |path: &str, text: String| KnowledgeFile {
        path: path.to_owned(),
        text,
    };
    let playbook = format!(
        "playbook_id: PB-Bench\nautonomy: automatic\ntasks:\n  - id: call\n    type: API_Call\n    \
         action: POST http://{target}/act\n    target: \"{{{{ alert.service_name }}}}\"\n"
    );
    let rules = format!(
        "rules:\n  - {{id: BENCH, alert_name: {TRIGGER}, severity: Critical, playbook: PB-Bench}}\n"
    );
    let settings = "settings: {budget_actions: 1000000, budget_within: 1s, cooldown: 1ms, cooldown_max: 1ms}\n";
    vec![
        file("playbook.yaml", playbook),
        file("rules.yaml", rules),
        file("settings.yaml", settings.to_owned()),
    ]
}

/// Puts the knowledge of the benchmark in force.
///
/// # Errors
/// If the broker does not take it.
pub fn knowledge(scene: &Scene, target: &str) -> Result<()> {
    let files = files(target);
    if let Some(mistake) = check(&files)
        .into_iter()
        .find(prunella_knowledge::Diagnostic::is_error)
    {
        return Err(anyhow!("the benchmark's own knowledge is wrong: {mistake}"));
    }
    let content = KnowledgeRecord {
        digest: digest_of(&files),
        files,
        author: "bench".to_owned(),
        at: prunella_runtime::wall_millis(),
        ..KnowledgeRecord::default()
    };
    let manifest = KnowledgeRecord {
        files: Vec::new(),
        ..content.clone()
    };
    let feeder = scene.producer()?;
    let topic = scene.name("knowledge");
    feeder.send(&topic, content.digest.as_bytes(), &bytes(&content)?, &[])?;
    feeder.send(&topic, b"active", &bytes(&manifest)?, &[])?;
    feeder.flush()
}

/// The bytes of a record.
///
/// # Errors
/// If it does not fit its schema.
pub fn bytes<T: AvroRecord>(record: &T) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    encode(record, &mut bytes)?;
    Ok(bytes)
}

/// Puts raw alerts of these numbers in as fast as the broker takes them.
///
/// # Errors
/// If the broker does not.
pub fn raw_alerts(scene: &Scene, topic: &str, numbers: Range<u64>, mix: Mix) -> Result<()> {
    let feeder = scene.producer()?;
    let topic = scene.name(topic);
    let stamp = stamp();
    for number in numbers {
        send(&feeder, &topic, number, mix, &stamp)?;
        if number.is_multiple_of(1_000) {
            feeder.poll();
        }
    }
    feeder.flush()
}

/// Puts raw alerts in at a rate, and tells when each was due. A sender that falls behind sends at once: what
/// waits for it counts as latency.
///
/// # Errors
/// If the broker does not take them.
pub fn at_rate(
    scene: &Scene,
    topic: &str,
    numbers: Range<u64>,
    rate: u64,
    begun: Instant,
) -> Result<()> {
    let feeder = scene.producer()?;
    let topic = scene.name(topic);
    let stamp = stamp();
    let first = numbers.start;
    for number in numbers {
        let due = begun + due(number - first, rate);
        let left = due.saturating_duration_since(Instant::now());
        if !left.is_zero() {
            std::thread::sleep(left);
        }
        send(&feeder, &topic, number, every(1), &stamp)?;
        feeder.poll();
    }
    feeder.flush()
}

/// When the alert of that index is due, counted from the first.
#[must_use]
pub fn due(index: u64, rate: u64) -> Duration {
    Duration::from_nanos(index * 1_000_000_000 / rate.max(1))
}

fn send(feeder: &Feeder, topic: &str, number: u64, mix: Mix, stamp: &Stamp) -> Result<()> {
    let alert = Alert {
        number,
        name: mix.name(number),
        starts_at: &stamp.starts_at,
    };
    let received = prunella_runtime::wall_millis().to_string();
    let headers = [
        ("prunella.source", "alertmanager"),
        ("content-type", "application/json"),
        ("prunella.received-at", received.as_str()),
    ];
    feeder.send(
        topic,
        alert.key().as_bytes(),
        alert.payload().as_bytes(),
        &headers,
    )
}

struct Stamp {
    starts_at: String,
}

fn stamp() -> Stamp {
    Stamp {
        starts_at: rfc3339(prunella_runtime::wall_millis() / 1_000),
    }
}

/// Seconds since the Unix epoch in RFC 3339. Days are counted as in the proleptic Gregorian calendar.
fn rfc3339(seconds: i64) -> String {
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Years begin in March, so that a leap day is the last of its year.
    let shifted = days + 719_468;
    let (era, day) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day_of_month:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_knowledge_of_the_benchmark_has_no_mistake() {
        assert_eq!(check(&files("127.0.0.1:8080")), []);
    }

    #[test]
    fn a_rate_is_spread_evenly() {
        assert_eq!(due(0, 1_000), Duration::ZERO);
        assert_eq!(due(1_500, 1_000), Duration::from_millis(1_500));
        assert_eq!(due(5, 10), Duration::from_millis(500));
    }

    #[test]
    fn a_mix_knows_how_many_runs_it_starts() {
        for (one_in, numbers) in [(1, 0..10), (100, 0..200_000), (3, 4..11), (100, 1..100)] {
            let mix = every(one_in);
            let counted = numbers
                .clone()
                .filter(|number| mix.name(*number) == TRIGGER)
                .count();
            assert_eq!(
                mix.triggers(&numbers),
                counted as u64,
                "{one_in} {numbers:?}"
            );
        }
    }

    #[test]
    fn times_are_written_as_alertmanager_writes_them() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_767_225_599, "2025-12-31T23:59:59Z"),
        ] {
            assert_eq!(rfc3339(seconds), expected);
        }
    }
}
