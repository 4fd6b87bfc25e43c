//! What is recorded of a start, so that a later navigator can take the process over.

use crate::host::{Host, on_host, script};
use navigator::journal::{JournalEntry, Started};
use reconcile::event::{Pid, RunId};
use reconcile::spec::{Announce, Output, Spec};
use reconcile::text::Text;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Starts a process, and returns what is recorded of it.
async fn start(host: &mut Host, spec: Spec) -> (RunId, Pid, Started) {
    let run = host.spawn(spec);
    let pid = host.spawned(run).await;
    let runs = fs::read_to_string(host.directory.join("runs")).expect("the journal");
    let entries = runs.lines().map(|line| line.split_once(' ').expect("a checksum and an entry").1);
    let mut started = entries.filter_map(|entry| match serde_json::from_str(entry).expect("an entry") {
        JournalEntry::Started(started) if started.pid == pid.0 => Some(started),
        _ => None,
    });
    (run, pid, started.next_back().expect("it is recorded before it counts as started"))
}

/// The value of a variable in the environment of this process.
async fn variable(pid: Pid, name: &str) -> String {
    loop {
        let environment = fs::read_to_string(format!("/proc/{}/environ", pid.0)).expect("it runs");
        let mut variables = environment.split('\0').filter_map(|variable| variable.split_once('='));
        if let Some((_, value)) = variables.find(|(found, _)| *found == name) {
            return value.to_owned();
        }
        // Until it has taken up its program, the kernel shows another environment or none. The whole test has a timeout.
        sleep_until(Instant::now() + Duration::from_millis(1)).await;
    }
}

#[test]
fn a_start_is_recorded_with_what_connects_it_to_navigator() {
    on_host("record", async |host| {
        let is_root = rustix::process::geteuid().is_root();
        let mut spec = script("web", "exec sleep 3600");
        spec.exec.announce = Some(Announce::Notify);
        spec.exec.user = is_root.then(|| Text::plain("nobody"));
        let (run, pid, web) = start(host, spec).await;
        let pipe = |number| fs::read_link(format!("/proc/{pid}/fd/{number}", pid = pid.0)).expect("it is open");
        let recorded = web.pipes.expect("they are read").map(|inode| PathBuf::from(format!("pipe:[{inode}]")));
        assert_eq!(recorded, [pipe(1), pipe(2)]);
        assert_eq!(web.notify, Some(variable(pid, "NOTIFY_SOCKET").await));
        let user = fs::metadata(format!("/proc/{}", pid.0)).expect("it runs").uid();
        assert_eq!((web.uid, user == 0), (Some(user), false), "the user of its program");

        let mut silent = script("silent", "exec sleep 3600");
        silent.exec.output = Output::Null;
        host.kill(run);
        host.gone(run).await;
        let (run, _, silent) = start(host, silent).await;
        assert_eq!((silent.pipes, silent.notify), (None, None));
        assert_eq!(silent.uid, Some(rustix::process::geteuid().as_raw()));
        host.kill(run);
        host.gone(run).await;
    });
}
