//! Clients in crowds, clients that don't speak, clients that don't listen: supervision goes on as if they weren't there.

use crate::harness::socket::{ask, connect, request};
use crate::harness::{Navigator, Signal, Site, report};
use rustix::process::{Resource, getrlimit, setrlimit};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// `web` is started again at once whenever it is killed; `flood` fills every pipe there is.
const BUSY: &str = "\
managed_processes:
  - { name: web, command: sleep, args: [1h], restart: always, backoff: { initial: 1ms, factor: 1, jitter: 0 } }
  - { name: parrot, command: sh, args: [-c, 'trap \"echo still here\" USR1; echo here; while :; do sleep 3600 & wait $!; done'] }
  - { name: flood, command: sh, args: [-c, 'while :; do seq 1 100000; done'], output: { file: flood.log, max_size: 10MB, keep: 1 } }
  - { name: restless, command: \"true\", restart: always, backoff: { initial: 20ms, factor: 1, jitter: 0 } }
";

const QUIET: &str = "\
managed_processes:
  - { name: web, command: sleep, args: [1h], restart: always, backoff: { initial: 1ms, factor: 1, jitter: 0 } }
";

/// How long it takes from the end of `web` to its next start, in the middle of a few times.
fn time_to_restart(navigator: &Navigator<'_>) -> Duration {
    let count = navigator.count("Process started", "web").max(1);
    let mut started = navigator.nth_event("Process started", "web", count - 1);
    let mut times: Vec<Duration> = (0..15)
        .map(|_| {
            navigator.kill(started.pid());
            let killed = Instant::now();
            started = navigator.event_after(&started, "Process started", "web");
            started.at.saturating_duration_since(killed)
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2]
}

/// Lets this test hold as many connections as it may.
fn allow_many_descriptors() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("up to the hard limit it may be raised");
}

#[test]
fn sixty_four_clients_at_once_are_all_answered() {
    let site = Site::new();
    let navigator = site.start(QUIET);
    navigator.started("web");
    std::thread::scope(|scope| {
        for client in 0..64 {
            let site = &site;
            scope.spawn(move || {
                for round in 0..10 {
                    let path = ["/v1/status", "/v1/plan", "/v1/logs", "/v1/wait?timeout=60"][(client + round) % 4];
                    let answer = ask(site, "GET", path, "");
                    assert_eq!(answer.status, 200, "{path}: {answer:?}");
                }
            });
        }
    });
    navigator.ends();
}

#[test]
fn what_is_no_request_is_answered_or_dropped_and_harms_nobody() {
    let site = Site::new();
    let navigator = site.start(QUIET);
    navigator.started("web");
    let long = "x".repeat(1 << 20);
    let zeros = "\0".repeat(1 << 16);
    let too_long = format!("GET /v1/status HTTP/1.1\r\nhost: x\r\nlong: {long}\r\n\r\n");
    let too_large = format!("POST /v1/stop HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{long}", long.len());
    let garbage = [
        "\r\n\r\n\r\n",
        "GET",
        "GET / HTTP/9.9\r\n\r\n",
        "GET /v1/status HTTP/1.1\r\nhost",
        "POST /v1/stop HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{\"names\": [\"web\"",
        "POST /v1/stop HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzzz\r\n",
        "\u{16}\u{3}\u{1}\u{2}TLS?",
        zeros.as_str(),
        too_long.as_str(),
        too_large.as_str(),
        long.as_str(),
    ];
    for text in garbage {
        let mut stream = connect(&site);
        // It may be closed before all of it is sent.
        let _sent = stream.write_all(text.as_bytes());
        let _half_closed = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        // Reset or closed: either is an answer to garbage.
        let _read = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{text:.60}: {answer:.200}");
    }
    let wrong = [
        ("GET", "/", "", 404),
        ("GET", "/v1/status?name=nosuch", "", 404),
        ("DELETE", "/v1/status", "", 405),
        ("GET", "/v1/stop", "", 405),
        ("POST", "/v1/stop", "", 400),
        ("POST", "/v1/stop", "[]", 400),
        ("POST", "/v1/stop", "{\"names\": [\"web\"], \"command\": \"sh\"}", 400),
        ("POST", "/v1/stop", "{\"names\": \"web\"}", 400),
        ("POST", "/v1/signal", "{\"names\": [\"web\"]}", 400),
        ("POST", "/v1/signal", "{\"names\": [\"web\"], \"signal\": \"NOSUCH\"}", 400),
        ("GET", "/v1/events?since=x", "", 400),
        ("GET", "/v1/logs?lines=-1", "", 400),
        ("GET", "/v1/logs?follow=perhaps", "", 400),
        ("GET", "/v1/wait?timeout=inf", "", 400),
        ("POST", "/v1/stop", "{\"names\": [\"nosuch\"]}", 409),
    ];
    for (method, path, body, status) in wrong {
        let answer = ask(&site, method, path, body);
        assert_eq!(answer.status, status, "{method} {path} {body}: {answer:?}");
        let json = answer.json();
        assert!(json["error"].is_string() || json["results"][0]["error"].is_string(), "{method} {path} {body}: {json}");
    }
    assert_eq!(ask(&site, "GET", "/v1/status", "").json()["converged"], true);
    assert_eq!(navigator.count("Process stopped", "web"), 0);
    navigator.ends();
}

#[test]
fn a_crash_is_answered_as_fast_beside_a_crowd_that_neither_speaks_nor_listens() {
    allow_many_descriptors();
    let site = Site::new();
    let navigator = site.start(BUSY);
    let before = time_to_restart(&navigator);
    // Somebody who asked before the crowd came, and is to be told for as long as it takes.
    let mut patient = connect(&site);
    request(&mut patient, "GET", "/v1/logs?name=parrot&follow=true", "");
    let mut patient = BufReader::new(patient);
    let mut head = String::new();
    patient.read_line(&mut head).expect("an answer begins");
    assert_eq!(head, "HTTP/1.1 200 OK\r\n");
    let mut patient = patient.lines().map(|line| line.expect("it is told on"));
    let mut is_told = |message: &str| patient.any(|line| line.contains(&format!("\"message\":\"{message}\"")));
    assert!(is_told("here"));
    let silent: Vec<UnixStream> = (0..1_000).map(|_| connect(&site)).collect();
    let mut deaf = Vec::new();
    for path in ["/v1/events?since=0", "/v1/logs?follow=true"].repeat(8) {
        let mut stream = connect(&site);
        request(&mut stream, "GET", path, "");
        deaf.push(stream);
    }
    let half: Vec<UnixStream> = (0..100)
        .map(|_| {
            let mut stream = connect(&site);
            stream.write_all(b"POST /v1/stop HTTP/1.1\r\nhost: x\r\ncontent-length: 50\r\n\r\n{\"na").expect("it is read");
            stream
        })
        .collect();
    let beside = time_to_restart(&navigator);
    assert_eq!(ask(&site, "GET", "/v1/status?name=web", "").status, 200);
    report(&format!("from a crash to the next start: {before:?} before the crowd, {beside:?} beside it"));
    // Whoever is held by a crowd is held for as long as it stays.
    assert!(beside < Duration::from_secs(1) + 20 * before, "{before:?} before, {beside:?} beside");
    assert_eq!(ask(&site, "POST", "/v1/signal", "{\"names\": [\"parrot\"], \"signal\": \"USR1\"}").status, 200);
    assert!(is_told("still here"), "who asked for something has to go for those who never did");
    drop((silent, deaf, half));
    navigator.ends();
}

#[test]
fn the_last_events_reach_a_client_that_reads() {
    /// Fewer events than may wait for a client.
    const COUNT: usize = 200;
    let site = Site::new();
    let process = |number: usize| format!("  - {{ name: p{number}, command: sleep, args: [1h], depends_on: [] }}\n");
    let mut navigator = site.start(&("managed_processes:\n".to_owned() + &(0..COUNT).map(process).collect::<String>()));
    (0..COUNT).for_each(|number| assert!(navigator.started(&format!("p{number}")) > 0));
    let mut stream = connect(&site);
    request(&mut stream, "GET", "/v1/events?since=0", "");
    let mut lines = BufReader::new(stream).lines().map(|line| line.expect("it is told on"));
    assert!(lines.any(|line| line.contains("\"reloaded\"")), "it follows from the beginning");
    navigator.signal(Signal::TERM);
    assert_eq!(lines.filter(|line| line.contains("\"event\":\"stopped\"")).count(), COUNT);
    navigator.exits(0);
}
