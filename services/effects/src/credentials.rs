//! Secrets that go with requests.

use std::collections::BTreeMap;
use std::path::PathBuf;

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use crate::config::{EffectsConfigError, HostCredential};
use crate::destinations::authority;

/// The secrets by host. Nothing here can be printed.
pub(crate) struct Credentials(BTreeMap<String, Credential>);

struct Credential {
    header: HeaderName,
    prefix: String,
    secret: Secret,
}

enum Secret {
    File(PathBuf),
    Text(String),
}

impl Credentials {
    /// Reads every secret once, so that a missing one is found at the start.
    pub(crate) fn new(
        headers: &BTreeMap<String, HostCredential>,
    ) -> Result<Self, EffectsConfigError> {
        let mut credentials = BTreeMap::new();
        for (host, configured) in headers {
            let wrong = |reason: String| EffectsConfigError::Credential {
                host: host.clone(),
                reason,
            };
            let credential = Credential::new(configured).map_err(wrong)?;
            credential.value().map_err(wrong)?;
            credentials.insert(host.to_ascii_lowercase(), credential);
        }
        Ok(Self(credentials))
    }

    /// Adds the secret of a URL's host, if it has one.
    ///
    /// # Errors
    /// What is wrong with it; never the secret.
    pub(crate) fn add(&self, url: &Url, headers: &mut HeaderMap) -> Result<(), String> {
        let host = authority(url);
        if let Some(credential) = self.0.get(&host) {
            let value = credential
                .value()
                .map_err(|reason| format!("effects.headers.\"{host}\": {reason}"))?;
            headers.insert(credential.header.clone(), value);
        }
        Ok(())
    }
}

impl Credential {
    fn new(configured: &HostCredential) -> Result<Self, String> {
        let header = configured
            .header
            .parse()
            .map_err(|_| format!("`{}` is no header name", configured.header))?;
        let secret = match (&configured.token_file, &configured.token_env) {
            (Some(file), None) => Secret::File(file.clone()),
            (None, Some(name)) => Secret::Text(
                std::env::var(name)
                    .map_err(|_| format!("the environment variable {name} is not set"))?,
            ),
            _ => return Err("name one of `token_file` and `token_env`".to_owned()),
        };
        Ok(Self {
            header,
            prefix: configured.prefix.clone(),
            secret,
        })
    }

    fn value(&self) -> Result<HeaderValue, String> {
        let read;
        let secret = match &self.secret {
            Secret::Text(text) => text.as_str(),
            Secret::File(file) => {
                read = std::fs::read_to_string(file)
                    .map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
                read.as_str()
            }
        };
        let text = format!("{}{}", self.prefix, secret.trim());
        let mut value = HeaderValue::try_from(text)
            .map_err(|_| "the secret holds characters that no header may hold".to_owned())?;
        value.set_sensitive(true);
        Ok(value)
    }
}
