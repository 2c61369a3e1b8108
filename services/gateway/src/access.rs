//! Who is asking, and what they may do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, HOST};

use crate::config::{GatewayConfig, GatewayError, Role, SourceConfig, is_name};
use crate::limit::Bucket;
use crate::problem::{Kind, Problem};
use crate::secret::{Fingerprint, tokens};

/// Everybody who is known.
#[derive(Debug)]
pub(crate) struct Access {
    sources: BTreeMap<String, Source>,
    people: Vec<Person>,
    /// Set where nobody has a token, which is only allowed on loopback: every source and person is then taken
    /// for who they say they are.
    open: Option<Source>,
}

/// A source that may send.
#[derive(Debug)]
pub(crate) struct Source {
    tokens: Vec<Fingerprint>,
    bucket: Mutex<Bucket>,
    pub(crate) max_body_bytes: usize,
    log_services: Vec<String>,
}

#[derive(Debug)]
struct Person {
    name: Arc<str>,
    tokens: Vec<Fingerprint>,
    roles: Vec<Role>,
}

/// Author of what is done where nobody has a token.
const ANONYMOUS: &str = "anonymous";

impl Access {
    /// Reads every token.
    ///
    /// # Errors
    /// [`GatewayError`] if a token cannot be had or belongs to two, or if nobody has one and the address is
    /// one that others can reach.
    pub(crate) fn new(config: &GatewayConfig) -> Result<Self, GatewayError> {
        let mut access = Self {
            sources: BTreeMap::new(),
            people: Vec::new(),
            open: None,
        };
        for (name, source) in &config.sources {
            let tokens = tokens(
                source.token.as_ref(),
                source.token_file.as_ref(),
                source.token_env.as_ref(),
            );
            let tokens = named("sources", name, tokens)?;
            access
                .sources
                .insert(name.clone(), Source::new(source, tokens, config));
        }
        for (name, person) in &config.people {
            let tokens = tokens(
                person.token.as_ref(),
                person.token_file.as_ref(),
                person.token_env.as_ref(),
            );
            access.people.push(Person {
                name: name.as_str().into(),
                tokens: named("people", name, tokens)?,
                roles: person.roles.clone(),
            });
        }
        access.close(config)
    }

    /// Decides between "everybody needs a token" and "nobody has one".
    fn close(mut self, config: &GatewayConfig) -> Result<Self, GatewayError> {
        let all = || {
            let sources = self
                .sources
                .iter()
                .map(|(name, it)| ("sources", name.as_str(), &it.tokens));
            let people = self
                .people
                .iter()
                .map(|it| ("people", it.name.as_ref(), &it.tokens));
            sources.chain(people)
        };
        if all().all(|(_, _, tokens)| tokens.is_empty()) {
            if !config.listen.ip().is_loopback() {
                return Err(GatewayError::Unprotected(config.listen));
            }
            self.open = Some(Source::new(&SourceConfig::default(), Vec::new(), config));
            return Ok(self);
        }
        let mut seen: BTreeMap<&Fingerprint, String> = BTreeMap::new();
        for (table, name, tokens) in all() {
            if tokens.is_empty() {
                let name = name.to_owned();
                return Err(GatewayError::NoToken { table, name });
            }
            for token in tokens.iter().collect::<BTreeSet<_>>() {
                let whose = format!("{table}.{name}");
                if let Some(other) = seen.insert(token, whose.clone()) {
                    return Err(GatewayError::SharedToken(other, whose));
                }
            }
        }
        Ok(self)
    }

    /// True if nobody has a token.
    pub(crate) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// The source of that name, if the request carries one of its tokens. An unknown name is answered as a
    /// wrong token is: who is not let in does not learn who would be.
    pub(crate) fn source(&self, name: &str, headers: &HeaderMap) -> Result<&Source, Problem> {
        if let Some(open) = &self.open {
            self.check_host(headers)?;
            let source = self.sources.get(name).unwrap_or(open);
            return is_name(name).then_some(source).ok_or_else(|| {
                Problem::new(
                    Kind::NotFound,
                    "a source's name is letters, digits, '-', '_' and '.'",
                )
            });
        }
        let presented = presented(headers)?;
        let source = self.sources.get(name);
        source
            .filter(|source| holds(&source.tokens, &presented))
            .ok_or_else(unknown)
    }

