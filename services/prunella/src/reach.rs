//! A first look at a Kafka: whether anything listens there. librdkafka retries for its whole time and says only
//! that there was no answer; this says at once which address does what.

use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use anyhow::{Result, anyhow};
use prunella_runtime::KafkaConfig;
use rdkafka::error::KafkaError;

/// Longest wait for a connection to one address.
const CONNECT: Duration = Duration::from_secs(3);
/// Kafka's port where none is named.
const PORT: u16 = 9092;

/// Asks each bootstrap server for a connection. Fails if none gives one.
///
/// # Errors
/// What each of them says, and what to do.
pub fn look(kafka: &KafkaConfig) -> Result<()> {
    let mut refusals = Vec::new();
    for server in kafka.bootstrap_servers.split(',').map(str::trim) {
        match connect(server) {
            Ok(()) => return Ok(()),
            Err(reason) => refusals.push(format!("{server}: {reason}")),
        }
    }
    Err(anyhow!(
        "no Kafka listens there ({}); is it running, and is `kafka.bootstrap_servers` right? `prunella up \
         --embedded` needs none",
        refusals.join("; ")
    ))
}

/// That a Kafka gave no answer, what librdkafka says of it, and what to do.
#[must_use]
pub fn no_answer(kafka: &KafkaConfig, error: &KafkaError) -> anyhow::Error {
    let reason = error
        .rdkafka_error_code()
        .map_or_else(|| error.to_string(), |code| code.to_string());
    anyhow!(
        "Kafka at {} does not answer ({reason}); check `kafka.bootstrap_servers`, the listener's advertised name, and \
         `kafka.properties` for TLS and SASL",
        kafka.bootstrap_servers
    )
}

fn connect(server: &str) -> Result<(), String> {
    let mut reason = "the name has no address".to_owned();
    let address = address(server);
    let found = address
        .to_socket_addrs()
        .map_err(|error| error.to_string())?;
    for address in found {
        match TcpStream::connect_timeout(&address, CONNECT) {
            Ok(_) => return Ok(()),
            Err(error) => reason = error.to_string(),
        }
    }
    Err(reason)
}

/// `host:port` of what librdkafka takes: a scheme before it and a missing port are allowed.
fn address(server: &str) -> String {
    let server = server.split_once("://").map_or(server, |(_, rest)| rest);
    let host_ends = server.rfind(']').map_or(0, |bracket| bracket + 1);
    if server[host_ends..].contains(':') {
        server.to_owned()
    } else {
        format!("{server}:{PORT}")
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn kafka(servers: &str) -> KafkaConfig {
        KafkaConfig {
            bootstrap_servers: servers.to_owned(),
            ..KafkaConfig::default()
        }
    }

    #[test]
    fn one_server_that_listens_is_enough() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let open = listener.local_addr().expect("its address").to_string();
        let shut = TcpListener::bind("127.0.0.1:0")
            .and_then(|gone| gone.local_addr())
            .expect("a port that nobody listens on")
            .to_string();
        assert!(look(&kafka(&open)).is_ok());
        assert!(look(&kafka(&format!("{shut}, PLAINTEXT://{open}"))).is_ok());
        let error = look(&kafka(&shut)).expect_err("refused").to_string();
        assert!(
            error.contains(&shut) && error.contains("refused"),
            "{error}"
        );
    }

    #[test]
    fn what_librdkafka_takes_is_an_address() {
        for (server, expected) in [
            ("kafka-1:9093", "kafka-1:9093"),
            ("kafka-1", "kafka-1:9092"),
            ("SASL_SSL://kafka-1:9094", "kafka-1:9094"),
            ("[::1]", "[::1]:9092"),
            ("[::1]:9", "[::1]:9"),
        ] {
            assert_eq!(address(server), expected);
        }
    }
}
