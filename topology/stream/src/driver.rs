//! The test driver: runs a whole topology over several partitions and processes, on a simulated broker, in
//! simulated time, with seeded faults, and ends in a calm phase in which everything must settle.
//!
//! The tasks are the real ones, and so is the order of a transaction: each process drives a
//! [`Transaction`](crate::transaction::Transaction) as the Kafka edge does. Simulated are the broker
//! (transactions, epochs, offsets, consumer groups), the processes and the world that effects act on.
//!
//! ```
//! use prunella_stream::driver::{Driver, Message, Settings, Topology};
//! # use prunella_stream::{Context, FromRecord, Processor, Record, Rejection, StageTask, io};
//! # struct Word<'a>(&'a [u8]);
//! # impl<'a> FromRecord<'a> for Word<'a> {
//! #     fn from_record(record: &Record<'a>) -> Result<Self, Rejection> {
//! #         Ok(Word(record.value.unwrap_or_default()))
//! #     }
//! # }
//! # struct Shout(Vec<u8>);
//! # io! {
//! #     struct ShoutIo;
//! #     enum ShoutInput<'a> {
//! #         Word(Word<'a>) = Keyed "words",
//! #     }
//! #     outputs {
//! #         Shout => "shouts", key |s, out| out.extend_from_slice(&s.0), value |s, out| out.extend_from_slice(&s.0);
//! #     }
//! # }
//! # struct Shouter;
//! # impl Processor for Shouter {
//! #     type Io = ShoutIo;
//! #     type State = ();
//! #     type Timer = i64;
//! #     const APP: &'static str = "shouter";
//! #     fn on_record(&self, _: &mut (), context: &mut Context<'_, Self>, input: ShoutInput<'_>) -> Result<(), Rejection> {
//! #         let ShoutInput::Word(word) = input;
//! #         context.forward(&Shout(word.0.to_ascii_uppercase()));
//! #         Ok(())
//! #     }
//! # }
//! let topology = Topology::new().stage(4, |partition| Box::new(StageTask::new(Shouter, partition)));
//! // Duplicated input is not this stage's to remove.
//! let mut settings = Settings::seeded(7);
//! settings.faults = settings.faults.without(prunella_stream::driver::Fault::Duplicate);
//! let mut driver = Driver::new(settings, topology, ())?;
//! for word in ["some", "words"] {
//!     driver.put("words", Message::new(word, word));
//!     driver.run(50)?;
//! }
//! driver.calm()?;
//! assert_eq!(driver.committed("shouts").len(), 2);
//! # Ok::<(), prunella_stream::driver::Failure>(())
//! ```
//!
//! What a run goes through: every stage has one to [`Settings::processes`] processes, each with one stream thread
//! that owns some of the stage's partitions. [`Driver::run`] takes steps with faults, [`Driver::calm`] ends all of
//! them and steps until nothing is left to do. Then the test compares what lies on the topics
//! ([`Driver::committed`]) and in its world ([`Driver::world`]) with an oracle's expectation, worked out from what
//! lies on the input topics: with [`Fault::Duplicate`] that is more than was put. To see a
//! seed's failure again, use [`Settings::seeded`], [`Settings::journal`] and [`Driver::journal`].
//!
//! An effect acts on the [`World`] that the test gives at most once for each attempt that is begun: never before its
//! claim has committed, never after its deadline, and perhaps although its process is dead. What keeps two attempts
//! from doing it twice is the stage's business.

mod broker;
mod commands;
mod failure;
mod faults;
mod group;
mod instance;
mod log;
mod partitioner;
mod random;
mod restore;
mod schedule;
mod topology;
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;

use self::broker::{Broker, TopicId};
use self::instance::Instance;
use self::topology::Stage;
use self::world::Flight;
use crate::record::Millis;
use crate::transaction::Guarantee;

pub use failure::{Cause, Failure};
pub use faults::{Fault, Faults, Plant, Tally};
pub use log::{Message, Stored};
pub use partitioner::partition_of;
pub use random::Random;
pub use topology::Topology;
pub use world::{Act, World};

/// How a run goes. Equal settings, topology and inputs give equal runs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Seed of everything random.
    pub seed: u64,
    /// Classes of fault that are switched on.
    pub faults: Faults,
    /// What a commit promises.
    pub guarantee: Guarantee,
    /// Simulated time at the start.
    pub start: Millis,
    /// Processes of each stage: at most so many when any fault is on, exactly so many otherwise.
    pub processes: usize,
    /// How far beyond its beginning a calm phase waits for timers. A stage with a periodic timer takes steps for
    /// every period of it: choose the horizon short, or allow more steps.
    pub horizon: Millis,
    /// Steps within which a calm phase must settle.
    pub calm_steps: usize,
    /// A planted bug.
    pub plant: Option<Plant>,
    /// Whether events are noted for [`Driver::journal`].
    pub journal: bool,
}

impl Settings {
    /// A run whose classes of fault the seed chooses.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self {
            faults: Faults::chosen(seed),
            ..Self::faultless(seed)
        }
    }

    /// A run in which nothing goes wrong: the seed decides only whose turn it is.
    #[must_use]
    pub fn faultless(seed: u64) -> Self {
        Self {
            seed,
            faults: Faults::none(),
            guarantee: Guarantee::ExactlyOnce,
            start: 1_700_000_000_000,
            processes: 3,
            horizon: 3_600_000,
            calm_steps: 50_000,
            plant: None,
            journal: false,
        }
    }
}