    /// The source that may send this service's logs.
    pub(crate) fn log_source(
        &self,
        service: &str,
        headers: &HeaderMap,
    ) -> Result<(&str, &Source), Problem> {
        if let Some(open) = &self.open {
            self.check_host(headers)?;
            return Ok((ANONYMOUS, open));
        }
        let presented = presented(headers)?;
        let mut found = None;
        // Everybody is looked at, so that the time does not say whose token it is.
        for (name, source) in &self.sources {
            if holds(&source.tokens, &presented) {
                found = Some((name.as_str(), source));
            }
        }
        let (name, source) = found.ok_or_else(unknown)?;
        let may = |allowed: &String| allowed == "*" || allowed == service;
        if source.log_services.iter().any(may) {
            return Ok((name, source));
        }
        Err(Problem::new(
            Kind::Forbidden,
            format!(
                "source {name} may not send the logs of this service; add it to gateway.sources.{name}.log_services"
            ),
        ))
    }

    /// The person who carries this token, if they may do that.
    pub(crate) fn person(&self, role: Role, headers: &HeaderMap) -> Result<Arc<str>, Problem> {
        if self.open.is_some() {
            self.check_host(headers)?;
            return Ok(ANONYMOUS.into());
        }
        let presented = presented(headers)?;
        let mut found = None;
        for person in &self.people {
            if holds(&person.tokens, &presented) {
                found = Some(person);
            }
        }
        let person = found.ok_or_else(unknown)?;
        if role == Role::Read || person.roles.contains(&role) {
            return Ok(person.name.clone());
        }
        Err(Problem::new(
            Kind::Forbidden,
            format!(
                "{name} may not do that; it takes the role `{role}`: add it to gateway.people.{name}.roles",
                name = person.name,
                role = role.name()
            ),
        ))
    }

    /// Without tokens, a page in somebody's browser must not reach this by giving its own name the address of
    /// loopback.
    fn check_host(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        let host = host.unwrap_or_default();
        let name = match host.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => host.split(':').next().unwrap_or_default(),
        };
        let loopback = name
            .parse()
            .is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
        if loopback || name.eq_ignore_ascii_case("localhost") {
            return Ok(());
        }
        Err(Problem::new(
            Kind::Forbidden,
            "this gateway has no tokens and answers to localhost only; call it by that name, or configure tokens",
        ))
    }
}

impl Source {
    fn new(source: &SourceConfig, tokens: Vec<Fingerprint>, config: &GatewayConfig) -> Self {
        Self {
            tokens,
            bucket: Mutex::new(Bucket::new(source.requests_per_second, source.burst)),
            max_body_bytes: source.max_body_bytes.unwrap_or(config.max_body_bytes),
            log_services: source.log_services.clone(),
        }
    }

    /// Takes one request of what the source may send, or says how long to wait.
    pub(crate) fn take(&self, now: Instant) -> Result<(), Duration> {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.take(now)
    }
}

fn named(
    table: &'static str,
    name: &str,
    tokens: Result<Vec<Fingerprint>, crate::secret::TokenError>,
) -> Result<Vec<Fingerprint>, GatewayError> {
    let name = name.to_owned();
    if !is_name(&name) {
        return Err(GatewayError::Name { table, name });
    }
    tokens.map_err(|reason| GatewayError::Token {
        table,
        name,
        reason,
    })
}

/// The token that a request carries.
fn presented(headers: &HeaderMap) -> Result<Fingerprint, Problem> {
    let header = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let (scheme, token) = header
        .and_then(|text| text.split_once(' '))
        .ok_or_else(unknown)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(unknown());
    }
    Ok(Fingerprint::of(token.trim()))
}

fn holds(tokens: &[Fingerprint], presented: &Fingerprint) -> bool {
    tokens
        .iter()
        .fold(false, |found, token| found | token.is(presented))
}

