//! With a schema registry: Confluent framing between the stages, and nothing lost while the registry is away.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use prunella_broker_tests::feed::{Feed, service};
use prunella_broker_tests::pipeline::{PATIENCE, Pipeline, Service, Setup};
use prunella_broker_tests::registry::SchemaRegistry;
use prunella_broker_tests::target::Target;
use prunella_schemas::{AvroRecord, NormalizedAlert, Registry, decode_with, encode_confluent};
use prunella_test_servers::{CommittedRecord, KafkaCluster, Load, Turn, read_committed};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

/// Alerts that are fed first: one of each of the feed's domains.
const FIRST: usize = 16;
/// The id of a schema that no process of the pipeline has registered.
const OTHERS: u32 = 500;

struct World {
    registry: SchemaRegistry,
    target: Target,
    pipeline: Pipeline,
    services: Vec<Service>,
}

impl World {
    fn start() -> Self {
        let registry = SchemaRegistry::start().unwrap();
        let target = Target::start(Duration::ZERO).unwrap();
        let setup = Setup {
            schema_registry: Some(registry.url()),
            ..Setup::new("registry", &target.url())
        };
        let pipeline = Pipeline::install(KafkaCluster::shared().unwrap(), setup).unwrap();
        let services = pipeline.start_all().unwrap();
        Self {
            registry,
            target,
            pipeline,
            services,
        }
    }

    fn feed(&self, first: usize, alerts: usize) {
        let feed = Feed {
            first,
            alerts,
            one_in: 1,
            per_second: 0,
        };
        feed.run_all(&self.pipeline).unwrap();
    }

    /// Each alert's playbook calls the target once.
    fn wait_for_calls(&self, calls: usize) {
        let give_up = Instant::now() + PATIENCE;
        while self.target.posts() < calls {
            assert!(Instant::now() < give_up, "{} calls", self.target.posts());
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(self.target.posts(), calls);
    }

    fn records(&self, topic: &str) -> Vec<CommittedRecord> {
        read_committed(
            &self.pipeline.bootstrap,
            &self.pipeline.topic(topic),
            PATIENCE,
        )
        .unwrap()
    }

    /// Produces straight to a partition of `normalized-alerts`.
    fn produce(&self, partition: i32, value: &[u8]) {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", &self.pipeline.bootstrap)
            .create()
            .unwrap();
        let topic = self.pipeline.topic("normalized-alerts");
        let record = BaseRecord::to(&topic)
            .partition(partition)
            .key("d")
            .payload(value);
        producer.send(record).map_err(|(error, _)| error).unwrap();
        producer.flush(PATIENCE).unwrap();
    }
}

/// The id of a value in Confluent framing.
fn id_of(record: &CommittedRecord) -> u32 {
    let value = record.value.as_deref().unwrap();
    assert_eq!(value[0], 0, "{record:?}");
    u32::from_be_bytes(value[1..5].try_into().unwrap())
}

fn class_and_value(record: &CommittedRecord) -> (&str, &[u8]) {
    let mut headers = record.headers.iter();
    let class = headers.find(|(name, _)| name == "prunella.error.class");
    let class = class.and_then(|(_, class)| class.as_deref()).unwrap();
    let value = record.value.as_deref().unwrap();
    (std::str::from_utf8(class).unwrap(), value)
}

fn framed(alert: &NormalizedAlert, id: u32) -> Vec<u8> {
    let mut value = Vec::new();
    encode_confluent(alert, id, &mut value).unwrap();
    value
}

#[test]
fn stages_speak_confluent_framing_and_lose_nothing_while_the_registry_is_away() {
    let _turn = Turn::take(Load::Middle);
    let mut world = World::start();
    world.feed(0, FIRST);
    world.wait_for_calls(FIRST);
    for topic in [
        "normalized-alerts",
        "decisions",
        "actions",
        "results",
        "runs",
        "audit",
    ] {
        let id = world
            .registry
            .id(&format!("{}-value", world.pipeline.topic(topic)));
        let found: BTreeSet<_> = world
            .records(topic)
            .iter()
            .map(|it| Some(id_of(it)))
            .collect();
        assert_eq!(found, BTreeSet::from([id]), "{topic}");
    }

    let alerts = world.records("normalized-alerts");
    let mut schemas = Registry::new();
    schemas
        .learn(id_of(&alerts[0]), NormalizedAlert::schema().text())
        .unwrap();
    let alert: NormalizedAlert =
        decode_with(&schemas, alerts[0].value.as_deref().unwrap()).unwrap();
    let partition = alerts[0].partition;

    // An id that the registry does not have, and a damaged record of one that it has: put aside as they came.
    let nobodys = framed(&alert, 12_345);
    let mut damaged = framed(&alert, id_of(&alerts[0]));
    damaged.truncate(damaged.len() - 1);
    world.produce(partition, &nobodys);
    world.produce(partition, &damaged);
    world.feed(FIRST, FIRST);
    world.wait_for_calls(2 * FIRST);
    let dead = world.records("normalized-alerts.dlq");
    let dead: Vec<_> = dead.iter().map(class_and_value).collect();
    assert_eq!(
        dead,
        [("need_schema", &nobodys[..]), ("malformed", &damaged[..])]
    );

    // An id that it has, while it is away: the record waits, other partitions do not.
    let elsewhere = alerts
        .iter()
        .find(|other| other.partition != partition)
        .unwrap();
    let elsewhere: NormalizedAlert =
        decode_with(&schemas, elsewhere.value.as_deref().unwrap()).unwrap();
    let number = (0..FIRST)
        .find(|number| Some(service(*number)) == elsewhere.service_name)
        .unwrap();
    world
        .registry
        .keep(OTHERS, NormalizedAlert::schema().text());
    world.registry.set_away(true);
    let mut waiting = alert.clone();
    waiting.service_name = Some("waiting".to_owned());
    waiting.fingerprint = "waiting".to_owned();
    waiting.raw.offset += 1_000_000;
    world.produce(partition, &framed(&waiting, OTHERS));
    let decider = world
        .services
        .iter_mut()
        .find(|service| service.app == "decider")
        .unwrap();
    decider
        .wait_for("a record waits until it can be read")
        .unwrap();
    // The same domain, so the same partition, as before.
    world.feed(number + 2 * FIRST, 1);
    world.wait_for_calls(2 * FIRST + 1);
    let doctor = world.pipeline.command(["doctor"]).unwrap_err().to_string();
    assert!(
        doctor.contains("BAD  schema registry") && doctor.contains("start it"),
        "{doctor}"
    );

    world.registry.set_away(false);
    world.wait_for_calls(2 * FIRST + 2);
    assert_eq!(world.records("normalized-alerts.dlq").len(), 2);
    let doctor = world.pipeline.command(["doctor"]).unwrap();
    assert!(doctor.contains("ok   schema registry"), "{doctor}");
    let shown = world
        .pipeline
        .command(["tail", "normalized-alerts", "--from-beginning"])
        .unwrap();
    let readable = shown.matches(r#""schema":"normalized-alert""#).count();
    assert_eq!(readable, 2 * FIRST + 2, "{shown}");
}
