//! Rolling replacement: the new run is ready for a while before the old one stops, and is put back if it fails before.

use crate::stage::{
    NOTHING, Stage, after, by_hand, checked, content, exited, gone, probed, ready, refused, rolling, spec, started, unhealthy,
    unready, wanted, with,
};
use reconcile::diff::ChangeClass;
use reconcile::event::{Event, Order, Refusal, RunId};
use reconcile::spec::{OnWatch, Restart, Spec};
use reconcile::state::{ProcessState, ProcessStatus};
use reconcile::text::{Name, Text};
use reconcile::time::Time;
use std::time::Duration;

/// A server that is replaced by a rolling update.
fn web(version: u32) -> Spec {
    let change = |spec: &mut Spec| (spec.restart, spec.stable) = (Restart::OnFailure, Spec::STABLE);
    with(rolling(probed(spec("web", version))), change)
}

/// A stage with a server that serves by its first definition, and a new run beside it.
fn replacing() -> Stage {
    let mut stage = serving(web(0));
    assert_eq!(stage.step([wanted([web(1)])]), ["spawn web#2 (args changed)"]);
    stage
}

fn serving(spec: Spec) -> Stage {
    let mut stage = Stage::with([spec], &[1]);
    stage.step([ready(1)]);
    stage
}

fn status(stage: &Stage) -> ProcessStatus {
    stage.status("web").expect("it is in the file")
}

/// The old run of a stage serves as if there had never been another, and the reason says why.
fn assert_put_back(stage: &Stage, reason: &str) {
    let status = status(stage);
    assert_eq!((status.state, status.stale, status.as_wanted), (ProcessState::Running, true, false));
    assert_eq!(status.reason.to_string(), reason);
    assert_eq!(status.generation, 1);
}

#[test]
fn the_old_run_stops_once_the_new_one_has_stayed_ready() {
    let mut stage = replacing();
    assert_eq!(stage.step([started(2)]), NOTHING);
    assert_eq!(stage.step([ready(2)]), NOTHING);
    assert_eq!(stage.waiting(), ["web takes over if it stays ready until 1.000s"]);
    assert_eq!(stage.wait(900), NOTHING);
    assert_eq!(stage.step([unready(2)]), NOTHING, "it has to stay ready");
    assert_eq!(stage.wait(900), NOTHING);
    assert_eq!(stage.step([ready(2)]), NOTHING);
    assert_eq!(stage.wait(999), NOTHING);
    assert_eq!(stage.wait(1), ["stop web#1 (args changed)"]);
    stage.step([exited(1, 0), gone(1)]);
    assert!(stage.engine.is_converged());
}

#[test]
fn the_old_run_is_the_one_that_is_shown_until_then() {
    let mut stage = replacing();
    let shown = status(&stage);
    assert_eq!((shown.state, shown.generation, shown.stale, shown.as_wanted), (ProcessState::Running, 1, false, false));
    stage.step([started(2)]);
    stage.step([ready(2)]);
    assert_eq!(status(&stage).generation, 1);
    stage.wait(1_000);
    assert_eq!(status(&stage).generation, 2);
}

#[test]
fn a_new_run_that_fails_is_put_back() {
    type Failure = fn(&mut Stage) -> Vec<String>;
    let crash: Failure = |stage| stage.step([started(2), exited(2, 1), gone(2)]);
    let no_start: Failure = |stage| stage.step([refused(2)]);
    let late: Failure = |stage| {
        stage.step([started(2), unready(2)]);
        stage.wait(60_000)
    };
    let late_again: Failure = |stage| {
        stage.step([started(2)]);
        stage.step([ready(2)]);
        stage.step([unready(2)]);
        stage.wait(60_000)
    };
    let sick: Failure = |stage| stage.step([started(2), ready(2), unhealthy(2)]);
    for (failure, reason, acts) in [
        (crash, "put back: exit status 1 before it was ready (generation 2)", 0),
        (no_start, "put back: command not found: `run` does not exist (generation 2)", 0),
        (late, "put back: not ready within 1m: connection refused (generation 2)", 1),
        (late_again, "put back: not ready within 1m: connection refused (generation 2)", 1),
        (sick, "put back: liveness probe failed: no answer (generation 2)", 1),
    ] {
        let mut stage = serving(checked(web(0)));
        stage.step([wanted([checked(web(1))])]);
        let done = failure(&mut stage);
        assert_eq!(done.len(), acts, "{done:?}");
        assert!(done.iter().all(|act| act.starts_with("stop web#2")), "{done:?}");
        assert_put_back(&stage, reason);
        assert_eq!(stage.wait(1_000), NOTHING);
        assert_put_back(&stage, reason);
        stage.step([exited(2, 0), gone(2)]);
        assert_eq!(stage.wait(3_600_000), NOTHING, "one try");
        assert_put_back(&stage, reason);
    }
}

