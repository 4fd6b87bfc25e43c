//! What nobody waits for when a run is gone: its end is written down, and its control group goes.

use crate::host::{Host, on_host, script};
use reconcile::event::Event;
use reconcile::spec::Spec;
use reconcile::text::Text;
use std::fs;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// So many ends wait for a start.
const FEW: usize = 3;
/// So many don't.
const ENDS: usize = 24;

/// A start that hangs in its exec, because somebody has a lease on the program.
#[test]
fn a_start_that_hangs_does_not_keep_ends_from_being_written_down() {
    on_host("tidy", async |host| {
        let (program, held) = (host.directory.join("program"), host.fifo("held"));
        fs::copy("/bin/sleep", &program).expect("a program of the test's own");
        let lease = r#"$SIG{IO} = "IGNORE"; open F, "+<", $ARGV[0] and fcntl F, 1024, 1 or die $!; open H, ">", $ARGV[1]; close H; sleep 3600"#;
        let holder = host.spawn(script("holder", &format!("exec perl -e '{lease}' {} {}", program.display(), held.display())));
        host.hears(&held).await;
        let mut slow = Spec::new("slow", &program.display().to_string());
        slow.exec.args = vec![Text::plain("3600")];
        let slow = host.spawn(slow);
        for _ in 0..FEW {
            host.complete(script("short", "exit 0")).await;
        }
        assert_eq!(written(host), 0, "a start comes first");
        for _ in FEW..ENDS {
            host.complete(script("short", "exit 0")).await;
        }
        let is_up = |event: &Event| matches!(event, Event::Spawned { run, .. } if *run == slow);
        assert!(!host.told.iter().any(is_up), "it hangs");
        until_written(host, 1).await;
        host.stop(holder);
        host.spawned(slow).await;
        // The holder's, too.
        until_written(host, ENDS + 1).await;
        host.stop(slow);
        host.gone(slow).await;
        until_written(host, ENDS + 2).await;
    });
}

/// How many ends are written down.
fn written(host: &Host) -> usize {
    let record = fs::read_to_string(host.directory.join("runs")).expect("something is written down");
    record.lines().filter(|line| line.contains("{\"gone\":")).count()
}

async fn until_written(host: &Host, ends: usize) {
    while written(host) < ends {
        // Nothing tells of it, as nobody waits for it. The whole test has its time.
        sleep_until(Instant::now() + Duration::from_millis(1)).await;
    }
}
