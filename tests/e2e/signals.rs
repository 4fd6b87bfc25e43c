//! Signals to navigator, and what they mean for its processes: shutdown, gentle and not, and the whole tree of each.

use crate::harness::{Navigator, Signal, Site, open_terminal, report, socket};
use std::fs;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// One process that takes no notice of TERM, and is killed after `timeout`.
fn deaf(timeout: &str) -> String {
    format!(
        r"
managed_processes:
  - name: deaf
    command: ${{FIXTURES}}/child.sh
    args: [deaf]
    env: {{ IGNORE: TERM }}
    stop: {{ timeout: {timeout} }}
"
    )
}

/// One process that stops when it is asked to.
const WILLING: &str = r#"
managed_processes:
  - { name: willing, command: "${FIXTURES}/child.sh", args: [willing] }
"#;

/// Well under every timeout that a test of "at once" gives to its processes.
const AT_ONCE: Duration = Duration::from_secs(20);

/// The kernel takes longer to let go of whoever watches files than all else takes that navigator does at its end.
#[test]
fn whoever_ends_watches_no_files_any_more() {
    let site = Site::new();
    let mut navigator = site.start(&deaf("1h"));
    navigator.journals("deaf start");
    let descriptors = format!("/proc/{}/fd", navigator.pid());
    let watches_files = || {
        let links = fs::read_dir(&descriptors).expect("it runs").filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        links.into_iter().any(|link| link.to_string_lossy().ends_with("inotify"))
    };
    assert!(watches_files());
    navigator.signal(Signal::TERM);
    navigator.journals("deaf ignored");
    navigator.log().until("files are let go of", || (!watches_files()).then_some(()));
    let status = socket::ask(&site, "GET", "/v1/status", "").json();
    assert_eq!(status["config"]["watch"], "off");
    navigator.signal(Signal::QUIT);
    navigator.exits(130);
}

#[test]
fn term_exits_0_also_where_something_had_to_be_killed() {
    let site = Site::new();
    let mut navigator = site.start(&deaf("700ms"));
    navigator.journals("deaf start");
    let begun = Instant::now();
    navigator.signal(Signal::TERM);
    let ended = navigator.exits(0);
    assert!(ended.at - begun >= Duration::from_millis(700), "killed only after its time\n{}", ended.description);
    assert_eq!(site.journal(), ["deaf start", "deaf ignored"]);
    let stopped = ended.events().into_iter().find(|event| event.is("Process stopped", "deaf"));
    assert_eq!(stopped.as_ref().and_then(|event| event.field("signal")), Some("KILL"), "{}", ended.description);
    let at = |message: &str| {
        let event = ended.events().into_iter().find(|event| event.is(message, "deaf"));
        event.unwrap_or_else(|| panic!("`{message}`\n{}", ended.description)).at
    };
    let (told, killed) = (at("Stopping process"), at("Killing process"));
    report(&format!("killed {:?} after it was told to stop, and its timeout is 700ms", killed - told));
    assert!(killed - told < AT_ONCE, "{}", ended.description);
}

#[test]
fn int_stops_gently_and_exits_130() {
    let site = Site::new();
    let mut navigator = site.start(WILLING);
    navigator.journals("willing start");
    navigator.signal(Signal::INT);
    navigator.exits(130);
    assert_eq!(site.journal(), ["willing start", "willing term", "willing exit"]);
}

#[test]
fn a_second_int_kills_everything_at_once() {
    let site = Site::new();
    let mut navigator = site.start(&deaf("1h"));
    navigator.journals("deaf start");
    navigator.signal(Signal::INT);
    navigator.journals("deaf ignored");
    let begun = Instant::now();
    // INTs within half a second of the first are the same one.
    while navigator.is_running() {
        navigator.signal(Signal::INT);
    }
    let ended = navigator.exits(130);
    report(&format!("all was over {:?} after the second INT", ended.at - begun));
    assert!(ended.at - begun < AT_ONCE, "{}", ended.description);
}

#[test]
fn one_int_that_comes_twice_stops_gently() {
    let site = Site::new();
    let mut navigator = site.start(WILLING);
    navigator.journals("willing start");
    navigator.signal(Signal::INT);
    navigator.signal(Signal::INT);
    navigator.exits(130);
    assert_eq!(site.journal(), ["willing start", "willing term", "willing exit"]);
}

/// The signals without an effect of their own, apart from those for job control and of faults.
fn others() -> Vec<i32> {
    let named = [
        libc::SIGUSR1,
        libc::SIGALRM,
        libc::SIGSTKFLT,
        libc::SIGXCPU,
        libc::SIGVTALRM,
        libc::SIGPROF,
        libc::SIGPOLL,
        libc::SIGPWR,
    ];
    named.into_iter().chain(libc::SIGRTMIN()..=libc::SIGRTMAX()).collect()
}

#[test]
fn every_other_signal_is_logged_and_ignored() {
    let site = Site::new();
    let navigator = site.start(WILLING);
    navigator.journals("willing start");
    for number in others() {
        let name = navigator::signals::name(number).0;
        navigator.send_number(number);
        navigator.wait(name, |event| event.message == "Ignored signal" && event.field("signal") == Some(name));
    }
    // Those that are ignored by default or reserved, those of a write that fails, and that of children.
    let (reserved, quiet) = (32..libc::SIGRTMIN(), [libc::SIGPIPE, libc::SIGXFSZ, libc::SIGURG, libc::SIGWINCH, libc::SIGCONT]);
    for number in reserved.chain(quiet).chain([libc::SIGCHLD]) {
        navigator.send_number(number);
    }
    navigator.ends();
    assert_eq!(site.journal(), ["willing start", "willing term", "willing exit"]);
}

