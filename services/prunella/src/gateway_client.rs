//! The commands' way to the gateway: people's commands go through it, since it knows who they are.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use prunella_schemas::KnowledgeFile;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

/// How long a gateway may say that it is not ready yet.
const NOT_READY: Duration = Duration::from_secs(30);

/// Where the gateway is and who asks.
#[derive(Args, Clone, Debug)]
pub struct GatewayArguments {
    /// The gateway.
    #[arg(
        long,
        env = "PRUNELLA_GATEWAY",
        default_value = "http://127.0.0.1:8080"
    )]
    pub gateway: String,
    /// File that holds your token; else the variable `PRUNELLA_TOKEN`.
    #[arg(long)]
    pub token_file: Option<PathBuf>,
}

/// What the gateway answered.
#[derive(Debug)]
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// Body, JSON where it is.
    pub body: Value,
}

/// A client of one gateway, for one person.
pub struct GatewayClient {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
}

impl GatewayClient {
    /// A client as the arguments say.
    ///
    /// # Errors
    /// A token file that cannot be read.
    pub fn new(arguments: &GatewayArguments) -> Result<Self> {
        let token = match &arguments.token_file {
            Some(file) => Some(
                std::fs::read_to_string(file)
                    .with_context(|| format!("cannot read the token file {}", file.display()))?,
            ),
            None => std::env::var("PRUNELLA_TOKEN").ok(),
        };
        // A file may hold more than one; see the gateway's `token_file`.
        let first = |text: String| {
            text.lines()
                .map(str::trim)
                .find(|line| !line.is_empty())
                .map(str::to_owned)
        };
        Self::with_token(&arguments.gateway, token.and_then(first))
    }

    /// A client of the gateway at a URL.
    ///
    /// # Errors
    /// If no HTTP client can be made.
    pub fn with_token(gateway: &str, token: Option<String>) -> Result<Self> {
        Ok(Self {
            http: reqwest::Client::builder()
                .timeout(Duration::from_secs(30))
                .build()?,
            base: gateway.trim_end_matches('/').to_owned(),
            token,
        })
    }

    /// Sends a request with a JSON body, if there is one.
    ///
    /// # Errors
    /// A gateway that does not answer.
    pub async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer> {
        let mut request = self.request(method, path);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.with_context(|| {
            format!(
                "no answer from the gateway at {}; is it running (`prunella up`, `prunella run gateway`)? `--gateway URL` names another",
                self.base
            )
        })?;
        let status = response.status();
        let text = response.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Ok(Answer { status, body })
    }

    /// As [`GatewayClient::send`], and a refusal is an error in the gateway's own words.
    ///
    /// # Errors
    /// A gateway that does not answer, or refuses.
    pub async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let answer = self.send(method, path, body).await?;
        if !answer.status.is_success() {
            bail!("{}", refusal(&answer, self.token.is_some()));
        }
        Ok(answer.body)
    }

    /// Publishes a set of knowledge and returns its digest. A gateway that has just started may not have read the
    /// topic to its end yet: it is asked again for a while.
    ///
    /// # Errors
    /// A gateway that does not answer, or refuses.
    pub async fn publish(
        &self,
        files: &[KnowledgeFile],
        comment: &str,
        allow_missing: bool,
    ) -> Result<String> {
        let body = json!({ "files": files, "comment": comment, "allow_missing": allow_missing });
        let give_up = Instant::now() + NOT_READY;
        loop {
            let answer = self
                .send(Method::POST, "/v1/knowledge", Some(&body))
                .await?;
            if answer.status.is_success() {
                let digest = answer
                    .body
                    .get("digest")
                    .and_then(Value::as_str)
                    .unwrap_or_default();
                return Ok(digest.to_owned());
            }
            if answer.status != StatusCode::SERVICE_UNAVAILABLE || Instant::now() > give_up {
                bail!("{}", refusal(&answer, self.token.is_some()));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }
}

/// The gateway's problem in a line or two.
#[must_use]
pub fn refusal(answer: &Answer, with_token: bool) -> String {
    let of = |name: &str| {
        answer
            .body
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let mut text = format!(
        "the gateway refused ({}): {}",
        answer.status.as_u16(),
        of("title")
    );
    if !of("detail").is_empty() {
        text = format!("{text}: {}", of("detail"));
    }
    if answer.status == StatusCode::UNAUTHORIZED && !with_token {
        text.push_str("\ngive your token with --token-file FILE or in PRUNELLA_TOKEN");
    }
    text
}
