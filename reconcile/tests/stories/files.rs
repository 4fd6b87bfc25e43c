//! Watched files: their content is compared with what a run last read, whatever happened in between.

use crate::stage::{
    NOTHING, Stage, after, by_hand, content, exited, gone, probed, ready, refused, spec, started, unready, wanted, with,
};
use reconcile::event::{Event, Order};
use reconcile::spec::{OnChange, OnWatch, ProcessKind, Restart, Signal, SignalOrCommand, Spec};
use reconcile::state::ProcessState;
use reconcile::text::Text;

fn watching(spec: Spec) -> Spec {
    with(spec, |spec| spec.watch = vec![Text::plain("x")])
}

/// Also tells a run to read its files again instead of restarting it.
fn reloading(spec: Spec) -> Spec {
    with(watching(spec), |spec| (spec.reload, spec.on_watch) = (Some(SignalOrCommand::Signal(Signal("HUP"))), OnWatch::Reload))
}

fn task(spec: Spec) -> Spec {
    with(spec, |spec| spec.exec.kind = ProcessKind::Task)
}

/// The file `x` that `a` watches has this content.
fn x(number: u64) -> Event {
    content("a", &["x"], [("x", number)])
}

#[test]
fn each_change_causes_one_reload() {
    let mut stage = Stage::with([reloading(spec("a", 0))], &[1]);
    assert_eq!(stage.step([x(1)]), NOTHING, "that is what it has read");
    assert_eq!(stage.step([x(2)]), ["reload a#1"]);
    assert_eq!(stage.step([x(2)]), NOTHING);
    assert_eq!(stage.wait(60_000), NOTHING);
    assert_eq!(stage.step([x(1)]), ["reload a#1"]);
}

#[test]
fn a_change_that_is_reverted_in_time_is_ignored() {
    let mut stage = Stage::with([reloading(probed(spec("a", 0)))], &[1]);
    assert_eq!(stage.step([x(1), x(2)]), NOTHING, "it isn't ready");
    assert_eq!(stage.step([x(1), ready(1)]), NOTHING);
}

#[test]
fn a_run_is_not_reloaded_before_it_is_ready() {
    let mut stage = Stage::with([reloading(probed(spec("a", 0)))], &[1]);
    assert_eq!(stage.step([x(1), x(2)]), NOTHING);
    assert_eq!(stage.step([ready(1)]), ["reload a#1"]);
}

#[test]
fn a_run_that_is_no_longer_ready_is_reloaded() {
    let mut stage = Stage::with([reloading(probed(spec("a", 0)))], &[1]);
    stage.step([ready(1), x(1), unready(1)]);
    assert_eq!(stage.step([x(2)]), ["reload a#1"]);
}

#[test]
fn a_change_while_nothing_runs_is_read_by_the_next_run() {
    let mut stage = Stage::with([with(reloading(spec("a", 0)), |spec| spec.restart = Restart::OnFailure)], &[1]);
    stage.step([x(1), exited(1, 1), gone(1), x(2)]);
    assert_eq!(stage.wait(1_000), ["spawn a#2 (exit status 1)"]);
    stage.step([started(2)]);
    assert_eq!(stage.step([x(2)]), NOTHING);
}

#[test]
fn a_change_during_a_start_restarts_it() {
    let mut stage = Stage::new();
    stage.step([wanted([watching(spec("a", 0))]), x(1)]);
    // The program hasn't been executed yet, and may read the file before or after.
    assert_eq!(stage.step([x(2)]), NOTHING);
    assert_eq!(stage.step([started(1)]), ["stop a#1 (x changed)"]);
    assert_eq!(stage.step([exited(1, 0), gone(1)]), ["spawn a#2 (x changed)"]);
    stage.step([started(2)]);
    assert_eq!(stage.step([x(2)]), NOTHING);
}

