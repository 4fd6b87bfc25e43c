//! Ends of runs: what a main process leaves behind, ends that shut navigator down, and starts that wait in vain.

use crate::stage::{NOTHING, Stage, after, by_hand, checked, exited, gone, refused, spec, started, unhealthy, wanted, with};
use reconcile::event::{Event, ExitStatus, Order, RunId};
use reconcile::orders::ShutdownCause;
use reconcile::plan::Block;
use reconcile::report::{Report, TransitionKind};
use reconcile::spec::{Backoff, Drain, Restart, ShutdownOn, Signal, SignalOrCommand, Spec, StopScope};
use reconcile::state::ProcessState;
use reconcile::text::Name;
use std::time::Duration;

fn by_main(spec: Spec) -> Spec {
    with(spec, |spec| spec.stop.scope = StopScope::Main)
}

/// The reports of a step.
fn reports(stage: &mut Stage, events: impl IntoIterator<Item = Event>) -> Vec<Report> {
    stage.engine.step(stage.now, events).reports
}

fn kinds(reports: &[Report]) -> Vec<&TransitionKind> {
    reports.iter().filter_map(|report| if let Report::Process(about) = report { Some(&about.what) } else { None }).collect()
}

#[test]
fn what_a_main_process_leaves_behind_is_told_to_stop_and_killed_in_the_end() {
    let mut stage = Stage::with([with(spec("a", 0), |spec| spec.restart = Restart::Always)], &[1]);
    assert_eq!(stage.step([exited(1, 0)]), ["stop rest of a#1"]);
    assert_eq!(stage.wait(9_999), NOTHING);
    assert_eq!(stage.wait(1), ["kill a#1"]);
    assert_eq!(stage.step([gone(1)]), ["spawn a#2 (exit status 0)"]);
}

#[test]
fn nothing_is_told_to_stop_where_nothing_is_left() {
    let mut stage = Stage::with([spec("a", 0)], &[1]);
    assert_eq!(stage.step([exited(1, 0), gone(1)]), NOTHING);
}

#[test]
fn a_stop_of_the_main_process_stops_the_rest_once_it_has_ended() {
    for (stopped, rest) in [(by_main(spec("a", 0)), true), (spec("a", 0), false)] {
        let mut stage = Stage::with([stopped], &[1]);
        assert_eq!(stage.step([by_hand(Order::Stop, "a")]), ["stop a#1 (stopped by hand)"]);
        stage.wait(4_000);
        let expected: &[&str] = if rest { &["stop rest of a#1"] } else { &[] };
        assert_eq!(stage.step([exited(1, 0)]), expected);
        assert_eq!(stage.wait(6_000), ["kill a#1"], "the timeout counts from the stop");
    }
}

#[test]
fn a_shutdown_in_a_hurry_kills_what_is_left() {
    let mut stage = Stage::with([spec("a", 0)], &[1]);
    stage.step([exited(1, 0)]);
    assert_eq!(stage.step([Event::Order(Order::Hurry)]), ["kill a#1"]);
}

#[test]
fn the_end_of_a_process_shuts_navigator_down_if_it_says_so() {
    let table = [
        (ShutdownOn::Failure, 3, true),
        (ShutdownOn::Failure, 0, false),
        (ShutdownOn::Failure, 7, false),
        (ShutdownOn::Exit, 0, true),
        (ShutdownOn::Exit, 3, true),
    ];
    for (shutdown_on, code, ends) in table {
        let main = with(spec("main", 0), |spec| {
            spec.shutdown_on = Some(shutdown_on);
            spec.success_exit_codes = Some(vec![0, 7]);
        });
        let mut stage = Stage::with([spec("db", 0), main], &[1, 2]);
        let stopped = stage.step([exited(2, code), gone(2)]);
        let expected: &[&str] = if ends { &["stop db#1 (shutdown)"] } else { &[] };
        assert_eq!(stopped, expected, "{shutdown_on:?}, exit status {code}");
        let success = code == 0;
        let cause = ends.then(|| ShutdownCause { name: Name::from("main"), status: ExitStatus::Code(code), success });
        assert_eq!(stage.engine.orders().closing().and_then(|closing| closing.cause.clone()), cause);
    }
}

#[test]
fn a_failure_that_is_retried_does_not_shut_navigator_down() {
    let main = with(spec("main", 0), |spec| {
        (spec.shutdown_on, spec.restart, spec.max_restarts) = (Some(ShutdownOn::Failure), Restart::OnFailure, Some(1));
        spec.backoff = Backoff::steady(Duration::from_secs(1));
    });
    let mut stage = Stage::with([spec("db", 0), main], &[1, 2]);
    assert_eq!(stage.step([exited(2, 1), gone(2)]), NOTHING);
    assert_eq!(stage.wait(1_000), ["spawn main#3 (exit status 1)"]);
    stage.step([started(3)]);
    let signal = Event::Exited { run: RunId(3), status: ExitStatus::Signal(Signal::KILL) };
    assert_eq!(stage.step([signal, gone(3)]), ["stop db#1 (shutdown)"]);
}

#[test]
fn a_status_that_counts_as_success_is_no_crash() {
    let retried = with(spec("a", 0), |spec| {
        (spec.restart, spec.success_exit_codes) = (Restart::OnFailure, Some(vec![0, 3]));
    });
    let mut stage = Stage::with([retried], &[1]);
    let said = reports(&mut stage, [exited(1, 3), gone(1)]);
    assert_eq!(kinds(&said), [&TransitionKind::Exited(ExitStatus::Code(3))]);
    assert!(stage.engine.is_converged());
}

