//! What a node's server.properties says.

use std::{
    fmt::Write,
    time::{SystemTime, UNIX_EPOCH},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

use super::Node;

/// The text of server.properties for `nodes[index]`. `extra` comes last, and of two lines with one name the last
/// one counts.
pub(super) fn server_properties(
    nodes: &[Node],
    index: usize,
    extra: &[(String, String)],
) -> String {
    let node = &nodes[index];
    let (client, controller) = (node.client_port.address(), node.controller_port.address());
    let replicas = nodes.len();
    let in_sync = if replicas == 1 { 1 } else { 2 };
    let voters: Vec<String> = nodes
        .iter()
        .zip(1..)
        .map(|(voter, id)| format!("{id}@{}", voter.controller_port.address()))
        .collect();
    let mut text = String::new();
    let mut line = |name: &str, value: &dyn std::fmt::Display| {
        let _ = writeln!(text, "{name}={value}");
    };
    line("process.roles", &"broker,controller");
    line("node.id", &(index + 1));
    line("controller.quorum.voters", &voters.join(","));
    line(
        "listeners",
        &format!("PLAINTEXT://{client},CONTROLLER://{controller}"),
    );
    line("advertised.listeners", &format!("PLAINTEXT://{client}"));
    line("controller.listener.names", &"CONTROLLER");
    line(
        "listener.security.protocol.map",
        &"CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    );
    line("log.dirs", &node.data().display());
    line("auto.create.topics.enable", &false);
    line("default.replication.factor", &replicas);
    line("min.insync.replicas", &in_sync);
    line("offsets.topic.replication.factor", &replicas);
    line("transaction.state.log.replication.factor", &replicas);
    line("transaction.state.log.min.isr", &in_sync);
    line(
        "share.coordinator.state.topic.replication.factor",
        &replicas,
    );
    line("share.coordinator.state.topic.min.isr", &in_sync);
    // The defaults of 50 make a small machine spend seconds on creating, electing and loading them.
    line("offsets.topic.num.partitions", &8);
    line("transaction.state.log.num.partitions", &8);
    // A node killed with -9 is not let in again before its session has expired; the default is 9 s.
    line("broker.session.timeout.ms", &4000);
    line("broker.heartbeat.interval.ms", &1000);
    line("group.initial.rebalance.delay.ms", &0);
    // The default of 6 s is longer than most tests take.
    line("group.min.session.timeout.ms", &1000);
    line(
        "transaction.abort.timed.out.transaction.cleanup.interval.ms",
        &1000,
    );
    for (name, value) in extra {
        line(name, value);
    }
    text
}

/// A cluster id: 16 bytes as unpadded base64. Brokers refuse to talk to those of another cluster, so each start
/// has its own: a leftover of an earlier test cannot join.
#[derive(Debug)]
pub(super) struct ClusterId(String);

impl ClusterId {
    pub(super) fn new() -> ClusterId {
        let time = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_nanos() as u64;
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&time.to_be_bytes());
        bytes[8..12].copy_from_slice(&std::process::id().to_be_bytes());
        ClusterId(BASE64_URL_SAFE_NO_PAD.encode(bytes))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn text(nodes: usize, extra: &[(String, String)]) -> String {
        let dir = tempfile::tempdir().unwrap();
        let nodes: Vec<Node> = (1..=nodes)
            .map(|number| Node::new(dir.path(), number).unwrap())
            .collect();
        server_properties(&nodes, nodes.len() - 1, extra)
    }

    fn check(text: &str, line: &str) {
        assert!(
            text.lines().any(|found| found == line),
            "{line} is not in\n{text}"
        );
    }

    #[test]
    fn one_node_replicates_to_itself() {
        let text = text(1, &[]);
        check(&text, "node.id=1");
        check(&text, "transaction.state.log.replication.factor=1");
        check(&text, "min.insync.replicas=1");
    }

    #[test]
    fn three_nodes_keep_three_replicas_and_need_two() {
        let text = text(3, &[]);
        check(&text, "node.id=3");
        check(&text, "default.replication.factor=3");
        check(&text, "min.insync.replicas=2");
        check(&text, "transaction.state.log.replication.factor=3");
        check(&text, "transaction.state.log.min.isr=2");
        let voters = text
            .lines()
            .find(|line| line.starts_with("controller.quorum.voters="))
            .unwrap();
        assert_eq!(voters.split(',').count(), 3);
    }

    #[test]
    fn properties_of_the_caller_come_last() {
        let text = text(1, &[("node.id".into(), "9".into())]);
        assert!(text.ends_with("node.id=9\n"));
    }

    #[test]
    fn a_cluster_id_begins_with_no_dash_that_the_tool_would_take_for_an_option() {
        let id = ClusterId::new();
        assert_eq!(id.as_str().len(), 22);
        assert!(!id.as_str().starts_with('-') && Path::new(id.as_str()).is_relative());
    }
}
