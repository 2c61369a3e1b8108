//! From an HTTP answer to an outcome.

use prunella_executor::{EffectOutcome, Ended};
use prunella_schemas::spec::ApiCallSpec;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::client::words;

/// Longest excerpt of an answer in a cause, in characters.
const EXCERPT: usize = 300;

/// An answer, its body read as far as the limit.
pub(crate) struct Answer {
    status: u16,
    body: Vec<u8>,
    /// True if there was more.
    cut: bool,
}

impl Answer {
    /// Reads an answer.
    ///
    /// # Errors
    /// Why it broke off.
    pub(crate) async fn read(mut response: Response, limit: usize) -> Result<Self, String> {
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| words(&error.without_url()))?
        {
            let room = limit - body.len();
            if chunk.len() > room {
                body.extend_from_slice(&chunk[..room]);
                // The rest is not read: dropping the response closes the connection.
                return Ok(Self {
                    status,
                    body,
                    cut: true,
                });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Self {
            status,
            body,
            cut: false,
        })
    }

    /// What a call's answer means.
    pub(crate) fn to_call(&self, call: &ApiCallSpec, mutating: bool) -> EffectOutcome {
        let expected = if call.expect.is_empty() {
            (200..300).contains(&self.status)
        } else {
            call.expect.contains(&self.status)
        };
        if expected {
            return self.outcome(Ended::Succeeded, String::new(), Some(self.json()));
        }
        // A server that failed may have failed before, in the middle of or after doing it.
        let ended = if mutating && self.status >= 500 {
            Ended::Lost
        } else {
            Ended::Failed
        };
        self.outcome(ended, self.complaint(), None)
    }

    /// What a probe's answer says is for the executor to judge, whatever the status.
    pub(crate) fn to_probe(&self, method: &Method) -> EffectOutcome {
        let body = (*method != Method::HEAD).then(|| self.json());
        self.outcome(Ended::Answered, String::new(), body)
    }

    /// What the answer to a notification means.
    pub(crate) fn to_notification(&self) -> EffectOutcome {
        if (200..300).contains(&self.status) {
            let delivered = json!({"delivered": ["log", "webhook"]}).to_string();
            return self.outcome(Ended::Succeeded, String::new(), Some(delivered));
        }
        let cause = format!("it is in the log; the webhook: {}", self.complaint());
        self.outcome(Ended::Failed, cause, None)
    }

    fn outcome(&self, ended: Ended, cause: String, output: Option<String>) -> EffectOutcome {
        EffectOutcome {
            status: Some(self.status),
            output,
            ..EffectOutcome::new(ended, cause)
        }
    }

    /// The body if it is JSON, else `{"text": ...}`; marked if it was cut.
    fn json(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        if self.cut {
            let bytes = self.body.len();
            return json!({"output_truncated": true, "bytes_read": bytes, "excerpt": text})
                .to_string();
        }
        // Read as a whole, so that nobody downstream finds a number or a depth that it cannot hold.
        match serde_json::from_str::<Value>(&text) {
            Ok(_) => text.into_owned(),
            Err(_) => json!({"text": text}).to_string(),
        }
    }

    fn complaint(&self) -> String {
        let redirect = (300..400).contains(&self.status);
        let hint = if redirect {
            ", and redirects are not followed"
        } else {
            ""
        };
        let text = String::from_utf8_lossy(&self.body);
        let excerpt: String = text
            .trim()
            .chars()
            .take(EXCERPT)
            .map(|letter| if letter.is_control() { ' ' } else { letter })
            .collect();
        let separator = if excerpt.is_empty() { "" } else { ": " };
        format!(
            "answered with status {}{hint}{separator}{excerpt}",
            self.status
        )
    }
}
