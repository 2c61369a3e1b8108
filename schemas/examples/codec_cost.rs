//! What encoding and decoding one alert with sixteen labels costs:
//! `cargo run --release -p prunella-schemas --example codec_cost`.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::disallowed_macros,
    reason = "a measurement needs a clock, and says what it measured"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use prunella_schemas::{
    AlertStatus, CodecError, NormalizedAlert, RawRef, Severity, decode, encode,
};

const RECORDS: u32 = 200_000;
const ROUNDS: u32 = 7;

fn main() -> Result<(), CodecError> {
    let alert = alert();
    let mut bytes = Vec::new();
    encode(&alert, &mut bytes)?;
    println!("one alert, 16 labels: {} bytes", bytes.len());

    let mut out = Vec::new();
    report("encode", || {
        out.clear();
        encode(black_box(&alert), &mut out)
    })?;
    report("decode", || {
        decode::<NormalizedAlert>(black_box(&bytes)).map(|alert| drop(black_box(alert)))
    })?;
    report("clone and drop (the floor of owned texts)", || {
        drop(black_box(black_box(&alert).clone()));
        Ok(())
    })
}

/// The best of several rounds: the others were disturbed.
fn report(what: &str, mut once: impl FnMut() -> Result<(), CodecError>) -> Result<(), CodecError> {
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..RECORDS {
            once()?;
        }
        best = best.min(start.elapsed());
    }
    let each = best / RECORDS;
    println!("{what}: {:.3} us", each.as_secs_f64() * 1e6);
    Ok(())
}

fn alert() -> NormalizedAlert {
    let labels = (0..16).map(|n| (format!("label_{n}"), format!("value of label {n}")));
    NormalizedAlert {
        alert_id: "0123456789abcdef0123456789abcdef".to_owned(),
        fingerprint: "fedcba9876543210fedcba9876543210".to_owned(),
        source_system: "alertmanager".to_owned(),
        alert_name: "Service_Latency_Exceeded".to_owned(),
        severity: Severity::Critical,
        status: AlertStatus::Firing,
        service_name: Some("payment-gateway".to_owned()),
        host_ip: Some("10.20.3.17".to_owned()),
        metric_value: Some(612.25),
        timestamp: 1_762_164_000_000,
        starts_at: 1_762_164_000_000,
        received_at: 1_762_164_000_123,
        time_clamped: false,
        domain: "prod-eu".to_owned(),
        labels: labels.collect(),
        annotations: [("summary".to_owned(), "latency above 500 ms".to_owned())].into(),
        description: "payment-gateway answers in 612 ms".to_owned(),
        raw: RawRef {
            topic: "raw-alerts".to_owned(),
            partition: 3,
            offset: 41_827,
            index: 0,
        },
    }
}
