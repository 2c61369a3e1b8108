//! The routes, and what they share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde_json::json;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::access::Access;
use crate::board::Board;
use crate::log::Log;
use crate::metrics::{Metrics, Route};
use crate::problem::{Kind, Problem};
use crate::{ingest, knowledge, people};

/// What every request sees.
pub(crate) struct App {
    pub(crate) access: Access,
    pub(crate) log: Log,
    pub(crate) board: Arc<Board>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) body_timeout: Duration,
    pub(crate) max_knowledge_bytes: usize,
    /// Held by whoever publishes knowledge.
    pub(crate) publishing: tokio::sync::Mutex<()>,
    pub(crate) in_flight: Semaphore,
    pub(crate) health: Health,
}

/// Whether requests can be served.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// What keeps Kafka from taking records; nothing if it would. Unknown before the first look.
    kafka: Mutex<Option<Result<(), String>>>,
    stopping: AtomicBool,
}

impl Health {
    /// Notes how Kafka is.
    pub(crate) fn kafka(&self, state: Result<(), String>) {
        let mut kafka = self.kafka.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(reason) = &state
            && !matches!(&*kafka, Some(Err(before)) if before == reason)
        {
            tracing::warn!(reason, "requests cannot be served");
        }
        *kafka = Some(state);
    }

    /// Notes that the gateway is about to stop: load balancers are to look elsewhere.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    fn hindrances(&self, board: &Board) -> Vec<String> {
        let kafka = self.kafka.lock().unwrap_or_else(PoisonError::into_inner);
        let mut hindrances = Vec::new();
        match &*kafka {
            None => hindrances.push("Kafka has not been asked yet".to_owned()),
            Some(Err(reason)) => hindrances.push(reason.clone()),
            Some(Ok(())) => {}
        }
        if !board.is_complete() {
            hindrances.push(
                "the topics switches and knowledge have not been read to their end".to_owned(),
            );
        }
        if self.stopping.load(Ordering::Acquire) {
            hindrances.push("the gateway is stopping".to_owned());
        }
        hindrances
    }
}

impl App {
    /// A place among the requests that are worked on, so that bodies cannot fill the memory.
    pub(crate) fn place(&self) -> Result<SemaphorePermit<'_>, Problem> {
        self.in_flight.try_acquire().map_err(|_| {
            Problem::new(
                Kind::Busy,
                "too many requests are worked on; come again, or raise gateway.max_requests_in_flight",
            )
        })
    }
}

/// Every route.
pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/v1/alerts/{source}", post(ingest::alerts))
        .route("/v1/logs/{service}", post(ingest::logs))
        .route("/v1/control", post(people::control))
        .route("/v1/switches", get(people::switches))
        .route("/v1/switches/{*name}", put(people::switch))
        .route(
            "/v1/knowledge",
            get(knowledge::list).post(knowledge::publish),
        )
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .fallback(|| async { Problem::new(Kind::NotFound, "there is no such route") })
        .method_not_allowed_fallback(|| async {
            Problem::new(
                Kind::Method,
                "the route has another method; see the Allow header",
            )
        })
        .layer(from_fn_with_state(Arc::clone(&app), counted))
        .with_state(app)
}

/// Counts the answer, and the refusal if it is one. What the framework refuses by itself becomes a problem too.
async fn counted(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let route = Route::of(request.uri().path());
    let mut response = next.run(request).await;
    let kind = response.extensions().get::<Kind>().copied();
    let kind = match kind {
        None if response.status() == StatusCode::BAD_REQUEST => {
            response = Problem::new(Kind::Malformed, "the path is not UTF-8").into_response();
            Some(Kind::Malformed)
        }
        kind => kind,
    };
    if let Some(kind) = kind {
        tracing::info!(?route, kind = kind.name(), "request refused");
    }
    app.metrics.answered(route, response.status(), kind);
    response
}

async fn readyz(State(app): State<Arc<App>>) -> Response {
    let hindrances = app.health.hindrances(&app.board);
    let status = if hindrances.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let ready = hindrances.is_empty();
    (
        status,
        Json(json!({"ready": ready, "hindrances": hindrances})),
    )
        .into_response()
}

async fn metrics(State(app): State<Arc<App>>) -> impl IntoResponse {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(CONTENT_TYPE, OPEN_METRICS)], app.metrics.text())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::Topic;

    #[test]
    fn what_keeps_the_gateway_from_serving_is_named() {
        let health = Health::default();
        let board = Board::default();
        assert_eq!(health.hindrances(&board).len(), 2);
        health.kafka(Err("no broker".to_owned()));
        assert!(health.hindrances(&board)[0].contains("no broker"));
        health.kafka(Ok(()));
        board.read_to_end(Topic::Switches);
        board.read_to_end(Topic::Knowledge);
        assert!(health.hindrances(&board).is_empty());
        health.stop();
        assert!(health.hindrances(&board)[0].contains("stopping"));
    }
}
