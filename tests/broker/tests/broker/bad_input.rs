//! What nobody can read: each is refused at the door with a reason or put aside with one, and nothing stops.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use prunella_broker_tests::feed::{Feed, service};
use prunella_broker_tests::http::{Message, request};
use prunella_broker_tests::pipeline::{PATIENCE, Pipeline, Setup};
use prunella_broker_tests::tally::Tally;
use prunella_broker_tests::target::Target;
use prunella_schemas::{
    Action, ActionResult, AvroRecord, Control, Decision, KnowledgeRecord, NormalizedAlert, Switch,
    encode,
};
use prunella_test_servers::{CommittedRecord, KafkaCluster, Load, Turn, read_committed};
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};

const JSON: &str = "application/json";

/// The pipeline, and a good alert after each bad thing.
struct World {
    pipeline: Pipeline,
    tally: Tally,
    producer: BaseProducer<Undelivered>,
    alerts: usize,
    _services: Vec<prunella_broker_tests::pipeline::Service>,
}

/// Keeps what the broker said of the last record that it refused.
#[derive(Default)]
struct Undelivered(std::sync::Mutex<Option<RDKafkaErrorCode>>);

impl rdkafka::ClientContext for Undelivered {}

impl ProducerContext for Undelivered {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, _opaque: ()) {
        if let Err((error, _)) = result {
            *self.0.lock().unwrap() = error.rdkafka_error_code();
        }
    }
}

impl World {
    fn start(name: &'static str, target: &Target) -> Self {
        let bootstrap = KafkaCluster::shared().unwrap();
        let pipeline = Pipeline::install(bootstrap, Setup::new(name, &target.url())).unwrap();
        let services = pipeline.start_all().unwrap();
        let producer = ClientConfig::new()
            .set("bootstrap.servers", bootstrap)
            .set("message.max.bytes", "100000000")
            .create_with_context(Undelivered::default())
            .unwrap();
        Self {
            tally: Tally::start(&pipeline).unwrap(),
            pipeline,
            producer,
            alerts: 0,
            _services: services,
        }
    }

