//! Ends of processes and what follows: exit codes of navigator, successes, slow retries, and starts that wait in vain.

use crate::harness::Site;
use std::time::Duration;

/// A configuration with a database, and a main program that ends like this.
fn with_main(end: &str, fields: &str) -> String {
    format!(
        "managed_processes:\n  - {{ name: db, command: \"${{FIXTURES}}/child.sh\", args: [db] }}\n  - {{ name: main, command: sh, \
         args: [-c, '{end}'], depends_on: [db], {fields} }}\n"
    )
}

#[test]
fn navigator_exits_with_the_status_of_the_process_that_ends_it() {
    for (end, fields, code) in [
        ("exit 3", "shutdown_on: failure", 3),
        ("kill -9 $$$$", "shutdown_on: failure", 137),
        ("exit 0", "shutdown_on: exit", 0),
        ("exit 4", "shutdown_on: exit, success_exit_codes: [0, 4]", 4),
        ("exit 5", "shutdown_on: failure, restart: on-failure, max_restarts: 1, backoff: 1ms", 5),
        ("exit 0", "shutdown_on: failure, success_exit_codes: []", 1),
        ("exit 0", "shutdown_on: failure, working_dir: /missing", 126),
    ] {
        let site = Site::new();
        let ended = site.start(&with_main(end, fields)).exits(code);
        let shutdown = ended.events().into_iter().find(|event| event.message == "Shutting down");
        let shutdown = shutdown.unwrap_or_else(|| panic!("{fields}\n{}", ended.description));
        assert_eq!(shutdown.field("name"), Some("main"), "{}", ended.description);
        assert!(!site.stops().is_empty() || site.journal().is_empty(), "`db` is stopped in order: {:?}", site.journal());
    }
}

#[test]
fn a_process_that_does_not_end_for_good_ends_nothing() {
    let site = Site::new();
    let navigator = site.start(&with_main("exit 3", "shutdown_on: failure, success_exit_codes: [3]"));
    assert_eq!(navigator.event("Process exited", "main").field("status"), Some("3"));
    assert_eq!(site.asks(&["wait", "--timeout", "20s"], 0).code, Some(0), "it has completed");
    navigator.ends();
}

#[test]
fn a_missing_program_is_retried_rarely_and_has_not_failed() {
    let site = Site::new();
    let navigator = site.start(
        "managed_processes:\n  - { name: missing, command: ./missing, restart: on-failure, backoff: { initial: 50ms, max: 1h, jitter: 0 } }\n",
    );
    let first = navigator.event("Process not started", "missing");
    assert!(first.field("reason").is_some_and(|reason| reason.starts_with("command not found")), "{first:?}");
    let delays = [0, 1].map(|n| navigator.nth_event("Restarting process", "missing", n).field("delay").map(str::to_owned));
    assert_eq!(delays, [Some("50ms".to_owned()), Some("1h".to_owned())]);
    assert_eq!(navigator.count("Process failed", "missing"), 0);
    navigator.ends();
}

#[test]
fn a_fixed_backoff_comes_before_every_restart() {
    let site = Site::new();
    let navigator = site.start(
        "managed_processes:\n  - { name: again, command: \"false\", restart: on-failure, backoff: 120ms, max_restarts: 3 }\n",
    );
    navigator.event("Process failed", "again");
    let delays: Vec<_> =
        (0..3).map(|n| navigator.nth_event("Restarting process", "again", n).field("delay").map(str::to_owned)).collect();
    assert_eq!(delays, vec![Some("120ms".to_owned()); 3]);
    navigator.ends();
}

#[test]
fn a_process_that_writes_what_it_watches_is_slowed_down() {
    let site = Site::new();
    site.write("stamp", "");
    let navigator = site.start(
        "managed_processes:\n  - { name: writer, command: sh, args: [-c, 'date +%s%N > stamp; exec sleep 3600'], watch: stamp }\n",
    );
    let slow = navigator.event("Slowing down restarts", "writer");
    let first = navigator.nth_event("Process started", "writer", 6);
    let second = navigator.nth_event("Process started", "writer", 7);
    assert!(second.at.duration_since(first.at) > Duration::from_millis(400), "{slow:?}\n{}", navigator.log().describe());
    assert_eq!(navigator.count("Slowing down restarts", "writer"), 1);
    let restarts = site.run(["status", "writer", "--json"]).stdout();
    assert!(!restarts.contains("\"restarts\": 0") && !restarts.contains("\"restarts\":0"), "{restarts}");
    navigator.ends();
}

#[test]
fn a_start_that_waits_in_vain_is_logged_once() {
    let site = Site::new();
    let navigator = site.start(
        r#"
managed_processes:
  - { name: db, type: task, command: "false" }
  - { name: web, command: sleep, args: ["3600"], depends_on: [db] }
  - { name: worker, command: sleep, args: ["3600"], depends_on: [db] }
"#,
    );
    let blocked = navigator.wait("a blocked start", |event| event.message == "Start blocked");
    assert_eq!(blocked.field("names"), Some("web worker"), "{blocked:?}");
    assert_eq!(blocked.field("dependency"), Some("db"), "{blocked:?}");
    assert_eq!(blocked.field("reason"), Some("failed: exit status 1"), "{blocked:?}");
    let ended = navigator.ends();
    let count = ended.events().iter().filter(|event| event.message == "Start blocked").count();
    assert_eq!(count, 1, "{}", ended.description);
}
