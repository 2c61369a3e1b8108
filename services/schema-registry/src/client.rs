//! As much of the registry's REST API as is needed: a schema by its id, and an id for a schema.

use std::time::Duration;

use reqwest::blocking::{Client as Http, RequestBuilder, Response};
use reqwest::{StatusCode, Url};
use serde::Deserialize;
use serde_json::json;

use crate::config::{ConfigError, SchemaRegistryConfig};

/// The registry's own word for an id that it does not have.
const SCHEMA_NOT_FOUND: u32 = 40_403;
/// How much of an answer that says no is passed on.
const SAID: usize = 200;

/// Why the registry gave no answer to go by.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// A setting is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No answer, or one that says to come again.
    #[error(
        "the schema registry at {url} does not answer ({reason}): start it, or correct schema_registry.url; `prunella doctor` looks again"
    )]
    Unreachable {
        /// Where it was looked for.
        url: String,
        /// What happened.
        reason: String,
    },
    /// It does not let us in.
    #[error(
        "the schema registry at {url} refuses access ({status}): correct schema_registry.username and password or token, and let them read schemas and register those of this installation's topics"
    )]
    Denied {
        /// Where.
        url: String,
        /// The status.
        status: u16,
    },
    /// It answers, but not as a registry does.
    #[error(
        "{url} answered {status} and not as a schema registry does ({said}): correct schema_registry.url, its path too"
    )]
    NoRegistry {
        /// What was asked.
        url: String,
        /// The status.
        status: u16,
        /// The beginning of the answer.
        said: String,
    },
    /// A schema of ours is not taken.
    #[error(
        "the schema registry refuses our schema for subject {subject} ({status}: {said}): remove what other producers registered there, or set the subject's compatibility to BACKWARD or NONE"
    )]
    Refused {
        /// The subject.
        subject: String,
        /// The status.
        status: u16,
        /// What the registry says.
        said: String,
    },
}

/// A client of one registry. Blocks; may be called from anywhere, also on a thread of an async runtime.
pub struct Client {
    http: Http,
    config: SchemaRegistryConfig,
}

#[derive(Deserialize)]
struct Found {
    schema: String,
}

#[derive(Deserialize)]
struct Registered {
    id: u32,
}

#[derive(Deserialize)]
struct Complaint {
    error_code: u32,
}

impl Client {
    /// A client; nothing is asked yet.
    ///
    /// # Errors
    /// [`RegistryError::Config`].
    pub fn new(config: &SchemaRegistryConfig) -> Result<Self, RegistryError> {
        config.validate()?;
        let timeout = Duration::from_millis(config.timeout_ms);
        let built = aside(|| {
            Http::builder()
                .timeout(timeout)
                .connect_timeout(timeout)
                .redirect(reqwest::redirect::Policy::none())
                .build()
        });
        let http = built.and_then(|built| built.map_err(|error| error.to_string()));
        Ok(Self {
            http: http.map_err(|reason| RegistryError::Unreachable {
                url: config.url.clone(),
                reason,
            })?,
            config: config.clone(),
        })
    }

