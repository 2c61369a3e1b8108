//! Kills of the services, one after another, while alerts go in, and what each of them hit.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use prunella_stream::transaction::Guarantee;
use prunella_test_servers::KafkaCluster;
use prunella_topology::topics::{ACTIONS, DECISIONS, NORMALIZED_ALERTS, RAW_ALERTS, changelog};

use crate::facts::Facts;
use crate::feed::Feed;
use crate::pipeline::{Pipeline, STAGES, Service};
use crate::tally::Tally;
use crate::target::Target;
use crate::transactions::{Owners, Transactions, Undecided};

/// Longest wait for something to hit.
const LOOK: Duration = Duration::from_secs(10);
/// How often the group is asked who owns what.
const ASK_AGAIN: Duration = Duration::from_millis(300);
/// After a kill, what was on its way to the brokers arrives.
const ARRIVE: Duration = Duration::from_millis(150);
/// Longer than an instance that is alive and at work leaves a transaction open.
const ALIVE: Duration = Duration::from_millis(400);

/// What is done to the pipeline.
#[derive(Clone, Debug)]
pub struct Chaos {
    /// How many alerts, in all.
    pub alerts: usize,
    /// One in so many triggers the playbook.
    pub one_in: usize,
    /// Alerts a second while they go in.
    pub per_second: usize,
    /// Kills, in their order.
    pub kills: Vec<Kill>,
    /// Longest that everything may take to settle at the end.
    pub settle: Duration,
}

/// One kill -9.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kill {
    /// The service that is hit.
    pub app: &'static str,
    /// What follows.
    pub then: Then,
}

/// What follows a kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// It is started again, under its own name.
    Restart,
    /// A second instance, which shared the work before, takes over the rest.
    Takeover,
}

/// What a kill hit.
#[derive(Clone, Debug)]
pub struct Hit {
    /// The kill.
    pub kill: Kill,
    /// The instance.
    pub instance: String,
    /// Partitions of its changelog with an open transaction of the killed instance, and undecided records there.
    pub undecided: BTreeMap<i32, i64>,
    /// Its open claims.
    pub claims: usize,
}

impl Hit {
    /// True if it hit an open transaction or an open claim.
    #[must_use]
    pub fn is_hit(&self) -> bool {
        !self.undecided.is_empty() || self.claims > 0
    }
}

impl fmt::Display for Hit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let then = match self.kill.then {
            Then::Restart => "started again",
            Then::Takeover => "taken over",
        };
        write!(formatter, "{} killed with -9, {then}:", self.instance)?;
        if !self.is_hit() {
            return write!(formatter, " nothing open");
        }
        if !self.undecided.is_empty() {
            let records: i64 = self.undecided.values().sum();
            let partitions: Vec<i32> = self.undecided.keys().copied().collect();
            write!(
                formatter,
                " an open transaction ({records} undecided records in partitions {partitions:?})"
            )?;
        }
        if self.claims > 0 {
            write!(formatter, " {} open claims", self.claims)?;
        }
        Ok(())
    }
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// The kills.
    pub hits: Vec<Hit>,
    /// What is wrong.
    pub faults: Vec<String>,
    /// Figures for people.
    pub figures: String,
}

impl Outcome {
    /// How many kills hit an open transaction or an open claim.
    #[must_use]
    pub fn hits(&self) -> usize {
        self.hits.iter().filter(|hit| hit.is_hit()).count()
    }

    /// How many kills this service took.
    #[must_use]
    pub fn kills_of(&self, app: &str) -> usize {
        self.hits.iter().filter(|hit| hit.kill.app == app).count()
    }
}

/// A pipeline under chaos.
struct Run<'a> {
    pipeline: &'a Pipeline,
    transactions: Transactions,
    owners: BTreeMap<&'static str, Owners>,
    tally: Tally,
    services: BTreeMap<&'static str, Service>,
    /// How many instances of each service there have been.
    names: BTreeMap<&'static str, usize>,
}

