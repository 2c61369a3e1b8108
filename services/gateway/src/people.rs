//! People's commands: control of runs, and switches. The author is who authenticated, never who a body says.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use prunella_schemas::{AvroRecord, Control, ControlKind, Switch, SwitchKind, encode};
use prunella_stream::{Digest, Millis};
use prunella_topology::topics;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::app::App;
use crate::body::{self, check_json};
use crate::config::Role;
use crate::log::{Entry, Position};
use crate::problem::{Kind, Problem};
use crate::trace;

/// The longest command, in bytes.
const MAX_COMMAND_BYTES: usize = 64 << 10;
/// The longest name of a switch or a domain, in bytes.
const MAX_NAME: usize = 256;
/// Header under which a command that is repeated keeps its id.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Name of the kill switch for everything; that for a domain goes by `kill-switch/DOMAIN`.
const KILL_SWITCH: &str = "kill-switch";

/// Body of `POST /v1/control`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ControlRequest {
    domain: String,
    kind: ControlKind,
    #[serde(default)]
    run_id: String,
    #[serde(default)]
    playbook_id: String,
    #[serde(default)]
    plan_hash: String,
    #[serde(default)]
    parameters: BTreeMap<String, String>,
    #[serde(default)]
    comment: String,
}

/// `POST /v1/control`: one command to a run, or the start of one.
pub(crate) async fn control(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let (head, body) = request.into_parts();
    let author = app.access.person(Role::Operate, &head.headers)?;
    let request: ControlRequest = command(&app, &head.headers, body, MAX_COMMAND_BYTES).await?;
    request.check()?;
    let control = Control {
        control_id: control_id(&author, &head.headers),
        domain: request.domain,
        kind: request.kind,
        run_id: request.run_id,
        playbook_id: request.playbook_id,
        plan_hash: request.plan_hash,
        parameters: request.parameters,
        author: author.to_string(),
        comment: request.comment,
        at: trace::now(),
    };
    write(
        &app,
        topics::CONTROL,
        &control.domain,
        &control,
        &head.headers,
    )
    .await?;
    tracing::info!(
        author = control.author,
        kind = control.kind.as_str(),
        domain = control.domain,
        run = control.run_id,
        control = control.control_id,
        "command taken"
    );
    Ok((StatusCode::ACCEPTED, Json(shown(&control)?)))
}

impl ControlRequest {
    fn check(&self) -> Result<(), Problem> {
        check_name("domain", &self.domain)?;
        let wanted = match self.kind {
            ControlKind::None => {
                return Err(invalid("`kind` must say what is wanted; `None` is nothing"));
            }
            ControlKind::Start => [
                ("playbook_id", &self.playbook_id, true),
                ("run_id", &self.run_id, false),
            ],
            ControlKind::Approve | ControlKind::Reject => [
                ("run_id", &self.run_id, true),
                ("plan_hash", &self.plan_hash, true),
            ],
            ControlKind::Resume | ControlKind::Cancel | ControlKind::Confirm => [
                ("run_id", &self.run_id, true),
                ("playbook_id", &self.playbook_id, false),
            ],
        };
        for (field, value, needed) in wanted {
            if value.is_empty() == needed {
                let kind = self.kind.as_str();
                let must = if needed { "needs" } else { "takes no" };
                return Err(invalid(format!("`{kind}` {must} `{field}`")));
            }
        }
        Ok(())
    }
}

/// The same person's command under the same key has the same id, and counts once.
fn control_id(author: &str, headers: &HeaderMap) -> String {
    match headers.get(IDEMPOTENCY_KEY) {
        Some(key) => Digest::of(&[b"control", author.as_bytes(), key.as_bytes()]).hex(),
        None => trace::unique().hex(),
    }
}

/// Body of `PUT /v1/switches/{name}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SwitchRequest {
    /// Needed unless the name says it.
    kind: Option<SwitchKind>,
    on: bool,
    domain: Option<String>,
    #[serde(default)]
    comment: String,
    /// Milliseconds since the Unix epoch.
    until: Option<Millis>,
    #[serde(default)]
    matchers: BTreeMap<String, String>,
}

/// `PUT /v1/switches/{name}`: throws a switch, or takes it back.
pub(crate) async fn switch(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let (head, body) = request.into_parts();
    let author = app.access.person(Role::Operate, &head.headers)?;
    let request: SwitchRequest = command(&app, &head.headers, body, MAX_COMMAND_BYTES).await?;
    let switch = request.into_switch(name, &author, trace::now())?;
    let position = write(&app, topics::SWITCHES, &switch.name, &switch, &head.headers).await?;
    tracing::warn!(
        author = switch.author,
        switch = switch.name,
        on = switch.on,
        domain = switch.domain,
        "switch thrown"
    );
    let answer = shown(&switch)?;
    app.board.throw(position.offset, switch);
    Ok(Json(answer))
}

