//! Terminal safety: a canary with every control character is put into every field that another user can set. No command, log
//! line or message prints it raw. Colours of processes pass only in `logs` and in the foreground output.

use crate::harness::{Site, servers, shown_on_terminal};
use serde_json::Value;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// A colour that navigator itself never uses.
const COLOUR: &str = "\x1b[38;5;201m";
/// The start of a line if a line break of the canary was printed raw.
const FORGED: &str = "forged";
/// A part of the escaped canary, which shows that it was printed at all.
const ESCAPED: &str = r"\u{1b}]0;pwned\u{7}";
const ESCAPED_JSON: &str = r"\u001b]0;pwned\u0007";

/// Every control character but NUL, which arguments and file names can't contain; a title sequence, and a colour.
fn canary() -> String {
    let controls = ('\u{1}'..='\u{1f}').chain('\u{7f}'..='\u{9f}').chain(['\u{61c}', '\u{200e}', '\u{200f}']);
    let controls = controls.chain('\u{2028}'..='\u{202e}').chain('\u{2066}'..='\u{2069}');
    format!("\x1b]0;pwned\x07{COLOUR}{}{FORGED}\n{FORGED}", controls.collect::<String>())
}

/// Quotes the canary, so that YAML reads it unchanged.
fn quoted(text: &str) -> String {
    text.chars().fold("\"".to_owned(), |out, char| {
        if char.is_ascii_graphic() && !matches!(char, '"' | '\\') {
            out + &char.to_string()
        } else {
            out + &format!("\\U{:08X}", u32::from(char))
        }
    }) + "\""
}

/// What may arrive raw.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Allowed {
    /// Navigator's own colours.
    Own,
    /// Also colours of processes.
    Colours,
}

#[track_caller]
fn assert_escaped(what: &str, shown: &[u8], allowed: Allowed) {
    let text = std::str::from_utf8(shown).unwrap_or_else(|error| panic!("{what}: {error}: {}", shown.escape_ascii()));
    let mut rest = text.to_owned();
    while let Some((at, end)) = colour(&rest) {
        rest.replace_range(at..end, "");
    }
    let is_raw = |char: &char| {
        let is_bidirectional = matches!(u32::from(*char), 0x61c | 0x200e | 0x200f | 0x2028..=0x202e | 0x2066..=0x2069);
        (char.is_control() || is_bidirectional) && !matches!(char, '\n' | '\t')
    };
    let raw: Vec<char> = rest.chars().filter(is_raw).collect();
    assert!(raw.is_empty(), "{what}: {raw:?} in {text:?}");
    assert!(!rest.lines().any(|line| line.starts_with(FORGED)), "{what}: a forged line in {text:?}");
    match allowed {
        Allowed::Own => assert!(!text.contains(COLOUR), "{what}: a colour in {text:?}"),
        Allowed::Colours => {
            let coloured = text.lines().filter(|line| line.contains(COLOUR));
            assert!(coloured.clone().all(|line| line.ends_with("\x1b[0m")), "{what}: a colour is left set in {text:?}");
            assert!(coloured.count() > 0, "{what}: no colour in {text:?}");
        }
    }
}

/// The place of the first colour sequence.
fn colour(text: &str) -> Option<(usize, usize)> {
    text.match_indices("\x1b[").find_map(|(at, _)| {
        let length = text[at + 2..].find(|char: char| !(char.is_ascii_digit() || matches!(char, ';' | ':')))?;
        text[at + 2 + length..].starts_with('m').then_some((at, at + length + 3))
    })
}

/// Runs navigator with these arguments on a terminal, and returns what was shown.
fn shown(site: &Site, arguments: &[&str]) -> Vec<u8> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_navigator"));
    site.surround(&mut command);
    command.args(arguments).env_remove("NO_COLOR").env("LOG_LEVEL", "debug");
    shown_on_terminal(&mut command, 120)
}

/// Runs a command whose text holds the canary, and checks what it shows.
#[track_caller]
fn assert_shows(site: &Site, arguments: &[&str], expected: &str) -> Vec<u8> {
    let what = arguments.join(" ").escape_debug().to_string();
    let shown = shown(site, arguments);
    assert_escaped(&what, &shown, Allowed::Own);
    let text = String::from_utf8_lossy(&shown);
    // Long texts are wrapped and cut.
    assert!(text.contains(expected), "{what}: the canary was not printed: {text}");
    shown
}

