//! A real HTTP server whose paths say how it misbehaves; it logs every request it received.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// One request as it came.
#[derive(Clone, Debug, Default)]
pub struct Received {
    pub line: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Received {
    pub fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|header| header.0 == name);
        header.map(|header| header.1.as_str())
    }
}

pub struct Server {
    pub address: SocketAddr,
    log: Arc<Mutex<Vec<Received>>>,
}

impl Server {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&log);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&seen)));
            }
        });
        Self { address, log }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn received(&self) -> Vec<Received> {
        self.log.lock().unwrap().clone()
    }

    /// The only request it received.
    pub fn only(&self) -> Received {
        let received = self.received();
        assert_eq!(received.len(), 1, "{received:?}");
        received[0].clone()
    }
}

/// An address that nobody listens on.
pub async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

async fn serve(mut stream: TcpStream, log: Arc<Mutex<Vec<Received>>>) {
    let Some(request) = read(&mut stream).await else {
        return;
    };
    let path = request
        .line
        .split(' ')
        .nth(1)
        .unwrap_or_default()
        .to_owned();
    log.lock().unwrap().push(request);
    let answer = match path.split('?').next().unwrap_or_default() {
        "/silent" => return std::future::pending().await,
        "/reset" => return,
        "/cut" => "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"half\":".to_owned(),
        "/garbage" => "SSH-2.0-OpenSSH_9.6\r\n".to_owned(),
        "/text" => whole("200 OK", "", "all <b>good</b>"),
        "/empty" => "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n".to_owned(),
        "/number" => whole("200 OK", "", "1e999"),
        "/deep" => whole(
            "200 OK",
            "",
            &format!("{}{}", "[".repeat(5_000), "]".repeat(5_000)),
        ),
        "/huge" => whole("200 OK", "", &format!("\"{}\"", "x".repeat(3 << 20))),
        "/missing" => whole("404 Not Found", "", "{\"error\":\"no such\nthing\"}"),
        "/busy" => whole("503 Service Unavailable", "retry-after: 1\r\n", "later"),
        "/here" => whole("307 Temporary Redirect", "location: /json\r\n", ""),
        "/there" => whole("302 Found", "location: http://localhost:1/json\r\n", ""),
        "/round" => whole("302 Found", "location: /round\r\n", ""),
        _ => whole(
            "200 OK",
            "content-type: application/json\r\n",
            "{\"ok\":true}",
        ),
    };
    // A client that has seen enough closes first.
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

fn whole(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

async fn read(stream: &mut TcpStream) -> Option<Received> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.lines();
    let line = lines.next()?.to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers.iter().find(|header| header.0 == "content-length");
    let length = length.map_or(0, |header| header.1.parse().unwrap());
    while bytes.len() < end + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let body = String::from_utf8_lossy(&bytes[end..]).into_owned();
    Some(Received {
        line,
        headers,
        body,
    })
}