/// `GET /v1/switches`: every switch, on or off.
pub(crate) async fn switches(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    app.access.person(Role::Read, request.headers())?;
    let switches = app.board.complete()?.switches();
    Ok(Json(json!({ "switches": switches })))
}

impl SwitchRequest {
    fn into_switch(self, name: String, author: &str, now: Millis) -> Result<Switch, Problem> {
        check_name("name", &name)?;
        let (kind, domain) = match name.strip_prefix(KILL_SWITCH) {
            Some("") => (SwitchKind::KillSwitch, None),
            Some(rest) if rest.starts_with('/') => {
                (SwitchKind::KillSwitch, Some(rest[1..].to_owned()))
            }
            _ => (
                self.kind
                    .ok_or_else(|| invalid("`kind` must be Pause, Silence or Maintenance"))?,
                self.domain.clone(),
            ),
        };
        let is_kill_switch = name.starts_with(KILL_SWITCH);
        if (kind == SwitchKind::KillSwitch) != is_kill_switch
            || self.kind.is_some_and(|said| said != kind)
            || self
                .domain
                .as_ref()
                .is_some_and(|said| Some(said) != domain.as_ref())
        {
            return Err(invalid(
                "a kill switch is named `kill-switch` or `kill-switch/DOMAIN`, and nothing else is; its kind and \
                 domain follow from its name",
            ));
        }
        if let Some(domain) = &domain {
            check_name("domain", domain)?;
        }
        let ends = matches!(kind, SwitchKind::Silence | SwitchKind::Maintenance);
        match self.until {
            Some(_) if kind == SwitchKind::KillSwitch => {
                return Err(invalid(
                    "a kill switch holds until a person takes it back; it has no `until`",
                ));
            }
            Some(until) if self.on && until <= now => {
                return Err(invalid(
                    "`until` lies in the past; it is milliseconds since the Unix epoch",
                ));
            }
            None if self.on && ends => {
                return Err(invalid(
                    "a silence or maintenance needs `until`, in milliseconds since the Unix epoch",
                ));
            }
            _ => {}
        }
        Ok(Switch {
            name,
            kind,
            on: self.on,
            domain,
            author: author.to_owned(),
            comment: self.comment,
            at: now,
            until: self.until,
            matchers: self.matchers,
        })
    }
}

/// Reads a command of JSON.
pub(crate) async fn command<T: DeserializeOwned>(
    app: &App,
    headers: &HeaderMap,
    body: axum::body::Body,
    limit: usize,
) -> Result<T, Problem> {
    check_json(headers)?;
    body::check_length(&body, limit)?;
    let _place = app.place()?;
    let body = body::read(body, limit, app.body_timeout).await?;
    if body.is_empty() {
        return Err(Problem::new(
            Kind::Empty,
            "the body is empty; send the command as JSON",
        ));
    }
    serde_json::from_slice(&body).map_err(|error| Problem::new(Kind::Malformed, error.to_string()))
}

/// Writes a command under its key.
pub(crate) async fn write<T: AvroRecord>(
    app: &App,
    topic: &'static str,
    key: &str,
    record: &T,
    headers: &HeaderMap,
) -> Result<Position, Problem> {
    let mut value = Vec::new();
    encode(record, &mut value).map_err(|error| Problem::new(Kind::Internal, error.to_string()))?;
    let trace = trace::of(headers);
    let entry = Entry {
        topic,
        key,
        value: &value,
        headers: &[(trace::TRACEPARENT, &trace)],
    };
    Ok(app.log.append(entry).await?)
}

fn shown<T: serde::Serialize>(record: &T) -> Result<Value, Problem> {
    serde_json::to_value(record).map_err(|error| Problem::new(Kind::Internal, error.to_string()))
}

fn check_name(field: &str, name: &str) -> Result<(), Problem> {
    let printable = !name.chars().any(char::is_control);
    if (1..=MAX_NAME).contains(&name.len()) && printable && name.trim() == name {
        return Ok(());
    }
    Err(invalid(format!(
        "`{field}` must have 1 to {MAX_NAME} bytes, none of them a control character, and no space around it"
    )))
}

