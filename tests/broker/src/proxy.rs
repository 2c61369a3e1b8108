//! A proxy between clients and one broker on loopback, which can hold messages back, lose them, and fall silent.
//!
//! It reads no more of the protocol than heads: the kind of each request, and the number that an answer has in
//! common with its request. The broker tells its clients its own address; where an answer names it, the proxy puts
//! its own port: both are numbers of four bytes, so no length changes.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Longest wait for a request.
const PATIENCE: Duration = Duration::from_secs(90);
/// How a broker on loopback names its host.
const HOST: &[u8] = b"127.0.0.1";

/// Kind of a request: Kafka's own numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Api(pub i16);

impl Api {
    /// Records for topics.
    pub const PRODUCE: Self = Self(0);
    /// Who leads which partition.
    pub const METADATA: Self = Self(3);
    /// Who coordinates a group or a transactional id.
    pub const FIND_COORDINATOR: Self = Self(10);
    /// A member of a group is alive.
    pub const HEARTBEAT: Self = Self(12);
    /// A producer begins, and fences who had its id before.
    pub const INIT_PRODUCER_ID: Self = Self(22);
    /// A transaction commits or aborts.
    pub const END_TXN: Self = Self(26);
}

/// What gets lost; the connection breaks either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The broker never sees the request.
    Request,
    /// The broker does what it was asked to, and nobody learns of it.
    Answer,
}

/// A running proxy. It ends with the process.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    broker: SocketAddr,
    port: u16,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Nothing passes in either direction; connections stay.
    silent: bool,
    /// Requests of this kind wait, and whatever follows them on their connections.
    held: Option<Api>,
    /// Requests of this kind are lost, so many more times.
    losing: Option<(Api, Lost, usize)>,
    /// Requests that had to wait, by kind.
    waited: BTreeMap<Api, usize>,
    /// What was lost.
    lost: usize,
}

/// One connection: which requests have not been answered, and the answers to lose among them.
struct Connection {
    shared: Arc<Shared>,
    client: TcpStream,
    broker: TcpStream,
    asked: Mutex<BTreeMap<i32, (Api, bool)>>,
}