/// Runs navigator in the foreground of a terminal while `clients` run; returns everything it has shown.
fn foreground(site: &Site, config: &str, clients: impl FnOnce()) -> Vec<u8> {
    thread::scope(|scope| {
        let running = scope.spawn(|| shown(site, &[config]));
        let stop = Stop { site, config };
        clients();
        drop(stop);
        running.join().expect("navigator ran")
    })
}

/// Stops navigator even if a check fails, so that the test ends.
struct Stop<'a> {
    site: &'a Site,
    config: &'a str,
}

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        shown(self.site, &["-s", "quit", "-c", self.config]);
    }
}

/// Repeats until it holds. Each attempt runs a command, which takes time.
#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_mins(1);
    while !holds() {
        assert!(Instant::now() < end, "{what}");
    }
}

/// One process writes the canary, one sends it as `STATUS=`, one has it as its command, one in its environment.
fn configuration(site: &Site) -> String {
    let canary = canary();
    // Raw bytes that are not UTF-8: C1 as one byte, and NUL.
    let output = [canary.replace('\n', " ").as_bytes(), b" \x9b2J \x00", COLOUR.as_bytes(), b"left set\r\n"].concat();
    std::fs::write(site.path("output"), output).expect("the site can be written");
    let notify = r#"use IO::Socket::UNIX; my $s = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Peer => $ENV{NOTIFY_SOCKET});
open my $f, "<", "output"; binmode $f; local $/; my $c = <$f>; $c =~ s/\n//g; $c =~ s/\x9b2J.*//s; $s->send("STATUS=loading $c"); sleep 3600;
"#;
    site.write("notify.pl", notify);
    format!(
        "defaults: {{ depends_on: [] }}
managed_processes:
  - {{ name: writer, command: sh, args: [-c, 'cat output; cat output >&2; exec sleep 3600', {quoted}] }}
  - {{ name: notifier, command: perl, args: [notify.pl], ready: {{ notify: true }} }}
  - {{ name: unknown, command: {command}, restart: never }}
  - {{ name: failing, command: sh, args: [-c, 'cat output; exit 3'], restart: never }}
  - {{ name: ambient, command: sleep, args: ['3600'], env: {{ CANARY: {quoted} }} }}
",
        quoted = quoted(&canary),
        command = quoted(&format!("./{canary}.yml")),
    )
}

#[test]
fn no_outside_text_reaches_a_terminal_raw_while_navigator_runs() {
    if !servers::present("terminal::no_outside_text_reaches_a_terminal_raw_while_navigator_runs", &["perl"]) {
        return;
    }
    let site = Site::new();
    let name = format!("{}.yml", canary());
    let text = configuration(&site);
    site.write(&name, &text);
    site.write("candidate.yml", &text.replace("args: ['3600']", "args: ['3601']").replace("CANARY: \"", "CANARY: \"x"));
    let config = name.as_str();
    let seen = foreground(&site, config, || {
        let status = || String::from_utf8_lossy(&shown(&site, &["status", "-c", config])).into_owned();
        until("the status of all processes", || {
            let status = status();
            ["loading", "failed to start", "wrote last"].iter().all(|wanted| status.contains(wanted))
        });
        while_it_runs(&site, config);
        site.write(&name, &format!("{text}{}: 1\n", quoted(&canary())));
        assert_shows(&site, &["reload", "-c", config], ESCAPED);
        until("the rejection is known", || status().contains("rejected"));
        assert_shows(&site, &["status", "-c", config], ESCAPED);
        assert_shows(&site, &["wait", "--timeout", "100ms", "-c", config], ESCAPED);
    });
    assert_escaped("the foreground", &seen, Allowed::Colours);
    let seen = String::from_utf8_lossy(&seen);
    for wanted in ["Notification", "Configuration rejected", r"\x9b2J", ESCAPED, ESCAPED_JSON] {
        assert!(seen.contains(wanted), "`{wanted}` in {seen}");
    }
}

#[test]
fn a_rejection_and_its_end_are_said_once() {
    let site = Site::new();
    let good = "managed_processes:\n  - { name: web, command: sleep, args: ['3600'] }\n";
    site.write("navigator.yml", good);
    let seen = foreground(&site, "navigator.yml", || {
        let status = || String::from_utf8_lossy(&shown(&site, &["status"])).into_owned();
        until("the process runs", || status().contains("running"));
        site.write("navigator.yml", &good.replace("command", "comand"));
        until("the rejection is known", || status().contains("rejected"));
        site.write("navigator.yml", good);
        until("the file is in force again", || !status().contains("rejected"));
    });
    let seen = String::from_utf8_lossy(&seen);
    for said in ["Configuration rejected", "unknown key `comand`", "Configuration valid again; nothing differs"] {
        assert_eq!(seen.matches(said).count(), 1, "`{said}` in {seen}");
    }
}

