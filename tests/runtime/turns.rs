//! Starts that come after another one's: their programs wait for its exec, and for nothing else.

use crate::host::{Host, children, on_host, script};
use crate::tidy::{hanging, sleeper};
use reconcile::event::{Event, Pid, RunId};
use reconcile::spec::{Announce, Spec};
use reconcile::text::Text;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// The number of `futex(2)` on this kind of machine, as `/proc/PID/syscall` shows it.
const FUTEX: &str = if cfg!(target_arch = "x86_64") { "202 " } else { "98 " };
/// How long a list is.
const LIST: usize = 64;

/// The run that a start which succeeded or failed was of.
fn start(event: &Event) -> Option<RunId> {
    match event {
        Event::Spawned { run, .. } | Event::NotSpawned { run, .. } => Some(*run),
        _ => None,
    }
}

async fn end(host: &mut Host, runs: &[RunId]) {
    for &run in runs {
        host.stop(run);
        host.gone(run).await;
    }
}

#[test]
fn each_of_a_list_is_started_after_the_one_before_it_and_told_of_in_that_order() {
    on_host("turns", async |host| {
        let list: Vec<RunId> = (0..LIST).fold(Vec::new(), |mut list, number| {
            let spec = script(&format!("process-{number}"), "exec sleep 3600");
            list.push(match list.last() {
                Some(&before) => host.spawn_after(spec, before),
                None => host.spawn(spec),
            });
            list
        });
        host.spawned(list[LIST - 1]).await;
        assert_eq!(host.told.iter().filter_map(start).collect::<Vec<_>>(), list);
        end(host, &list).await;
    });
}

#[test]
fn a_program_is_not_executed_while_the_exec_before_it_hangs_and_others_are() {
    on_host("behind", async |host| {
        let ([slow, behind, last], holder) = hanging_list(host).await;
        host.complete(script("free", "exit 0")).await;
        let waiting = host.until_waiting(2).await;
        assert!(!host.told.iter().filter_map(start).any(|run| [slow, behind, last].contains(&run)), "they wait");
        host.stop(holder);
        host.spawned(last).await;
        let told = host.told.iter().filter_map(start).filter(|run| [slow, behind, last].contains(run));
        assert_eq!(told.collect::<Vec<_>>(), [slow, behind, last]);
        let pids = [host.spawned(behind).await, host.spawned(last).await].map(|Pid(pid)| pid);
        assert!(pids.iter().all(|pid| waiting.contains(pid)), "who waited has become the program");
        end(host, &[last, behind, slow]).await;
    });
}

#[test]
fn a_start_that_fails_lets_the_next_one_go_on() {
    on_host("fails", async |host| {
        let missing = host.spawn(Spec::new("missing", "/does/not/exist"));
        let next = host.spawn_after(script("next", "exec sleep 3600"), missing);
        host.spawned(next).await;
        assert_eq!(host.told.iter().filter_map(start).collect::<Vec<_>>(), [missing, next]);
        // One that is over holds up nobody, however it went.
        let late = host.spawn_after(script("late", "exec sleep 3600"), missing);
        host.spawned(late).await;
        end(host, &[late, next]).await;
    });
}

#[test]
fn behind_a_start_that_fails_early_the_next_one_still_waits_for_those_before() {
    let unknown = with(|spec| spec.exec.user = Some(Text::plain("nobody-has-this-name")));
    let nowhere = with(|spec| spec.exec.working_dir = Some(Text::plain("/does/not/exist")));
    let mute = with(|spec| spec.exec.announce = Some(Announce::Notify));
    for early in [unknown, nowhere, mute] {
        on_host("early", async |host| {
            let (program, holder) = hanging(host).await;
            let directory = announced_in(host).await;
            let slow = host.spawn(sleeper("slow", &program));
            // Its socket can't be made where there is something already.
            fs::write(directory.join((slow.0 + 1).to_string()), "").expect("a file");
            let early = host.spawn_after(early, slow);
            let next = host.spawn_after(script("next", "exec sleep 3600"), early);
            host.until_waiting(1).await;
            host.stop(holder);
            host.spawned(next).await;
            let told = host.told.iter().filter_map(start).filter(|run| [slow, early, next].contains(run));
            assert_eq!(told.collect::<Vec<_>>(), [slow, early, next]);
            host.refused(early).await;
            end(host, &[next, slow]).await;
        });
    }
}

/// A process that sleeps, with something else about it.
fn with(change: impl FnOnce(&mut Spec)) -> Spec {
    let mut spec = script("early", "exec sleep 3600");
    change(&mut spec);
    spec
}

/// The directory in which runs have their sockets for announcements.
async fn announced_in(host: &mut Host) -> PathBuf {
    let said = host.fifo("said");
    let mut teller = script("teller", &format!("echo $NOTIFY_SOCKET > {}", said.display()));
    teller.exec.announce = Some(Announce::Notify);
    host.spawn(teller);
    let socket = PathBuf::from(host.hears(&said).await.trim_end());
    socket.parent().expect("a directory").to_owned()
}

#[test]
fn a_start_that_is_killed_while_it_waits_is_none() {
    on_host("killed", async |host| {
        let ([slow, behind, last], holder) = hanging_list(host).await;
        host.until_waiting(2).await;
        host.kill(behind);
        host.stop(holder);
        host.refused(behind).await;
        host.spawned(last).await;
        end(host, &[last, slow]).await;
    });
}

/// Three starts, of which the first hangs in its exec until the process that comes with them is stopped.
async fn hanging_list(host: &mut Host) -> ([RunId; 3], RunId) {
    let (program, holder) = hanging(host).await;
    let slow = host.spawn(sleeper("slow", &program));
    let behind = host.spawn_after(script("behind", "exec sleep 3600"), slow);
    let last = host.spawn_after(script("last", "exec sleep 3600"), behind);
    ([slow, behind, last], holder)
}

impl Host {
    /// Waits until so many children wait for another start; returns their numbers.
    async fn until_waiting(&self, count: usize) -> Vec<u32> {
        let waits = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/syscall")).is_ok_and(|call| call.starts_with(FUTEX));
        loop {
            let children: Vec<u32> = children().split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
            let waiting: Vec<u32> = children.into_iter().filter(waits).collect();
            if waiting.len() == count {
                return waiting;
            }
            // Nothing tells of it. The whole test has its time.
            sleep_until(Instant::now() + Duration::from_millis(1)).await;
        }
    }
}
