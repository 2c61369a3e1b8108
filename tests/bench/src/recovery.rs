//! Part "recovery": from kill -9 in an open transaction to the first output that follows.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use prunella_schemas::{NormalizedAlert, Severity};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;

use crate::child::Child;
use crate::cluster::{Ends, Feeder, Scene};
use crate::feed;
use crate::options::Options;
use crate::relay::TALLY_TOPICS;
use crate::report::{Report, Row, Target as Goal};

const PART: &str = "recovery (s)";
const PARTITIONS: i32 = 4;
/// As a team would set it that wants a quick takeover.
const SESSION_MS: u32 = 6_000;
/// Records a second that come in all the while.
const TRICKLE: u64 = 2_000;
const PATIENCE: Duration = Duration::from_mins(2);

/// A stage with state, one key a record.
#[derive(Clone, Copy, Debug)]
struct Keeper {
    stage: &'static str,
    input: &'static str,
    output: &'static str,
}

const KEEPERS: &[Keeper] = &[
    Keeper {
        stage: "tally",
        input: "tally-in",
        output: "tally-out",
    },
    Keeper {
        stage: "decider",
        input: "normalized-alerts",
        output: "decisions",
    },
];

/// Measures restart and takeover with every size of state.
///
/// # Errors
/// If a process fails, or no output follows a kill.
pub fn run(options: &Options, dir: &Path, report: &mut Report) -> Result<()> {
    for keeper in KEEPERS {
        for keys in &options.keys {
            let scene = Scene::new(
                &options.bootstrap,
                &format!("recovery-{}-{keys}", keeper.stage),
                PARTITIONS,
                TALLY_TOPICS,
            )?;
            if keeper.stage == "decider" {
                feed::knowledge(&scene, "127.0.0.1:9")?;
            }
            keeper.fill(&scene, *keys, dir)?;
            report.add(keeper.measure(&scene, *keys, dir)?);
            scene.remove()?;
        }
    }
    Ok(())
}

impl Keeper {
    /// A stage that has seen every key.
    fn fill(&self, scene: &Scene, keys: u64, dir: &Path) -> Result<()> {
        let feeder = scene.producer()?;
        let topic = scene.name(self.input);
        for number in 0..keys {
            self.send(&feeder, &topic, number)?;
            if number.is_multiple_of(1_000) {
                feeder.poll();
            }
        }
        feeder.flush()?;
        Child::stages(
            dir,
            scene,
            &[self.stage],
            "a",
            &[&format!("--until={keys}")],
        )?
        .measured()?;
        Ok(())
    }

    fn send(&self, feeder: &Feeder, topic: &str, number: u64) -> Result<()> {
        if self.stage == "tally" {
            return feeder.send(topic, format!("key-{number:012}").as_bytes(), b"", &[]);
        }
        let now = prunella_runtime::wall_millis();
        let domain = format!("cluster-{}", number % 64);
        let alert = NormalizedAlert {
            alert_id: format!("{number:032x}"),
            fingerprint: format!("{number:032x}"),
            source_system: "bench".to_owned(),
            alert_name: crate::payload::NOISE.to_owned(),
            severity: Severity::Warning,
            service_name: Some(crate::payload::service_of(number)),
            timestamp: now,
            starts_at: 1,
            received_at: now,
            domain: domain.clone(),
            description: "recovery".to_owned(),
            ..NormalizedAlert::default()
        };
        feeder.send(topic, domain.as_bytes(), &feed::bytes(&alert)?, &[])
    }

    fn start(&self, scene: &Scene, dir: &Path, instance: &str) -> Result<Child> {
        Child::stages(
            dir,
            scene,
            &[self.stage],
            instance,
            &[&format!("--session-timeout-ms={SESSION_MS}")],
        )
    }