fn invalid(detail: impl Into<String>) -> Problem {
    Problem::new(Kind::Invalid, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_control(body: Value, refused: Option<&str>) {
        let request: ControlRequest = serde_json::from_value(body.clone()).unwrap();
        let seen = request.check().err().map(|problem| format!("{problem:?}"));
        match refused {
            None => assert_eq!(seen, None, "{body}"),
            Some(part) => assert!(
                seen.as_ref().is_some_and(|seen| seen.contains(part)),
                "{body}: {seen:?}"
            ),
        }
    }

    #[test]
    fn a_command_says_what_it_is_about() {
        let control = |kind: &str, run: &str, playbook: &str, plan: &str| json!({"domain": "eu", "kind": kind, "run_id": run, "playbook_id": playbook, "plan_hash": plan});
        check_control(control("Approve", "r", "", "h"), None);
        check_control(control("Approve", "r", "", ""), Some("plan_hash"));
        check_control(control("Approve", "", "", "h"), Some("run_id"));
        check_control(control("Cancel", "r", "", ""), None);
        check_control(control("Cancel", "", "", ""), Some("run_id"));
        check_control(control("Start", "", "p", ""), None);
        check_control(control("Start", "r", "p", ""), Some("takes no `run_id`"));
        check_control(control("None", "r", "", ""), Some("what is wanted"));
        check_control(
            json!({"domain": " ", "kind": "Cancel", "run_id": "r"}),
            Some("domain"),
        );
    }

    fn check_switch(name: &str, body: Value, expected: Result<(SwitchKind, Option<&str>), &str>) {
        let request: SwitchRequest = serde_json::from_value(body.clone()).unwrap();
        let seen = request.into_switch(name.to_owned(), "ada", 1_000);
        match (seen, expected) {
            (Ok(switch), Ok((kind, domain))) => {
                assert_eq!(
                    (switch.kind, switch.domain.as_deref()),
                    (kind, domain),
                    "{name} {body}"
                );
                assert_eq!((switch.author.as_str(), switch.at), ("ada", 1_000));
            }
            (Err(problem), Err(part)) => {
                assert!(
                    format!("{problem:?}").contains(part),
                    "{name} {body}: {problem:?}"
                );
            }
            (seen, _) => panic!("{name} {body}: {seen:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn a_kill_switch_is_known_by_its_name() {
        use SwitchKind::{KillSwitch, Pause};
        check_switch("kill-switch", json!({"on": true}), Ok((KillSwitch, None)));
        check_switch(
            "kill-switch/eu-1",
            json!({"on": true}),
            Ok((KillSwitch, Some("eu-1"))),
        );
        check_switch(
            "kill-switch/eu-1",
            json!({"on": true, "domain": "eu-1"}),
            Ok((KillSwitch, Some("eu-1"))),
        );
        check_switch(
            "kill-switch/eu-1",
            json!({"on": true, "domain": "us"}),
            Err("follow from its name"),
        );
        check_switch(
            "kill-switch",
            json!({"on": true, "kind": "Pause"}),
            Err("follow from its name"),
        );
        check_switch("kill-switch/", json!({"on": true}), Err("domain"));
        check_switch(
            "kill-switches",
            json!({"on": true, "kind": "Pause"}),
            Err("kill-switch"),
        );
        check_switch(
            "stop",
            json!({"on": true, "kind": "KillSwitch"}),
            Err("kill-switch"),
        );
        check_switch(
            "stop",
            json!({"on": true, "kind": "Pause", "domain": "eu"}),
            Ok((Pause, Some("eu"))),
        );
        check_switch("stop", json!({"on": true}), Err("kind"));
    }

    #[test]
    fn what_silences_ends_and_a_kill_switch_does_not() {
        use SwitchKind::{KillSwitch, Silence};
        check_switch(
            "quiet",
            json!({"on": true, "kind": "Silence"}),
            Err("needs `until`"),
        );
        check_switch(
            "quiet",
            json!({"on": true, "kind": "Silence", "until": 999}),
            Err("past"),
        );
        check_switch(
            "quiet",
            json!({"on": true, "kind": "Silence", "until": 2_000}),
            Ok((Silence, None)),
        );
        check_switch(
            "quiet",
            json!({"on": false, "kind": "Silence"}),
            Ok((Silence, None)),
        );
        check_switch(
            "kill-switch",
            json!({"on": true, "until": 2_000}),
            Err("takes it back"),
        );
        check_switch("kill-switch", json!({"on": false}), Ok((KillSwitch, None)));
    }

    #[test]
    fn a_repeated_command_keeps_its_id_and_another_persons_does_not() {
        let mut headers = HeaderMap::new();
        assert_ne!(control_id("ada", &headers), control_id("ada", &headers));
        headers.insert(IDEMPOTENCY_KEY, "k".parse().unwrap());
        assert_eq!(control_id("ada", &headers), control_id("ada", &headers));
        assert_ne!(control_id("ada", &headers), control_id("bob", &headers));
    }
}
