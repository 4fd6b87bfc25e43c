//! Navigator is killed, and started again with `--fresh`: what it left is stopped, gently and in order, and nothing else is.

use crate::harness::entry::Event;
use crate::harness::{Bystander, Navigator, Signal, Site, leftovers, report, servers};
use crate::taken_over::kill;
use leftovers::Process;
use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What is said of everything that was left.
const LEFT: &str = "left by a navigator that was killed";

/// A list of processes that journal their lives. Nobody reads their output once navigator is dead, so they have none.
fn listed(names: &[&str]) -> String {
    let process =
        |name: &&str| format!("  - {{ name: {name}, command: \"${{FIXTURES}}/child.sh\", args: [{name}], output: null }}\n");
    format!("managed_processes:\n{}", names.iter().map(process).collect::<String>())
}

/// Starts the next navigator, which ends what the former one left.
fn fresh<'s>(site: &'s Site, configuration: &str) -> Navigator<'s> {
    site.write("navigator.yml", configuration);
    site.command(["navigator.yml", "--fresh"]).start()
}

/// The events about what was left, as `MESSAGE NAME`.
fn about_left(events: &[Event]) -> Vec<String> {
    let of_left = events.iter().filter(|event| event.field("reason") == Some(LEFT));
    of_left.map(|event| format!("{} {}", event.message, event.field("name").unwrap_or_default())).collect()
}

#[test]
fn what_was_left_is_stopped_in_reverse_order_before_anything_starts() {
    let site = Site::new();
    let first = site.start(&listed(&["a", "b", "c"]));
    for name in ["a", "b", "c"] {
        first.journals(&format!("{name} start"));
    }
    let leaders = ["a", "b", "c"].map(|name| first.started(name));
    kill(first);
    let mut second = fresh(&site, &listed(&["a", "new"]));
    second.started("new");
    let stopped = ["c term", "c exit", "b term", "b exit", "a term", "a exit"];
    let journal = site.journal();
    assert_eq!(journal[3..9], stopped, "{journal:?}");
    let events = second.events();
    let told = [
        "Stopping process c",
        "Process stopped c",
        "Stopping process b",
        "Process stopped b",
        "Stopping process a",
        "Process stopped a",
    ];
    assert_eq!(about_left(&events), told);
    let pids: Vec<u32> = events.iter().filter(|event| event.message == "Stopping process").map(Event::pid).collect();
    assert_eq!(pids, [leaders[2], leaders[1], leaders[0]]);
    let found = second.wait("what was found", |event| event.message == "Found processes left by a killed navigator");
    assert_eq!((found.field("processes"), found.field("names")), (Some("3"), Some("a b c")));
    second.signal(Signal::TERM);
    second.exits(0);
    // The third one finds nothing, and says nothing.
    let mut third = site.command(["navigator.yml"]).start();
    third.started("new");
    third.signal(Signal::TERM);
    let ended = third.exits(0);
    assert!(!ended.stderr().contains("left by a killed navigator"), "{}", ended.description);
}

#[test]
fn a_start_that_waits_for_the_one_before_it_ends_with_navigator() {
    let site = Site::new();
    let program = site.path("program");
    fs::copy("/bin/sleep", &program).expect("a program of the test's own");
    let mut holder = keep_from_being_executed(&program);
    let mut first = site.start(&format!(
        "managed_processes:\n  - {{ name: slow, command: {}, args: ['3600'] }}\n  - {{ name: behind, command: sleep, args: ['3600'] }}\n",
        program.display()
    ));
    // The one waits in its exec, the other one for that (`futex(2)`): both are still what they were cloned from. No other navigator
    // could know of them, so the keeper ends both.
    let children = first.log().until("two children", || {
        let children = first.descendants();
        (children.len() == 2).then_some(children)
    });
    let log = first.log().describe();
    first.signal(Signal::KILL);
    first.log().until("the end of both", || (!children.iter().any(leftovers::is_alive)).then_some(()));
    assert_eq!(first.ended().code, None, "it was killed: {log}");
    holder.kill().expect("it is our child");
    holder.wait().expect("it is our child");
    let mut second = fresh(&site, "managed_processes:\n  - { name: new, command: sleep, args: ['3600'] }\n");
    second.started("new");
    assert_eq!(children.iter().filter(|child| leftovers::is_alive(child)).count(), 0, "{}", second.log().describe());
    second.signal(Signal::TERM);
    second.exits(0);
}

