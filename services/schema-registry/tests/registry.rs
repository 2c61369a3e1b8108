//! Against a server that keeps schemas as a registry does, and against a real one if `PRUNELLA_TEST_REGISTRY` has
//! its URL.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use prunella_runtime::{Inbound, Prefixed, Wire};
use prunella_schema_registry::{
    Client, ConfluentFraming, RegistryError, SchemaRegistryConfig, Secret,
};
use prunella_schemas::{AvroRecord, Decision, NormalizedAlert, decode, encode, encode_confluent};
use serde_json::{Value, json};

/// What the server keeps.
#[derive(Default)]
struct Kept {
    schemas: Mutex<BTreeMap<u32, Value>>,
    subjects: Mutex<BTreeMap<String, u32>>,
    asked: AtomicUsize,
    /// If set, what `Authorization` must be.
    wanted: Option<String>,
    /// If set, what every registration is answered with.
    refusal: Option<u16>,
}

struct Served {
    address: SocketAddr,
    kept: Arc<Kept>,
    runtime: tokio::runtime::Runtime,
}

type Shared = State<Arc<Kept>>;

fn serve(kept: Kept) -> Served {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let kept = Arc::new(kept);
    let router = Router::new()
        .route("/ccompat/subjects", get(subjects))
        .route("/ccompat/subjects/{subject}/versions", post(register))
        .route("/ccompat/schemas/ids/{id}", get(schema))
        .with_state(Arc::clone(&kept));
    let listener = runtime
        .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
        .unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(async move { axum::serve(listener, router).await });
    Served {
        address,
        kept,
        runtime,
    }
}

fn complaint(status: StatusCode, code: u32) -> Response {
    let said = json!({ "error_code": code, "message": "no" });
    (status, Json(said)).into_response()
}

fn denied(kept: &Kept, headers: &HeaderMap) -> Option<Response> {
    let wanted = kept.wanted.as_deref()?;
    let given = headers.get("authorization").and_then(|it| it.to_str().ok());
    (given != Some(wanted)).then(|| complaint(StatusCode::UNAUTHORIZED, 40_101))
}

async fn subjects(State(kept): Shared, headers: HeaderMap) -> Response {
    if let Some(denied) = denied(&kept, &headers) {
        return denied;
    }
    let subjects: Vec<String> = kept.subjects.lock().unwrap().keys().cloned().collect();
    Json(subjects).into_response()
}

async fn register(
    State(kept): Shared,
    Path(subject): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Some(denied) = denied(&kept, &headers) {
        return denied;
    }
    if let Some(refusal) = kept.refusal {
        return complaint(StatusCode::from_u16(refusal).unwrap(), u32::from(refusal));
    }
    let body: Value = serde_json::from_slice(&body).unwrap();
    let mut schemas = kept.schemas.lock().unwrap();
    let known = schemas
        .iter()
        .find(|(_, schema)| **schema == body["schema"]);
    let id = known.map_or(schemas.len() as u32 + 1, |(id, _)| *id);
    schemas.insert(id, body["schema"].clone());
    kept.subjects.lock().unwrap().insert(subject, id);
    Json(json!({ "id": id })).into_response()
}

async fn schema(State(kept): Shared, Path(id): Path<u32>, headers: HeaderMap) -> Response {
    kept.asked.fetch_add(1, Ordering::SeqCst);
    if let Some(denied) = denied(&kept, &headers) {
        return denied;
    }
    match kept.schemas.lock().unwrap().get(&id) {
        Some(schema) => Json(json!({ "schema": schema })).into_response(),
        None => complaint(StatusCode::NOT_FOUND, 40_403),
    }
}

impl Served {
    fn config(&self) -> SchemaRegistryConfig {
        SchemaRegistryConfig {
            url: format!("http://{}/ccompat", self.address),
            ..SchemaRegistryConfig::default()
        }
    }

    fn asked(&self) -> usize {
        self.kept.asked.load(Ordering::SeqCst)
    }
}

fn alert() -> NormalizedAlert {
    NormalizedAlert {
        alert_name: "Disk_Full".to_owned(),
        ..NormalizedAlert::default()
    }
}

fn single<T: AvroRecord>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(value, &mut bytes).unwrap();
    bytes
}

