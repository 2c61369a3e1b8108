//! Alerts in: half of them through the gateway as webhooks, half of them straight to Kafka.
//!
//! Each alert has a service of its own, `s17`, which identifies it to the end; every so many-th is named `Act`
//! and triggers the playbook.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use prunella_topology::topics::RAW_ALERTS;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use serde_json::{Value, json};

use crate::http::post_json;
use crate::pipeline::Pipeline;

/// Alerts of one webhook, and of one round to Kafka.
const GROUP: usize = 5;
/// Domains, so that every partition has work.
const DOMAINS: usize = 16;
/// Longest that one payload is tried again.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is fed.
#[derive(Clone, Copy, Debug)]
pub struct Feed {
    /// Number of the first alert.
    pub first: usize,
    /// How many.
    pub alerts: usize,
    /// Each alert whose number this divides is an `Act`.
    pub one_in: usize,
    /// How many a second; 0 for all at once.
    pub per_second: usize,
}

/// The name of an alert's service.
#[must_use]
pub fn service(number: usize) -> String {
    format!("s{number}")
}

impl Feed {
    /// The services whose alert is to trigger the playbook.
    pub fn acts(&self) -> impl Iterator<Item = String> {
        let one_in = self.one_in;
        (self.first..self.first + self.alerts)
            .filter(move |number| number % one_in == 0)
            .map(service)
    }

    fn name(&self, number: usize) -> &'static str {
        if number.is_multiple_of(self.one_in) {
            "Act"
        } else {
            "Noise"
        }
    }

    /// The services of all alerts.
    pub fn services(&self) -> impl Iterator<Item = String> {
        (self.first..self.first + self.alerts).map(service)
    }

    /// Feeds in a thread of its own, as far as it is allowed to.
    #[must_use]
    pub fn start(self, pipeline: &Pipeline) -> Feeding {
        let (gateway, bootstrap) = (pipeline.gateway(), pipeline.bootstrap.clone());
        let topic = pipeline.topic(RAW_ALERTS);
        let progress = Arc::new(Progress::default());
        let own = Arc::clone(&progress);
        let thread = std::thread::spawn(move || self.run(&gateway, &bootstrap, &topic, &own));
        Feeding { progress, thread }
    }

    /// Feeds everything now.
    ///
    /// # Errors
    /// An alert that nobody takes.
    pub fn run_all(self, pipeline: &Pipeline) -> Result<()> {
        let feeding = self.start(pipeline);
        feeding.allow(self.alerts);
        feeding.finish()
    }

    fn run(self, gateway: &str, bootstrap: &str, topic: &str, progress: &Progress) -> Result<()> {
        let producer = producer(bootstrap)?;
        let mut next = Instant::now();
        let numbers: Vec<usize> = (self.first..self.first + self.alerts).collect();
        for (round, group) in numbers.chunks(2 * GROUP).enumerate() {
            progress.fed.store(round * 2 * GROUP, Ordering::SeqCst);
            while round * 2 * GROUP >= progress.allowed.load(Ordering::SeqCst) {
                producer.poll(Duration::from_millis(20));
                next = Instant::now();
            }
            if self.per_second > 0 {
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
                next += Duration::from_secs_f64(2.0 * GROUP as f64 / self.per_second as f64);
            }
            let (webhook, straight) = group.split_at(GROUP.min(group.len()));
            post(gateway, &self.webhook(webhook))?;
            for number in straight {
                let value = self.event(*number).to_string();
                let key = format!("generic/{number}");
                let record = BaseRecord::to(topic).key(&key).payload(&value);
                producer.send(record).map_err(|(error, _)| error)?;
            }
            producer.poll(Duration::ZERO);
        }
        producer
            .flush(PATIENCE)
            .context("alerts straight to Kafka")?;
        Ok(())
    }

    /// An Alertmanager webhook.
    fn webhook(&self, numbers: &[usize]) -> Value {
        let alerts: Vec<Value> = numbers
            .iter()
            .map(|number| {
                json!({
                    "status": "firing",
                    "labels": {
                        "alertname": self.name(*number), "severity": "critical",
                        "service": service(*number), "cluster": domain(*number),
                    },
                    "annotations": {},
                    "startsAt": "2026-01-01T00:00:00Z",
                    "endsAt": "0001-01-01T00:00:00Z",
                    "fingerprint": format!("{number:016x}"),
                })
            })
            .collect();
        json!({
            "version": "4", "status": "firing", "receiver": "prunella", "groupKey": format!("g{}", numbers[0]),
            "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "truncatedAlerts": 0,
            "alerts": alerts,
        })
    }

    fn event(&self, number: usize) -> Value {
        json!({
            "alert_name": self.name(number), "service": service(number), "severity": "critical",
            "labels": {"cluster": domain(number)}, "timestamp": "2026-01-01T00:00:00Z",
        })
    }
}

#[derive(Default)]
struct Progress {
    allowed: AtomicUsize,
    fed: AtomicUsize,
}

/// Alerts on their way.
pub struct Feeding {
    progress: Arc<Progress>,
    thread: JoinHandle<Result<()>>,
}

impl Feeding {
    /// Lets it go on to this many alerts.
    pub fn allow(&self, alerts: usize) {
        self.progress.allowed.fetch_max(alerts, Ordering::SeqCst);
    }

    /// Waits until this many are in, or the feeding has ended.
    pub fn wait_for(&self, alerts: usize) {
        while self.progress.fed.load(Ordering::SeqCst) < alerts && !self.thread.is_finished() {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until all are in.
    ///
    /// # Errors
    /// An alert that nobody takes.
    pub fn finish(self) -> Result<()> {
        self.thread
            .join()
            .map_err(|_| anyhow!("the feeding thread panicked"))?
    }
}

fn domain(number: usize) -> String {
    format!("d{}", number % DOMAINS)
}

/// Posts a webhook until the gateway says that Kafka has it, as Alertmanager does: one whose answer was lost
/// comes twice.
fn post(gateway: &str, webhook: &Value) -> Result<()> {
    let body = webhook.to_string();
    let give_up = Instant::now() + PATIENCE;
    loop {
        let seen = match post_json(gateway, "/v1/alerts/alertmanager", body.as_bytes()) {
            Ok(answer) if answer.status() == 202 => return Ok(()),
            Ok(answer) => format!("{}: {}", answer.status(), answer.text()),
            Err(error) => error.to_string(),
        };
        if Instant::now() > give_up {
            bail!("the gateway does not take a webhook: {seen}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Notices what is not delivered: it would be missing in the count.
struct Deliveries;

impl rdkafka::ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, _opaque: ()) {
        if let Err((error, _)) = result {
            eprintln!("an alert was not delivered: {error}");
        }
    }
}

fn producer(bootstrap: &str) -> Result<BaseProducer<Deliveries>> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("partitioner", "murmur2_random")
        .set("enable.idempotence", "true")
        .set("linger.ms", "5");
    Ok(config.create_with_context(Deliveries)?)
}
