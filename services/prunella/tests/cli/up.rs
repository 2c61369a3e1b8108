//! `prunella up --embedded`: the whole pipeline in one process, used over HTTP and by the other commands.

use std::cell::RefCell;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStderr};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::program::{Said, checkout, directory, drain, ended, prunella, text};

/// Nothing that is waited for here takes this long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running pipeline.
struct Up {
    child: Child,
    said: Receiver<String>,
    /// What it said so far.
    log: RefCell<Vec<String>>,
    /// `http://...` of the gateway, and of health and metrics.
    gateway: String,
    ops: String,
    /// `host:port` of the embedded broker.
    broker: String,
}

impl Up {
    fn start(configuration: &str) -> Self {
        let knowledge = text(&checkout("deploy/demo"));
        let files = directory(&[("p.toml", configuration)]);
        let configuration = text(&files.path().join("p.toml"));
        let mut child = prunella(["up", "--embedded", "--knowledge", &knowledge])
            .env("PRUNELLA_TOKEN", "not-the-token-of-anybody")
            .args(&["--config", &configuration])
            .env("PRUNELLA__GATEWAY__LISTEN", "127.0.0.1:0")
            .env("PRUNELLA__HTTP__LISTEN", "127.0.0.1:0")
            .start();
        drain(child.stdout.take().expect("its output"));
        let said = lines(child.stderr.take().expect("its errors"));
        let mut up = Self {
            child,
            said,
            log: RefCell::default(),
            gateway: String::new(),
            ops: String::new(),
            broker: String::new(),
        };
        let first = up.line("");
        assert!(
            first.starts_with("at least once: "),
            "its first line says what it promises: {first}"
        );
        up.broker = first
            .split(' ')
            .find(|word| word.starts_with("127.0.0.1:"))
            .expect("the broker's address")
            .to_owned();
        up.gateway = up.line("gateway listens on ");
        up.ops = up.line("health and metrics on ");
        up.line("ready");
        up
    }

    /// The rest of the next line that begins so.
    fn line(&self, begin: &str) -> String {
        loop {
            let line = self.said.recv_timeout(PATIENCE).expect(begin);
            self.log.borrow_mut().push(line.clone());
            if let Some(rest) = line.strip_prefix(begin) {
                return rest.to_owned();
            }
        }
    }

    /// A command that goes through the gateway.
    fn ask(&self, command: &[&str]) -> Said {
        prunella(command.iter().chain(&["--gateway", &self.gateway])).run()
    }

    fn ends_when_asked(&mut self) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).expect("a running process");
        assert_eq!(ended(&mut self.child).code(), Some(0));
    }

    /// A command that goes to the broker.
    fn tail(&self, arguments: &[&str]) -> Said {
        prunella(["tail", "--kafka", &self.broker].iter().chain(arguments)).run()
    }
}

/// A failing test leaves no pipeline behind.
impl Drop for Up {
    fn drop(&mut self) {
        // It may have ended long ago.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(from: ChildStderr) -> Receiver<String> {
    let (say, said) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            // Nobody may be interested any more; what is said is read all the same.
            let _ = say.send(line);
        }
    });
    said
}

/// Status and body of a request.
fn http(method: reqwest::Method, url: &str, body: Option<Value>, token: &str) -> (u16, String) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut request = reqwest::Client::new()
            .request(method, url)
            .bearer_auth(token)
            .timeout(PATIENCE);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.expect(url);
        let status = answer.status().as_u16();
        (status, answer.text().await.expect("a body"))
    })
}

fn get(url: &str) -> (u16, String) {
    http(reqwest::Method::GET, url, None, "")
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let give_up = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < give_up, "waited for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn webhook() -> Value {
    json!({
        "version": "4", "groupKey": "{}:{}", "truncatedAlerts": 0, "status": "firing", "receiver": "prunella",
        "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "",
        "alerts": [{
            "status": "firing", "annotations": {}, "generatorURL": "", "fingerprint": "f1",
            "labels": {"alertname": "Disk_Full", "service": "db", "severity": "warning", "cluster": "lab"},
            "startsAt": "2026-01-01T00:00:00Z", "endsAt": "0001-01-01T00:00:00Z"
        }]
    })
}

