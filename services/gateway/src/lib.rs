//! HTTP in: alerts and logs from sources, commands from people. Everything that is answered with success is on
//! Kafka, acknowledged by every replica in sync.
//!
//! | route | who | what |
//! |---|---|---|
//! | `POST /v1/alerts/{source}` | the source | a payload, as it is, onto `raw-alerts`; 202 |
//! | `POST /v1/logs/{service}` | a source with `log_services` | lines onto `raw-logs`; 202 |
//! | `POST /v1/control` | a person with `operate` | a command onto `control`; 202 |
//! | `GET /v1/switches` | any person | every switch |
//! | `PUT /v1/switches/{name}` | a person with `operate` | a switch onto `switches` |
//! | `GET /v1/knowledge` | any person | what is in force and what was published |
//! | `POST /v1/knowledge` | a person with `publish` | a set onto `knowledge`, if it has no mistake |
//! | `GET /healthz`, `/readyz`, `/metrics` | anybody | the process, its dependencies, its numbers |
//!
//! Refusals are RFC 9457 problems and are counted. Who may come again gets a 503 with `Retry-After`, never a 429:
//! Alertmanager repeats after the one and gives up after the other.

mod access;
mod app;
mod board;
mod body;
mod config;
mod ingest;
mod knowledge;
mod limit;
mod log;
pub mod metrics;
mod people;
mod problem;
mod reader;
mod secret;
mod server;
mod trace;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use prunella_topology::{Prefix, topics};
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::access::Access;
use crate::app::{App, Health};
use crate::board::{Board, Topic};
use crate::log::Log;
use crate::metrics::Metrics;
use crate::reader::Reader;
use crate::server::Bounds;

pub use config::{GatewayConfig, GatewayError, PersonConfig, Role, SourceConfig};
pub use secret::{Secret, TokenError};

/// How often Kafka is asked how it is.
const LOOK: Duration = Duration::from_secs(2);
/// How long it may take to answer that.
const LOOK_TIMEOUT: Duration = Duration::from_secs(3);

/// Serves until `shutdown`, then finishes what is under way.
///
/// `kafka` holds what every client needs (bootstrap servers, security); what the gateway's producer and readers
/// need besides is set here.
///
/// # Errors
/// [`GatewayError`] if it cannot start.
pub async fn serve(
    config: GatewayConfig,
    kafka: ClientConfig,
    prefix: Prefix,
    shutdown: impl Future<Output = ()>,
) -> Result<(), GatewayError> {
    let gateway = Gateway::bind(config, kafka, prefix).await?;
    gateway.run(shutdown).await;
    Ok(())
}

/// A gateway that listens and does not serve yet.
pub struct Gateway {
    app: Arc<App>,
    listener: TcpListener,
    address: SocketAddr,
    bounds: Bounds,
    threads: Threads,
}