/// Has every exec of a program hang until the process that this returns is killed: it has a lease on it (`fcntl(2)`, `F_SETLEASE`).
#[expect(clippy::disallowed_methods, reason = "the ban protects navigator's own reaper; a test has none")]
pub(crate) fn keep_from_being_executed(program: &Path) -> Child {
    let mut lease = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/e2e/lease.pl"));
    let mut holder = lease.arg(program).stdout(Stdio::piped()).spawn().expect("perl runs");
    let mut said = [0; 5];
    holder.stdout.take().expect("a pipe").read_exact(&mut said).expect("it says when it holds the lease");
    holder
}

#[test]
fn each_is_stopped_as_its_own_configuration_said_and_then_killed() {
    let site = Site::new();
    let first = site.start(
        r#"
managed_processes:
  - { name: deaf, command: "${FIXTURES}/child.sh", args: [deaf], env: { IGNORE: TERM }, output: null, stop: { timeout: 700ms } }
  - name: own
    command: sh
    args: [-c, '. "$FIXTURES/idle.sh"; trap "echo own quit >>$JOURNAL; exit 0" QUIT; echo own start >>$JOURNAL; idle']
    output: null
    stop: { signal: QUIT }
"#,
    );
    first.journals("deaf start");
    first.journals("own start");
    kill(first);
    let begun = Instant::now();
    let mut second = fresh(&site, "managed_processes:\n  - { name: own, command: sleep, args: ['3600'] }\n");
    let killed = second.event("Killing process", "deaf");
    assert!(killed.at - begun >= Duration::from_millis(700), "{}", second.log().describe());
    second.started("own");
    let journal = site.journal();
    assert!(journal.contains(&"own quit".to_owned()) && journal.contains(&"deaf ignored".to_owned()), "{journal:?}");
    second.signal(Signal::TERM);
    second.exits(0);
}

/// The beginning of a script that starts a family before it becomes the fifth member itself.
pub(crate) const FAMILY: &str =
    "#!/bin/sh\nsleep 3601 &\nsetsid sleep 3602 &\n(setsid sh -c 'trap \"\" TERM; while :; do sleep 3603; done' &)\n";

/// Waits for all members of two families. They are ten, because the one that ignores TERM is a shell and its child.
pub(crate) fn both_families(navigator: &Navigator<'_>) -> BTreeSet<Process> {
    navigator.log().until("both families", || {
        let seen = navigator.descendants();
        let sleeps = seen.iter().filter(|process| leftovers::describe(process).contains(" sleep 36")).count();
        (sleeps == 10).then_some(seen)
    })
}

#[test]
fn whole_trees_go_also_where_the_leader_has_wiped_its_environment() {
    let site = Site::new();
    site.script("family.sh", &format!("{FAMILY}exec env -i sleep 3600\n"));
    site.script("orphans.sh", &format!("{FAMILY}exec sleep 3600\n"));
    let first = site.start(
        "managed_processes:\n  - { name: family, command: ./family.sh, output: null, stop: { timeout: 500ms } }\n  - { name: orphans, command: ./orphans.sh, output: null, stop: { timeout: 500ms } }\n",
    );
    let seen = both_families(&first);
    let orphans = first.started("orphans");
    kill(first);
    // A tree without its leader is left, too.
    leftovers::send(&leftovers::process(orphans).expect("it was left"), Signal::KILL);
    let mut second = fresh(&site, "managed_processes: []\n");
    for name in ["family", "orphans"] {
        second.wait("its end", |event| event.is("Process stopped", name));
    }
    let left: Vec<String> = seen.iter().filter(|process| leftovers::is_alive(process)).map(leftovers::describe).collect();
    assert_eq!(left, Vec::<String>::new());
    second.signal(Signal::TERM);
    second.exits(0);
}

#[test]
fn nobody_else_is_touched() {
    let site = Site::new();
    let first = site.start("managed_processes:\n  - { name: web, command: sleep, args: ['3600'], output: null }\n");
    let web = first.started("web");
    let mark = first.variable(web, "NAVIGATOR_RUN");
    let (instance, _) = mark.split_once('.').expect("a mark begins with the instance");
    // The same program with the same arguments; one that says so itself; and those that another navigator started.
    let twin = Bystander::start(Command::new("sleep").arg("3600"));
    let other_mark = mark.replace(instance, "0123456789abcdef");
    let marked = Bystander::start(Command::new("sleep").arg("3600").env("NAVIGATOR_RUN", &other_mark));
    site.write("other.yml", "managed_processes:\n  - { name: web, command: sleep, args: ['3600'], output: null }\n");
    let mut other = site.command(["other.yml"]).env("NAVIGATOR_PID_FILE", site.path("other.pid")).start();
    let others_web = leftovers::process(other.started("web")).expect("it runs");
    kill(first);
    let mut second = fresh(&site, "managed_processes: []\n");
    second.event("Process stopped", "web");
    twin.is_unharmed();
    marked.is_unharmed();
    assert!(leftovers::is_alive(&others_web));
    for navigator in [&mut second, &mut other] {
        navigator.signal(Signal::TERM);
    }
    second.log().wait_for_exit();
    let ended = other.exits(0);
    assert!(!ended.stderr().contains("Process crashed"), "{}", ended.description);
    second.exits(0);
}

