//! The whole pipeline on a simulated broker, and what is put into it.

use std::collections::BTreeMap;
use std::fmt::Debug;

use prunella_knowledge::digest_of;
use prunella_pipeline::{StageConfig, stages};
use prunella_schemas::{
    AvroRecord, KnowledgeFile, KnowledgeRecord, Switch, SwitchKind, decode, encode,
};
use prunella_stream::driver::{Driver, Message, Settings, Topology};
use prunella_topology::{Installation, Prefix, Service, TOPICS, topics};
use serde_json::json;

use crate::target::Target;

/// Rules and playbooks of every case. What would slow the cases down (budget, cooldown) is lifted by settings
/// that an operator has too.
const RULES: &str = r#"
rules:
  - id: POOL
    alert_name: Pool_Exhausted
    severity: Critical
    condition: 'labels.tier == "gold"'
    playbook: PB-Pool
  - id: OFTEN
    alert_name: Connection_Error
    count: {at_least: 3, within: 5m}
    playbook: PB-Pool
  - id: TELL
    alert_name: Certificate_Expires
"#;
const PLAYBOOK: &str = r#"
playbook_id: PB-Pool
name: restart a connection pool that has run dry
autonomy: automatic
tasks:
  - id: look
    type: API_Call
    action: GET /health/{{ service }}
    retry: {max_attempts: 5, backoff: 1s}
    timeout: 2s
    output_variable: health
  - id: restart
    type: API_Call
    depends_on: [look]
    conditions: ["{{ health.sick }}"]
    action: POST /admin/{{ service }}/pool/restart
    target: "{{ service }}"
    parameters:
      probe:
        action: GET /admin/{{ service }}/pool
        done_if: "body.done"
        absent_if: "!body.done"
    retry: {max_attempts: 3, backoff: 1s}
    timeout: 2s
  - id: verify
    type: API_Call
    depends_on: [restart]
    action: GET /health/{{ service }}
    retry: {max_attempts: 5, backoff: 1s}
    timeout: 2s
"#;
const SETTINGS: &str = "budget_actions: 1000000\ncooldown: 1ms\n";

/// When every alert began to fire, as its source says it: ten seconds before the driver's clock starts.
pub(crate) const STARTS_AT: &str = "2023-11-14T22:13:10Z";

/// One alert as its source sends it.
#[derive(Clone, Debug)]
pub(crate) struct Alert {
    pub(crate) name: &'static str,
    pub(crate) service: String,
    /// Makes a series of its own of what is otherwise equal.
    pub(crate) instance: String,
    pub(crate) resolved: bool,
}

impl Alert {
    pub(crate) fn new(name: &'static str, service: &str, instance: &str) -> Self {
        Self {
            name,
            service: service.to_owned(),
            instance: instance.to_owned(),
            resolved: false,
        }
    }
}

pub(crate) struct Pipeline {
    pub(crate) driver: Driver<Target>,
}

impl Pipeline {
    /// A pipeline at rest that has read its knowledge. The counts of partitions differ on purpose.
    pub(crate) fn start(settings: Settings, target: Target, config: &StageConfig) -> Self {
        let installation = Installation {
            partitions_of: [("domain".to_owned(), 2), ("actions".to_owned(), 4)].into(),
            ..Installation::on_one_broker(Prefix::default(), 3)
        };
        let mut topology = Topology::new();
        for topic in TOPICS {
            topology = topology.topic(topic.name, installation.partitions_of(topic));
        }
        for stage in stages() {
            let service = Service::by_name(stage.app).expect("a declared stage");
            let partitions = installation.tasks(TOPICS, service);
            let (make, config) = (stage.make_with, config.clone());
            topology = topology.stage(partitions, move |partition| make(&config, partition));
        }
        let driver = Driver::new(settings, topology, target).expect("a topology that can run");
        let mut pipeline = Self { driver };
        pipeline.publish();
        pipeline.rest();
        pipeline
    }

