//! The demonstration of the README does what it says it does.

use crate::harness::{Signal, Site, client, ports, servers};
use std::path::Path;
use std::process::Command;

#[test]
fn the_demonstration_shows_what_it_promises() {
    let site = Site::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut navigator =
        site.command(["fixtures/demo/navigator.yml"]).in_directory(root).env("PORT", ports::free_port().to_string()).start();

    navigator.says("shop", |line| line == "Open for business");
    // The last thing of the start.
    let hint = navigator.says("welcome", |line| line.contains("navigator reload"));
    assert!(navigator.event("Process started", "shop").index < hint.index, "the welcome comes last");

    let crash = navigator.event("Process crashed", "mailer");
    navigator.event_after(&crash, "Process started", "mailer");
    // What the file says now is what runs, so nothing is to be done.
    navigator.signal(Signal::HUP);
    navigator.wait("the verdict", |event| event.message == "Configuration unchanged");

    navigator.signal(Signal::INT);
    let ended = navigator.exits(130);
    assert!(ended.place("Process exited", "migration") < ended.place("Starting process", "shop"), "{}", ended.description);
    assert!(ended.place("Process stopped", "shop") < ended.place("Stopping process", "database"), "{}", ended.description);
    assert_eq!(ended.said("database").last().map(String::as_str), Some("closed"), "{}", ended.description);
}

/// The colour of its web server is changed, as its welcome says: every request is answered.
#[test]
fn the_web_server_of_the_demonstration_is_replaced_without_a_lost_request() {
    let site = Site::new();
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/demo");
    std::fs::create_dir(site.path("fixtures")).expect("the site can be written");
    client(Command::new("cp").arg("-r").arg(demo).arg(site.path("fixtures")));
    let port = ports::free_port();
    let navigator = site.command(["fixtures/demo/navigator.yml"]).env("PORT", port.to_string()).start();
    navigator.event("Process ready", "web");
    let ask = || servers::get(port, "/").unwrap_or_else(|| panic!("no answer\n{}", navigator.log().describe()));
    assert!(ask().starts_with("Welcome to the blue shop"));

    let changed = site.read("fixtures/demo/navigator.yml").replace("COLOUR: blue", "COLOUR: green");
    site.write("fixtures/demo/navigator.yml", &changed);
    while !ask().starts_with("Welcome to the green shop") {}
    navigator.event("Process stopped", "web");
    assert!(ask().starts_with("Welcome to the green shop"));
    navigator.ends();
}
