//! Navigator is killed, and the next one takes over what it left: nothing else happens.

use crate::harness::entry::Event;
use crate::harness::{Bystander, Navigator, Signal, Site, leftovers, report, servers, socket};
use crate::killed::{FAMILY, both_families};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::{Duration, Instant};

/// Kills navigator itself, and waits until it is gone.
pub(crate) fn kill(mut navigator: Navigator<'_>) {
    navigator.signal(Signal::KILL);
    assert_eq!(navigator.ended().code, None, "it was killed");
}

/// Waits until a process has journaled its start and navigator has recorded it: before that, there is no proof of what it is.
fn has_started(navigator: &Navigator<'_>, name: &str) {
    navigator.journals(&format!("{name} start"));
    navigator.started(name);
}

/// Starts the next navigator with the file as it is, and waits until it has taken over.
pub(crate) fn next(site: &Site) -> (Navigator<'_>, Event) {
    let navigator = site.command(["navigator.yml"]).start();
    let taken_over = navigator.wait("the takeover", |event| event.message == "Processes taken over");
    (navigator, taken_over)
}

/// The status of each process, by name.
pub(crate) fn statuses(site: &Site) -> BTreeMap<String, Value> {
    let status = socket::ask(site, "GET", "/v1/status", "").json();
    let processes = status["processes"].as_array().cloned().unwrap_or_else(|| panic!("{status}"));
    processes.into_iter().map(|process| (process["name"].as_str().expect("a name").to_owned(), process)).collect()
}

/// What must not change by a takeover.
fn facts(site: &Site) -> BTreeMap<String, Value> {
    const LASTING: [&str; 7] = ["state", "pid", "generation", "restarts", "last_exit", "reason", "stale"];
    let of = |process: &Value| LASTING.iter().map(|key| ((*key).to_owned(), process[key].clone())).collect::<Value>();
    statuses(site).iter().map(|(name, process)| (name.clone(), of(process))).collect()
}

/// When each process was started and entered its state. The wall clock is read once for each answer, so a time is not exact.
fn times(site: &Site) -> Vec<(String, Option<Timestamp>)> {
    let time = |process: &Value, key: &str| process[key].as_str().map(|time| time.parse().expect("a time"));
    let both = |(name, process): (String, Value)| {
        ["started_at", "entered_at"].map(|key| (format!("{key} of {name}"), time(&process, key)))
    };
    statuses(site).into_iter().flat_map(both).collect()
}

/// A process that journals its life and says it.
fn child(name: &str, more: &str) -> String {
    format!("  - {{ name: {name}, command: \"${{FIXTURES}}/child.sh\", args: [{name}]{more} }}\n")
}

fn file(processes: &[String]) -> String {
    format!("managed_processes:\n{}", processes.concat())
}

