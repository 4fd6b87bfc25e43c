//! The ends of main processes, trees and orphans: exact, complete, and each reported once.

use crate::host::{children, on_host, script, without_host};
use reconcile::event::{Event, ExitStatus};
use reconcile::spec::{Signal, Spec};
use reconcile::text::Text;
use std::path::Path;

fn sleeper() -> Spec {
    let mut spec = Spec::new("sleeper", "sleep");
    spec.exec.args = vec![Text::plain("3600")];
    spec
}

/// Each has three descendants: two become orphans soon, and one would run for long.
#[test]
fn many_short_lives_are_reported_exactly() {
    /// As many at once as fit into the lowest limits in use.
    const AT_ONCE: i32 = 32;
    on_host("statuses", async |host| {
        let mut reported = 0;
        for first in (0..lives()).step_by(AT_ONCE as usize) {
            let codes = first..lives().min(first + AT_ONCE);
            let family = "(sleep 0.01 &) ; (setsid sleep 0.02 &) ; sleep 3600 & exit";
            let runs: Vec<_> =
                codes.map(|code| (host.spawn(script("short", &format!("{family} {}", code % 200))), code)).collect();
            for &(run, code) in &runs {
                assert_eq!(host.exited(run).await, ExitStatus::Code(code % 200));
                // As the core does after the main process has exited.
                host.kill(run);
            }
            for &(run, _) in &runs {
                host.gone(run).await;
                let of_run = host.events.iter().filter_map(|event| match event {
                    Event::Spawned { run: of, .. } if *of == run => Some("spawned"),
                    Event::Exited { run: of, .. } if *of == run => Some("exited"),
                    Event::Gone { run: of } if *of == run => Some("gone"),
                    _ => None,
                });
                assert_eq!(of_run.collect::<Vec<_>>(), ["spawned", "exited", "gone"]);
                reported += 1;
            }
            host.events.clear();
        }
        assert_eq!(reported, lives());
        assert_eq!(children(), "", "no child is left, and no zombie");
    });
}

/// How many lives the tests above and below have; `LIVES=3000` takes about a minute.
fn lives() -> i32 {
    std::env::var("LIVES").ok().and_then(|text| text.parse().ok()).unwrap_or(600)
}

#[test]
fn as_process_1_many_short_lives_are_reported_exactly() {
    let namespace = ["--pid", "--fork", "--mount-proc"];
    let test = std::env::current_exe().expect("this program");
    let through = |command: &[&std::ffi::OsStr]| {
        without_host(|| {
            attempt(std::process::Command::new("unshare").args(namespace).args(command).env("LIVES", lives().to_string()))
        })
    };
    if let Err(error) = through(&["true".as_ref()]) {
        assert!(std::env::var_os("NAVIGATOR_NO_SKIP").is_none(), "nothing may be skipped: {error}");
        return skipped("as_process_1_many_short_lives_are_reported_exactly", &error);
    }
    let name = "trees::many_short_lives_are_reported_exactly";
    let output = through(&[test.as_os_str(), "--exact".as_ref(), name.as_ref(), "--nocapture".as_ref()]);
    assert!(output.as_ref().is_ok_and(|output| output.contains("1 passed")), "{output:?}");
}

/// Runs a command to its end: what it wrote, or how it failed.
#[expect(clippy::disallowed_methods, reason = "the ban protects navigator's own reaper, and none runs meanwhile")]
fn attempt(command: &mut std::process::Command) -> Result<String, String> {
    let output = command.output().map_err(|error| error.to_string())?;
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(text) } else { Err(text) }
}

#[expect(clippy::print_stderr, reason = "what a person reads beside a test's outcome")]
fn skipped(test: &str, reason: &str) {
    eprintln!("SKIP {test}: {reason}");
}

#[test]
fn an_end_without_leftovers_is_told_in_one_go() {
    on_host("simple", async |host| {
        let run = host.spawn(Spec::new("false", "false"));
        assert!(matches!(host.next().await, Event::Spawned { run: of, .. } if of == run));
        assert!(matches!(host.next().await, Event::Exited { run: of, status: ExitStatus::Code(1) } if of == run));
        assert!(matches!(host.next().await, Event::Gone { run: of } if of == run));
    });
}

