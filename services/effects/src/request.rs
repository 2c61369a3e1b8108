//! From an action's spec to an HTTP request.

use std::collections::BTreeMap;
use std::time::Duration;

use prunella_executor::EffectSpec;
use prunella_schemas::spec::{ApiCallSpec, ProbeSpec};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Body, Method, Request, Url};
use serde_json::Value;

use crate::credentials::Credentials;
use crate::destinations::Destinations;

/// Why a request cannot be made; nothing was sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// The spec is wrong.
    Spec(String),
    /// A guard refuses it.
    Refused(String),
}

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const TRACE: HeaderName = HeaderName::from_static("traceparent");

/// Headers that are the client's own, or that a playbook must not forge.
const RESERVED: &[&str] = &[
    "connection",
    "content-length",
    "expect",
    "host",
    "idempotency-key",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What requests are made with.
pub(crate) struct Requests {
    pub(crate) destinations: Destinations,
    pub(crate) credentials: Credentials,
}

impl Requests {
    /// The request of an `API_Call`.
    pub(crate) fn call(&self, effect: &EffectSpec, call: &ApiCallSpec) -> Result<Request, Unfit> {
        let url = self.url(call.url.as_deref(), call.path.as_deref(), &call.query)?;
        let mut request = self.request(effect, &call.method, url, &call.headers)?;
        // A read has nothing to be idempotent about, and logs that count keys count what changes something.
        if effect.mutating {
            add_key(effect, request.headers_mut())?;
        }
        if let Some(body) = &call.body {
            set_body(&mut request, body);
        }
        Ok(request)
    }

    /// The request of a probe.
    pub(crate) fn probe(&self, effect: &EffectSpec, probe: &ProbeSpec) -> Result<Request, Unfit> {
        if !matches!(probe.method.as_str(), "GET" | "HEAD") {
            let method = &probe.method;
            return Err(Unfit::Spec(format!(
                "a probe is a GET or a HEAD, not a {method}"
            )));
        }
        let url = self.url(probe.url.as_deref(), probe.path.as_deref(), &probe.query)?;
        self.request(effect, &probe.method, url, &probe.headers)
    }

    /// The request that delivers a notification.
    pub(crate) fn notification(
        &self,
        effect: &EffectSpec,
        webhook: &Url,
        body: &Value,
    ) -> Result<Request, Unfit> {
        let mut request = self.request(effect, "POST", webhook.clone(), &BTreeMap::new())?;
        add_key(effect, request.headers_mut())?;
        set_body(&mut request, body);
        Ok(request)
    }

    fn url(
        &self,
        url: Option<&str>,
        path: Option<&str>,
        query: &BTreeMap<String, String>,
    ) -> Result<Url, Unfit> {
        self.destinations
            .resolve(url, path, query)
            .map_err(Unfit::Refused)
    }

    fn request(
        &self,
        effect: &EffectSpec,
        method: &str,
        url: Url,
        headers: &BTreeMap<String, String>,
    ) -> Result<Request, Unfit> {
        let method: Method = method
            .parse()
            .map_err(|_| Unfit::Spec(format!("`{method}` is no HTTP method")))?;
        let mut request = Request::new(method, url);
        *request.timeout_mut() = Some(timeout(effect));
        for (name, value) in headers {
            let (name, value) = header(name, value)?;
            request.headers_mut().insert(name, value);
        }
        if let Some(trace) = effect.trace.as_deref().and_then(|trace| trace.parse().ok()) {
            request.headers_mut().insert(TRACE, trace);
        }
        let url = request.url().clone();
        let added = self.credentials.add(&url, request.headers_mut());
        added.map_err(Unfit::Spec)?;
        Ok(request)
    }
}

/// How long the effect's request may take.
pub(crate) fn timeout(effect: &EffectSpec) -> Duration {
    Duration::from_millis(u64::try_from(effect.timeout_ms).unwrap_or_default())
}

fn add_key(effect: &EffectSpec, headers: &mut HeaderMap) -> Result<(), Unfit> {
    let key = HeaderValue::from_str(&effect.idempotency_key)
        .map_err(|_| Unfit::Spec("its idempotency key cannot go into a header".to_owned()))?;
    headers.insert(IDEMPOTENCY_KEY, key);
    Ok(())
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), Unfit> {
    let wrong = |what: &str| Unfit::Spec(format!("header `{name}`: {what}"));
    let parsed: HeaderName = name.parse().map_err(|_| wrong("no header name"))?;
    if RESERVED.contains(&parsed.as_str()) {
        return Err(wrong("a playbook cannot set it"));
    }
    let value =
        HeaderValue::from_str(value).map_err(|_| wrong("its value holds control characters"))?;
    Ok((parsed, value))
}

/// Sets the body: a text as it is, anything else as JSON.
fn set_body(request: &mut Request, body: &Value) {
    let (bytes, content_type) = match body {
        Value::String(text) => (text.clone(), "text/plain; charset=utf-8"),
        other => (other.to_string(), "application/json"),
    };
    *request.body_mut() = Some(Body::from(bytes));
    let headers = request.headers_mut();
    headers
        .entry(CONTENT_TYPE)
        .or_insert(HeaderValue::from_static(content_type));
}