    fn publish(&mut self) {
        let file = |path: &str, text: &str| KnowledgeFile {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        let files = vec![
            file("playbooks/pool.yaml", PLAYBOOK),
            file("rules.yaml", RULES),
            file("settings.yaml", SETTINGS),
        ];
        let manifest = KnowledgeRecord {
            digest: digest_of(&files),
            author: "ada".to_owned(),
            at: self.driver.now(),
            ..KnowledgeRecord::default()
        };
        let content = KnowledgeRecord {
            files,
            ..manifest.clone()
        };
        self.put(topics::KNOWLEDGE, &manifest.digest, &content);
        self.put(topics::KNOWLEDGE, "active", &manifest);
    }

    pub(crate) fn throw_kill_switch(&mut self) {
        let switch = Switch {
            name: "kill-switch".to_owned(),
            kind: SwitchKind::KillSwitch,
            on: true,
            author: "ada".to_owned(),
            at: self.driver.now(),
            ..Switch::default()
        };
        self.put(topics::SWITCHES, "kill-switch", &switch);
    }

    /// Puts a payload of Alertmanager's webhook on raw-alerts, as the gateway does.
    pub(crate) fn alert(&mut self, cluster: &str, alerts: &[Alert]) {
        let alerts: Vec<_> = alerts
            .iter()
            .map(|alert| {
                json!({
                    "status": if alert.resolved { "resolved" } else { "firing" },
                    "labels": {
                        "alertname": alert.name, "severity": "critical", "cluster": cluster,
                        "service": alert.service, "instance": alert.instance, "tier": "gold",
                    },
                    "annotations": {"summary": "a test"},
                    "startsAt": STARTS_AT,
                    "endsAt": if alert.resolved { STARTS_AT } else { "0001-01-01T00:00:00Z" },
                })
            })
            .collect();
        let group = format!("{{}}:{{cluster=\"{cluster}\"}}");
        let payload = json!({
            "version": "4", "groupKey": group, "status": "firing", "receiver": "prunella",
            "alerts": alerts,
        });
        self.raw(
            &format!("alertmanager/{group}"),
            payload.to_string().as_bytes(),
        );
    }

    /// Puts any bytes on raw-alerts.
    pub(crate) fn raw(&mut self, key: &str, payload: &[u8]) {
        let now = self.driver.now().to_string();
        let message = Message::new(key, payload)
            .header("prunella.source", "alertmanager")
            .header("content-type", "application/json")
            .header("prunella.received-at", now);
        self.driver.put(topics::RAW_ALERTS, message);
    }

    fn put<T: AvroRecord>(&mut self, topic: &str, key: &str, record: &T) {
        let mut value = Vec::new();
        encode(record, &mut value).expect("a record of its own schema");
        self.driver.put(topic, Message::new(key, value));
    }

    /// Lets everything settle, without faults.
    pub(crate) fn rest(&mut self) {
        if let Err(failure) = self.driver.calm() {
            panic!("{failure}");
        }
    }

    /// How many alerts every payload on raw-alerts holds, by its bytes; what is no payload is left out.
    pub(crate) fn payloads(&self) -> BTreeMap<Vec<u8>, usize> {
        let raw = self.driver.committed(topics::RAW_ALERTS);
        raw.iter()
            .filter_map(|record| {
                let bytes = record.value.clone()?;
                let payload: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
                Some((bytes, payload["alerts"].as_array()?.len()))
            })
            .collect()
    }

    /// Every committed record of a topic.
    pub(crate) fn read<T: AvroRecord + Debug>(&self, topic: &str) -> Vec<T> {
        let records = self.driver.committed(topic);
        records
            .iter()
            .map(|record| decode(record.value.as_deref().unwrap_or_default()))
            .collect::<Result<_, _>>()
            .unwrap_or_else(|error| panic!("{topic}: {error}"))
    }
}