#[test]
fn a_number_that_passed_to_somebody_else_is_not_signalled() {
    let test = "killed::a_number_that_passed_to_somebody_else_is_not_signalled";
    if !servers::root(test) || !servers::permitted(test, &["test", "-w", "/proc/sys/kernel/ns_last_pid"]) {
        return;
    }
    let site = Site::new();
    let mut first = site.start("managed_processes:\n  - { name: web, command: sleep, args: ['3600'], output: null }\n");
    let web = first.started("web");
    first.kill_with_keepers();
    first.log().wait_for_exit();
    leftovers::send(&leftovers::process(web).expect("it was left"), Signal::KILL);
    // Whoever else starts something just now may come first; then it has to be tried again.
    let heir = first.log().until("the number comes again", || {
        fs::write("/proc/sys/kernel/ns_last_pid", (web - 1).to_string()).expect("it may be written");
        let heir = Bystander::start(Command::new("sleep").arg("3600"));
        (heir.pid() == web).then_some(heir)
    });
    let mut second = fresh(&site, "managed_processes:\n  - { name: new, command: sleep, args: ['3600'] }\n");
    second.started("new");
    second.signal(Signal::TERM);
    let ended = second.exits(0);
    heir.is_unharmed();
    assert!(!ended.stderr().contains("left by a killed navigator"), "{}", ended.description);
}

#[test]
fn a_damaged_record_is_put_aside_and_marks_tell_all_the_same() {
    let site = Site::new();
    let first = site.start(&listed(&["a", "b"]));
    first.journals("a start");
    first.journals("b start");
    kill(first);
    let instance =
        fs::read_dir(site.path("state")).expect("it has a state").next().expect("of one instance").expect("to be read");
    let record = instance.path().join("runs");
    let length = fs::metadata(&record).expect("something was noted").len();
    fs::write(&record, vec![b'\n'; usize::try_from(length).expect("it is short")]).expect("it is ours");
    let mut second = fresh(&site, "managed_processes: []\n");
    for name in ["a", "b"] {
        second.wait("its end", |event| event.is("Process stopped", name));
    }
    second.wait("the damage", |event| event.message == "Moved the damaged journal aside");
    assert!(instance.path().join("runs.damaged").exists());
    second.signal(Signal::TERM);
    second.exits(0);
    assert!(!record.exists(), "nothing is left to be noted");
}

/// How often the next test kills navigator; `KILLS` asks for more.
fn kills() -> u32 {
    std::env::var("KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(12)
}

#[test]
fn killed_at_any_moment_it_leaves_nothing_that_the_next_one_does_not_end() {
    let site = Site::new();
    let twin = Bystander::start(Command::new("sleep").arg("3600"));
    let configurations = [listed(&["a", "b", "c", "d"]), listed(&["b", "d", "e"]), listed(&["d", "a"])];
    let seed = u64::from(std::process::id());
    let mut dice = seed;
    let mut roll = |below: u64| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (dice >> 33) % below
    };
    for round in 0..kills() {
        let mut navigator = site.start(&configurations[usize::try_from(roll(3)).expect("small")]);
        // Each of them says six lines at least while it starts, and two when it stops.
        let lines = usize::try_from(roll(7)).expect("small");
        navigator.log().wait_for("some lines", |said| (said.len() >= lines).then_some(()));
        match roll(3) {
            0 => navigator.signal(Signal::TERM),
            1 => {
                site.write("navigator.yml", &configurations[usize::try_from(roll(3)).expect("small")]);
                navigator.signal(Signal::HUP);
            }
            _ => {}
        }
        // Between two lines there are moments, too.
        let moment = Instant::now() + Duration::from_micros(roll(8000));
        while Instant::now() < moment {
            std::hint::spin_loop();
        }
        navigator.signal(Signal::KILL);
        let former = navigator.ended();
        let before = site.living();
        let mut next = fresh(&site, "managed_processes: []\n");
        next.wait("its configuration", |event| event.message == "Configuration loaded");
        let left: Vec<String> = before.iter().filter(|process| leftovers::is_alive(process)).map(leftovers::describe).collect();
        assert!(left.is_empty(), "round {round} of seed {seed}: {left:?}\n{}\n{}", former.description, next.log().describe());
        next.signal(Signal::TERM);
        next.exits(0);
    }
    twin.is_unharmed();
    report(&format!("{} kills, seed {seed}", kills()));
}