fn confluent<T: AvroRecord>(value: &T, id: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_confluent(value, id, &mut bytes).unwrap();
    bytes
}

fn prefix() -> Prefixed {
    Prefixed("p1.".to_owned())
}

const SINKS: [&str; 3] = ["normalized-alerts", "decisions", "raw-alerts"];

fn started(config: &SchemaRegistryConfig) -> ConfluentFraming {
    ConfluentFraming::start(config, &prefix(), SINKS)
        .unwrap()
        .unwrap()
}

fn inbound(framing: &ConfluentFraming, topic: &str, value: &[u8]) -> (Inbound, Vec<u8>) {
    let mut out = Vec::new();
    (framing.inbound(topic, value, &mut out), out)
}

fn as_it_is() -> (Inbound, Vec<u8>) {
    (Inbound::AsItIs, Vec::new())
}

/// What one process writes another reads, against any registry.
fn check_both_ways(config: &SchemaRegistryConfig) {
    let (writer, reader) = (
        started(config),
        ConfluentFraming::reading(config).unwrap().unwrap(),
    );
    let plain = single(&alert());
    let mut framed = Vec::new();
    assert!(writer.outbound("normalized-alerts", &plain, &mut framed));
    assert_eq!((framed[0], &framed[5..]), (0, &plain[10..]));
    for framing in [&writer, &reader] {
        let (became, out) = inbound(framing, "normalized-alerts", &framed);
        assert_eq!(became, Inbound::Changed);
        assert_eq!(decode(&out), Ok(alert()));
    }
    // Started anew, a process gets the same ids.
    let mut again = Vec::new();
    assert!(started(config).outbound("normalized-alerts", &plain, &mut again));
    assert_eq!(again, framed);
    let nobodys = confluent(&alert(), 987_654_321);
    assert_eq!(inbound(&reader, "normalized-alerts", &nobodys), as_it_is());
    assert!(Client::new(config).unwrap().subjects().unwrap() >= 2);
}

#[test]
fn what_is_written_in_confluent_framing_is_read_by_another_process() {
    let served = serve(Kept::default());
    check_both_ways(&served.config());
    let subjects = served.kept.subjects.lock().unwrap();
    let subjects: Vec<_> = subjects.keys().map(String::as_str).collect();
    assert_eq!(
        subjects,
        ["p1.decisions-value", "p1.normalized-alerts-value"]
    );
    if let Ok(url) = std::env::var("PRUNELLA_TEST_REGISTRY") {
        check_both_ways(&SchemaRegistryConfig {
            url,
            ..SchemaRegistryConfig::default()
        });
    }
}

#[test]
fn vendors_bytes_are_never_touched() {
    let served = serve(Kept::default());
    let framing = started(&served.config());
    let framed = confluent(&alert(), 1);
    for topic in ["raw-alerts", "raw-logs", "normalized-alerts.dlq"] {
        assert_eq!(inbound(&framing, topic, &framed), as_it_is(), "{topic}");
        let plain = single(&alert());
        assert!(!framing.outbound(topic, &plain, &mut Vec::new()), "{topic}");
    }
    assert_eq!(
        inbound(&framing, "normalized-alerts", &framed).0,
        Inbound::Changed
    );
}

#[test]
fn single_object_encoding_is_read_as_before_and_asks_nobody() {
    let served = serve(Kept::default());
    let framing = started(&served.config());
    let plain = single(&alert());
    assert_eq!(inbound(&framing, "normalized-alerts", &plain), as_it_is());
    assert_eq!(inbound(&framing, "control", b"{}"), as_it_is());
    assert_eq!(inbound(&framing, "control", b"\0\0"), as_it_is());
    assert_eq!(served.asked(), 0);
}

#[test]
fn an_id_is_asked_for_once() {
    let served = serve(Kept::default());
    drop(started(&served.config()));
    let framing = ConfluentFraming::reading(&served.config())
        .unwrap()
        .unwrap();
    let framed = confluent(&Decision::default(), 2);
    for _ in 0..3 {
        assert_eq!(inbound(&framing, "decisions", &framed).0, Inbound::Changed);
    }
    assert_eq!(served.asked(), 1);
}

