//! Real clusters: they start, survive what the tests do to them, and leave nothing behind.
#![allow(
    clippy::unwrap_used,
    reason = "a test stops at what it does not expect"
)]

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use prunella_test_servers::{
    ClusterOptions, JavaTool, KafkaCluster, Load, Metadata, ServerError, Turn, committed_summary,
    jars, read_committed,
};

const TIMEOUT: Duration = Duration::from_secs(60);

fn topic_command<const N: usize>(bootstrap: &str, args: [&str; N]) -> String {
    JavaTool::class("org.apache.kafka.tools.TopicCommand")
        .args(["--bootstrap-server", bootstrap])
        .args(args)
        .run()
        .unwrap()
}

/// Produces with the console producer, so that this crate needs no Kafka client.
fn produce(bootstrap: &str, topic: &str, lines: &str) {
    let mut producer = Command::new("java")
        .args([
            "-XX:TieredStopAtLevel=1",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
            "-cp",
        ])
        .arg(jars().unwrap().join("*"))
        .args([
            "org.apache.kafka.tools.ConsoleProducer",
            "--bootstrap-server",
            bootstrap,
            "--topic",
            topic,
        ])
        .args(["--reader-property", "parse.key=true"])
        .args(["--reader-property", "parse.headers=true"])
        // Longer than a killed broker's session: until that expires its replicas hold up acks=all.
        .args(["--request-timeout-ms", "60000", "--sync"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    producer
        .stdin
        .take()
        .unwrap()
        .write_all(lines.as_bytes())
        .unwrap();
    assert!(producer.wait().unwrap().success());
}

fn exists(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[test]
fn one_node_keeps_its_topics_and_records_over_a_stop_and_a_kill() {
    let _turn = Turn::take(Load::Middle);
    let cluster = KafkaCluster::start(1).unwrap();
    let bootstrap = cluster.bootstrap();
    topic_command(
        bootstrap,
        ["--create", "--topic", "kept", "--partitions", "3"],
    );
    produce(
        bootstrap,
        "kept",
        "h:1\tk1\tone\nh:2,h:3\tk2\ttwo\nh:4\tk1\tthree\n",
    );

    let before = cluster.pid(1).unwrap().unwrap();
    cluster.restart(1).unwrap();
    assert_ne!(cluster.pid(1).unwrap().unwrap(), before);
    cluster.kill(1).unwrap();
    assert_eq!(cluster.pid(1).unwrap(), None);
    assert!(matches!(
        cluster.kill(1),
        Err(ServerError::NotRunning { node: 1 })
    ));
    assert!(Metadata::ask(bootstrap, Duration::from_secs(1)).is_err());
    cluster.restart(1).unwrap();

    assert_eq!(topic_command(bootstrap, ["--list"]), "kept\n");
    let records = read_committed(bootstrap, "kept", TIMEOUT).unwrap();
    let mut found: Vec<(&[u8], &[u8], usize)> = records
        .iter()
        .map(|r| {
            (
                r.key.as_deref().unwrap(),
                r.value.as_deref().unwrap(),
                r.headers.len(),
            )
        })
        .collect();
    found.sort_unstable();
    assert_eq!(
        found,
        [
            (&b"k1"[..], &b"one"[..], 1),
            (b"k1", b"three", 1),
            (b"k2", b"two", 2)
        ]
    );

    let summary = committed_summary(bootstrap, "kept", TIMEOUT).unwrap();
    assert_eq!(
        (
            summary.records,
            summary.keys,
            summary.duplicate_keys,
            summary.null_keys
        ),
        (3, 2, 1, 0)
    );
    assert_eq!(summary.duplicates, [("azE=".into(), 2)].into());
    assert_eq!(summary.partitions.len(), 3);
    assert!(!summary.has_open_transaction());
}

#[test]
fn three_nodes_serve_with_one_killed_and_are_whole_again_after_its_restart() {
    let _turn = Turn::take(Load::Heavy);
    let cluster = KafkaCluster::start(3).unwrap();
    let bootstrap = cluster.bootstrap();
    topic_command(
        bootstrap,
        ["--create", "--topic", "replicated", "--partitions", "6"],
    );
    cluster.wait_in_sync().unwrap();
    assert!(
        cluster
            .metadata(2)
            .unwrap()
            .partitions
            .iter()
            .all(|partition| partition.replicas.len() == 3)
    );

    cluster.kill(1).unwrap();
    produce(bootstrap, "replicated", "h:1\tk\tv\n");
    assert_eq!(
        committed_summary(bootstrap, "replicated", TIMEOUT)
            .unwrap()
            .records,
        1
    );

    cluster.restart(1).unwrap();
    cluster.wait_in_sync().unwrap();
    cluster.stop(2).unwrap();
    cluster.restart(2).unwrap();
    cluster.wait_in_sync().unwrap();
    assert_eq!(cluster.metadata(1).unwrap().brokers.len(), 3);
}

#[test]
fn a_dropped_cluster_leaves_no_process_and_no_directory() {
    let _turn = Turn::take(Load::Middle);
    let cluster = KafkaCluster::start(1).unwrap();
    let (pid, dir) = (
        cluster.pid(1).unwrap().unwrap(),
        cluster.dir().to_path_buf(),
    );
    assert!(exists(pid) && dir.exists());
    drop(cluster);
    assert!(!exists(pid) && !dir.exists());
}

#[test]
fn a_given_directory_is_kept_and_continued() {
    let _turn = Turn::take(Load::Middle);
    let dir = tempfile::tempdir().unwrap();
    let start = || {
        let dir = Some(dir.path().to_path_buf());
        KafkaCluster::start_with(ClusterOptions {
            nodes: 1,
            dir,
            ..ClusterOptions::default()
        })
        .unwrap()
    };
    let first = start();
    topic_command(first.bootstrap(), ["--create", "--topic", "kept"]);
    drop(first);
    let again = start();
    assert_eq!(topic_command(again.bootstrap(), ["--list"]), "kept\n");
    again.stop_all().unwrap();
}

#[test]
fn topics_are_not_created_by_being_asked_for() {
    let _turn = Turn::take(Load::Middle);
    let bootstrap = KafkaCluster::shared().unwrap();
    let error = read_committed(bootstrap, "never-created", Duration::from_secs(5))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("topic never-created does not exist"),
        "{error}"
    );
}

#[test]
fn a_cluster_that_cannot_start_says_why() {
    let _turn = Turn::take(Load::Middle);
    let properties = vec![("num.network.threads".into(), "none".into())];
    let options = ClusterOptions {
        nodes: 1,
        properties,
        ..ClusterOptions::default()
    };
    let error = KafkaCluster::start_with(options).unwrap_err().to_string();
    assert!(error.contains("Invalid value none"), "{error}");
}

#[test]
fn only_clusters_of_one_or_three_are_started_and_only_their_nodes_are_known() {
    let _turn = Turn::take(Load::Middle);
    assert!(matches!(
        KafkaCluster::start(2),
        Err(ServerError::BadSize { nodes: 2 })
    ));
    let cluster = KafkaCluster::start(1).unwrap();
    for node in [0, 2] {
        assert!(
            matches!(cluster.kill(node), Err(ServerError::NoSuchNode { .. })),
            "node {node}"
        );
    }
}

/// Starts the command with its environment file in `dir` and gives that file's lines once it is there.
fn start_command(dir: &Path, command: &mut Command) -> (std::process::Child, PathBuf, Vec<u32>) {
    let env_file = dir.join("env");
    let mut child = command
        .arg("--env-file")
        .arg(&env_file)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    while !env_file.exists() {
        assert!(child.try_wait().unwrap().is_none());
        thread::sleep(Duration::from_millis(20));
    }
    let text = std::fs::read_to_string(&env_file).unwrap();
    let value = |name: &str| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap();
        line.trim_start_matches('=').trim_matches('\'').to_owned()
    };
    Metadata::ask(&value("PRUNELLA_TEST_KAFKA"), TIMEOUT).unwrap();
    let pids = value("PRUNELLA_KAFKA_PIDS")
        .split(' ')
        .map(|pid| pid.parse().unwrap())
        .collect();
    (child, PathBuf::from(value("PRUNELLA_KAFKA_DIR")), pids)
}

#[test]
fn the_command_serves_until_its_input_is_closed() {
    let _turn = Turn::take(Load::Middle);
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_prunella-servers"));
    command
        .args(["kafka", "--until-stdin-closes"])
        .stdin(Stdio::piped());
    let (mut child, data, pids) = start_command(dir.path(), &mut command);
    assert!(data.exists() && pids.iter().all(|pid| exists(*pid)));
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    assert!(!data.exists() && !pids.iter().any(|pid| exists(*pid)));
}

#[test]
fn the_command_killed_with_9_takes_its_brokers_and_their_data_along() {
    let _turn = Turn::take(Load::Middle);
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_prunella-servers"));
    command.arg("kafka").stdin(Stdio::null());
    let (mut child, data, pids) = start_command(dir.path(), &mut command);
    child.kill().unwrap();
    child.wait().unwrap();
    while data.exists() || pids.iter().any(|pid| exists(*pid)) {
        thread::sleep(Duration::from_millis(20));
    }
}
