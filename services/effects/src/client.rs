//! The HTTP clients, and where each asks the guard.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use reqwest::redirect::{Attempt, Policy};
use reqwest::{Client, Request, Response};
use tower::{BoxError, Layer, Service};

use crate::config::{EffectsConfig, EffectsConfigError};
use crate::guarded_body::guard_body;
use crate::guards::{Guard, Hindrance};

/// Idle connections are given up before the servers' own limits (5 s at the shortest that are common): a request
/// sent into a connection that is being closed is a lost answer.
const IDLE: Duration = Duration::from_secs(3);

/// One client for reads, one for everything else.
pub(crate) struct Clients {
    reads: Client,
    acts: Client,
}

tokio::task_local! {
    /// What holds for the request that this task is sending.
    static GUARD: Arc<Guard>;
}

impl Clients {
    pub(crate) fn new(config: &EffectsConfig) -> Result<Self, EffectsConfigError> {
        let limit = config.max_redirects;
        let follow = Policy::custom(move |attempt| {
            if attempt.previous().len() <= limit && stays(&attempt) {
                attempt.follow()
            } else {
                attempt.stop()
            }
        });
        Ok(Self {
            reads: client(config, follow)?,
            acts: client(config, Policy::none())?,
        })
    }

    /// Sends a request if the guard lets it: now, again when a new connection stands, and for what may change its
    /// target once more when the connection takes it up.
    pub(crate) async fn send(
        &self,
        mut request: Request,
        guard: Arc<Guard>,
    ) -> Result<Response, SendError> {
        guard.check_before()?;
        let client = if guard.mutating {
            guard_body(&mut request, &guard);
            &self.acts
        } else {
            &self.reads
        };
        let sent = GUARD.scope(guard, client.execute(request)).await;
        sent.map_err(SendError::of)
    }
}

fn client(config: &EffectsConfig, redirects: Policy) -> Result<Client, EffectsConfigError> {
    Client::builder()
        .redirect(redirects)
        // One claim, one request: whether to repeat it is not the client's to decide.
        .retry(reqwest::retry::never())
        // Requests go where the configuration says, not where the process's environment says.
        .no_proxy()
        // What asks the guard last stands on the order in which HTTP/1.1 is written.
        .http1_only()
        .connect_timeout(Duration::from_millis(config.connect_timeout_ms))
        .pool_idle_timeout(IDLE)
        .user_agent(concat!("prunella/", env!("CARGO_PKG_VERSION")))
        .connector_layer(CheckConnected)
        .build()
        .map_err(|error| EffectsConfigError::Client(words(&error)))
}

/// Whether a redirect leads back to the same scheme, host and port.
fn stays(attempt: &Attempt<'_>) -> bool {
    let from = attempt.previous().last();
    from.is_some_and(|from| from.origin() == attempt.url().origin())
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum SendError {
    /// Nothing was sent: the guard said no.
    Hindered(Hindrance),
    /// Nothing was sent: no connection.
    Unconnected(String),
    /// It may have been sent.
    Unanswered(String),
}

impl From<Hindrance> for SendError {
    fn from(hindrance: Hindrance) -> Self {
        Self::Hindered(hindrance)
    }
}

impl SendError {
    fn of(error: reqwest::Error) -> Self {
        if let Some(hindrance) = hindrance(&error) {
            return Self::Hindered(hindrance.clone());
        }
        let unsent = error.is_connect() || error.is_builder();
        let words = words(&error.without_url());
        if unsent {
            Self::Unconnected(words)
        } else {
            Self::Unanswered(words)
        }
    }
}

fn hindrance<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Hindrance> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(hindrance) = error.downcast_ref() {
            return Some(hindrance);
        }
        next = error.source();
    }
    None
}

/// An error and what caused it.
pub(crate) fn words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let cause = error.to_string();
        if !words.ends_with(&cause) {
            words.push_str(": ");
            words.push_str(&cause);
        }
        next = error.source();
    }
    words
}

/// Looking a name up, connecting and shaking hands may take seconds, in which membership may be lost or a switch
/// thrown: the guard is asked again when the connection stands and nothing has been sent over it.
#[derive(Clone, Copy)]
struct CheckConnected;

impl<S> Layer<S> for CheckConnected {
    type Service = Checked<S>;

    fn layer(&self, inner: S) -> Checked<S> {
        Checked(inner)
    }
}

#[derive(Clone)]
struct Checked<S>(S);

impl<S, R> Service<R> for Checked<S>
where
    S: Service<R, Error = BoxError>,
    S::Future: Send + 'static,
    S::Response: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let connecting = self.0.call(request);
        Box::pin(async move {
            let connection = connecting.await?;
            // A connection that a request no longer waits for is finished elsewhere, for the pool: no guard is set.
            match GUARD.try_with(|guard| guard.check()) {
                Ok(Err(hindrance)) => Err(hindrance.into()),
                Ok(Ok(())) | Err(_) => Ok(connection),
            }
        })
    }
}
