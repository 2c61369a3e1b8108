//! The demo's judge: a client that sends requests throughout and says how many succeed. It knows nothing of the
//! pipeline.

use std::io::Write;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::demo::process::WINDOW;

/// Run the demo's judge.
#[derive(Args, Debug)]
pub struct JudgeArguments {
    /// Base URL of the service.
    #[arg(long)]
    target: String,
}

/// Time between two requests.
const EVERY: Duration = Duration::from_millis(5);

/// Sends requests and prints one JSON line a window until nobody reads any more.
///
/// # Errors
/// If no HTTP client can be made.
pub async fn run(arguments: JudgeArguments) -> Result<()> {
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(1))
        .build()?;
    let url = format!("{}/work", arguments.target);
    let mut requests = JoinSet::new();
    let mut next = interval(EVERY);
    let mut window = interval(WINDOW);
    next.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (mut ok, mut failed) = (0_u64, 0_u64);
    loop {
        tokio::select! {
            _ = next.tick() => {
                let request = client.get(&url).send();
                requests.spawn(async move { request.await.is_ok_and(|answer| answer.status().is_success()) });
            }
            Some(done) = requests.join_next() => match done {
                Ok(true) => ok += 1,
                Ok(false) | Err(_) => failed += 1,
            },
            _ = window.tick() => {
                let line = format!("{{\"ok\":{ok},\"failed\":{failed}}}\n");
                let mut out = std::io::stdout();
                if out.write_all(line.as_bytes()).and_then(|()| out.flush()).is_err() {
                    return Ok(());
                }
                (ok, failed) = (0, 0);
            }
        }
    }
}