/// A topology that runs.
pub struct Driver<W: World> {
    /// The world that effects act on.
    pub world: W,
    settings: Settings,
    calm: bool,
    now: Millis,
    random: Random,
    broker: Broker,
    stages: Vec<Stage>,
    instances: Vec<Instance>,
    flights: Vec<Flight>,
    /// Source partitions that give nothing until then.
    slow: BTreeMap<(TopicId, i32), Millis>,
    /// Records to be put, by time and order.
    scheduled: BTreeMap<(Millis, usize), (TopicId, Message)>,
    tally: Tally,
    journal: Vec<String>,
}

impl<W: World> Driver<W> {
    /// Starts every process. Nothing runs before [`Driver::run`] or [`Driver::calm`].
    ///
    /// # Errors
    /// If the topology cannot run: partition counts that disagree, two stages of one name.
    pub fn new(settings: Settings, topology: Topology, world: W) -> Result<Self, Failure> {
        let mut driver = Self {
            world,
            calm: false,
            now: settings.start,
            random: Random::new(settings.seed),
            settings,
            broker: Broker::default(),
            stages: Vec::new(),
            instances: Vec::new(),
            flights: Vec::new(),
            slow: BTreeMap::new(),
            scheduled: BTreeMap::new(),
            tally: Tally::default(),
            journal: Vec::new(),
        };
        let built = topology.build(&mut driver.broker);
        driver.stages = built.map_err(|cause| driver.failure(cause))?;
        for stage in 0..driver.stages.len() {
            driver.start_processes(stage);
        }
        Ok(driver)
    }

    /// Puts a record on a topic; twice, if the fault strikes. A topic that nobody declared is created with one
    /// partition. Returns partition and offset.
    pub fn put(&mut self, topic: &str, message: Message) -> (i32, i64) {
        let topic = self.topic_or_new(topic);
        self.put_now(topic, message)
    }

    /// Puts a record on a topic once simulated time has come that far; a calm phase waits for it if it lies
    /// before its horizon.
    pub fn put_at(&mut self, at: Millis, topic: &str, message: Message) {
        let topic = self.topic_or_new(topic);
        let order = self.scheduled.len();
        let last = self.scheduled.range((at, 0)..=(at, usize::MAX)).next_back();
        let order = last.map_or(order, |(key, _)| key.1 + 1);
        self.scheduled.insert((at, order), (topic, message));
    }

    /// Takes that many steps, with faults. A step lets one process do one thing: open a transaction, process one
    /// record, do one command of the transaction machine, restore a piece.
    ///
    /// # Errors
    /// If a task cannot read its changelog.
    pub fn run(&mut self, steps: usize) -> Result<(), Failure> {
        self.calm = false;
        for _ in 0..steps {
            self.faulty_step()?;
        }
        Ok(())
    }

    /// Ends every fault and steps until nothing is left to do: every record processed and committed, every
    /// effect closed, no timer due before the horizon. Returns the steps it took.
    ///
    /// # Errors
    /// If it does not settle within the steps allowed, or settles with effects open.
    pub fn calm(&mut self) -> Result<usize, Failure> {
        self.calm = true;
        self.end_faults();
        self.settle_down()
    }

    /// Lets that much simulated time pass in which nothing happens; effects and timers are late then.
    pub fn advance(&mut self, by: Millis) {
        self.now += by;
    }

    /// Simulated time.
    #[must_use]
    pub fn now(&self) -> Millis {
        self.now
    }

    /// What a reader of committed records sees of a topic, by partition and offset. Dead letters lie on
    /// `<topic>.dlq`, changelogs on `<app>-changelog`. Nothing if there is no such topic.
    #[must_use]
    pub fn committed(&self, topic: &str) -> Vec<Arc<Stored>> {
        let topic = self.broker.topic(topic);
        topic.map_or_else(Vec::new, |topic| self.broker.committed(topic))
    }

    /// Number of effects that are open in the tasks now alive.
    #[must_use]
    pub fn open_effects(&self) -> usize {
        let tasks = self.instances.iter().flat_map(|state| state.tasks.values());
        tasks.map(|assigned| assigned.task.open_effects()).sum()
    }

    /// What happened so far, counted.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// What happened so far, one line each, if [`Settings::journal`] is on.
    #[must_use]
    pub fn journal(&self) -> &[String] {
        &self.journal
    }

    /// The settings of the run.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    fn start_processes(&mut self, stage: usize) {
        let most = self.settings.processes.max(1);
        let count = if self.settings.faults == Faults::none() {
            most
        } else {
            1 + self.random.below(most)
        };
        for _ in 0..count {
            let skewed = self.settings.faults.contains(Fault::Skew);
            let lag = self.random.between(0, if skewed { 200 } else { 0 });
            let instance = self.instances.len();
            let state = Instance::new(stage, self.settings.guarantee, lag);
            self.instances.push(state);
            self.broker.add_producer();
            self.stages[stage].group.join(instance, self.now);
        }
    }

    fn topic_or_new(&mut self, name: &str) -> TopicId {
        let topic = self.broker.topic(name);
        topic.unwrap_or_else(|| self.broker.create(name, 1))
    }

    fn put_now(&mut self, topic: TopicId, message: Message) -> (i32, i64) {
        if self.fault(Fault::Duplicate) && self.random.one_in(6) {
            self.tally.duplicates += 1;
            self.broker.put(topic, None, message.clone(), self.now);
        }
        self.broker.put(topic, None, message, self.now)
    }

    /// True if a class of fault may strike now.
    fn fault(&self, fault: Fault) -> bool {
        !self.calm && self.settings.faults.contains(fault)
    }

    fn failure(&self, cause: Cause) -> Failure {
        Failure {
            seed: self.settings.seed,
            faults: self.settings.faults,
            at: self.now,
            cause,
        }
    }

    fn note(&mut self, event: impl FnOnce() -> String) {
        if self.settings.journal {
            let at = self.now - self.settings.start;
            self.journal.push(format!("{at:>8} {}", event()));
        }
    }
}
