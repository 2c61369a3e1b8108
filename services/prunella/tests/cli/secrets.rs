//! A secret is never printed: not where it stands wrong, not when something fails, not at the most talkative level.

use crate::program::{checkout, dead_port, directory, prunella, text};

const SECRET: &str = "s3cret-5353-hush";

fn check_silent(said: &crate::program::Said) {
    for part in [&said.out, &said.err] {
        assert!(
            !part.contains(SECRET) && !part.contains("5353"),
            "{said:#?}"
        );
    }
}

#[test]
fn a_secret_that_stands_wrong_is_not_quoted() {
    for toml in [
        format!("[gateway.people.ada]\ntoken = \"{SECRET}\n"),
        format!("[gateway.people.ada]\ntoken = {SECRET}\n"),
        format!("[gateway.people.ada]\ntokn = \"{SECRET}\"\n"),
        format!("[gateway.people]\nada = \"{SECRET}\"\n"),
        format!("[gateway]\npeople = [\"{SECRET}\"]\n"),
        "[gateway.sources.zabbix]\ntoken = 5353\n".to_owned(),
        format!("[kafka]\nproperties = \"sasl.password={SECRET}\"\n"),
        format!("[kafka.properties]\n\"sasl.password\" = [\"{SECRET}\"]\n"),
        format!(
            "[kafka.properties]\n\"sasl.password\" = \"{SECRET}\"\n\"sasl.password\" = \"{SECRET}\"\n"
        ),
        format!("[effects]\nnotification_webhook = \"{SECRET}\n"),
    ] {
        let configuration = directory(&[("p.toml", &toml)]);
        let path = text(&configuration.path().join("p.toml"));
        let said = prunella(["topology", "check", "--config", &path])
            .run()
            .expect(1);
        assert!(said.err.contains("p.toml:"), "{toml}: {said:#?}");
        check_silent(&said);
    }
    let said = prunella(["topology", "check"])
        .env("PRUNELLA__GATEWAY__PEOPLE__ADA", SECRET)
        .run()
        .refused(1, "PRUNELLA__GATEWAY__PEOPLE__ADA: a section is expected");
    check_silent(&said);
}

/// Everything that may hold a secret, holding one.
fn configuration(port: u16) -> String {
    format!(
        "[log]\nlevel = \"trace\"\n\
         [http]\nlisten = \"127.0.0.1:0\"\n\
         [kafka]\nbootstrap_servers = \"127.0.0.1:{port}\"\n\
         [kafka.properties]\n\"sasl.password\" = \"{SECRET}\"\n\"sasl.username\" = \"prunella\"\n\
         \"sasl.mechanisms\" = \"PLAIN\"\n\"security.protocol\" = \"sasl_plaintext\"\n\"debug\" = \"all\"\n\
         [gateway]\nlisten = \"127.0.0.1:0\"\n\
         [gateway.people.ada]\ntoken = \"{SECRET}-ada\"\nroles = [\"operate\", \"publish\"]\n\
         [gateway.sources.alertmanager]\ntoken = \"{SECRET}-alertmanager\"\n\
         [effects]\nnotification_webhook = \"http://ops:{SECRET}@127.0.0.1:1/hooks/{SECRET}\"\n"
    )
}

#[test]
fn failing_commands_print_no_secret_at_the_most_talkative_level() {
    let port = dead_port();
    let files = directory(&[
        ("p.toml", &configuration(port)),
        (
            "refused.toml",
            &configuration(port).replace("sasl_plaintext", "sasl_nothing"),
        ),
        (
            "webhook.toml",
            &configuration(port).replace("http://ops", "ops"),
        ),
        ("token", SECRET),
    ]);
    let file = |name: &str| text(&files.path().join(name));
    let (good, token, gateway) = (
        file("p.toml"),
        file("token"),
        format!("http://127.0.0.1:{port}"),
    );
    let demo = text(&checkout("deploy/demo"));
    let commands: [(&str, &[&str], i32); 9] = [
        ("p.toml", &["doctor"], 5),
        ("p.toml", &["doctor", "--json"], 5),
        ("p.toml", &["tail", "decisions"], 1),
        ("p.toml", &["topology", "topics"], 1),
        ("p.toml", &["up", "--knowledge", &demo], 1),
        ("p.toml", &["run", "executor"], 1),
        ("refused.toml", &["doctor"], 1),
        ("webhook.toml", &["run", "executor"], 1),
        (
            "p.toml",
            &[
                "kill-switch",
                "on",
                "--token-file",
                &token,
                "--gateway",
                &gateway,
            ],
            1,
        ),
    ];
    for (configuration, command, code) in commands {
        let configuration = file(configuration);
        let said = prunella(command.iter().chain(&["--config", &configuration]))
            .run()
            .expect(code);
        check_silent(&said);
    }
    let said = prunella([
        "knowledge",
        "list",
        "--config",
        &good,
        "--gateway",
        &gateway,
    ])
    .env("PRUNELLA_TOKEN", SECRET)
    .run()
    .expect(1);
    check_silent(&said);
}