#[test]
fn the_whole_pipeline_runs_in_one_process_and_ends_when_asked() {
    let mut up = Up::start("");
    an_alert_is_decided(&up);
    health_and_metrics_are_served(&up);
    knowledge_is_in_force(&up);
    the_kill_switch_can_be_thrown_and_released(&up);
    topics_can_be_read(&up);

    up.ends_when_asked();
}

/// Everybody has a token, which is seen in no log, however talkative.
#[test]
fn with_tokens_the_pipeline_starts_and_lets_in_who_has_one() {
    let mut up = Up::start(
        "[log]\nlevel = \"trace\"\n\
         [gateway.people.ada]\ntoken = \"s3cret-ada\"\nroles = [\"operate\"]\n\
         [gateway.sources.alertmanager]\ntoken = \"s3cret-alertmanager\"\n",
    );
    let url = format!("{}/v1/alerts/alertmanager", up.gateway);
    let post = |token| http(reqwest::Method::POST, &url, Some(webhook()), token).0;
    assert_eq!(post("s3cret-wrong"), 401);
    assert_eq!(post("s3cret-ada"), 401);
    assert_eq!(post("s3cret-alertmanager"), 202);

    let ask = |command: &[&str], token: &str| {
        prunella(command.iter().chain(&["--gateway", &up.gateway]))
            .env("PRUNELLA_TOKEN", token)
            .env("PRUNELLA__LOG__LEVEL", "trace")
            .run()
    };
    let status = ["kill-switch", "status"];
    up.ask(&status).refused(1, "--token-file FILE");
    let refused = ask(&status, "s3cret-wrong").refused(1, "(401)");
    assert!(!refused.err.contains("s3cret"), "{refused:#?}");
    let on = ask(&["kill-switch", "on", "--comment", "why"], "s3cret-ada").expect(0);
    let said = ask(&status, "s3cret-ada").expect(0);
    assert!(said.out.contains("thrown by ada: why"), "{said:#?}");
    let starter = text(&checkout("deploy/knowledge"));
    let refused = ask(&["knowledge", "apply", &starter], "s3cret-ada").refused(1, "(403)");
    let listed = ask(&["knowledge", "list"], "s3cret-ada").expect(0);
    assert!(
        listed.out.contains("prunella-up"),
        "who published: {listed:#?}"
    );
    for said in [on, said, refused, listed] {
        assert!(!said.err.contains("s3cret"), "{said:#?}");
    }
    up.ends_when_asked();
    // Its errors are closed, since it has ended.
    let log: Vec<String> = up.log.take().into_iter().chain(up.said.iter()).collect();
    assert!(
        log.iter().any(|line| line.contains("TRACE")),
        "a talkative log"
    );
    let secret = log.iter().find(|line| line.contains("s3cret"));
    assert_eq!(secret, None);
}

fn an_alert_is_decided(up: &Up) {
    let url = format!("{}/v1/alerts/alertmanager", up.gateway);
    let (status, body) = http(reqwest::Method::POST, &url, Some(webhook()), "");
    assert_eq!(status, 202, "{body}");
    let mut decisions = Vec::new();
    until("the decision", || {
        decisions = up
            .tail(&["decisions", "--from-beginning"])
            .expect(0)
            .lines();
        !decisions.is_empty()
    });
    let decision = &decisions[0]["value"];
    assert_eq!(decisions[0]["schema"], "decision");
    assert_eq!(decisions[0]["key"], "lab");
    assert_eq!(
        (&decision["outcome"], &decision["alert_name"]),
        (&json!("NoRule"), &json!("Disk_Full"))
    );

    let (status, body) = http(reqwest::Method::POST, &url, Some(json!({})), "");
    assert_eq!(
        status, 202,
        "the gateway takes what its source sends, and the normalizer judges it: {body}"
    );
    until("the dead letter", || {
        let dead = up.tail(&["raw-alerts.dlq", "--from-beginning"]).expect(0);
        dead.out.contains("no_alerts")
    });
}

fn health_and_metrics_are_served(up: &Up) {
    assert_eq!(
        get(&format!("{}/healthz", up.ops)),
        (200, "ok\n".to_owned())
    );
    assert_eq!(
        get(&format!("{}/readyz", up.ops)),
        (200, "ready\n".to_owned())
    );
    let (status, metrics) = get(&format!("{}/metrics", up.ops));
    assert_eq!(status, 200);
    assert!(metrics.contains("# TYPE prunella_"), "{metrics}");
    assert!(metrics.trim_end().ends_with("# EOF"), "{metrics}");
    for path in ["healthz", "readyz", "metrics"] {
        assert_eq!(
            get(&format!("{}/{path}", up.gateway)).0,
            200,
            "the gateway's own {path}"
        );
    }
}