#[test]
fn what_was_put_back_is_tried_again_for_a_reason() {
    type Again = fn() -> Event;
    let by_hand_alone: Again = || by_hand(Order::Restart, "web");
    let retry: Again = || Event::Order(Order::Retry);
    let changed: Again = || wanted([with(web(1), |spec| spec.ready_timing.deadline *= 2)]);
    let other: Again = || wanted([web(2)]);
    for (again, reason) in
        [(by_hand_alone, "restarted by hand"), (retry, "args changed"), (changed, "args, ready changed"), (other, "args changed")]
    {
        let mut stage = replacing();
        stage.step([started(2), exited(2, 1), gone(2)]);
        assert_eq!(stage.step([wanted([web(1)])]), NOTHING, "the same file again");
        let begun = stage.step([again()]);
        assert_eq!(begun.len(), 1, "{begun:?}");
        assert!(begun[0].starts_with("spawn web#3"), "{begun:?} for {reason}");
        assert!(!status(&stage).stale);
        stage.step([started(3)]);
        stage.step([ready(3)]);
        assert!(stage.wait(1_000)[0].starts_with("stop web#1"));
        stage.step([exited(1, 0), gone(1)]);
        assert!(stage.engine.is_converged() || !stage.wait(10_000).iter().any(|act| act.starts_with("spawn")));
    }
}

#[test]
fn a_changed_file_is_a_reason_to_try_again() {
    let watching = |version| {
        with(web(version), |spec| {
            spec.watch = vec![Text::plain("app.rb")];
            spec.on_watch = OnWatch::Restart;
        })
    };
    let mut stage = serving(watching(0));
    let file = |number| content("web", &["app.rb"], [("app.rb", number)]);
    stage.step([file(1)]);
    assert_eq!(stage.step([file(2)]), ["spawn web#2 (app.rb changed)"], "a watched file rolls too");
    stage.step([started(2), exited(2, 1), gone(2)]);
    assert_put_back(&stage, "put back: exit status 1 before it was ready (generation 1)");
    assert_eq!(stage.wait(60_000), NOTHING);
    assert_eq!(stage.step([file(3)]), ["spawn web#3 (app.rb changed)"]);
    stage.step([started(3)]);
    stage.step([ready(3)]);
    assert_eq!(stage.wait(1_000), ["stop web#1 (app.rb changed)"]);
}

#[test]
fn a_newer_generation_replaces_the_new_run_at_once() {
    let mut stage = replacing();
    stage.step([started(2)]);
    assert_eq!(stage.step([wanted([web(2)])]), ["stop web#2 (args changed)"]);
    assert_eq!(stage.step([exited(2, 0), gone(2)]), ["spawn web#3 (args changed)"]);
    stage.step([started(3)]);
    stage.step([ready(3)]);
    assert_eq!(stage.wait(1_000), ["stop web#1 (args changed)"]);
}

#[test]
fn a_new_run_that_does_not_end_lets_the_next_one_wait() {
    let mut stage = replacing();
    stage.step([started(2)]);
    stage.step([wanted([web(2)])]);
    for version in 3..50 {
        assert_eq!(stage.step([wanted([web(version)])]), NOTHING);
    }
    assert_eq!(stage.engine.observed().processes()["web"].runs.len(), 2);
}