#[test]
fn processes_go_on_and_nothing_is_forgotten() {
    let site = Site::new();
    let more = "  - { name: task, type: task, command: \"true\", output: null }
  - { name: crashed, command: sleep, args: ['3600'], output: null, restart: always }
  - { name: off, command: sleep, args: ['3600'], output: null, enabled: false }
  - { name: stopped, command: sleep, args: ['3600'], output: null }
  - { name: failed, command: sh, args: [-c, exit 3], output: null }
";
    let text = file(&[child("db", ""), child("web", ", depends_on: [db]"), more.to_owned()]);
    let first = site.start(&text);
    let crashed = first.started("crashed");
    first.kill(crashed);
    first.nth_event("Process started", "crashed", 1);
    first.event("Process failed", "failed");
    site.asks(&["stop", "stopped"], 0);
    site.asks(&["start", "off"], 0);
    for name in ["db", "web"] {
        has_started(&first, name);
    }
    let before = (facts(&site), times(&site));
    // The newest fact. A thread of its own records it.
    first.log().until("its record", || {
        let record = fs::read_to_string(socket::instance(&site).join("facts")).unwrap_or_default();
        let last = record.lines().rfind(|line| line.contains("\"name\":\"off\""))?;
        last.contains("\"first_ready\"").then_some(())
    });
    kill(first);
    let (second, taken_over) = next(&site);
    assert_eq!(taken_over.field("names"), Some("crashed db off web"), "{}", second.log().describe());
    assert_eq!(taken_over.field("ended"), Some("0"));
    second.wait("the verdict", |event| event.message == "Configuration unchanged");
    assert_eq!(facts(&site), before.0);
    for ((what, then), (_, now)) in before.1.into_iter().zip(times(&site)) {
        let moved = then.zip(now).map(|(then, now)| now.duration_since(then).unsigned_abs());
        assert_eq!(then.is_some(), now.is_some(), "{what}");
        assert!(moved.is_none_or(|moved| moved < Duration::from_millis(100)), "{what}: {then:?} {now:?}");
    }
    assert!(socket::ask(&site, "GET", "/v1/status", "").json()["taken_over_at"].is_string());
    assert_eq!(second.count("Starting process", "task"), 0);
    let ended = second.ends();
    let journal = site.journal();
    assert_eq!((journal.len(), &journal[2..]), (6, &["web term", "web exit", "db term", "db exit"].map(str::to_owned)[..]));
    assert!(!ended.stderr().contains("WARN"), "{}", ended.description);
    // A clean end leaves nothing to take over.
    let third = site.command(["navigator.yml"]).start();
    third.wait("its configuration", |event| event.message == "Configuration loaded");
    third.ends();
}

/// Commands are recorded like runs, by numbers far above those of runs.
#[test]
fn a_command_under_way_ends_and_later_runs_are_as_ever() {
    let site = Site::new();
    let first = site.start(
        "managed_processes:
  - { name: web, command: sleep, args: ['3600'], output: null, liveness: { exec: [sleep, '3600'], interval: 10ms, timeout: 1h } }
",
    );
    first.started("web");
    let probe = || first.command_lines_below().len() == 2;
    first.log().until("its probe", || probe().then_some(()));
    first.log().until("its record", || {
        let record = fs::read_to_string(socket::instance(&site).join("runs")).unwrap_or_default();
        (record.lines().filter(|line| line.contains("\"started\"")).count() == 2).then_some(())
    });
    kill(first);
    let (second, _) = next(&site);
    site.asks(&["restart", "web"], 0);
    site.asks(&["wait"], 0);
    assert_eq!(second.count("Process started", "web"), 1, "{}", second.log().describe());
    second.log().until("only the run and its own probe", || (second.command_lines_below().len() <= 2).then_some(()));
    second.ends();
}

/// Kills navigator and its keepers, and waits until it is gone.
fn kill_both(mut navigator: Navigator<'_>) {
    navigator.kill_with_keepers();
    assert_eq!(navigator.ended().code, None, "it was killed");
}

#[test]
fn the_ends_of_processes_count_while_navigator_is_away_and_afterwards() {
    let site = Site::new();
    let text = "managed_processes:
  - { name: away, command: sleep, args: ['3600'], output: null, restart: always }
  - { name: later, command: sh, args: [-c, 'while :; do sleep 0.05; [ ! -e end ] || exit 7; done'], output: null, restart: always }
  - { name: kept, command: sleep, args: ['3600'], output: null }
";
    let first = site.start(text);
    let pids = ["away", "later", "kept"].map(|name| first.started(name));
    kill_both(first);
    let away = leftovers::process(pids[0]).expect("it was left");
    leftovers::send(&away, Signal::KILL);
    let gone = Instant::now() + Duration::from_secs(10);
    while leftovers::is_alive(&away) {
        assert!(Instant::now() < gone, "it was killed");
        std::thread::yield_now();
    }
    let (second, taken_over) = next(&site);
    assert_eq!((taken_over.field("names"), taken_over.field("ended")), (Some("kept later"), Some("1")));
    let lost = second.event("Process crashed", "away");
    assert_eq!(lost.field("reason"), Some("exit status unknown"));
    second.event("Process started", "away");
    let status = statuses(&site);
    assert_eq!(status["away"]["last_exit"], json!({"unknown": true}));
    assert_eq!((&status["away"]["restarts"], &status["kept"]["pid"]), (&json!(1), &json!(pids[2])));
    site.write("end", "");
    let crashed = second.event("Process crashed", "later");
    // The kernel tells a process that isn't the parent since Linux 6.15.
    assert!(["exit status 7", "exit status unknown"].contains(&crashed.field("reason").unwrap_or_default()), "{crashed:?}");
    fs::remove_file(site.path("end")).expect("it was written");
    second.event("Process started", "later");
    second.ends();
}

