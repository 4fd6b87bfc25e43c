//! Several replicas of one definition: they share a socket, and are replaced so that enough of them serve all the time.

use super::load::Load;
use super::{rolling, save, tcp};
use crate::harness::{Navigator, Site, ports, socket};
use serde_json::Value;
use std::collections::BTreeSet;

/// The processes of a status, by name.
fn processes(site: &Site) -> Vec<(String, Value)> {
    let status = socket::ask(site, "GET", "/v1/status", "").json();
    let processes = status["processes"].as_array().expect("a list").clone();
    processes.into_iter().map(|process| (process["name"].as_str().expect("a name").to_owned(), process)).collect()
}

/// A navigator with this file, once all is as it says.
fn serving<'s>(site: &'s Site, text: &str) -> Navigator<'s> {
    let navigator = site.start(text);
    navigator.event("Process ready", "web:1");
    site.asks(&["wait", "web"], 0);
    navigator
}

/// The names with their pids, for those that run.
fn pids(site: &Site) -> BTreeSet<(String, u64)> {
    let running = processes(site).into_iter().filter_map(|(name, process)| Some((name, process["pid"].as_u64()?)));
    running.collect()
}

/// How few were ready and how many ran at any moment since they were all ready for the first time.
fn fewest_and_most(navigator: &Navigator<'_>, replicas: usize) -> (usize, usize) {
    let (mut running, mut ready) = (BTreeSet::new(), BTreeSet::new());
    let (mut fewest, mut most) = (replicas, 0);
    let mut is_complete = false;
    for event in navigator.events() {
        let Some(pid) = event.field("pid").map(str::to_owned) else { continue };
        match event.message.as_str() {
            "Process started" => drop(running.insert(pid)),
            "Process ready" => drop(ready.insert(pid)),
            "Stopping process" => drop(ready.remove(&pid)),
            "Process stopped" => drop(running.remove(&pid)),
            _ => {}
        }
        is_complete |= ready.len() == replicas;
        most = most.max(running.len());
        if is_complete {
            fewest = fewest.min(ready.len());
        }
    }
    (fewest, most)
}

#[test]
fn four_replicas_are_replaced_one_at_a_time_and_no_request_fails() {
    let site = Site::new();
    let target = tcp();
    let text = |version| rolling(&target, version, "", "replicas: 4");
    let navigator = serving(&site, &text(1));
    let load = Load::start(&target, false);
    for version in 2..=4 {
        load.expect(version);
        save(&site, &navigator, &text(version));
        site.asks(&["wait"], 0);
        assert!(load.has_answered(1), "{}", navigator.log().describe());
    }
    site.asks(&["restart", "web"], 0);
    let figures = load.end();
    assert_eq!(figures.failures(), 0, "{figures}\n{}", navigator.log().describe());
    let ready = || navigator.events().iter().filter(|event| event.message == "Process ready").count();
    navigator.log().until("five times four replicas", || (ready() == 4 * 5).then_some(()));
    assert_eq!(fewest_and_most(&navigator, 4), (4, 5), "{}", navigator.log().describe());
    navigator.ends();
}

#[test]
fn without_surge_one_at_a_time_is_stopped_first() {
    let site = Site::new();
    let target = tcp();
    let text = |version| {
        let all = rolling(&target, version, "", "replicas: 4");
        all.replace("{stable: 50ms}", "{stable: 50ms, surge: 0}")
    };
    let navigator = serving(&site, &text(1));
    let load = Load::start(&target, false);
    load.expect(2);
    save(&site, &navigator, &text(2));
    site.asks(&["wait"], 0);
    assert_eq!(load.end().failures(), 0, "{}", navigator.log().describe());
    assert_eq!(fewest_and_most(&navigator, 4), (3, 4), "{}", navigator.log().describe());
    navigator.ends();
}

#[test]
fn another_number_of_replicas_touches_no_other_and_a_name_means_all() {
    let site = Site::new();
    let target = tcp();
    let text = |count| rolling(&target, 1, "", &format!("replicas: {count}"));
    let navigator = serving(&site, &text(4));
    let four = pids(&site);
    assert_eq!(four.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["web:1", "web:2", "web:3", "web:4"]);
    save(&site, &navigator, &text(6));
    site.asks(&["wait"], 0);
    assert!(pids(&site).len() == 6 && pids(&site).is_superset(&four), "{}", navigator.log().describe());
    save(&site, &navigator, &text(2));
    site.asks(&["wait"], 0);
    let two = pids(&site);
    assert!(two.len() == 2 && two.is_subset(&four), "{}", navigator.log().describe());
    assert_eq!(processes(&site)[1].1["replica"], 2);

    site.asks(&["stop", "web:2"], 0);
    assert_eq!(pids(&site).len(), 1);
    site.asks(&["stop", "web"], 0);
    assert_eq!(pids(&site).len(), 0);
    assert!(target.ask().is_err(), "the socket is closed");
    site.asks(&["start", "web"], 0);
    assert!(target.ask().is_ok());
    let lines = site.asks(&["logs", "web"], 0);
    for name in ["web:1", "web:2"] {
        assert!(lines.stdout().contains(&format!("[{name}.stdout] listening")), "{}", lines.stdout());
    }
    let status = site.asks(&["status", "web"], 0).stdout();
    assert!(status.contains("web:1") && status.contains("web:2"), "{status}");
    let unknown = site.asks(&["restart", "wep"], 1);
    assert!(unknown.stderr().contains("no process `wep` in the file"), "{}", unknown.stderr());
    navigator.ends();
}