#[test]
fn the_former_definition_again_needs_no_run() {
    let mut stage = replacing();
    stage.step([started(2)]);
    assert_eq!(stage.step([wanted([web(0)])]), ["stop web#2 (args changed)"]);
    stage.step([exited(2, 0), gone(2)]);
    assert!(stage.engine.is_converged());
}

#[test]
fn the_new_run_goes_on_alone_if_the_old_one_dies() {
    let mut stage = replacing();
    assert_eq!(stage.step([started(2), exited(1, 1), gone(1)]), NOTHING);
    stage.step([ready(2)]);
    assert_eq!(stage.wait(1_000), NOTHING);
    assert_eq!(stage.step([exited(2, 1), gone(2)]), NOTHING);
    assert_eq!(status(&stage).state, ProcessState::Backoff, "it had taken over: its own policy counts");
    assert!(!status(&stage).stale);
}

#[test]
fn the_old_definition_is_started_again_if_both_fail() {
    let mut stage = replacing();
    stage.step([started(2), exited(1, 1), gone(1)]);
    assert_eq!(stage.step([exited(2, 1), gone(2)]), ["spawn web#3 (args changed)"]);
    let process = &stage.engine.observed().processes()["web"];
    assert_eq!(process.runs[0].spec.exec.args, web(0).exec.args);
    stage.step([started(3)]);
    stage.step([ready(3)]);
    assert_put_back(&stage, "put back: exit status 1 before it was ready (generation 2)");
}

#[test]
fn what_was_put_back_is_restarted_as_it_was() {
    let mut stage = replacing();
    stage.step([started(2), exited(2, 1), gone(2)]);
    stage.step([exited(1, 7), gone(1)]);
    assert_eq!(stage.wait(1_000), ["spawn web#3 (exit status 7)"]);
    assert_eq!(stage.engine.observed().processes()["web"].runs[0].spec.exec.args, web(0).exec.args);
}

#[test]
fn an_order_by_hand_rolls_unless_it_is_to_stop_first() {
    let mut stage = serving(web(0));
    assert_eq!(stage.step([by_hand(Order::Restart, "web")]), ["spawn web#2 (restarted by hand)"]);
    stage.step([started(2), exited(2, 1), gone(2)]);
    assert_put_back(&stage, "put back: exit status 1 before it was ready (generation 1)");
    assert_eq!(stage.step([by_hand(Order::RestartStopFirst, "web")]), ["stop web#1 (restarted by hand)"]);
    assert_eq!(stage.step([exited(1, 0), gone(1)]), ["spawn web#3 (restarted by hand)"]);
}

#[test]
fn a_restart_along_with_a_dependency_rolls_too() {
    let specs = |version| [spec("db", version), after(web(0), "db", true)];
    let mut stage = Stage::with(specs(0), &[1]);
    stage.step([started(2)]);
    stage.step([ready(2)]);
    // It goes on while its dependency is replaced, and is replaced after that.
    assert_eq!(stage.step([wanted(specs(1))]), ["stop db#1 (args changed)"]);
    assert_eq!(stage.step([exited(1, 0), gone(1)]), ["spawn db#3 (args changed)"]);
    assert_eq!(stage.step([started(3)]), ["spawn web#4 (dependency db restarted)"]);
    stage.step([started(4)]);
    stage.step([ready(4)]);
    assert_eq!(stage.wait(1_000), ["stop web#2 (dependency db restarted)"]);
    stage.step([exited(2, 0), gone(2)]);
    assert!(stage.engine.is_converged());
}

#[test]
fn dependents_do_not_follow_what_is_put_back() {
    let specs = |version| [web(version), after(spec("worker", 0), "web", true)];
    let mut stage = Stage::with(specs(0), &[1]);
    stage.step([ready(1)]);
    stage.step([started(2)]);
    assert_eq!(stage.step([wanted(specs(1))]), ["spawn web#3 (args changed)"]);
    assert_eq!(stage.step([started(3), exited(3, 1), gone(3)]), NOTHING);
    assert_put_back(&stage, "put back: exit status 1 before it was ready (generation 2)");
}

