//! The promises about managed processes that a user reads first: order, delays, restarts, and words to look for in the
//! log. What a process gets from its definition is in [`crate::environment`].

use crate::harness::{Signal, Site};
use std::time::Duration;

/// Three processes that take a moment to stop, and an application.
const THREE_AND_AN_APPLICATION: &str = r#"
defaults: { env: { LINGER: "0.2" } }
managed_processes:
  - { name: first, command: "${FIXTURES}/child.sh", args: [first] }
  - { name: second, command: "${FIXTURES}/child.sh", args: [second] }
  - { name: third, command: "${FIXTURES}/child.sh", args: [third] }
applications:
  - { name: web, command: "${FIXTURES}/child.sh", args: [web] }
"#;

#[test]
fn processes_start_in_list_order_and_stop_in_reverse() {
    let site = Site::new();
    let mut navigator = site.start(THREE_AND_AN_APPLICATION);
    for name in ["first", "second", "third", "web"] {
        navigator.journals(&format!("{name} start"));
    }
    navigator.signal(Signal::TERM);
    let ended = navigator.exits(0);

    let names = ["first", "second", "third", "web"];
    let starts: Vec<usize> = names.map(|name| ended.place("Process started", name)).into();
    assert!(starts.is_sorted(), "started in order: {starts:?}\n{}", ended.description);
    // Each is gone before the one before it is told to stop: the journal of the processes themselves proves it.
    let wanted = ["web term", "web exit", "third term", "third exit", "second term", "second exit", "first term", "first exit"];
    assert_eq!(site.stops(), wanted, "{}", ended.description);
}

