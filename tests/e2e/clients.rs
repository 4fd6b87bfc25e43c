//! Clients of a running navigator: what they are told, what their orders do, and how they end.

use crate::harness::{Navigator, Signal, Site};
use serde_json::Value;

const TWO: &str = "\
managed_processes:
  - { name: web, command: \"${FIXTURES}/child.sh\", args: [web], stop: { timeout: 5s } }
  - { name: worker, command: \"${FIXTURES}/child.sh\", args: [worker] }
";

/// The plan of these two where nothing runs.
const ON_EMPTY_HOST: &str = "  \
  + web     added to file
  + worker  added to file

in this order, each when the one before it is done:
  1. start web
  2. start worker

plan: 2 to start
to apply: navigator run navigator.yml
";

#[track_caller]
fn settled(site: &Site) -> Navigator<'_> {
    let navigator = site.start_unwatched(TWO);
    navigator.started("worker");
    site.asks(&["wait"], 0);
    navigator
}

#[test]
fn an_order_has_come_about_when_its_command_ends() {
    let site = Site::new();
    let navigator = settled(&site);
    let first = navigator.started("web");
    site.asks(&["stop", "web"], 0);
    assert_eq!(navigator.event("Process stopped", "web").field("reason"), Some("stopped by hand"));
    assert_eq!(navigator.count("Process stopped", "worker"), 0);
    site.asks(&["start", "web"], 0);
    let second = navigator.nth_event("Process started", "web", 1).pid();
    site.asks(&["restart", "web"], 0);
    let third = navigator.nth_event("Process started", "web", 2).pid();
    assert!(first != second && second != third, "{first} {second} {third}");
    navigator.ends();
}

#[test]
fn what_is_stopped_by_hand_stays_so_over_a_reload_and_status_and_plan_say_it() {
    let site = Site::new();
    let navigator = settled(&site);
    site.asks(&["stop", "web"], 0);
    site.write("navigator.yml", &TWO.replace("[worker]", "[worker, again]"));
    let told = "  · web     stopped by hand, and stays so\n\nplan: 1 to restart, 1 unchanged, 1 of them stopped by hand\n\
                to apply: navigator reload\n";
    let plan = site.asks(&["plan"], 0).stdout();
    assert!(plan.starts_with("  ± worker  args changed\n") && plan.ends_with(told), "{plan}");
    site.asks(&["reload"], 0);
    site.asks(&["wait"], 0);
    let status = site.asks(&["status", "web"], 0).stdout();
    assert!(status.contains("stopped by hand"), "{status}");
    let plan = site.asks(&["plan", "--detailed-exitcode"], 0).stdout();
    assert_eq!(plan, "  · web  stopped by hand, and stays so\n\nno changes: 2 processes unchanged, 1 of them stopped by hand\n");
    assert_eq!(navigator.count("Process started", "web"), 1);
    navigator.ends();
}

#[test]
fn a_name_that_is_not_in_the_file_is_an_error_of_every_command() {
    let site = Site::new();
    let navigator = settled(&site);
    for command in ["status", "start", "stop", "restart", "reload", "wait"] {
        let said = site.asks(&[command, "nosuch"], 1).stderr();
        assert!(said.contains("no process `nosuch`"), "{command}: {said}");
    }
    assert!(site.asks(&["signal", "HUP", "nosuch"], 1).stderr().contains("no process `nosuch`"));
    navigator.ends();
}

#[test]
fn without_a_navigator_there_is_nobody_to_ask_and_a_plan_is_that_of_an_empty_host() {
    let site = Site::new();
    site.write("navigator.yml", TWO);
    for arguments in [&["status"][..], &["stop", "web"], &["wait"], &["events"], &["reload"]] {
        let said = site.asks(arguments, 4).stderr();
        assert_eq!(said, "navigator: no navigator runs `navigator.yml`\n", "{arguments:?}");
    }
    let plan = site.asks(&["plan", "--detailed-exitcode"], 2).stdout();
    assert_eq!(plan, ON_EMPTY_HOST);
}

#[test]
fn the_socket_of_a_killed_navigator_is_taken_over() {
    let site = Site::new();
    let mut first = settled(&site);
    first.signal(Signal::KILL);
    assert_eq!(first.ended().code, None, "it was killed");
    site.asks(&["status"], 4);
    let second = site.start_unwatched(TWO);
    second.wait("the takeover", |event| event.message == "Processes taken over");
    site.asks(&["wait"], 0);
    let status = site.asks(&["status"], 0).stdout();
    assert!(status.contains(&format!("pid {}", second.pid())), "{status}");
    second.ends();
}

/// What users rely on in `status --json`, as it is promised to them.
const STATUS: &str = r#"{"generation": 3, "pid": 71, "keeper": {"pid": 72, "version": "0.3.1", "state": "holding"},
    "config": {"path": "…", "state": "accepted", "watch": "events",
        "diagnostics": [{"file": "…", "line": 1, "column": 1, "message": "…", "help": "…"}]},
    "converged": true,
    "processes": [{"name": "redis", "tier": "managed_processes", "state": "running", "pid": 72, "ready": true, "stale": false,
        "generation": 1, "restarts": 0, "started_at": "2026-11-22T18:00:00.000Z", "last_exit": {"code": 1},
        "reason": "added to file"}]}"#;

