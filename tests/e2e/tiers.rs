//! Whole trees end in each of the ways that a kernel offers to know them: control groups, marks with pidfds, and marks
//! without. A way that isn't to be had here is skipped, with its reason.

use crate::harness::{Navigator, Signal, Site, leftovers, servers};
use std::fs::DirEntry;
use std::path::{Path, PathBuf};

/// A plain child, one in a session of its own, and one that was forked twice, ignores TERM and has a child.
const FAMILY: &str = "#!/bin/sh
sleep 3601 &
setsid sleep 3602 &
(setsid sh -c 'trap \"\" TERM; while :; do sleep 3603; done' &)
";

/// In a session of its own, without a parent, and with an empty environment: nothing but its control group tells whose it
/// is.
const STRANGER: &str = "(env -i setsid sleep 3604 &)\n";

/// Takes version 2 of control groups from navigator.
const WITHOUT_GROUPS: &str =
    "for at in $(awk '$3 == \"cgroup2\" { print $2 }' /proc/mounts); do umount -l \"$at\" || exit 99; done; exec \"$0\" \"$@\"";

/// Refuses pidfds to navigator and all that it starts, as an old kernel does (`ENOSYS`) or a container's filter (`EPERM`).
/// The one who refuses is not to be taken for somebody who was left.
const WITHOUT_PIDFDS: &str = r#"site=$NAVIGATOR_E2E; unset NAVIGATOR_E2E
    exec strace -D -f -qq -o /dev/null -e trace=pidfd_open -e inject=pidfd_open:error="$ERROR" env NAVIGATOR_E2E="$site" "$0" "$@""#;

fn family(others: &str, end: &str) -> String {
    format!("{FAMILY}{others}{end}")
}

/// Whether navigator can make control groups here: below its own one, which is ours.
pub(crate) fn has_groups(test: &str) -> bool {
    let look = r#"
        own=$(sed -n 's/^0:://p' /proc/self/cgroup)
        at=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
        [ -n "$at" ] || { echo 'no cgroup2 is mounted' >&2; exit 1; }
        mkdir "$at/$own/navigator-test.$$" && rmdir "$at/$own/navigator-test.$$""#;
    servers::permitted(test, &["sh", "-c", look])
}

