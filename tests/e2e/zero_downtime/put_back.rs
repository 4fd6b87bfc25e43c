//! An update that doesn't work is put back: the old run goes on, and no client notices.

use super::load::{Load, Target};
use super::{rolling, save, status, targets, tcp};
use crate::harness::entry::Event;
use crate::harness::{Navigator, Site, report};
use crate::secrets::files_below;
use std::time::{Duration, Instant};

/// A way for an update to be wrong.
struct Broken {
    /// The configuration with it, of this version.
    text: fn(&Target, u32) -> String,
    /// What the reason in the status has.
    reason: &'static str,
    /// When it has failed.
    fact: Fact,
}

/// When an update has failed: there is no doubt any more from then on.
enum Fact {
    /// It can't be started.
    Saved,
    /// The new run exits.
    Crashed,
    /// The deadline after the start of the new run is over.
    Deadline(Duration),
}

const BROKEN: [Broken; 6] = [
    Broken {
        text: |target, version| rolling(target, version, "", "").replace("${FIXTURES}/server.py", "./missing"),
        reason: "put back: command not found",
        fact: Fact::Saved,
    },
    Broken {
        text: |target, version| rolling(target, version, "--fail, '0'", ""),
        reason: "put back: exit status 1 before it was ready",
        fact: Fact::Crashed,
    },
    Broken {
        text: |target, version| rolling(target, version, "--fail, '1'", ""),
        reason: "put back: exit status 1 before it was ready",
        fact: Fact::Crashed,
    },
    Broken {
        text: |target, version| {
            rolling(target, version, "--never-accept", "").replace("{log: listening}", "{log: listening, deadline: 500ms}")
        },
        reason: "put back: not ready within 500ms",
        fact: Fact::Deadline(Duration::from_millis(500)),
    },
    Broken {
        text: |target, version| rolling(target, version, "", "working_dir: ./missing"),
        reason: "put back: ",
        fact: Fact::Saved,
    },
    Broken {
        text: |target, version| rolling(target, version, "", "user: no-such-user"),
        reason: "put back: ",
        fact: Fact::Saved,
    },
];

/// How many updates are tried on each address.
const UPDATES: usize = 20;

#[test]
fn twenty_broken_updates_are_put_back_and_no_request_fails() {
    let site = Site::new();
    for target in targets(&site) {
        site.write("navigator.yml", &rolling(&target, 1, "", ""));
        let navigator = site.command(["navigator.yml"]).start();
        let old = navigator.event("Process ready", "web").pid();
        let load = Load::start(&target, false);
        let mut longest = Duration::ZERO;
        for update in 0..UPDATES {
            let broken = &BROKEN[update % BROKEN.len()];
            let saved = Instant::now();
            save(&site, &navigator, &(broken.text)(&target, 2 + u32::try_from(update).expect("a small number")));
            let put_back = navigator.nth_event("Process put back", "web", update);
            let failed = match broken.fact {
                Fact::Saved => saved,
                Fact::Crashed => last_before(&navigator, &put_back, "Process crashed").at,
                Fact::Deadline(deadline) => last_before(&navigator, &put_back, "Process started").at + deadline,
            };
            longest = longest.max(put_back.at.saturating_duration_since(failed));
            stays(&site, &navigator, old, broken.reason);
        }
        let figures = load.end();
        report(&format!("put back at most {} ms after the fact; {figures}", longest.as_millis()));
        assert!(figures.failed.is_empty(), "{figures}\n{}", navigator.log().describe());
        assert!(figures.answered > 0, "{figures}");

        // Another file is tried, and takes over.
        let saved = save(&site, &navigator, &rolling(&target, 100, "", ""));
        let ready = navigator.event_after(&saved, "Process ready", "web");
        navigator.event_after(&ready, "Process stopped", "web");
        assert!(target.ask().is_ok_and(|answer| answer.starts_with("version 100 ")));
        navigator.ends();
    }
}

/// The newest event of this kind before this one.
#[track_caller]
fn last_before(navigator: &Navigator<'_>, event: &Event, message: &str) -> Event {
    let mut events = navigator.events().into_iter();
    let last = events.rfind(|other| other.index < event.index && other.is(message, "web"));
    last.unwrap_or_else(|| panic!("no `{message}` before {event:?}\n{}", navigator.log().describe()))
}

/// The old run serves on, and the status says why.
#[track_caller]
fn stays(site: &Site, navigator: &Navigator<'_>, old: u32, reason: &str) {
    let web = navigator.log().until("a status without the new run", || {
        let (all, web) = status(site);
        (all["converged"] == false && web["stale"] == true && web["runs"].as_array()?.len() == 1).then_some(web)
    });
    assert_eq!((&web["pid"], &web["state"], &web["ready"]), (&old.into(), &"running".into(), &true.into()), "{web}");
    assert!(web["reason"].as_str().is_some_and(|said| said.contains(reason)), "`{reason}` in {web}");
}

/// The old run would answer a probe of the address; that the new one doesn't accept is noticed all the same.
#[test]
fn a_new_run_that_never_accepts_is_put_back() {
    let site = Site::new();
    let target = tcp();
    let navigator = site.start(&rolling(&target, 1, "", ""));
    let old = navigator.event("Process ready", "web").pid();
    let load = Load::start(&target, false);
    let text = rolling(&target, 2, "--never-accept", "").replace("{log: listening}", "{log: listening, deadline: 500ms}");
    save(&site, &navigator, &text);
    navigator.event("Process put back", "web");
    stays(&site, &navigator, old, "not ready within 500ms");
    let figures = load.end();
    assert!(figures.failed.is_empty() && figures.answered > 0, "{figures}\n{}", navigator.log().describe());
    navigator.ends();
}

