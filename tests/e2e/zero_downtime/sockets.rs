//! Held sockets as clients see them.

use super::load::Load;
use super::{rolling, targets, web};
use crate::harness::Site;

/// Clients of a process that was stopped are refused; they don't wait for a server that isn't to come.
#[test]
fn a_stop_by_hand_refuses_clients_at_once() {
    let site = Site::new();
    for target in targets(&site) {
        site.write("navigator.yml", &rolling(&target, 1, "", ""));
        let navigator = site.command(["navigator.yml"]).start();
        navigator.event("Process ready", "web");
        let load = Load::start(&target, false);
        site.asks(&["stop", "web"], 0);
        navigator.event("Socket closed", "web");
        let refused = target.ask().expect_err("there is no server");
        assert!(refused.starts_with("connecting: "), "{refused}");
        let figures = load.end();
        assert!(figures.failed.keys().any(|kind| kind.starts_with("connecting: ")), "{figures}");
        // A client that waited in the queue when the socket was closed had its connection reset. None timed out.
        assert!(figures.failed.keys().all(|kind| !kind.contains("timed out")), "{figures}");

        site.asks(&["start", "web"], 0);
        navigator.nth_event("Process ready", "web", 1);
        assert!(target.ask().is_ok_and(|answer| answer.starts_with("version 1 ")));
        navigator.ends();
    }
}

/// A wrapper that closes its descriptors starts a server that has none.
#[test]
fn a_process_that_keeps_none_of_its_sockets_is_warned_of() {
    let site = Site::new();
    let target = super::tcp();
    let text = web(&target, 1, "", "")
        .replace("${FIXTURES}/server.py", "sh")
        .replace("args: []", "args: [-c, 'exec 3<&-; . \"$FIXTURES/idle.sh\"; trap \"exit 0\" TERM; echo listening; idle']");
    let navigator = site.start(&text);
    navigator.event("Process ready", "web");
    navigator.wait("the warning", |event| event.is("Sockets not used", "web"));
    navigator.ends();
}
