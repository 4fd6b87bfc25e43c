//! Log files and watched files on paths that a process's user can change, with navigator as root: that user must gain nothing
//! by it, and log directories of the user must work.

use crate::harness::{Navigator, Signal, Site, client, servers};
use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// A user without an account.
const USER: u32 = 61_234;

/// Duration of an attack; a minute when run by hand.
fn attack_time() -> Duration {
    let seconds = std::env::var("ATTACK_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(3))
}

fn directory(site: &Site, name: &str, owner: u32) -> PathBuf {
    let path = site.path(name);
    fs::create_dir(&path).expect("its name is new");
    fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("it is ours");
    chown(&path, Some(owner), Some(owner)).expect("the test is root");
    path
}

/// Everything below a directory: owner, mode, inode, content.
fn all(directory: &Path) -> BTreeMap<PathBuf, (u32, u32, u64, Vec<u8>)> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).expect("it is ours").flatten() {
        let (path, stat) = (entry.path(), fs::symlink_metadata(entry.path()).expect("nothing is removed here"));
        if stat.is_dir() {
            found.extend(all(&path));
        }
        let content = if stat.is_file() { fs::read(&path).expect("it is a file") } else { Vec::new() };
        found.insert(path, (stat.uid(), stat.mode(), stat.ino(), content));
    }
    found
}

/// The owners of the entries of a directory at one moment.
fn owners(directory: &Path) -> BTreeMap<PathBuf, u32> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| Some((entry.path(), fs::symlink_metadata(entry.path()).ok()?.uid()))).collect()
}

#[test]
fn a_log_directory_of_a_user_is_used_with_the_rights_of_that_user() {
    if !servers::root("log_files::a_log_directory_of_a_user_is_used_with_the_rights_of_that_user") {
        return;
    }
    let site = Site::new();
    let logs = directory(&site, "logs", USER);
    let mut navigator = site.start(&format!(
        "managed_processes:\n  - name: web\n    command: sh\n    args: [-c, 'i=0; while [ $i -lt 200 ]; do echo line $i; i=$((i+1)); done; sleep 1h']\n    \
         user: '{USER}'\n    group: '{USER}'\n    output: {{ file: logs/new/web.log, max_size: 500, keep: 3 }}\n"
    ));
    navigator.started("web");
    let inner = logs.join("new");
    let is_done = || fs::read_to_string(inner.join("web.log")).is_ok_and(|text| text.ends_with("line 199\n"));
    navigator.log().until("the last line", || is_done().then_some(()));
    let found = owners(&inner);
    assert_eq!(found.len(), 4, "{found:?}");
    assert!(found.values().all(|owner| *owner == USER) && owners(&logs)[&inner] == USER, "{found:?}");
    // A moved file is created again, with the rights of the user.
    fs::rename(inner.join("web.log"), inner.join("moved")).expect("it is there");
    navigator.signal(Signal::USR2);
    navigator.ends();
}

#[test]
fn a_link_of_root_is_followed_and_its_target_rotated() {
    if !servers::root("log_files::a_link_of_root_is_followed_and_its_target_rotated") {
        return;
    }
    let site = Site::new();
    let (logs, real) = (directory(&site, "logs", 0), directory(&site, "real", USER));
    std::os::unix::fs::symlink(real.join("web.log"), logs.join("web.log")).expect("its name is new");
    let navigator = site.start(&format!(
        "managed_processes:\n  - name: web\n    command: sh\n    args: [-c, 'i=0; while [ $i -lt 100 ]; do echo line $i; i=$((i+1)); done; sleep 1h']\n    \
         user: '{USER}'\n    group: '{USER}'\n    output: {{ file: logs/web.log, max_size: 500, keep: 1 }}\n"
    ));
    let is_done = || fs::read_to_string(real.join("web.log")).is_ok_and(|text| text.ends_with("line 99\n"));
    navigator.log().until("the last line", || is_done().then_some(()));
    assert_eq!(owners(&logs).len(), 1, "the link stays");
    let found = owners(&real);
    assert!(found.len() == 2 && found.values().all(|owner| *owner == USER), "{found:?}");
    navigator.ends();
}

