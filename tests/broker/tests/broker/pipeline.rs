//! The whole pipeline on a real broker, each service in a process of its own.

use std::time::Duration;

use prunella_broker_tests::chaos::{Chaos, run};
use prunella_broker_tests::pipeline::{Pipeline, Setup};
use prunella_broker_tests::target::Target;
use prunella_test_servers::{KafkaCluster, Load, Turn};

#[test]
fn every_alert_is_decided_once_and_every_triggered_playbook_runs_once() {
    let _turn = Turn::take(Load::Middle);
    let target = Target::start(Duration::ZERO).unwrap();
    let setup = Setup::new("pipeline", &target.url());
    let pipeline = Pipeline::install(KafkaCluster::shared().unwrap(), setup).unwrap();
    let calm = Chaos {
        alerts: 200,
        one_in: 4,
        per_second: 0,
        kills: Vec::new(),
        settle: Duration::from_secs(60),
    };
    let outcome = run(&pipeline, &target, &calm, None).unwrap();
    assert_eq!(outcome.faults, Vec::<String>::new(), "{}", outcome.figures);
    println!("{}", outcome.figures);
}
