//! `stop.drain`: the main process alone is asked to finish, and ended if it doesn't.

use crate::harness::Site;
use std::time::Duration;

/// Workers that would die of the signal don't get it.
#[test]
fn only_the_main_process_is_asked_to_drain() {
    let site = Site::new();
    let navigator = site.start(
        "managed_processes:\n  - {name: web, command: \"${FIXTURES}/prefork.sh\", stop: {drain: {signal: QUIT, timeout: 1m}}}\n",
    );
    navigator.journals("worker start");
    let ended = navigator.ends();
    assert_eq!(site.journal(), ["worker start", "worker finished", "main finished"], "{}", ended.description);
    assert_eq!(ended.events().iter().filter(|event| event.is("Process draining", "web")).count(), 1, "{}", ended.description);
}

/// Neither the drain nor TERM ends it: KILL does, each in its time.
#[test]
fn a_drain_that_never_ends_is_followed_by_term_and_kill() {
    let site = Site::new();
    site.script(
        "deaf.sh",
        "#!/bin/sh\n. \"$FIXTURES/idle.sh\"\ntrap 'echo QUIT' QUIT\ntrap 'echo TERM' TERM\necho listening\nidle\n",
    );
    let [drain, stop] = [Duration::from_millis(600), Duration::from_millis(400)];
    let navigator = site.start(
        "managed_processes:\n  - name: web\n    command: ./deaf.sh\n    ready: {log: listening}\n    \
         stop: {timeout: 400ms, drain: {signal: QUIT, timeout: 600ms}}\n",
    );
    navigator.event("Process ready", "web");
    let ended = navigator.ends();
    assert_eq!(ended.said("web"), ["listening", "QUIT", "TERM"], "{}", ended.description);
    let at = |message: &str| {
        let events = ended.events();
        let event = events.iter().find(|event| event.is(message, "web"));
        event.unwrap_or_else(|| panic!("no `{message}`\n{}", ended.description)).clone()
    };
    let (draining, stopped) = (at("Process draining"), at("Process stopped"));
    assert_eq!(stopped.field("signal"), Some("KILL"), "{}", ended.description);
    let took = stopped.at - draining.at;
    // Not before its time; how much later depends on the machine.
    assert!(took + Duration::from_millis(100) >= drain + stop, "{took:?}\n{}", ended.description);
}

/// A server announces with `STOPPING=1` that it drains, and fails if it can't. Puma does.
#[test]
fn a_process_that_is_stopped_can_still_send_notifications() {
    let site = Site::new();
    let send = "s.connect(os.environ['NOTIFY_SOCKET'])";
    site.script(
        "announcer.py",
        &format!(
            "#!/usr/bin/env python3\nimport os, signal, socket, sys\n\n\ndef send(text):\n    \
             with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:\n        {send}\n        s.send(text)\n\n\n\
             signal.signal(signal.SIGTERM, lambda *_: (send(b'STOPPING=1'), sys.exit(0)))\nsend(b'READY=1')\n\
             while True:\n    signal.pause()\n"
        ),
    );
    let navigator = site.start("managed_processes:\n  - {name: web, command: ./announcer.py, ready: {notify: true}}\n");
    navigator.event("Process ready", "web");
    let ended = navigator.ends();
    let stopped = ended.events().into_iter().find(|event| event.is("Process stopped", "web"));
    assert_eq!(stopped.and_then(|event| event.field("status").map(str::to_owned)).as_deref(), Some("0"), "{}", ended.description);
    assert!(!ended.events().iter().any(|event| event.message == "Process unready"), "{}", ended.description);
}
