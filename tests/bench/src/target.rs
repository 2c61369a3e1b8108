//! The HTTP server that actions go to: it answers at once and remembers every idempotency key it was sent.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Runs until the process ends.
pub struct Target {
    /// Where it listens.
    pub address: SocketAddr,
    calls: Arc<Mutex<BTreeMap<String, u32>>>,
}

/// How often keys were seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// Different keys.
    pub keys: u64,
    /// Calls beyond the first of their key, or without any.
    pub repeated: u64,
}

const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";

impl Target {
    /// Starts it on a thread of its own.
    ///
    /// # Errors
    /// If no port is free.
    pub fn start() -> Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let calls = Arc::new(Mutex::new(BTreeMap::new()));
        let seen = Arc::clone(&calls);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        std::thread::Builder::new()
            .name("target".to_owned())
            .spawn(move || runtime.block_on(serve(listener, seen)))
            .context("the thread of the HTTP server")?;
        Ok(Self { address, calls })
    }

    /// What was called since the last look.
    #[must_use]
    pub fn take_calls(&self) -> Calls {
        let calls = std::mem::take(&mut *self.calls.lock().unwrap_or_else(PoisonError::into_inner));
        let nameless = u64::from(calls.get("").copied().unwrap_or(0));
        let keys = calls.keys().filter(|key| !key.is_empty()).count() as u64;
        let all: u64 = calls.values().map(|count| u64::from(*count)).sum();
        Calls {
            keys,
            repeated: nameless + (all - nameless - keys),
        }
    }
}

async fn serve(listener: std::net::TcpListener, seen: Arc<Mutex<BTreeMap<String, u32>>>) {
    let Ok(listener) = TcpListener::from_std(listener) else {
        return;
    };
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer_all(stream, Arc::clone(&seen)));
        }
    }
}

async fn answer_all(mut stream: TcpStream, seen: Arc<Mutex<BTreeMap<String, u32>>>) {
    let _ = stream.set_nodelay(true);
    let mut bytes = Vec::with_capacity(4_096);
    loop {
        while let Some((length, key)) = request(&bytes) {
            *seen
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .entry(key)
                .or_default() += 1;
            bytes.drain(..length);
            if stream.write_all(ANSWER).await.is_err() {
                return;
            }
        }
        match stream.read_buf(&mut bytes).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

/// Length and idempotency key of the first request, once all of it is there.
fn request(bytes: &[u8]) -> Option<(usize, String)> {
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&bytes[..head]).unwrap_or_default();
    let header = |name: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once(':'));
        lines
            .find(|(candidate, _)| candidate.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    };
    let body: usize = header("content-length")
        .and_then(|length| length.parse().ok())
        .unwrap_or(0);
    let key = header("idempotency-key").unwrap_or_default().to_owned();
    (bytes.len() >= head + body).then_some((head + body, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_once_all_of_it_is_there() {
        let whole =
            b"POST /act HTTP/1.1\r\nIdempotency-Key: k1\r\nContent-Length: 3\r\n\r\nabcGET /";
        assert_eq!(request(whole), Some((whole.len() - 5, "k1".to_owned())));
        assert_eq!(request(&whole[..whole.len() - 6]), None);
        assert_eq!(request(b"GET / HTTP/1.1\r\n"), None);
    }

    #[test]
    fn a_key_that_comes_twice_is_counted() {
        let target = Target::start().unwrap();
        for (key, times) in [("a", 1), ("b", 3), ("", 1)] {
            target.calls.lock().unwrap().insert(key.to_owned(), times);
        }
        assert_eq!(
            target.take_calls(),
            Calls {
                keys: 2,
                repeated: 3
            }
        );
        assert_eq!(target.take_calls(), Calls::default());
    }
}
