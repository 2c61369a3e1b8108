//! As much of a schema registry as producers and consumers need, and one that can be away.

use std::collections::BTreeMap;
use std::io::{BufReader, Result, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use crate::http::{Message, read_message};

/// A server that keeps schemas under ids, the first of them 1. It ends with the process.
pub struct SchemaRegistry {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    schemas: BTreeMap<u32, String>,
    subjects: BTreeMap<String, u32>,
    /// Whether connections are closed without an answer.
    away: bool,
}

impl SchemaRegistry {
    /// Starts it, empty.
    ///
    /// # Errors
    /// If it cannot listen.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let state = Arc::new(Mutex::new(State::default()));
        let served = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&served);
                // A connection that breaks is the client's to notice.
                std::thread::spawn(move || serve(&state, &stream));
            }
        });
        Ok(Self { address, state })
    }

    /// Its address as a URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The id under which a subject's schema was registered last.
    #[must_use]
    pub fn id(&self, subject: &str) -> Option<u32> {
        lock(&self.state).subjects.get(subject).copied()
    }

    /// Keeps a schema under an id of the caller's choice, as if another producer had registered it.
    pub fn keep(&self, id: u32, schema: &str) {
        lock(&self.state).schemas.insert(id, schema.to_owned());
    }

    /// Stops answering, or answers again.
    pub fn set_away(&self, away: bool) {
        lock(&self.state).away = away;
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(state: &Mutex<State>, stream: &TcpStream) -> Option<()> {
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_message(&mut reader).ok()? {
        let (status, body) = answer(&mut lock(state), &request)?;
        let length = body.len();
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}");
        (&mut &*stream).write_all(answer.as_bytes()).ok()?;
    }
    Some(())
}

/// Nothing while it is away.
fn answer(state: &mut State, request: &Message) -> Option<(&'static str, String)> {
    if state.away {
        return None;
    }
    let mut words = request.start.split(' ');
    let path: Vec<&str> = words.nth(1)?.split('/').skip(1).collect();
    let found = match path.as_slice() {
        ["subjects"] => Some(json!(state.subjects.keys().collect::<Vec<_>>())),
        ["subjects", subject, "versions"] => {
            let body: Value = serde_json::from_slice(&request.body).ok()?;
            let schema = body["schema"].as_str()?;
            let known = state.schemas.iter().find(|(_, known)| *known == schema);
            let id = known.map_or(state.schemas.len() as u32 + 1, |(id, _)| *id);
            state.schemas.insert(id, schema.to_owned());
            state.subjects.insert((*subject).to_owned(), id);
            Some(json!({ "id": id }))
        }
        ["schemas", "ids", id] => {
            let schema = id.parse().ok().and_then(|id| state.schemas.get(&id));
            schema.map(|schema| json!({ "schema": schema }))
        }
        _ => None,
    };
    Some(found.map_or_else(
        || {
            let no = json!({ "error_code": 40403, "message": "Schema not found" });
            ("404 Not Found", no.to_string())
        },
        |found| ("200 OK", found.to_string()),
    ))
}
