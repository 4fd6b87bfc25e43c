//! Many runs that are stopped at once, as all of a host are at its shutdown: each with all that belongs to it, and nothing is left.

use crate::host::{Host, children, on_host, script};
use reconcile::event::{Pid, RunId};
use std::fs;
use std::path::PathBuf;

/// So many that one look at whoever lives on this host is cheaper than one at each, and that their groups are removed beside the
/// loop.
const CROWD: usize = 200;

/// A leader, its child in another session, and in a session of its own one of that child's who has lost its parent.
const MEMBER: &str = r#"
    trap 'echo "$NAME $1" >>"$SAID"; exit 0' TERM
    case $1 in
    leader) setsid sh "$0" child & ;;
    child) (setsid sh "$0" orphan &) ;;
    orphan) echo >"$UP" ;;
    esac
    while :; do sleep 1 & wait $!; done
"#;

#[test]
fn each_of_many_is_told_with_all_that_belongs_to_it() {
    on_host("crowd", async |host| {
        let (member, said) = (host.directory.join("member.sh"), host.directory.join("said"));
        fs::write(&member, MEMBER).expect("a script");
        let mut runs = Vec::new();
        for number in 0..CROWD {
            let up = host.fifo(&format!("up-{number}"));
            let mut leader = script("leader", &format!("exec sh {} leader", member.display()));
            let variables =
                [("NAME", number.to_string()), ("SAID", said.display().to_string()), ("UP", up.display().to_string())];
            for (name, value) in variables {
                leader.exec.env.insert(name, value.as_str().into());
            }
            runs.push(host.spawn(leader));
            host.hears(&up).await;
            host.spawned(runs[number]).await;
        }
        host.stop_all(&runs);
        all_gone(host, &runs).await;
        let said = fs::read_to_string(said).expect("they say so");
        let mut told: Vec<&str> = said.lines().collect();
        told.sort_unstable();
        let everybody = (0..CROWD).flat_map(|number| ["leader", "child", "orphan"].map(|who| format!("{number} {who}")));
        let mut everybody: Vec<String> = everybody.collect();
        everybody.sort_unstable();
        assert_eq!(told, everybody);
        assert_eq!(children(), "");
    });
}

#[test]
fn who_is_born_while_many_are_told_is_told_too() {
    on_host("births", async |host| {
        let go = host.fifo("go");
        // The first to be told has all others bear a child at once, and most of them have yet to be told.
        let midwife = format!("trap 'echo >{}; exit 0' TERM; while :; do sleep 1 & wait $!; done", go.display());
        let parent = format!("read -r go <{}; sleep 3600 & wait", go.display());
        let mut runs = Vec::new();
        for number in 0..CROWD {
            let up = host.fifo(&format!("up-{number}"));
            let then = if number == 0 { &midwife } else { &parent };
            runs.push(host.spawn(script("parent", &format!("echo >{}; {then}", up.display()))));
            host.hears(&up).await;
            host.spawned(runs[number]).await;
        }
        host.stop_all(&runs);
        // Nobody is killed, and who isn't told sleeps for an hour.
        all_gone(host, &runs).await;
        assert_eq!(children(), "");
    });
}

#[test]
fn no_group_of_many_is_left() {
    let mut group = None;
    on_host("groups", async |host| {
        let runs: Vec<RunId> = (0..CROWD).map(|_| host.spawn(script("sleeper", "exec sleep 3600"))).collect();
        let Pid(pid) = host.spawned(runs[0]).await;
        group = directory_of_groups(pid);
        for &run in &runs {
            host.spawned(run).await;
        }
        host.stop_all(&runs);
        all_gone(host, &runs).await;
    });
    if let Some(group) = group {
        assert!(!group.exists(), "{} is left", group.display());
    }
}

async fn all_gone(host: &mut Host, runs: &[RunId]) {
    for &run in runs {
        host.gone(run).await;
    }
}

/// The directory that navigator has made for control groups, if it could: a process is in one below it.
fn directory_of_groups(pid: u32) -> Option<PathBuf> {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let group = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let mounts = fs::read_to_string("/proc/mounts").ok()?;
    let mount = mounts.lines().find_map(|line| line.split(' ').nth(1).filter(|_| line.split(' ').nth(2) == Some("cgroup2")))?;
    let directory = PathBuf::from(mount).join(group).parent()?.to_owned();
    directory.file_name()?.to_str()?.starts_with("navigator-").then_some(directory)
}
