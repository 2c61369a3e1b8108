//! `prunella tail`: records as JSON lines.

use std::borrow::Cow;
use std::io::{BufWriter, Write};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use prunella_knowledge::{Condition, Variables};
use prunella_runtime::{Inbound, Wire};
use prunella_schema_registry::ConfluentFraming;
use prunella_schemas::decode_any;
use prunella_topology::TOPICS;
use prunella_topology::topics::DEAD_LETTERS;
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::{Map, Value, json};

use crate::config::Config;
use crate::kafka::{ANSWER, partitions, reader};
use crate::output::{Closed, closed, tell};
use crate::reach;

/// Print the records of a topic as JSON lines, Avro decoded.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  prunella tail decisions --from-beginning
  prunella tail results --follow --filter 'value.status != \"Succeeded\"'
  prunella tail raw-alerts.dlq --from-beginning --kafka 127.0.0.1:9092")]
pub struct TailArguments {
    /// Topic, without the installation's prefix.
    topic: String,
    /// Kafka to read, `host:port,...`; otherwise the configuration's.
    #[arg(long)]
    kafka: Option<String>,
    /// From the oldest record, not from now on.
    #[arg(long)]
    from_beginning: bool,
    /// Go on when the end is reached.
    #[arg(long, short)]
    follow: bool,
    /// Only records for which this CEL expression holds; it sees `key`, `value`, `headers`, `partition`, `offset`.
    #[arg(long)]
    filter: Option<String>,
}

/// Runs the command, until the end or until whoever reads its output has enough.
///
/// # Errors
/// A topic that is not there, a filter that cannot be, a cluster that does not answer.
pub fn run(config: &Config, arguments: &TailArguments) -> Result<()> {
    match read(config, arguments) {
        Err(error) if error.is::<Closed>() => Ok(()),
        ended => ended,
    }
}

fn read(config: &Config, arguments: &TailArguments) -> Result<()> {
    if !arguments.from_beginning && !arguments.follow {
        tell!(
            "what is there is printed with --from-beginning, what comes is waited for with --follow"
        );
    }
    let mut kafka = config.kafka.clone();
    if let Some(servers) = &arguments.kafka {
        kafka.bootstrap_servers.clone_from(servers);
    }
    let filter = arguments
        .filter
        .as_deref()
        .map(Condition::compile)
        .transpose()
        .context("--filter")?;
    let framing = ConfluentFraming::reading(&config.schema_registry)?;
    // A dead letter has the framing of the topic that it was read from.
    let framed = arguments.topic.trim_end_matches(DEAD_LETTERS);
    reach::look(&kafka)?;
    let consumer = reader(&kafka)?;
    let topic = config.topology.prefix.topic(&arguments.topic);
    let found = partitions(&kafka, &consumer, &topic)?;
    if found.is_empty() {
        bail!("{}", missing(&topic, &arguments.topic));
    }
    let mut assignment = TopicPartitionList::new();
    let mut unfinished = found.len();
    for partition in found {
        let (low, high) = consumer.fetch_watermarks(&topic, partition, ANSWER)?;
        let from = if arguments.from_beginning { low } else { high };
        assignment.add_partition_offset(&topic, partition, Offset::Offset(from))?;
    }
    consumer.assign(&assignment)?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut heard = Instant::now();
    while arguments.follow || unfinished > 0 {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                heard = Instant::now();
                let plain = plain(framing.as_ref(), framed, message.payload())?;
                let line = line_of(&message, plain.as_deref());
                if filter.as_ref().is_none_or(|filter| holds(filter, &line)) {
                    closed(writeln!(out, "{line}"))?;
                }
            }
            Some(Err(KafkaError::PartitionEOF(_))) => {
                unfinished = unfinished.saturating_sub(1);
                closed(out.flush())?;
            }
            Some(Err(error)) => tracing::debug!(%error, "reading"),
            None => closed(out.flush())?,
        }
        if !arguments.follow && heard.elapsed() > Duration::from_secs(30) {
            bail!("no answer from {} for 30 s", kafka.bootstrap_servers);
        }
    }
    closed(out.flush())
}

/// What to say of a topic that is not there: the one that was meant, or how to make it.
fn missing(topic: &str, asked: &str) -> String {
    let known = TOPICS.iter().map(|topic| topic.name);
    let nearest = known
        .map(|known| (strsim::damerau_levenshtein(asked, known), known))
        .min();
    let what_to_do = match nearest {
        Some((0, _)) => "`prunella topology topics --apply` makes the installation's topics".to_owned(),
        Some((distance, known)) if distance <= 3 => format!("did you mean `{known}`?"),
        _ => "`prunella topology graph` shows those of this installation; give the name without the prefix".to_owned(),
    };
    format!("there is no topic {topic}; {what_to_do}")
}

/// The value as stages read it. One that only the registry can explain is not shown without it.
fn plain<'a>(
    framing: Option<&ConfluentFraming>,
    topic: &str,
    payload: Option<&'a [u8]>,
) -> Result<Option<Cow<'a, [u8]>>> {
    let (Some(framing), Some(payload)) = (framing, payload) else {
        return Ok(payload.map(Cow::Borrowed));
    };
    let mut out = Vec::new();
    match framing.inbound(topic, payload, &mut out) {
        Inbound::AsItIs => Ok(Some(Cow::Borrowed(payload))),
        Inbound::Changed => Ok(Some(Cow::Owned(out))),
        Inbound::NotNow(reason) => bail!("{reason}"),
    }
}

fn line_of(message: &BorrowedMessage<'_>, payload: Option<&[u8]>) -> Value {
    let mut line = Map::new();
    line.insert("partition".to_owned(), json!(message.partition()));
    line.insert("offset".to_owned(), json!(message.offset()));
    line.insert(
        "timestamp".to_owned(),
        json!(message.timestamp().to_millis()),
    );
    line.insert("key".to_owned(), message.key().map_or(Value::Null, text_of));
    if let Some(headers) = message.headers() {
        let headers: Map<String, Value> = headers
            .iter()
            .map(|header| {
                (
                    header.key.to_owned(),
                    header.value.map_or(Value::Null, text_of),
                )
            })
            .collect();
        line.insert("headers".to_owned(), Value::Object(headers));
    }
    match payload {
        None => drop(line.insert("value".to_owned(), Value::Null)),
        Some(payload) => match decode_any(payload) {
            Ok((schema, value)) => {
                line.insert("schema".to_owned(), json!(schema));
                line.insert("value".to_owned(), value);
            }
            Err(_) => drop(line.insert("value".to_owned(), payload_of(payload))),
        },
    }
    Value::Object(line)
}

/// JSON as JSON, other bytes as text.
fn payload_of(payload: &[u8]) -> Value {
    serde_json::from_slice(payload).unwrap_or_else(|_| text_of(payload))
}

fn text_of(bytes: &[u8]) -> Value {
    Value::String(String::from_utf8_lossy(bytes).into_owned())
}

/// A record for which the filter cannot be evaluated is left out.
fn holds(filter: &Condition, line: &Value) -> bool {
    let mut variables = Variables::new();
    for name in ["key", "value", "headers", "partition", "offset"] {
        variables.set(name, line.get(name).unwrap_or(&Value::Null));
    }
    filter.evaluate(&variables).unwrap_or(false)
}