/// A process that crashes over and over is the clock of this test.
#[test]
fn a_definition_that_was_put_back_is_started_once() {
    let site = Site::new();
    let target = tcp();
    let clock = "  - {name: clock, command: 'false', restart: always, backoff: {initial: 100ms, factor: 1}}\n";
    let navigator = site.start(&(rolling(&target, 1, "", "") + clock));
    navigator.event("Process ready", "web");
    let text = rolling(&target, 2, "--never-accept", "").replace("{log: listening}", "{log: listening, deadline: 200ms}");
    save(&site, &navigator, &(text + clock));
    navigator.event("Process put back", "web");
    let ticks = navigator.count("Process crashed", "clock");
    navigator.nth_event("Process crashed", "clock", ticks + 20);
    assert_eq!(navigator.count("Starting process", "web"), 2, "{}", navigator.log().describe());
    // By hand it is tried again, once.
    site.run(["reload", "--retry"]);
    navigator.nth_event("Process put back", "web", 1);
    let ticks = navigator.count("Process crashed", "clock");
    navigator.nth_event("Process crashed", "clock", ticks + 5);
    assert_eq!(navigator.count("Starting process", "web"), 3, "{}", navigator.log().describe());
    navigator.ends();
}

/// The address of the new definition is used by a stranger: nothing is stopped for it.
#[test]
fn an_address_in_use_leaves_the_old_run_undisturbed() {
    let site = Site::new();
    let target = tcp();
    let stranger = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let taken = Target::Tcp(stranger.local_addr().expect("it is bound").port());
    for on_change in ["rolling", "restart"] {
        let text = |target: &Target, version| match on_change {
            "rolling" => rolling(target, version, "", ""),
            _ => super::web(target, version, "", ""),
        };
        let navigator = site.start(&text(&target, 1));
        let old = navigator.event("Process ready", "web").pid();
        let load = Load::start(&target, false);
        save(&site, &navigator, &text(&taken, 2));
        stays(&site, &navigator, old, &format!("can't listen on {taken}: address in use"));
        let figures = load.end();
        assert!(figures.failed.is_empty() && figures.answered > 0, "{figures}\n{}", navigator.log().describe());
        assert_eq!(navigator.count("Process started", "web"), 1, "{}", navigator.log().describe());
        navigator.ends();
    }
}

/// The old definition and the one that was put back may watch other files. Both are followed.
#[test]
fn the_files_of_both_definitions_are_followed_after_a_put_back() {
    let site = Site::new();
    let target = tcp();
    let watching = |version, file: &str| rolling(&target, version, "", &format!("watch: {file}\non_watch: restart"));
    let broken = watching(2, "new.txt")
        .replace("${FIXTURES}/server.py", "sh")
        .replace("args: []", r#"args: [-c, 'grep -q good new.txt && exec "$FIXTURES/server.py"']"#);
    site.write("old.txt", "1");
    site.write("new.txt", "bad");
    let navigator = site.start(&watching(1, "old.txt"));
    navigator.event("Process ready", "web");
    save(&site, &navigator, &broken);
    let put_back = navigator.event("Process put back", "web");

    site.write("old.txt", "2");
    let again = navigator.event_after(&put_back, "Starting process", "web");
    assert!(again.field("reason").is_some_and(|reason| reason.ends_with("old.txt changed")), "{again:?}");
    navigator.event_after(&again, "Process stopped", "web");
    assert!(target.ask().is_ok_and(|answer| answer.starts_with("version 1 ")));
    assert_eq!(navigator.count("Process put back", "web"), 1, "{}", navigator.log().describe());

    site.write("new.txt", "good");
    let again = navigator.event_after(&again, "Starting process", "web");
    navigator.event_after(&again, "Process stopped", "web");
    assert!(target.ask().is_ok_and(|answer| answer.starts_with("version 2 ")));
    // Only what is in the file counts from now on.
    let started = navigator.count("Starting process", "web");
    site.write("old.txt", "3");
    site.write("new.txt", "good, too");
    let changed = navigator.nth_event("Starting process", "web", started);
    assert!(changed.field("reason").is_some_and(|reason| reason.ends_with("new.txt changed")), "{changed:?}");
    navigator.ends();
}

/// What can't be started is named in the reason, unless it comes from the environment.
#[test]
fn the_reason_of_a_put_back_tells_no_secret() {
    let site = Site::new();
    let target = tcp();
    let text = |version, more: &str| rolling(&target, version, "", more);
    site.write("navigator.yml", &text(1, ""));
    let navigator = site.command(["navigator.yml"]).env("CANARY", "/dev/null/c4n4ry").start();
    navigator.event("Process ready", "web");
    let command = text(2, "").replace("${FIXTURES}/server.py", "${CANARY}/server.py");
    let directory = text(3, "working_dir: ${CANARY}");
    let socket = text(4, "").replace(&target.to_string(), "[ \"${CANARY}/web.sock\" ]");
    for (count, text) in [command, directory, socket].into_iter().enumerate() {
        save(&site, &navigator, &text);
        let put_back = navigator.nth_event("Process put back", "web", count);
        assert!(put_back.field("reason").is_some_and(|reason| reason.starts_with("put back: ")), "{put_back:?}");
    }
    let (all, _) = status(&site);
    let ended = navigator.ends();
    for text in [all.to_string(), ended.stdout(), ended.stderr(), files_below(&site.path("state"))] {
        assert!(!text.contains("c4n4ry"), "{text}");
    }
}
