//! `prunella demo`: a real service falls ill, its alert comes in, it is healed and verified; or, with the kill
//! switch thrown, it is left alone and a person is told.

pub mod judge;
pub mod patient;
mod process;
mod timeline;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use prunella_effects::{EffectsConfig, SecretUrl};
use prunella_gateway::GatewayConfig;
use prunella_runtime::wall_millis;
use prunella_schema_registry::SchemaRegistryConfig;
use prunella_schemas::KnowledgeFile;
use reqwest::Method;
use serde_json::{Value, json};

use crate::commands::run::STAGES;
use crate::commands::up::own_client;
use crate::config::Config;
use crate::demo::process::{Judge, Patient};
use crate::demo::timeline::{Hop, Timeline};
use crate::embedded::Embedded;
use crate::exit::{Exit, FAILED, KILL_SWITCH};
use crate::gateway::Gateway;
use crate::gateway_client::GatewayClient;
use crate::host::Host;
use crate::output::say;

/// See it work, on this machine, with nothing but this binary.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  prunella demo
  prunella demo --kill-switch

Ends with 0 if the patient is healed: an independent client's requests succeed again and the patient's own log
shows exactly one restart. With --kill-switch it ends with 3 if nothing was restarted and a person was told.")]
pub struct DemoArguments {
    /// Throw the kill switch first: nothing is restarted, a person is notified.
    #[arg(long)]
    kill_switch: bool,
}

/// Longest wait for anything to happen.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the judge's requests must succeed again.
const WELL_FOR: Duration = Duration::from_secs(1);

/// Runs the command.
///
/// # Errors
/// What keeps the demo from being played.
pub async fn run(mut config: Config, arguments: &DemoArguments) -> Result<Exit> {
    let started = Instant::now();
    let directory = tempfile::tempdir()?;
    let patient = Patient::start(directory.path()).await?;
    say!(
        "a patient: a small HTTP service at {}, whose connection pool leaks under traffic",
        patient.url
    )?;
    let judge = Judge::start(&patient.url).await?;
    say!("a judge: a client in a process of its own that sends it requests all the time")?;

    let opened = Instant::now();
    let embedded = Embedded::start(&mut config)?;
    configure(&mut config, &patient);
    let gateway = Gateway::start(&config).await?;
    let client = own_client(&gateway, None)?;
    publish(&client).await?;
    let host = Host::start(&config, &STAGES).await?;
    wait(|| host.is_ready(), "the pipeline to open").await?;
    say!(
        "a pipeline: gateway, {} on an embedded broker at {} (at least once: it has no transactions), open after {} ms",
        STAGES.join(", "),
        embedded.bootstrap,
        opened.elapsed().as_millis()
    )?;
    if arguments.kill_switch {
        throw_kill_switch(&client).await?;
    }
    let outcome = play(&config, arguments, &client, &judge, &patient).await;
    gateway.stop().await?;
    host.stop().await?;
    let exit = outcome?;
    say!("\ndone after {:.1} s", started.elapsed().as_secs_f64())?;
    Ok(exit)
}

/// Everything on loopback and on free ports; the patient is the only host that may be called. Who may send and
/// command elsewhere, and what may be called there, has no say here.
fn configure(config: &mut Config, patient: &Patient) {
    let free = std::net::SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, 0));
    config.http.listen = free;
    config.gateway = GatewayConfig {
        listen: free,
        ..GatewayConfig::default()
    };
    // What the demo prints it reads itself, in the encoding of its own broker.
    config.schema_registry = SchemaRegistryConfig::default();
    config.effects = EffectsConfig {
        base_url: Some(SecretUrl(patient.url.clone())),
        kill_file: config.effects.kill_file.take(),
        ..EffectsConfig::default()
    };
}

async fn publish(client: &GatewayClient) -> Result<()> {
    let file = |path: &str, text: &str| KnowledgeFile {
        path: path.to_owned(),
        text: text.to_owned(),
    };
    let files = [
        file(
            "restart-pool.yaml",
            include_str!("../../../deploy/demo/restart-pool.yaml"),
        ),
        file(
            "rules.yaml",
            include_str!("../../../deploy/demo/rules.yaml"),
        ),
    ];
    client
        .publish(&files, "the demo's rule and playbook", false)
        .await
        .map(drop)
}

async fn throw_kill_switch(client: &GatewayClient) -> Result<()> {
    let body = json!({ "kind": "KillSwitch", "on": true, "comment": "demo: hands off" });
    client
        .ask(Method::PUT, "/v1/switches/kill-switch", Some(&body))
        .await?;
    say!("the kill switch is thrown")?;
    // The executor and the orchestrator read it within a moment; the executor checks again before it acts.
    tokio::time::sleep(Duration::from_millis(300)).await;
    Ok(())
}