/// Waits until these run, beside the leader; then removes the process from the file, or has its leader end, and looks who is
/// left when it's said to be gone.
#[track_caller]
fn ends_wholly(site: &Site, mut navigator: Navigator<'_>, members: &[u16], removes: bool) {
    let seen = navigator.log().until("the whole family", || {
        let seen = navigator.descendants();
        let lines: Vec<String> = seen.iter().map(leftovers::describe).collect();
        let all = members.iter().all(|member| lines.iter().any(|line| line.ends_with(&format!(" sleep {member}"))));
        all.then_some(seen)
    });
    if removes {
        site.write("navigator.yml", "managed_processes: []\n");
        navigator.signal(Signal::HUP);
        navigator.event("Process stopped", "family");
    } else {
        site.write("go", "");
        navigator.event("Process exited", "family");
    }
    let left = || seen.iter().filter(|process| leftovers::is_alive(process)).map(leftovers::describe).collect::<Vec<_>>();
    if removes {
        assert_eq!(left(), Vec::<String>::new(), "it was said to be gone\n{}", navigator.log().describe());
    } else {
        navigator.log().until("the end of the family", || left().is_empty().then_some(()));
    }
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

const CONFIGURATION: &str = "managed_processes:\n  - { name: family, command: ./family.sh, stop: { timeout: 500ms } }\n";
const STAYS: &str = "exec sleep 3600\n";
const GOES: &str = "until [ -e go ]; do sleep 0.05; done\nexit 0\n";

#[test]
fn with_control_groups_even_a_stranger_is_known() {
    let test = "tiers::with_control_groups_even_a_stranger_is_known";
    if !servers::root(test) || !has_groups(test) {
        return;
    }
    for (end, removes) in [(STAYS, true), (GOES, false)] {
        let site = Site::new();
        site.script("family.sh", &family(STRANGER, end));
        let navigator = site.start_unwatched(CONFIGURATION);
        ends_wholly(&site, navigator, &[3601, 3602, 3603, 3604], removes);
    }
}

#[test]
fn a_stranger_alone_keeps_its_run_from_being_gone() {
    let test = "tiers::a_stranger_alone_keeps_its_run_from_being_gone";
    if !servers::root(test) || !has_groups(test) {
        return;
    }
    // It ignores the signal, so that a leader that is told to stop goes before it.
    let deaf = "(env -i setsid /bin/sh -c 'trap \"\" TERM; while :; do sleep 3604; done' &)";
    for (end, removes) in [(STAYS, true), (GOES, false)] {
        let site = Site::new();
        site.script("family.sh", &format!("#!/bin/sh\n{deaf}\n{end}"));
        let navigator = site.start_unwatched(CONFIGURATION);
        ends_wholly(&site, navigator, &[3604], removes);
    }
}

#[test]
fn without_control_groups_marks_tell() {
    let test = "tiers::without_control_groups_marks_tell";
    if !servers::root(test) || !servers::permitted(test, &["unshare", "--mount", "true"]) {
        return;
    }
    for (end, removes) in [(STAYS, true), (GOES, false)] {
        let site = Site::new();
        site.script("family.sh", &family("", end));
        site.write("navigator.yml", CONFIGURATION);
        let through = ["--mount", "sh", "-c", WITHOUT_GROUPS];
        let navigator = site.command_through("unshare", &through, &["--no-watch", "navigator.yml"]).start();
        ends_wholly(&site, navigator, &[3601, 3602, 3603], removes);
    }
}

#[test]
fn without_control_groups_what_was_left_is_known_by_marks_and_by_what_was_noted() {
    let test = "tiers::without_control_groups_what_was_left_is_known_by_marks_and_by_what_was_noted";
    if !servers::root(test) || !servers::permitted(test, &["unshare", "--mount", "true"]) {
        return;
    }
    let site = Site::new();
    // The leader wipes its own environment, so that only what was noted of it tells; what it started has its mark.
    site.script("family.sh", &family("", "exec env -i sleep 3600\n"));
    site.write("navigator.yml", CONFIGURATION);
    let through = ["--mount", "sh", "-c", WITHOUT_GROUPS];
    let mut first = site.command_through("unshare", &through, &["navigator.yml"]).start();
    let leader = first.started("family");
    let seen = first.log().until("the whole family", || {
        let seen = first.descendants();
        let sleeps = seen.iter().filter(|process| leftovers::describe(process).contains(" sleep 360")).count();
        let is_wiped = std::fs::read(format!("/proc/{leader}/environ")).is_ok_and(|environment| environment.is_empty());
        (sleeps == 5 && is_wiped).then_some(seen)
    });
    first.signal(Signal::KILL);
    first.ended();
    site.write("navigator.yml", "managed_processes: []\n");
    let mut second = site.command_through("unshare", &through, &["navigator.yml"]).start();
    second.wait("its end", |event| event.is("Process stopped", "family"));
    let left: Vec<String> = seen.iter().filter(|process| leftovers::is_alive(process)).map(leftovers::describe).collect();
    assert_eq!(left, Vec::<String>::new());
    second.signal(Signal::TERM);
    second.exits(0);
}

#[test]
fn without_pidfds_nothing_is_left_either() {
    let test = "tiers::without_pidfds_nothing_is_left_either";
    let probe = ["strace", "-qq", "-o", "/dev/null", "-e", "inject=pidfd_open:error=ENOSYS", "true"];
    if !servers::present(test, &["strace"]) || !servers::permitted(test, &probe) {
        return;
    }
    for (error, end, removes) in [("ENOSYS", STAYS, true), ("EPERM", GOES, false)] {
        let site = Site::new();
        site.script("family.sh", &family("", end));
        site.write("navigator.yml", CONFIGURATION);
        let launch = site.command_through("sh", &["-c", WITHOUT_PIDFDS], &["--no-watch", "navigator.yml"]);
        let navigator = launch.env("ERROR", error).start();
        ends_wholly(&site, navigator, &[3601, 3602, 3603], removes);
    }
}

#[test]
fn what_a_killed_navigator_left_in_a_control_group_is_found_by_it() {
    let test = "tiers::what_a_killed_navigator_left_in_a_control_group_is_found_by_it";
    if !servers::root(test) || !has_groups(test) {
        return;
    }
    let site = Site::new();
    site.script("family.sh", &family(STRANGER, STAYS));
    let mut first = site.start(CONFIGURATION);
    let seen = first.log().until("the stranger", || {
        let seen = first.descendants();
        seen.iter().any(|process| leftovers::describe(process).ends_with(" sleep 3604")).then_some(seen)
    });
    let leader = first.started("family");
    let group = std::fs::read_to_string(format!("/proc/{leader}/cgroup")).expect("it runs");
    let group = group.lines().find_map(|line| line.strip_prefix("0::")).expect("it is in a group").to_owned();
    assert!(group.ends_with(".family"), "{group}");
    first.signal(Signal::KILL);
    first.ended();
    let mut second = site.start("managed_processes: []\n");
    second.wait("its end", |event| event.is("Process stopped", "family"));
    let left: Vec<String> = seen.iter().filter(|process| leftovers::is_alive(process)).map(leftovers::describe).collect();
    assert_eq!(left, Vec::<String>::new());
    second.signal(Signal::TERM);
    second.exits(0);
    // Neither of the two leaves a group behind.
    let instance = group.split('/').find_map(|part| part.strip_prefix("navigator-")?.split('.').next()).expect("of an instance");
    let mounts = std::fs::read_to_string("/proc/mounts").expect("there are mounts");
    let mounts = mounts.lines().filter(|line| line.split(' ').nth(2) == Some("cgroup2"));
    for at in mounts.filter_map(|line| line.split(' ').nth(1)) {
        assert_eq!(directories_named_after(instance, Path::new(at)), Vec::<PathBuf>::new());
    }
}

/// The directories below this one whose name holds that. Those of others come and go meanwhile.
fn directories_named_after(name: &str, at: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(at).into_iter().flatten().flatten();
    let directories = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let is_named = |entry: &DirEntry| entry.file_name().to_string_lossy().contains(name);
    directories
        .flat_map(|entry| if is_named(&entry) { vec![entry.path()] } else { directories_named_after(name, &entry.path()) })
        .collect()
}