#[test]
fn an_end_by_a_signal_has_the_name_of_the_signal() {
    on_host("signal", async |host| {
        assert_eq!(host.complete(script("signalled", "kill -SEGV $$")).await, ExitStatus::Signal(Signal("SEGV")));
        assert_eq!(
            host.complete(script("signalled", "kill -$(kill -l RTMIN 2>/dev/null || echo 34) $$")).await,
            ExitStatus::Signal(Signal("RTMIN"))
        );
    });
}

/// A child, one in its own session with a child, and a double-forked one that ignores TERM and goes on forking. Each closes the FIFO
/// once it runs, so all run when the FIFO has been read to its end.
const FAMILY: &str = r#"
    exec 3>"$FIFO"
    sleep 3600 3>&- &
    setsid sh -c 'sleep 3600 3>&- & exec 3>&-; wait' &
    (setsid sh -c 'trap "" TERM; (sleep 3600 3>&- &); exec 3>&-; while :; do sleep 3600; done' &)
    exec 3>&-
    wait
"#;

#[test]
fn no_member_of_a_tree_survives() {
    on_host("family", async |host| {
        let fifo = host.fifo("fifo");
        let mut spec = script("family", FAMILY);
        spec.exec.env.insert("FIFO", fifo.to_str().unwrap().into());
        let run = host.spawn(spec);
        let main = host.spawned(run).await;
        assert_eq!(host.read_fifo(&fifo).await, "");
        let members = host.pids(run);
        assert_eq!(members[0], main);
        // Without pidfds only our own children are listed; the others are found as they become ours.
        let all = rustix::process::pidfd_open(rustix::process::getpid(), rustix::process::PidfdFlags::empty()).map_or(1, |_| 6);
        assert!(members.len() >= all, "{members:?}");
        host.stop(run);
        assert_eq!(host.exited(run).await, ExitStatus::Signal(Signal::TERM));
        assert_ne!(host.pids(run), [], "the one that ignores TERM is left");
        host.kill(run);
        host.gone(run).await;
        assert_eq!(children(), "");
        assert_eq!(host.pids(run), []);
    });
}

#[test]
fn a_frozen_process_is_stopped() {
    on_host("frozen", async |host| {
        let fifo = host.fifo("fifo");
        let run = host
            .spawn(script("frozen", &format!("trap 'exit 5' TERM; (kill -STOP $$; echo stopped >'{}') & wait", fifo.display())));
        host.spawned(run).await;
        assert_eq!(host.read_fifo(&fifo).await, "stopped\n");
        host.stop(run);
        assert_eq!(host.exited(run).await, ExitStatus::Code(5));
        host.gone(run).await;
    });
}

#[test]
fn the_end_of_a_main_process_is_reported_before_the_end_of_its_tree() {
    let printed = on_host("leftover", async |host| {
        let fifo = host.fifo("fifo");
        let fifo = fifo.display();
        let other = format!("setsid sh -c 'echo there >{fifo}; sleep 3600; :'");
        let run = host.spawn(script("leftover", &format!("sleep 3600 & {other} & read there <{fifo}; echo hi")));
        assert_eq!(host.exited(run).await, ExitStatus::Code(0));
        assert!(host.pids(run).len() >= 2);
        assert!(!host.events.iter().any(|event| matches!(event, Event::Gone { .. })));
        // The run is gone after the end of the last process.
        host.stop(run);
        host.gone(run).await;
    });
    assert_eq!(printed, "[leftover.stdout] hi\n");
}

#[test]
fn a_daemon_is_found_by_its_mark() {
    on_host("daemon", async |host| {
        // It is in another session without its parents, so only its environment shows its run.
        let fifo = host.fifo("fifo");
        let run = host.spawn(script("daemon", &format!("(setsid sh -c 'echo there >{}; sleep 3600; :' &)", fifo.display())));
        assert_eq!(host.read_fifo(&fifo).await, "there\n");
        assert_eq!(host.exited(run).await, ExitStatus::Code(0));
        assert_ne!(host.pids(run), []);
        host.kill(run);
        host.gone(run).await;
    });
}

