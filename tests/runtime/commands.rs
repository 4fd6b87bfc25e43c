//! Stops and reloads of runs by signals and by commands.

use crate::host::{Host, on_host, script};
use reconcile::event::{Action, Event, ExitStatus, Pid, RunId, StopBy};
use reconcile::spec::{Signal, SignalOrCommand, Spec, StopScope};
use reconcile::text::Text;
use std::path::Path;
use std::time::Duration;

const HUP: Signal = Signal("HUP");

fn command(text: &str) -> Vec<Text> {
    ["sh", "-c", text].map(Text::plain).to_vec()
}

/// Runs until its file `end` exists, or until TERM, which it records in `journal`. It writes to `up` once its trap is set.
fn waiting(host: &Host) -> Spec {
    let mut spec =
        script("db", "trap 'echo term >> journal; exit 7' TERM; echo > up; until [ -e end ]; do sleep 0.01; done; exit 5");
    spec.exec.working_dir = Some(host.directory.display().to_string().as_str().into());
    spec
}

fn stop(host: &Host, run: RunId, text: &str) {
    host.perform(Action::Stop { run, by: StopBy::Command(command(text), Signal::TERM), scope: StopScope::Tree });
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_default()
}

#[test]
fn a_stop_command_runs_instead_of_the_signal() {
    on_host("stop-command", async |host| {
        let journal = host.directory.join("journal");
        let (run, pid) = wait_up(host).await;
        stop(host, run, "echo \"stopping $MAINPID\" >> journal; touch end");
        assert_eq!(host.exited(run).await, ExitStatus::Code(5));
        host.gone(run).await;
        assert_eq!(read(&journal), format!("stopping {pid}\n"));
    });
}

#[test]
fn if_a_stop_command_fails_the_signal_is_sent() {
    on_host("stop-command-fails", async |host| {
        for failing in [command("exit 1"), vec!["no-such-command".into()]] {
            let (run, _) = wait_up(host).await;
            host.perform(Action::Stop { run, by: StopBy::Command(failing, Signal::TERM), scope: StopScope::Tree });
            assert_eq!(host.exited(run).await, ExitStatus::Code(7));
            host.gone(run).await;
        }
    });
}

#[test]
fn a_run_is_gone_only_after_its_stop_command_and_both_can_be_killed() {
    on_host("stop-command-hangs", async |host| {
        let (hanging, done) = (host.fifo("hanging"), host.directory.join("done"));
        let (run, _) = wait_up(host).await;
        stop(host, run, "touch end; echo > hanging; sleep 0.3; touch done");
        host.read_fifo(&hanging).await;
        host.gone(run).await;
        assert!(done.exists(), "it went on after its process had ended, and was waited for");

        std::fs::remove_file(host.directory.join("end")).expect("it was made");
        let (run, _) = wait_up(host).await;
        stop(host, run, "echo > hanging; exec sleep 3600");
        host.read_fifo(&hanging).await;
        host.kill(run);
        host.gone(run).await;
    });
}

#[test]
fn a_run_that_is_still_starting_is_stopped_by_the_signal() {
    on_host("stop-command-early", async |host| {
        let mut spec = script("db", "exec sleep 3600");
        spec.exec.working_dir = Some(host.directory.display().to_string().as_str().into());
        let run = host.spawn(spec);
        stop(host, run, "exit 0");
        assert_eq!(host.exited(run).await, ExitStatus::Signal(Signal::TERM));
        host.gone(run).await;
    });
}

/// Records each HUP that the main process or its child gets. It writes to `said` once both traps are set, and after each HUP.
fn reloading(host: &Host) -> Spec {
    let says = |name: &str| format!("trap 'echo {name} >> journal; echo > said' HUP; ");
    let child = format!(
        "sh -c \"{}echo > said; while :; do sleep 0.01; done\" &",
        says("child").replace('\'', "\\\"").replace("\\\"", "'")
    );
    let mut spec = script("nginx", &format!("{}{child} while :; do sleep 0.01; done", says("main")));
    spec.exec.working_dir = Some(host.directory.display().to_string().as_str().into());
    spec
}

/// Starts [`waiting`], and waits until its trap is set.
async fn wait_up(host: &mut Host) -> (RunId, Pid) {
    let up = host.directory.join("up");
    if !up.exists() {
        host.fifo("up");
    }
    let run = host.spawn(waiting(host));
    let pid = host.spawned(run).await;
    host.read_fifo(&up).await;
    (run, pid)
}

async fn reload(host: &mut Host, run: RunId, by: SignalOrCommand) -> Option<String> {
    host.forget();
    host.perform(Action::Reload { run, by });
    reloaded(host, run).await
}

async fn reloaded(host: &mut Host, run: RunId) -> Option<String> {
    host.until(|event| match event {
        Event::Reloaded { run: of, failure } if *of == run => Some(failure.clone()),
        _ => None,
    })
    .await
}