/// Runs the pipeline under chaos. With a cluster, each of its brokers is restarted once meanwhile.
///
/// # Errors
/// What keeps the test itself from going on; what the pipeline does wrong is in the outcome.
pub fn run(
    pipeline: &Pipeline,
    target: &Target,
    chaos: &Chaos,
    cluster: Option<&KafkaCluster>,
) -> Result<Outcome> {
    let services = pipeline.start_all()?;
    let mut run = Run {
        pipeline,
        transactions: Transactions::new(&pipeline.bootstrap)?,
        owners: owners(pipeline)?,
        tally: Tally::start(pipeline)?,
        services: services
            .into_iter()
            .map(|service| (service.app, service))
            .collect(),
        names: BTreeMap::new(),
    };
    let feed = Feed {
        first: 1,
        alerts: chaos.alerts,
        one_in: chaos.one_in,
        per_second: chaos.per_second,
    };
    let begun = Instant::now();
    let hits = std::thread::scope(|scope| {
        let brokers = cluster.map(|cluster| scope.spawn(move || restart_brokers(cluster)));
        let feeding = feed.start(pipeline);
        let mut hits = Vec::new();
        for (number, kill) in chaos.kills.iter().enumerate() {
            // Evenly, each in the middle of its share.
            let share = |number: usize| chaos.alerts * number / chaos.kills.len();
            feeding.allow(share(number + 1));
            feeding.wait_for(share(number) + chaos.per_second / 4);
            let hit = run
                .kill(*kill)
                .with_context(|| format!("kill {}", number + 1))?;
            println!(
                "{:6.1} s  kill {:2}: {hit}",
                begun.elapsed().as_secs_f64(),
                number + 1
            );
            hits.push(hit);
        }
        feeding.allow(chaos.alerts);
        feeding.finish()?;
        if let Some(brokers) = brokers {
            brokers
                .join()
                .map_err(|_| anyhow::anyhow!("restarting the brokers panicked"))??;
        }
        anyhow::Ok(hits)
    })?;
    println!("{:6.1} s  all alerts are in", begun.elapsed().as_secs_f64());
    let acts: BTreeSet<String> = feed.acts().collect();
    let unsettled = run.settle(chaos, &acts);
    println!("{:6.1} s  settled", begun.elapsed().as_secs_f64());
    let facts = Facts::gather(pipeline)?;
    let mut faults = facts.faults(&feed.services().collect(), &acts, &target.keys());
    faults.extend(unsettled);
    for service in run.services.values_mut() {
        if let Some(status) = service.process.status()? {
            faults.push(format!("{} ended with {status}", service.instance));
        }
    }
    Ok(Outcome {
        figures: figures(&facts, target, begun.elapsed()),
        hits,
        faults,
    })
}

/// What each stage reads tells who owns it.
fn owners(pipeline: &Pipeline) -> Result<BTreeMap<&'static str, Owners>> {
    let sources = [RAW_ALERTS, NORMALIZED_ALERTS, DECISIONS, ACTIONS];
    let owners = STAGES.into_iter().zip(sources).map(|(app, source)| {
        let (group, topic) = (pipeline.topic(app), pipeline.topic(source));
        let owners = Owners::new(
            &pipeline.bootstrap,
            &group,
            &topic,
            pipeline.setup.partitions,
        )?;
        Ok((app, owners))
    });
    owners.collect()
}

fn figures(facts: &Facts, target: &Target, took: Duration) -> String {
    let results = &facts.results;
    format!(
        "{} alerts in {} s, {} decisions, {} runs, {} actions, {} results ({} probed, {} claimed more than once), \
         {} requests with a key under {} keys, {} probes",
        facts.alerts.len(),
        took.as_secs(),
        facts.decisions.len(),
        facts.runs.iter().filter(|run| run.finished_at > 0).count(),
        facts.actions.len(),
        results.len(),
        results.iter().filter(|result| result.probed).count(),
        results
            .iter()
            .filter(|result| result.claim_attempt > 1)
            .count(),
        target.posts(),
        target.keys().len(),
        target.probes(),
    )
}

/// Each broker once, the second with -9.
fn restart_brokers(cluster: &KafkaCluster) -> Result<()> {
    for node in 1..=cluster.size() {
        std::thread::sleep(Duration::from_secs(5));
        let how = if node == 2 {
            cluster.kill(node)?;
            "killed with -9"
        } else {
            cluster.stop(node)?;
            "stopped"
        };
        std::thread::sleep(Duration::from_secs(3));
        cluster.restart(node)?;
        cluster.wait_in_sync()?;
        println!("          broker {node} was {how}, started again, and is in sync");
    }
    Ok(())
}