#[test]
fn a_host_without_room_gets_another_try_within_the_deadline() {
    let full = |run| {
        let why = Refusal::Exhausted { what: "processes".to_string() };
        Event::NotSpawned { run: RunId(run), why }
    };
    let mut stage = replacing();
    assert_eq!(stage.step([full(2)]), NOTHING);
    assert!(!status(&stage).stale);
    assert_eq!(stage.wait(1_000), ["spawn web#3 (host exhausted: processes)"]);
    stage.step([full(3)]);
    let mut run = 4;
    for _ in 0..100 {
        if !stage.wait(2_000).is_empty() {
            stage.step([full(run)]);
            run += 1;
        }
    }
    assert!(run > 6, "the backoff lets it try {run} times");
    assert_put_back(&stage, "put back: host exhausted: processes (generation 2)");
}

#[test]
fn a_newer_definition_has_the_whole_deadline() {
    let refuse = |stage: &mut Stage| {
        let run = stage.engine.observed().processes()["web"].runs.iter().find(|run| run.up.is_none()).map(|run| run.id);
        let why = Refusal::Exhausted { what: "processes".to_string() };
        run.map(|run| stage.step([Event::NotSpawned { run, why }]))
    };
    let mut stage = replacing();
    refuse(&mut stage);
    // The host has no room for any start until this second.
    let until = |stage: &mut Stage, second: u64| {
        while stage.now < Time::ZERO + Duration::from_secs(second) {
            if !stage.wait(1_000).is_empty() {
                refuse(stage);
            }
        }
    };
    until(&mut stage, 29);
    stage.step([wanted([web(2)])]);
    refuse(&mut stage);
    // The next start but one would come after the deadline of the former one.
    until(&mut stage, 55);
    assert!(!status(&stage).stale);
    until(&mut stage, 200);
    assert_put_back(&stage, "put back: host exhausted: processes (generation 3)");
}

/// Watched files of the definition in force count as ever, and those of the definition that was put back lead to another try.
#[test]
fn the_files_of_both_definitions_are_followed_after_a_put_back() {
    let watching = |version, file: &str| {
        with(web(version), |spec| {
            spec.watch = vec![Text::plain(file)];
            spec.on_watch = OnWatch::Restart;
        })
    };
    let watched = |stage: &Stage| {
        let specs = stage.engine.watching_instead()?;
        Some(specs.iter().map(|spec| spec.watch[0].value().to_owned()).collect::<Vec<_>>())
    };
    let old = |number| content("web", &["old.rb"], [("old.rb", number)]);
    let new = |number| content("web", &["new.rb"], [("new.rb", number)]);
    let mut stage = serving(watching(0, "old.rb"));
    stage.step([old(1)]);
    stage.step([wanted([watching(1, "new.rb")]), new(1)]);
    assert_eq!(watched(&stage), None);
    stage.step([started(2), exited(2, 1), gone(2)]);
    assert_put_back(&stage, "put back: exit status 1 before it was ready (generation 2)");
    assert_eq!(watched(&stage), Some(vec!["old.rb".to_owned(), "new.rb".to_owned()]));
    assert_eq!(stage.step([old(1), new(1)]), NOTHING, "the first content since then is as read");

    assert_eq!(stage.step([new(2)]), ["spawn web#3 (args changed)"]);
    assert_eq!(watched(&stage), None);
    stage.step([started(3), exited(3, 1), gone(3)]);
    stage.step([new(2)]);
    // The old program reads what has changed while only the other file was watched.
    assert_eq!(stage.step([old(2)]), ["spawn web#4 (old.rb changed)"]);
    stage.step([started(4)]);
    stage.step([ready(4)]);
    assert_eq!(stage.wait(1_000), ["stop web#1 (old.rb changed)"]);
    stage.step([exited(1, 0), gone(1)]);
    assert!(status(&stage).stale, "the new one is still put back");
    assert_eq!(stage.step([new(3)]), ["spawn web#5 (args changed)"]);
}