#[test]
fn a_reload_signal_is_sent_only_to_the_main_process() {
    on_host("reload-signal", async |host| {
        let said = host.fifo("said");
        let run = host.spawn(reloading(host));
        host.spawned(run).await;
        host.read_fifo(&said).await;
        assert_eq!(reload(host, run, SignalOrCommand::Signal(HUP)).await, None);
        host.read_fifo(&said).await;
        assert_eq!(read(&host.directory.join("journal")), "main\n");
        host.kill(run);
        host.gone(run).await;
    });
}

#[test]
fn a_reload_command_gets_the_pid_and_its_failure_has_a_reason() {
    on_host("reload-command", async |host| {
        let mut spec = script("nginx", "exec sleep 3600");
        spec.exec.working_dir = Some(host.directory.display().to_string().as_str().into());
        spec.stop.timeout = Duration::from_millis(200);
        let run = host.spawn(spec);
        let Pid(pid) = host.spawned(run).await;
        assert_eq!(reload(host, run, SignalOrCommand::Command(command("echo $MAINPID > journal"))).await, None);
        assert_eq!(read(&host.directory.join("journal")), format!("{pid}\n"));
        let failure = reload(host, run, SignalOrCommand::Command(command("exit 2"))).await;
        assert_eq!(failure.as_deref(), Some("exit status 2"));
        let failure = reload(host, run, SignalOrCommand::Command(vec!["no-such-command".into()])).await.expect("it fails");
        assert!(failure.starts_with("command not found: `no-such-command`"), "{failure}");
        let failure = reload(host, run, SignalOrCommand::Command(command("exec sleep 3600"))).await;
        assert_eq!(failure.as_deref(), Some("no end within 200ms"), "`stop.timeout` is its bound");
        host.kill(run);
        host.gone(run).await;
    });
}

#[test]
fn reload_commands_never_overlap_and_only_the_last_waiting_one_runs() {
    on_host("reload-again", async |host| {
        let going = host.fifo("going");
        let mut spec = script("nginx", "exec sleep 3600");
        spec.exec.working_dir = Some(host.directory.display().to_string().as_str().into());
        let run = host.spawn(spec);
        host.spawned(run).await;
        let journal = host.directory.join("journal");
        let text = |number: u32| format!("echo {number} begins >> journal; cat going; echo {number} ends >> journal");
        for number in 1..=4 {
            host.perform(Action::Reload { run, by: SignalOrCommand::Command(command(&text(number))) });
        }
        for _ in 0..2 {
            let going = going.clone();
            tokio::task::spawn_blocking(move || std::fs::write(going, "")).await.expect("writer").expect("FIFO");
            reloaded(host, run).await;
            host.forget();
        }
        assert_eq!(read(&journal), "1 begins\n1 ends\n4 begins\n4 ends\n");
        host.kill(run);
        host.gone(run).await;
    });
}

#[test]
fn a_drain_reaches_the_main_process_alone_and_its_failure_is_reported() {
    on_host("drain", async |host| {
        let said = host.fifo("said");
        let not_drained = async |host: &mut Host, run: RunId| {
            host.until(|event| match event {
                Event::NotDrained { run: of, why } if *of == run => Some(why.clone()),
                _ => None,
            })
            .await
        };
        let mut spec = script(
            "web",
            "trap 'exit 9' QUIT; sh -c \"trap 'echo worker >> journal' QUIT; echo > said; cat hold\" & \
             cat hold2 & wait",
        );
        spec.exec.working_dir = Some(host.directory.display().to_string().as_str().into());
        for name in ["hold", "hold2"] {
            host.fifo(name);
        }
        let run = host.spawn(spec);
        let Pid(pid) = host.spawned(run).await;
        host.read_fifo(&said).await;
        let command = |text: &str| SignalOrCommand::Command(["sh", "-c", text].map(Text::plain).to_vec());
        host.perform(Action::Drain { run, by: command("exit 3") });
        assert_eq!(not_drained(host, run).await, "exit status 3");
        host.perform(Action::Drain { run, by: command("echo $MAINPID ${LISTEN_FDS-none} > said") });
        assert_eq!(host.read_fifo(&said).await, format!("{pid} none\n"));
        host.perform(Action::Drain { run, by: SignalOrCommand::Signal(Signal("QUIT")) });
        assert_eq!(host.exited(run).await, ExitStatus::Code(9));
        host.forget();
        host.perform(Action::Drain { run, by: SignalOrCommand::Signal(Signal("QUIT")) });
        assert_eq!(not_drained(host, run).await, "its program has ended");
        host.kill(run);
        host.gone(run).await;
        assert!(!host.directory.join("journal").exists(), "a worker got it, too");
    });
}
