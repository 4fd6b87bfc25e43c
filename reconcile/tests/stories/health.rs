//! Readiness that lapses and returns, and failed liveness probes.

use crate::stage::{
    NOTHING, Stage, after, by_hand, checked, exited, gone, probed, ready, rolling, spec, started, unhealthy, unready, wanted,
    with,
};
use reconcile::event::Order;
use reconcile::plan::Block;
use reconcile::report::Report;
use reconcile::spec::{Announce, Condition, Dependency, OnChange, Probe, Restart, Spec};
use reconcile::state::ProcessState;
use reconcile::text::{Name, Text};
use std::time::Duration;

fn announcing(spec: Spec) -> Spec {
    with(spec, |spec| spec.exec.announce = Some(Announce::Notify))
}

fn restarting(spec: Spec) -> Spec {
    with(spec, |spec| {
        spec.restart = Restart::OnFailure;
        spec.backoff.jitter = 0.0;
    })
}

#[test]
fn health_events_that_come_too_early_or_too_late_are_ignored() {
    let mut stage = Stage::with([checked(probed(spec("a", 0)))], &[]);
    assert_eq!(stage.step([unready(1), unhealthy(1)]), NOTHING);
    stage.step([started(1), ready(1)]);
    assert!(stage.engine.is_converged());
    assert_eq!(stage.step([wanted([])]), ["stop a#1 (removed from file)"]);
    assert_eq!(stage.step([unready(1), unhealthy(1), ready(1)]), NOTHING);
    assert_eq!(stage.step([exited(1, 0), gone(1), unready(1), unhealthy(1)]), NOTHING);
}

#[test]
fn a_run_without_a_check_can_not_fail_it() {
    let mut stage = Stage::with([spec("a", 0)], &[1]);
    assert_eq!(stage.step([unready(1), unhealthy(1)]), NOTHING);
    assert!(stage.engine.is_converged());
}

#[test]
fn a_run_that_was_ready_has_no_readiness_deadline() {
    let mut stage = Stage::with([probed(spec("a", 0))], &[1]);
    stage.step([ready(1), unready(1)]);
    assert_eq!(stage.wake_at, None);
    assert_eq!(stage.wait(3_600_000), NOTHING);
    assert_eq!(stage.waiting(), ["a not ready any more: connection refused"]);
    assert_eq!(stage.status("a").map(|status| status.state), Some(ProcessState::Starting));
}

/// It may still come back, so the wait goes on.
#[test]
fn a_dependency_that_is_not_ready_again_within_its_deadline_is_reported_once() {
    let db = || probed(spec("db", 0));
    let needs = Dependency { condition: Some(Condition::Ready), ..Dependency::default() };
    let web = with(spec("web", 0), |spec| spec.depends_on = Some([(Name::from("db"), needs)].into()));
    let mut stage = Stage::with([db()], &[1]);
    stage.step([ready(1), unready(1), wanted([db(), web])]);
    let mut said = |millis| {
        stage.now = stage.now + Duration::from_millis(millis);
        stage.engine.step(stage.now, []).reports
    };
    assert_eq!(said(59_999), []);
    let (on, names) = (Name::from("db"), vec![Name::from("web")]);
    assert_eq!(said(1), [Report::Stalled { on, why: Block::Unready, names }]);
    assert_eq!(said(3_600_000), []);
    assert_eq!(stage.waiting(), ["db not ready any more: connection refused", "web waits for db: not ready"]);
    assert_eq!(stage.step([ready(1)]), ["spawn web#2 (added to file)"]);
}

#[test]
fn failures_of_a_former_probe_are_forgotten() {
    let mut stage = Stage::with([probed(spec("a", 0))], &[1]);
    stage.step([unready(1)]);
    assert_eq!(stage.waiting(), ["a not ready yet: connection refused, until 60.000s"]);
    let other = with(spec("a", 0), |spec| spec.ready = Some(Probe::Tcp(Text::plain("localhost:81"))));
    assert_eq!(stage.step([wanted([other])]), ["update a#1"]);
    assert_eq!(stage.waiting(), ["a not ready yet, until 60.000s"]);
}

#[test]
fn a_probe_that_is_removed_while_readiness_has_lapsed_leaves_it_ready() {
    let mut stage = Stage::with([probed(spec("a", 0))], &[1]);
    stage.step([ready(1), unready(1)]);
    assert_eq!(stage.step([wanted([spec("a", 0)])]), ["update a#1"]);
    assert!(stage.engine.is_converged());
    assert_eq!(stage.step([unready(1)]), NOTHING);
    assert!(stage.engine.is_converged(), "what the former probe still says is late");
}

