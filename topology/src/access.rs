//! Who may do what in the cluster, derived from the declaration.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::declaration::{Kind, TOPICS, dead_lettered, with_changelog};
use crate::installation::{Installation, topic_specs};
use crate::prefix::Prefix;
use crate::service::Service;
use crate::topics;

/// What an access rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// A topic.
    Topic,
    /// A consumer group.
    Group,
    /// Transactional ids.
    TransactionalId,
}

/// What it allows, in Kafka's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// Read records, or take part in a group.
    Read,
    /// Write records, or use a transactional id.
    Write,
    /// See that it is there.
    Describe,
    /// Create it.
    Create,
    /// See its settings.
    DescribeConfigs,
    /// Change its settings.
    AlterConfigs,
}

use Operation::{AlterConfigs, Create, Describe, DescribeConfigs, Read, Write};

/// Whether the name is the whole name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pattern {
    /// It is.
    Literal,
    /// It is what names begin with.
    Prefixed,
}

/// One access rule: it allows one operation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Acl {
    /// Who, for example `User:prunella-decider`.
    pub principal: String,
    /// What it is about.
    pub resource: Resource,
    /// Its name in the cluster.
    pub name: String,
    /// Whether that is the whole name.
    pub pattern: Pattern,
    /// What is allowed.
    pub operation: Operation,
    /// From where: an address, or `*`.
    pub host: String,
}

/// Who runs `prunella topology topics --apply`, `tail` and `doctor`.
const OPERATOR: &str = "operator";

/// Every access rule that an installation needs, in order. Principals are `principal_prefix` (for example
/// `User:prunella-`) and a service's name, or `operator`. Without hosts, from everywhere.
///
/// No rule on the cluster is among them: brokers from 3.0 on need none for idempotent producers.
#[must_use]
pub fn acls(principal_prefix: &str, prefix: &Prefix, hosts: &[&str]) -> Vec<Acl> {
    let hosts = if hosts.is_empty() { &["*"] } else { hosts };
    let mut granted = Granted {
        rules: BTreeSet::new(),
        hosts,
        prefix,
    };
    for service in Service::ALL {
        let principal = format!("{principal_prefix}{}", service.runs_in());
        granted.topics(*service, &principal);
        if service.is_stage() {
            granted.broadcasts(&principal);
            granted.own_topics(*service, &principal);
            granted.group(*service, &principal);
        }
    }
    granted.operator(&format!("{principal_prefix}{OPERATOR}"));
    granted.rules.into_iter().collect()
}

struct Granted<'a> {
    rules: BTreeSet<Acl>,
    hosts: &'a [&'a str],
    prefix: &'a Prefix,
}

impl Granted<'_> {
    fn allow(
        &mut self,
        principal: &str,
        (resource, name, pattern): (Resource, &str, Pattern),
        operations: &[Operation],
    ) {
        for operation in operations {
            for host in self.hosts {
                self.rules.insert(Acl {
                    principal: principal.to_owned(),
                    resource,
                    name: name.to_owned(),
                    pattern,
                    operation: *operation,
                    host: (*host).to_owned(),
                });
            }
        }
    }

    fn topic(&mut self, principal: &str, name: &str, operations: &[Operation]) {
        let topic = (Resource::Topic, name, Pattern::Literal);
        self.allow(principal, topic, operations);
    }

    fn topics(&mut self, service: Service, principal: &str) {
        for topic in TOPICS {
            let name = self.prefix.topic(topic.name);
            if topic.readers.contains(&service) {
                self.topic(principal, &name, &[Read, Describe]);
            }
            if topic.writers.contains(&service) {
                self.topic(principal, &name, &[Write, Describe]);
            }
        }
    }

    /// A process keeps one copy of the broadcast topics, all of them, for whichever stages run in it.
    fn broadcasts(&mut self, principal: &str) {
        for topic in TOPICS.iter().filter(|it| it.kind == Kind::Broadcast) {
            let name = self.prefix.topic(topic.name);
            self.topic(principal, &name, &[Read, Describe]);
        }
    }

    fn own_topics(&mut self, service: Service, principal: &str) {
        for topic in dead_lettered(TOPICS).filter(|topic| topic.readers.contains(&service)) {
            let name = self.prefix.dead_letters(topic.name);
            self.topic(principal, &name, &[Write, Describe]);
        }
        if with_changelog(TOPICS).any(|it| it == service) {
            let name = self.prefix.changelog(service.name());
            self.topic(principal, &name, &[Read, Write, Describe]);
        }
    }

    /// A taker of partitions fences their last owner under that owner's transactional id, so a stage may use
    /// all the ids of its application.
    fn group(&mut self, service: Service, principal: &str) {
        let group = self.prefix.app(service.name());
        let group = (Resource::Group, group.as_str(), Pattern::Literal);
        self.allow(principal, group, &[Read]);
        let ids = self.prefix.transactional_ids(service.name());
        let ids = (Resource::TransactionalId, ids.as_str(), Pattern::Prefixed);
        self.allow(principal, ids, &[Write, Describe]);
    }

    fn operator(&mut self, principal: &str) {
        let installation = Installation {
            prefix: self.prefix.clone(),
            ..Installation::default()
        };
        for spec in topic_specs(&installation) {
            self.topic(
                principal,
                &spec.name,
                &[Create, Describe, DescribeConfigs, AlterConfigs, Read],
            );
        }
        let clock = self.prefix.topic(topics::DOCTOR);
        self.topic(principal, &clock, &[Create, Describe, Read, Write]);
    }
}

