//! The embedded broker: librdkafka's in-process cluster. It speaks Kafka's protocol on a real port, keeps
//! nothing across restarts and knows no transactions, so what runs on it runs at least once.

use anyhow::{Context, Result};
use prunella_runtime::{Assignment, Guarantee};
use prunella_topology::{Installation, topic_specs};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use crate::config::Config;

/// A running embedded broker; it ends when this is dropped.
pub struct Embedded {
    _cluster: MockCluster<'static, DefaultProducerContext>,
    /// `host:port`
    pub bootstrap: String,
}

impl Embedded {
    /// Starts a broker with the installation's topics, one partition each, and points the configuration at it.
    ///
    /// # Errors
    /// If the client library cannot make it.
    pub fn start(config: &mut Config) -> Result<Self> {
        let cluster = MockCluster::new(1).context("the embedded broker cannot be started")?;
        let bootstrap = cluster.bootstrap_servers();
        config.topology = Installation::on_one_broker(config.topology.prefix.clone(), 1);
        for spec in topic_specs(&config.topology) {
            cluster
                .create_topic(&spec.name, 1, 1)
                .with_context(|| format!("embedded topic {}", spec.name))?;
        }
        config.kafka.bootstrap_servers.clone_from(&bootstrap);
        config.kafka.properties.clear();
        // This broker answers a fetch that finds nothing only when its time is up: a long one delays every hop.
        config
            .kafka
            .properties
            .insert("fetch.wait.max.ms".to_owned(), "5".to_owned());
        config.runtime.guarantee = Guarantee::AtLeastOnce;
        config.runtime.assignment = Assignment::All;
        config.runtime.threads = 1;
        Ok(Self {
            _cluster: cluster,
            bootstrap,
        })
    }
}