#[test]
fn a_check_that_is_removed_saves_a_run_that_was_not_told_to_stop_yet() {
    let mut stage = Stage::with([checked(spec("a", 0)), after(spec("b", 0), "a", false)], &[1, 2]);
    assert_eq!(stage.step([by_hand(Order::Stop, "b")]), ["stop b#2 (stopped by hand)"]);
    // It waits for `b` to be gone.
    assert_eq!(stage.step([unhealthy(1)]), NOTHING);
    assert_eq!(stage.step([wanted([spec("a", 0), after(spec("b", 0), "a", false)])]), ["update a#1"]);
    assert_eq!(stage.step([exited(2, 0), gone(2)]), NOTHING);
    assert_eq!(stage.status("a").map(|status| status.state), Some(ProcessState::Running));
}

#[test]
fn a_later_deadline_saves_a_run_that_was_not_told_to_stop_yet() {
    let slow = |deadline| with(announcing(spec("a", 0)), |spec| spec.ready_timing.deadline = Duration::from_secs(deadline));
    let b = || after(spec("b", 0), "a", false);
    let mut stage = Stage::with([slow(5), b()], &[1, 2]);
    assert_eq!(stage.step([by_hand(Order::Stop, "b")]), ["stop b#2 (stopped by hand)"]);
    assert_eq!(stage.wait(5_000), NOTHING);
    assert_eq!(stage.step([wanted([slow(60), b()])]), ["update a#1"]);
    assert_eq!(stage.step([exited(2, 0), gone(2)]), NOTHING);
}

#[test]
fn an_unhealthy_run_is_stopped_even_if_it_is_ready_again() {
    let mut stage = Stage::with([restarting(checked(probed(spec("a", 0))))], &[1]);
    stage.step([ready(1), unready(1)]);
    assert_eq!(stage.step([unhealthy(1), ready(1)]), ["stop a#1 (liveness probe failed: no answer)"]);
}

#[test]
fn liveness_does_not_count_before_the_first_readiness() {
    // It starts slowly, and answers no probe until then.
    let mut stage = Stage::with([checked(probed(spec("a", 0)))], &[1]);
    stage.wait(30_000);
    assert_eq!(stage.step([unhealthy(1)]), NOTHING);
    stage.wait(15_000);
    assert_eq!(stage.step([ready(1)]), NOTHING);
    assert!(stage.engine.is_converged());
    assert_eq!(stage.step([unhealthy(1)]), ["stop a#1 (liveness probe failed: no answer)"]);
}

#[test]
fn a_failed_liveness_probe_is_a_failure_whatever_the_exit_status() {
    let ends = |restart, most| {
        let spec = with(restarting(checked(spec("a", 0))), |spec| (spec.restart, spec.max_restarts) = (restart, most));
        let mut stage = Stage::with([spec], &[1]);
        assert_eq!(stage.step([unhealthy(1)]), ["stop a#1 (liveness probe failed: no answer)"]);
        stage.step([exited(1, 0), gone(1)]);
        stage.status("a").map(|status| status.state)
    };
    assert_eq!(ends(Restart::Never, None), Some(ProcessState::Failed));
    assert_eq!(ends(Restart::OnFailure, None), Some(ProcessState::Backoff));
    assert_eq!(ends(Restart::Always, None), Some(ProcessState::Backoff));
    assert_eq!(ends(Restart::Always, Some(0)), Some(ProcessState::Failed));
}

#[test]
fn the_time_it_takes_to_stop_is_not_healthy_running() {
    let mut stage = Stage::with([restarting(checked(spec("a", 0)))], &[1]);
    stage.wait(3_000);
    stage.step([unhealthy(1)]);
    assert_eq!(stage.wait(10_000), ["kill a#1"]);
    stage.step([exited(1, 137), gone(1)]);
    // After healthy running it would be restarted at once.
    assert_eq!(stage.wait(0), NOTHING);
    assert_eq!(stage.wait(500), ["spawn a#2 (liveness probe failed: no answer)"]);
}

#[test]
fn healthy_running_counts_although_readiness_lapsed_before_the_end() {
    let mut stage = Stage::with([restarting(probed(spec("a", 0)))], &[1]);
    stage.step([ready(1)]);
    stage.wait(10_000);
    stage.step([unready(1)]);
    stage.wait(1_000);
    assert_eq!(stage.step([exited(1, 1), gone(1)]), ["spawn a#2 (exit status 1)"]);
}

