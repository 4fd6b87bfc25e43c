//! Questions that come early: before the socket is there, before a save was seen, before what was left is gone.

use crate::harness::{Signal, Site, servers};
use serde_json::Value;

const ONE: &str = "managed_processes:\n  - { name: web, command: \"${FIXTURES}/child.sh\", args: [web] }\n";

/// A navigator whose socket comes late: it is held at its making, with the lock in its hands.
#[test]
fn a_client_waits_for_the_socket_of_a_navigator_that_is_starting() {
    let test = "control::early::a_client_waits_for_the_socket_of_a_navigator_that_is_starting";
    let probe = ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", "inject=bind:delay_enter=1000", "true"];
    if !servers::present(test, &["strace"]) || !servers::permitted(test, &probe) {
        return;
    }
    let site = Site::new();
    site.write("navigator.yml", ONE);
    let late = ["-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=bind", "-e", "inject=bind:delay_enter=700000"];
    let navigator = site.command_through("strace", &late, &["navigator.yml"]).start();
    let has_lock = || {
        let entries = std::fs::read_dir(site.path("state")).ok()?;
        entries.flatten().any(|entry| entry.path().join("lock").exists()).then_some(())
    };
    navigator.log().until("the lock", has_lock);
    let status = site.run(["status", "web"]);
    assert!(matches!(status.code, Some(0 | 3)), "{}", status.description);
    navigator.started("web");
    let waited = site.run(["wait"]);
    assert_eq!(waited.code, Some(0), "{}", waited.description);
    navigator.ends();
    // One that has ended is not waited for.
    assert_eq!(site.run(["status"]).code, Some(4));
}

#[test]
fn who_waits_right_after_a_save_waits_for_what_was_saved() {
    let site = Site::new();
    let navigator = site.start(ONE);
    navigator.started("web");
    for round in 1..=5 {
        // In place, so that it has to be quiet for a while before it is read.
        site.write("navigator.yml", &ONE.replace("[web]", &format!("[web, \"{round}\"]")));
        assert_eq!(site.run(["wait"]).code, Some(0));
        let status: Value = serde_json::from_str(&site.run(["status", "--json"]).stdout()).expect("it is JSON");
        assert_eq!(status["generation"], round + 1, "it answered before the save was looked at");
    }
    site.write("navigator.yml", "managed_processes: [{ name: web }]\n");
    let waited = site.run(["wait", "--timeout", "300ms"]);
    assert_eq!(waited.code, Some(3), "{}", waited.description);
    navigator.ends();
}

#[test]
fn while_what_was_left_is_being_stopped_status_says_so() {
    let site = Site::new();
    let stubborn = "managed_processes:
  - { name: stubborn, command: sh, args: [-c, 'trap \"\" TERM; echo here; while :; do sleep 1; done'], stop: { timeout: 1h } }
  - { name: other, command: sleep, args: [1h] }
";
    let mut first = site.start(stubborn);
    first.log().until("its line", || (!first.said("stubborn").is_empty()).then_some(()));
    let left = first.started("stubborn");
    first.signal(Signal::KILL);
    first.ended();
    let navigator = site.command(["navigator.yml", "--fresh"]).start();
    navigator.wait("the stop of what was left", |event| event.is("Stopping process", "stubborn"));
    let status = site.run(["status", "--json"]);
    assert_eq!(status.code, Some(3), "{}", status.description);
    let status: Value = serde_json::from_str(&status.stdout()).expect("it is JSON");
    assert_eq!((&status["converged"], &status["generation"]), (&Value::Bool(false), &Value::from(0)));
    let processes = status["processes"].as_array().expect("a list");
    let shown = |name: &str| processes.iter().find(|process| process["name"] == name).expect("it is in the file");
    let stubborn = shown("stubborn");
    assert_eq!((stubborn["state"].as_str(), stubborn["pid"].as_u64()), (Some("stopping"), Some(left.into())));
    assert_eq!(stubborn["reason"], "left by a navigator that was killed");
    assert_eq!(shown("other")["state"], "pending");
    let text = site.run(["status", "other"]).stdout();
    assert!(text.contains("waits for processes left by a killed navigator to end"), "{text}");
    let mut navigator = navigator;
    // It kills what doesn't end. (Two of `INT` may come as one: signals of a kind don't queue.)
    navigator.signal(Signal::QUIT);
    navigator.exits(130);
}

#[test]
fn a_change_that_is_seen_and_not_in_force_yet_is_not_converged() {
    let site = Site::new();
    let navigator = site.start(ONE);
    navigator.started("web");
    site.asks(&["status"], 0);
    // Held open, so that it isn't read before it is closed.
    let path = site.path("navigator.yml");
    let mut file = std::fs::File::create(&path).expect("it is ours");
    std::io::Write::write_all(&mut file, ONE.replace("[web]", "[web, new]").as_bytes()).expect("it is ours");
    navigator.log().until("the change is seen", || (site.run(["status"]).code == Some(3)).then_some(()));
    let text = site.asks(&["status", "web"], 3).stdout();
    assert!(text.contains("changed a moment ago: not in force yet"), "{text}");
    let waiting = site.command(["wait"]).start();
    drop(file);
    assert_eq!(waiting.ended().code, Some(0));
    let status: Value = serde_json::from_str(&site.asks(&["status", "--json"], 0).stdout()).expect("it is JSON");
    assert_eq!(status["generation"], 2);
    navigator.ends();
}
