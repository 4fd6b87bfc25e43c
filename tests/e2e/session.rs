//! What a person sees of a running navigator on a terminal of 100 columns.

use crate::harness::{Site, ports, shown_on_terminal};
use std::process::Command;
use std::thread;

/// Runs navigator on a terminal until `holds`, and stops it. Returns what was shown, line by line, without colours.
fn session(site: &Site, config: &str, what: &str, holds: impl FnMut() -> bool) -> Vec<String> {
    // The demonstration listens on it.
    let port = ports::free_port().to_string();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_navigator"));
        site.surround(command.env("PORT", &port));
        shown_on_terminal(command.args(arguments).env("NO_COLOR", "1").current_dir(env!("CARGO_MANIFEST_DIR")), 100)
    };
    let shown = thread::scope(|scope| {
        let running = scope.spawn(|| run(&[config]));
        let met = wait_for(holds);
        run(&["-s", "quit", "-c", config]);
        let shown = running.join().expect("navigator ran");
        assert!(met, "{what}: {}", String::from_utf8_lossy(&shown));
        shown
    });
    String::from_utf8(shown).expect("it is text").lines().map(|line| line.trim_end_matches('\r').to_owned()).collect()
}

/// Whether it holds within a minute. Each attempt reads a file or runs a command.
fn wait_for(mut holds: impl FnMut() -> bool) -> bool {
    let end = std::time::Instant::now() + std::time::Duration::from_mins(1);
    while std::time::Instant::now() < end {
        if holds() {
            return true;
        }
        thread::yield_now();
    }
    false
}

/// The text of an event line: behind the time of day.
fn event(line: &str) -> Option<&str> {
    let (time, text) = line.split_at_checked(9)?;
    let is_time = time.bytes().enumerate().all(|(at, byte)| match at {
        2 | 5 => byte == b':',
        8 => byte == b' ',
        _ => byte.is_ascii_digit(),
    });
    is_time.then_some(text)
}

#[test]
fn each_event_is_one_line_and_no_line_wraps() {
    let site = Site::new();
    let long = "long/".repeat(40);
    site.write(
        "navigator.yml",
        &format!(
            r#"
defaults: {{ depends_on: [] }}
managed_processes:
  - {{ name: database, command: sh, args: [-c, 'echo ready for connections; exec sleep 1h'], ready: {{ log: ready for }} }}
  - {{ name: mailer, command: sh, args: [-c, 'echo crash >>"$JOURNAL"; exit 1'], auto_restart: true, backoff: {{ initial: 100ms, factor: 1, jitter: 0 }} }}
  - {{ name: missing, command: "./{long}program" }}
  - {{ name: silent, command: sleep, args: [1h], ready: {{ log: never, deadline: 100ms }} }}
  - {{ name: task, command: "true", type: task }}
"#
        ),
    );
    let config = site.path("navigator.yml").display().to_string();
    let lines = session(&site, &config, "four crashes", || site.journal().len() > 4);
    for line in &lines {
        assert!(line.chars().count() <= 100, "{line}");
    }
    let of = |name: &str| -> Vec<String> {
        let events = lines.iter().filter_map(|line| event(line)?.strip_prefix(&format!("{name:8} | ")));
        events.filter(|text| !text.starts_with("stop") && !text.starts_with("kill")).map(str::to_owned).collect()
    };
    let mailer = of("mailer");
    for (number, text) in mailer.iter().enumerate() {
        let is_right = match number {
            number if number % 2 == 0 => text.starts_with("started (pid "),
            _ => text == "exited with status 1, restarting in 100ms",
        };
        assert!(is_right, "{text}: {lines:#?}");
    }
    assert!(mailer.len() >= 8, "{lines:#?}");
    let database = of("database");
    assert!(matches!(&database[..], [ready] if ready.starts_with("ready (pid ")), "{lines:#?}");
    assert_eq!(of("task")[1..], ["completed"], "{lines:#?}");
    assert!(of("missing")[0].starts_with("failed: command not found:"), "{lines:#?}");
    assert!(lines.concat().contains("PYTHONUNBUFFERED=1"), "a hint is wrapped, not cut: {lines:#?}");
    assert!(!lines.iter().any(|line| line.contains("managed_processes:")), "{lines:#?}");
}

#[test]
fn the_hints_of_the_demonstration_stay_visible_behind_the_start() {
    let site = Site::new();
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/demo/navigator.yml");
    let lines = session(&site, config, "its welcome", || site.run(["wait", "welcome", "-c", config]).code == Some(0));
    let hint = lines.iter().position(|line| line.contains("Ctrl-C")).unwrap_or_else(|| panic!("no hint: {lines:#?}"));
    assert!(hint < 30, "it fits on one screen: {lines:#?}");
    let is_start = |line: &String| {
        event(line)
            .is_some_and(|text| text.contains("started (pid ") && !["mailer", "welcome"].iter().any(|name| text.contains(name)))
    };
    let last_start = lines.iter().rposition(is_start).expect("something starts");
    let first_hint = lines.iter().position(|line| line.contains("Try this")).expect("there are hints");
    assert!(last_start < hint && lines[..first_hint].iter().filter(|line| is_start(line)).count() >= 3, "{lines:#?}");
    for line in &lines {
        assert!(line.chars().count() <= 100, "{line}");
    }
}
