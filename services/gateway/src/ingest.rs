//! Alerts and logs: taken as they are, once Kafka has them.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use prunella_normalizer::{
    CONTENT_TYPE_HEADER, RECEIVED_AT_HEADER, SOURCE_HEADER, Sources, ordering_key,
};
use prunella_stream::Digest;
use prunella_topology::topics;
use serde_json::{Value, json};

use crate::access::Source;
use crate::app::App;
use crate::body::{self, check_json, content_type};
use crate::config::is_name;
use crate::log::Entry;
use crate::problem::{Kind, Problem};
use crate::trace;

/// Answer to what was taken.
type Taken = (StatusCode, Json<Value>);

/// The most lines of one request for logs.
const MAX_LINES: usize = 10_000;
/// The longest ordering key that goes into a record's key as it is; a longer one is replaced by its digest.
const MAX_ORDERING_KEY: usize = 200;

/// `POST /v1/alerts/{source}`: one payload becomes one record, byte for byte.
pub(crate) async fn alerts(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Taken, Problem> {
    let (head, body) = request.into_parts();
    let source = app.access.source(&name, &head.headers)?;
    let media_type = check_json(&head.headers)?;
    let body = admitted(&app, &name, source, body).await?;
    let key = record_key(
        &name,
        &order(&name, media_type, &body, &app.board.sources())?,
    );
    let trace = trace::of(&head.headers);
    let received_at = trace::now().to_string();
    let position = app
        .log
        .append(Entry {
            topic: topics::RAW_ALERTS,
            key: &key,
            value: &body,
            headers: &[
                (SOURCE_HEADER, &name),
                (CONTENT_TYPE_HEADER, media_type),
                (RECEIVED_AT_HEADER, &received_at),
                (trace::TRACEPARENT, &trace),
            ],
        })
        .await?;
    tracing::debug!(
        source = name,
        bytes = body.len(),
        partition = position.partition,
        offset = position.offset,
        trace = trace::id(&trace),
        "alerts taken"
    );
    Ok((
        StatusCode::ACCEPTED,
        Json(json!({
            "topic": topics::RAW_ALERTS,
            "partition": position.partition,
            "offset": position.offset,
            "trace_id": trace::id(&trace),
        })),
    ))
}

/// `POST /v1/logs/{service}`: each line of text or of newline-delimited JSON becomes a record; a body of JSON is
/// one event. All of them or an error: after an error some may be there, and are there twice if sent again.
pub(crate) async fn logs(
    State(app): State<Arc<App>>,
    Path(service): Path<String>,
    request: Request,
) -> Result<Taken, Problem> {
    let (head, body) = request.into_parts();
    let (name, source) = app.access.log_source(&service, &head.headers)?;
    if !is_name(&service) {
        let detail = "a service's name is up to 64 letters, digits, '-', '_' and '.'";
        return Err(Problem::new(Kind::NotFound, detail));
    }
    let media_type = log_type(&head.headers)?;
    let body = admitted(&app, name, source, body).await?;
    let lines = lines(media_type, &body)?;
    let trace = trace::of(&head.headers);
    let received_at = trace::now().to_string();
    let headers = [
        (SOURCE_HEADER, name),
        (CONTENT_TYPE_HEADER, media_type),
        (RECEIVED_AT_HEADER, received_at.as_str()),
        (trace::TRACEPARENT, trace.as_str()),
    ];
    let entries: Vec<Entry<'_>> = lines
        .iter()
        .map(|line| Entry {
            topic: topics::RAW_LOGS,
            key: &service,
            value: line,
            headers: &headers,
        })
        .collect();
    app.log.append_all(&entries).await?;
    tracing::debug!(
        service,
        lines = lines.len(),
        trace = trace::id(&trace),
        "log lines taken"
    );
    Ok((
        StatusCode::ACCEPTED,
        Json(
            json!({"topic": topics::RAW_LOGS, "lines": lines.len(), "trace_id": trace::id(&trace)}),
        ),
    ))
}

/// The body, if the source may send it now. A body that says itself that it is too long is refused before
/// anything else is spent on it.
async fn admitted(
    app: &App,
    name: &str,
    source: &Source,
    body: axum::body::Body,
) -> Result<Bytes, Problem> {
    body::check_length(&body, source.max_body_bytes)?;
    source.take(Instant::now()).map_err(|wait| {
        Problem::new(
            Kind::RateLimited,
            format!("{name} sends more than it may; raise gateway.sources.{name}.requests_per_second if that is meant"),
        )
        .retry_after(wait)
    })?;
    let _place = app.place()?;
    let body = body::read(body, source.max_body_bytes, app.body_timeout).await?;
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(Problem::new(
            Kind::Empty,
            "the body is empty; nothing was taken",
        ));
    }
    Ok(body)
}

