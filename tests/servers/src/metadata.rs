//! Just enough of the Kafka protocol to ask a broker who is there: one Metadata request.
//!
//! A JVM takes more than a second to answer the same question, and "is it up yet" is asked many times.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use crate::error::{Doing, Result, ServerError};

/// What one broker knows about its cluster at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// The brokers that take part; one that was killed stays in until its session expires.
    pub brokers: Vec<BrokerAddress>,
    /// Every partition of every topic, internal topics too.
    pub partitions: Vec<PartitionState>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerAddress {
    pub node: i32,
    pub host: String,
    pub port: i32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionState {
    pub topic: String,
    pub partition: i32,
    /// The node that leads it, or `None` while there is none.
    pub leader: Option<i32>,
    pub replicas: Vec<i32>,
    pub in_sync: Vec<i32>,
}

impl Metadata {
    /// Asks the broker at `address` (`host:port`). Fails after `timeout` without an answer.
    pub fn ask(address: &str, timeout: Duration) -> Result<Metadata> {
        let doing = || format!("ask {address} for metadata");
        let mut stream = connect(address, timeout).doing(doing)?;
        stream.set_read_timeout(Some(timeout)).doing(doing)?;
        stream.set_write_timeout(Some(timeout)).doing(doing)?;
        stream.write_all(REQUEST).doing(doing)?;
        let mut length = [0; 4];
        stream.read_exact(&mut length).doing(doing)?;
        let length = u32::from_be_bytes(length);
        let mut bytes = Vec::new();
        stream
            .take(length.into())
            .read_to_end(&mut bytes)
            .doing(doing)?;
        parse(&bytes).ok_or_else(|| ServerError::Protocol {
            address: address.into(),
            what: format!(
                "its metadata response of {} bytes cannot be read",
                bytes.len()
            ),
        })
    }

    /// Partitions that have no leader, or a replica that lags behind.
    pub fn not_in_sync(&self) -> impl Iterator<Item = &PartitionState> {
        self.partitions.iter().filter(|partition| {
            partition.leader.is_none() || partition.in_sync.len() < partition.replicas.len()
        })
    }
}

/// A Metadata request, version 1, for all topics: length, api key 3, version 1, correlation id 0, client id
/// "wait", topics null.
const REQUEST: &[u8] = b"\0\0\0\x12\0\x03\0\x01\0\0\0\0\0\x04wait\xff\xff\xff\xff";

fn connect(address: &str, timeout: Duration) -> std::io::Result<TcpStream> {
    match address.parse() {
        Ok(socket) => TcpStream::connect_timeout(&socket, timeout),
        Err(_) => TcpStream::connect(address),
    }
}

fn parse(bytes: &[u8]) -> Option<Metadata> {
    let mut bytes = Bytes(bytes);
    let _correlation = bytes.i32()?;
    let brokers = bytes.array(|b| {
        let broker = BrokerAddress {
            node: b.i32()?,
            host: b.string()?,
            port: b.i32()?,
        };
        let _rack = b.string()?;
        Some(broker)
    })?;
    let _controller = bytes.i32()?;
    let topics = bytes.array(|b| {
        let _error = b.i16()?;
        let topic = b.string()?;
        let _internal = b.take(1)?;
        b.array(|b| partition(b, &topic))
    })?;
    Some(Metadata {
        brokers,
        partitions: topics.into_iter().flatten().collect(),
    })
}

fn partition(bytes: &mut Bytes<'_>, topic: &str) -> Option<PartitionState> {
    let _error = bytes.i16()?;
    Some(PartitionState {
        topic: topic.into(),
        partition: bytes.i32()?,
        leader: bytes.i32().map(|node| (node >= 0).then_some(node))?,
        replicas: bytes.array(Bytes::i32)?,
        in_sync: bytes.array(Bytes::i32)?,
    })
}

/// What is left to read of a response.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn i16(&mut self) -> Option<i16> {
        Some(i16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    fn i32(&mut self) -> Option<i32> {
        Some(i32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    /// A null string (length -1) reads as the empty one.
    fn string(&mut self) -> Option<String> {
        let length = self.i16()?.max(0);
        Some(String::from_utf8_lossy(self.take(length as usize)?).into_owned())
    }

    fn array<T>(&mut self, mut item: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let length = self.i32()?.max(0);
        (0..length).map(|_| item(self)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One broker, one topic `t` with partition 5, led by nobody, replicas 1 and 2, in sync 2.
    const RESPONSE: &[u8] = b"\0\0\0\0\0\0\0\x01\0\0\0\x07\0\x01h\0\0\x23\x84\xff\xff\0\0\0\x07\0\0\0\x01\0\0\0\x01t\0\
        \0\0\0\x01\0\x05\0\0\0\x05\xff\xff\xff\xff\0\0\0\x02\0\0\0\x01\0\0\0\x02\0\0\0\x01\0\0\0\x02";

    #[test]
    fn a_response_is_read_whole() {
        let metadata = parse(RESPONSE).unwrap();
        assert_eq!(
            metadata.brokers,
            [BrokerAddress {
                node: 7,
                host: "h".into(),
                port: 9092
            }]
        );
        let expected = PartitionState {
            topic: "t".into(),
            partition: 5,
            leader: None,
            replicas: vec![1, 2],
            in_sync: vec![2],
        };
        assert_eq!(metadata.partitions, std::slice::from_ref(&expected));
        assert_eq!(metadata.not_in_sync().collect::<Vec<_>>(), [&expected]);
    }

    #[test]
    fn a_truncated_response_is_refused_at_every_length() {
        for length in 0..RESPONSE.len() {
            assert_eq!(parse(&RESPONSE[..length]), None, "{length} bytes");
        }
    }

    #[test]
    fn a_partition_with_all_its_replicas_is_in_sync() {
        let mut metadata = parse(RESPONSE).unwrap();
        metadata.partitions[0].leader = Some(1);
        metadata.partitions[0].in_sync = vec![2, 1];
        assert_eq!(metadata.not_in_sync().count(), 0);
    }
}