#[test]
fn a_change_during_a_stop_is_read_by_the_next_run() {
    let mut stage = Stage::with([watching(spec("a", 0))], &[1]);
    assert_eq!(stage.step([x(1), by_hand(Order::Restart, "a")]), ["stop a#1 (restarted by hand)"]);
    assert_eq!(stage.step([x(2)]), NOTHING);
    assert_eq!(stage.step([exited(1, 0), gone(1)]), ["spawn a#2 (restarted by hand)"]);
    stage.step([started(2)]);
    assert_eq!(stage.step([x(2)]), NOTHING);
}

#[test]
fn files_of_disabled_and_stopped_processes_start_nothing() {
    let disabled = |spec| with(spec, |spec: &mut Spec| spec.enabled = false);
    let mut stage = Stage::with([watching(spec("a", 0))], &[1]);
    stage.step([x(1), by_hand(Order::Stop, "a"), exited(1, 0), gone(1)]);
    assert_eq!(stage.step([x(2)]), NOTHING);
    assert_eq!(stage.status("a").map(|status| status.state), Some(ProcessState::Stopped));
    stage.step([wanted([disabled(watching(spec("a", 0)))])]);
    assert_eq!(stage.step([x(3)]), NOTHING);
    stage.step([wanted([])]);
    assert_eq!(stage.step([x(4)]), NOTHING);
    assert!(stage.status("a").is_none());
}

#[test]
fn content_of_paths_that_are_no_longer_watched_is_ignored() {
    let both = || with(spec("a", 0), |spec| spec.watch = vec![Text::plain("x"), Text::plain("y")]);
    let of_both = |y| content("a", &["x", "y"], [("x", 1), ("y", y)]);
    let mut stage = Stage::with([watching(spec("a", 0))], &[1]);
    assert_eq!(stage.step([x(1), wanted([both()])]), ["update a#1"]);
    assert_eq!(stage.step([of_both(1), x(1)]), NOTHING);
    assert_eq!(stage.step([of_both(2)]), ["stop a#1 (y changed)"]);
}

#[test]
fn a_pending_change_outlasts_a_change_of_the_watched_paths() {
    let both = || with(reloading(probed(spec("a", 0))), |spec| spec.watch.push(Text::plain("y")));
    let of_both = |x, y| content("a", &["x", "y"], [("x", x), ("y", y)]);
    let mut stage = Stage::with([reloading(probed(spec("a", 0)))], &[1]);
    stage.step([x(1), x(2)]);
    assert_eq!(stage.step([wanted([both()])]), ["update a#1"]);
    assert_eq!(stage.step([of_both(2, 1)]), NOTHING);
    assert_eq!(stage.step([ready(1)]), ["reload a#1"], "`x` changed before it was ready");
    assert_eq!(stage.step([of_both(2, 1)]), NOTHING);
}

#[test]
fn content_from_before_a_pause_in_watching_is_not_what_a_new_run_reads() {
    let mut stage = Stage::with([watching(spec("a", 0))], &[1]);
    assert_eq!(stage.step([x(1), wanted([spec("a", 1)])]), ["stop a#1 (args changed)"]);
    // The file changes while it isn't watched.
    stage.step([exited(1, 0), gone(1)]);
    stage.step([started(2)]);
    assert_eq!(stage.step([wanted([watching(spec("a", 1))])]), ["update a#2"]);
    assert_eq!(stage.step([x(2)]), NOTHING);
}

#[test]
fn a_completed_task_runs_again_when_its_files_change() {
    let mut stage = Stage::with([task(watching(spec("a", 0)))], &[1]);
    stage.step([x(1), exited(1, 0), gone(1)]);
    assert_eq!(stage.status("a").map(|status| status.state), Some(ProcessState::Completed));
    assert_eq!(stage.step([x(2)]), ["spawn a#2 (x changed)"]);
    stage.step([started(2), exited(2, 0), gone(2)]);
    assert_eq!(stage.status("a").map(|status| status.state), Some(ProcessState::Completed));
    assert_eq!(stage.step([x(2)]), NOTHING);
}