#[test]
fn start_delays_count_from_the_beginning_and_not_from_one_another() {
    let site = Site::new();
    let mut navigator = site.start(
        r#"
managed_processes:
  - { name: at-once, command: "${FIXTURES}/child.sh", args: [at-once], start_delay: 0 }
  - { name: later, command: "${FIXTURES}/child.sh", args: [later], start_delay: 1 }
  - { name: last, command: "${FIXTURES}/child.sh", args: [last], start_delay: 2.5 }
"#,
    );
    let [at_once, later, last] = ["at-once", "later", "last"].map(|name| navigator.event("Starting process", name).at);
    // The lines are read a little after they were written, each by a different little.
    let jitter = Duration::from_millis(50);
    assert!(later - at_once + jitter >= Duration::from_secs(1), "{:?}", later - at_once);
    assert!(last - at_once + jitter >= Duration::from_millis(2500), "{:?}", last - at_once);
    // Were the delays added up, the last would have started at 3.5 s.
    assert!(last - at_once < Duration::from_millis(3400), "{:?}", last - at_once);
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn a_delay_holds_back_what_follows_in_the_list() {
    let site = Site::new();
    let mut navigator = site.start(
        r#"
managed_processes:
  - { name: slow, command: "${FIXTURES}/child.sh", args: [slow], start_delay: 400ms }
  - { name: after, command: "${FIXTURES}/child.sh", args: [after] }
"#,
    );
    navigator.journals("after start");
    navigator.signal(Signal::TERM);
    let ended = navigator.exits(0);
    assert!(ended.place("Process started", "slow") < ended.place("Starting process", "after"), "{}", ended.description);
}

#[test]
fn a_crash_is_followed_by_a_restart_after_a_pause_that_grows() {
    let site = Site::new();
    let mut navigator = site.start(
        r#"
managed_processes:
  - name: crashing
    command: sh
    args: [-c, "echo alive; exit 3"]
    auto_restart: true
    backoff: { initial: 200ms, factor: 3, jitter: 0 }
"#,
    );
    let crashes = [0, 1, 2].map(|n| navigator.nth_event("Process crashed", "crashing", n));
    let pauses = [0, 1, 2].map(|n| navigator.nth_event("Restarting process", "crashing", n));
    let starts = [1, 2, 3].map(|n| navigator.nth_event("Process started", "crashing", n));
    // The lines are read a little after they were written, each by a different little.
    let jitter = Duration::from_millis(50);
    for (n, milliseconds) in [(0, 200), (1, 600), (2, 1800)] {
        assert_eq!(crashes[n].field("status"), Some("3"), "{:?}", crashes[n]);
        assert_eq!(crashes[n].target, "managed_processes");
        assert!(starts[n].at - crashes[n].at + jitter >= Duration::from_millis(milliseconds), "{n}: {:?}", starts[n]);
    }
    assert_eq!(
        pauses.map(|pause| pause.field("delay").map(str::to_owned)),
        ["200ms", "600ms", "1s800ms"].map(|delay| Some(delay.into()))
    );
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn a_process_that_was_killed_comes_back() {
    let site = Site::new();
    let mut navigator = site.start(
        r#"
managed_processes:
  - { name: victim, command: "${FIXTURES}/child.sh", args: [victim], auto_restart: true }
"#,
    );
    let pid = navigator.started("victim");
    navigator.kill(pid);
    let crash = navigator.event("Process crashed", "victim");
    assert_eq!(crash.field("signal"), Some("KILL"), "{crash:?}");
    let again = navigator.event_after(&crash, "Process started", "victim");
    assert_ne!(again.pid(), pid);
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn exit_status_0_is_an_end_and_no_auto_restart_means_none() {
    let site = Site::new();
    let mut navigator = site.start(
        r#"
managed_processes:
  - { name: satisfied, command: sh, args: [-c, "exit 0"], auto_restart: true }
  - { name: given-up, command: sh, args: [-c, "exit 7"], auto_restart: false }
  - { name: default, command: sh, args: [-c, "exit 8"] }
  - name: witness
    command: sh
    args: [-c, "exit 1"]
    auto_restart: true
    backoff: { initial: 300ms, jitter: 0 }
"#,
    );
    assert_eq!(navigator.event("Process exited", "satisfied").field("status"), Some("0"));
    assert_eq!(navigator.event("Process crashed", "given-up").field("status"), Some("7"));
    assert_eq!(navigator.event("Process crashed", "default").field("status"), Some("8"));
    // By then a restart of the others, due at once, would long have happened.
    navigator.nth_event("Process started", "witness", 3);
    for name in ["satisfied", "given-up", "default"] {
        assert_eq!(navigator.count("Process started", name), 1, "{name}");
        assert_eq!(navigator.count("Restarting process", name), 0, "{name}");
    }
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn nothing_is_restarted_in_a_shutdown() {
    let site = Site::new();
    let mut navigator = site.start(
        r#"
managed_processes:
  - name: base
    command: ${FIXTURES}/child.sh
    args: [base]
    env: { LINGER: "0.3" }
  - name: rude
    command: sh
    args: [-c, '. "$FIXTURES/idle.sh"; trap "exit 9" TERM; echo set; idle']
    restart: always
  - name: pausing
    command: sh
    args: [-c, "exit 1"]
    auto_restart: true
    backoff: { initial: 1h, max: 1h }
"#,
    );
    navigator.says("rude", |line| line == "set");
    navigator.journals("base start");
    navigator.event("Restarting process", "pausing");
    navigator.signal(Signal::TERM);
    let ended = navigator.exits(0);
    // `base` takes its time after `rude` has gone, so a restart would have been seen; the pause of an hour is over at once.
    assert!(ended.place("Process stopped", "rude") < ended.place("Process stopped", "base"), "{}", ended.description);
    assert!(ended.events().iter().all(|event| !event.is("Process crashed", "rude")), "{}", ended.description);
    ended.place("Process started", "rude");
}

#[test]
fn a_loop_that_waits_for_something_holds_back_what_depends_on_it() {
    let site = Site::new();
    let mut navigator = site.start(
        r#"
managed_processes:
  - { name: redis, command: "${FIXTURES}/child.sh", args: [redis] }
  - name: wait-for-redis
    command: sh
    args: [-c, "echo waiting; until [ -e $SITE/answers ]; do sleep 0.05; done; echo it answers"]
    type: task
  - { name: worker, command: "${FIXTURES}/child.sh", args: [worker], depends_on: [wait-for-redis] }
"#,
    );
    navigator.says("wait-for-redis", |line| line == "waiting");
    assert_eq!(navigator.count("Starting process", "worker"), 0);
    site.write("answers", "");
    navigator.journals("worker start");
    navigator.signal(Signal::TERM);
    let ended = navigator.exits(0);
    assert!(ended.place("Process exited", "wait-for-redis") < ended.place("Starting process", "worker"), "{}", ended.description);
    // The task has long ended; the order that goes through it holds all the same.
    assert!(ended.place("Process stopped", "worker") < ended.place("Stopping process", "redis"), "{}", ended.description);
}

#[test]
fn several_workers_run_the_same_program() {
    let site = Site::new();
    let mut navigator = site.start(
        r#"
x-worker: &worker
  command: sh
  args: [-c, 'echo "queue $QUEUE"; exec sleep 3600']
  auto_restart: true
managed_processes:
  - { <<: *worker, name: worker-high, env: { QUEUE: high } }
  - { <<: *worker, name: worker-low, env: { QUEUE: low } }
"#,
    );
    navigator.says("worker-high", |line| line == "queue high");
    navigator.says("worker-low", |line| line == "queue low");
    assert_ne!(navigator.started("worker-high"), navigator.started("worker-low"));
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn what_cannot_start_says_why_and_holds_nothing_up() {
    let site = Site::new();
    site.write("not-executable.sh", "#!/bin/sh\n");
    site.script("no-interpreter.sh", "#!/no/such/interpreter\n");
    let mut navigator = site.start(
        r#"
managed_processes:
  - { name: missing, command: no-such-program }
  - { name: missing-file, command: ./no-such-file }
  - { name: forbidden, command: ./not-executable.sh }
  - { name: interpreter, command: ./no-interpreter.sh }
  - { name: directory, command: "true", working_dir: /no/such/directory }
  - { name: user, command: "true", user: no-such-user }
  - { name: fine, command: "${FIXTURES}/child.sh", args: [fine] }
"#,
    );
    navigator.journals("fine start");
    for (name, words) in [
        ("missing", "command not found"),
        ("missing-file", "command not found"),
        ("forbidden", "not executable"),
        ("interpreter", "interpreter missing"),
        ("directory", "working_dir does not exist"),
        ("user", "unknown user"),
    ] {
        let failed = navigator.event("Process failed", name);
        assert!(failed.field("reason").is_some_and(|reason| reason.contains(words)), "{words}: {failed:?}");
    }
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

/// The log as a file, as the examples of `grep` have it.
fn log_of_a_crash(format: &str) -> String {
    let site = Site::new();
    let mut navigator = site.start(&format!(
        r#"
logging: {{ format: {format}, file: navigator.log }}
managed_processes:
  - {{ name: worker, command: sh, args: [-c, "echo hello; exit 4"] }}
"#
    ));
    navigator.log().until("the crash in the log file", || site.read("navigator.log").contains("Process crashed").then_some(()));
    navigator.signal(Signal::TERM);
    navigator.exits(0);
    site.read("navigator.log")
}

#[test]
fn the_log_file_is_greppable_by_the_documented_words() {
    let text = log_of_a_crash("text");
    let grep = |words: &str| text.lines().filter(|line| line.contains(words)).count();
    assert_eq!(grep("managed_processes: Starting process name=worker"), 1, "{text}");
    assert_eq!(grep("managed_processes: Process crashed name=worker"), 1, "{text}");
    assert_eq!(grep("[worker.stdout] hello"), 1, "{text}");
}

#[test]
fn the_log_file_in_json_has_the_same_words_in_fields() {
    let text = log_of_a_crash("json");
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))).collect();
    let crash = lines.iter().find(|line| line["message"] == "Process crashed").unwrap_or_else(|| panic!("{text}"));
    assert_eq!(crash["target"], "managed_processes", "{crash}");
    assert_eq!(crash["name"], "worker", "{crash}");
    assert_eq!(crash["status"], 4, "{crash}");
    assert!(crash["pid"].is_u64() && crash["generation"] == 1, "{crash}");
    let hello = lines.iter().find(|line| line["message"] == "hello").unwrap_or_else(|| panic!("{text}"));
    assert_eq!((&hello["source"], &hello["stream"]), (&"worker".into(), &"stdout".into()), "{hello}");
    for line in [crash, hello] {
        let time = line["@timestamp"].as_str().unwrap_or_else(|| panic!("{line}"));
        assert!(time.len() == "2026-11-22T18:00:00.000Z".len() && time.ends_with('Z'), "{time}");
    }
}