    /// A good alert goes all the way: decided, its playbook run, its run ended.
    fn a_good_alert_comes_through(&mut self, after: &str) {
        self.alerts += 1;
        let feed = Feed {
            first: self.alerts,
            alerts: 1,
            one_in: 1,
            per_second: 0,
        };
        feed.run_all(&self.pipeline).unwrap();
        let service = service(self.alerts);
        let give_up = Instant::now() + PATIENCE;
        while !self.tally.look(|counts| counts.ended.contains(&service)) {
            assert!(
                Instant::now() < give_up,
                "nothing comes through after {after}"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn post(&self, path: &str, content_type: &str, body: &[u8]) -> Message {
        let line = format!("POST {path}");
        request(
            &self.pipeline.gateway(),
            &line,
            &[("content-type", content_type)],
            body,
        )
        .unwrap()
    }

    /// Produces straight to a topic; the broker's error, if it refuses.
    fn produce(
        &self,
        topic: &str,
        key: &str,
        headers: &[(&str, &str)],
        value: &[u8],
    ) -> Result<(), RDKafkaErrorCode> {
        let topic = self.pipeline.topic(topic);
        let headers = headers
            .iter()
            .fold(OwnedHeaders::new(), |headers, (key, value)| {
                headers.insert(Header {
                    key,
                    value: Some(*value),
                })
            });
        let record = BaseRecord::to(&topic)
            .key(key)
            .headers(headers)
            .payload(value);
        let refused = || self.producer.context().0.lock().unwrap().take();
        match self.producer.send(record) {
            Err((KafkaError::MessageProduction(code), _)) => return Err(code),
            sent => sent.map_err(|(error, _)| error).unwrap(),
        }
        self.producer.flush(PATIENCE).unwrap();
        refused().map_or(Ok(()), Err)
    }

    fn dead(&self, topic: &str) -> Vec<CommittedRecord> {
        let topic = self.pipeline.topic(&format!("{topic}.dlq"));
        read_committed(&self.pipeline.bootstrap, &topic, PATIENCE).unwrap()
    }
}

fn header(record: &CommittedRecord, name: &str) -> String {
    let value = record.headers.iter().find(|(found, _)| found == name);
    let value = value.and_then(|(_, value)| value.clone());
    String::from_utf8(value.unwrap_or_else(|| panic!("no header {name} in {record:?}"))).unwrap()
}

fn encoded<T: AvroRecord>(record: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(record, &mut bytes).unwrap();
    bytes
}

/// A generic alert with this in its labels.
fn labelled(labels: &str) -> Vec<u8> {
    format!(r#"{{"alert_name": "Bad", "service": "bad", "labels": {{{labels}}}}}"#).into_bytes()
}

fn many_labels() -> Vec<u8> {
    let labels: Vec<String> = (0..10_000)
        .map(|number| format!(r#""l{number}": "v""#))
        .collect();
    labelled(&labels.join(","))
}

/// Payloads that can never be read, with the class of the reason. The first two words name the case.
fn unreadable() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    vec![
        ("no bytes", Vec::new(), "empty"),
        (
            "invalid UTF-8",
            b"{\"alert_name\": \"\xc3\x28\"}".to_vec(),
            "invalid_utf8",
        ),
        (
            "depth 100,000",
            "[".repeat(100_000).into_bytes(),
            "too_deep",
        ),
        (
            "a NUL",
            b"{\"alert_name\": \"a\0b\"}".to_vec(),
            "malformed_json",
        ),
        ("an escaped NUL", labelled(r#""x": "a\u0000b""#), "nul"),
        ("1e999", labelled(r#""x": 1e999"#), "number_out_of_range"),
        (
            "duplicate keys",
            labelled(r#""x": "1", "x": "2""#),
            "duplicate_key",
        ),
        (
            "half a payload",
            b"{\"alert_name\": \"Ba".to_vec(),
            "truncated_json",
        ),
    ]
}

#[test]
fn what_the_gateway_cannot_take_it_refuses_and_goes_on() {
    let _turn = Turn::take(Load::Middle);
    let target = Target::start(Duration::ZERO).unwrap();
    let mut world = World::start("bad-gateway", &target);
    let path = "/v1/alerts/generic";
    for (case, payload, class) in unreadable() {
        let answer = world.post(path, JSON, &payload);
        assert_eq!(answer.status(), 400, "{case}: {answer:?}");
        assert_eq!(
            answer.headers["content-type"], "application/problem+json",
            "{case}"
        );
        assert!(answer.text().contains(class), "{case}: {}", answer.text());
        world.a_good_alert_comes_through(case);
    }
    let answer = world.post(path, "text/plain", b"{\"alert_name\": \"Bad\"}");
    assert_eq!(answer.status(), 415, "{answer:?}");
    world.a_good_alert_comes_through("a wrong content type");
    assert_eq!(too_long(&world.pipeline.gateway()), 413);
    world.a_good_alert_comes_through("64 MiB");
    // Whether an alert may have so many labels is for the normalizer to say.
    let answer = world.post(path, JSON, &many_labels());
    assert_eq!(answer.status(), 202, "{answer:?}");
    world.a_good_alert_comes_through("10,000 labels");
    let dead = world.dead("raw-alerts");
    assert_eq!(dead.len(), 1, "{dead:?}");
    assert_eq!(header(&dead[0], "prunella.error.class"), "too_many_labels");
}

/// Announces 64 MiB and sends none of them: the answer must come all the same.
fn too_long(gateway: &str) -> u16 {
    let mut stream = TcpStream::connect(gateway).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = 64 << 20;
    write!(
        stream,
        "POST /v1/alerts/generic HTTP/1.1\r\nhost: {gateway}\r\ncontent-type: {JSON}\r\ncontent-length: {length}\r\n\r\n"
    )
    .unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    String::from_utf8_lossy(&answer)[9..].parse().unwrap()
}

#[test]
fn what_comes_straight_to_raw_alerts_is_put_aside_with_its_reason() {
    let _turn = Turn::take(Load::Middle);
    let target = Target::start(Duration::ZERO).unwrap();
    let mut world = World::start("bad-raw", &target);
    let mut expected = BTreeMap::new();
    let mut put =
        |world: &mut World, case: &str, headers: &[(&str, &str)], payload: Vec<u8>, class: &str| {
            let key = format!("generic/{case}");
            world
                .produce("raw-alerts", &key, headers, &payload)
                .unwrap();
            world.a_good_alert_comes_through(case);
            expected.insert(key, (class.to_owned(), payload));
        };
    for (case, payload, class) in unreadable() {
        put(&mut world, case, &[], payload, class);
    }
    put(
        &mut world,
        "10,000 labels",
        &[],
        many_labels(),
        "too_many_labels",
    );
    let text = [
        ("prunella.source", "generic"),
        ("content-type", "text/plain"),
    ];
    put(
        &mut world,
        "a wrong content type",
        &text,
        labelled(""),
        "content_type",
    );
    let refused = world.produce("raw-alerts", "generic/64 MiB", &[], &vec![b'['; 64 << 20]);
    assert_eq!(
        refused,
        Err(RDKafkaErrorCode::MessageSizeTooLarge),
        "the broker itself refuses 64 MiB"
    );
    world.a_good_alert_comes_through("64 MiB");

    let dead = world.dead("raw-alerts");
    assert_eq!(dead.len(), expected.len());
    for record in dead {
        let key = String::from_utf8(record.key.clone().unwrap()).unwrap();
        let (class, payload) = expected
            .remove(&key)
            .unwrap_or_else(|| panic!("twice, or not ours: {key}"));
        assert_eq!(header(&record, "prunella.error.class"), class, "{key}");
        assert!(
            header(&record, "prunella.error.detail").len() > 20,
            "{key}: {record:?}"
        );
        assert_eq!(
            header(&record, "prunella.error.stage"),
            "normalizer",
            "{key}"
        );
        assert_eq!(record.value.unwrap_or_default(), payload, "{key}");
    }
}

#[test]
fn records_that_are_none_of_ours_are_put_aside_by_every_stage() {
    let _turn = Turn::take(Load::Middle);
    let target = Target::start(Duration::ZERO).unwrap();
    let mut world = World::start("bad-avro", &target);
    // How many stages read it: each of them puts it aside, once.
    let whole = [
        ("normalized-alerts", encoded(&NormalizedAlert::default()), 1),
        ("decisions", encoded(&Decision::default()), 1),
        ("actions", encoded(&Action::default()), 1),
        ("results", encoded(&ActionResult::default()), 1),
        ("control", encoded(&Control::default()), 1),
        ("knowledge", encoded(&KnowledgeRecord::default()), 3),
        ("switches", encoded(&Switch::default()), 3),
    ];
    for (topic, whole, readers) in &whole {
        let truncated = &whole[..whole.len() - 1];
        // Confluent framing: a zero, and the id of a schema that no registry told us.
        let unknown = [&[0, 0, 0, 48, 57][..], &whole[10..]].concat();
        let other = [&[0xc3, 1, 1, 2, 3, 4, 5, 6, 7, 8][..], &whole[10..]].concat();
        let cases: [(&str, &[u8]); 5] = [
            ("truncated", truncated),
            ("unknown id", &unknown),
            ("unknown fingerprint", &other),
            ("json", b"{}"),
            ("no bytes", b""),
        ];
        for (case, value) in cases {
            world.produce(topic, case, &[], value).unwrap();
        }
        world.a_good_alert_comes_through(topic);
        let dead = world.dead(topic);
        assert_eq!(dead.len(), readers * cases.len(), "{topic}: {dead:?}");
        for (case, value) in cases {
            let of_case =
                |record: &&CommittedRecord| record.key.as_deref() == Some(case.as_bytes());
            let stages: BTreeSet<String> = dead
                .iter()
                .filter(of_case)
                .map(|record| header(record, "prunella.error.stage"))
                .collect();
            assert_eq!(stages.len(), *readers, "{topic}: {case}: {stages:?}");
            let record = dead.iter().find(of_case).unwrap();
            let class = header(record, "prunella.error.class");
            let detail = header(record, "prunella.error.detail");
            println!("{topic}, {case}: {class}: {detail}");
            assert!(
                !class.is_empty() && detail.len() > 10,
                "{topic}, {case}: {class}: {detail}"
            );
            assert_eq!(
                record.value.as_deref().unwrap_or_default(),
                value,
                "{topic}, {case}"
            );
        }
    }
}
