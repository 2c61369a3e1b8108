//! Bodies that are too long, too slow or too many, and clients that do not end.

use std::io::{Read, Write};
use std::net::TcpStream;

use prunella_gateway::GatewayConfig;

use crate::harness::{Answer, Served, config};

const HEAD: &str = "POST /v1/alerts/alertmanager HTTP/1.1\r\nHost: localhost\r\n\
    Authorization: Bearer alertmanager-token\r\nContent-Type: application/json\r\n";

fn limited(change: impl FnOnce(&mut GatewayConfig)) -> Served {
    let mut config = config();
    config.max_body_bytes = 1_000;
    change(&mut config);
    Served::start(config)
}

/// Sends this and reads the answer, which must come without anything more being sent.
fn talk(served: &Served, text: &[u8]) -> Answer {
    let mut stream = served.connect();
    stream.write_all(text).unwrap();
    Answer::read(&mut stream)
}

#[track_caller]
fn check(answer: &Answer, status: u16, kind: &str) {
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (status, kind),
        "{answer:?}"
    );
}

#[test]
fn a_body_that_says_it_is_too_long_is_refused_before_it_is_sent() {
    let served = limited(|_| {});
    for length in ["1001", "67108864", "9223372036854775807"] {
        let answer = talk(
            &served,
            format!("{HEAD}Content-Length: {length}\r\n\r\n").as_bytes(),
        );
        check(&answer, 413, "too-large");
        assert_eq!(answer.headers["connection"], "close");
    }
    // With `Expect`, the client is not even asked for it.
    let expecting = format!("{HEAD}Content-Length: 5000\r\nExpect: 100-continue\r\n\r\n");
    check(&talk(&served, expecting.as_bytes()), 413, "too-large");
    assert!(served.records("raw-alerts").is_empty());
}

#[test]
fn a_body_of_the_longest_length_is_taken_and_one_byte_more_is_not() {
    let served = limited(|_| {});
    let body = |length: usize| format!("{{\"groupKey\":\"{}\"}}", "x".repeat(length - 15));
    for (length, status) in [(1_000, 202), (1_001, 413)] {
        let body = body(length);
        assert_eq!(body.len(), length);
        let answer = served.send(
            "POST",
            "/v1/alerts/alertmanager",
            "alertmanager",
            "application/json",
            body.as_bytes(),
        );
        assert_eq!(answer.status, status, "{answer:?}");
    }
}

#[test]
fn a_chunked_body_is_read_up_to_the_limit_and_no_further() {
    let served = limited(|_| {});
    let chunk = format!("200\r\n{}\r\n", " ".repeat(0x200));
    // Two chunks are more than the limit; the body does not end.
    let endless = format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n{chunk}{chunk}");
    check(&talk(&served, endless.as_bytes()), 413, "too-large");
    let whole =
        format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n6\r\n{{\"a\": \r\n2\r\n7}}\r\n0\r\n\r\n");
    assert_eq!(talk(&served, whole.as_bytes()).status, 202);
    assert_eq!(served.records("raw-alerts")[0].value, b"{\"a\": 7}");
}

#[test]
fn a_body_that_does_not_come_is_given_up() {
    let served = limited(|config| config.body_timeout_ms = 200);
    let stalled = format!("{HEAD}Content-Length: 20\r\n\r\n{{\"alerts\": ");
    check(&talk(&served, stalled.as_bytes()), 408, "body-timeout");
}

#[test]
fn a_head_that_does_not_end_is_given_up() {
    let served = limited(|config| config.header_timeout_ms = 200);
    let mut stream = served.connect();
    stream
        .write_all(b"POST /v1/alerts/alertmanager HTTP/1.1\r\nHost: loc")
        .unwrap();
    let mut rest = Vec::new();
    // The connection ends; whether with an answer does not matter.
    let _ = stream.read_to_end(&mut rest);
    assert!(!String::from_utf8_lossy(&rest).contains("202"));
    assert_eq!(served.get("/healthz", "").status, 200);
}

#[test]
fn what_is_not_http_ends_the_connection_and_nothing_else() {
    let served = limited(|_| {});
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00"[..],
        b"GET\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
    ] {
        let mut stream = served.connect();
        stream.write_all(garbage).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
    }
    assert_eq!(served.get("/healthz", "").status, 200);
}

#[test]
fn a_source_that_sends_too_much_is_told_to_wait_and_others_are_not() {
    let served = limited(|config| {
        let source = config.sources.get_mut("alertmanager").unwrap();
        source.requests_per_second = 1;
        source.burst = 2;
        config.sources.get_mut("shipper").unwrap().log_services = vec!["*".to_owned()];
    });
    let send = || {
        served.send(
            "POST",
            "/v1/alerts/alertmanager",
            "alertmanager",
            "application/json",
            b"{}",
        )
    };
    let answers: Vec<Answer> = (0..20).map(|_| send()).collect();
    assert_eq!(answers[0].status, 202);
    let limited: Vec<&Answer> = answers
        .iter()
        .filter(|answer| answer.status != 202)
        .collect();
    assert!(!limited.is_empty());
    for answer in limited {
        check(answer, 503, "rate-limited");
        assert_eq!(answer.headers["retry-after"], "1");
    }
    assert_eq!(
        served
            .send("POST", "/v1/logs/x", "shipper", "text/plain", b"x")
            .status,
        202
    );
}

#[test]
fn requests_beyond_the_places_are_told_to_come_again() {
    let served = limited(|config| config.max_requests_in_flight = 1);
    // It holds the only place until its body has come.
    let mut slow: TcpStream = served.connect();
    write!(slow, "{HEAD}Content-Length: 2\r\n\r\n{{").unwrap();
    let send = || {
        served.send(
            "POST",
            "/v1/alerts/alertmanager",
            "alertmanager",
            "application/json",
            b"{}",
        )
    };
    served.until("the place is taken", || send().status == 503);
    check(&send(), 503, "busy");
    slow.write_all(b"}").unwrap();
    assert_eq!(Answer::read(&mut slow).status, 202);
    served.until("the place is free", || send().status == 202);
}

#[test]
fn a_request_under_way_is_finished_before_the_stop() {
    let mut served = limited(|_| {});
    let mut slow = served.connect();
    write!(slow, "{HEAD}Content-Length: 2\r\n\r\n{{").unwrap();
    // Another connection's answer shows that the first was accepted: they are accepted in order.
    assert_eq!(served.get("/healthz", "").status, 200);
    served.stop();
    served.until("nobody is let in any more", || {
        TcpStream::connect(served.address).is_err()
    });
    slow.write_all(b"}").unwrap();
    assert_eq!(Answer::read(&mut slow).status, 202);
    served.join();
    assert_eq!(served.records("raw-alerts").len(), 1);
}
