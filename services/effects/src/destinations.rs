//! Where calls may go.

use std::collections::BTreeMap;

use reqwest::Url;

use crate::config::{EffectsConfig, EffectsConfigError, SecretUrl};

/// The configured base and the hosts that may be called.
#[derive(Debug)]
pub(crate) struct Destinations {
    base: Option<Url>,
    allowed: Vec<Pattern>,
}

#[derive(Debug, PartialEq, Eq)]
struct Pattern {
    /// A host in lower case; with a leading dot: every host that ends so.
    host: String,
    /// Absent: the scheme's own port.
    port: Option<u16>,
}

impl Destinations {
    pub(crate) fn new(config: &EffectsConfig) -> Result<Self, EffectsConfigError> {
        let base = config
            .base_url
            .as_ref()
            .map(|url| parse_url("base_url", url))
            .transpose()?;
        let allowed = config
            .allowed_hosts
            .iter()
            .map(|entry| Pattern::parse(entry));
        let allowed = allowed.collect::<Result<Vec<_>, _>>()?;
        Ok(Self { base, allowed })
    }

    /// The URL of a call, if it may be called.
    ///
    /// # Errors
    /// Why not, and what an operator can do; the words name no more of the URL than its host.
    pub(crate) fn resolve(
        &self,
        url: Option<&str>,
        path: Option<&str>,
        query: &BTreeMap<String, String>,
    ) -> Result<Url, String> {
        let mut url = match (url, path) {
            (Some(url), None) => self.absolute(url)?,
            (None, Some(path)) => self.below_base(path)?,
            _ => return Err("it names neither or both of `url` and `path`".to_owned()),
        };
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url.set_fragment(None);
        Ok(url)
    }

    fn absolute(&self, text: &str) -> Result<Url, String> {
        let url = Url::parse(text).map_err(|error| format!("its URL is malformed: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!(
                "it calls by `{}`: only http and https are",
                url.scheme()
            ));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("its URL holds a user: configure effects.headers instead".to_owned());
        }
        if self.allows(&url) {
            return Ok(url);
        }
        Err(format!(
            "host {} is not allowed: add it to effects.allowed_hosts if it may be called",
            authority(&url)
        ))
    }

    /// Appends the path to the base as text, so that it can name neither another host (`//host`) nor, by way of
    /// dots, anything that does not lie below the base.
    fn below_base(&self, path: &str) -> Result<Url, String> {
        let Some(base) = &self.base else {
            return Err("it names a path, and effects.base_url is not configured".to_owned());
        };
        if !path.starts_with('/') {
            return Err(format!("its path `{path}` does not begin with a slash"));
        }
        let root = base.path().trim_end_matches('/').to_owned();
        let (path, query) = path
            .split_once('?')
            .map_or((path, None), |(path, query)| (path, Some(query)));
        let mut url = base.clone();
        url.set_path(&format!("{root}{path}"));
        url.set_query(query);
        if url.path() == root || url.path().starts_with(&format!("{root}/")) {
            return Ok(url);
        }
        Err(format!("its path `{path}` leads out of effects.base_url"))
    }

    fn allows(&self, url: &Url) -> bool {
        let same_as_base = |base: &Url| {
            base.host_str() == url.host_str()
                && base.port_or_known_default() == url.port_or_known_default()
        };
        self.base.as_ref().is_some_and(same_as_base)
            || self.allowed.iter().any(|pattern| pattern.matches(url))
    }
}

/// Reads a configured URL.
pub(crate) fn parse_url(key: &'static str, url: &SecretUrl) -> Result<Url, EffectsConfigError> {
    let wrong = |reason: String| EffectsConfigError::Url { key, reason };
    let url = Url::parse(&url.0).map_err(|error| wrong(error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(wrong(format!("its scheme is `{}`", url.scheme())));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong(
            "it holds a user: configure effects.headers instead".to_owned(),
        ));
    }
    Ok(url)
}

/// Host and port of a URL, for people.
pub(crate) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

impl Pattern {
    fn parse(entry: &str) -> Result<Self, EffectsConfigError> {
        let wrong = || EffectsConfigError::Host {
            entry: entry.to_owned(),
        };
        let suffix = entry.strip_prefix('.');
        let url =
            Url::parse(&format!("http://{}", suffix.unwrap_or(entry))).map_err(|_| wrong())?;
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        if !bare || entry.contains(['/', '@', '*', '?', '#']) {
            return Err(wrong());
        }
        let host = url.host_str().ok_or_else(wrong)?;
        // The URL drops port 80 as http's own; here it was asked for by number.
        let port = url.port().or_else(|| entry.ends_with(":80").then_some(80));
        let dot = if suffix.is_some() { "." } else { "" };
        Ok(Self {
            host: format!("{dot}{host}"),
            port,
        })
    }

