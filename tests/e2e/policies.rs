//! When a process runs again, when it is given up, and what it waits for.

use crate::harness::{Signal, Site};
use std::time::Duration;

#[test]
fn always_means_after_success_too() {
    let site = Site::new();
    let mut navigator = site.start(
        r"
managed_processes:
  - { name: tireless, command: sh, args: [-c, 'echo done'], restart: always, backoff: { initial: 20ms, jitter: 0 } }
",
    );
    navigator.nth_event("Process exited", "tireless", 2);
    navigator.nth_event("Process started", "tireless", 3);
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn after_max_restarts_in_a_row_it_is_left_alone() {
    let site = Site::new();
    let mut navigator = site.start(
        r"
managed_processes:
  - name: hopeless
    command: sh
    args: [-c, exit 5]
    auto_restart: true
    max_restarts: 2
    backoff: { initial: 20ms, jitter: 0 }
  - name: witness
    command: sh
    args: [-c, exit 6]
    auto_restart: true
    backoff: { initial: 100ms, factor: 1, jitter: 0 }
",
    );
    let failed = navigator.event("Process failed", "hopeless");
    assert!(failed.field("reason").is_some_and(|reason| !reason.is_empty()), "{failed:?}");
    // Long after another restart would have been due.
    let after = navigator.count("Process started", "witness");
    navigator.nth_event("Process started", "witness", after + 5);
    assert_eq!(navigator.count("Process started", "hopeless"), 3, "the first start and two restarts");
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn after_healthy_running_a_failure_is_the_first_again() {
    let site = Site::new();
    let mut navigator = site.start(
        r"
managed_processes:
  - name: sometimes
    command: sh
    args: [-c, 'sleep 0.4; exit 1']
    auto_restart: true
    backoff: { initial: 20s, jitter: 0, reset_after: 200ms }
",
    );
    for n in 0..3 {
        let crash = navigator.nth_event("Process crashed", "sometimes", n);
        let again = navigator.event_after(&crash, "Process started", "sometimes");
        assert!(again.at - crash.at < Duration::from_secs(10), "at once, not after the pause: {:?}", again.at - crash.at);
    }
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn a_start_that_fails_is_tried_again_like_any_failure() {
    let site = Site::new();
    let mut navigator = site.start(
        r"
managed_processes:
  - { name: late, command: ./late.sh, auto_restart: true, backoff: { initial: 50ms, factor: 1, jitter: 0 } }
",
    );
    navigator.wait("a failed start", |event| {
        event.field("name") == Some("late") && event.field("reason").is_some_and(|reason| reason.contains("command not found"))
    });
    site.script("ready.sh", "#!/bin/sh\necho here; exec sleep 3600\n");
    std::fs::rename(site.path("ready.sh"), site.path("late.sh")).expect("it was written");
    navigator.says("late", |line| line == "here");
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn a_task_that_fails_holds_back_its_dependents_until_the_file_is_mended() {
    let site = Site::new();
    let configuration = |status: u8| {
        format!(
            r#"
managed_processes:
  - {{ name: migration, command: sh, args: [-c, "exit {status}"], type: task }}
  - {{ name: web, command: "${{FIXTURES}}/child.sh", args: [web], depends_on: [migration] }}
  - {{ name: free, command: "${{FIXTURES}}/child.sh", args: [free] }}
  - {{ name: lenient, command: "${{FIXTURES}}/child.sh", args: [lenient], depends_on: {{ migration: {{ required: false }} }} }}
"#
        )
    };
    let mut navigator = site.start_unwatched(&configuration(9));
    navigator.event("Process crashed", "migration");
    navigator.journals("lenient start");
    // Order alone never blocks, a named dependency does; `free` comes after `web` by order alone.
    navigator.journals("free start");
    assert_eq!(navigator.count("Starting process", "web"), 0);
    site.write("navigator.yml", &configuration(0));
    navigator.signal(Signal::HUP);
    navigator.journals("web start");
    assert!(navigator.event("Process exited", "migration").index < navigator.event("Starting process", "web").index);
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn a_disabled_process_is_defined_and_does_not_run() {
    let site = Site::new();
    let configuration = |enabled: bool| {
        format!(
            r#"
x-child: &child {{ command: "${{FIXTURES}}/child.sh" }}
managed_processes:
  - {{ <<: *child, name: optional, args: [optional], enabled: {enabled} }}
  - {{ <<: *child, name: fixed, args: [fixed] }}
"#
        )
    };
    let mut navigator = site.start_unwatched(&configuration(false));
    navigator.journals("fixed start");
    assert_eq!(navigator.count("Starting process", "optional"), 0);
    site.write("navigator.yml", &configuration(true));
    navigator.signal(Signal::HUP);
    navigator.journals("optional start");
    site.write("navigator.yml", &configuration(false));
    navigator.signal(Signal::HUP);
    navigator.event("Process stopped", "optional");
    assert_eq!(site.journal(), ["fixed start", "optional start", "optional term", "optional exit"]);
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn on_change_none_keeps_the_old_one_running() {
    let site = Site::new();
    let configuration = |argument: &str| {
        format!(
            r#"
x-child: &child {{ command: "${{FIXTURES}}/child.sh", auto_restart: true }}
managed_processes:
  - {{ <<: *child, name: precious, args: [{argument}], on_change: none }}
  - {{ <<: *child, name: ordinary, args: [ordinary-{argument}] }}
"#
        )
    };
    let mut navigator = site.start_unwatched(&configuration("one"));
    navigator.journals("one start");
    navigator.journals("ordinary-one start");
    let pid = navigator.started("precious");
    site.write("navigator.yml", &configuration("two"));
    navigator.signal(Signal::HUP);
    navigator.journals("ordinary-two start");
    assert!(!site.journal().contains(&"one term".into()), "{:?}", site.journal());
    // When it has to be started anyway, it is started as the file says now.
    navigator.kill(pid);
    navigator.journals("two start");
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn a_crash_loop_is_not_converged_and_its_end_is_once_it_has_been_healthy() {
    let site = Site::new();
    let navigator = site.start(
        r"
managed_processes:
  - name: looping
    command: sh
    args: [-c, '[ -e mended ] || { sleep 0.3; exit 1; }; exec sleep 1h']
    auto_restart: true
    backoff: { initial: 20ms, max: 20ms, jitter: 0, reset_after: 1s }
",
    );
    navigator.nth_event("Process started", "looping", 1);
    for _ in 0..5 {
        // Whether it runs at the moment or not.
        site.asks(&["status"], 3);
    }
    let waited = site.asks(&["wait", "--timeout", "800ms"], 3);
    assert!(waited.stderr().contains("navigator: looping "), "{}", waited.description);
    site.write("mended", "");
    site.asks(&["wait", "--timeout", "30s"], 0);
    site.asks(&["status"], 0);
    navigator.ends();
}

#[test]
fn what_can_not_come_is_not_waited_for() {
    let site = Site::new();
    let navigator = site.start(
        "managed_processes:\n  - { name: failing, type: task, command: \"false\", depends_on: [] }\n  - { name: other, command: sleep, args: [1h], depends_on: [] }\n",
    );
    navigator.event("Process failed", "failing");
    let begun = std::time::Instant::now();
    let failed = site.asks(&["wait", "--timeout", "10m"], 3).stderr();
    assert!(failed.starts_with("navigator: failing crashed: exit status 1"), "{failed}");
    site.asks(&["wait", "other", "--timeout", "10m"], 0);
    site.write("navigator.yml", "managed_processes: [{ name: other }]\n");
    let rejected = site.asks(&["wait", "other", "--timeout", "10m"], 3).stderr();
    assert!(rejected.contains("navigator.yml:1:29: error:"), "{rejected}");
    assert!(begun.elapsed() < Duration::from_mins(5), "{:?}", begun.elapsed());
    navigator.ends();
}
