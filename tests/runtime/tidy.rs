//! Starts that hang in their exec, and the work that goes on meanwhile: other starts, and clean-up after runs that are gone.

use crate::host::{Host, on_host, script};
use reconcile::event::{Event, RunId};
use reconcile::spec::Spec;
use reconcile::text::Text;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// So few ends are recorded only after a start.
const FEW: usize = 3;
/// So many are recorded during a start.
const ENDS: usize = 24;

/// So many starts of one user may hang while another one is made.
const SLOW: usize = 3;

#[test]
fn starts_that_hang_do_not_block_other_starts() {
    on_host("slow", async |host| {
        let (program, holder) = hanging(host).await;
        let slow: Vec<RunId> = (0..SLOW).map(|number| host.spawn(sleeper(&format!("slow-{number}"), &program))).collect();
        host.complete(script("quick", "exit 0")).await;
        let is_slow = |event: &Event| matches!(event, Event::Spawned { run, .. } if slow.contains(run));
        assert!(!host.events.iter().any(is_slow), "they hang");
        host.stop(holder);
        for &run in &slow {
            host.spawned(run).await;
            host.stop(run);
            host.gone(run).await;
        }
    });
}

#[test]
fn a_start_that_hangs_does_not_block_the_recording_of_ends() {
    on_host("tidy", async |host| {
        let (program, holder) = hanging(host).await;
        let slow = host.spawn(sleeper("slow", &program));
        for _ in 0..FEW {
            host.complete(script("short", "exit 0")).await;
        }
        assert_eq!(written(host), 0, "a start comes first");
        for _ in FEW..ENDS {
            host.complete(script("short", "exit 0")).await;
        }
        let is_up = |event: &Event| matches!(event, Event::Spawned { run, .. } if *run == slow);
        assert!(!host.events.iter().any(is_up), "it hangs");
        until_written(host, 1).await;
        host.stop(holder);
        host.spawned(slow).await;
        // Including the holder's.
        until_written(host, ENDS + 1).await;
        host.stop(slow);
        host.gone(slow).await;
        until_written(host, ENDS + 2).await;
    });
}

/// A program, and a process that has a lease on it (`F_SETLEASE` in `fcntl(2)`): until that is stopped, an exec of it hangs.
pub(crate) async fn hanging(host: &mut Host) -> (PathBuf, RunId) {
    let (program, held) = (host.directory.join("program"), host.fifo("held"));
    let lease = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/e2e/lease.pl");
    // The copy is made by a process: a file that a thread of the test writes may be open in a child that is just being started.
    let (copied, told) = (program.display(), held.display());
    let holder = host.spawn(script("holder", &format!("cp /bin/sleep {copied} && exec {lease} {copied} > {told}")));
    host.read_fifo(&held).await;
    (program, holder)
}

/// A copy of `sleep`, for an hour.
pub(crate) fn sleeper(name: &str, program: &Path) -> Spec {
    let mut sleeper = Spec::new(name, &program.display().to_string());
    sleeper.exec.args = vec![Text::plain("3600")];
    sleeper
}

/// How many ends are recorded.
fn written(host: &Host) -> usize {
    let record = fs::read_to_string(host.directory.join("runs")).expect("something is written down");
    record.lines().filter(|line| line.contains("{\"gone\":")).count()
}

async fn until_written(host: &Host, ends: usize) {
    while written(host) < ends {
        // No event reports it. The whole test has a timeout.
        sleep_until(Instant::now() + Duration::from_millis(1)).await;
    }
}