#[test]
fn a_start_that_waits_in_vain_is_reported_once_for_each_cause() {
    let web = |name| after(spec(name, 0), "db", false);
    let mut stage = Stage::with([spec("db", 0)], &[1]);
    stage.step([by_hand(Order::Stop, "db"), exited(1, 0), gone(1)]);
    let stalled = |why, names: &[&str]| Report::Stalled {
        on: Name::from("db"),
        why,
        names: names.iter().map(|name| Name::from(*name)).collect(),
    };
    let said = reports(&mut stage, [wanted([spec("db", 0), web("one"), web("two")])]);
    assert!(said.contains(&stalled(Block::StoppedByHand, &["one", "two"])), "{said:?}");
    assert_eq!(reports(&mut stage, [wanted([spec("db", 0), web("one"), web("two"), spec("other", 0)])]).len(), 1);
    let said = reports(&mut stage, [wanted([with(spec("db", 0), |spec| spec.enabled = false), web("one"), web("two")])]);
    assert!(said.contains(&stalled(Block::Disabled, &["one", "two"])), "{said:?}");
}

#[test]
fn a_start_that_fails_is_a_failure_only_if_it_is_not_retried() {
    let said_of = |restart| {
        let mut stage = Stage::with([with(spec("a", 0), |spec| spec.restart = restart)], &[]);
        let said = reports(&mut stage, [refused(1)]);
        kinds(&said)
            .iter()
            .map(|kind| format!("{kind:?}").split(['(', ' ']).next().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(said_of(Restart::Never), ["Starting", "Failed"]);
    assert_eq!(said_of(Restart::OnFailure), ["Starting", "NotStarted", "Restarting"]);
}

/// A process that finishes its work for up to 30 seconds before it is told to end.
fn draining(spec: Spec) -> Spec {
    let drain = Drain { by: SignalOrCommand::Signal(Signal("QUIT")), timeout: Duration::from_secs(30) };
    with(spec, |spec| spec.stop.drain = Some(drain))
}

#[test]
fn a_process_finishes_its_work_before_it_is_told_to_end() {
    let mut stage = Stage::with([draining(spec("a", 0))], &[1]);
    assert_eq!(stage.step([by_hand(Order::Stop, "a")]), ["drain a#1"]);
    assert_eq!(stage.waiting(), ["a draining, TERM at 30.000s"]);
    assert_eq!(stage.status("a").map(|status| status.state), Some(ProcessState::Stopping));
    assert_eq!(stage.wait(29_999), NOTHING);
    assert_eq!(stage.wait(1), ["stop a#1 ()"]);
    assert_eq!(stage.wait(9_999), NOTHING, "its grace counts from then");
    assert_eq!(stage.wait(1), ["kill a#1"]);
}

#[test]
fn a_process_that_ends_in_time_is_not_told_to_end() {
    let mut stage = Stage::with([draining(spec("a", 0))], &[1]);
    stage.step([wanted([draining(spec("a", 1))])]);
    assert_eq!(stage.step([exited(1, 0), gone(1)]), ["spawn a#2 (args changed)"]);
}

#[test]
fn what_a_drained_main_process_leaves_behind_is_told_to_end() {
    let mut stage = Stage::with([draining(spec("a", 0))], &[1]);
    stage.step([by_hand(Order::Stop, "a")]);
    stage.wait(20_000);
    assert_eq!(stage.step([exited(1, 0)]), ["stop rest of a#1"]);
    assert_eq!(stage.wait(9_999), NOTHING);
    assert_eq!(stage.wait(1), ["kill a#1"]);
}

#[test]
fn a_drain_that_fails_ends_at_once() {
    let mut stage = Stage::with([draining(spec("a", 0))], &[1]);
    stage.step([by_hand(Order::Stop, "a")]);
    stage.wait(1_000);
    let failed = Event::NotDrained { run: RunId(1), why: "exit status 1".to_string() };
    assert_eq!(stage.step([failed]), ["stop a#1 ()"]);
}

#[test]
fn a_process_that_failed_is_not_drained_nor_one_that_is_killed() {
    let mut stage = Stage::with([draining(checked(spec("a", 0)))], &[1]);
    assert_eq!(stage.step([unhealthy(1)]), ["stop a#1 (liveness probe failed: no answer)"]);
    let mut stage = Stage::with([draining(spec("a", 0))], &[1]);
    assert_eq!(stage.step([Event::Order(Order::Hurry)]), ["kill a#1"]);
    let mut stage = Stage::with([draining(spec("a", 0))], &[1]);
    stage.step([Event::Order(Order::Shutdown)]);
    assert_eq!(stage.step([Event::Order(Order::Hurry)]), ["kill a#1"], "while it drains, too");
}

#[test]
fn the_shutdown_timeout_bounds_a_drain() {
    let long = with(draining(spec("a", 0)), |spec| {
        spec.stop.drain.iter_mut().for_each(|drain| drain.timeout = Duration::from_hours(1));
    });
    let mut stage = Stage::with([long], &[1]);
    assert_eq!(stage.step([Event::Order(Order::Shutdown)]), ["drain a#1"]);
    assert_eq!(stage.wait(89_999), NOTHING);
    assert_eq!(stage.wait(1), ["kill a#1"]);
}