#[test]
fn what_was_saved_meanwhile_is_taken_like_any_save() {
    let site = Site::new();
    let with = |port: u16| format!(", env: {{ PORT: '{port}' }}");
    let first = site.start(&file(&[child("kept", ""), child("changed", &with(1)), child("removed", "")]));
    for name in ["kept", "changed", "removed"] {
        has_started(&first, name);
    }
    let kept = first.started("kept");
    kill(first);
    site.write("navigator.yml", &file(&[child("kept", ""), child("changed", &with(2)), child("added", "")]));
    let (second, taken_over) = next(&site);
    assert_eq!(taken_over.field("names"), Some("changed kept removed"));
    let reloaded = second.wait("the verdict", |event| event.message == "Configuration reloaded");
    let counts =
        ["generation", "added", "removed", "changed", "unchanged"].map(|field| reloaded.field(field).unwrap_or_default());
    assert_eq!(counts, ["2", "1", "1", "1", "1"], "{}", second.log().describe());
    assert_eq!(second.event("Stopping process", "changed").field("reason"), Some("env changed"));
    assert_eq!(second.event("Stopping process", "removed").field("reason"), Some("removed from file"));
    second.journals("added start");
    second.event("Process started", "changed");
    assert_eq!(statuses(&site)["kept"]["pid"], json!(kept));
    assert_eq!(site.journal().iter().filter(|line| line.starts_with("kept")).count(), 1);
    second.ends();
}

#[test]
fn a_file_that_is_wrong_just_then_leaves_everything_as_it_is() {
    let site = Site::new();
    let text = file(&[child("db", "")]);
    let first = site.start(&text);
    first.journals("db start");
    let pid = first.started("db");
    kill(first);
    site.write("navigator.yml", "managed_processes: 7\n");
    site.command(["navigator.yml"]).start().ended();
    assert!(leftovers::process(pid).is_some_and(|process| leftovers::is_alive(&process)));
    site.write("navigator.yml", &text);
    let (second, taken_over) = next(&site);
    assert_eq!(taken_over.field("names"), Some("db"));
    second.ends();
    assert_eq!(site.journal(), ["db start", "db term", "db exit"]);
}

/// Writes a numbered line each hundredth of a second, to its output.
const WRITER: &str = "$| = 1; for (my $n = 1; ; $n++) { print \"line $n\\n\" or die; select undef, undef, undef, 0.01 }\n";