#[test]
fn an_unknown_id_is_left_to_the_stage_and_not_asked_for_with_each_record() {
    let served = serve(Kept::default());
    let framing = ConfluentFraming::reading(&served.config())
        .unwrap()
        .unwrap();
    let framed = confluent(&alert(), 77);
    for _ in 0..5 {
        assert_eq!(inbound(&framing, "normalized-alerts", &framed), as_it_is());
    }
    // Twice: the second time for a follower that had not heard of it.
    assert_eq!(served.asked(), 2);
    assert_eq!(
        decode::<NormalizedAlert>(&framed).unwrap_err().label(),
        "need_schema"
    );
}

#[test]
fn a_schema_that_is_none_of_ours_is_left_to_the_stage() {
    let served = serve(Kept::default());
    let other = r#"{"type": "record", "name": "Other", "fields": []}"#;
    served.kept.schemas.lock().unwrap().insert(5, json!(other));
    let framing = ConfluentFraming::reading(&served.config())
        .unwrap()
        .unwrap();
    assert_eq!(
        inbound(&framing, "decisions", &confluent(&alert(), 5)),
        as_it_is()
    );
}

#[test]
fn a_record_waits_while_the_registry_is_away() {
    let served = serve(Kept::default());
    let config = served.config();
    let framing = started(&config);
    served.runtime.shutdown_background();
    let waits = |id| {
        matches!(
            inbound(&framing, "decisions", &confluent(&alert(), id)).0,
            Inbound::NotNow(_)
        )
    };
    assert!(waits(77), "an id that would have to be looked up");
    assert!(!waits(1), "an id that is known");
    let refused = ConfluentFraming::start(&config, &prefix(), SINKS).err();
    let refused = refused.unwrap().to_string();
    assert!(refused.contains("schema_registry.url"), "{refused}");
}

#[test]
fn a_wrong_path_is_no_unknown_id() {
    let served = serve(Kept::default());
    let mut config = served.config();
    config.url = format!("http://{}/elsewhere", served.address);
    let framing = ConfluentFraming::reading(&config).unwrap().unwrap();
    let (became, _) = inbound(&framing, "decisions", &confluent(&alert(), 1));
    let Inbound::NotNow(reason) = became else {
        panic!("{became:?}");
    };
    assert!(reason.contains("its path too"), "{reason}");
}

#[test]
fn credentials_are_sent_and_wrong_ones_are_said_to_be() {
    let check = |wanted: &str, set: &dyn Fn(&mut SchemaRegistryConfig), good: bool| {
        let served = serve(Kept {
            wanted: Some(wanted.to_owned()),
            ..Kept::default()
        });
        let mut config = served.config();
        set(&mut config);
        let outcome = Client::new(&config).unwrap().subjects();
        match outcome {
            Ok(_) => assert!(good, "{wanted}"),
            Err(RegistryError::Denied { status: 401, .. }) => assert!(!good, "{wanted}"),
            Err(error) => panic!("{error}"),
        }
        let framing = ConfluentFraming::reading(&config).unwrap().unwrap();
        let (became, _) = inbound(&framing, "decisions", &confluent(&alert(), 77));
        assert_eq!(became == Inbound::AsItIs, good, "{became:?}");
    };
    let token = |config: &mut SchemaRegistryConfig| config.token = Some(Secret::new("t0ken"));
    let user = |config: &mut SchemaRegistryConfig| {
        config.username = Some("ada".to_owned());
        config.password = Some(Secret::new("pass"));
    };
    check("Bearer t0ken", &token, true);
    check("Bearer other", &token, false);
    check("Basic YWRhOnBhc3M=", &user, true);
    check("Bearer t0ken", &|_| {}, false);
}

#[test]
fn a_schema_that_is_refused_ends_the_start_with_what_to_do() {
    for (refusal, expected) in [
        (409, "compatibility"),
        (422, "compatibility"),
        (403, "username"),
        (503, "start it"),
    ] {
        let served = serve(Kept {
            refusal: Some(refusal),
            ..Kept::default()
        });
        let error = ConfluentFraming::start(&served.config(), &prefix(), SINKS).err();
        let error = error.unwrap().to_string();
        assert!(error.contains(expected), "{refusal}: {error}");
    }
}

#[test]
fn without_a_url_there_is_no_framing() {
    let config = SchemaRegistryConfig::default();
    assert!(
        ConfluentFraming::start(&config, &prefix(), SINKS)
            .unwrap()
            .is_none()
    );
}
