//! Bodies: bounded before they are read, and in time.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;

use crate::problem::{Kind, Problem};

/// Refuses a body that says itself that it is too long, before a byte of it is read.
pub(crate) fn check_length(body: &Body, limit: usize) -> Result<(), Problem> {
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large(limit));
    }
    Ok(())
}

/// Reads a body to its end, or to the limit, or until the time is over.
pub(crate) async fn read(body: Body, limit: usize, time: Duration) -> Result<Bytes, Problem> {
    check_length(&body, limit)?;
    match tokio::time::timeout(time, read_to(body, limit)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Problem::new(
            Kind::Slow,
            format!("the body did not arrive within {} ms", time.as_millis()),
        )),
    }
}

async fn read_to(mut body: Body, limit: usize) -> Result<Bytes, Problem> {
    let mut read = Vec::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let frame = frame.map_err(|error| {
            Problem::new(
                Kind::Malformed,
                format!("the body could not be read: {error}"),
            )
        })?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if read.len() + data.len() > limit {
            return Err(too_large(limit));
        }
        if read.is_empty() && body.is_end_stream() {
            return Ok(data);
        }
        read.extend_from_slice(&data);
    }
    Ok(read.into())
}

/// The media type that a request names.
pub(crate) fn content_type(headers: &HeaderMap) -> Option<&str> {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
}

/// Refuses what is not called JSON. A body without a type is refused too: a browser can be made to send one
/// anywhere.
pub(crate) fn check_json(headers: &HeaderMap) -> Result<&str, Problem> {
    let named = content_type(headers).unwrap_or_default();
    let essence = named
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    if matches!(essence.as_str(), "application/json" | "text/json") || essence.ends_with("+json") {
        return Ok(named);
    }
    Err(Problem::new(
        Kind::ContentType,
        "only JSON is taken here; send `Content-Type: application/json`",
    ))
}

fn too_large(limit: usize) -> Problem {
    Problem::new(
        Kind::TooLarge,
        format!(
            "at most {limit} bytes are taken; send less at once (Alertmanager: max_alerts), or raise \
             max_body_bytes together with Kafka's max.message.bytes"
        ),
    )
    .with("limit", limit.into())
}