#[test]
fn output_of_root_goes_to_no_directory_that_a_user_can_change() {
    if !servers::root("log_files::output_of_root_goes_to_no_directory_that_a_user_can_change") {
        return;
    }
    let site = Site::new();
    let logs = directory(&site, "logs", USER);
    let navigator = site.start(
        "logging: { file: logs/navigator.log }\nmanaged_processes:\n  - { name: web, command: sh, args: [-c, 'echo up; sleep 1h'], output: { file: logs/web.log } }\n",
    );
    let refused = format!("`{}` can be written by user {USER}: that user would act as root through it", logs.display());
    navigator.log().until("a refusal", || {
        navigator
            .log()
            .lines()
            .iter()
            .any(|line| line.text().contains(&refused) && line.text().contains("--trust-user"))
            .then_some(())
    });
    let ended = site.run(["doctor", "navigator.yml"]);
    assert!(ended.code == Some(1) && ended.stdout().matches(&refused).count() == 2, "{}", ended.description);
    assert_eq!(owners(&logs), BTreeMap::new());
    navigator.ends();
    let number = USER.to_string();
    let navigator = site.command(["--trust-user", &number, "navigator.yml"]).start();
    navigator.log().until("lines in the file", || (site.read("logs/web.log") == "up\n").then_some(()));
    navigator.ends();
}

/// Keeps replacing the log directory and log files by links to root's files, while it writes.
const ATTACKER: &str = r#"
while :; do
    echo "$(printf %0120d 7)"
    rm -rf log; ln -s ../../roots log; echo a; rm -f log
    mkdir log; ln -s ../../../roots/victim log/web.log; echo b; ln -s ../../../roots/victim log/web.log.1; echo c
    ln -f ../../roots/open log/web.log.2 2>/dev/null; rm -rf log
    mkdir log; mkfifo log/web.log; echo d; rm -rf log
    mkdir log; ln -s /dev/null log/web.log; echo e; rm -rf log
    mkdir log; for i in 1 2 3 4 5 6 7 8 9; do echo "$(printf %0120d $i)"; done
done
"#;

#[test]
fn a_user_that_replaces_files_and_directories_gains_nothing() {
    if !servers::root("log_files::a_user_that_replaces_files_and_directories_gains_nothing") {
        return;
    }
    let site = Site::new();
    let roots = directory(&site, "roots", 0);
    site.write("roots/victim", "root's own\n");
    site.write("roots/open", "root's own, and which any user may link\n");
    fs::set_permissions(roots.join("victim"), Permissions::from_mode(0o600)).expect("it is ours");
    fs::set_permissions(roots.join("open"), Permissions::from_mode(0o666)).expect("it is ours");
    let before = all(&roots);
    directory(&site, "app", 0);
    let theirs = directory(&site, "app/theirs", USER);
    let work = theirs.display().to_string();
    let mut navigator = site.start(&format!(
        "managed_processes:\n  - name: attacker\n    command: sh\n    args: [-c, {ATTACKER:?}]\n    working_dir: {work}\n    user: '{USER}'\n    \
         group: '{USER}'\n    restart: always\n    stop: {{ timeout: 1s }}\n    output: {{ file: {work}/log/web.log, max_size: 400, keep: 3 }}\n"
    ));
    navigator.started("attacker");
    let until = Instant::now() + attack_time();
    let mut restarts = 0;
    while Instant::now() < until {
        navigator.signal(Signal::USR2);
        site.run(["restart", "attacker"]);
        restarts += 1;
        assert_eq!(all(&roots), before, "what is root's has changed");
        assert_eq!(made_by_root(&theirs, &roots), Vec::<PathBuf>::new());
    }
    assert!(restarts > 0);
    navigator.signal(Signal::TERM);
    navigator.exits(0);
    assert_eq!(all(&roots), before, "what is root's has changed");
    assert_eq!(made_by_root(&theirs, &roots), Vec::<PathBuf>::new());
}

