//! Rollback: a configuration that fails soon after it was saved is undone as a whole, and isn't tried again.

use crate::stage::{NOTHING, Stage, after, by_hand, exited, gone, probed, ready, rolling, spec, started, with};
use reconcile::desired::Desired;
use reconcile::event::{Event, Order};
use reconcile::report::Report;
use reconcile::rollback::{Rollback, RolloutState};
use reconcile::spec::{Restart, Spec};
use std::time::Duration;

const SETTINGS: Rollback = Rollback { bake: Duration::from_secs(30), deadline: Duration::from_mins(10) };

/// A configuration that is undone if it fails.
fn file(specs: impl IntoIterator<Item = Spec>) -> Event {
    match Desired::new(specs.into_iter().collect(), Desired::SHUTDOWN_TIMEOUT) {
        Ok(desired) => Event::Wanted(desired.with_rollback(Some(SETTINGS))),
        Err(problems) => panic!("{problems:?}"),
    }
}

fn web(version: u32) -> Spec {
    with(spec("web", version), |spec| spec.restart = Restart::OnFailure)
}

/// A stage with a good configuration of `web` and another process.
fn good() -> Stage {
    let mut stage = Stage::new();
    stage.step([file([web(0), spec("other", 0)])]);
    stage.step([started(1), started(2)]);
    assert!(matches!(stage.engine.rollout(), Some(RolloutState::Trial { .. })));
    assert_eq!(stage.wait(29_999), NOTHING);
    assert!(matches!(stage.engine.rollout(), Some(RolloutState::Trial { .. })));
    stage.wait(1);
    assert_eq!(stage.engine.rollout(), Some(RolloutState::Good));
    stage
}

/// The same, with a changed `web` that runs.
fn on_trial() -> Stage {
    let mut stage = good();
    assert_eq!(acts(&stage.step([file([web(1), spec("other", 0)])])), ["stop web#2"]);
    assert_eq!(acts(&stage.step([exited(2, 0), gone(2)])), ["spawn web#3"]);
    stage.step([started(3)]);
    stage
}

fn acts(actions: &[String]) -> Vec<&str> {
    actions.iter().map(|action| action.split(" (").next().unwrap_or(action)).collect()
}

fn assert_rolled_back(stage: &Stage, because: &str) {
    match stage.engine.rollout() {
        Some(RolloutState::RolledBack { generation: 2, to: 1, why, .. }) => assert_eq!(why, because),
        other => panic!("{other:?}"),
    }
    assert_eq!(stage.engine.generation(), 3);
    assert!(!stage.engine.is_converged(), "the file is not in force");
}

#[test]
fn a_configuration_that_stays_well_is_good() {
    let mut stage = on_trial();
    let until = stage.now + Duration::from_secs(30);
    assert_eq!(stage.engine.rollout(), Some(RolloutState::Trial { until }));
    assert_eq!(stage.wake_at, Some(until));
    assert_eq!(stage.wait(30_000), NOTHING);
    assert_eq!(stage.engine.rollout(), Some(RolloutState::Good));
    assert_eq!(acts(&stage.step([exited(3, 1), gone(3)])), ["spawn web#4"], "a later crash is an ordinary one");
}

#[test]
fn a_crash_on_trial_undoes_the_configuration() {
    let mut stage = on_trial();
    stage.wait(10_000);
    assert_eq!(stage.step([exited(3, 1)]), ["stop rest of web#3"]);
    assert_rolled_back(&stage, "web: exit status 1");
    assert_eq!(acts(&stage.step([gone(3)])), ["spawn web#4"]);
    assert_eq!(stage.engine.observed().processes()["web"].runs[0].spec.exec.args, web(0).exec.args);
    stage.step([started(4)]);
    assert_eq!(stage.wait(3_600_000), NOTHING);
    assert!(matches!(stage.engine.rollout(), Some(RolloutState::RolledBack { .. })), "until the file is another");
}

#[test]
fn a_known_bad_configuration_is_not_tried_again() {
    let mut stage = on_trial();
    stage.step([exited(3, 1), gone(3)]);
    stage.step([started(4)]);
    for _ in 0..10 {
        let outcome = stage.engine.step(stage.now, [file([web(1), spec("other", 0)])]);
        assert_eq!((outcome.actions, outcome.reports), (Vec::new(), vec![Report::KnownBad]));
    }
    assert_eq!(acts(&stage.step([Event::Order(Order::Retry)])), ["stop web#4"], "unless by hand");
    assert!(matches!(stage.engine.rollout(), Some(RolloutState::Trial { .. })));
}

#[test]
fn the_good_definitions_watch_their_files_while_the_file_is_bad() {
    let mut stage = on_trial();
    assert_eq!(stage.engine.watching_instead(), None);
    stage.step([exited(3, 1), gone(3)]);
    assert_eq!(stage.engine.watching_instead(), Some(Vec::new()), "none of them watches a file");
    let watching = with(web(2), |spec| spec.watch = vec!["app.rb".into()]);
    stage.step([file([watching, spec("other", 0)])]);
    assert_eq!(stage.engine.watching_instead(), None);
}