#[test]
fn a_task_that_completed_before_the_first_content_has_read_it() {
    let mut stage = Stage::with([task(watching(spec("a", 0)))], &[1]);
    stage.step([exited(1, 0), gone(1)]);
    assert_eq!(stage.step([x(1)]), NOTHING);
    assert_eq!(stage.step([x(2)]), ["spawn a#2 (x changed)"]);
}

#[test]
fn a_failed_process_is_retried_when_its_files_change() {
    let mut stage = Stage::with([watching(spec("a", 0))], &[]);
    stage.step([x(1), refused(1)]);
    assert_eq!(stage.status("a").map(|status| status.state), Some(ProcessState::Failed));
    assert_eq!(stage.step([x(2)]), ["spawn a#2 (x changed)"]);
    stage.step([started(2), exited(2, 1), gone(2)]);
    // With `on_watch: reload`, an ended process is not started.
    stage.step([wanted([reloading(spec("a", 0))])]);
    assert_eq!(stage.step([x(3)]), NOTHING);
}

#[test]
fn a_process_in_backoff_is_retried_at_once_when_its_files_change() {
    let again = || with(watching(spec("a", 0)), |spec| spec.restart = Restart::OnFailure);
    let mut stage = Stage::with([again()], &[1]);
    stage.step([x(1), exited(1, 1), gone(1)]);
    assert_eq!(stage.status("a").map(|status| status.state), Some(ProcessState::Backoff));
    assert_eq!(stage.step([x(2)]), ["spawn a#2 (x changed)"]);
    assert_eq!(stage.engine.observed().processes()["a"].restarts, 1, "no order caused it");
}

#[test]
fn a_pending_process_shows_the_changed_file_as_its_reason() {
    let migrate = || after(task(watching(spec("a", 0))), "db", false);
    let mut stage = Stage::with([spec("db", 0), migrate()], &[1, 2]);
    stage.step([x(1), exited(2, 0), gone(2), by_hand(Order::Stop, "db")]);
    assert_eq!(stage.step([x(2)]), NOTHING);
    let status_of = |stage: &Stage| stage.status("a").map(|status| (status.state, status.reason.to_string()));
    assert_eq!(status_of(&stage), Some((ProcessState::Pending, "x changed".to_string())));
    stage.step([x(1)]);
    assert_eq!(status_of(&stage), Some((ProcessState::Completed, "exit status 0".to_string())));
}

#[test]
fn a_stale_run_reads_its_files_again_by_the_definition_that_it_runs() {
    let kept = |version| with(spec("a", version), |spec| spec.on_change = OnChange::Keep);
    let mut stage = Stage::with([reloading(kept(0))], &[1]);
    stage.step([x(1)]);
    assert_eq!(stage.step([wanted([reloading(kept(1))])]), NOTHING);
    assert_eq!(stage.step([x(2)]), ["reload a#1"]);
    // The new definition says restart, but the kept run follows the definition that it runs.
    assert_eq!(stage.step([wanted([watching(kept(1))]), x(3)]), ["reload a#1"]);
    // With the definition that it runs in force again, it is neither stale nor outdated.
    assert_eq!(stage.step([wanted([watching(kept(0))])]), ["update a#1"]);
    assert_eq!(stage.step([x(4)]), ["stop a#1 (x changed)"]);
}

#[test]
fn a_follower_is_restarted_when_its_dependency_is_restarted_for_a_file() {
    let mut stage = Stage::with([watching(spec("a", 0)), after(spec("b", 0), "a", true)], &[1, 2]);
    stage.step([x(1)]);
    assert_eq!(stage.step([x(2)]), ["stop b#2 (dependency a restarted)"]);
    assert_eq!(stage.step([exited(2, 0), gone(2)]), ["stop a#1 (x changed)"]);
    assert_eq!(stage.step([exited(1, 0), gone(1)]), ["spawn a#3 (x changed)"]);
    assert_eq!(stage.step([started(3)]), ["spawn b#4 (dependency a restarted)"]);
}