/// Files of root below a directory, except second names of files that lie elsewhere.
fn made_by_root(directory: &Path, elsewhere: &Path) -> Vec<PathBuf> {
    let known: Vec<u64> = all(elsewhere).into_values().map(|(_, _, inode, _)| inode).collect();
    let is_made = |path: &PathBuf| fs::symlink_metadata(path).is_ok_and(|stat| stat.uid() == 0 && !known.contains(&stat.ino()));
    walk(directory).into_iter().map(|(path, _)| path).filter(is_made).collect()
}

/// The owners of everything that exists below a directory at the moment.
fn walk(directory: &Path) -> Vec<(PathBuf, u32)> {
    let mut found = Vec::new();
    for (path, owner) in owners(directory) {
        if fs::symlink_metadata(&path).is_ok_and(|stat| stat.is_dir()) {
            found.extend(walk(&path));
        }
        found.push((path, owner));
    }
    found
}

/// A watched link of the user to a file that the user may not read: changes of the file must not be visible to the user.
#[test]
fn watched_files_are_read_with_the_rights_of_the_user() {
    if !servers::root("log_files::watched_files_are_read_with_the_rights_of_the_user") {
        return;
    }
    let site = Site::new();
    let (theirs, roots) = (directory(&site, "theirs", USER), directory(&site, "roots", 0));
    site.write("roots/secret", "one");
    fs::set_permissions(roots.join("secret"), Permissions::from_mode(0o600)).expect("it is ours");
    std::os::unix::fs::symlink("../roots/secret", theirs.join("link")).expect("its name is new");
    site.write("theirs/own", "one");
    let navigator = site.start(&format!(
        "managed_processes:\n  - {{ name: web, command: sleep, args: [1h], user: '{USER}', group: '{USER}', watch: [theirs/link, theirs/own] }}\n"
    ));
    navigator.started("web");
    site.write("roots/secret", "another");
    site.write("theirs/own", "another");
    let restarted = navigator.nth_event("Process started", "web", 1);
    let reasons: Vec<String> = navigator.events().iter().filter_map(|event| event.field("reason").map(str::to_owned)).collect();
    assert!(restarted.index > 0 && reasons.iter().all(|reason| !reason.contains("link")), "{reasons:?}");
    // Navigator only sees that the file can't be read.
    site.write("roots/secret", "a third");
    site.write("theirs/own", "a third");
    navigator.nth_event("Process started", "web", 2);
    assert_eq!(navigator.count("Process started", "web"), 3);
    navigator.ends();
}

/// The calls of a trace with their threads, in the order in which they returned. `strace` splits a call if a call of another
/// thread comes between.
fn calls(trace: &str) -> Vec<(&str, String)> {
    let mut begun: BTreeMap<&str, &str> = BTreeMap::new();
    let mut calls = Vec::new();
    for line in trace.lines() {
        let Some((thread, call)) = line.split_once(' ').map(|(thread, call)| (thread, call.trim_start())) else { continue };
        if let Some(start) = call.strip_suffix(" <unfinished ...>") {
            begun.insert(thread, start);
        } else if let Some((_, end)) = call.strip_prefix("<... ").and_then(|rest| rest.split_once(" resumed>")) {
            calls.push((thread, begun.remove(thread).unwrap_or_default().to_owned() + end));
        } else {
            calls.push((thread, call.to_owned()));
        }
    }
    calls
}

