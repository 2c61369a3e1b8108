//! Outcomes of effects are on no log. A thread that gives up its producer and its state keeps them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use prunella_broker_tests::caller::{Caller, Calls, DONE, IN_DOUBT};
use prunella_broker_tests::hosted::{Hosted, config};
use prunella_broker_tests::installation::Installation;
use prunella_broker_tests::proxy::{Api, Proxy};
use prunella_runtime::RuntimeConfig;
use prunella_test_servers::{KafkaCluster, Load, Turn};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, Producer};

const PATIENCE: Duration = Duration::from_secs(60);
const EFFECTS: usize = 30;

/// A stage whose effects have all been begun and hang.
struct World {
    installation: Installation,
    proxy: Proxy,
    calls: Arc<Calls>,
    stage: Hosted,
}

impl World {
    fn start(name: &str) -> Self {
        let bootstrap = KafkaCluster::shared().unwrap();
        let installation = Installation::of("caller", bootstrap, name, 2).unwrap();
        installation.produce(EFFECTS, 1).unwrap();
        let proxy = Proxy::start(bootstrap).unwrap();
        let calls = Arc::new(Calls::held());
        let stage = host(&installation, &proxy, &calls);
        let begun = || calls.begun().len() == EFFECTS;
        stage.wait_until("all begun", begun).unwrap();
        Self {
            installation,
            proxy,
            calls,
            stage,
        }
    }

    /// Fences the thread's producer, as another owner of its transactional ids would.
    fn fence(&self) {
        for id in ["caller.a.0", "caller.a.0.alternate"] {
            let producer: BaseProducer = ClientConfig::new()
                .set("bootstrap.servers", &self.installation.bootstrap)
                .set("transactional.id", self.installation.name(id))
                .create()
                .unwrap();
            producer.init_transactions(PATIENCE).unwrap();
        }
    }

    /// More questions, one after the other, until the thread wants a new producer; how many there were.
    fn ask_until_rebuilding(&self) -> usize {
        let mut more = 0;
        while self.proxy.waited(Api::INIT_PRODUCER_ID) == 0 {
            let key = format!("more{more}");
            let record = std::iter::once((key, String::new()));
            self.installation.produce_records(record).unwrap();
            more += 1;
            std::thread::sleep(Duration::from_millis(100));
        }
        more
    }

    /// Every effect was begun once and has one outcome: this one.
    fn check(&self, effects: usize, outcome: &str) {
        self.installation.wait_for_output(effects as u64).unwrap();
        let begun = self.calls.begun();
        assert_eq!(begun.len(), effects);
        assert!(begun.values().all(|times| *times == 1), "{begun:?}");
        let once: BTreeMap<String, Vec<String>> = begun
            .into_keys()
            .map(|key| (key, vec![outcome.to_owned()]))
            .collect();
        assert_eq!(self.installation.came_out().unwrap(), once);
    }
}

fn host(installation: &Installation, proxy: &Proxy, calls: &Arc<Calls>) -> Hosted {
    let config = RuntimeConfig {
        // Who stops does not wait for effects that hang.
        drain_ms: 0,
        ..config("a")
    };
    let effects = Arc::clone(calls);
    Hosted::start(installation, &proxy.address(), config, Caller, effects).unwrap()
}

#[test]
fn an_outcome_that_comes_while_the_thread_rebuilds_is_used_once() {
    let _turn = Turn::take(Load::Waits);
    let world = World::start("rebuilding");
    world.proxy.hold(Some(Api::INIT_PRODUCER_ID));
    world.fence();
    let more = world.ask_until_rebuilding();
    world.calls.let_go();
    world.proxy.hold(None);
    world.check(EFFECTS + more, DONE);
    assert!(world.stage.transactions("rebuilt") > 0);
    world.stage.stop();
}

#[test]
fn an_outcome_whose_transaction_failed_is_used_again_after_the_rebuild() {
    let _turn = Turn::take(Load::Waits);
    let world = World::start("failing");
    world.proxy.hold(Some(Api::INIT_PRODUCER_ID));
    world.fence();
    // These outcomes are all that the thread has to commit, and it cannot.
    world.calls.let_go();
    let more = world.ask_until_rebuilding();
    world.proxy.hold(None);
    world.check(EFFECTS + more, DONE);
    assert!(world.stage.transactions("rebuilt") > 0);
    world.stage.stop();
}

#[test]
fn an_outcome_that_nobody_kept_is_in_doubt_and_the_effect_is_not_done_again() {
    let _turn = Turn::take(Load::Waits);
    let World {
        installation,
        proxy,
        calls,
        stage,
    } = World::start("forgotten");
    stage.stop();
    let stage = host(&installation, &proxy, &calls);
    // Too late: the thread that would have taken them is gone.
    calls.let_go();
    let world = World {
        installation,
        proxy,
        calls,
        stage,
    };
    world.check(EFFECTS, IN_DOUBT);
    world.stage.stop();
}
