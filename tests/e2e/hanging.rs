//! Programs that hang in `execve`: each fails after ten seconds, and no process of another user waits for them.

use crate::harness::entry::Event;
use crate::harness::{Navigator, Signal, Site, servers};
use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The user of the hanging programs: name and uid.
const HANGS: (&str, u32) = ("nobody", 65534);

/// The reason of such a failed start.
const TOO_LONG: &str = "it was not executed within 10s";

/// A process that holds a lease on a program, which blocks each `execve(2)` of it.
struct Lease(Child);

impl Lease {
    #[expect(clippy::disallowed_methods, reason = "it is no process of navigator's, and the test waits for it")]
    fn on(program: &Path) -> Lease {
        let lease = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/e2e/lease.pl");
        let mut command = Command::new("setpriv");
        command.args(["--reuid", HANGS.0, "--regid", "nogroup", "--clear-groups", lease]).arg(program);
        let mut holder = command.stdout(Stdio::piped()).spawn().expect("it can be run");
        let mut said = [0; 5];
        holder.stdout.take().expect("a pipe").read_exact(&mut said).expect("it says when it has the lease");
        Lease(holder)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        drop(self.0.kill().and_then(|()| self.0.wait()));
    }
}

/// Processes with hanging programs, and the leases that block them.
struct Hanging {
    names: Vec<String>,
    /// The start of a configuration that lists all of them.
    list: String,
    leases: Vec<Lease>,
}

impl Hanging {
    /// `count` processes with their own programs; `with` is appended to their definitions. `None` if this host can't do that.
    fn new(site: &Site, count: usize, with: &str, test: &str) -> Option<Hanging> {
        if !servers::root(test) || !servers::present(test, &["setpriv", "perl"]) {
            return None;
        }
        let names: Vec<String> = (0..count).map(|number| format!("hangs-{number}")).collect();
        let mut list = vec!["managed_processes:\n".to_owned()];
        let mut leases = Vec::new();
        for name in &names {
            let program = program(site, name);
            let command = program.display();
            let process = format!("name: {name}, command: {command}, args: ['3600'], user: {}, depends_on: []", HANGS.0);
            list.push(format!("  - {{ {process}{with} }}\n"));
            leases.push(Lease::on(&program));
        }
        Some(Hanging { names, list: list.concat(), leases })
    }

    /// Waits for the first failure of each.
    fn failures(&self, navigator: &Navigator<'_>) -> Vec<Event> {
        let has_failed = |event: &Event, name: &str| {
            event.field("name") == Some(name) && event.field("reason").is_some_and(|reason| reason.contains(TOO_LONG))
        };
        self.names.iter().map(|name| navigator.wait("a start that has failed", |event| has_failed(event, name))).collect()
    }
}

/// A program of the user of the hanging programs.
fn program(site: &Site, name: &str) -> PathBuf {
    let program = site.path(name);
    fs::copy("/bin/sleep", &program).expect("the site can be written");
    chown(&program, Some(HANGS.1), None).expect("root may do that");
    program
}

/// A process that does not hang, without dependencies.
fn well(name: &str, with: &str) -> String {
    format!("  - {{ name: {name}, command: sleep, args: ['3600'], depends_on: []{with} }}\n")
}

#[test]
fn five_hanging_programs_delay_no_process_of_another_user() {
    let test = "hanging::five_hanging_programs_delay_no_process_of_another_user";
    let site = Site::new();
    let with = ", restart: on-failure, backoff: { initial: 100ms, jitter: 0 }";
    let Some(mut hanging) = Hanging::new(&site, 5, with, test) else { return };
    let processes = [hanging.list.clone(), well("other", ", user: daemon"), well("own", "")];
    let mut navigator = site.start(&processes.concat());
    let submitted = navigator.wait("the configuration", |event| event.message == "Configuration loaded");
    let started = ["other", "own"].map(|name| {
        let started = navigator.event("Process started", name);
        let took = started.at.duration_since(submitted.at);
        assert!(took < Duration::from_secs(1), "`{name}` took {took:?}\n{}", navigator.log().describe());
        started
    });
    let failures = hanging.failures(&navigator);
    for failed in &failures {
        assert!(started.iter().all(|started| started.index < failed.index), "{}", navigator.log().describe());
        // Four hang at once, and the fifth after they have failed.
        assert!(failed.at.duration_since(started[0].at) > Duration::from_secs(5), "{}", navigator.log().describe());
    }
    hanging.leases.clear();
    for name in &hanging.names {
        navigator.event("Process started", name);
    }
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn more_hanging_programs_than_concurrent_starts_delay_no_other_user() {
    let test = "hanging::more_hanging_programs_than_concurrent_starts_delay_no_other_user";
    let site = Site::new();
    let Some(hanging) = Hanging::new(&site, 20, "", test) else { return };
    let mut navigator = site.start(&(hanging.list.clone() + &well("other", ", user: daemon") + &well("own", "")));
    let started = ["other", "own"].map(|name| navigator.event("Process started", name));
    // A process that is added later.
    site.write(
        "navigator.yml",
        &(hanging.list.clone() + &well("other", ", user: daemon") + &well("own", "") + &well("late", "")),
    );
    let late = navigator.event("Process started", "late");
    let first = navigator.wait("a start that has failed", |event| event.message == "Process failed");
    assert!(started.iter().chain([&late]).all(|event| event.index < first.index), "{}", navigator.log().describe());
    assert!(first.field("reason").is_some_and(|reason| reason.contains(TOO_LONG)), "{first:?}");
    // Starts that wait for a spawner are cancelled; otherwise they would hang as well.
    navigator.signal(Signal::QUIT);
    let ended = navigator.exits(130);
    assert!(!ended.stderr().contains("Process survives KILL"), "{}", ended.description);
}

/// The next process in the list only waited, so its own timeout begins later.
#[test]
fn a_start_that_waits_for_a_hanging_one_does_not_fail_with_it() {
    let test = "hanging::a_start_that_waits_for_a_hanging_one_does_not_fail_with_it";
    let site = Site::new();
    let Some(hanging) = Hanging::new(&site, 1, "", test) else { return };
    let behind = "  - { name: next, command: sleep, args: ['3600'] }\n  - { name: last, command: sleep, args: ['3600'] }\n";
    let mut navigator = site.start(&(hanging.list.clone() + behind));
    let child = navigator.log().until("the child that hangs", || {
        let children = navigator.descendants().into_iter().map(|child| format!("/proc/{}", child.pid));
        let hangs = |child: &String| fs::read_to_string(format!("{child}/status")).is_ok_and(|status| is_of_user(&status));
        children.into_iter().find(hangs)
    });
    // It shares root's memory and runs as another user. So it is undumpable, and files about its memory belong to root.
    assert_eq!(fs::metadata(child + "/environ").expect("it hangs").uid(), 0, "it is dumpable");
    let failed = hanging.failures(&navigator);
    assert_eq!(failed[0].message, "Process failed");
    let next = navigator.event("Process started", "next");
    assert!(next.index > failed[0].index, "{}", navigator.log().describe());
    navigator.event("Process started", "last");
    assert_eq!(navigator.count("Process failed", "next") + navigator.count("Process failed", "last"), 0);
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

/// Whether a `/proc/PID/status` belongs to a process of the user.
fn is_of_user(status: &str) -> bool {
    status.lines().any(|line| line.starts_with("Uid:") && line.split_whitespace().nth(2) == Some(&HANGS.1.to_string()))
}
