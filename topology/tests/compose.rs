//! docker-compose.yml and the Containerfile cannot be started here, so they are held against the declaration.

#![cfg(test)]
#![allow(clippy::disallowed_methods, reason = "a test reads files")]

use std::collections::{BTreeMap, BTreeSet};

use prunella_topology::Service;
use saphyr::{LoadableYamlNode, ScalarOwned, YamlOwned};

/// Services of the file that are no services of ours.
const KAFKA: &str = "kafka";
const TOPICS: &str = "topics";

/// Variables that a container of ours may be given.
const KNOWN: &[&str] = &[
    "PRUNELLA__KAFKA__BOOTSTRAP_SERVERS",
    "PRUNELLA__KAFKA__PREFIX",
    "PRUNELLA__HTTP__LISTEN",
    "PRUNELLA__GATEWAY__LISTEN",
    "PRUNELLA__GATEWAY__SOURCES__ALERTMANAGER__TOKEN",
    "PRUNELLA__GATEWAY__PEOPLE__OPERATOR__TOKEN",
    "PRUNELLA__GATEWAY__PEOPLE__OPERATOR__ROLES",
    "PRUNELLA__TOPOLOGY__REPLICATION",
    "PRUNELLA__TOPOLOGY__MIN_INSYNC",
];

fn file(path: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A mapping, the mappings it merges (`<<`) included. Its own entries win, as a whole.
fn mapping(node: &YamlOwned) -> BTreeMap<String, YamlOwned> {
    let entries = node
        .as_mapping()
        .unwrap_or_else(|| panic!("no mapping: {node:?}"));
    let mut all = BTreeMap::new();
    let (merged, own): (Vec<_>, Vec<_>) = entries
        .iter()
        .map(|(key, value)| (text(key), value))
        .partition(|(key, _)| key == "<<");
    for (_, value) in merged {
        all.extend(mapping(value));
    }
    all.extend(own.into_iter().map(|(key, value)| (key, value.clone())));
    all
}

fn text(node: &YamlOwned) -> String {
    match node {
        YamlOwned::Value(ScalarOwned::String(text)) => text.clone(),
        YamlOwned::Value(ScalarOwned::Integer(number)) => number.to_string(),
        YamlOwned::Value(ScalarOwned::Boolean(truth)) => truth.to_string(),
        other => panic!("no text: {other:?}"),
    }
}

fn texts(node: &YamlOwned) -> Vec<String> {
    let list = node
        .as_sequence()
        .unwrap_or_else(|| panic!("no list: {node:?}"));
    list.iter().map(text).collect()
}

struct Compose {
    services: BTreeMap<String, BTreeMap<String, YamlOwned>>,
}

impl Compose {
    fn load() -> Self {
        let documents = YamlOwned::load_from_str(&file("docker-compose.yml")).unwrap();
        let services = mapping(&mapping(&documents[0])["services"]);
        Self {
            services: services
                .into_iter()
                .map(|(name, service)| (name, mapping(&service)))
                .collect(),
        }
    }

    fn environment(&self, service: &str) -> BTreeMap<String, String> {
        mapping(&self.services[service]["environment"])
            .into_iter()
            .map(|(name, value)| (name, text(&value)))
            .collect()
    }

    fn waits_for(&self, service: &str) -> BTreeMap<String, String> {
        mapping(&self.services[service]["depends_on"])
            .into_iter()
            .map(|(name, how)| (name, text(&mapping(&how)["condition"])))
            .collect()
    }

    /// Names of everything that runs our image.
    fn ours(&self) -> impl Iterator<Item = &str> {
        self.services
            .iter()
            .filter(|(_, service)| text(&service["image"]) == "prunella:latest")
            .map(|(name, _)| name.as_str())
    }
}

#[test]
fn every_service_is_there_and_nothing_else() {
    let compose = Compose::load();
    let expected: BTreeSet<&str> = Service::started()
        .map(Service::name)
        .chain([KAFKA, TOPICS])
        .collect();
    let found: BTreeSet<&str> = compose.services.keys().map(String::as_str).collect();
    assert_eq!(found, expected);
    let ours: BTreeSet<&str> = compose.ours().collect();
    assert_eq!(ours.len(), expected.len() - 1, "{ours:?}");
}

#[test]
fn each_service_runs_itself() {
    let compose = Compose::load();
    for service in Service::started() {
        let command = texts(&compose.services[service.name()]["command"]);
        assert_eq!(command[..2], ["run", service.name()]);
    }
    let command = texts(&compose.services[TOPICS]["command"]);
    assert_eq!(command, ["topology", "topics", "--apply"]);
}

#[test]
fn nothing_starts_before_kafka_answers_and_the_topics_are_there() {
    let compose = Compose::load();
    for name in compose.ours() {
        let waits_for = compose.waits_for(name);
        assert_eq!(waits_for[KAFKA], "service_healthy", "{name}");
        if name != TOPICS {
            assert_eq!(
                waits_for[TOPICS], "service_completed_successfully",
                "{name}"
            );
        }
    }
    assert!(compose.services[KAFKA].contains_key("healthcheck"));
}

#[test]
fn every_service_says_when_it_is_ready() {
    let compose = Compose::load();
    for service in Service::started() {
        let name = service.name();
        let test = texts(&mapping(&compose.services[name]["healthcheck"])["test"]);
        // A process with stages answers on a listener of its own, the gateway where it listens anyway.
        let section = if service.is_stage() {
            "HTTP"
        } else {
            "GATEWAY"
        };
        let listen = &compose.environment(name)[&format!("PRUNELLA__{section}__LISTEN")];
        let port = listen.rsplit(':').next().unwrap();
        let url = format!("http://127.0.0.1:{port}/readyz");
        assert_eq!(test.last(), Some(&url), "{name}");
    }
}

#[test]
fn settings_are_known_and_lead_to_the_broker() {
    let compose = Compose::load();
    let advertised = &compose.environment(KAFKA)["KAFKA_ADVERTISED_LISTENERS"];
    for name in compose.ours() {
        let environment = compose.environment(name);
        for variable in environment.keys() {
            assert!(KNOWN.contains(&variable.as_str()), "{name}: {variable}");
        }
        let servers = &environment["PRUNELLA__KAFKA__BOOTSTRAP_SERVERS"];
        assert!(
            advertised.contains(&format!("//{servers}")),
            "{name}: {servers}"
        );
    }
    let published = texts(&compose.services["gateway"]["ports"]);
    let listen = &compose.environment("gateway")["PRUNELLA__GATEWAY__LISTEN"];
    let port = listen.rsplit(':').next().unwrap();
    assert!(published[0].ends_with(&format!(":{port}")), "{published:?}");
}

#[test]
fn nobody_reaches_the_gateway_without_a_token_and_no_token_is_written_down() {
    let environment = Compose::load().environment("gateway");
    let tokens: Vec<&String> = environment
        .iter()
        .filter(|(name, _)| name.ends_with("__TOKEN"))
        .map(|(_, token)| token)
        .collect();
    assert_eq!(tokens.len(), 2);
    for token in tokens {
        assert!(token.starts_with("${") && token.contains(":?"), "{token}");
    }
}

#[test]
fn one_broker_is_not_asked_for_more_copies_than_it_can_hold() {
    let compose = Compose::load();
    let broker = compose.environment(KAFKA);
    for variable in [
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR",
    ] {
        assert_eq!(broker[variable], "1", "{variable}");
    }
    let topics = compose.environment(TOPICS);
    assert_eq!(topics["PRUNELLA__TOPOLOGY__REPLICATION"], "1");
    assert_eq!(topics["PRUNELLA__TOPOLOGY__MIN_INSYNC"], "1");
    assert_eq!(broker["KAFKA_PROCESS_ROLES"], "broker,controller");
    assert_eq!(broker["KAFKA_AUTO_CREATE_TOPICS_ENABLE"], "false");
}

#[test]
fn the_broker_is_of_the_version_that_the_tests_run_against() {
    let image = text(&Compose::load().services[KAFKA]["image"]);
    let version = image.strip_prefix("apache/kafka:").unwrap();
    let tested = format!("<artifactId>kafka_2.13</artifactId>\n      <version>{version}</version>");
    assert!(file("tests/servers/pom.xml").contains(&tested), "{image}");
}

#[test]
fn the_image_is_built_with_the_workspaces_toolchain_and_runs_as_nobody_special() {
    let containerfile = file("Containerfile");
    let toolchain = file("rust-toolchain.toml");
    let channel = toolchain.split('"').nth(1).unwrap();
    assert!(
        containerfile.contains(&format!("FROM rust:{channel}-")),
        "{channel}"
    );
    let user = containerfile.lines().find(|line| line.starts_with("USER "));
    assert_eq!(user, Some("USER 10001"));
    for name in Compose::load().ours() {
        let build = mapping(&Compose::load().services[name]["build"]);
        assert_eq!(text(&build["dockerfile"]), "Containerfile", "{name}");
    }
}
