//! What is checked right before a request is sent.

use std::sync::Arc;

use prunella_effects::SwitchState;
use prunella_executor::{EffectSpec, Ended, NotStarted};
use tokio::sync::oneshot;

use crate::server::Server;
use crate::world::{Leave, base, effects, effects_under, get, post};

fn thrown() -> SwitchState {
    SwitchState::Thrown {
        name: "kill-switch/prod".to_owned(),
        author: "ada".to_owned(),
    }
}

#[tokio::test]
async fn nothing_is_sent_once_membership_may_be_lost() {
    let server = Server::start().await;
    let effects = effects(&base(&server));
    // Asked when the request is handed over, when the connection stands, and when it takes the request up.
    for (given, sent) in [(0, false), (1, false), (2, false), (3, true)] {
        let outcome = effects.perform(post("/json"), Leave::times(given)).await;
        let expected = if sent {
            Ended::Succeeded
        } else {
            Ended::NotStarted(NotStarted::LeaseExpired)
        };
        assert_eq!(outcome.ended, expected, "leave given {given} times");
        assert_eq!(server.received().len(), usize::from(sent));
    }
}

#[tokio::test]
async fn nothing_is_sent_that_could_outlast_its_deadline() {
    let server = Server::start().await;
    let effects = effects(&base(&server));
    for (left, sent) in [(5_400, false), (0, false), (30_000, true)] {
        let outcome = effects.perform(post("/json"), Leave::for_ms(left)).await;
        let late = Ended::NotStarted(NotStarted::DeadlinePassed);
        assert_eq!(outcome.ended, if sent { Ended::Succeeded } else { late });
        assert_eq!(server.received().len(), usize::from(sent));
    }
}

#[tokio::test]
async fn a_kill_switch_stops_what_may_change_its_target_and_no_read() {
    let server = Server::start().await;
    let unconfirmed = |age_ms| SwitchState::Unconfirmed { age_ms };
    for (state, expected) in [
        (thrown(), Ended::NotStarted(NotStarted::KillSwitch)),
        (
            unconfirmed(60_000),
            Ended::NotStarted(NotStarted::SwitchUnconfirmed),
        ),
        (unconfirmed(100), Ended::Succeeded),
        (SwitchState::Clear, Ended::Succeeded),
    ] {
        let effects = effects_under(&base(&server), state.clone());
        let before = server.received().len();
        let outcome = effects.perform(post("/json"), Leave::always()).await;
        assert_eq!(outcome.ended, expected, "{state:?}");
        assert_eq!(
            server.received().len() - before,
            usize::from(expected == Ended::Succeeded)
        );
        let read = effects.perform(get("/json"), Leave::always()).await;
        assert_eq!(read.ended, Ended::Succeeded, "{state:?}");
    }
    let effects = effects_under(&base(&server), thrown());
    let outcome = effects.perform(post("/json"), Leave::always()).await;
    assert!(outcome.cause.contains("thrown by ada"), "{}", outcome.cause);
}

#[tokio::test]
async fn a_kill_file_works_while_it_is_there() {
    let server = Server::start().await;
    let directory = tempfile::tempdir().unwrap();
    let mut config = base(&server);
    config.kill_file = Some(directory.path().join("stop"));
    let effects = effects(&config);
    std::fs::write(directory.path().join("stop"), "").unwrap();
    let outcome = effects.perform(post("/json"), Leave::always()).await;
    assert_eq!(outcome.ended, Ended::NotStarted(NotStarted::KillSwitch));
    std::fs::remove_file(directory.path().join("stop")).unwrap();
    let outcome = effects.perform(post("/json"), Leave::always()).await;
    assert_eq!(outcome.ended, Ended::Succeeded);
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn calls_wait_for_a_place_no_longer_than_their_deadline_allows() {
    let server = Server::start().await;
    let mut config = base(&server);
    config.max_in_flight = 1;
    let effects = Arc::new(effects(&config));
    let (stop, stopped) = oneshot::channel::<()>();
    let first = Arc::clone(&effects);
    let silent = tokio::spawn(async move {
        tokio::select! {
            _ = first.perform(post("/silent"), Leave::always()) => {}
            _ = stopped => {}
        }
    });
    while server.received().is_empty() {
        tokio::task::yield_now().await;
    }
    let effect = || EffectSpec {
        timeout_ms: 100,
        ..post("/json")
    };
    let late = effects.perform(effect(), Leave::for_ms(700)).await;
    assert_eq!(late.ended, Ended::NotStarted(NotStarted::DeadlinePassed));
    stop.send(()).unwrap();
    silent.await.unwrap();
    let free = effects.perform(effect(), Leave::always()).await;
    assert_eq!(free.ended, Ended::Succeeded);
}
