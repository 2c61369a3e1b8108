//! `prunella doctor`: what is wrong with the surroundings, and what to do.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use prunella_runtime::{LogContext, client_config, wall_millis};
use prunella_schema_registry::Client;
use prunella_topology::Change;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Message, Timestamp};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::json;

use crate::config::Config;
use crate::exit::{Exit, FOUND};
use crate::kafka::{self, ANSWER, reader};
use crate::output::{explain, say};
use crate::reach;

/// Look at the broker, its topics and its clock, and at the schema registry: what is wrong and what to do.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  prunella doctor
  prunella doctor --config prunella.toml --json
  PRUNELLA__KAFKA__BOOTSTRAP_SERVERS=kafka-1:9092 prunella doctor

Ends with 5 if something is wrong.")]
pub struct DoctorArguments {
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// One thing looked at.
struct Finding {
    what: &'static str,
    good: bool,
    saw: String,
}

/// A clock that differs more than this makes deadlines and staleness wrong.
const MAX_SKEW_MS: i64 = 2_000;

/// Runs the command.
///
/// # Errors
/// A setting that librdkafka refuses.
pub async fn run(config: &Config, arguments: &DoctorArguments) -> Result<Exit> {
    let mut findings = vec![broker(config)?];
    if findings[0].good {
        findings.push(topics(config).await);
        findings.push(clock(config));
    }
    if config.schema_registry.is_configured() {
        let config = config.clone();
        findings.push(tokio::task::spawn_blocking(move || schema_registry(&config)).await?);
    }
    let good = findings.iter().all(|finding| finding.good);
    if arguments.json {
        let findings: Vec<_> = findings
            .iter()
            .map(
                |finding| json!({ "what": finding.what, "good": finding.good, "saw": finding.saw }),
            )
            .collect();
        say!("{}", json!({ "good": good, "findings": findings }))?;
    } else {
        for finding in &findings {
            say!(
                "{} {}: {}",
                if finding.good { "ok  " } else { "BAD " },
                finding.what,
                finding.saw
            )?;
        }
    }
    Ok(if good { Exit::SUCCESS } else { FOUND })
}

fn broker(config: &Config) -> Result<Finding> {
    let consumer = reader(&config.kafka)?;
    let servers = &config.kafka.bootstrap_servers;
    let seen = reach::look(&config.kafka).and_then(|()| {
        consumer
            .fetch_metadata(None, ANSWER)
            .map_err(|error| reach::no_answer(&config.kafka, &error))
    });
    let (good, saw) = match seen {
        Ok(metadata) => (
            true,
            format!("{servers} answers, brokers: {}", metadata.brokers().len()),
        ),
        Err(error) => (false, error.to_string()),
    };
    Ok(Finding {
        what: "broker",
        good,
        saw,
    })
}

fn schema_registry(config: &Config) -> Finding {
    let subjects = Client::new(&config.schema_registry).and_then(|client| client.subjects());
    let (good, saw) = match subjects {
        Ok(subjects) => (
            true,
            format!(
                "{} answers, subjects: {subjects}",
                config.schema_registry.url
            ),
        ),
        Err(error) => (false, error.to_string()),
    };
    Finding {
        what: "schema registry",
        good,
        saw,
    }
}

async fn topics(config: &Config) -> Finding {
    let (good, saw) = match kafka::changes(&config.kafka, &config.topology).await {
        Ok(changes) => {
            let open: Vec<String> = changes
                .iter()
                .filter(|change| {
                    matches!(
                        change,
                        Change::Create(_)
                            | Change::AlterConfig { .. }
                            | Change::RefusePartitionCount { .. }
                    )
                })
                .map(ToString::to_string)
                .collect();
            match open.first() {
                None => (true, "every topic is as it is to be".to_owned()),
                Some(first) => (
                    false,
                    format!(
                        "{} differences, the first: {first}; `prunella topology topics` shows all, `--apply` mends what can be",
                        open.len()
                    ),
                ),
            }
        }
        Err(error) => (false, explain(&error)),
    };
    Finding {
        what: "topics",
        good,
        saw,
    }
}

/// The broker stamps a record that is aborted at once: nobody reads it, and its time tells the broker's clock.
fn clock(config: &Config) -> Finding {
    let (good, saw) = match skew(config) {
        Ok(Some(skew)) if skew.abs() <= MAX_SKEW_MS => {
            (true, format!("differs from the broker's by {skew} ms"))
        }
        Ok(Some(skew)) => (
            false,
            format!(
                "differs from the broker's by {skew} ms: deadlines and staleness go wrong; synchronise clocks (chrony, ntpd)"
            ),
        ),
        Ok(None) => (
            true,
            "no topic stamps records at the broker; not compared".to_owned(),
        ),
        Err(error) => (false, format!("cannot be compared: {}", explain(&error))),
    };
    Finding {
        what: "clock",
        good,
        saw,
    }
}

fn skew(config: &Config) -> Result<Option<i64>> {
    let topic = format!("{}prunella-doctor", config.kafka.prefix);
    let producer: BaseProducer<LogContext> = client_config(&config.kafka)
        .set("acks", "all")
        .set("message.timeout.ms", "10000")
        .create_with_context(LogContext)?;
    let consumer: BaseConsumer<LogContext> = reader(&config.kafka)?;
    if kafka::partitions(&config.kafka, &consumer, &topic)?.is_empty()
        && kafka::create_clock_topic(&config.kafka, &topic).is_err()
    {
        return Ok(None);
    }
    let (_, high) = consumer.fetch_watermarks(&topic, 0, ANSWER)?;
    let sent = wall_millis();
    producer
        .send(
            BaseRecord::<(), [u8]>::to(&topic)
                .partition(0)
                .payload(b"clock"),
        )
        .map_err(|(error, _)| error)?;
    producer.flush(ANSWER)?;
    let received = wall_millis();
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset(&topic, 0, Offset::Offset(high))?;
    consumer.assign(&assignment)?;
    for _ in 0..100 {
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            return Ok(match message.timestamp() {
                Timestamp::LogAppendTime(at) => Some(at - (sent + received) / 2),
                _ => None,
            });
        }
    }
    Ok(None)
}
