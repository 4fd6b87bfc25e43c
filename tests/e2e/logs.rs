//! `navigator logs`: last lines, following, and missed lines of a slow reader.

use crate::harness::{Navigator, Site, shown_on_terminal};
use serde_json::Value;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

/// Writes to both streams in turns, then waits.
const CONFIGURATION: &str = "\
managed_processes:
  - { name: web, command: sh, args: [-c, 'echo one; echo two >&2; printf \"thr\\\\377e\\n\"; exec sleep 3600'] }
  - { name: other, command: sh, args: [-c, 'echo else; exec sleep 3600'] }
";

/// Starts navigator and waits until each process has written this many lines.
#[track_caller]
fn after<'s>(site: &'s Site, configuration: &str, lines: &[(&str, usize)]) -> Navigator<'s> {
    let navigator = site.start(configuration);
    for (name, count) in lines {
        navigator.log().until(&format!("{count} lines of {name}"), || (navigator.said(name).len() >= *count).then_some(()));
    }
    navigator
}

#[test]
fn the_last_lines_of_one_process_are_unchanged() {
    let site = Site::new();
    let navigator = after(&site, CONFIGURATION, &[("web", 3), ("other", 1)]);
    let ended = site.asks(&["logs", "web"], 0);
    let mut lines: Vec<&[u8]> = ended.lines.iter().map(|line| line.bytes.as_slice()).collect();
    // Two pipes have no order among each other.
    lines.sort_unstable();
    assert_eq!(lines, [&b"one"[..], b"thr\xffe", b"two"]);
    assert_eq!(site.asks(&["logs", "web", "-n", "0"], 0).stdout(), "");
    assert_eq!(site.asks(&["logs", "-n", "1", "other"], 0).stdout(), "else\n");
    assert!(site.asks(&["logs", "nosuch"], 1).stderr().contains("no process `nosuch`"));
    navigator.ends();
}

#[test]
fn lines_of_several_processes_are_prefixed_and_json_has_all_fields() {
    let site = Site::new();
    let navigator = after(&site, CONFIGURATION, &[("web", 3), ("other", 1)]);
    for arguments in [&["logs"][..], &["logs", "web", "other"]] {
        let ended = site.asks(arguments, 0);
        let text = ended.stdout();
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["[other.stdout] else", "[web.stderr] two", "[web.stdout] one", "[web.stdout] thr\u{fffd}e"]);
    }
    let json = site.asks(&["logs", "web", "--json"], 0).stdout();
    let objects: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).expect("an object a line")).collect();
    assert_eq!(objects.len(), 3);
    let two = objects.iter().find(|object| object["message"] == "two").expect("it was written");
    assert_eq!((two["source"].as_str(), two["stream"].as_str()), (Some("web"), Some("stderr")));
    assert!(two["@timestamp"].as_str().is_some_and(|time| time.ends_with('Z')), "{two}");
    navigator.ends();
}

#[test]
fn lines_can_be_limited_by_time_and_printed_with_it() {
    let site = Site::new();
    let gated = "\
managed_processes:
  - { name: web, command: sh, args: [-c, 'echo early; read go < gate; echo late; exec sleep 3600'] }
";
    crate::harness::client(std::process::Command::new("mkfifo").arg(site.path("gate")));
    let navigator = after(&site, gated, &[("web", 1)]);
    let timed = site.asks(&["logs", "--timestamps", "web"], 0).stdout();
    let time = timed.strip_suffix(" early\n").unwrap_or_else(|| panic!("{timed}")).to_owned();
    assert!(time.len() == "2026-11-22T18:00:00.000Z".len() && time.ends_with('Z'), "{timed}");
    let named = site.asks(&["logs", "-t"], 0).stdout();
    assert_eq!(named, format!("{time} [web.stdout] early\n"));
    std::fs::write(site.path("gate"), "\n").expect("the process waits for it");
    navigator.log().until("two lines", || (navigator.said("web").len() >= 2).then_some(()));
    let both = site.asks(&["logs", "-t", "--since", "1h", "web"], 0).stdout();
    let late = both.lines().last().and_then(|line| line.strip_suffix(" late")).unwrap_or_else(|| panic!("{both}"));
    assert!(both.lines().count() == 2 && *time < *late, "{both}");
    assert_eq!(site.asks(&["logs", "--since", late, "web"], 0).stdout(), "late\n");
    assert_eq!(site.asks(&["logs", "--since", "2199-01-01T00:00:00Z", "web"], 0).stdout(), "");
    for wrong in ["yesterday", "", "2026-11-22", "-1h"] {
        let said = site.asks(&["logs", &format!("--since={wrong}"), "web"], 2).stderr();
        assert!(said.contains("write a duration such as `10m`"), "{said}");
    }
    navigator.ends();
}

