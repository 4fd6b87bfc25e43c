//! Orders by hand: each is answered when what it asks for has come about, or with the reason why it won't.

use crate::harness::socket::{answer, ask, connect, request};
use crate::harness::{Signal, Site, leftovers};
use serde_json::{Value, json};

/// The order fails, and this is all that is said.
#[track_caller]
fn fails(site: &Site, arguments: &[&str], why: &str) {
    let said = site.asks(arguments, 1).stderr();
    assert_eq!(said, format!("navigator: {} {}: {why}\n", arguments[0], arguments[1]));
}

fn state(site: &Site, name: &str) -> Value {
    ask(site, "GET", &format!("/v1/status?name={name}"), "").json()["processes"][0]["state"].clone()
}

#[test]
fn a_start_that_waits_for_what_does_not_come_fails_and_says_for_what() {
    let site = Site::new();
    let navigator = site.start(
        "managed_processes:
  - { name: failed, type: task, command: \"false\" }
  - { name: backing-off, type: task, command: \"false\", restart: on-failure, backoff: { initial: 1h, max: 1h, jitter: 0 } }
  - { name: stopped, command: sleep, args: [1h] }
  - { name: disabled, command: sleep, args: [1h], enabled: false }
  - { name: on-failed, command: sleep, args: [1h], depends_on: [failed] }
  - { name: on-backing-off, command: sleep, args: [1h], depends_on: [backing-off] }
  - { name: on-stopped, command: sleep, args: [1h], depends_on: [stopped] }
  - { name: on-disabled, command: sleep, args: [1h], depends_on: [disabled] }
  - { name: missing, command: /no/such/program, depends_on: [] }
",
    );
    navigator.event("Process failed", "failed");
    navigator.event("Restarting process", "backing-off");
    navigator.event("Process failed", "missing");
    site.asks(&["stop", "stopped", "on-stopped"], 0);
    fails(&site, &["start", "on-failed"], "waits for failed: failed");
    fails(&site, &["start", "on-backing-off"], "waits for backing-off: backing off");
    fails(&site, &["start", "on-stopped"], "waits for stopped: stopped by hand");
    fails(&site, &["start", "on-disabled"], "waits for disabled: disabled");
    fails(&site, &["restart", "disabled"], "it is disabled in the file; `navigator start disabled` runs it all the same");
    fails(&site, &["start", "missing"], "command not found: `/no/such/program` does not exist");
    // What it waits for comes, and so does it.
    site.asks(&["start", "stopped", "on-stopped"], 0);
    navigator.ends();
}

#[test]
fn a_stop_is_over_when_nothing_is_left_even_if_that_takes_a_kill() {
    let site = Site::new();
    let navigator = site.start(
        "managed_processes:
  - { name: deaf, command: sh, args: [-c, 'trap \"\" TERM; echo deaf; while :; do sleep 1; done'], stop: { timeout: 300ms } }
",
    );
    navigator.log().until("its line", || (!navigator.said("deaf").is_empty()).then_some(()));
    let leader = leftovers::process(navigator.started("deaf")).expect("it runs");
    site.asks(&["stop", "deaf"], 0);
    assert!(!leftovers::is_alive(&leader), "the order was answered while it still ran");
    assert_eq!(navigator.event("Process stopped", "deaf").field("signal"), Some("KILL"));
    navigator.ends();
}

#[test]
fn a_restart_whose_process_does_not_become_ready_fails_with_the_reason() {
    let site = Site::new();
    let text = "managed_processes:
  - { name: web, command: sh, args: [-c, '[ -e broken ] || echo ready; exec sleep 3600'], ready: { log: ready, deadline: 500ms } }
  - { name: other, command: sleep, args: [1h] }
";
    let navigator = site.start(text);
    navigator.started("other");
    site.asks(&["wait"], 0);
    site.write("broken", "");
    let said = site.asks(&["restart", "web"], 1).stderr();
    assert!(said.starts_with("navigator: restart web: not ready within 500ms"), "{said}");
    assert_eq!(state(&site, "web"), "failed");
    std::fs::remove_file(site.path("broken")).expect("it is ours");
    site.asks(&["restart", "web"], 0);
    assert_eq!((state(&site, "web"), navigator.count("Process started", "other")), (json!("running"), 1));
    navigator.ends();
}

#[test]
fn orders_at_the_same_time_are_all_answered_and_the_last_one_holds() {
    let site = Site::new();
    let navigator = site.start_unwatched("managed_processes:\n  - { name: web, command: sleep, args: [1h] }\n");
    navigator.started("web");
    let body = "{\"names\": [\"web\"]}";
    for last in ["stop", "start", "stop"] {
        std::thread::scope(|scope| {
            for client in 0..24 {
                let (site, word) = (&site, ["start", "stop", "restart"][client % 3]);
                scope.spawn(move || {
                    let answer = ask(site, "POST", &format!("/v1/{word}"), body);
                    // Another order may have overtaken it, and then it says so.
                    let result = &answer.json()["results"][0];
                    let is_answered = match answer.status {
                        200 => result["error"].is_null(),
                        409 => result["error"].is_string(),
                        _ => false,
                    };
                    assert!(is_answered, "{word}: {answer:?}");
                });
            }
        });
        assert_eq!(ask(&site, "POST", &format!("/v1/{last}"), body).status, 200);
        let expected = if last == "stop" { "stopped" } else { "running" };
        assert_eq!(state(&site, "web"), expected);
    }
    let starts = navigator.count("Process started", "web");
    for _ in 0..10 {
        site.asks(&["reload"], 0);
    }
    assert_eq!((state(&site, "web"), navigator.count("Process started", "web")), (json!("stopped"), starts));
    navigator.ends();
}

#[test]
fn what_is_stopped_by_hand_stays_so_until_its_own_definition_changes_or_it_comes_anew() {
    let site = Site::new();
    let web = "  - { name: web, command: sleep, args: [1h] }\n";
    let other = "  - { name: other, command: sleep, args: [2h] }\n";
    let all = |processes: &[&str]| format!("managed_processes:\n{}", processes.concat());
    let navigator = site.start_unwatched(&all(&[web, other]));
    navigator.started("other");
    let reloads = |text: &str| {
        site.write("navigator.yml", text);
        site.asks(&["reload"], 0);
        site.asks(&["wait"], 0);
        state(&site, "web")
    };
    site.asks(&["stop", "web"], 0);
    assert_eq!(reloads(&all(&[web, &other.replace("2h", "3h")])), "stopped");
    assert_eq!(reloads(&all(&[other, web])), "stopped", "another place is no other definition");
    assert_eq!(reloads(&all(&[&web.replace("1h", "4h"), other])), "running");
    site.asks(&["stop", "web"], 0);
    assert_eq!(reloads(&all(&[other])), Value::Null, "it is gone");
    assert_eq!(reloads(&all(&[web, other])), "running");
    navigator.ends();
}

/// Orders that are still waiting when navigator ends are told so.
#[test]
fn who_waits_when_navigator_ends_is_told() {
    let site = Site::new();
    let mut navigator = site.start(
        "managed_processes:
  - { name: web, command: sh, args: [-c, 'echo here; exec sleep 3600'], ready: { log: never, deadline: 1h }, stop: { timeout: 1s } }
",
    );
    navigator.log().until("its line", || (!navigator.said("web").is_empty()).then_some(()));
    let waiting =
        [("POST", "/v1/start", "{\"names\": [\"web\"]}"), ("GET", "/v1/wait?timeout=3600", "")].map(|(method, path, body)| {
            let mut stream = connect(&site);
            request(&mut stream, method, path, body);
            stream
        });
    // By the time that this one is answered, those before it have been heard, or are told of the end when they are.
    assert_eq!(ask(&site, "GET", "/v1/status", "").status, 200);
    navigator.signal(Signal::TERM);
    for (stream, status) in waiting.into_iter().zip([409, 503]) {
        let answer = answer(stream).expect("an answer to its end");
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(answer.body.contains("shut"), "{answer:?}");
    }
    navigator.exits(0);
}

#[test]
fn a_disabled_process_that_is_started_by_hand_runs_until_its_definition_changes() {
    let site = Site::new();
    let two = "managed_processes:
  - { name: off, command: sleep, args: [1h], enabled: false }
  - { name: on-off, command: sleep, args: [1h], depends_on: [off] }
";
    let navigator = site.start_unwatched(two);
    navigator.wait("the first state", |event| event.message == "Configuration loaded");
    site.asks(&["start", "off"], 0);
    navigator.started("off");
    // Its dependents come along, and a reload of the same definition changes nothing.
    navigator.started("on-off");
    site.asks(&["status"], 0);
    site.write("navigator.yml", &format!("{two}  - {{ name: new, command: sleep, args: [1h] }}\n"));
    site.asks(&["reload"], 0);
    navigator.started("new");
    assert_eq!(state(&site, "off"), "running");
    site.asks(&["restart", "off"], 0);
    site.asks(&["stop", "off"], 0);
    assert_eq!(state(&site, "off"), "stopped");
    site.asks(&["start", "off"], 0);
    site.write("navigator.yml", &two.replace("name: off, command: sleep, args: [1h]", "name: off, command: sleep, args: [2h]"));
    site.asks(&["reload"], 0);
    navigator.wait("its end", |event| {
        event.is("Process stopped", "off") && event.field("reason").is_some_and(|reason| reason.starts_with("disabled"))
    });
    assert_eq!(state(&site, "off"), "stopped");
    navigator.ends();
}

#[test]
fn an_order_with_an_unknown_name_acts_on_none() {
    let site = Site::new();
    let navigator = site.start(
        "managed_processes:
  - { name: one, command: sleep, args: [1h], reload: { signal: HUP } }
  - { name: two, command: sleep, args: [1h] }
",
    );
    let pids = ["one", "two"].map(|name| navigator.started(name));
    let verbs: [&[&str]; 5] = [&["stop"], &["restart"], &["start"], &["signal", "TERM"], &["reload"]];
    for verb in verbs {
        let ended = site.asks(&[verb, &["one", "twoo", "two"]].concat(), 1);
        let lines = ended.stderr();
        assert!(lines.contains("twoo: no process `twoo` in the file; did you mean `two`?"), "{lines}");
        assert!(lines.contains("one: nothing was done, because there is no process `twoo`"), "{lines}");
    }
    site.asks(&["wait"], 0);
    assert_eq!(["one", "two"].map(|name| navigator.started(name)), pids);
    for message in ["Stopping process", "Process crashed", "Reloading process"] {
        assert_eq!(navigator.count(message, "one") + navigator.count(message, "two"), 0, "{message}");
    }
    navigator.ends();
}