fn knowledge_is_in_force(up: &Up) {
    let said = up.ask(&["knowledge", "list"]).expect(0);
    assert!(said.out.starts_with("in force: "), "{said:#?}");
    assert!(said.out.contains("prunella up"), "{said:#?}");
    let before =
        up.ask(&["knowledge", "list", "--json"]).expect(0).lines()[0]["active"]["digest"].clone();
    let starter = text(&checkout("deploy/knowledge"));
    let said = up
        .ask(&["knowledge", "apply", &starter, "--comment", "starter"])
        .expect(0);
    assert!(said.out.contains(" files in force as "), "{said:#?}");
    let listed = up
        .ask(&["knowledge", "list", "--json"])
        .expect(0)
        .lines()
        .remove(0);
    assert_ne!(listed["active"]["digest"], before);
    assert!(
        said.out
            .contains(listed["active"]["digest"].as_str().expect("a digest"))
    );
    assert_eq!(
        listed["published"].as_array().map(Vec::len),
        Some(2),
        "{listed:#}"
    );
}

fn the_kill_switch_can_be_thrown_and_released(up: &Up) {
    let check = |command: &[&str], expected: &str| {
        let said = up.ask(command).expect(0);
        assert!(said.out.contains(expected), "{command:?}: {said:#?}");
    };
    check(&["kill-switch", "status"], "no kill switch is on");
    check(
        &["kill-switch", "on", "--comment", "a test"],
        "the kill switch is on everywhere",
    );
    check(
        &["kill-switch", "on", "--domain", "eu/1"],
        "the kill switch is on in eu/1",
    );
    check(&["kill-switch", "status"], "kill-switch is on, thrown by ");
    check(&["kill-switch", "status"], ": a test");
    check(&["kill-switch", "status"], "kill-switch/eu/1 is on");
    let switches = up
        .ask(&["kill-switch", "status", "--json"])
        .expect(0)
        .lines()
        .remove(0);
    assert_eq!(
        switches["switches"].as_array().map(Vec::len),
        Some(2),
        "{switches:#}"
    );
    check(&["kill-switch", "off"], "the kill switch is off everywhere");
    check(
        &["kill-switch", "off", "--domain", "eu/1"],
        "the kill switch is off in eu/1",
    );
    check(&["kill-switch", "status"], "no kill switch is on");
}

fn topics_can_be_read(up: &Up) {
    let firing = [
        "decisions",
        "--from-beginning",
        "--filter",
        "value.outcome == \"Triggered\"",
    ];
    assert_eq!(up.tail(&firing).expect(0).out, "");
    let nothing = up.tail(&["decisions"]).expect(0);
    assert_eq!(nothing.out, "");
    assert!(nothing.err.contains("--from-beginning"), "{nothing:#?}");
    up.tail(&["decision"])
        .refused(1, "there is no topic decision; did you mean `decisions`?");
    up.tail(&["no-such-topic-here"])
        .refused(1, "prunella topology graph");
}

#[test]
fn a_port_that_is_taken_is_named_with_what_to_do() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    for (variable, other, setting) in [
        (
            "PRUNELLA__GATEWAY__LISTEN",
            "PRUNELLA__HTTP__LISTEN",
            "gateway.listen",
        ),
        (
            "PRUNELLA__HTTP__LISTEN",
            "PRUNELLA__GATEWAY__LISTEN",
            "http.listen",
        ),
    ] {
        let said = prunella(["up", "--embedded"])
            .env(variable, &address)
            .env(other, "127.0.0.1:0")
            .run()
            .refused(1, &format!("cannot listen on {address}"));
        assert!(said.err.contains(&format!("change {setting}")), "{said:#?}");
    }
    let said = prunella(["up", "--embedded"])
        .env("PRUNELLA__GATEWAY__LISTEN", "0.0.0.0:0")
        .run()
        .refused(1, "there is no token");
    assert!(said.err.contains("token_file"), "{said:#?}");
}
