//! A gateway in front of a mock cluster, a client that speaks HTTP by hand, and a reader of topics.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use prunella_gateway::{Gateway, GatewayConfig, PersonConfig, Role, Secret, SourceConfig};
use prunella_topology::Prefix;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Headers;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use tokio::sync::oneshot;

/// The installation's prefix in these tests.
pub const PREFIX: &str = "t1.";
/// Longest wait for something that must happen. It is never waited for in full unless it does not.
const PATIENCE: Duration = Duration::from_secs(30);

/// A configuration with a source of alerts, a shipper of logs and three people. Whoever is called NAME has the
/// token `NAME-token`.
pub fn config() -> GatewayConfig {
    let token = |name: &str| Some(Secret::new(format!("{name}-token")));
    let source = |name: &str, logs: &[&str]| {
        let source = SourceConfig {
            token: token(name),
            log_services: logs.iter().map(|name| (*name).to_owned()).collect(),
            ..SourceConfig::default()
        };
        (name.to_owned(), source)
    };
    let person = |name: &str, roles: &[Role]| {
        let person = PersonConfig {
            token: token(name),
            roles: roles.to_vec(),
            ..PersonConfig::default()
        };
        (name.to_owned(), person)
    };
    GatewayConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        sources: [source("alertmanager", &[]), source("shipper", &["shop"])].into(),
        people: [
            person("ada", &[Role::Operate]),
            person("eve", &[Role::Publish]),
            person("bob", &[]),
        ]
        .into(),
        ..GatewayConfig::default()
    }
}

/// A cluster with the gateway's topics, of one partition each.
fn cluster() -> MockCluster<'static, DefaultProducerContext> {
    let cluster = MockCluster::new(1).unwrap();
    let servers = cluster.bootstrap_servers();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // The mock sometimes sleeps a second over a request to create a topic; traffic keeps it awake.
        scope.spawn(|| {
            let consumer: BaseConsumer = ClientConfig::new()
                .set("bootstrap.servers", servers)
                .create()
                .unwrap();
            while !done.load(Ordering::Acquire) {
                let _ = consumer.fetch_metadata(None, Duration::from_secs(1));
            }
        });
        for topic in ["raw-alerts", "raw-logs", "control", "switches", "knowledge"] {
            cluster
                .create_topic(&format!("{PREFIX}{topic}"), 1, 1)
                .unwrap();
        }
        done.store(true, Ordering::Release);
    });
    cluster
}