#[test]
fn another_configuration_is_tried() {
    let mut stage = on_trial();
    stage.step([exited(3, 1), gone(3)]);
    stage.step([started(4)]);
    assert_eq!(acts(&stage.step([file([web(2), spec("other", 0)])])), ["stop web#4"]);
    assert!(matches!(stage.engine.rollout(), Some(RolloutState::Trial { .. })));
}

#[test]
fn the_good_configuration_in_the_file_ends_it() {
    let mut stage = on_trial();
    stage.step([exited(3, 1), gone(3)]);
    stage.step([started(4)]);
    assert_eq!(stage.step([file([web(0), spec("other", 0)])]), NOTHING);
    assert_eq!(stage.engine.rollout(), Some(RolloutState::Good));
    stage.wait(10_000);
    assert!(stage.engine.is_converged());
}

#[test]
fn an_untouched_process_is_not_to_blame() {
    let mut stage = on_trial();
    stage.step([exited(1, 1), gone(1)]);
    assert!(matches!(stage.engine.rollout(), Some(RolloutState::Trial { .. })));
}

#[test]
fn a_dependent_of_a_changed_process_is() {
    let specs = |version| [web(version), after(spec("worker", 0), "web", false)];
    let mut stage = Stage::new();
    stage.step([file(specs(0))]);
    stage.step([started(1)]);
    stage.step([started(2)]);
    stage.wait(30_000);
    stage.step([file(specs(1))]);
    stage.step([exited(1, 0), gone(1)]);
    stage.step([started(3)]);
    stage.step([exited(2, 9)]);
    assert_rolled_back(&stage, "worker: exit status 9");
}

#[test]
fn what_is_put_back_undoes_the_configuration() {
    let specs = |version| [rolling(probed(web(version))), spec("other", version)];
    let mut stage = Stage::new();
    stage.step([file(specs(0))]);
    stage.step([started(1), started(2), ready(2), ready(1)]);
    stage.wait(30_000);
    assert_eq!(stage.engine.rollout(), Some(RolloutState::Good));
    let begun = stage.step([file(specs(1))]);
    assert!(begun.iter().any(|act| act.starts_with("spawn web#3")), "{begun:?}");
    stage.step([exited(1, 0), gone(1)]);
    stage.step([started(3), exited(3, 1), gone(3)]);
    assert!(matches!(stage.engine.rollout(), Some(RolloutState::RolledBack { .. })));
    assert!(stage.engine.put_back(&reconcile::text::Name::from("web")).is_none(), "the good definition is in force");
}

#[test]
fn a_configuration_that_does_not_converge_in_time_is_bad() {
    let mut stage = good();
    let slow = || with(probed(web(1)), |spec| spec.ready_timing.deadline = Duration::from_hours(1));
    stage.step([file([slow(), spec("other", 0)])]);
    stage.step([exited(2, 0), gone(2)]);
    stage.step([started(3)]);
    assert_eq!(stage.wait(599_999), NOTHING);
    assert_eq!(acts(&stage.wait(1)), ["stop web#3"]);
    assert_rolled_back(&stage, "not good within 10m");
}

#[test]
fn without_a_good_one_nothing_is_undone() {
    let mut stage = Stage::new();
    stage.step([file([web(0)])]);
    stage.step([started(1), exited(1, 1), gone(1)]);
    assert_eq!(stage.engine.rollout(), Some(RolloutState::Bad { why: "web: exit status 1".to_string() }));
    assert_eq!(acts(&stage.wait(1_000)), ["spawn web#2"], "its policy counts");
}

#[test]
fn what_was_well_before_rollback_was_asked_for_is_good() {
    let mut stage = Stage::with([web(0)], &[1]);
    stage.step([file([web(1)])]);
    stage.step([exited(1, 0), gone(1)]);
    stage.step([started(2), exited(2, 1), gone(2)]);
    assert!(matches!(stage.engine.rollout(), Some(RolloutState::RolledBack { generation: 2, to: 1, .. })));
    assert!(stage.engine.desired().rollback().is_none());
}

#[test]
fn the_good_one_is_never_undone_itself() {
    let mut stage = on_trial();
    stage.step([exited(3, 1), gone(3)]);
    stage.step([started(4), exited(4, 1), gone(4)]);
    assert_rolled_back(&stage, "web: exit status 1");
    for run in 5..8 {
        stage.wait(60_000);
        stage.step([started(run), exited(run, 1), gone(run)]);
        assert_eq!(stage.engine.generation(), 3);
    }
}

#[test]
fn a_stop_by_hand_is_no_failure() {
    let mut stage = on_trial();
    stage.step([by_hand(Order::Stop, "web")]);
    stage.step([exited(3, 1), gone(3)]);
    assert!(matches!(stage.engine.rollout(), Some(RolloutState::Trial { .. })));
    stage.wait(30_000);
    assert_eq!(stage.engine.rollout(), Some(RolloutState::Good));
}