/// The old run may have an address that the new one needs. Then the reason says how to go on.
#[test]
fn the_reason_names_the_address_that_the_old_run_has_bound() {
    let listens = |run| Event::Listens { run: RunId(run), on: "127.0.0.1:3001".to_owned() };
    let hint = "; the old run has bound 127.0.0.1:3001: if the new one needs that too, let navigator hold it by `listen`";
    let mut stage = serving(web(0));
    stage.step([listens(1)]);
    stage.step([wanted([web(1)])]);
    stage.step([started(2), exited(2, 1), gone(2)]);
    assert_put_back(&stage, &format!("put back: exit status 1 before it was ready (generation 2){hint}"));
    stage.step([wanted([web(2)])]);
    stage.step([started(3), unready(3)]);
    stage.wait(60_000);
    assert!(status(&stage).reason.to_string().ends_with(hint), "{}", status(&stage).reason);
    stage.step([exited(3, 1), gone(3)]);
    stage.step([wanted([web(3)])]);
    stage.step([refused(4)]);
    assert!(!status(&stage).reason.to_string().contains("127.0.0.1"), "it was never started: {}", status(&stage).reason);
}

#[test]
fn a_plan_lists_what_was_put_back_apart() {
    let mut stage = replacing();
    stage.step([started(2), exited(2, 1), gone(2)]);
    let Event::Wanted(next) = wanted([web(1), spec("other", 0)]) else { panic!("`wanted` is another event") };
    let changes = stage.engine.changes(&next);
    assert!(matches!(&changes[&Name::from("web")], ChangeClass::Stale(fields) if fields[0].field == "args"), "{changes:?}");
    assert_eq!(stage.step([Event::Wanted(next)]), ["spawn other#3 (added to file)"]);
    assert_put_back(&stage, "put back: exit status 1 before it was ready (generation 2)");
}

#[test]
fn a_run_that_has_yet_to_take_over_is_the_one_that_a_newer_generation_replaces() {
    let mut stage = replacing();
    stage.step([started(2)]);
    stage.step([ready(2)]);
    assert_eq!(stage.step([wanted([web(2)])]), ["stop web#2 (args changed)"], "the old one serves on");
    let mut stage = replacing();
    stage.step([started(2)]);
    stage.step([ready(2)]);
    assert_eq!(stage.step([by_hand(Order::Restart, "web")]), ["stop web#2 (restarted by hand)"]);
}

#[test]
fn what_serves_for_want_of_another_is_not_on_trial() {
    let mut stage = replacing();
    stage.step([started(2)]);
    stage.step([ready(2), unready(1)]);
    assert_eq!(stage.step([wanted([web(2)])]), ["stop web#1 (args changed)"], "it isn't ready");
    assert_eq!(stage.step([exited(1, 0), gone(1)]), ["spawn web#3 (args changed)"]);
    stage.step([started(3)]);
    stage.step([ready(3)]);
    assert_eq!(stage.step([wanted([web(3)])]), ["stop web#3 (args changed)"], "the one that serves stays");
}

#[test]
fn nothing_that_serves_is_disabled_because_of_what_is_put_back() {
    let disabled = |version| with(web(version), |spec| spec.enabled = false);
    let mut stage = Stage::with([disabled(0)], &[]);
    assert_eq!(stage.step([by_hand(Order::Start, "web")]), ["spawn web#1 (started by hand)"]);
    stage.step([started(1)]);
    stage.step([ready(1)]);
    assert_eq!(stage.step([wanted([web(1)])]), ["spawn web#2 (args changed)"]);
    assert_eq!(stage.step([started(2), exited(2, 1), gone(2)]), ["update web#1"], "the file enables it");
    assert_eq!(status(&stage).state, ProcessState::Running);
}

#[test]
fn a_new_run_that_is_lost_is_put_back() {
    let mut stage = replacing();
    stage.step([started(2)]);
    assert_eq!(stage.step([gone(2)]), NOTHING);
    assert_put_back(&stage, "put back: exit status unknown before it was ready (generation 2)");
    assert_eq!(stage.wait(60_000), NOTHING);
}