fn unknown() -> Problem {
    Problem::new(
        Kind::Unauthorized,
        "no such token here; send `Authorization: Bearer TOKEN` with the token that the gateway's configuration \
         gives this source or person",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PersonConfig;
    use crate::secret::Secret;

    fn config() -> GatewayConfig {
        let source = |token: &str, logs: &[&str]| SourceConfig {
            token: Some(Secret::new(token)),
            log_services: logs.iter().map(|name| (*name).to_owned()).collect(),
            ..SourceConfig::default()
        };
        let person = |token: &str, roles: &[Role]| PersonConfig {
            token: Some(Secret::new(token)),
            roles: roles.to_vec(),
            ..PersonConfig::default()
        };
        GatewayConfig {
            sources: [
                ("alertmanager".to_owned(), source("am", &[])),
                ("shipper".to_owned(), source("ship", &["shop"])),
                ("all".to_owned(), source("all", &["*"])),
            ]
            .into(),
            people: [
                ("ada".to_owned(), person("ada", &[Role::Operate])),
                ("bob".to_owned(), person("bob", &[])),
            ]
            .into(),
            ..GatewayConfig::default()
        }
    }

    fn headers(authorization: &str, host: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if !authorization.is_empty() {
            headers.insert(AUTHORIZATION, authorization.parse().unwrap());
        }
        headers.insert(HOST, host.parse().unwrap());
        headers
    }

    fn kind<T>(outcome: Result<T, Problem>) -> Option<Kind> {
        outcome.err().map(|problem| problem.kind())
    }

    #[test]
    fn a_source_is_let_in_by_its_own_token_only() {
        let access = Access::new(&config()).unwrap();
        let check = |name: &str, authorization: &str, expected: Option<Kind>| {
            let outcome = access.source(name, &headers(authorization, "x"));
            assert_eq!(kind(outcome), expected, "{name} {authorization}");
        };
        check("alertmanager", "Bearer am", None);
        check("alertmanager", "bearer am", None);
        check("alertmanager", "", Some(Kind::Unauthorized));
        check("alertmanager", "Bearer", Some(Kind::Unauthorized));
        check("alertmanager", "Basic am", Some(Kind::Unauthorized));
        check("alertmanager", "Bearer ship", Some(Kind::Unauthorized));
        check("alertmanager", "Bearer ada", Some(Kind::Unauthorized));
        check("nobody", "Bearer am", Some(Kind::Unauthorized));
    }

    #[test]
    fn logs_are_taken_from_whom_they_are_expected() {
        let access = Access::new(&config()).unwrap();
        let check = |service: &str, token: &str, expected: Option<Kind>| {
            let headers = headers(&format!("Bearer {token}"), "x");
            assert_eq!(
                kind(access.log_source(service, &headers)),
                expected,
                "{service} {token}"
            );
        };
        check("shop", "ship", None);
        check("other", "ship", Some(Kind::Forbidden));
        check("other", "all", None);
        check("shop", "am", Some(Kind::Forbidden));
        check("shop", "wrong", Some(Kind::Unauthorized));
    }

    #[test]
    fn a_person_may_do_what_their_roles_say() {
        let access = Access::new(&config()).unwrap();
        let check = |role, token: &str, expected: Option<Kind>| {
            let headers = headers(&format!("Bearer {token}"), "x");
            assert_eq!(
                kind(access.person(role, &headers)),
                expected,
                "{role:?} {token}"
            );
        };
        check(Role::Operate, "ada", None);
        check(Role::Publish, "ada", Some(Kind::Forbidden));
        check(Role::Read, "bob", None);
        check(Role::Operate, "bob", Some(Kind::Forbidden));
        check(Role::Operate, "am", Some(Kind::Unauthorized));
    }

    #[test]
    fn without_tokens_only_loopback_is_served_under_its_own_name() {
        let open = GatewayConfig::default();
        let access = Access::new(&open).unwrap();
        assert!(access.is_open());
        let check = |host: &str, expected: Option<Kind>| {
            assert_eq!(
                kind(access.person(Role::Publish, &headers("", host))),
                expected,
                "{host}"
            );
            assert_eq!(
                kind(access.source("any", &headers("", host))),
                expected,
                "{host}"
            );
        };
        check("localhost:8080", None);
        check("127.0.0.1:8080", None);
        check("[::1]:8080", None);
        check("evil.example.org:8080", Some(Kind::Forbidden));

        let reachable = GatewayConfig {
            listen: "0.0.0.0:8080".parse().unwrap(),
            ..open
        };
        let refused = Access::new(&reachable).unwrap_err();
        assert!(matches!(refused, GatewayError::Unprotected(_)));
        let protected = GatewayConfig {
            listen: reachable.listen,
            ..config()
        };
        assert!(!Access::new(&protected).unwrap().is_open());
    }

    #[test]
    fn identities_that_cannot_be_told_apart_are_refused() {
        let mut shared = config();
        shared.people.get_mut("bob").unwrap().token = Some(Secret::new("am"));
        let error = Access::new(&shared).unwrap_err().to_string();
        assert!(
            error.contains("sources.alertmanager and people.bob"),
            "{error}"
        );

        let mut without = config();
        without.people.get_mut("bob").unwrap().token = None;
        let error = Access::new(&without).unwrap_err().to_string();
        assert!(error.contains("people.bob has no token"), "{error}");

        let mut named = config();
        named
            .people
            .insert("a/b".to_owned(), PersonConfig::default());
        assert!(matches!(
            Access::new(&named),
            Err(GatewayError::Name { .. })
        ));
    }
}
