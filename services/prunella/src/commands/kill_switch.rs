//! `prunella kill-switch`: no mutating action while it is on.

use anyhow::Result;
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::gateway_client::{GatewayArguments, GatewayClient};
use crate::output::say;

/// Stop every mutating action, everywhere or in one domain; notifications go on.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  prunella kill-switch on --comment 'the robot restarts what it should not'
  prunella kill-switch on --domain prod-eu
  prunella kill-switch status")]
pub struct KillSwitchArguments {
    #[command(subcommand)]
    command: KillSwitchCommand,
}

#[derive(Subcommand, Debug)]
enum KillSwitchCommand {
    /// Throw it.
    #[command(after_help = "Examples:
  prunella kill-switch on --comment 'the robot restarts what it should not'
  prunella kill-switch on --domain prod-eu --token-file ada.token")]
    On(Throw),
    /// Release it.
    #[command(after_help = "Examples:
  prunella kill-switch off --comment 'found and mended'
  prunella kill-switch off --domain prod-eu")]
    Off(Throw),
    /// Say how it stands.
    #[command(after_help = "Examples:
  prunella kill-switch status
  prunella kill-switch status --json --gateway http://127.0.0.1:8080")]
    Status {
        /// As JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        gateway: GatewayArguments,
    },
}

#[derive(Args, Debug)]
struct Throw {
    /// Only this domain.
    #[arg(long)]
    domain: Option<String>,
    /// Why; it is recorded.
    #[arg(long, default_value = "")]
    comment: String,
    #[command(flatten)]
    gateway: GatewayArguments,
}

/// Runs the command.
///
/// # Errors
/// A gateway that refuses or does not answer.
pub async fn run(arguments: &KillSwitchArguments) -> Result<Exit> {
    match &arguments.command {
        KillSwitchCommand::On(throw) => set(throw, true).await,
        KillSwitchCommand::Off(throw) => set(throw, false).await,
        KillSwitchCommand::Status { json, gateway } => status(*json, gateway).await,
    }
}

async fn set(throw: &Throw, on: bool) -> Result<Exit> {
    let client = GatewayClient::new(&throw.gateway)?;
    let name = throw
        .domain
        .as_ref()
        .map_or("kill-switch".to_owned(), |domain| {
            // The name is one path segment.
            format!("kill-switch%2F{}", percent(domain))
        });
    let body =
        json!({ "kind": "KillSwitch", "on": on, "domain": throw.domain, "comment": throw.comment });
    client
        .ask(Method::PUT, &format!("/v1/switches/{name}"), Some(&body))
        .await?;
    let scope = throw
        .domain
        .as_deref()
        .map_or("everywhere".to_owned(), |domain| format!("in {domain}"));
    if on {
        say!("the kill switch is on {scope}: nothing is changed any more; notifications go on")?;
    } else {
        say!("the kill switch is off {scope}")?;
    }
    Ok(Exit::SUCCESS)
}

fn percent(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

async fn status(json: bool, gateway: &GatewayArguments) -> Result<Exit> {
    let client = GatewayClient::new(gateway)?;
    let answer = client.ask(Method::GET, "/v1/switches", None).await?;
    let switches = answer
        .get("switches")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let of = |switch: &Value, name: &str| {
        switch
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let kill: Vec<&Value> = switches
        .iter()
        .filter(|switch| of(switch, "name").starts_with("kill-switch"))
        .collect();
    if json {
        say!("{}", json!({ "switches": kill }))?;
        return Ok(Exit::SUCCESS);
    }
    let thrown: Vec<&&Value> = kill
        .iter()
        .filter(|switch| switch.get("on") == Some(&Value::Bool(true)))
        .collect();
    for switch in &thrown {
        let (name, author, comment) = (
            of(switch, "name"),
            of(switch, "author"),
            of(switch, "comment"),
        );
        let why = if comment.is_empty() {
            "no comment"
        } else {
            &comment
        };
        say!("{name} is on, thrown by {author}: {why}")?;
    }
    if thrown.is_empty() {
        say!("no kill switch is on")?;
    }
    Ok(Exit::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::percent;

    #[test]
    fn a_domain_is_one_path_segment() {
        assert_eq!(percent("prod-eu"), "prod-eu");
        assert_eq!(percent("a/b c"), "a%2Fb%20c");
    }
}
