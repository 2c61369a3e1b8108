//! Runs effects.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use prunella_executor::{EffectOutcome, EffectSpec, Ended, NotStarted, Step};
use prunella_schemas::spec::{API_CALL, ApiCallSpec, NOTIFICATION, NotificationSpec};
use prunella_stream::Millis;
use reqwest::{Request, Url};
use serde::de::DeserializeOwned;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::answer::Answer;
use crate::client::{Clients, SendError};
use crate::config::{EffectsConfig, EffectsConfigError};
use crate::credentials::Credentials;
use crate::destinations::{Destinations, authority, parse_url};
use crate::guards::{Guard, Hindrance, LocalSwitch};
use crate::notification;
use crate::port::{Permit, Switches};
use crate::request::{Requests, Unfit, timeout};

/// Runs `API_Call` and `Notification` effects over HTTP. It needs a Tokio runtime with I/O and time enabled.
pub struct HttpEffects {
    requests: Requests,
    clients: Clients,
    webhook: Option<Url>,
    local: Arc<LocalSwitch>,
    switches: Arc<dyn Switches>,
    calls: Semaphore,
    /// Their own, so that targets that hang keep nobody from being told.
    notifications: Semaphore,
    max_response_bytes: usize,
}

impl HttpEffects {
    /// Takes the local kill switch from the configuration and from the environment variable
    /// [`crate::KILL_SWITCH_VARIABLE`].
    ///
    /// # Errors
    /// [`EffectsConfigError`] that names the setting.
    pub fn new(
        config: &EffectsConfig,
        switches: Arc<dyn Switches>,
    ) -> Result<Self, EffectsConfigError> {
        let local = LocalSwitch::from_environment(config.kill_file.clone());
        Self::with_local_switch(config, local, switches)
    }

    /// As [`HttpEffects::new`], with a local kill switch that was made elsewhere.
    ///
    /// # Errors
    /// [`EffectsConfigError`] that names the setting.
    pub fn with_local_switch(
        config: &EffectsConfig,
        local: LocalSwitch,
        switches: Arc<dyn Switches>,
    ) -> Result<Self, EffectsConfigError> {
        config.check()?;
        let webhook = config.notification_webhook.as_ref();
        let in_flight = config.max_in_flight.min(Semaphore::MAX_PERMITS);
        Ok(Self {
            requests: Requests {
                destinations: Destinations::new(config)?,
                credentials: Credentials::new(&config.headers)?,
            },
            clients: Clients::new(config)?,
            webhook: webhook
                .map(|url| parse_url("notification_webhook", url))
                .transpose()?,
            local: Arc::new(local),
            switches,
            calls: Semaphore::new(in_flight),
            notifications: Semaphore::new(in_flight),
            max_response_bytes: config.max_response_bytes,
        })
    }

    /// Performs one effect and says what came of it. Dropped half-way, it may have happened or not.
    pub async fn perform(&self, effect: EffectSpec, permit: Arc<dyn Permit>) -> EffectOutcome {
        let effect = &effect;
        let guard = Arc::new(Guard {
            permit,
            switches: Arc::clone(&self.switches),
            local: Arc::clone(&self.local),
            domain: effect.domain.clone(),
            mutating: effect.mutating && effect.step == Step::Act,
            timeout: timeout(effect),
        });
        let outcome = match (effect.kind.as_str(), effect.step) {
            (API_CALL, Step::Act) => self.call(effect, guard).await,
            (API_CALL, Step::Probe) => self.probe(effect, guard).await,
            (NOTIFICATION, Step::Act) => self.notify(effect, guard).await,
            (kind, _) => {
                EffectOutcome::new(Ended::Failed, format!("this version cannot run `{kind}`"))
            }
        };
        tracing::debug!(
            action_id = %effect.action_id,
            run_id = %effect.run_id,
            attempt = effect.attempt,
            step = ?effect.step,
            target = ?effect.target,
            ended = ?outcome.ended,
            status = outcome.status,
            cause = ?outcome.cause,
            "effect ended"
        );
        outcome
    }

    async fn call(&self, effect: &EffectSpec, guard: Arc<Guard>) -> EffectOutcome {
        let call: ApiCallSpec = match read_spec(effect) {
            Ok(call) => call,
            Err(outcome) => return outcome,
        };
        let request = match self.requests.call(effect, &call) {
            Ok(request) => request,
            Err(unfit) => return unfit.into(),
        };
        let mutating = guard.mutating;
        let host = authority(request.url());
        let sent = self.exchange(&self.calls, request, guard).await;
        sent.outcome(&host, |answer| answer.to_call(&call, mutating))
    }

