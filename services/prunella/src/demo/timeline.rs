//! What the topics tell of one alert's way, as it happens.

use std::time::Duration;

use anyhow::{Context, Result};
use prunella_runtime::{KafkaConfig, LogContext};
use prunella_schemas::{
    Action, ActionResult, Decision, NormalizedAlert, PlaybookRun, ResultStatus, RunState, decode,
};
use prunella_topology::{Prefix, topics};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::Value;

use crate::kafka::reader;

/// One thing that happened.
pub enum Hop {
    /// A record was seen.
    Seen {
        /// The line to print.
        line: String,
    },
    /// The run ended.
    RunEnded {
        /// The line to print.
        line: String,
        /// Its last snapshot.
        run: Value,
    },
    /// People were told.
    Told {
        /// The line to print.
        line: String,
    },
}

impl Hop {
    /// The line to print.
    pub fn line(&self) -> &str {
        match self {
            Hop::Seen { line } | Hop::RunEnded { line, .. } | Hop::Told { line } => line,
        }
    }
}

/// Reads the topics of the flow from their beginnings.
pub struct Timeline {
    consumer: BaseConsumer<LogContext>,
    prefix: Prefix,
    /// When the alert was sent.
    since: i64,
}

impl Timeline {
    /// Opens it.
    pub fn open(kafka: &KafkaConfig, prefix: &Prefix, since: i64) -> Result<Self> {
        let consumer = reader(kafka)?;
        let mut assignment = TopicPartitionList::new();
        for topic in [
            topics::NORMALIZED_ALERTS,
            topics::DECISIONS,
            topics::ACTIONS,
            topics::RESULTS,
            topics::RUNS,
        ] {
            assignment.add_partition_offset(&prefix.topic(topic), 0, Offset::Beginning)?;
        }
        consumer.assign(&assignment)?;
        Ok(Self {
            consumer,
            prefix: prefix.clone(),
            since,
        })
    }

    /// What has happened since the last call, in the order in which it happened; waits a little, since the
    /// topics' records arrive in any order.
    pub fn next_hops(&mut self) -> Result<Vec<Hop>> {
        let mut hops = Vec::new();
        while let Some(Ok(message)) = self.consumer.poll(Duration::from_millis(60)) {
            let at = message.timestamp().to_millis().unwrap_or(self.since) - self.since;
            hops.extend(self.hop(&message, at)?.map(|hop| (at, hop)));
        }
        hops.sort_by_key(|(at, _)| *at);
        Ok(hops.into_iter().map(|(_, hop)| hop).collect())
    }

    fn hop(&self, message: &BorrowedMessage<'_>, at: i64) -> Result<Option<Hop>> {
        let topic = self.prefix.strip(message.topic()).unwrap_or_default();
        let value = message.payload().context("a record without a value")?;
        let seen = |line: String| {
            Some(Hop::Seen {
                line: format!("{at:>6} ms  {topic:<18} {line}"),
            })
        };
        Ok(match topic {
            topics::NORMALIZED_ALERTS => {
                let alert: NormalizedAlert = decode(value)?;
                let service = alert.service_name.unwrap_or_default();
                seen(format!(
                    "{} {} of {service} in {}",
                    alert.severity, alert.alert_name, alert.domain
                ))
            }
            topics::DECISIONS => {
                let decision: Decision = decode(value)?;
                seen(format!("{}: {}", decision.outcome, decision.reason))
            }
            topics::ACTIONS => {
                let action: Action = decode(value)?;
                let guards: Vec<&str> = action
                    .guards
                    .iter()
                    .map(|guard| guard.guard.as_str())
                    .collect();
                let guards = if guards.is_empty() {
                    String::new()
                } else {
                    format!(" (passed {})", guards.join(", "))
                };
                seen(format!("{}: {}{guards}", action.task_id, what(&action)))
            }
            topics::RESULTS => result_hop(at, topic, &decode(value)?),
            topics::RUNS => run_hop(at, topic, &decode(value)?)?,
            _ => None,
        })
    }
}

/// The request in a few words.
fn what(action: &Action) -> String {
    let spec: Value = serde_json::from_str(&action.spec).unwrap_or_default();
    let of = |name: &str| {
        spec.get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    match action.kind.as_str() {
        "API_Call" => format!("{} {}{}", of("method"), of("url"), of("path")),
        "Notification" => format!("tell people: {}", of("title")),
        other => other.to_owned(),
    }
}

fn result_hop(at: i64, topic: &str, result: &ActionResult) -> Option<Hop> {
    let took = if result.started_at > 0 {
        result.finished_at - result.started_at
    } else {
        0
    };
    let cause = if result.cause.is_empty() {
        String::new()
    } else {
        format!(": {}", result.cause)
    };
    let line = format!(
        "{at:>6} ms  {topic:<18} {}: {} in {took} ms{cause}",
        result.task_id, result.status
    );
    if result.kind == "Notification" && result.status == ResultStatus::Succeeded {
        return Some(Hop::Told { line });
    }
    Some(Hop::Seen { line })
}

fn run_hop(at: i64, topic: &str, run: &PlaybookRun) -> Result<Option<Hop>> {
    let line = format!(
        "{at:>6} ms  {topic:<18} {}: {}",
        run.playbook_name, run.state
    );
    if matches!(run.state, RunState::Queued | RunState::Running) {
        return Ok(None);
    }
    Ok(Some(Hop::RunEnded {
        line,
        run: serde_json::to_value(run)?,
    }))
}
