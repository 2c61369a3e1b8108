//! The demo's patient: a small HTTP service whose connection pool leaks.
//!
//! Every request for work borrows a connection. A bug, real enough: one request in a few never gives its
//! connection back, so under traffic the pool runs dry and requests wait in vain. Restarting the pool through
//! the admin endpoint closes every connection and opens new ones. The bug comes with a cache that warms up: once
//! restarted the pool leaks no more, as a process does after its bad deployment was rolled back.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use clap::Args;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Run the demo's patient.
#[derive(Args, Debug)]
pub struct PatientArguments {
    /// Where to listen; port 0 takes a free one. The address is the first line of the output.
    #[arg(long)]
    listen: String,
    /// Gets a line for every request received: time, method, path, idempotency key. Nothing is left out.
    #[arg(long)]
    log: PathBuf,
}

/// Connections of the pool.
const CONNECTIONS: usize = 8;
/// One request in so many keeps its connection.
const LEAK_EVERY: u64 = 12;
/// How long a request waits for a connection.
const WAIT: Duration = Duration::from_millis(50);
/// How long the work takes.
const WORK: Duration = Duration::from_millis(2);

struct Patient {
    /// The pool; a restart replaces it.
    pool: Mutex<Arc<Semaphore>>,
    leaks: AtomicBool,
    requests: AtomicU64,
    restarts: Mutex<BTreeSet<String>>,
    log: Mutex<File>,
}

impl Patient {
    fn pool(&self) -> Arc<Semaphore> {
        Arc::clone(&lock(&self.pool))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Serves until the process ends.
///
/// # Errors
/// An address or a log file that cannot be.
pub async fn run(arguments: PatientArguments) -> Result<()> {
    let patient = Arc::new(Patient {
        pool: Mutex::new(Arc::new(Semaphore::new(CONNECTIONS))),
        leaks: AtomicBool::new(true),
        requests: AtomicU64::new(0),
        restarts: Mutex::default(),
        log: Mutex::new(
            OpenOptions::new()
                .create(true)
                .append(true)
                .open(&arguments.log)?,
        ),
    });
    let router = Router::new()
        .route("/work", get(work))
        .route("/health", get(health))
        .route("/admin/pool/restart", post(restart))
        .route("/admin/restarts/{key}", get(restarted))
        .layer(from_fn_with_state(Arc::clone(&patient), note))
        .with_state(patient);
    let listener = TcpListener::bind(&arguments.listen).await?;
    println!("{}", listener.local_addr()?);
    std::io::stdout().flush()?;
    Ok(axum::serve(listener, router).await?)
}

/// Writes every request down before anything is done about it.
async fn note(State(patient): State<Arc<Patient>>, request: Request, next: Next) -> Response {
    let key = key_of(&request).unwrap_or_default();
    let line = format!(
        "{} {} {} {key}\n",
        prunella_runtime::wall_millis(),
        request.method(),
        request.uri()
    );
    if lock(&patient.log).write_all(line.as_bytes()).is_err() {
        tracing::error!("the request log cannot be written");
    }
    next.run(request).await
}

fn key_of(request: &Request) -> Option<String> {
    let value = request.headers().get("idempotency-key")?;
    value.to_str().ok().map(str::to_owned)
}

async fn work(State(patient): State<Arc<Patient>>) -> StatusCode {
    let pool = patient.pool();
    let Ok(Ok(connection)) = tokio::time::timeout(WAIT, pool.acquire_owned()).await else {
        return StatusCode::SERVICE_UNAVAILABLE;
    };
    tokio::time::sleep(WORK).await;
    let number = patient.requests.fetch_add(1, Ordering::Relaxed);
    if patient.leaks.load(Ordering::Relaxed) && number % LEAK_EVERY == LEAK_EVERY - 1 {
        // The bug: this connection is never given back.
        connection.forget();
    }
    StatusCode::OK
}

async fn health(State(patient): State<Arc<Patient>>) -> (StatusCode, Json<Value>) {
    let free = patient.pool().available_permits();
    let is_healthy = free > 0;
    let status = if is_healthy {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let body =
        json!({ "is_healthy": is_healthy, "pool_size": CONNECTIONS, "in_use": CONNECTIONS - free });
    (status, Json(body))
}

async fn restart(State(patient): State<Arc<Patient>>, request: Request) -> Json<Value> {
    if let Some(key) = key_of(&request) {
        lock(&patient.restarts).insert(key);
    }
    *lock(&patient.pool) = Arc::new(Semaphore::new(CONNECTIONS));
    patient.leaks.store(false, Ordering::Relaxed);
    Json(json!({ "restarted": true, "pool_size": CONNECTIONS }))
}

/// Whether a restart under this key was done: what a prober asks.
async fn restarted(State(patient): State<Arc<Patient>>, Path(key): Path<String>) -> StatusCode {
    if lock(&patient.restarts).contains(&key) {
        StatusCode::OK
    } else {
        StatusCode::NOT_FOUND
    }
}