#[test]
fn a_suspended_navigator_goes_on_where_it_was() {
    let site = Site::new();
    let navigator = site.start(WILLING);
    navigator.journals("willing start");
    for number in [libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU, libc::SIGSTOP] {
        navigator.send_number(number);
        navigator.send_number(libc::SIGCONT);
    }
    navigator.ends();
    assert_eq!(site.journal(), ["willing start", "willing term", "willing exit"]);
}

/// A run in a session of its own, with a terminal that closes when the descriptor is dropped.
fn with_terminal<'s>(site: &'s Site, arguments: &[&str]) -> (Navigator<'s>, OwnedFd) {
    site.write("navigator.yml", WILLING);
    let (terminal, master) = open_terminal(80);
    let navigator = site.command_through("setsid", arguments, &["navigator.yml"]).with_stdin(terminal).start();
    navigator.journals("willing start");
    (navigator, master)
}

#[test]
fn closing_the_terminal_is_a_shutdown() {
    let site = Site::new();
    let (navigator, master) = with_terminal(&site, &["--ctty"]);
    drop(master);
    let ended = navigator.exits(0);
    assert!(ended.events().iter().any(|event| event.message == "Shutting down"), "{}", ended.description);
    assert_eq!(site.journal(), ["willing start", "willing term", "willing exit"]);
}

#[test]
fn hup_reloads_while_the_terminal_is_open_and_under_nohup() {
    let site = Site::new();
    let (mut navigator, master) = with_terminal(&site, &["--ctty"]);
    navigator.signal(Signal::HUP);
    navigator.wait("a reload", |event| event.message == "Configuration unchanged");
    drop(master);
    navigator.exits(0);
    let site = Site::new();
    let (navigator, master) = with_terminal(&site, &["--ctty", "nohup"]);
    drop(master);
    navigator.wait("a reload", |event| event.message == "Configuration unchanged");
    navigator.ends();
}

#[test]
fn quit_kills_everything_at_once_and_exits_130() {
    let site = Site::new();
    let mut navigator = site.start(WILLING);
    navigator.journals("willing start");
    navigator.signal(Signal::QUIT);
    navigator.exits(130);
    assert_eq!(site.journal(), ["willing start"], "nobody was asked");
}

#[test]
fn quit_cuts_a_gentle_shutdown_short() {
    let site = Site::new();
    let mut navigator = site.start(&deaf("1h"));
    navigator.journals("deaf start");
    navigator.signal(Signal::TERM);
    navigator.journals("deaf ignored");
    let begun = Instant::now();
    navigator.signal(Signal::QUIT);
    let ended = navigator.exits(130);
    assert!(ended.at - begun < AT_ONCE, "{}", ended.description);
}

#[test]
fn a_repeated_term_changes_nothing() {
    let site = Site::new();
    let mut navigator = site.start(&deaf("1500ms"));
    navigator.journals("deaf start");
    let begun = Instant::now();
    navigator.signal(Signal::TERM);
    navigator.journals("deaf ignored");
    navigator.signal(Signal::TERM);
    navigator.signal(Signal::TERM);
    let ended = navigator.exits(0);
    assert!(ended.at - begun >= Duration::from_millis(1500), "{}", ended.description);
    assert_eq!(site.journal(), ["deaf start", "deaf ignored"], "the process is asked once");
}

#[test]
fn a_configured_stop_signal_is_the_one_that_is_sent() {
    let site = Site::new();
    let mut navigator = site.start(
        r#"
managed_processes:
  - name: own
    command: sh
    args: [-c, '. "$FIXTURES/idle.sh"; trap "echo got QUIT; exit 0" QUIT; trap "echo got TERM" TERM; echo set; idle']
    stop: { signal: quit }
"#,
    );
    navigator.says("own", |line| line == "set");
    navigator.signal(Signal::TERM);
    assert_eq!(navigator.exits(0).said("own"), ["set", "got QUIT"]);
}

#[test]
fn a_suspended_process_stops_too() {
    let site = Site::new();
    let mut navigator = site.start(WILLING);
    navigator.journals("willing start");
    navigator.send(navigator.started("willing"), Signal::STOP);
    let begun = Instant::now();
    navigator.signal(Signal::TERM);
    let ended = navigator.exits(0);
    // The default timeout, after which it would have been killed, is 10 s.
    assert!(ended.at - begun < Duration::from_secs(9), "{}", ended.description);
    assert_eq!(site.journal(), ["willing start", "willing term", "willing exit"]);
}

#[test]
fn navigator_listens_and_its_processes_are_deaf_to_nothing_whatever_its_own_parent_ignored() {
    let site = Site::new();
    site.write(
        "navigator.yml",
        "managed_processes:\n  - { name: show, command: grep, args: [-E, '^Sig(Blk|Ign)', /proc/self/status] }\n",
    );
    let ignoring = "trap '' CHLD HUP INT QUIT TERM PIPE USR1 USR2; exec \"$0\" \"$@\"";
    let mut navigator = site.command_through("sh", &["-c", ignoring], &["navigator.yml"]).start();
    assert_eq!(navigator.event("Process exited", "show").field("status"), Some("0"));
    navigator.says("show", |line| line.starts_with("SigIgn"));
    for said in navigator.said("show") {
        assert!(said.message.ends_with("\t0000000000000000"), "{}", said.message);
    }
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}
