//! The check that is made when a connection takes a request up, against a server that keeps every byte it gets.

use std::net::SocketAddr;

use prunella_effects::HttpEffects;
use prunella_executor::{EffectSpec, Ended, NotStarted};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::world::{Leave, call, config, effects};

/// A server that answers every whole request and keeps its connections open.
struct Target {
    address: SocketAddr,
    connections: mpsc::UnboundedReceiver<String>,
}

impl Target {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (ended, connections) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let ended = ended.clone();
                tokio::spawn(async move { ended.send(serve(stream).await) });
            }
        });
        Self {
            address,
            connections,
        }
    }

    fn effects(&self) -> HttpEffects {
        effects(&config(&format!("base_url = \"http://{}\"", self.address)))
    }

    /// All that came over the next connection to be closed.
    async fn connection(&mut self) -> String {
        self.connections.recv().await.unwrap()
    }
}

/// Answers until the client closes; gives all that the client sent.
async fn serve(mut stream: TcpStream) -> String {
    let (mut bytes, mut answered) = (Vec::new(), 0);
    while stream.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {
        let whole = requests(str::from_utf8(&bytes).unwrap()).count();
        for _ in answered..whole {
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(answer).await.unwrap();
        }
        answered = whole;
    }
    String::from_utf8(bytes).unwrap()
}

/// Head and body of every whole request.
fn requests(mut text: &str) -> impl Iterator<Item = (&str, &str)> {
    std::iter::from_fn(move || {
        let (head, rest) = text.split_once("\r\n\r\n")?;
        let length = length(head).map_or(0, |length| length.parse().unwrap());
        let body = rest.get(..length)?;
        text = &rest[length..];
        Some((head, body))
    })
}

fn length(head: &str) -> Option<&str> {
    head.lines()
        .find_map(|line| line.strip_prefix("content-length: "))
}

/// Effects that may change their target, and the body each is to arrive with.
fn acts() -> Vec<(EffectSpec, String)> {
    // More than the client's buffer and the socket's take at once.
    let long = "x".repeat(1 << 20);
    let with = |method: &str, body: &str| call(method, "/act", &json!({"body": body}));
    let without = |method: &str| call(method, "/act", &json!({}));
    let get = |effect: EffectSpec| EffectSpec {
        mutating: true,
        ..effect
    };
    vec![
        (with("POST", "drain"), "drain".to_owned()),
        (with("PATCH", "drain"), "drain".to_owned()),
        (with("POST", &long), long),
        (with("POST", ""), String::new()),
        (without("POST"), String::new()),
        (without("DELETE"), String::new()),
        (get(without("GET")), String::new()),
    ]
}

const HINDERED: Ended = Ended::NotStarted(NotStarted::LeaseExpired);

#[tokio::test]
async fn a_no_after_the_connection_stands_keeps_every_byte_back() {
    let mut target = Target::start().await;
    let effects = target.effects();
    for (effect, _) in acts() {
        // Asked when the request is handed over, when the connection stands, and when it takes the request up.
        let outcome = effects.perform(effect, Leave::times(2)).await;
        assert_eq!(outcome.ended, HINDERED, "{outcome:?}");
        assert_eq!(outcome.started_at, 0);
        assert_eq!(outcome.cause, NotStarted::LeaseExpired.words());
        assert_eq!(target.connection().await, "");
    }
}

#[tokio::test]
async fn a_no_after_a_kept_connection_was_chosen_keeps_every_byte_back() {
    let mut target = Target::start().await;
    let effects = target.effects();
    for (effect, body) in acts() {
        let first = effects.perform(effect.clone(), Leave::always()).await;
        assert_eq!(first.ended, Ended::Succeeded);
        // Asked when the request is handed over, and when the kept connection takes it up.
        let second = effects.perform(effect, Leave::times(1)).await;
        assert_eq!(second.ended, HINDERED, "{second:?}");
        let received = target.connection().await;
        let bodies: Vec<_> = requests(&received).map(|(_, body)| body).collect();
        assert_eq!(bodies, [&body], "the first request and nothing else");
        assert!(received.ends_with(&format!("\r\n\r\n{body}")));
    }
}

#[tokio::test]
async fn a_guard_that_goes_on_saying_yes_changes_nothing_in_the_request() {
    let mut target = Target::start().await;
    let effects = target.effects();
    for (position, (effect, _)) in acts().into_iter().enumerate() {
        for again in [false, true] {
            let leave = Leave::always();
            let outcome = effects.perform(effect.clone(), leave.clone()).await;
            assert_eq!(outcome.ended, Ended::Succeeded, "{outcome:?}");
            // No connection has to be made but for the first; what was begun is not asked about again.
            let new = position == 0 && !again;
            assert_eq!(leave.asked(), if new { 3 } else { 2 }, "{}", effect.spec);
        }
    }
    drop(effects);
    let received = target.connection().await;
    let requests: Vec<_> = requests(&received).collect();
    assert_eq!(requests.len(), 2 * acts().len(), "each arrived once");
    for ((effect, body), twice) in acts().iter().zip(requests.chunks(2)) {
        for (head, got) in twice {
            let expected = (!body.is_empty()).then(|| body.len().to_string());
            assert_eq!(length(head), expected.as_deref(), "{}: {head}", effect.spec);
            assert!(!head.contains("transfer-encoding"), "{head}");
            assert_eq!(got, body);
        }
    }
}
