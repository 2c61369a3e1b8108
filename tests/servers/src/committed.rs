//! What a read_committed consumer of another client library (Java's) finds in a topic.

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Deserializer, de::Error};

use crate::{
    error::{Result, ServerError},
    reader::{PROGRAM, ask},
};

/// Name and value of each header, in the record's order; a name may come twice.
pub type Headers = Vec<(String, Option<Vec<u8>>)>;

/// One committed record.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CommittedRecord {
    pub partition: i32,
    pub offset: i64,
    /// Milliseconds since 1970, as the topic's `message.timestamp.type` says.
    pub timestamp: i64,
    #[serde(deserialize_with = "optional_base64")]
    pub key: Option<Vec<u8>>,
    #[serde(deserialize_with = "optional_base64")]
    pub value: Option<Vec<u8>>,
    #[serde(deserialize_with = "headers")]
    pub headers: Headers,
}

/// A whole topic in numbers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CommittedSummary {
    pub records: u64,
    pub null_keys: u64,
    /// Different keys, the null key aside.
    pub keys: u64,
    /// Keys that occur more than once.
    pub duplicate_keys: u64,
    /// At most 20 of them with the number of their records, keys in base64, the smallest first.
    pub duplicates: BTreeMap<String, u64>,
    pub partitions: Vec<PartitionRange>,
}

/// Where a partition begins and ends.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PartitionRange {
    pub partition: i32,
    pub begin: i64,
    /// The last stable offset: up to here everything is decided.
    pub end: i64,
    pub high_watermark: i64,
}

impl CommittedSummary {
    /// Whether any partition holds an open transaction.
    pub fn has_open_transaction(&self) -> bool {
        self.partitions
            .iter()
            .any(PartitionRange::has_open_transaction)
    }
}

impl PartitionRange {
    /// Whether it holds an open transaction.
    pub fn has_open_transaction(&self) -> bool {
        self.end < self.high_watermark
    }
}

/// Every record that a read_committed consumer sees, partition by partition, up to the ends at this moment. Fails
/// when it has not read them all within `timeout`.
pub fn read_committed(
    bootstrap: &str,
    topic: &str,
    timeout: Duration,
) -> Result<Vec<CommittedRecord>> {
    let mut records: Vec<CommittedRecord> = read("records", bootstrap, topic, timeout)?;
    records.sort_by_key(|record| (record.partition, record.offset));
    Ok(records)
}

/// The same in numbers, for topics too large to hold: only the keys are kept while counting.
pub fn committed_summary(
    bootstrap: &str,
    topic: &str,
    timeout: Duration,
) -> Result<CommittedSummary> {
    let mut lines: Vec<CommittedSummary> = read("summary", bootstrap, topic, timeout)?;
    lines
        .pop()
        .ok_or_else(|| bad_output("", serde_json::Error::custom("no line at all")))
}

/// Where the partitions of every topic begin and end whose name begins with `prefix`, sorted by topic and
/// partition.
pub fn partition_ends(
    bootstrap: &str,
    prefix: &str,
    timeout: Duration,
) -> Result<Vec<(String, PartitionRange)>> {
    let lines = ask(&["ends", bootstrap, prefix], timeout)?;
    lines
        .iter()
        .map(|line| {
            parse_range(line).ok_or_else(|| bad_output(line, serde_json::Error::custom("no range")))
        })
        .collect()
}

fn parse_range(line: &str) -> Option<(String, PartitionRange)> {
    let mut words = line.split(' ');
    let topic = words.next()?.to_owned();
    let mut number = || words.next()?.parse::<i64>().ok();
    let range = PartitionRange {
        partition: i32::try_from(number()?).ok()?,
        begin: number()?,
        end: number()?,
        high_watermark: number()?,
    };
    Some((topic, range))
}

fn read<T: for<'a> Deserialize<'a>>(
    what: &str,
    bootstrap: &str,
    topic: &str,
    timeout: Duration,
) -> Result<Vec<T>> {
    let millis = timeout.as_millis().to_string();
    // It gives up by itself when the time is over, and says why.
    let patience = timeout + Duration::from_secs(30);
    ask(&[what, bootstrap, topic, &millis], patience)?
        .iter()
        .map(|line| serde_json::from_str(line).map_err(|source| bad_output(line, source)))
        .collect()
}

fn bad_output(line: &str, source: serde_json::Error) -> ServerError {
    ServerError::BadOutput {
        tool: PROGRAM.into(),
        line: line.into(),
        source,
    }
}

fn optional_base64<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<u8>>, D::Error> {
    let text: Option<String> = Option::deserialize(deserializer)?;
    text.map(|text| BASE64_STANDARD.decode(text).map_err(D::Error::custom))
        .transpose()
}

fn headers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Headers, D::Error> {
    #[derive(Deserialize)]
    struct Value(#[serde(deserialize_with = "optional_base64")] Option<Vec<u8>>);
    let pairs: Vec<(String, Value)> = Vec::deserialize(deserializer)?;
    Ok(pairs
        .into_iter()
        .map(|(name, Value(value))| (name, value))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_program_becomes_a_record() {
        let line = r#"{"partition":1,"offset":7,"timestamp":9,"key":null,"value":"AP8=","headers":[["h","eA=="],["h",null]]}"#;
        let record: CommittedRecord = serde_json::from_str(line).unwrap();
        assert_eq!(record.key, None);
        assert_eq!(record.value, Some(vec![0, 255]));
        assert_eq!(
            record.headers,
            [("h".into(), Some(b"x".to_vec())), ("h".into(), None)]
        );
    }

    #[test]
    fn a_line_of_ends_becomes_a_range() {
        let range = PartitionRange {
            partition: 3,
            begin: 0,
            end: 7,
            high_watermark: 9,
        };
        assert_eq!(parse_range("t.a-b 3 0 7 9"), Some(("t.a-b".into(), range)));
        assert_eq!(parse_range("t.a-b 3 0 7"), None);
    }

    #[test]
    fn a_gap_below_the_high_watermark_is_an_open_transaction() {
        let check = |end, expected| {
            let line = format!(
                r#"{{"records":1,"null_keys":0,"keys":1,"duplicate_keys":0,"duplicates":{{}},
                "partitions":[{{"partition":0,"begin":0,"end":{end},"high_watermark":2}}]}}"#
            );
            let summary: CommittedSummary = serde_json::from_str(&line).unwrap();
            assert_eq!(summary.has_open_transaction(), expected, "end {end}");
        };
        check(2, false);
        check(1, true);
    }
}