#[test]
fn an_order_by_hand_survives_the_failure_of_the_start_before_it() {
    let mut stage = serving(with(web(0), |spec| spec.restart = Restart::Never));
    assert_eq!(stage.step([by_hand(Order::Restart, "web")]), ["spawn web#2 (restarted by hand)"]);
    assert_eq!(stage.step([by_hand(Order::Restart, "web")]), NOTHING, "its exec is under way");
    assert_eq!(stage.step([refused(2)]), ["spawn web#3 (restarted by hand)"]);
    stage.step([started(3), exited(3, 1), gone(3)]);
    assert_put_back(&stage, "put back: exit status 1 before it was ready (generation 1)");
    assert_eq!(stage.step([Event::Order(Order::Retry)]), ["spawn web#4 (restarted by hand)"], "that is tried again, too");
}

#[test]
fn a_restart_that_was_put_back_is_forgotten_once_the_program_is_started_again() {
    let mut stage = serving(web(0));
    stage.step([by_hand(Order::Restart, "web")]);
    stage.step([started(2), exited(2, 1), gone(2)]);
    assert_put_back(&stage, "put back: exit status 1 before it was ready (generation 1)");
    stage.step([exited(1, 1), gone(1)]);
    assert_eq!(stage.wait(1_000), ["spawn web#3 (exit status 1)"]);
    stage.step([started(3)]);
    stage.step([ready(3)]);
    assert!(!status(&stage).stale);
    stage.wait(10_000);
    assert!(stage.engine.is_converged());
}

#[test]
fn a_definition_that_was_put_back_stays_so_when_another_start_fails() {
    let specs = |db, version| [spec("db", db), after(web(version), "db", true)];
    let mut stage = Stage::with(specs(0, 0), &[1]);
    stage.step([started(2)]);
    stage.step([ready(2)]);
    assert_eq!(stage.step([wanted(specs(0, 1))]), ["spawn web#3 (args changed)"]);
    stage.step([started(3), exited(3, 1), gone(3)]);
    stage.step([by_hand(Order::Restart, "db")]);
    stage.step([exited(1, 0), gone(1)]);
    assert_eq!(stage.step([started(4)]), ["spawn web#5 (dependency db restarted)"]);
    assert_eq!(stage.engine.observed().processes()["web"].runs[1].spec.exec.args, web(0).exec.args);
    assert_eq!(stage.step([started(5), exited(5, 1), gone(5)]), NOTHING, "neither is tried again");
    assert_eq!(stage.wait(60_000), NOTHING);
}

#[test]
fn what_was_put_back_does_not_follow_the_same_replacement_again() {
    let specs = |db| [rolling(spec("db", db)), after(web(0), "db", true)];
    let mut stage = Stage::with(specs(0), &[1]);
    stage.step([started(2)]);
    stage.step([ready(2)]);
    stage.step([wanted(specs(1))]);
    assert_eq!(stage.step([started(3)]), ["stop db#1 (args changed)", "spawn web#4 (dependency db restarted)"]);
    assert_eq!(stage.step([started(4), exited(4, 1), gone(4)]), NOTHING, "the old one is stopping all the time");
    assert_eq!(stage.step([exited(1, 0), gone(1)]), NOTHING);
    stage.step([wanted(specs(2))]);
    assert_eq!(stage.step([started(5)]), ["stop db#3 (args changed)", "spawn web#6 (dependency db restarted)"]);
}

#[test]
fn a_new_run_that_lapses_before_the_old_one_may_stop_has_to_stay_ready_again() {
    let worker = |version| after(with(spec("worker", version), |spec| spec.stop.timeout = Duration::from_mins(1)), "web", false);
    let mut stage = Stage::with([web(0), worker(0)], &[1]);
    stage.step([ready(1)]);
    stage.step([started(2)]);
    // The worker has to be gone before the old run is told to stop, and takes its time.
    assert_eq!(stage.step([wanted([web(1), worker(1)])]), ["stop worker#2 (args changed)", "spawn web#3 (args changed)"]);
    stage.step([started(3)]);
    stage.step([ready(3)]);
    assert_eq!(stage.wait(1_000), NOTHING);
    stage.step([unready(3)]);
    stage.step([exited(2, 0), gone(2)]);
    assert_eq!(stage.step([ready(3)]), NOTHING);
    assert_eq!(stage.wait(999), NOTHING);
    assert_eq!(stage.wait(1), ["stop web#1 (args changed)"]);
}