/// Calls that opened files below these directories with root's rights, or that opened a device.
fn opened_as_root(trace: &str, directories: &[&Path]) -> Vec<String> {
    let mut users: BTreeMap<&str, u32> = BTreeMap::new();
    let mut found = Vec::new();
    for (thread, call) in calls(trace) {
        let argument = |prefix: &str| call.strip_prefix(prefix)?.split([',', ')']).next()?.trim().parse::<u32>().ok();
        // `setfsuid` with an invalid user changes nothing.
        if let Some(user) = argument("setfsuid(").or_else(|| argument("setresuid(")).filter(|user| *user != u32::MAX) {
            users.insert(thread, user);
        } else if ["openat(", "openat2(", "open("].iter().any(|name| call.starts_with(name)) {
            let is_root = users.get(thread).is_none_or(|user| *user == 0);
            // The result names the file: ` = 7</path>`.
            let opened = call
                .rsplit_once(" = ")
                .and_then(|(_, result)| result.split_once('<'))
                .map(|(_, path)| path.trim_end_matches('>'));
            let is_below = |path: &str| directories.iter().any(|directory| Path::new(path).starts_with(directory));
            let is_device = opened.is_some_and(|path| path.starts_with("/dev/zero")) && !call.contains("O_PATH");
            if (is_root && opened.is_some_and(is_below)) || is_device {
                found.push(format!("{thread} {call}"));
            }
        }
    }
    found
}

/// Traces a start, rotations and checks of watched files with `strace`.
#[test]
fn no_path_of_a_users_directory_is_opened_with_roots_rights() {
    let test = "log_files::no_path_of_a_users_directory_is_opened_with_roots_rights";
    let probe = ["strace", "-D", "-f", "-y", "-o", "/dev/null", "true"];
    if !servers::root(test) || !servers::present(test, &["strace"]) || !servers::permitted(test, &probe) {
        return;
    }
    let site = Site::new();
    let (logs, theirs) = (directory(&site, "logs", USER), directory(&site, "theirs", USER));
    fs::create_dir(site.path("trace")).expect("its name is new");
    site.write("theirs/own", "one");
    site.write("theirs/no-interpreter", "#!/not/there\n");
    fs::set_permissions(theirs.join("no-interpreter"), Permissions::from_mode(0o755)).expect("it is ours");
    std::os::unix::fs::symlink("/dev/zero", theirs.join("device")).expect("its name is new");
    client(Command::new("mkfifo").arg(theirs.join("fifo")));
    site.write(
        "conf/navigator.yml",
        &format!(
            "defaults: {{ user: '{USER}', group: '{USER}', depends_on: [] }}\nmanaged_processes:\n  - name: web\n    command: sh\n    \
             args: [-c, 'i=0; while [ $i -lt 100 ]; do echo line $i; i=$((i+1)); done; sleep 1h']\n    \
             output: {{ file: ../logs/web.log, max_size: 200, keep: 2 }}\n  \
             - {{ name: watcher, command: sleep, args: [1h], watch: [../theirs, '../theirs/*'] }}\n  \
             - {{ name: broken, command: {}/no-interpreter }}\n",
            theirs.display()
        ),
    );
    let calls = site.path("trace/calls");
    let traced = "trace=open,openat,openat2,setfsuid,setresuid";
    let mut navigator: Navigator<'_> = site
        .command_through(
            "strace",
            &["-D", "-f", "-y", "-qq", "-b", "execve", "-s", "256", "-o", &calls.display().to_string(), "-e", traced],
            &["conf/navigator.yml"],
        )
        .start();
    navigator.started("watcher");
    navigator.event("Process failed", "broken");
    let is_done = || fs::read_to_string(logs.join("web.log")).is_ok_and(|text| text.ends_with("line 99\n"));
    navigator.log().until("the last line", || is_done().then_some(()));
    site.write("theirs/own", "another");
    navigator.nth_event("Process started", "watcher", 1);
    navigator.signal(Signal::USR2);
    navigator.ends();
    let trace = fs::read_to_string(calls).expect("it was traced");
    let borrowed = format!("setfsuid({USER})");
    assert!(trace.matches(&borrowed).count() > 5, "rights were borrowed");
    assert!(trace.contains("web.log"), "the log was opened");
    let found = opened_as_root(&trace, &[&logs, &theirs]);
    assert!(found.is_empty(), "opened with root's rights:\n{}", found.join("\n"));
}
