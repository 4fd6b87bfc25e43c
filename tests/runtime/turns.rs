//! Starts that come after another start: their programs wait for its exec, and for nothing else.

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
/// The length of the list.
const LIST: usize = 64;

/// The run of a start that succeeded or failed.
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
fn processes_of_a_list_start_and_are_reported_in_order() {
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
        assert_eq!(host.events.iter().filter_map(start).collect::<Vec<_>>(), list);
        end(host, &list).await;
    });
}

#[test]
fn a_hanging_exec_delays_only_the_starts_that_come_after_it() {
    on_host("behind", async |host| {
        let ([slow, behind, last], holder) = hanging_list(host).await;
        host.complete(script("free", "exit 0")).await;
        let waiting = host.until_waiting(2).await;
        assert!(!host.events.iter().filter_map(start).any(|run| [slow, behind, last].contains(&run)), "they wait");
        host.stop(holder);
        host.spawned(last).await;
        let reported = host.events.iter().filter_map(start).filter(|run| [slow, behind, last].contains(run));
        assert_eq!(reported.collect::<Vec<_>>(), [slow, behind, last]);
        let pids = [host.spawned(behind).await, host.spawned(last).await].map(|Pid(pid)| pid);
        assert!(pids.iter().all(|pid| waiting.contains(pid)), "the waiting children have become the programs");
        end(host, &[last, behind, slow]).await;
    });
}

#[test]
fn after_a_start_that_fails_the_next_one_goes_on() {
    on_host("fails", async |host| {
        let missing = host.spawn(Spec::new("missing", "/does/not/exist"));
        let next = host.spawn_after(script("next", "exec sleep 3600"), missing);
        host.spawned(next).await;
        assert_eq!(host.events.iter().filter_map(start).collect::<Vec<_>>(), [missing, next]);
        // A start that is over delays nothing, even if it failed.
        let late = host.spawn_after(script("late", "exec sleep 3600"), missing);
        host.spawned(late).await;
        end(host, &[late, next]).await;
    });
}

#[test]
fn after_a_start_that_fails_early_the_next_one_still_waits_for_earlier_ones() {
    let unknown = with(|spec| spec.exec.user = Some(Text::plain("no-such-user")));
    let nowhere = with(|spec| spec.exec.working_dir = Some(Text::plain("/does/not/exist")));
    let mute = with(|spec| spec.exec.announce = Some(Announce::Notify));
    for early in [unknown, nowhere, mute] {
        on_host("early", async |host| {
            let (program, holder) = hanging(host).await;
            let socket = announced_at(host).await;
            let slow = host.spawn(sleeper("slow", &program));
            // Its socket can't be made, because a directory has its path.
            fs::create_dir(socket.with_extension((slow.0 + 1).to_string())).expect("a directory");
            let early = host.spawn_after(early, slow);
            let next = host.spawn_after(script("next", "exec sleep 3600"), early);
            host.until_waiting(1).await;
            host.stop(holder);
            host.spawned(next).await;
            let reported = host.events.iter().filter_map(start).filter(|run| [slow, early, next].contains(run));
            assert_eq!(reported.collect::<Vec<_>>(), [slow, early, next]);
            host.refused(early).await;
            end(host, &[next, slow]).await;
        });
    }
}

/// A process that sleeps, with a change of its definition.
fn with(change: impl FnOnce(&mut Spec)) -> Spec {
    let mut spec = script("early", "exec sleep 3600");
    change(&mut spec);
    spec
}

/// The path of a notification socket, which ends in the number of its run.
async fn announced_at(host: &mut Host) -> PathBuf {
    let said = host.fifo("said");
    let mut teller = script("teller", &format!("echo $NOTIFY_SOCKET > {}", said.display()));
    teller.exec.announce = Some(Announce::Notify);
    host.spawn(teller);
    PathBuf::from(host.read_fifo(&said).await.trim_end())
}

#[test]
fn a_start_that_is_killed_while_it_waits_is_refused() {
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

/// Three starts, each after the one before. The first hangs in its exec until the returned holder is stopped.
async fn hanging_list(host: &mut Host) -> ([RunId; 3], RunId) {
    let (program, holder) = hanging(host).await;
    let slow = host.spawn(sleeper("slow", &program));
    let behind = host.spawn_after(script("behind", "exec sleep 3600"), slow);
    let last = host.spawn_after(script("last", "exec sleep 3600"), behind);
    ([slow, behind, last], holder)
}

impl Host {
    /// Waits until this many children wait for another start; returns their pids.
    async fn until_waiting(&self, count: usize) -> Vec<u32> {
        let waits = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/syscall")).is_ok_and(|call| call.starts_with(FUTEX));
        loop {
            let children: Vec<u32> = children().split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
            let waiting: Vec<u32> = children.into_iter().filter(waits).collect();
            if waiting.len() == count {
                return waiting;
            }
            // No event reports it. The whole test has a timeout.
            sleep_until(Instant::now() + Duration::from_millis(1)).await;
        }
    }
}