    fn measure(&self, scene: &Scene, keys: u64, dir: &Path) -> Result<Row> {
        let trickle = Trickle::start(*self, scene, keys)?;
        let mut first = self.start(scene, dir, "a")?;
        first.wait_ready()?;
        let stood = self.kill_in_transaction(scene, first)?;
        let mut again = self.start(scene, dir, "a")?;
        let (restart, restart_all) = self.until_output(scene, &stood, again.started)?;
        again.wait_ready()?;
        let mut second = self.start(scene, dir, "b")?;
        second.wait_ready()?;
        again.wait_ready()?;
        // Both have what is theirs when output of every partition follows.
        let settled = Stood {
            ends: self.ends(scene)?.of(&scene.name(self.output), PARTITIONS)?,
            ..stood
        };
        self.until_output(scene, &settled, Instant::now())?;
        let stood = self.kill_in_transaction(scene, again)?;
        let (_, takeover) = self.until_output(scene, &stood, stood.at)?;
        trickle.stop()?;
        second.stop()?;
        let limit = if keys >= 1_000_000 {
            Some(Goal::AtMost(3.0))
        } else {
            None
        };
        let session = f64::from(SESSION_MS) / 1e3;
        Ok(Row::new(PART, format!("{}, {keys} keys", self.stage))
            .with_target("restart: first output", restart, limit)
            .with("every partition", restart_all)
            .with_target(
                "takeover: every partition",
                takeover,
                Some(Goal::AtMost(session + 2.0)),
            ))
    }

    fn ends(&self, scene: &Scene) -> Result<Ends> {
        scene.ends("read_committed")
    }

    /// Kills the process when the output holds records that are not committed.
    fn kill_in_transaction(&self, scene: &Scene, child: Child) -> Result<Stood> {
        let topic = scene.name(self.output);
        let (committed, all) = (self.ends(scene)?, scene.ends("read_uncommitted")?);
        let mut victim = Some(child);
        let give_up = Instant::now() + PATIENCE;
        while Instant::now() < give_up {
            let before = committed.of(&topic, PARTITIONS)?;
            let open = all.of(&topic, PARTITIONS)?;
            if before == open {
                continue;
            }
            if let Some(child) = victim.take() {
                child.kill()?;
            }
            let at = Instant::now();
            let ends = committed.of(&topic, PARTITIONS)?;
            let open = all
                .of(&topic, PARTITIONS)?
                .iter()
                .zip(&ends)
                .any(|(all, committed)| all > committed);
            eprintln!("    killed in an open transaction: {open}");
            return Ok(Stood { ends, at });
        }
        bail!("no transaction was ever seen open in {topic}")
    }

    /// Seconds until the first committed output beyond where it stood, and until every partition has one.
    fn until_output(&self, scene: &Scene, stood: &Stood, since: Instant) -> Result<(f64, f64)> {
        let reader = self.reader_from(scene, &stood.ends)?;
        let mut waiting: Vec<i32> = (0..PARTITIONS).collect();
        let mut first = None;
        while !waiting.is_empty() {
            if since.elapsed() > PATIENCE {
                bail!(
                    "no output of partitions {waiting:?} of {}",
                    scene.name(self.output)
                );
            }
            if let Some(Ok(message)) = reader.poll(Duration::from_millis(20)) {
                first.get_or_insert_with(|| since.elapsed().as_secs_f64());
                waiting.retain(|partition| *partition != message.partition());
            }
        }
        Ok((first.context("no output")?, since.elapsed().as_secs_f64()))
    }

    fn reader_from(
        &self,
        scene: &Scene,
        ends: &[i64],
    ) -> Result<BaseConsumer<prunella_runtime::LogContext>> {
        let reader = scene.reader(self.output)?;
        let mut assignment = rdkafka::TopicPartitionList::new();
        for (partition, end) in (0..).zip(ends) {
            let offset = rdkafka::Offset::Offset(*end);
            assignment.add_partition_offset(&scene.name(self.output), partition, offset)?;
        }
        reader.assign(&assignment)?;
        Ok(reader)
    }
}

/// Where the committed output ended at a moment.
struct Stood {
    ends: Vec<i64>,
    at: Instant,
}

/// Input that comes all the while, of keys that are known.
struct Trickle {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Result<()>>,
}

impl Trickle {
    fn start(keeper: Keeper, scene: &Scene, keys: u64) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        let feeder = scene.producer()?;
        let topic = scene.name(keeper.input);
        let thread = std::thread::spawn(move || {
            let begun = Instant::now();
            let mut sent = 0;
            while !flag.load(Ordering::SeqCst) {
                while begun + feed::due(sent, TRICKLE) <= Instant::now() {
                    keeper.send(&feeder, &topic, sent * 7_919 % keys)?;
                    sent += 1;
                }
                feeder.poll();
                std::thread::sleep(Duration::from_millis(1));
            }
            feeder.flush()
        });
        Ok(Self { stop, thread })
    }

    fn stop(self) -> Result<()> {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().ok().context("the trickle panicked")?
    }
}