    fn matches(&self, url: &Url) -> bool {
        let Some(host) = url.host_str() else {
            return false;
        };
        let named = if self.host.starts_with('.') {
            host.ends_with(&self.host)
        } else {
            host == self.host
        };
        let port = match self.port {
            Some(port) => url.port_or_known_default() == Some(port),
            None => url.port().is_none(),
        };
        named && port
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn destinations(
        base: Option<&str>,
        allowed: &[&str],
    ) -> Result<Destinations, EffectsConfigError> {
        Destinations::new(&EffectsConfig {
            base_url: base.map(|url| SecretUrl(url.to_owned())),
            allowed_hosts: allowed.iter().map(|&host| host.to_owned()).collect(),
            ..EffectsConfig::default()
        })
    }

    fn url(url: &str) -> Option<String> {
        let allowed = [
            "api.example.com",
            "10.0.0.7:9000",
            ".apps.example.com",
            "[::1]:80",
        ];
        let destinations =
            destinations(Some("http://base.example.com:8080/api"), &allowed).unwrap();
        let resolved = destinations.resolve(Some(url), None, &BTreeMap::new());
        resolved.ok().map(|url| url.to_string())
    }

    fn path(path: &str) -> Option<String> {
        let destinations = destinations(Some("http://base.example.com:8080/api/"), &[]).unwrap();
        let resolved = destinations.resolve(None, Some(path), &BTreeMap::new());
        resolved.ok().map(|url| url.to_string())
    }

    #[test]
    fn allowed_hosts_are_called_and_no_others() {
        for allowed in [
            "https://api.example.com/x",
            "http://API.example.com/x",
            "http://10.0.0.7:9000/",
            "https://shop.apps.example.com/x?y=1",
            "http://base.example.com:8080/elsewhere",
            "http://[::1]/",
        ] {
            assert!(url(allowed).is_some(), "{allowed}");
        }
        for refused in [
            "https://api.example.com:8443/x",
            "http://api.example.com.evil.com/",
            "http://evilapi.example.com/",
            "http://10.0.0.7/",
            "http://apps.example.com/",
            "http://evilapps.example.com/",
            "http://base.example.com/",
            "http://169.254.169.254/latest",
            "http://api.example.com@evil.com/",
            "http://user:secret@api.example.com/",
            "ftp://api.example.com/",
            "file:///etc/passwd",
            "api.example.com/x",
            "//api.example.com/x",
        ] {
            assert_eq!(url(refused), None, "{refused}");
        }
    }

    #[test]
    fn a_path_stays_below_the_base() {
        let base = "http://base.example.com:8080/api";
        assert_eq!(path("/v1/x"), Some(format!("{base}/v1/x")));
        assert_eq!(path("/v1?a=b"), Some(format!("{base}/v1?a=b")));
        assert_eq!(path("//evil.com/x"), Some(format!("{base}//evil.com/x")));
        assert_eq!(path("/@evil.com"), Some(format!("{base}/@evil.com")));
        for refused in [
            "v1",
            "",
            "/../admin",
            "/%2e%2e/admin",
            "/../apis",
            "/a/../../admin",
        ] {
            assert_eq!(path(refused), None, "{refused}");
        }
    }

    #[test]
    fn a_path_needs_a_base_and_a_call_needs_one_of_both() {
        let none = destinations(None, &[]).unwrap();
        let empty = BTreeMap::new();
        assert!(
            none.resolve(None, Some("/x"), &empty)
                .unwrap_err()
                .contains("base_url")
        );
        assert!(none.resolve(None, None, &empty).is_err());
        assert!(none.resolve(Some("http://a/"), Some("/x"), &empty).is_err());
    }

    #[test]
    fn query_parameters_are_added_and_encoded() {
        let destinations = destinations(Some("http://base.example.com"), &[]).unwrap();
        let query = BTreeMap::from([("q".to_owned(), "a b&c=d#e".to_owned())]);
        let url = destinations.resolve(None, Some("/x?a=1"), &query).unwrap();
        assert_eq!(
            url.as_str(),
            "http://base.example.com/x?a=1&q=a+b%26c%3Dd%23e"
        );
    }

    #[test]
    fn entries_that_are_no_hosts_are_refused_by_name() {
        for entry in ["http://x", "x/y", "*.x.com", "", ".", "u@x", "x:y", "x?"] {
            let error = destinations(None, &[entry]).unwrap_err();
            assert!(error.to_string().contains(&format!("`{entry}`")), "{error}");
        }
    }
}