#[test]
fn readiness_that_comes_and_goes_is_not_healthy_running() {
    let mut stage = Stage::with([restarting(probed(spec("a", 0)))], &[1]);
    for _ in 0..10 {
        stage.step([ready(1)]);
        stage.wait(9_000);
        stage.step([unready(1)]);
        stage.wait(1_000);
    }
    assert_eq!(stage.step([exited(1, 1), gone(1)]), NOTHING);
    assert_eq!(stage.wait(500), ["spawn a#2 (exit status 1)"]);
}

#[test]
fn a_rolling_replacement_keeps_a_run_that_was_ready_until_the_new_one_is() {
    let a = |version| rolling(announcing(spec("a", version)));
    let mut stage = Stage::with([a(0)], &[1]);
    assert_eq!(stage.step([ready(1), wanted([a(1)])]), ["spawn a#2 (args changed)"]);
    // The host is busy starting the new one; for a moment the old one doesn't answer.
    assert_eq!(stage.step([started(2), unready(1)]), NOTHING);
    assert_eq!(stage.step([ready(2)]), ["stop a#1 (args changed)"]);
}

#[test]
fn of_two_outdated_runs_the_ready_one_is_kept() {
    let a = |version| rolling(announcing(spec("a", version)));
    let b = || after(spec("b", 0), "a", false);
    let mut stage = Stage::with([a(0), b()], &[1, 2]);
    stage.step([ready(1), by_hand(Order::Stop, "b"), wanted([a(1), b()])]);
    // The old `a` may not stop before `b` is gone; meanwhile the new one is no longer ready, and the definition changes again.
    assert_eq!(stage.step([started(3), ready(3), unready(3)]), NOTHING);
    stage.step([wanted([a(2), b()])]);
    assert_eq!(stage.step([exited(2, 0), gone(2)]), ["stop a#3 (args changed)"]);
    assert_eq!(stage.step([exited(3, 0), gone(3)]), ["spawn a#4 (args changed)"]);
    assert_eq!(stage.step([started(4), ready(4)]), ["stop a#1 (args changed)"]);
}

#[test]
fn an_unhealthy_run_is_not_kept_until_its_replacement_is_ready() {
    let a = |version| rolling(announcing(checked(spec("a", version))));
    let mut stage = Stage::with([a(0)], &[1]);
    stage.step([ready(1), wanted([a(1)])]);
    assert_eq!(stage.step([started(2), unhealthy(1)]), ["stop a#1 (args changed)"]);
}

#[test]
fn an_unhealthy_replacement_does_not_take_the_place_of_the_old_run() {
    let a = |version| rolling(restarting(announcing(checked(spec("a", version)))));
    let mut stage = Stage::with([a(0)], &[1]);
    stage.step([ready(1), wanted([a(1)])]);
    assert_eq!(stage.step([started(2), ready(2), unhealthy(2)]), ["stop a#2 (liveness probe failed: no answer)"]);
    assert_eq!(stage.status("a").map(|status| status.state), Some(ProcessState::Running));
    assert_eq!(stage.step([exited(2, 0), gone(2)]), NOTHING);
    assert_eq!(stage.status("a").map(|status| status.state), Some(ProcessState::Running));
}

#[test]
fn an_unhealthy_stale_run_is_replaced() {
    let a = |version| with(checked(spec("a", version)), |spec| spec.on_change = OnChange::Keep);
    let mut stage = Stage::with([a(0)], &[1]);
    assert_eq!(stage.step([wanted([a(1)])]), NOTHING);
    assert_eq!(stage.step([unhealthy(1)]), ["stop a#1 (liveness probe failed: no answer)"]);
    assert_eq!(stage.step([exited(1, 0), gone(1)]), ["spawn a#2 (args changed)"]);
}

#[test]
fn a_dependent_that_has_not_started_waits_again_when_readiness_lapses() {
    let web = || {
        with(spec("web", 0), |spec| {
            spec.depends_on.get_or_insert_default().insert(Name::from("db"), Dependency::default());
            spec.start_delay = Duration::from_secs(2);
        })
    };
    let mut stage = Stage::with([probed(spec("db", 0)), web()], &[1]);
    stage.step([ready(1)]);
    stage.wait(1_000);
    stage.step([unready(1)]);
    assert_eq!(stage.wait(5_000), NOTHING);
    // The delay counts from the moment that everything it needs holds.
    assert_eq!(stage.step([ready(1)]), NOTHING);
    assert_eq!(stage.wait(2_000), ["spawn web#2 (added to file)"]);
    stage.step([started(2)]);
    assert_eq!(stage.step([unready(1)]), NOTHING);
}