/// A gateway that serves.
pub struct Served {
    pub cluster: MockCluster<'static, DefaultProducerContext>,
    pub address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Served {
    /// Starts one and waits until it is ready.
    pub fn start(config: GatewayConfig) -> Self {
        let cluster = cluster();
        let mut kafka = ClientConfig::new();
        kafka.set("bootstrap.servers", cluster.bootstrap_servers());
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let prefix = Prefix::new(PREFIX).unwrap();
                let gateway = Gateway::bind(config, kafka, prefix).await.unwrap();
                tell.send(gateway.address()).unwrap();
                gateway.run(async { drop(stopped.await) }).await;
            });
        });
        let served = Self {
            cluster,
            address: told.recv_timeout(PATIENCE).unwrap(),
            stop: Some(stop),
            thread: Some(thread),
        };
        served.until("/readyz answers 200", || {
            served.get("/readyz", "").status == 200
        });
        served
    }

    /// Waits until something holds.
    pub fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let steps = PATIENCE.as_millis() / 50;
        for _ in 0..steps {
            if holds() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("never: {what}");
    }

    /// Asks it to stop; does not wait.
    pub fn stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }

    /// Waits until it has stopped.
    pub fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }

    /// A connection of one's own.
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends a request as `who` and reads the answer.
    pub fn send(
        &self,
        method: &str,
        path: &str,
        who: &str,
        content_type: &str,
        body: &[u8],
    ) -> Answer {
        let mut headers = vec![("Content-Length", body.len().to_string())];
        if !who.is_empty() {
            headers.push(("Authorization", format!("Bearer {who}-token")));
        }
        if !content_type.is_empty() {
            headers.push(("Content-Type", content_type.to_owned()));
        }
        self.send_with(method, path, &headers, body)
    }

    pub fn send_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, String)],
        body: &[u8],
    ) -> Answer {
        let mut stream = self.connect();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        )
        .unwrap();
        for (name, value) in headers {
            write!(stream, "{name}: {value}\r\n").unwrap();
        }
        stream.write_all(b"\r\n").unwrap();
        // A body that is refused unread may end the connection early.
        let _ = stream.write_all(body);
        Answer::read(&mut stream)
    }

    pub fn get(&self, path: &str, who: &str) -> Answer {
        self.send("GET", path, who, "", b"")
    }

    /// Sends JSON as `who`.
    pub fn json(&self, method: &str, path: &str, who: &str, body: &serde_json::Value) -> Answer {
        self.send(
            method,
            path,
            who,
            "application/json",
            body.to_string().as_bytes(),
        )
    }

    /// Every record that lies on the topic now.
    pub fn records(&self, topic: &str) -> Vec<Lying> {
        let name = format!("{PREFIX}{topic}");
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.cluster.bootstrap_servers())
            .set("group.id", "reader")
            .set("enable.partition.eof", "true")
            .set("fetch.wait.max.ms", "100")
            .create()
            .unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&name, 0, Offset::Beginning)
            .unwrap();
        consumer.assign(&list).unwrap();
        let mut records = Vec::new();
        loop {
            match consumer.poll(PATIENCE) {
                Some(Ok(message)) => records.push(Lying::from(&message)),
                Some(Err(rdkafka::error::KafkaError::PartitionEOF(_))) => return records,
                other => panic!("{topic}: {:?}", other.map(|other| other.map(|_| ()))),
            }
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A record on a topic.
#[derive(Debug)]
pub struct Lying {
    pub key: String,
    pub value: Vec<u8>,
    pub headers: BTreeMap<String, String>,
}

impl From<&rdkafka::message::BorrowedMessage<'_>> for Lying {
    fn from(message: &rdkafka::message::BorrowedMessage<'_>) -> Self {
        let text =
            |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
        let headers = message.headers().map(|headers| {
            headers
                .iter()
                .map(|header| (header.key.to_owned(), text(header.value)))
                .collect()
        });
        Self {
            key: text(message.key()),
            value: message.payload().unwrap_or_default().to_vec(),
            headers: headers.unwrap_or_default(),
        }
    }
}

/// What the gateway answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Answer {
    /// Reads an answer to its end, which its length or the connection's end tells.
    pub fn read(stream: &mut TcpStream) -> Self {
        let mut bytes = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            if let Some(answer) = Self::parse(&bytes) {
                return answer;
            }
            match stream.read(&mut chunk) {
                Ok(read) if read > 0 => bytes.extend_from_slice(&chunk[..read]),
                ended => panic!(
                    "no whole answer: {ended:?} {}",
                    String::from_utf8_lossy(&bytes)
                ),
            }
        }
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.lines();
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers: BTreeMap<String, String> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let length: usize = headers.get("content-length")?.parse().ok()?;
        (body.len() >= length).then(|| Self {
            status,
            body: body.to_owned(),
            headers,
        })
    }

    pub fn value(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// The kind of problem that it is, after the form of every problem was checked.
    #[track_caller]
    pub fn problem(&self) -> String {
        assert_eq!(
            self.headers["content-type"], "application/problem+json",
            "{self:?}"
        );
        let body = self.value();
        assert_eq!(body["status"], self.status, "{self:?}");
        assert!(
            body["title"].is_string() && body["detail"].is_string(),
            "{self:?}"
        );
        assert_eq!(
            self.headers.contains_key("retry-after"),
            self.status == 503,
            "{self:?}"
        );
        let kind = body["type"].as_str().unwrap().rsplit(':').next().unwrap();
        kind.to_owned()
    }
}