#[test]
fn the_column_of_names_keeps_its_place_on_a_terminal() {
    let site = Site::new();
    let text = "\
managed_processes:
  - { name: db, command: sh, args: [-c, 'echo one; exec sleep 3600'] }
  - { name: a-much-longer-name, command: sh, args: [-c, 'echo two; exec sleep 3600'] }
  - { name: quiet-but-longest-of-all, command: sleep, args: ['3600'] }
";
    let navigator = after(&site, text, &[("db", 1), ("a-much-longer-name", 1)]);
    for (arguments, column) in [(&["logs"][..], 24), (&["logs", "db", "a-much-longer-name"], 18), (&["logs", "-t"], 24 + 25)] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_navigator"));
        site.surround(&mut command);
        let shown = shown_on_terminal(command.args(arguments).env("NO_COLOR", "1"), 120);
        let shown = String::from_utf8(shown).expect("it is text");
        let columns: Vec<Option<usize>> = shown.lines().map(|line| line.find(" | ")).collect();
        assert_eq!(columns, [Some(column); 2], "{arguments:?}: {shown}");
    }
    navigator.ends();
}

#[test]
fn following_covers_restarts_and_processes_added_later() {
    let site = Site::new();
    let counts = "managed_processes:\n  - { name: web, command: sh, args: [-c, 'echo run; exec sleep 3600'] }\n";
    let navigator = after(&site, counts, &[("web", 1)]);
    let follower = site.command(["logs", "-f"]).start();
    let shows = |line: &str, times: usize| {
        follower.log().wait_for(line, |lines| (lines.iter().filter(|said| said.text() == line).count() == times).then_some(()));
    };
    shows("[web.stdout] run", 1);
    site.asks(&["restart", "web"], 0);
    shows("[web.stdout] run", 2);
    let more = "  - { name: later, command: sh, args: [-c, 'trap \"echo last; exit 0\" TERM; echo here; while :; do sleep 3600 & wait $!; done'] }\n";
    site.write("navigator.yml", &(counts.to_owned() + more));
    shows("[later.stdout] here", 1);
    navigator.ends();
    let ended = follower.ended();
    assert_eq!((ended.code, ended.stderr()), (Some(0), String::new()), "{}", ended.description);
    assert!(ended.stdout().contains("[later.stdout] last\n"), "{}", ended.description);
}

#[test]
fn output_to_a_file_is_recorded_and_null_is_not() {
    let site = Site::new();
    let navigator = site.start(
        "managed_processes:
  - { name: filed, command: sh, args: [-c, 'echo filed; exec sleep 3600'], output: { file: filed.log } }
  - { name: silent, command: sh, args: [-c, 'echo silent; exec sleep 3600'], output: null }
  - { name: heard, command: sh, args: [-c, 'echo heard; exec sleep 3600'], output: null, ready: { log: heard } }
",
    );
    navigator.event("Process ready", "heard");
    site.asks(&["wait"], 0);
    navigator.log().until("the file", || (site.read("filed.log") == "filed\n").then_some(()));
    assert_eq!(site.asks(&["logs"], 0).stdout(), "[filed.stdout] filed\n");
    for name in ["silent", "heard"] {
        let said = site.asks(&["logs", name], 1).stderr();
        assert_eq!(said, format!("navigator: no lines of `{name}` are kept: its `output` is `null`\n"));
    }
    navigator.ends();
}

#[test]
fn status_shows_the_last_lines_of_a_failed_process() {
    let site = Site::new();
    let text = "managed_processes:\n  - { name: web, command: sh, args: [-c, 'for n in 1 2 3 4 5 6 7; do echo line $n; done; exit 3'] }\n";
    let navigator = site.start(text);
    navigator.event("Process failed", "web");
    let shown = "\nweb wrote last:\n  line 3\n  line 4\n  line 5\n  line 6\n  line 7\n";
    navigator.log().until("its lines", || site.asks(&["status"], 3).stdout().ends_with(shown).then_some(()));
    let json: Value = serde_json::from_str(&site.asks(&["status", "--json"], 3).stdout()).expect("it is JSON");
    assert_eq!(json["processes"][0].get("output"), None, "the shape is fixed");
    navigator.ends();
}

/// A reader that does not read blocks no process; when it reads, it gets the number of missed lines.
#[test]
fn a_slow_reader_gets_the_number_of_missed_lines() {
    let site = Site::new();
    let flood = "managed_processes:
  - { name: web, command: sh, args: [-c, 'read go < gate; seq 1 1000000; echo end; exec sleep 3600'], output: { file: web.log } }
";
    crate::harness::client(std::process::Command::new("mkfifo").arg(site.path("gate")));
    let navigator = site.start(flood);
    navigator.started("web");
    let socket = std::fs::read_dir(site.path("state")).expect("the state directory").next().expect("one instance");
    let mut reader = UnixStream::connect(socket.expect("an entry").path().join("socket")).expect("the socket is open");
    reader.write_all(b"GET /v1/logs?follow=true HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").expect("it is read");
    let mut head = [0; 1];
    reader.read_exact(&mut head).expect("an answer begins");
    std::fs::write(site.path("gate"), "\n").expect("the process waits for it");
    navigator.log().until("all lines", || site.read("web.log").ends_with("end\n").then_some(()));
    let reading = std::thread::spawn(move || {
        let mut text = String::new();
        // It ends with navigator.
        reader.read_to_string(&mut text).map(|_| text)
    });
    navigator.ends();
    let text = reading.join().expect("it reads").expect("it is text");
    let objects: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).filter(Value::is_object).collect();
    let missed: u64 = objects.iter().filter_map(|object| object["missed"].as_u64()).sum();
    let read = objects.iter().filter(|object| object["message"].is_string()).count() as u64;
    assert!(missed > 0, "{} lines came", objects.len());
    assert_eq!(missed + read, 1_000_001);
}