#[test]
fn output_is_read_on_from_where_it_was() {
    let site = Site::new();
    site.write("writer.pl", WRITER);
    let process = "command: perl, args: [writer.pl]";
    let first = site.start(&format!(
        "managed_processes:\n  - {{ name: filed, {process}, output: {{ file: filed.log }} }}\n  - {{ name: logged, {process} }}\n"
    ));
    first.log().until("lines in the file", || site.read("filed.log").contains("line 20\n").then_some(()));
    first.says("logged", |line| line == "line 20");
    kill(first);
    let length = site.read("filed.log").len();
    let (second, _) = next(&site);
    second.log().until("more lines in the file", || (site.read("filed.log").len() > length + 400).then_some(()));
    let said = second.says("logged", |_| true);
    let number: u32 = said.message.trim_start_matches("line ").parse().unwrap_or_else(|_| panic!("{said:?}"));
    second.says("logged", |line| line == format!("line {}", number + 20));
    second.ends();
    // Every line that the former navigator has not read is there, whole and in order. What it had read and not written is lost.
    let numbers: Vec<u32> = site
        .read("filed.log")
        .lines()
        .map(|line| line.strip_prefix("line ").and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{line}")))
        .collect();
    assert!(numbers.is_sorted_by(|one, other| one < other), "{numbers:?}");
    assert!(numbers.len() + 5 > numbers.last().map_or(0, |last| usize::try_from(*last).expect("small")), "{numbers:?}");
}

#[test]
fn notifications_arrive_at_the_next_navigator() {
    let site = Site::new();
    let text = "managed_processes:
  - name: early
    command: sh
    args: [-c, 'echo \"$NOTIFY_SOCKET\" >early; . \"$FIXTURES/idle.sh\"; trap \"exit 0\" TERM; idle']
    output: null
    ready: { notify: true }
";
    let first = site.start(text);
    first.log().until("its socket", || (!fs::read_to_string(site.path("early")).unwrap_or_default().is_empty()).then_some(()));
    let path = site.read("early").trim().to_owned();
    first.started("early");
    kill(first);
    let (second, _) = next(&site);
    assert_eq!(statuses(&site)["early"]["state"], "starting");
    let sender = UnixDatagram::unbound().expect("a socket");
    sender.send_to(b"READY=1", &path).expect("the socket is open again");
    second.event("Process ready", "early");
    second.ends();
}

#[test]
fn whole_trees_are_stopped_and_ended_after_a_takeover() {
    let site = Site::new();
    site.script("family.sh", &format!("{FAMILY}exec env -i sleep 3600\n"));
    let first = site.start(
        "managed_processes:
  - { name: family, command: ./family.sh, output: null, stop: { timeout: 500ms } }
  - { name: headless, command: ./family.sh, output: null, stop: { timeout: 500ms } }
",
    );
    let family = both_families(&first);
    let headless = first.started("headless");
    kill(first);
    // A tree whose main process has ended meanwhile is stopped.
    leftovers::send(&leftovers::process(headless).expect("it was left"), Signal::KILL);
    let (second, _) = next(&site);
    second.event("Stopping remaining processes", "headless");
    second.event("Process failed", "headless");
    let mut second = second;
    second.signal(Signal::TERM);
    second.log().wait_for_exit();
    let left: Vec<String> = family.iter().filter(|process| leftovers::is_alive(process)).map(leftovers::describe).collect();
    assert_eq!(left, Vec::<String>::new());
    second.exits(0);
}

#[test]
fn of_many_starts_after_a_kill_one_takes_over() {
    let site = Site::new();
    let first = site.start(&file(&[child("db", "")]));
    has_started(&first, "db");
    kill(first);
    let all: Vec<_> = (0..20).map(|_| site.command(["navigator.yml"]).start()).collect();
    let (mut running, mut refused) = (Vec::new(), 0);
    for navigator in all {
        let outcome = navigator.log().until("an outcome", || {
            let takes_over = navigator.events().iter().any(|event| event.message == "Processes taken over");
            if takes_over { Some(true) } else { navigator.log().has_ended().then_some(false) }
        });
        if outcome {
            running.push(navigator);
        } else {
            assert_eq!(navigator.ended().code, Some(1));
            refused += 1;
        }
    }
    assert_eq!((running.len(), refused), (1, 19));
    running.remove(0).ends();
    assert_eq!(site.journal(), ["db start", "db term", "db exit"]);
}

#[test]
fn a_number_that_passed_to_another_process_is_left_alone() {
    let test = "taken_over::a_number_that_passed_to_another_process_is_left_alone";
    if !servers::root(test) || !servers::permitted(test, &["test", "-w", "/proc/sys/kernel/ns_last_pid"]) {
        return;
    }
    let site = Site::new();
    let first =
        site.start("managed_processes:\n  - { name: web, command: sleep, args: ['3600'], output: null, restart: always }\n");
    let web = first.started("web");
    let log = first.log().describe();
    kill_both(first);
    let process = leftovers::process(web).expect("it was left");
    leftovers::send(&process, Signal::KILL);
    let until = Instant::now() + Duration::from_secs(30);
    // Another process may get the number first. Then it has to be tried again.
    let heir = loop {
        assert!(Instant::now() < until, "the number comes again\n{log}");
        fs::write("/proc/sys/kernel/ns_last_pid", (web - 1).to_string()).expect("it may be written");
        let heir = Bystander::start(Command::new("sleep").arg("3600"));
        if heir.pid() == web {
            break heir;
        }
    };
    let (second, taken_over) = next(&site);
    assert_eq!((taken_over.field("names"), taken_over.field("ended")), (Some(""), Some("1")));
    second.event("Process started", "web");
    second.ends();
    heir.is_unharmed();
}

#[test]
fn neither_secrets_nor_descriptors_pass_to_another_life() {
    let site = Site::new();
    site.write("secret.env", "TOKEN=canary-4711\n");
    let web = "  - { name: web, command: sleep, args: ['3600'] }\n".to_owned();
    let text = file(&[child("db", ", env_file: [secret.env]"), web]);
    let first = site.start(&text);
    has_started(&first, "db");
    first.started("web");
    kill(first);
    let (second, _) = next(&site);
    site.asks(&["restart", "web"], 0);
    let web = statuses(&site)["web"]["pid"].as_u64().expect("it runs");
    // At its start it opens its libraries for a moment.
    second.log().until("its three descriptors and no other", || {
        let listed = fs::read_dir(format!("/proc/{web}/fd")).expect("it runs");
        let mut descriptors: Vec<u32> = listed.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
        descriptors.sort_unstable();
        (descriptors == [0, 1, 2]).then_some(())
    });
    let state = socket::instance(&site);
    for name in ["runs", "facts", "id"] {
        let text = String::from_utf8_lossy(&fs::read(state.join(name)).expect("it is there")).into_owned();
        assert!(!text.contains("canary"), "{name}: {text}");
    }
    second.ends();
}

/// How often the next test kills navigator; `KILLS` asks for more.
fn kills() -> u32 {
    std::env::var("KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(12)
}

#[test]
fn killed_at_any_moment_no_process_notices() {
    let site = Site::new();
    let names = ["a", "b", "c", "d"];
    let text = file(&names.map(|name| child(name, ", output: null")));
    let seed = u64::from(std::process::id());
    let mut dice = seed;
    let mut roll = |below: u64| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (dice >> 33) % below
    };
    let first = site.start(&text);
    for name in names {
        has_started(&first, name);
    }
    kill(first);
    let mut pids = BTreeMap::new();
    for round in 0..kills() {
        let navigator = site.command(["navigator.yml"]).start();
        // It says nine lines at least until it stays.
        let lines = usize::try_from(roll(4)).expect("small");
        navigator.log().wait_for("some lines", |said| (said.len() >= lines).then_some(()));
        let moment = Instant::now() + Duration::from_micros(roll(8000));
        while Instant::now() < moment {
            std::hint::spin_loop();
        }
        if roll(4) == 0 {
            navigator.wait("the takeover", |event| event.message == "Configuration unchanged");
            let now: BTreeMap<String, Value> =
                statuses(&site).into_iter().map(|(name, process)| (name, process["pid"].clone())).collect();
            if !pids.is_empty() {
                assert_eq!(now, pids, "round {round} of seed {seed}\n{}", navigator.log().describe());
            }
            pids = now;
        }
        kill(navigator);
    }
    let (last, taken_over) = next(&site);
    assert_eq!((taken_over.field("names"), taken_over.field("ended")), (Some("a b c d"), Some("0")), "seed {seed}");
    last.ends();
    let mut starts: Vec<String> = site.journal().into_iter().filter(|line| line.ends_with("start")).collect();
    starts.sort();
    assert_eq!(starts, names.map(|name| format!("{name} start")), "seed {seed}");
    report(&format!("{} kills, seed {seed}", kills()));
}
