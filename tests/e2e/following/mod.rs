//! Following a Git repository.

mod by_hand;
mod commits;
mod references;
mod troubles;

use crate::harness::{Navigator, Repository, Site};
use serde_json::Value;
use std::path::PathBuf;

/// A configuration with a process `web` that sleeps for this many seconds.
fn sleeps(seconds: u32) -> String {
    format!("managed_processes:\n  - {{ name: web, command: sleep, args: [\"{seconds}\"] }}\n")
}

/// The host's own file: follows `main` of a repository, with these further keys of `source.git`.
fn follows(repository: &Repository<'_>, keys: &str) -> String {
    format!("source:\n  git: {{ url: {}, interval: 1h{keys} }}\n", repository.url())
}

/// The state of the source.
fn source(site: &Site) -> Value {
    let shown = site.run(["status", "--json"]).stdout();
    let status: Value = serde_json::from_str(&shown).unwrap_or_else(|error| panic!("{error}: {shown}"));
    status["source"].clone()
}

/// The id of the commit in force.
fn in_force(site: &Site) -> String {
    source(site)["in_force"]["commit"].as_str().unwrap_or_default().to_owned()
}

/// The data directory of the only instance.
fn data(site: &Site) -> PathBuf {
    let mut instances = std::fs::read_dir(site.path("data")).expect("it is there");
    instances.next().expect("there is one instance").expect("it can be read").path()
}

/// The status of a condition, and its reason.
fn condition(source: &Value, kind: &str) -> (String, String) {
    let conditions = source["conditions"].as_array().expect("a list");
    let found = conditions.iter().find(|condition| condition["type"] == kind).expect("each condition is there");
    let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
    (text("status"), text("reason"))
}

/// Waits for a log line about a commit.
fn waits_for(navigator: &Navigator<'_>, message: &str, commit: &str) {
    navigator.wait(message, |event| event.message == message && event.field("commit") == Some(commit));
}