/// Checks every command that asks a running navigator.
fn while_it_runs(site: &Site, config: &str) {
    for arguments in [
        &["status", "notifier", "-c", config][..],
        &["status", "failing", "-c", config],
        &["status", &canary(), "-c", config],
        &["wait", "notifier", "--timeout", "100ms", "-c", config],
        &["wait", "unknown", "--timeout", "100ms", "-c", config],
        &["start", "unknown", "-c", config],
        &["signal", &canary(), "writer", "-c", config],
        &["plan", "candidate.yml", "-c", config],
        &["plan", "nothing", &canary(), "-c", config],
        &["plan", &canary(), "-c", config],
        &["run", config],
        &["doctor", config],
        &["-c", config, "--state-dir", &canary(), "status"],
    ] {
        assert_shows(site, arguments, ESCAPED);
    }
    for arguments in [&["status", "--json", "-c", config][..], &["plan", "--format", "json", "candidate.yml", "-c", config]] {
        let shown = assert_shows(site, arguments, ESCAPED_JSON);
        let value: Value = serde_json::from_slice(&shown).expect("it is JSON");
        assert!(value.to_string().contains(ESCAPED_JSON), "{value}");
    }
    for arguments in [&["logs", "-c", config][..], &["logs", "writer", "-c", config]] {
        let shown = shown(site, arguments);
        assert_escaped("logs", &shown, Allowed::Colours);
        assert!(String::from_utf8_lossy(&shown).contains(ESCAPED), "{}", shown.escape_ascii());
    }
    let lines = assert_shows(site, &["logs", "writer", "--json", "-c", config], ESCAPED_JSON);
    for line in String::from_utf8_lossy(&lines).lines() {
        let object: Value = serde_json::from_str(line).expect("an object a line");
        assert!(object["message"].as_str().is_some_and(|message| message.contains('\u{202e}')), "{object}");
    }
    let raw = shown(site, &["logs", "writer", "--raw", "-c", config]);
    assert!(raw.windows(4).any(|bytes| bytes == b"\x9b2J "), "{}", raw.escape_ascii());
}

#[test]
fn no_outside_text_reaches_a_terminal_raw_while_no_navigator_runs() {
    let site = Site::new();
    let (canary, quoted) = (canary(), quoted(&canary()));
    let sound = format!("{canary}.yml");
    site.write(&sound, "managed_processes: [{ name: a, command: sleep }]");
    let include = format!(
        "include: [{quoted}]\nenv_file: {quoted}\nmanaged_processes: [{{ name: {quoted}, command: {quoted}, {quoted}: 1 }}]"
    );
    site.write("broken.yml", &include);
    site.write("raw.yml", &format!("managed_processes:\n  - {{ name: a, command: sleep, {canary}: 1 }}\n"));
    for arguments in [
        &["check", &sound][..],
        &["check", "broken.yml"],
        &["broken.yml"],
        &["doctor", "broken.yml"],
        &["doctor", &sound],
        &["graph", "broken.yml"],
        &["plan", "-c", "broken.yml"],
        &["status", "-c", &canary],
        &["-s", "stop", "-c", &sound],
        &[&canary],
        &["check", &canary],
        &[&format!("--{canary}")],
        &["-s", &canary],
        &["status", &format!("--{canary}")],
        &["wait", "--timeout", &canary],
        &["check", "--format", &canary],
        &["completions", &canary],
        &["graph", &sound, &canary],
    ] {
        assert_shows(&site, arguments, ESCAPED);
    }
    assert_shows(&site, &["check", "--format", "json", "broken.yml"], "pwned");
    assert_shows(&site, &["check", "raw.yml"], "raw.yml");
    // The parser names the first short option, here the backslash of the escape.
    assert_shows(&site, &[&format!("-{canary}")], r"-\");
    for arguments in [&["--help"][..], &["status", "--help"], &["--version"], &["schema"], &["man"], &["graph", &sound]] {
        assert_escaped(&arguments.join(" "), &shown(&site, arguments), Allowed::Own);
    }
}