async fn play(
    config: &Config,
    arguments: &DemoArguments,
    client: &GatewayClient,
    judge: &Judge,
    patient: &Patient,
) -> Result<Exit> {
    wait(|| judge.failing(), "the patient to fall ill").await?;
    say!("\nthe patient is ill: the judge's requests fail")?;
    let alerted = wall_millis();
    client
        .ask(Method::POST, "/v1/alerts/alertmanager", Some(&payload()))
        .await?;
    say!("its monitoring says so, as Alertmanager would: POST /v1/alerts/alertmanager\n")?;
    let mut timeline = Timeline::open(&config.kafka, &config.topology.prefix, alerted)?;
    let summary = follow(&mut timeline).await?;
    if arguments.kill_switch {
        judge_left_alone(judge, patient, &summary).await
    } else {
        judge_healed(judge, patient, &summary).await
    }
}

/// Prints every hop until the run has ended and people were told.
async fn follow(timeline: &mut Timeline) -> Result<Value> {
    let give_up = Instant::now() + PATIENCE;
    let mut run = None;
    let mut told = false;
    while Instant::now() < give_up {
        for hop in tokio::task::block_in_place(|| timeline.next_hops())? {
            say!("{}", hop.line())?;
            match hop {
                Hop::RunEnded { run: ended, .. } => run = Some(ended),
                Hop::Told { .. } => told = true,
                Hop::Seen { .. } => {}
            }
        }
        if let Some(run) = run.take_if(|_| told) {
            return Ok(run);
        }
    }
    bail!(
        "the pipeline did not finish within {} s; the lines above say how far it came",
        PATIENCE.as_secs()
    )
}

async fn judge_healed(judge: &Judge, patient: &Patient, run: &Value) -> Result<Exit> {
    let healed = wait(
        || judge.well_for(WELL_FOR),
        "the judge's requests to succeed again",
    )
    .await;
    let restarts = patient.restarts()?;
    say!("\nthe run: {}", text_of(run, "summary"))?;
    say!("the judge: {}", judge.verdict())?;
    say!("the patient's own request log shows {restarts} restart(s)")?;
    match healed {
        Ok(()) if restarts == 1 => {
            say!("HEALED: exactly one restart, and requests succeed again")?;
            Ok(Exit::SUCCESS)
        }
        Ok(()) => {
            say!("NOT AS IT SHOULD BE: there must be exactly one restart")?;
            Ok(FAILED)
        }
        Err(error) => {
            say!("NOT HEALED: {error:#}")?;
            Ok(FAILED)
        }
    }
}

async fn judge_left_alone(judge: &Judge, patient: &Patient, run: &Value) -> Result<Exit> {
    tokio::time::sleep(WELL_FOR).await;
    let restarts = patient.restarts()?;
    say!("\nthe run: {}", text_of(run, "summary"))?;
    say!("the judge: {}", judge.verdict())?;
    say!("the patient's own request log shows {restarts} restart(s)")?;
    if restarts == 0 && judge.failing() {
        say!("LEFT ALONE: the kill switch is on, nothing was restarted, a person was told")?;
        return Ok(KILL_SWITCH);
    }
    say!("NOT AS IT SHOULD BE: with the kill switch on nothing may be restarted")?;
    Ok(FAILED)
}

fn text_of(value: &Value, field: &str) -> String {
    let text = value.get(field).and_then(Value::as_str).unwrap_or_default();
    text.replace('\n', "\n  ")
}

/// An Alertmanager webhook, version 4.
fn payload() -> Value {
    let labels = json!({
        "alertname": "ConnectionPoolExhausted", "service": "patient", "severity": "critical", "cluster": "demo",
        "instance": "127.0.0.1"
    });
    json!({
        "version": "4", "groupKey": "{}:{alertname=\"ConnectionPoolExhausted\"}", "truncatedAlerts": 0,
        "status": "firing", "receiver": "prunella", "groupLabels": {"alertname": "ConnectionPoolExhausted"},
        "commonLabels": labels, "commonAnnotations": {}, "externalURL": "http://alertmanager.example.com",
        "alerts": [{
            "status": "firing", "labels": labels,
            "annotations": {"summary": "requests to patient wait for a connection and fail"},
            "startsAt": "2026-01-01T00:00:00Z", "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://prometheus.example.com/graph", "fingerprint": "5b2f1d0c9e8a7b64"
        }]
    })
}

async fn wait(mut until: impl FnMut() -> bool, what: &str) -> Result<()> {
    let give_up = Instant::now() + PATIENCE;
    while !until() {
        if Instant::now() > give_up {
            bail!("waited {} s for {what}", PATIENCE.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// This program itself, to start the patient and the judge with.
fn own_program() -> Result<std::path::PathBuf> {
    std::env::current_exe().context("the path of this program is unknown")
}

/// Where the patient writes what it was asked.
fn log_path(directory: &Path) -> std::path::PathBuf {
    directory.join("patient.log")
}
