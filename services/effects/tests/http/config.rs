//! The `[effects]` part of the configuration, and its secrets.

use std::sync::Arc;

use prunella_effects::{EffectsConfig, HttpEffects, LocalSwitch, SwitchState};
use prunella_executor::Ended;

use crate::server::Server;
use crate::world::{Fixed, config, get, perform};

fn refused(config: &EffectsConfig) -> String {
    let switches = Arc::new(Fixed(SwitchState::Clear));
    let effects = HttpEffects::with_local_switch(config, LocalSwitch::default(), switches);
    effects.err().expect("it is refused").to_string()
}

#[test]
fn a_setting_that_nobody_knows_is_refused_by_name() {
    let error = toml::from_str::<EffectsConfig>("allowed_host = []").unwrap_err();
    assert!(error.to_string().contains("allowed_host"), "{error}");
}

#[test]
fn a_setting_that_cannot_be_is_refused_by_name() {
    for (text, name) in [
        ("base_url = \"ops.example.com/api\"", "effects.base_url"),
        ("base_url = \"ftp://ops.example.com\"", "effects.base_url"),
        (
            "notification_webhook = \"/hook\"",
            "effects.notification_webhook",
        ),
        ("allowed_hosts = [\"https://x\"]", "effects.allowed_hosts"),
        ("max_in_flight = 0", "effects.max_in_flight"),
        ("max_response_bytes = 0", "effects.max_response_bytes"),
        ("[headers.\"a\"]", "effects.headers.\"a\""),
        (
            "[headers.\"a\"]\ntoken_file = \"/nowhere/at/all\"",
            "/nowhere/at/all",
        ),
        (
            "[headers.\"a\"]\ntoken_env = \"PRUNELLA_TEST_NOT_SET\"",
            "PRUNELLA_TEST_NOT_SET",
        ),
        (
            "[headers.\"a\"]\ntoken_env = \"PATH\"\nheader = \"no header\"",
            "no header",
        ),
    ] {
        let error = refused(&config(text));
        assert!(error.contains(name), "{text}: {error}");
    }
}

#[tokio::test]
async fn a_secret_goes_to_its_host_and_nowhere_else() {
    let (server, other) = (Server::start().await, Server::start().await);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, "hush\n").unwrap();
    let with_base = |base: &Server| {
        config(&format!(
            "base_url = \"{}\"\n[headers.\"{}\"]\ntoken_file = \"{}\"",
            base.url(""),
            server.address,
            file.display(),
        ))
    };
    perform(&with_base(&server), get("/json")).await;
    assert_eq!(server.only().header("authorization"), Some("Bearer hush"));
    perform(&with_base(&other), get("/json")).await;
    assert_eq!(other.only().header("authorization"), None);
}

#[tokio::test]
async fn a_secret_is_read_anew_and_never_printed() {
    let server = Server::start().await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, "first-secret").unwrap();
    let config = config(&format!(
        "base_url = \"http://{}\"\nnotification_webhook = \"{}\"\n\
         [headers.\"{}\"]\ntoken_file = \"{}\"\nheader = \"X-Token\"\nprefix = \"\"",
        server.address,
        server.url("/hook-secret"),
        server.address,
        file.display(),
    ));
    assert!(!format!("{config:?}").contains("secret"), "{config:?}");
    perform(&config, get("/json")).await;
    std::fs::write(&file, "second-secret").unwrap();
    perform(&config, get("/json")).await;
    let sent: Vec<_> = server
        .received()
        .iter()
        .map(|request| request.header("x-token").unwrap().to_owned())
        .collect();
    assert_eq!(sent, ["first-secret", "second-secret"]);

    let effects = crate::world::effects(&config);
    std::fs::write(&file, "broken\u{1}secret").unwrap();
    let outcome = effects
        .perform(get("/json"), crate::world::Leave::always())
        .await;
    assert_eq!(outcome.ended, Ended::Failed);
    assert!(!outcome.cause.contains("secret\u{1}") && !outcome.cause.contains("broken"));
    let lost = perform(
        &self::config(&format!("base_url = \"http://{}\"", server.address)),
        get("/reset?token=query-secret"),
    )
    .await;
    assert_eq!(lost.ended, Ended::Lost);
    assert!(!lost.cause.contains("secret"), "{}", lost.cause);
}