#[test]
fn one_that_is_put_back_takes_the_finished_ones_back() {
    let site = Site::new();
    let target = tcp();
    let text = |version| rolling(&target, version, "", "replicas: 3");
    // The second version works for the first replica alone.
    let broken = text(2)
        .replace("${FIXTURES}/server.py", "sh")
        .replace("args: []", r#"args: [-c, 'test "$NAVIGATOR_REPLICA" != 2 || exit 1; exec "$FIXTURES/server.py"']"#);
    let navigator = serving(&site, &text(1));
    let before = pids(&site);
    let load = Load::start(&target, false);
    // For a while both serve.
    load.expect(2);
    save(&site, &navigator, &broken);
    let waited = site.asks(&["wait"], 3);
    assert!(waited.stderr().contains("put back: exit status 1 before it was ready"), "{}", waited.stderr());
    for name in ["web:1", "web:2", "web:3"] {
        navigator.event("Process put back", name);
    }
    // The first one runs the former version again.
    let is_over = || (navigator.count("Process stopped", "web:1") == 2).then_some(());
    navigator.log().until("another replacement of the first one", is_over);
    let figures = load.end();
    assert_eq!(figures.failures(), 0, "{figures}\n{}", navigator.log().describe());
    let now = pids(&site);
    assert_eq!(before.intersection(&now).count(), 2, "{before:?} {now:?}\n{}", navigator.log().describe());
    for (name, process) in processes(&site) {
        assert_eq!(process["stale"], true, "{name}: {process}");
        assert_eq!(navigator.count("Process put back", &name), 1, "{}", navigator.log().describe());
    }
    let answers: BTreeSet<String> = (0..20).filter_map(|_| target.ask().ok()?.split(' ').nth(1).map(str::to_owned)).collect();
    assert_eq!(answers, BTreeSet::from(["1".to_owned()]));
    navigator.ends();
}

/// A server that binds a port of its own.
fn with_own_port(port: &str, release: u32, more: &str) -> String {
    format!(
        r#"
managed_processes:
  - name: web
    command: python3
    args:
      - -c
      - |-
        import os, socket, time
        server = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
        print("listening", flush=True)
        time.sleep(3600)
    env: {{ PORT: "{port}", RELEASE: '{release}' }}
    ready: {{ log: listening }}
    on_change: rolling
{more}
"#
    )
}

#[test]
fn a_replica_that_needs_the_port_of_its_former_run_is_put_back_with_the_way_out() {
    let site = Site::new();
    let base = ports::free_port() / 10;
    let port = format!("{base}${{NAVIGATOR_REPLICA}}");
    let text = |release, surge| {
        with_own_port(&port, release, &format!("    replicas: 2\n    rolling: {{stable: 50ms, surge: {surge}}}"))
    };
    let navigator = serving(&site, &text(1, 1));
    let before = pids(&site);
    save(&site, &navigator, &text(2, 1));
    let waited = site.asks(&["wait"], 3);
    let put_back = navigator.event("Process put back", "web:1");
    let reason = put_back.field("reason").expect("it has one");
    let hint = format!(
        "put back: exit status 1 before it was ready (generation 2); the old run has bound 127.0.0.1:{base}1: if the new one needs that \
         too, write `rolling: {{surge: 0}}`"
    );
    assert_eq!(reason, hint);
    assert!(waited.stderr().replace('\n', " ").contains("write `rolling: {surge: 0}`"), "{}", waited.stderr());
    assert_eq!(pids(&site), before, "{}", navigator.log().describe());

    // As the reason says.
    save(&site, &navigator, &text(2, 0));
    site.asks(&["wait"], 0);
    assert!(pids(&site).is_disjoint(&before));
    navigator.ends();
}

#[test]
fn a_program_that_binds_its_own_port_is_put_back_with_the_way_out() {
    let site = Site::new();
    let port = ports::free_port().to_string();
    // That it rolls is known only later.
    let navigator = serving_alone(&site, &with_own_port(&port, 1, "").replace("on_change: rolling", "on_change: restart"));
    save(&site, &navigator, &with_own_port(&port, 1, ""));
    let reason = |release: u32| {
        save(&site, &navigator, &with_own_port(&port, release, ""));
        let put_back = navigator.nth_event("Process put back", "web", usize::try_from(release).expect("a small number") - 2);
        put_back.field("reason").map(str::to_owned).expect("it has one")
    };
    let hint =
        format!("; the old run has bound 127.0.0.1:{port}: if the new one needs that too, let navigator hold it by `listen`");
    // Where it listens is being found out during the first of these.
    let mut reasons = (2..20).map(reason);
    assert!(reasons.any(|reason| reason.ends_with(&hint)), "{}", navigator.log().describe());
    navigator.ends();
}

fn serving_alone<'s>(site: &'s Site, text: &str) -> Navigator<'s> {
    let navigator = site.start(text);
    navigator.event("Process ready", "web");
    navigator
}
