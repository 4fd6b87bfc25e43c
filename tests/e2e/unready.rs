//! A dependency that never gets ready: whoever waits for it waits, nobody else does, and the file alone mends it.

use crate::harness::{Navigator, Signal, Site, servers};

/// A server that nothing answers for, who waits for it, and who has nothing to do with that.
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

/// Those who have nothing to do with it run, and those who wait don't.
fn is_partly_up(navigator: &Navigator<'_>) {
    navigator.started("db");
    navigator.started("cache");
    navigator.started("search");
    assert_eq!((navigator.count("Process started", "web"), navigator.count("Process started", "mail")), (0, 0));
}

/// What `status` says of a process, once it says this.
fn status_says(site: &Site, navigator: &Navigator<'_>, name: &str, expected: &str) {
    navigator.log().until(&format!("`{name}`: `{expected}` in the status"), || {
        let status = site.run(["status", name]).stdout();
        status.contains(expected).then_some(())
    });
}

#[test]
fn a_corrected_probe_leads_on_who_waits_for_it() {
    let site = Site::new();
    let port = servers::free_port();
    let mut navigator = site.start(&configuration(&format!("{{tcp: \"127.0.0.1:{port}\"}}")));
    is_partly_up(&navigator);
    let db = navigator.started("db");
    status_says(&site, &navigator, "db", "not ready yet: connection refused");
    status_says(&site, &navigator, "web", "waits for db: not ready");
    status_says(&site, &navigator, "mail", "waits for web");
    // What is not concerned can be changed, and removed, meanwhile.
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
fn what_failed_its_deadline_is_tried_again_with_a_corrected_probe() {
    let site = Site::new();
    let port = servers::free_port();
    let mut navigator = site.start(&configuration(&format!("{{tcp: \"127.0.0.1:{port}\", deadline: 300ms}}")));
    is_partly_up(&navigator);
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
fn everything_stops_while_somebody_waits() {
    let site = Site::new();
    let port = servers::free_port();
    let mut navigator = site.start(&configuration(&format!("{{tcp: \"127.0.0.1:{port}\"}}")));
    is_partly_up(&navigator);
    navigator.signal(Signal::TERM);
    let ended = navigator.exits(0);
    for name in ["db", "cache", "search"] {
        ended.place("Process stopped", name);
    }
    assert!(!ended.events().iter().any(|event| event.is("Process started", "web")));
}
