//! What a refused request is told: RFC 9457 problem details.

use std::time::Duration;

use axum::http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident $name:literal $status:ident $title:literal;)*) => {
        /// The rule that a request broke. Its name is a metric label and ends the problem's type.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) enum Kind { $($(#[$doc])* $kind),* }

        impl Kind {
            #[cfg(test)]
            pub(crate) const ALL: &'static [Self] = &[$(Self::$kind),*];

            pub(crate) fn name(self) -> &'static str {
                match self { $(Self::$kind => $name),* }
            }

            pub(crate) fn status(self) -> StatusCode {
                match self { $(Self::$kind => StatusCode::$status),* }
            }

            fn title(self) -> &'static str {
                match self { $(Self::$kind => $title),* }
            }
        }
    };
}
kinds! {
    /// No token, or not the right one.
    Unauthorized "unauthorized" UNAUTHORIZED "Not authenticated";
    /// The right token for something else.
    Forbidden "forbidden" FORBIDDEN "Not allowed";
    /// No such route or thing.
    NotFound "not-found" NOT_FOUND "Not found";
    /// The route has no such method.
    Method "method-not-allowed" METHOD_NOT_ALLOWED "Method not allowed";
    /// The body took too long.
    Slow "body-timeout" REQUEST_TIMEOUT "The body took too long";
    /// The body is too long.
    TooLarge "too-large" PAYLOAD_TOO_LARGE "Too large";
    /// The body is of another kind.
    ContentType "content-type" UNSUPPORTED_MEDIA_TYPE "Content type not taken";
    /// There is no body.
    Empty "empty" BAD_REQUEST "Empty body";
    /// The body cannot be read.
    Malformed "malformed" BAD_REQUEST "Malformed body";
    /// The body can be read and asks for something that makes no sense.
    Invalid "invalid" UNPROCESSABLE_ENTITY "Invalid command";
    /// The knowledge has mistakes.
    Knowledge "knowledge-refused" UNPROCESSABLE_ENTITY "Knowledge refused";
    /// The source sends too much.
    RateLimited "rate-limited" SERVICE_UNAVAILABLE "Rate limit reached";
    /// Everybody together sends too much.
    Busy "busy" SERVICE_UNAVAILABLE "Too many requests at the same time";
    /// Kafka did not acknowledge.
    Kafka "kafka-unavailable" SERVICE_UNAVAILABLE "Kafka did not acknowledge";
    /// The gateway has not read its topics yet.
    NotReady "not-ready" SERVICE_UNAVAILABLE "Not ready yet";
    /// A bug.
    Internal "internal" INTERNAL_SERVER_ERROR "Internal error";
}

/// What is answered to a request that is refused.
#[derive(Debug)]
pub(crate) struct Problem {
    kind: Kind,
    detail: String,
    retry_after: Option<Duration>,
    more: Map<String, Value>,
}

impl Problem {
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        // Whoever is told to come again is told when.
        let later = kind.status() == StatusCode::SERVICE_UNAVAILABLE;
        Self {
            kind,
            detail: detail.into(),
            retry_after: later.then_some(Duration::from_secs(1)),
            more: Map::new(),
        }
    }

    pub(crate) fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Adds a member of its own.
    pub(crate) fn with(mut self, name: &str, value: Value) -> Self {
        self.more.insert(name.to_owned(), value);
        self
    }

    #[cfg(test)]
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.kind.status();
        let mut body = self.more;
        for (name, value) in [
            (
                "type",
                json!(format!("urn:prunella:problem:{}", self.kind.name())),
            ),
            ("title", json!(self.kind.title())),
            ("status", json!(status.as_u16())),
            ("detail", json!(self.detail)),
        ] {
            body.insert(name.to_owned(), value);
        }
        let mut response = (status, Value::Object(body).to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(wait) = self.retry_after {
            let whole = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            headers.insert(RETRY_AFTER, HeaderValue::from(whole.max(1)));
        }
        match self.kind {
            Kind::Unauthorized => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            // What is left of the body is not read.
            Kind::TooLarge | Kind::Slow => {
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response.extensions_mut().insert(self.kind);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_may_come_again_is_told_when_and_nobody_else() {
        for kind in Kind::ALL {
            let response = Problem::new(*kind, "why").into_response();
            let told = response.headers().contains_key(RETRY_AFTER);
            assert_eq!(told, response.status() == 503, "{kind:?}");
            // Alertmanager never comes again after a 429.
            assert_ne!(response.status(), 429);
        }
    }

    #[test]
    fn a_wait_is_rounded_up_to_whole_seconds() {
        let wait = |millis| {
            let problem = Problem::new(Kind::RateLimited, "why");
            let response = problem
                .retry_after(Duration::from_millis(millis))
                .into_response();
            response.headers()[RETRY_AFTER].to_str().unwrap().to_owned()
        };
        assert_eq!(wait(1), "1");
        assert_eq!(wait(1_001), "2");
    }
}