    async fn probe(&self, effect: &EffectSpec, guard: Arc<Guard>) -> EffectOutcome {
        let call: ApiCallSpec = match read_spec(effect) {
            Ok(call) => call,
            Err(outcome) => return outcome,
        };
        let Some(probe) = call.probe else {
            return EffectOutcome::new(Ended::Failed, "no probe is declared");
        };
        let request = match self.requests.probe(effect, &probe) {
            Ok(request) => request,
            Err(unfit) => return unfit.into(),
        };
        let method = request.method().clone();
        let host = authority(request.url());
        let sent = self.exchange(&self.calls, request, guard).await;
        sent.outcome(&host, |answer| answer.to_probe(&method))
    }

    async fn notify(&self, effect: &EffectSpec, guard: Arc<Guard>) -> EffectOutcome {
        let told: NotificationSpec = match read_spec(effect) {
            Ok(told) => told,
            Err(outcome) => return outcome,
        };
        notification::log(effect, &told);
        let Some(webhook) = &self.webhook else {
            return EffectOutcome {
                output: Some(r#"{"delivered":["log"]}"#.to_owned()),
                started_at: wall_millis(),
                ..EffectOutcome::new(Ended::Succeeded, "")
            };
        };
        let body = notification::body(effect, &told);
        let request = match self.requests.notification(effect, webhook, &body) {
            Ok(request) => request,
            Err(unfit) => return unfit.into(),
        };
        let sent = self.exchange(&self.notifications, request, guard).await;
        sent.outcome(&authority(webhook), Answer::to_notification)
    }

    /// Waits for a free place, sends, and reads the answer.
    async fn exchange(&self, places: &Semaphore, request: Request, guard: Arc<Guard>) -> Exchange {
        let Some(_place) = place(places, &guard).await else {
            return Exchange::unsent(SendError::Hindered(NotStarted::DeadlinePassed.into()));
        };
        let started_at = wall_millis();
        let answer = match self.clients.send(request, guard).await {
            Ok(response) => Answer::read(response, self.max_response_bytes)
                .await
                .map_err(|why| SendError::Unanswered(format!("the answer broke off: {why}"))),
            Err(error) => Err(error),
        };
        Exchange { answer, started_at }
    }
}

/// The time of day in milliseconds since the Unix epoch: for people, never for a deadline.
fn wall_millis() -> Millis {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
}

/// A free place, if one becomes free while the effect may still be begun.
async fn place<'a>(places: &'a Semaphore, guard: &Guard) -> Option<SemaphorePermit<'a>> {
    if let Ok(place) = places.try_acquire() {
        return Some(place);
    }
    let waited = tokio::time::timeout(guard.slack(), places.acquire()).await;
    waited.ok()?.ok()
}

/// A request and what came of it.
struct Exchange {
    answer: Result<Answer, SendError>,
    started_at: Millis,
}

impl Exchange {
    fn unsent(error: SendError) -> Self {
        Self {
            answer: Err(error),
            started_at: 0,
        }
    }

    fn outcome(self, host: &str, read: impl FnOnce(&Answer) -> EffectOutcome) -> EffectOutcome {
        let started_at = self.started_at;
        match self.answer {
            Ok(answer) => {
                let mut outcome = read(&answer);
                if !outcome.cause.is_empty() {
                    outcome.cause = format!("{host} {}", outcome.cause);
                }
                EffectOutcome {
                    started_at,
                    ..outcome
                }
            }
            Err(SendError::Hindered(Hindrance { reason, saw })) => {
                EffectOutcome::new(Ended::NotStarted(reason), saw)
            }
            Err(SendError::Unconnected(why)) => {
                EffectOutcome::new(Ended::Failed, format!("no connection to {host}: {why}"))
            }
            Err(SendError::Unanswered(why)) => EffectOutcome {
                started_at,
                ..EffectOutcome::new(Ended::Lost, format!("no answer from {host}: {why}"))
            },
        }
    }
}

impl From<Unfit> for EffectOutcome {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Spec(why) => Self::new(Ended::Failed, why),
            Unfit::Refused(why) => Self::new(Ended::Refused, why),
        }
    }
}

fn read_spec<T: DeserializeOwned>(effect: &EffectSpec) -> Result<T, EffectOutcome> {
    serde_json::from_str(&effect.spec).map_err(|error| {
        let kind = &effect.kind;
        EffectOutcome::new(Ended::Failed, format!("its spec is no `{kind}`: {error}"))
    })
}
