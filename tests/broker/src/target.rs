//! The HTTP target of the playbooks: it writes down every request and dedups nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufReader, Result, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::http::{Message, read_message};

/// A request that the target received whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Method and path.
    pub line: String,
    /// Its `Idempotency-Key`.
    pub key: Option<String>,
}

/// A server that takes `POST /act` for done as soon as it has read it, and says under `GET /done/KEY`,
/// truthfully, whether it has. It ends with the process.
pub struct Target {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// How long an answer takes.
    delay: Duration,
}

#[derive(Default)]
struct State {
    log: Vec<Hit>,
    done: BTreeSet<String>,
    /// Whether answers to `POST` are held back.
    held: bool,
}

impl Target {
    /// Starts it. Each answer to a `POST` takes so long.
    ///
    /// # Errors
    /// If it cannot listen.
    pub fn start(delay: Duration) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
            delay,
        });
        let served = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&served);
                // A connection that breaks is the client's to notice.
                std::thread::spawn(move || shared.serve(&stream));
            }
        });
        Ok(Self { address, shared })
    }

    /// Its address as a URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every request that came with a key, by key: how often.
    #[must_use]
    pub fn keys(&self) -> BTreeMap<String, usize> {
        let mut keys = BTreeMap::new();
        for key in self
            .shared
            .lock()
            .log
            .iter()
            .filter_map(|hit| hit.key.clone())
        {
            *keys.entry(key).or_default() += 1;
        }
        keys
    }

    /// How many requests were probes.
    #[must_use]
    pub fn probes(&self) -> usize {
        let state = self.shared.lock();
        state
            .log
            .iter()
            .filter(|hit| hit.line.starts_with("GET /done/"))
            .count()
    }

    /// How many `POST`s have been received.
    #[must_use]
    pub fn posts(&self) -> usize {
        let state = self.shared.lock();
        state
            .log
            .iter()
            .filter(|hit| hit.line.starts_with("POST "))
            .count()
    }

    /// Holds answers to `POST`s back, or lets them go. What is held is done all the same.
    pub fn hold(&self, held: bool) {
        self.shared.lock().held = held;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, stream: &TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream);
        while let Some(request) = read_message(&mut reader).ok()? {
            let status = self.answer(&request);
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
            (&mut &*stream).write_all(answer.as_bytes()).ok()?;
        }
        Some(())
    }

    fn answer(&self, request: &Message) -> &'static str {
        let line = request
            .start
            .strip_suffix(" HTTP/1.1")
            .unwrap_or(&request.start)
            .to_owned();
        let key = request.headers.get("idempotency-key").cloned();
        let mut state = self.lock();
        state.log.push(Hit {
            line: line.clone(),
            key: key.clone(),
        });
        if let Some(key) = line.strip_prefix("GET /done/") {
            return if state.done.contains(key) {
                "200 OK"
            } else {
                "404 Not Found"
            };
        }
        state.done.extend(key);
        drop(state);
        std::thread::sleep(self.delay);
        let mut state = self.lock();
        while state.held {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        "200 OK"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::request;

    #[test]
    fn every_request_is_written_down_and_a_probe_tells_the_truth() {
        let target = Target::start(Duration::ZERO).unwrap();
        let address = target.address.to_string();
        let ask = |line: &str, headers: &[(&str, &str)]| {
            request(&address, line, headers, b"").unwrap().status()
        };
        assert_eq!(ask("GET /done/k", &[]), 404);
        assert_eq!(ask("POST /act", &[("idempotency-key", "k")]), 200);
        assert_eq!(ask("POST /act", &[("idempotency-key", "k")]), 200);
        assert_eq!(ask("GET /done/k", &[]), 200);
        assert_eq!(target.keys(), BTreeMap::from([("k".to_owned(), 2)]));
        assert_eq!((target.probes(), target.posts()), (2, 2));
    }
}