impl Proxy {
    /// Starts one in front of this broker (`host:port`).
    ///
    /// # Errors
    /// If it cannot listen.
    pub fn start(broker: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            broker: broker.parse().context("the broker's address")?,
            port: address.port(),
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let served = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // A broker that is away closes the connection.
                let _ = Connection::open(&served, client);
            }
        });
        Ok(Self { address, shared })
    }

    /// `host:port`, for clients to begin with.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Lets nothing pass in either direction, or everything again; connections stay.
    pub fn silence(&self, silent: bool) {
        self.change(|state| state.silent = silent);
    }

    /// Holds requests of one kind back, or none any more.
    pub fn hold(&self, held: Option<Api>) {
        self.change(|state| {
            state.held = held;
            state.waited.clear();
        });
    }

    /// Loses the next so many requests of a kind, or their answers.
    pub fn lose(&self, api: Api, what: Lost, times: usize) {
        self.change(|state| state.losing = Some((api, what, times)));
    }

    /// How much has been lost.
    #[must_use]
    pub fn lost(&self) -> usize {
        self.shared.lock().lost
    }

    /// How many requests of a kind have had to wait since holding or silence began.
    #[must_use]
    pub fn waited(&self, api: Api) -> usize {
        let state = self.shared.lock();
        state.waited.get(&api).copied().unwrap_or(0)
    }

    /// Waits until a request of this kind has to wait.
    ///
    /// # Errors
    /// If none comes.
    pub fn wait_for(&self, api: Api) -> Result<()> {
        let give_up = Instant::now() + PATIENCE;
        while self.waited(api) == 0 {
            if Instant::now() > give_up {
                bail!("no request of {api:?} came");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.shared.lock());
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a request of this kind may pass; what is to be lost of it.
    fn admit(&self, api: Api) -> Option<Lost> {
        let mut state = self.lock();
        if state.silent || state.held == Some(api) {
            *state.waited.entry(api).or_default() += 1;
        }
        while state.silent || state.held == Some(api) {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        match &mut state.losing {
            Some((losing, what, times)) if *losing == api && *times > 0 => {
                *times -= 1;
                Some(*what)
            }
            _ => None,
        }
    }

    fn wait_while_silent(&self) {
        let mut state = self.lock();
        while state.silent {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Connection {
    fn open(shared: &Arc<Shared>, client: TcpStream) -> Result<()> {
        let connection = Arc::new(Self {
            shared: Arc::clone(shared),
            broker: TcpStream::connect(shared.broker)?,
            client,
            asked: Mutex::default(),
        });
        connection.client.set_nodelay(true)?;
        connection.broker.set_nodelay(true)?;
        let other = Arc::clone(&connection);
        std::thread::spawn(move || {
            connection.requests();
            connection.cut();
        });
        std::thread::spawn(move || {
            other.answers();
            other.cut();
        });
        Ok(())
    }

    fn cut(&self) {
        // It may be closed already.
        let _ = self.client.shutdown(Shutdown::Both);
        let _ = self.broker.shutdown(Shutdown::Both);
    }

    /// Until the connection ends.
    fn requests(&self) -> Option<()> {
        loop {
            let frame = read_frame(&self.client)?;
            // Kind, its version, and the number that the answer will bear.
            let api = Api(i16::from_be_bytes(frame.get(4..6)?.try_into().ok()?));
            let number = i32::from_be_bytes(frame.get(8..12)?.try_into().ok()?);
            let lost = self.shared.admit(api);
            if lost == Some(Lost::Request) {
                self.shared.lock().lost += 1;
                return None;
            }
            let entry = (api, lost == Some(Lost::Answer));
            self.asked().insert(number, entry);
            (&self.broker).write_all(&frame).ok()?;
        }
    }

    /// Until the connection ends.
    fn answers(&self) -> Option<()> {
        loop {
            let mut frame = read_frame(&self.broker)?;
            self.shared.wait_while_silent();
            let number = i32::from_be_bytes(frame.get(4..8)?.try_into().ok()?);
            let asked = self.asked().remove(&number);
            if let Some((_, true)) = asked {
                self.shared.lock().lost += 1;
                return None;
            }
            if let Some((Api::METADATA | Api::FIND_COORDINATOR, _)) = asked {
                redirect(&mut frame, self.shared.broker.port(), self.shared.port);
            }
            (&self.client).write_all(&frame).ok()?;
        }
    }

    fn asked(&self) -> MutexGuard<'_, BTreeMap<i32, (Api, bool)>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A message with its length before it; nothing if the connection has ended.
fn read_frame(mut stream: &TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let size = usize::try_from(i32::from_be_bytes(length)).ok()?;
    let mut frame = vec![0; 4 + size];
    frame[..4].copy_from_slice(&length);
    stream.read_exact(&mut frame[4..]).ok()?;
    Some(frame)
}

/// Puts one port in the place of another wherever an address of this host has it.
fn redirect(answer: &mut [u8], from: u16, to: u16) {
    let (from, to) = (u32::from(from).to_be_bytes(), u32::from(to).to_be_bytes());
    let length = HOST.len() + from.len();
    for place in 0..(answer.len() + 1).saturating_sub(length) {
        let (host, port) = answer[place..place + length].split_at_mut(HOST.len());
        if host == HOST && port == from {
            port.copy_from_slice(&to);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_brokers_own_port_is_replaced() {
        let check = |port: u32, expected: u32| {
            let address = |port: u32| [&b"\x0a"[..], HOST, &port.to_be_bytes(), b"rest"].concat();
            let mut answer = address(port);
            redirect(&mut answer, 9092, 15_000);
            assert_eq!(answer, address(expected), "{port}");
        };
        check(9092, 15_000);
        check(9093, 9093);
        redirect(&mut [], 9092, 15_000);
        let mut end = [HOST, &9092_u32.to_be_bytes()].concat();
        redirect(&mut end, 9092, 15_000);
        assert!(end.ends_with(&15_000_u32.to_be_bytes()));
    }
}
