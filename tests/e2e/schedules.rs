//! Tasks with a schedule: by hand, by their dates, across saves, and across a kill of navigator.

use crate::harness::{Navigator, Signal, Site, socket};
use crate::taken_over::kill;
use jiff::Timestamp;
use serde_json::Value;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// A task that writes its number of runs, and a service beside it.
fn tasks(schedule: &str, script: &str) -> String {
    format!(
        r"
managed_processes:
  - {{ name: sync, command: sh, args: [-c, '{script}'], type: task, schedule: {schedule} }}
  - {{ name: web, command: sleep, args: [1000] }}
"
    )
}

fn status(site: &Site, name: &str) -> Value {
    let status = socket::ask(site, "GET", "/v1/status", "").json();
    let processes = status["processes"].as_array().unwrap_or_else(|| panic!("{status}"));
    processes.iter().find(|process| process["name"] == name).cloned().unwrap_or_else(|| panic!("{status}"))
}

fn next_runs(site: &Site) -> Vec<Timestamp> {
    let status = status(site, "sync");
    let dates = status["next_runs"].as_array().unwrap_or_else(|| panic!("{status}"));
    dates.iter().map(|date| date.as_str().and_then(|date| date.parse().ok()).unwrap_or_else(|| panic!("{status}"))).collect()
}

fn ends(mut navigator: Navigator<'_>) {
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn a_task_runs_at_each_date_and_never_twice_at_a_time() {
    let site = Site::new();
    // It takes longer than its interval.
    let script = "mkdir running || echo both; sleep 0.3; rmdir running";
    let navigator = site.start(&tasks("{ every: 100ms }", script));
    let third = navigator.nth_event("Process exited", "sync", 2);
    assert_eq!(navigator.event("Starting process", "sync").field("reason"), Some("scheduled"));
    assert_eq!(navigator.count("Process started", "web"), 1);
    let runs = navigator.events().into_iter().filter(|event| event.is("Process started", "sync") && event.at <= third.at).count();
    assert_eq!(runs, 3);
    assert!(navigator.said("sync").is_empty(), "{:?}", navigator.said("sync"));
    ends(navigator);
}

#[test]
fn a_task_waits_for_its_date_and_status_says_when_that_is() {
    let site = Site::new();
    let before = Timestamp::now();
    let navigator = site.start(&tasks("'0 3 * * *'", "echo done"));
    navigator.started("web");
    site.asks(&["wait", "--timeout", "20s"], 0);
    let waiting = status(&site, "sync");
    assert_eq!((&waiting["state"], &waiting["as_wanted"]), (&"pending".into(), &true.into()), "{waiting}");
    assert!(waiting["waiting"].as_str().is_some_and(|waiting| waiting.starts_with("next run in ")), "{waiting}");
    let dates = next_runs(&site);
    assert_eq!(dates.len(), 3);
    assert!(before < dates[0] && dates.is_sorted(), "{dates:?}");
    let text = site.asks(&["status"], 0).stdout();
    assert!(text.contains("added to file; next run in "), "{text}");
    let json: Value = serde_json::from_str(&site.asks(&["status", "--json"], 0).stdout()).expect("it is JSON");
    assert_eq!(json["processes"][0]["next_runs"].as_array().map(Vec::len), Some(3), "{json}");
    // A save that leaves it as it is, and one that changes its schedule, start nothing.
    let generation = |number: &str| {
        navigator
            .wait("the reload", |event| event.message == "Configuration reloaded" && event.field("generation") == Some(number));
    };
    site.write("navigator.yml", &tasks("'0 3 * * *'", "echo done").replace("1000", "1001"));
    generation("2");
    site.write("navigator.yml", &tasks("'@yearly'", "echo done").replace("1000", "1001"));
    generation("3");
    assert!(next_runs(&site)[1].duration_since(next_runs(&site)[0]).as_hours() > 8_000);
    assert_eq!(navigator.count("Process started", "sync"), 0);
    // By hand it runs now.
    site.asks(&["start", "sync"], 0);
    navigator.event("Process exited", "sync");
    assert_eq!(status(&site, "sync")["state"], "completed");
    site.asks(&["stop", "sync"], 0);
    let stopped = status(&site, "sync");
    assert_eq!((&stopped["state"], stopped.get("next_runs")), (&"stopped".into(), None), "{stopped}");
    ends(navigator);
}

#[test]
fn a_failed_run_is_shown_until_the_next_date_succeeds() {
    let site = Site::new();
    let navigator = site.start(&tasks("{ every: 200ms }", "test -e mended"));
    navigator.nth_event("Process failed", "sync", 1);
    site.write("mended", "");
    let exited = navigator.event("Process exited", "sync");
    assert!(navigator.events().iter().all(|event| !event.is("Restarting process", "sync") || event.at > exited.at));
    ends(navigator);
}

#[test]
fn a_date_that_was_missed_while_navigator_was_away_is_made_up_for_once() {
    let site = Site::new();
    let navigator = site.start(&tasks("{ every: 3s }", "echo done"));
    navigator.event("Process exited", "sync");
    let missed = navigator.log().until("the next date", || {
        let (status, dates) = (status(&site, "sync"), next_runs(&site));
        (status["state"] == "completed" && dates[0] > Timestamp::now()).then(|| dates[0])
    });
    kill(navigator);
    // The date itself is the event: nothing is sent.
    let (_sender, never) = channel::<()>();
    while let Ok(left) = Duration::try_from(missed.duration_since(Timestamp::now())) {
        assert_eq!(never.recv_timeout(left + Duration::from_millis(1)), Err(RecvTimeoutError::Timeout));
    }
    let navigator = site.command(["navigator.yml"]).start();
    navigator.event("Process exited", "sync");
    assert_eq!(navigator.event("Starting process", "sync").field("reason"), Some("scheduled"));
    // The dates go on from the one that was missed.
    let next = next_runs(&site)[0];
    assert_eq!(next.duration_since(missed).as_millis() % 3_000, 0, "{missed} {next}");
    ends(navigator);
}