/// The same of `plan --format json`.
const PLAN: &str = r#"{"generation": 3,
    "changes": [{"action": "restart", "name": "web", "fields": [{"field": "env.PORT", "old": "80", "new": "81"}],
        "reason": "env changed"}],
    "summary": {"added": 0, "removed": 0, "changed": 1, "updated": 0, "unchanged": 4}}"#;

/// Holds a value to an example: the same keys at every depth, and values of the same kind.
fn is_shaped(path: &str, example: &Value, found: &Value) {
    match (example, found) {
        (Value::Object(example), Value::Object(found)) => {
            assert_eq!(example.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>(), "the keys of `{path}`");
            example.iter().for_each(|(key, value)| is_shaped(&format!("{path}.{key}"), value, &found[key]));
        }
        (Value::Array(example), Value::Array(found)) => {
            assert!(!found.is_empty(), "`{path}` has nothing in it to be looked at");
            for found in found {
                is_shaped(path, &example[0], found);
            }
        }
        (Value::String(_), Value::String(_)) | (Value::Number(_), Value::Number(_)) | (Value::Bool(_), Value::Bool(_)) => {}
        _ => panic!("`{path}` is {found}, and not like {example}"),
    }
}

#[test]
fn what_machines_read_has_the_shape_that_they_are_promised() {
    let site = Site::new();
    // It is warned of, and has crashed and come back, so that nothing is missing.
    let text = "server: {}\nmanaged_processes:\n  - { name: web, command: sh, args: [-c, \"[ -e once ] || { touch once; exit 1; }; exec sleep 3600\"], \
                auto_restart: true, backoff: { initial: 1ms }, env: { PORT: 80 } }\n";
    let navigator = site.start_unwatched(text);
    navigator.nth_event("Process started", "web", 1);
    site.asks(&["wait"], 0);
    let json = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let mut status = json(&site.asks(&["status", "--json"], 0).stdout());
    // This warning comes without help.
    let help = &mut status["config"]["diagnostics"][0]["help"];
    assert_eq!(*help, Value::Null);
    *help = Value::from("…");
    is_shaped("status", &json(STATUS), &status);
    site.write("navigator.yml", &text.replace("80", "81"));
    let plan = json(&site.asks(&["plan", "--format", "json"], 0).stdout());
    is_shaped("plan", &json(PLAN), &plan);
    assert_eq!(plan["changes"], json(PLAN)["changes"]);
    navigator.ends();
}

/// What a file names relative to itself is the same for a file beside it, however either was named.
#[test]
fn a_candidate_beside_the_file_that_says_the_same_changes_nothing() {
    let site = Site::new();
    let text =
        "managed_processes:\n  - { name: web, command: sleep, args: [1h], output: { file: web.log }, watch: [web.conf] }\n";
    site.write("conf/navigator.yml", text);
    site.write("conf/new.yml", text);
    let absolute = site.path("conf/navigator.yml").display().to_string();
    for named in ["conf/navigator.yml", "./conf/navigator.yml", absolute.as_str()] {
        let navigator = site.command([named]).start();
        navigator.started("web");
        for candidate in [&["plan"][..], &["plan", "conf/new.yml"], &["plan", "./conf/new.yml"], &["plan", absolute.as_str()]] {
            let ended = site.asks(&[&["-c", "conf/navigator.yml"], candidate].concat(), 0);
            assert_eq!(ended.stdout(), "no changes: 1 process unchanged\n", "{named} {candidate:?}");
        }
        navigator.ends();
    }
}
