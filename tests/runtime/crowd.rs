//! Many runs that are stopped at once, as at a shutdown: every process of each tree gets the signal, and nothing is left.

use crate::host::{Host, children, on_host, script};
use reconcile::event::{Pid, RunId};
use std::fs::{self, File};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

/// So many that all processes of the host are scanned at once, and that spawners remove the control groups.
const CROWD: usize = 200;

/// A main process, its child in another session, and an orphan of that child in a third session.
const MEMBER: &str = r#"
    trap 'echo "$NAME $1" >>"$SAID"; exit 0' TERM
    case $1 in
    main) setsid sh "$0" child & ;;
    child) (setsid sh "$0" orphan &) ;;
    orphan) echo >"$UP" ;;
    esac
    while :; do sleep 1 & wait $!; done
"#;

#[test]
fn every_process_of_many_trees_gets_the_stop_signal() {
    on_host("crowd", async |host| {
        let (member, said) = (host.directory.join("member.sh"), host.directory.join("said"));
        fs::write(&member, MEMBER).expect("a script");
        let mut runs = Vec::new();
        for number in 0..CROWD {
            let up = host.fifo(&format!("up-{number}"));
            let mut main = script("main", &format!("exec sh {} main", member.display()));
            let variables =
                [("NAME", number.to_string()), ("SAID", said.display().to_string()), ("UP", up.display().to_string())];
            for (name, value) in variables {
                main.exec.env.insert(name, value.as_str().into());
            }
            runs.push(host.spawn(main));
            host.read_fifo(&up).await;
            host.spawned(runs[number]).await;
        }
        host.stop_all(&runs);
        all_gone(host, &runs).await;
        let said = fs::read_to_string(said).expect("they say so");
        let mut signalled: Vec<&str> = said.lines().collect();
        signalled.sort_unstable();
        let members = (0..CROWD).flat_map(|number| ["main", "child", "orphan"].map(|member| format!("{number} {member}")));
        let mut members: Vec<String> = members.collect();
        members.sort_unstable();
        assert_eq!(signalled, members);
        assert_eq!(children(), "");
    });
}

#[test]
fn a_process_forked_while_many_are_stopped_gets_the_signal_too() {
    on_host("births", async |host| {
        let go = host.fifo("go");
        // Where the others have already ended, nobody else reads what the first one says.
        let _reader = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(&go).expect("a reader");
        // On its signal, the first one makes all others fork at once, before most of them get theirs.
        let trigger = format!("trap 'echo >{}; exit 0' TERM; while :; do sleep 1 & wait $!; done", go.display());
        let parent = format!("read -r go <{}; sleep 3600 & wait", go.display());
        let mut runs = Vec::new();
        for number in 0..CROWD {
            let up = host.fifo(&format!("up-{number}"));
            let then = if number == 0 { &trigger } else { &parent };
            runs.push(host.spawn(script("parent", &format!("echo >{}; {then}", up.display()))));
            host.read_fifo(&up).await;
            host.spawned(runs[number]).await;
        }
        host.stop_all(&runs);
        // None is killed, and a process without a signal sleeps for an hour.
        all_gone(host, &runs).await;
        assert_eq!(children(), "");
    });
}

/// Its program forks all the time, so that some fork comes between the list of its tree and the signals.
#[test]
fn a_process_forked_while_its_tree_is_stopped_gets_the_signal_too() {
    /// Enough for several such forks.
    const STOPS: usize = 50;
    on_host("forks", async |host| {
        for number in 0..STOPS {
            let up = host.fifo(&format!("up-{number}"));
            let forks = format!(
                "for i in 1 2 3 4 5 6 7 8 9; do sleep 3600 & done; echo >{}; while :; do sleep 3600 & done",
                up.display()
            );
            let run = host.spawn(script("parent", &forks));
            host.read_fifo(&up).await;
            host.stop(run);
            host.gone(run).await;
        }
        assert_eq!(children(), "");
    });
}

#[test]
fn what_a_program_starts_because_of_its_signal_gets_none() {
    const STOPS: usize = 50;
    on_host("answers", async |host| {
        let said = host.directory.join("said");
        // Others fork meanwhile, so that navigator has a second look.
        let noise = host.spawn(script("noise", "while :; do (:); done"));
        for number in 0..STOPS {
            let up = host.fifo(&format!("up-{number}"));
            let answer = format!("sh -c \"sleep 0.01; echo {number} >>{}\"; exit 0", said.display());
            let run = host
                .spawn(script("graceful", &format!("trap '{answer}' TERM; echo >{}; read -r x <{}", up.display(), up.display())));
            host.read_fifo(&up).await;
            host.stop(run);
            host.gone(run).await;
        }
        host.stop(noise);
        host.gone(noise).await;
        let said = fs::read_to_string(said).expect("they say so");
        assert_eq!(said.lines().count(), STOPS);
    });
}

#[test]
fn no_control_group_is_left_after_many_stops() {
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

/// The directory that navigator has made for control groups, if it could; this process is in one below it.
fn directory_of_groups(pid: u32) -> Option<PathBuf> {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let group = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let mounts = fs::read_to_string("/proc/mounts").ok()?;
    let mount = mounts.lines().find_map(|line| line.split(' ').nth(1).filter(|_| line.split(' ').nth(2) == Some("cgroup2")))?;
    let directory = PathBuf::from(mount).join(group).parent()?.to_owned();
    directory.file_name()?.to_str()?.starts_with("navigator-").then_some(directory)
}
