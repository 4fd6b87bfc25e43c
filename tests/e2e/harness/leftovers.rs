//! Which processes of a test still live: found by a variable in their environment, or by having been seen below
//! navigator.
//!
//! Neither sign is enough alone. A program that writes its title over its environment (PostgreSQL, Ruby) has lost the
//! variable; a process that is born after the look at the tree was never seen.

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// A process that is not mistaken for another one after its number was given out again: number and start time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    born: String,
}

/// What `/proc/PID/stat` says of interest.
struct Stat {
    state: char,
    parent: u32,
    born: String,
}

fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, also parentheses.
    let fields: Vec<&str> = text.rsplit_once(") ")?.1.split(' ').collect();
    Some(Stat {
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        born: (*fields.get(19)?).to_owned(),
    })
}

/// As [`stat`], of what still runs: a zombie doesn't.
fn living(pid: u32) -> Option<Stat> {
    stat(pid).filter(|stat| !matches!(stat.state, 'Z' | 'X'))
}

fn all_pids() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc").expect("/proc is mounted").filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// Every living descendant of `ancestor`, itself not included.
pub(crate) fn descendants(ancestor: u32) -> BTreeSet<Process> {
    let stats: BTreeMap<u32, Stat> = all_pids().filter_map(|pid| Some((pid, living(pid)?))).collect();
    let descends = |pid: u32| {
        // A number that was given out again between two reads could close a circle.
        std::iter::successors(stats.get(&pid), |stat| stats.get(&stat.parent))
            .take(stats.len())
            .any(|stat| stat.parent == ancestor)
    };
    stats.iter().filter(|(pid, _)| descends(**pid)).map(|(pid, stat)| Process { pid: *pid, born: stat.born.clone() }).collect()
}

/// Every living process whose environment holds `variable` (`NAME=value`).
pub(crate) fn carrying(variable: &str) -> BTreeSet<Process> {
    let carries = |pid: &u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|entry| entry == variable.as_bytes())
    };
    all_pids().filter(carries).filter_map(|pid| Some(Process { pid, born: living(pid)?.born })).collect()
}

pub(crate) fn is_alive(process: &Process) -> bool {
    living(process.pid).is_some_and(|stat| stat.born == process.born)
}

/// The living process of this number.
pub(crate) fn process(pid: u32) -> Option<Process> {
    Some(Process { pid, born: living(pid)?.born })
}

/// The children of `parent` that have ended and that it hasn't waited for.
pub(crate) fn zombies(parent: u32) -> Vec<u32> {
    all_pids().filter(|pid| stat(*pid).is_some_and(|stat| stat.parent == parent && stat.state == 'Z')).collect()
}

/// Whether a process is a keeper of navigator.
pub(crate) fn is_keeper(process: &Process) -> bool {
    fs::read_to_string(format!("/proc/{}/comm", process.pid)).is_ok_and(|name| name == "nav-keeper\n")
}

/// The living keepers whose working directory is this one, or below it. They have it from their navigator.
pub(crate) fn keepers(directory: &Path) -> BTreeSet<Process> {
    let is_there =
        |process: &Process| fs::read_link(format!("/proc/{}/cwd", process.pid)).is_ok_and(|there| there.starts_with(directory));
    all_pids().filter_map(process).filter(is_keeper).filter(is_there).collect()
}

/// What a person recognizes it by.
pub(crate) fn describe(process: &Process) -> String {
    let line = fs::read(format!("/proc/{}/cmdline", process.pid)).unwrap_or_default();
    format!("{} {}", process.pid, String::from_utf8_lossy(&line).replace('\0', " ").trim_end())
}

/// Sends a signal to exactly this process, or to nobody if it has ended.
pub(crate) fn send(process: &Process, signal: Signal) {
    let Some(pid) = i32::try_from(process.pid).ok().and_then(Pid::from_raw) else { return };
    let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    // The handle may be of another process that got the number; the start time tells.
    if is_alive(process) {
        // It may end between the look and the signal, which is as good.
        let _ended = pidfd_send_signal(handle, signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::{Signal, Site};

    /// The promise of every other test, that nothing is left, would be empty if this failed.
    #[test]
    fn what_is_left_is_found_by_either_sign() {
        let site = Site::new();
        let ours = std::process::id();
        let started = site.command_through("sh", &["-c", "env -i sleep 3600 & echo ready; exec sleep 3600"], &[]).start();
        started.log().wait_for("both", |lines| (!lines.is_empty()).then_some(()));
        // Before its exec, `env` is still marked; so each has to have become what it is to be.
        let below = started.log().until("both by their command lines", || {
            let sleeps = |process: &Process| describe(process) == format!("{} sleep 3600", process.pid);
            let both: BTreeSet<Process> = descendants(started.pid()).into_iter().chain(process(started.pid())).collect();
            (both.len() == 2 && both.iter().all(sleeps)).then(|| descendants(ours))
        });
        let marked = carrying(&format!("NAVIGATOR_E2E={}", site.path("").display().to_string().trim_end_matches('/')));
        assert!(marked.iter().any(|process| process.pid == started.pid()), "{marked:?}");
        let wiped = descendants(started.pid());
        assert!(wiped.is_subset(&below) && wiped.is_disjoint(&marked), "{wiped:?} {marked:?}");
        for process in wiped.iter().chain(&marked) {
            assert!(is_alive(process));
            send(process, Signal::KILL);
        }
        started.log().until("their end", || wiped.iter().chain(&marked).all(|process| !is_alive(process)).then_some(()));
    }
}