    /// Where the registry is.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.config.url
    }

    /// The schema of that id, as JSON; nothing if the registry says that it has none.
    ///
    /// # Errors
    /// [`RegistryError`] if it cannot be known now.
    pub fn schema(&self, id: u32) -> Result<Option<String>, RegistryError> {
        let url = self.at(&["schemas", "ids", &id.to_string()])?;
        let (status, body) = self.ask(self.http.get(url.clone()))?;
        if status == StatusCode::OK
            && let Ok(Found { schema }) = serde_json::from_slice(&body)
        {
            return Ok(Some(schema));
        }
        // A path that is not there is 404 as well: only the registry's own code says that the id is unknown.
        let complaint = serde_json::from_slice::<Complaint>(&body).map(|said| said.error_code);
        if status == StatusCode::NOT_FOUND && complaint.ok() == Some(SCHEMA_NOT_FOUND) {
            return Ok(None);
        }
        Err(self.no_registry(&url, status, &body))
    }

    /// Registers a schema under a subject, unless it is there already; its id.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn register(&self, subject: &str, schema: &str) -> Result<u32, RegistryError> {
        let url = self.at(&["subjects", subject, "versions"])?;
        let request = self
            .http
            .post(url.clone())
            .header("content-type", "application/vnd.schemaregistry.v1+json")
            .body(json!({ "schema": schema }).to_string());
        let (status, body) = self.ask(request)?;
        match status {
            StatusCode::OK => match serde_json::from_slice(&body) {
                Ok(Registered { id }) => Ok(id),
                Err(_) => Err(self.no_registry(&url, status, &body)),
            },
            StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY => {
                Err(RegistryError::Refused {
                    subject: subject.to_owned(),
                    status: status.as_u16(),
                    said: said(&body),
                })
            }
            _ => Err(self.no_registry(&url, status, &body)),
        }
    }

    /// How many subjects the registry has: shows that it answers and lets us in.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn subjects(&self) -> Result<usize, RegistryError> {
        let url = self.at(&["subjects"])?;
        let (status, body) = self.ask(self.http.get(url.clone()))?;
        match serde_json::from_slice::<Vec<String>>(&body) {
            Ok(subjects) if status == StatusCode::OK => Ok(subjects.len()),
            _ => Err(self.no_registry(&url, status, &body)),
        }
    }

    fn at(&self, path: &[&str]) -> Result<Url, RegistryError> {
        let mut url = Url::parse(&self.config.url).map_err(|_| ConfigError::Url)?;
        url.path_segments_mut()
            .map_err(|()| ConfigError::Url)?
            .pop_if_empty()
            .extend(path);
        Ok(url)
    }

    /// Status and body of the answer; an error if it is none, or one that says to come again or to stay out.
    fn ask(&self, request: RequestBuilder) -> Result<(StatusCode, Vec<u8>), RegistryError> {
        let request = request.header(
            "accept",
            "application/vnd.schemaregistry.v1+json, application/json",
        );
        let request = match (
            &self.config.username,
            &self.config.password,
            &self.config.token,
        ) {
            (Some(user), password, _) => {
                request.basic_auth(user, password.as_ref().map(|password| password.reveal()))
            }
            (None, _, Some(token)) => request.bearer_auth(token.reveal()),
            (None, _, None) => request,
        };
        let answered = aside(|| request.send().and_then(whole));
        let answered = answered.and_then(|answered| answered.map_err(|error| innermost(&error)));
        let unreachable = |reason| RegistryError::Unreachable {
            url: self.config.url.clone(),
            reason,
        };
        let (status, body) = answered.map_err(unreachable)?;
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(RegistryError::Denied {
                url: self.config.url.clone(),
                status: status.as_u16(),
            }),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => {
                Err(unreachable(status.to_string()))
            }
            _ if status.is_server_error() => Err(unreachable(status.to_string())),
            _ => Ok((status, body)),
        }
    }

    fn no_registry(&self, url: &Url, status: StatusCode, body: &[u8]) -> RegistryError {
        RegistryError::NoRegistry {
            url: url.to_string(),
            status: status.as_u16(),
            said: said(body),
        }
    }
}

fn whole(response: Response) -> reqwest::Result<(StatusCode, Vec<u8>)> {
    let status = response.status();
    Ok((status, response.bytes()?.to_vec()))
}

/// Does it on a thread of its own: the blocking client panics on one that belongs to an async runtime. Asking is
/// rare enough, once for each schema.
fn aside<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, String> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("schema-registry".to_owned());
        match thread.spawn_scoped(scope, work) {
            Ok(thread) => thread.join().map_err(|_| "the client panicked".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    })
}

/// The last cause: `connection refused`, not that a request could not be sent.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

fn said(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    text.trim().chars().take(SAID).collect()
}