/// The commands that give an installation's services their rules, one line each, for Kafka's `kafka-acls`.
#[must_use]
pub fn acl_commands(acls: &[Acl], bootstrap_servers: &str) -> Vec<String> {
    let mut together: BTreeMap<_, BTreeSet<Operation>> = BTreeMap::new();
    for acl in acls {
        let Acl {
            principal,
            resource,
            name,
            pattern,
            operation,
            host,
        } = acl;
        together
            .entry((principal, resource, name, pattern, host))
            .or_default()
            .insert(*operation);
    }
    together
        .into_iter()
        .map(|((principal, resource, name, pattern, host), operations)| {
            let operations: String = operations
                .iter()
                .map(|operation| format!(" --operation {operation:?}"))
                .collect();
            format!(
                "kafka-acls --bootstrap-server {} --add --allow-principal {} --allow-host {}{operations} \
                 {resource} {} --resource-pattern-type {pattern}",
                quoted(bootstrap_servers),
                quoted(principal),
                quoted(host),
                quoted(name),
            )
        })
        .collect()
}

/// The rules as JSON: a list of objects, one rule each.
#[must_use]
pub fn acls_json(acls: &[Acl]) -> serde_json::Value {
    let text = |value: &dyn fmt::Debug| serde_json::Value::from(format!("{value:?}"));
    acls.iter()
        .map(|acl| {
            serde_json::json!({
                "principal": acl.principal,
                "resource": text(&acl.resource),
                "name": acl.name,
                "pattern": text(&acl.pattern),
                "operation": text(&acl.operation),
                "host": acl.host,
            })
        })
        .collect()
}

/// The option that names it.
impl fmt::Display for Resource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Topic => "--topic",
            Self::Group => "--group",
            Self::TransactionalId => "--transactional-id",
        })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Literal => "literal",
            Self::Prefixed => "prefixed",
        })
    }
}

/// A word that a shell takes as it is: `*` and names with blanks are quoted.
fn quoted(word: &str) -> String {
    let plain =
        |character: char| character.is_ascii_alphanumeric() || "._-:,/=@".contains(character);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(hosts: &[&str]) -> Vec<Acl> {
        let prefix = Prefix::new("p1.").unwrap();
        acls("User:prunella-", &prefix, hosts)
    }

    fn allowed(service: &str, resource: Resource, name: &str, operation: Operation) -> bool {
        let principal = format!("User:prunella-{service}");
        all(&[]).iter().any(|acl| {
            acl.principal == principal
                && acl.resource == resource
                && acl.name == name
                && acl.operation == operation
        })
    }

    #[test]
    fn a_service_may_do_what_is_declared_of_it_and_nothing_else() {
        for (service, name, operation, expected) in [
            ("gateway", "p1.switches", Write, true),
            ("decider", "p1.switches", Read, true),
            ("decider", "p1.switches", Write, false),
            ("executor", "p1.knowledge", Read, true),
            ("decider", "p1.decisions", Write, true),
            ("decider", "p1.decisions", Read, false),
            ("decider", "p1.actions", Write, false),
            ("decider", "p1.normalized-alerts.dlq", Write, true),
            ("gateway", "p1.raw-alerts.dlq", Write, false),
            ("decider", "p1.decider-changelog", Read, true),
            ("decider", "p1.decider-changelog", Write, true),
            ("decider", "p1.executor-changelog", Read, false),
            ("operator", "p1.decisions", Create, true),
            ("operator", "p1.decider-changelog", AlterConfigs, true),
            ("operator", "p1.decisions", Write, false),
        ] {
            assert_eq!(
                allowed(service, Resource::Topic, name, operation),
                expected,
                "{service} {operation:?} {name}"
            );
        }
    }

    #[test]
    fn the_effects_have_no_principal_of_their_own() {
        assert!(
            all(&[])
                .iter()
                .all(|acl| !acl.principal.ends_with("effects"))
        );
    }

    #[test]
    fn a_stage_may_use_every_transactional_id_of_its_application() {
        let decider: Vec<_> = all(&[])
            .into_iter()
            .filter(|acl| acl.principal == "User:prunella-decider")
            .filter(|acl| acl.resource != Resource::Topic)
            .map(|acl| (acl.resource, acl.name, acl.pattern, acl.operation))
            .collect();
        let ids = |operation| {
            let name = "p1.decider.".to_owned();
            (
                Resource::TransactionalId,
                name,
                Pattern::Prefixed,
                operation,
            )
        };
        assert_eq!(
            decider,
            [
                (
                    Resource::Group,
                    "p1.decider".to_owned(),
                    Pattern::Literal,
                    Operation::Read
                ),
                ids(Operation::Write),
                ids(Operation::Describe),
            ]
        );
    }

    #[test]
    fn commands_put_operations_together_and_quote_for_a_shell() {
        let commands = acl_commands(&all(&[]), "kafka:9092");
        let expected = "kafka-acls --bootstrap-server kafka:9092 --add \
             --allow-principal User:prunella-decider --allow-host '*' --operation Write \
             --operation Describe --transactional-id p1.decider. --resource-pattern-type prefixed";
        assert!(commands.iter().any(|it| it == expected), "{commands:#?}");
        let quote = all(&["it's"]);
        assert!(acl_commands(&quote, "kafka:9092")[0].contains(r"--allow-host 'it'\''s'"));
    }

    #[test]
    fn each_host_has_its_own_rules() {
        assert_eq!(all(&["10.0.0.1", "10.0.0.2"]).len(), 2 * all(&[]).len());
    }

    #[test]
    fn json_has_one_object_a_rule() {
        let acls = all(&[]);
        let json = acls_json(&acls);
        assert_eq!(json.as_array().map(Vec::len), Some(acls.len()));
        assert_eq!(json[0]["principal"], "User:prunella-decider");
        assert_eq!(json[0]["pattern"], "Literal");
    }
}
