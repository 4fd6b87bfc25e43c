//! Real servers are replaced while sixteen clients ask without a pause: no request fails.
//!
//! `ROLLS=n` says how often the file is saved (10), and has every server of [`servers::SERVERS`] replaced instead of two;
//! `ROLLS_SERVER=name` has one. Each run prints what became of its requests.
#![expect(clippy::print_stdout, reason = "figures are for the reader of the test")]

#[path = "../e2e/harness/mod.rs"]
#[expect(dead_code, unused_imports, reason = "the end-to-end tests use the rest of it")]
mod harness;
mod load;
mod servers;

use harness::{Navigator, Site};
use load::{CLIENTS, Figures, Load, Target};
use servers::{SERVERS, Server, USUAL};
use std::time::Instant;

/// How often the file is saved.
const ROLLS: u32 = 10;

/// What differs between two runs of a server.
pub(crate) struct Run {
    rolling: bool,
    keep_alive: bool,
}

fn rolls() -> u32 {
    std::env::var("ROLLS").map_or(ROLLS, |rolls| rolls.parse().expect("`ROLLS` is a number"))
}

/// The servers of this run that are installed; one that isn't is said to be skipped.
fn servers(test: &str) -> impl Iterator<Item = &'static Server> {
    let only = std::env::var("ROLLS_SERVER").ok();
    let is_wanted = move |server: &&Server| match &only {
        Some(only) => server.name == only,
        None => std::env::var_os("ROLLS").is_some() || USUAL.contains(&server.name),
    };
    SERVERS.iter().filter(is_wanted).filter(move |server| harness::servers::present(test, server.programs))
}

/// A TCP port and a path, for one run each.
fn targets(site: &Site) -> [Target; 2] {
    [Target::Tcp(harness::ports::free_port()), Target::Unix(site.path("web.sock"))]
}

/// Saves the file over and over while clients ask.
#[track_caller]
fn replace(server: &Server, site: &Site, target: &Target, run: &Run) -> Figures {
    let rolls = rolls();
    save(site, &server.configuration(site, target, 1, run));
    let navigator = site.command(["navigator.yml"]).start();
    navigator.event("Process ready", "web");
    let load = Load::start(target, run.keep_alive);
    let begun = Instant::now();
    for version in 2..=rolls + 1 {
        load.expect(version);
        save(site, &server.configuration(site, target, version, run));
        accepted(&navigator, version);
        // Its answer comes when the file is in force: `wait` alone could see the time before.
        site.asks(&["reload"], 0);
        site.asks(&["wait"], 0);
        navigator.nth_event("Process stopped", "web", usize::try_from(version).expect("a small number") - 2);
        let answer = target.ask().unwrap_or_else(|error| panic!("{error}\n{}", navigator.log().describe()));
        assert_eq!(answer, format!("version {version}"), "{}", navigator.log().describe());
        assert!(load.has_answered(server.answers), "{}", navigator.log().describe());
    }
    let took = begun.elapsed() / rolls;
    let figures = load.end();
    let mode = if run.rolling { "rolling" } else { "restart" };
    let clients = if run.keep_alive { "keep-alive" } else { "new connections" };
    println!("{} {mode} {clients} {target}: {rolls} saves of {} ms, {figures}", server.name, took.as_millis());
    let most = if server.drops_unread { u64::from(rolls) * CLIENTS } else { 0 };
    assert!(figures.failures() <= most, "{figures}\n{}", navigator.log().describe());
    assert_eq!(navigator.count("Process put back", "web"), 0, "{}", navigator.log().describe());
    navigator.ends();
    figures
}

/// Waits until the file with this version is in force.
#[track_caller]
fn accepted(navigator: &Navigator<'_>, version: u32) {
    let version = version.to_string();
    navigator.wait("the verdict on the file", |event| {
        event.message == "Configuration reloaded" && event.field("generation") == Some(&version)
    });
}

/// Whether clients keep their connections: by hand only, because servers may lose a request on a kept connection as they stop.
fn keep_alive() -> bool {
    std::env::var_os("ROLLS_KEEP_ALIVE").is_some()
}

/// Renames a new file into place.
fn save(site: &Site, text: &str) {
    let new = site.write("navigator.yml.new", text);
    std::fs::rename(new, site.path("navigator.yml")).expect("it is on the same file system");
}

#[test]
fn no_request_fails_while_a_new_run_starts_beside_the_old_one() {
    for server in servers("rolls::no_request_fails_while_a_new_run_starts_beside_the_old_one") {
        let site = Site::new();
        for target in targets(&site) {
            replace(server, &site, &target, &Run { rolling: true, keep_alive: keep_alive() });
        }
    }
}

/// Clients wait in the queue of the held socket.
#[test]
fn no_request_fails_while_the_server_is_restarted() {
    for server in servers("rolls::no_request_fails_while_the_server_is_restarted") {
        let site = Site::new();
        for target in targets(&site) {
            replace(server, &site, &target, &Run { rolling: false, keep_alive: keep_alive() });
        }
    }
}
