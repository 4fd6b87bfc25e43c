//! A dependency that never becomes ready: only its dependents wait, and a save of the file fixes it.

use crate::harness::{Navigator, Signal, Site, ports};

/// `db` never becomes ready, `web` and `mail` depend on it, and the others don't.
fn configuration(ready: &str) -> String {
    format!(
        r"
defaults: {{ depends_on: [] }}
managed_processes:
  - name: db
    command: sleep
    args: [inf]
    ready: {ready}
  - name: web
    command: sleep
    args: [inf]
    depends_on: [db]
  - name: mail
    command: sleep
    args: [inf]
    depends_on: [web]
  - name: cache
    command: sleep
    args: [inf]
  - name: search
    command: sleep
    args: [inf]
    depends_on: [cache]
"
    )
}

/// Checks that independent processes run, and that the dependents wait.
fn assert_independent_processes_run(navigator: &Navigator<'_>) {
    navigator.started("db");
    navigator.started("cache");
    navigator.started("search");
    assert_eq!((navigator.count("Process started", "web"), navigator.count("Process started", "mail")), (0, 0));
}

/// Waits until `status` of a process contains this.
fn status_says(site: &Site, navigator: &Navigator<'_>, name: &str, expected: &str) {
    navigator.log().until(&format!("`{name}`: `{expected}` in the status"), || {
        let status = site.run(["status", name]).stdout();
        status.contains(expected).then_some(())
    });
}

#[test]
fn a_corrected_probe_starts_the_waiting_dependents() {
    let site = Site::new();
    let port = ports::free_port();
    let mut navigator = site.start(&configuration(&format!("{{tcp: \"127.0.0.1:{port}\"}}")));
    assert_independent_processes_run(&navigator);
    let db = navigator.started("db");
    status_says(&site, &navigator, "db", "not ready yet: connection refused");
    status_says(&site, &navigator, "web", "waits for db: not ready");
    status_says(&site, &navigator, "mail", "waits for web");
    // Independent processes can be added and removed meanwhile.
    site.write("navigator.yml", &configuration(&format!("{{tcp: \"127.0.0.1:{port}\"}}")).replace("search", "find"));
    navigator.started("find");
    navigator.event("Process stopped", "search");
    assert_eq!(navigator.count("Process started", "web"), 0);
    site.write("navigator.yml", &configuration("{exec: [\"true\"]}"));
    navigator.started("web");
    navigator.started("mail");
    assert_eq!(navigator.started("db"), db, "it was corrected in place");
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn a_process_that_missed_its_deadline_is_started_again_with_a_corrected_probe() {
    let site = Site::new();
    let port = ports::free_port();
    let mut navigator = site.start(&configuration(&format!("{{tcp: \"127.0.0.1:{port}\", deadline: 300ms}}")));
    assert_independent_processes_run(&navigator);
    let failed = navigator.event("Process failed", "db");
    assert_eq!(failed.field("reason"), Some("not ready within 300ms: connection refused"));
    status_says(&site, &navigator, "db", "failed");
    status_says(&site, &navigator, "web", "waits for db: failed");
    site.write("navigator.yml", &configuration("{exec: [\"true\"], deadline: 30s}"));
    let again = navigator.event_after(&failed, "Starting process", "db");
    assert_eq!(again.field("reason"), Some("ready changed"));
    navigator.started("mail");
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn shutdown_works_while_a_process_waits_for_its_dependency() {
    let site = Site::new();
    let port = ports::free_port();
    let mut navigator = site.start(&configuration(&format!("{{tcp: \"127.0.0.1:{port}\"}}")));
    assert_independent_processes_run(&navigator);
    navigator.signal(Signal::TERM);
    let ended = navigator.exits(0);
    for name in ["db", "cache", "search"] {
        ended.place("Process stopped", name);
    }
    assert!(!ended.events().iter().any(|event| event.is("Process started", "web")));
}