#[test]
fn a_forged_mark_does_not_delay_the_end_of_another_run() {
    on_host("forged", async |host| {
        let db = host.spawn(sleeper());
        host.spawned(db).await;
        // Daemons of the second run claim name and number of the first run, with their own hash and with none.
        let fifos = [host.fifo("hash"), host.fifo("none")];
        let forge = |hash: &str, fifo: &Path| {
            let mark = format!("NAVIGATOR_RUN=${{own%%/*}}/sleeper/{}{hash}", db.0);
            format!("(env \"{mark}\" setsid sh -c 'echo there >{}; sleep 3600; :' &)", fifo.display())
        };
        let forgers = [forge("/${own##*/}", &fifos[0]), forge("", &fifos[1])].join("; ");
        let web = host.spawn(script("web", &format!("own=${{NAVIGATOR_RUN##*,}}; {forgers}; sleep 3600")));
        for fifo in &fifos {
            assert_eq!(host.read_fifo(fifo).await, "there\n");
        }
        assert_eq!(host.pids(db).len(), 1);
        host.stop(db);
        host.gone(db).await;
        host.kill(web);
        host.gone(web).await;
    });
}

#[test]
fn a_daemon_in_the_middle_of_an_exec_is_not_missed() {
    const RUNS: usize = 100;
    on_host("exec", async |host| {
        // The main process ends while its daemon, in another session, executes one program after the other. In each exec the
        // environment is unreadable for a moment.
        let chain = "env ".repeat(60);
        for number in 0..RUNS {
            let fifo = host.fifo(&number.to_string());
            let fifo = fifo.display();
            let daemon = format!("setsid sh -c 'exec 3>{fifo}; exec 3>&-; exec {chain} sleep 3600'");
            let run = host.spawn(script("exec", &format!("({daemon} &) ; read there <{fifo}; exit 0")));
            assert_eq!(host.exited(run).await, ExitStatus::Code(0));
            host.kill(run);
            host.gone(run).await;
            assert_eq!(children(), "");
        }
    });
}

#[test]
fn a_process_found_only_by_its_control_group_ends_with_its_run_or_with_navigator() {
    on_host("nobody", async |host| {
        let fifo = host.fifo("fifo");
        let fifo = fifo.display();
        let lost = format!("(setsid env -i /bin/sh -c 'echo there >{fifo}; exec sleep 3600' &); read there <{fifo}");
        let run = host.spawn(script("lost", &lost));
        assert_eq!(host.exited(run).await, ExitStatus::Code(0));
        let is_in_group = !host.pids(run).is_empty();
        if is_in_group {
            host.kill(run);
            host.gone(run).await;
            assert_eq!(children(), "");
        } else {
            // Without control groups nothing shows its run; `on_host` checks that it ends with navigator.
            host.gone(run).await;
            assert_ne!(children(), "");
        }
    });
}

#[test]
fn actions_may_come_at_any_moment() {
    on_host("moments", async |host| {
        for _ in 0..50 {
            let run = host.spawn(sleeper());
            host.stop(run);
            assert_eq!(host.exited(run).await, ExitStatus::Signal(Signal::TERM));
            host.gone(run).await;
        }
        for _ in 0..100 {
            let run = host.spawn(sleeper());
            host.kill(run);
            // If it is killed before its exec, it has never started.
            let started = host.until(|event| match event {
                Event::Spawned { run: of, .. } if *of == run => Some(true),
                Event::NotSpawned { run: of, .. } if *of == run => Some(false),
                _ => None,
            });
            if started.await {
                assert_eq!(host.exited(run).await, ExitStatus::Signal(Signal::KILL));
                host.gone(run).await;
            }
            host.kill(run);
            host.stop(run);
        }
        for _ in 0..100 {
            let run = host.spawn(Spec::new("broken", "/no/such/command"));
            host.kill(run);
            host.refused(run).await;
        }
    });
}

#[test]
fn killing_one_tree_leaves_another_alone() {
    on_host("neighbours", async |host| {
        let family = || script("family", "sleep 3600 & (setsid sleep 3600 &) ; wait");
        let (first, second) = (host.spawn(family()), host.spawn(family()));
        host.spawned(first).await;
        host.spawned(second).await;
        host.kill(first);
        host.gone(first).await;
        assert!(!host.events.iter().any(|event| matches!(event, Event::Exited { run, .. } if *run == second)));
        assert!(!host.pids(second).is_empty());
        host.kill(second);
        host.gone(second).await;
    });
}
