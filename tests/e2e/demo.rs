//! The demonstration of the README does what it says it does.

use crate::harness::{Signal, Site};
use std::path::Path;

#[test]
fn the_demonstration_shows_what_it_promises() {
    let site = Site::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut navigator = site.command(["fixtures/demo/navigator.yml"]).in_directory(root).start();

    navigator.says("shop", |line| line == "Open for business");
    // The last thing of the start, with a command that fits this very run.
    let hint = navigator.says("welcome", |line| line.contains("kill -HUP"));
    assert!(hint.message.ends_with(&format!("kill -HUP {}", navigator.pid())), "{hint:?}");
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
