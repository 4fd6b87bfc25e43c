//! A process of another user forges run marks and control groups. After a kill and restart, navigator adopts no forger, signals
//! none, and waits for none.

use crate::harness::{Navigator, Signal, Site, leftovers, servers};
use crate::tiers::has_groups;
use leftovers::Process;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

/// The user of `web`: `nobody` on every host.
const USER: u32 = 65534;

/// Starts forgers in their own sessions, records their pids, and then runs an ordinary program. The last two have no mark: the
/// test puts them into forged control groups.
const WEB: &str = r#"#!/bin/sh
own=${NAVIGATOR_RUN##*,}
writer=${own%%/*}
hash=${own##*/}
forge() {
    env -i ${1:+NAVIGATOR_RUN="$1"} setsid sleep 3600 &
    echo $! >>"$SITE/forgers"
}
forge "$writer/db/2"
forge "$writer/db/2/$hash"
forge "$writer/db/2/0000000000000000"
forge "$writer/web/77/$hash"
forge "${writer%%.*}.4444444444444444/db/1/$hash"
forge "$writer/db/2/$hash,$writer/db/3"
forge ""
forge ""
exec sleep 3601
"#;

/// Number of forgers, and how many of them are in forged control groups.
const FORGERS: (usize, usize) = (8, 2);

const CONFIGURATION: &str = "managed_processes:
  - { name: web, command: ./web.sh, user: 65534, output: null }
  - { name: db, command: sleep, args: ['3600'], output: null }
";

/// Processes and control groups of the test, removed at its end.
struct Forged {
    forgers: Vec<Process>,
    directory: PathBuf,
}

impl Drop for Forged {
    fn drop(&mut self) {
        for forger in &self.forgers {
            leftovers::send(forger, Signal::KILL);
        }
        wait_for_ends(&self.forgers);
        remove(&self.directory);
    }
}

/// Waits until killed processes have ended.
fn wait_for_ends(processes: &[Process]) {
    while processes.iter().any(leftovers::is_alive) {
        std::thread::yield_now();
    }
}

/// Removes a control group and all below it.
fn remove(directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten().filter(|entry| entry.path().is_dir()) {
        remove(&entry.path());
    }
    // The kernel may not have counted the last exit yet.
    while fs::remove_dir(directory).is_err_and(|error| error.kind() == std::io::ErrorKind::ResourceBusy) {
        std::thread::yield_now();
    }
}

/// Moves a process into the control group at a directory, which then belongs to its user.
fn put(forger: &Process, directory: &Path) {
    fs::create_dir_all(directory).expect("a control group");
    chown(directory, Some(USER), Some(USER)).expect("it is ours");
    fs::write(directory.join("cgroup.procs"), forger.pid.to_string()).expect("it can be moved");
}

/// The control group of a process, as in `/proc/PID/cgroup`.
fn group(pid: u32) -> String {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("it runs");
    groups.lines().find_map(|line| line.strip_prefix("0::")).expect("it is in a group").to_owned()
}

/// Where control groups of version 2 are mounted.
fn mount() -> PathBuf {
    let mounts = fs::read_to_string("/proc/mounts").expect("there are mounts");
    let mount = mounts.lines().find(|line| line.split(' ').nth(2) == Some("cgroup2")).expect("it is mounted");
    PathBuf::from(mount.split(' ').nth(1).expect("each is somewhere"))
}

/// Waits until each forger runs its program.
fn forgers(navigator: &Navigator<'_>, site: &Site) -> Vec<Process> {
    navigator.log().until("the forgers", || {
        let pids = site.read("forgers");
        let forgers: Vec<Process> = pids.lines().filter_map(|pid| leftovers::process(pid.parse().ok()?)).collect();
        let are_up = forgers.iter().all(|forger| leftovers::describe(forger) == format!("{} sleep 3600", forger.pid));
        (are_up && forgers.len() == FORGERS.0).then_some(forgers)
    })
}

#[test]
fn forged_marks_and_groups_are_not_adopted_after_navigator_was_killed() {
    let test = "forged::forged_marks_and_groups_are_not_adopted_after_navigator_was_killed";
    if !servers::root(test) || !has_groups(test) {
        return;
    }
    let site = Site::new();
    site.script("web.sh", WEB);
    let list = site.write("forgers", "");
    fs::set_permissions(list, fs::Permissions::from_mode(0o666)).expect("it is ours");
    let mut first = site.start(CONFIGURATION);
    let real = ["web", "db"].map(|name| leftovers::process(first.started(name)).expect("it runs"));
    let forgers = forgers(&first, &site);

    // They leave the group of `web` and have their own sessions, so only the forgeries name a run.
    let life = group(real[0].pid);
    let life = life.split('/').find(|part| part.starts_with("navigator-")).expect("the groups of one life").to_owned();
    let directory = mount().join(format!("forged-{}", std::process::id()));
    let forged = Forged { forgers, directory };
    let (marked, grouped) = forged.forgers.split_at(FORGERS.0 - FORGERS.1);
    for forger in marked {
        put(forger, &forged.directory.join("plain"));
    }
    let (instance, _) = life.split_once('.').expect("instance and life");
    put(&grouped[0], &forged.directory.join(&life).join("2.db"));
    put(&grouped[1], &forged.directory.join(format!("{instance}.4444444444444444/1.db")));

    first.kill_with_keepers();
    let log = first.log().describe();
    assert_eq!(first.ended().code, None, "it was killed: {log}");
    for process in &real {
        leftovers::send(process, Signal::KILL);
    }
    wait_for_ends(&real);
    site.write("navigator.yml", "managed_processes:\n  - { name: db, command: sleep, args: ['3600'], output: null }\n");
    let mut second = site.command(["navigator.yml", "--fresh"]).start();
    second.started("db");
    let harmed: Vec<u32> = forged.forgers.iter().filter(|forger| !leftovers::is_alive(forger)).map(|forger| forger.pid).collect();
    assert_eq!(harmed, Vec::<u32>::new(), "{}", second.log().describe());
    second.signal(Signal::TERM);
    let ended = second.exits(0);
    assert!(!ended.stderr().contains("left by a killed navigator"), "{}", ended.description);
    assert_eq!(ended.events().iter().filter(|event| event.is("Stopping process", "db")).count(), 1, "{}", ended.description);
    assert!(forged.forgers.iter().all(leftovers::is_alive), "{}", ended.description);
}
