//! Reading state back from a changelog.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use prunella_stream::{CodecFailure, Task};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::Message;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::changelog::Changelog;
use crate::kafka::LogContext;

/// Longest a broker may take to answer a question about offsets.
pub(crate) const ANSWER: Duration = Duration::from_secs(10);
/// Longest a restore may stand still.
const STALL: Duration = Duration::from_secs(30);
/// Records read between two looks at the group.
const CHUNK: usize = 20_000;

/// Why state could not be read back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RestoreError {
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    #[error("changelog {topic} partition {partition} offset {offset} cannot be read: {cause}")]
    Codec {
        topic: String,
        partition: i32,
        offset: i64,
        cause: CodecFailure,
    },
    #[error("the group took the partitions back while they were being restored")]
    Interrupted,
    #[error("changelog {0} stood still for 30 s before its end; is a broker away?")]
    Stalled(String),
}

/// A consumer of the group that never joins it and sees what is not committed: for metadata of offsets and for
/// the true ends of topics.
pub(crate) fn side_consumer(
    base: &ClientConfig,
    group: &str,
) -> KafkaResult<BaseConsumer<LogContext>> {
    base.clone()
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_uncommitted")
        .create_with_context(LogContext)
}

/// Reads the changelog, where the state of these tasks lies, to the end it had after the fence. Returns how many
/// records there were of each task. `go_on` keeps the group's consumer polled and says whether to continue.
///
/// A partition may also hold the state of tasks that are at work elsewhere: their records are passed over, and
/// their open transactions, over in milliseconds, are waited for. One that is left open by a dead owner ends when
/// that owner's partitions are taken over, so at its session's end, or when the transaction times out.
pub(crate) fn restore(
    base: &ClientConfig,
    side: &BaseConsumer<LogContext>,
    group: &str,
    changelog: &Changelog,
    tasks: &mut BTreeMap<i32, &mut Box<dyn Task>>,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<BTreeMap<i32, u64>, RestoreError> {
    let topic = changelog.topic.as_str();
    let mut ends = BTreeMap::new();
    let mut counts: BTreeMap<i32, u64> = tasks.keys().map(|task| (*task, 0)).collect();
    let partitions: BTreeSet<i32> = tasks
        .keys()
        .map(|task| changelog.partition_of(*task))
        .collect();
    for partition in partitions {
        let (low, high) = side.fetch_watermarks(topic, partition, ANSWER)?;
        // Empty or truncated: the position would never become valid.
        if low < high {
            ends.insert(partition, (low, high));
        }
    }
    if ends.is_empty() {
        return Ok(counts);
    }
    let consumer = reader(base, group)?;
    let mut assignment = TopicPartitionList::new();
    for (partition, (low, _)) in &ends {
        assignment.add_partition_offset(topic, *partition, Offset::Offset(*low))?;
    }
    consumer.assign(&assignment)?;
    let mut moved = Instant::now();
    while !ends.is_empty() {
        if !go_on() {
            return Err(RestoreError::Interrupted);
        }
        if read_chunk(&consumer, changelog, tasks, &mut counts)? > 0 {
            moved = Instant::now();
        }
        let positions = consumer.position()?;
        ends.retain(|partition, (_, high)| {
            let position = positions
                .find_partition(topic, *partition)
                .and_then(|element| element.offset().to_raw());
            position.is_none_or(|position| position < *high)
        });
        if moved.elapsed() > STALL {
            return Err(RestoreError::Stalled(topic.to_owned()));
        }
    }
    Ok(counts)
}

fn reader(base: &ClientConfig, group: &str) -> KafkaResult<BaseConsumer<LogContext>> {
    base.clone()
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        // The default would jump silently to the end where the wanted offset is gone.
        .set("auto.offset.reset", "error")
        .set("fetch.wait.max.ms", "10")
        .set("fetch.message.max.bytes", "8388608")
        .set("queued.max.messages.kbytes", "131072")
        .set("queued.min.messages", "200000")
        .set("fetch.queue.backoff.ms", "2")
        .create_with_context(LogContext)
}

fn read_chunk(
    consumer: &BaseConsumer<LogContext>,
    changelog: &Changelog,
    tasks: &mut BTreeMap<i32, &mut Box<dyn Task>>,
    counts: &mut BTreeMap<i32, u64>,
) -> Result<usize, RestoreError> {
    let mut read = 0;
    while read < CHUNK {
        let message = match consumer.poll(Duration::from_millis(5)) {
            Some(Ok(message)) => message,
            Some(Err(error)) if error.rdkafka_error_code().is_some_and(is_passing) => continue,
            Some(Err(error)) => return Err(error.into()),
            None => break,
        };
        read += 1;
        let unreadable = |cause| RestoreError::Codec {
            topic: changelog.topic.clone(),
            partition: message.partition(),
            offset: message.offset(),
            cause,
        };
        let entry = Changelog::split(message.key().unwrap_or_default());
        let here = |task: i32| changelog.partition_of(task) == message.partition();
        let Some((task, key)) = entry.filter(|(task, _)| here(*task)) else {
            return Err(unreadable(CodecFailure::new(
                "its key does not begin with the number of a task whose state lies in this partition",
            )));
        };
        if let (Some(state), Some(count)) = (tasks.get_mut(&task), counts.get_mut(&task)) {
            *count += 1;
            state.restore(key, message.payload()).map_err(unreadable)?;
        }
    }
    Ok(read)
}

fn is_passing(code: rdkafka::types::RDKafkaErrorCode) -> bool {
    use rdkafka::types::RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::NotLeaderForPartition
            | Code::LeaderNotAvailable
    )
}