impl Gateway {
    /// Reads every token, makes the Kafka clients and listens.
    ///
    /// # Errors
    /// [`GatewayError`] if the configuration, a token, the Kafka settings or the address are refused.
    pub async fn bind(
        config: GatewayConfig,
        kafka: ClientConfig,
        prefix: Prefix,
    ) -> Result<Self, GatewayError> {
        config.check()?;
        let access = Access::new(&config)?;
        let refuse = |reason| GatewayError::Listen {
            address: config.listen,
            reason,
        };
        let listener = TcpListener::bind(config.listen).await.map_err(refuse)?;
        let address = listener.local_addr().map_err(refuse)?;
        if access.is_open() {
            tracing::warn!(
                %address,
                "NO TOKENS ARE CONFIGURED: everybody on this machine may send alerts, throw switches and publish \
                 knowledge. Configure [gateway.sources.NAME] and [gateway.people.NAME] for anything but a try"
            );
        }
        let metrics = Arc::new(Metrics::new());
        let board = Arc::new(Board::default());
        let ack_timeout = Duration::from_millis(config.ack_timeout_ms);
        let largest = config.largest_body();
        let log = Log::new(
            &kafka,
            prefix.clone(),
            largest,
            ack_timeout,
            Arc::clone(&metrics),
        )?;
        let readers = [Topic::Switches, Topic::Knowledge]
            .map(|topic| Reader::new(&kafka, &prefix, topic, Arc::clone(&board)));
        let app = Arc::new(App {
            access,
            log,
            board,
            metrics,
            body_timeout: Duration::from_millis(config.body_timeout_ms),
            max_knowledge_bytes: config.max_knowledge_bytes,
            publishing: tokio::sync::Mutex::default(),
            in_flight: Semaphore::new(config.max_requests_in_flight),
            health: Health::default(),
        });
        let mut threads = Threads::default();
        for reader in readers {
            let reader = reader?;
            threads.start("gateway-reader", move |stop| reader.run(stop))?;
        }
        let watched = Arc::clone(&app);
        threads.start("gateway-watch", move |stop| watch(&watched, stop))?;
        Ok(Self {
            app,
            listener,
            address,
            bounds: Bounds {
                connections: config.max_connections,
                head: Duration::from_millis(config.header_timeout_ms),
                drain: Duration::from_millis(config.drain_timeout_ms),
            },
            threads,
        })
    }

    /// Where it listens: the configured address, with the port that the system chose if that was 0.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown`, then finishes what is under way.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let Self {
            app,
            listener,
            address,
            bounds,
            mut threads,
        } = self;
        tracing::info!(%address, "the gateway serves");
        let stopping = Arc::clone(&app);
        let shutdown = async move {
            shutdown.await;
            stopping.health.stop();
        };
        let router = app::router(Arc::clone(&app));
        let open = app.metrics.connections.clone();
        server::serve(listener, router, bounds, open, shutdown).await;
        let ended = tokio::task::spawn_blocking(move || {
            app.log.flush(bounds.drain);
            threads.stop();
        });
        if ended.await.is_err() {
            tracing::error!("the gateway did not end in order; please report it");
        }
        tracing::info!("the gateway has stopped");
    }
}

/// Threads that run until they are told to stop.
#[derive(Default)]
struct Threads {
    stop: Arc<AtomicBool>,
    running: Vec<JoinHandle<()>>,
}

impl Threads {
    fn start(
        &mut self,
        name: &str,
        work: impl FnOnce(&AtomicBool) + Send + 'static,
    ) -> Result<(), GatewayError> {
        let stop = Arc::clone(&self.stop);
        let thread = std::thread::Builder::new().name(name.to_owned());
        let thread = thread
            .spawn(move || work(&stop))
            .map_err(GatewayError::Thread)?;
        self.running.push(thread);
        Ok(())
    }

    /// Tells all of them and waits for them.
    fn stop(&mut self) {
        self.stop.store(true, Ordering::Release);
        for thread in self.running.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the gateway panicked; please report it");
            }
        }
    }
}

/// A gateway that is dropped unserved leaves no thread behind that nobody can stop.
impl Drop for Threads {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

/// Asks Kafka again and again how it is.
fn watch(app: &App, stop: &AtomicBool) {
    const STEP: Duration = Duration::from_millis(100);
    while !stop.load(Ordering::Acquire) {
        let state = app.log.check(topics::RAW_ALERTS, LOOK_TIMEOUT);
        // Right after the start, the next look follows at once.
        let pause = if state.is_ok() { LOOK } else { STEP };
        app.health.kafka(state);
        let mut waited = Duration::ZERO;
        while waited < pause && !stop.load(Ordering::Acquire) {
            std::thread::sleep(STEP);
            waited += STEP;
        }
    }
}

/// Passes librdkafka's log on. What it calls an error often heals by itself: a broker that went away.
fn report(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            tracing::error!(facility, message, "librdkafka");
        }
        RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning => {
            tracing::debug!(facility, message, "librdkafka");
        }
        _ => tracing::trace!(facility, message, "librdkafka"),
    }
}