impl Run<'_> {
    fn kill(&mut self, kill: Kill) -> Result<Hit> {
        let mut victim = self.services.remove(kill.app).context("no such service")?;
        victim.wait_ready()?;
        let second = match kill.then {
            Then::Restart => None,
            Then::Takeover => {
                let mut second = self.next_instance(kill.app)?;
                second.wait_ready()?;
                Some(second)
            }
        };
        self.await_work(kill.app, &victim.instance);
        victim.process.kill9()?;
        std::thread::sleep(ARRIVE);
        let hit = self.look(kill, &victim.instance);
        let next = match second {
            Some(second) => second,
            None => self.pipeline.start(kill.app, &victim.instance)?,
        };
        self.services.insert(kill.app, next);
        Ok(hit)
    }

    /// A further instance of a service.
    fn next_instance(&mut self, app: &'static str) -> Result<Service> {
        let number = self.names.entry(app).or_default();
        *number += 1;
        self.pipeline.start(app, &format!("{app}-b{number}"))
    }

    /// Waits until the instance is in the middle of something; not for ever, the kill may hit nothing.
    fn await_work(&self, app: &'static str, instance: &str) {
        let give_up = Instant::now() + LOOK;
        let before = self.tally.look(|counts| counts.records);
        let (mut owned, mut asked) = (BTreeSet::new(), None::<Instant>);
        while Instant::now() < give_up && app != "gateway" {
            if asked.is_none_or(|asked| asked.elapsed() > ASK_AGAIN) {
                owned = self.owned(app, instance);
                asked = Some(Instant::now());
            }
            let at_work = match self.pipeline.setup.guarantee {
                Guarantee::ExactlyOnce if app == "executor" => self.claims(&owned) > 0,
                Guarantee::ExactlyOnce => self
                    .undecided(app, &owned)
                    .is_some_and(|open| !open.is_empty()),
                Guarantee::AtLeastOnce => self.tally.look(|counts| counts.records) > before,
            };
            if at_work {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn claims(&self, owned: &BTreeSet<i32>) -> usize {
        self.tally
            .look(|counts| counts.claims(|partition| owned.contains(&partition)))
    }

    /// What is undecided where the state of these tasks lies; nothing if a broker is away that would have to say
    /// so.
    fn undecided(&self, app: &str, owned: &BTreeSet<i32>) -> Option<BTreeMap<i32, Undecided>> {
        let name = changelog(app);
        let partitions = self.pipeline.partitions(&name);
        let topic = self.pipeline.topic(&name);
        let mut undecided = self.transactions.undecided(&topic, partitions).ok()?;
        undecided.retain(|partition, _| owned.iter().any(|task| task % partitions == *partition));
        Some(undecided)
    }

    /// What is undecided and stays so for longer than anyone alive takes to commit: another instance may have
    /// state in the same partition.
    fn left_open(&self, app: &str, owned: &BTreeSet<i32>) -> Option<BTreeMap<i32, i64>> {
        let first = self.undecided(app, owned)?;
        if first.is_empty() {
            return Some(BTreeMap::new());
        }
        std::thread::sleep(ALIVE);
        let second = self.undecided(app, owned)?;
        let stuck = first.iter().filter(|(partition, open)| {
            let later = second.get(partition);
            later.is_some_and(|later| later.from == open.from)
        });
        Some(
            stuck
                .map(|(partition, open)| (*partition, open.records))
                .collect(),
        )
    }

    /// What of the killed instance's is open now. What it left open stays so until it is fenced or times out.
    fn look(&self, kill: Kill, instance: &str) -> Hit {
        let mut hit = Hit {
            kill,
            instance: instance.to_owned(),
            undecided: BTreeMap::new(),
            claims: 0,
        };
        let give_up = Instant::now() + LOOK;
        while STAGES.contains(&kill.app) && Instant::now() < give_up {
            let owned = self.owned(kill.app, instance);
            if kill.app == "executor" {
                hit.claims = self.claims(&owned);
            }
            if let Some(undecided) = self.left_open(kill.app, &owned) {
                hit.undecided = undecided;
                break;
            }
        }
        hit
    }

    fn owned(&self, app: &str, instance: &str) -> BTreeSet<i32> {
        self.owners
            .get(app)
            .map(|owners| owners.of(instance))
            .unwrap_or_default()
    }

    /// Waits until every alert is decided, every run has ended, and nothing is open; says what is not.
    fn settle(&self, chaos: &Chaos, acts: &BTreeSet<String>) -> Option<String> {
        let give_up = Instant::now() + chaos.settle;
        let (mut quiet, mut records, mut said) = (0, 0, Instant::now());
        loop {
            let counts = self.tally.counts();
            let done = counts.decided.len() == chaos.alerts
                && counts.ended == *acts
                && counts.nothing_open();
            // Whatever is doubled comes after it, if it comes.
            quiet = if done && counts.records == records {
                quiet + 1
            } else {
                0
            };
            records = counts.records;
            if quiet == 3 {
                return None;
            }
            let standing = format!(
                "{} of {} alerts decided, {} of {} runs ended, {} actions and {} runs open",
                counts.decided.len(),
                chaos.alerts,
                counts.ended.len(),
                acts.len(),
                counts.actions.len(),
                counts.runs.len(),
            );
            if Instant::now() > give_up {
                return Some(format!("not settled: {standing}"));
            }
            if said.elapsed() > Duration::from_secs(5) {
                said = Instant::now();
                println!("          {standing}");
            }
            std::thread::sleep(Duration::from_millis(300));
        }
    }
}