/// What keeps the payload in order with others about the same thing. A payload that no description of the
/// source could ever make readable is refused here, for good; any other goes on, if only to be dead-lettered
/// with its reason, where a better description can take it up again.
fn order(name: &str, media_type: &str, body: &[u8], sources: &Sources) -> Result<String, Problem> {
    const HOPELESS: &[&str] = &[
        "duplicate_key",
        "empty",
        "invalid_utf8",
        "malformed_json",
        "nul",
        "number_out_of_range",
        "too_deep",
        "too_large",
        "truncated_json",
    ];
    match ordering_key(name, Some(media_type), body, sources) {
        Ok(key) => Ok(key.unwrap_or_default()),
        Err(rejection) if HOPELESS.contains(&rejection.class.as_ref()) => {
            Err(Problem::new(Kind::Malformed, rejection.detail)
                .with("class", rejection.class.as_ref().into()))
        }
        Err(_) => Ok(String::new()),
    }
}

fn record_key(source: &str, order: &str) -> String {
    if order.len() > MAX_ORDERING_KEY {
        return format!("{source}/{}", Digest::of(&[order.as_bytes()]).hex());
    }
    format!("{source}/{order}")
}

fn log_type(headers: &HeaderMap) -> Result<&'static str, Problem> {
    let named = content_type(headers).unwrap_or_default();
    let essence = named
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    match essence.as_str() {
        "text/plain" => Ok("text/plain"),
        "application/x-ndjson" | "application/jsonl" => Ok("application/x-ndjson"),
        "application/json" => Ok("application/json"),
        _ => Err(Problem::new(
            Kind::ContentType,
            "send log lines as text/plain or application/x-ndjson, or one event as application/json",
        )),
    }
}

fn lines<'a>(media_type: &str, body: &'a [u8]) -> Result<Vec<&'a [u8]>, Problem> {
    if media_type == "application/json" {
        return Ok(vec![body]);
    }
    let lines: Vec<&[u8]> = body
        .split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .filter(|line| !line.is_empty())
        .collect();
    if lines.len() > MAX_LINES {
        let detail = format!("at most {MAX_LINES} lines are taken at once; send less");
        return Err(Problem::new(Kind::TooLarge, detail));
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &[u8], expected: Result<&str, &str>) {
        let sources = Sources::default();
        let seen = order("alertmanager", "application/json", body, &sources);
        match (seen, expected) {
            (Ok(key), Ok(expected)) => assert_eq!(key, expected),
            (Err(problem), Err(class)) => {
                assert_eq!(problem.kind(), Kind::Malformed);
                assert!(format!("{problem:?}").contains(class), "{problem:?}");
            }
            (seen, _) => panic!("{seen:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn what_can_never_be_read_is_refused_and_what_might_be_is_taken() {
        check(br#"{"groupKey": "g", "alerts": []}"#, Ok("g"));
        check(b"[]", Ok(""));
        check(b"{", Err("truncated_json"));
        check(b"\xff", Err("invalid_utf8"));
        check("[".repeat(100_000).as_bytes(), Err("too_deep"));
    }

    #[test]
    fn a_long_ordering_key_is_replaced_by_its_digest() {
        assert_eq!(record_key("zabbix", "7"), "zabbix/7");
        let long = "x".repeat(MAX_ORDERING_KEY + 1);
        assert_eq!(record_key("a", &long).len(), 34);
        assert_eq!(record_key("a", &long), record_key("a", &long));
    }

    #[test]
    fn lines_are_split_and_an_event_is_not() {
        let split = |media_type, body| lines(media_type, body).unwrap();
        assert_eq!(split("text/plain", b"a\r\n\nb\n"), [&b"a"[..], b"b"]);
        assert_eq!(split("application/json", b"{\n}"), [b"{\n}"]);
        assert!(lines("text/plain", &b"a\n".repeat(MAX_LINES + 1)).is_err());
    }
}
