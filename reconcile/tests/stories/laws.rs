//! The laws of the core, each with the smallest scenario that fails without it.

use crate::stage::{NOTHING, Stage, after, exited, gone, probed, ready, rolling, spec, started, wanted, with};
use reconcile::spec::Announce;
use std::time::Duration;

/// Law 1: the time to wake is that of the plan made after all steps are begun.
#[test]
fn a_stop_that_was_begun_just_now_is_followed_by_a_kill() {
    let mut stage = Stage::with([spec("a", 0)], &[1]);
    assert_eq!(stage.step([wanted([])]), ["stop a#1 (removed from file)"]);
    // In the plan before the stop was begun there is no deadline: if `a` ignores TERM, it would run for ever.
    assert_eq!(stage.wake_at, Some(stage.now + Duration::from_secs(10)));
    assert_eq!(stage.wait(10_000), ["kill a#1"]);
}

/// Law 2: how a process announces that it is ready is identity; active probes are upkeep.
#[test]
fn a_process_that_is_to_announce_readiness_is_restarted_first() {
    let mut stage = Stage::with([spec("a", 0)], &[1]);
    assert_eq!(stage.step([wanted([probed(spec("a", 0))])]), ["update a#1"]);
    assert!(stage.engine.is_converged(), "what is ready stays ready");
    let announcing = with(spec("a", 0), |spec| spec.exec.announce = Some(Announce::Notify));
    assert_eq!(stage.step([wanted([announcing])]), ["stop a#1 (ready changed)"]);
    assert_eq!(stage.step([exited(1, 0), gone(1)]), ["spawn a#2 (ready changed)"]);
    stage.step([started(2)]);
    assert!(!stage.engine.is_converged());
    stage.step([ready(2)]);
    assert!(stage.engine.is_converged());
}

/// Law 3: a process that restarts along with a dependency follows a run of it, not its name.
#[test]
fn a_dependent_is_restarted_once_for_each_replacement() {
    let web = || after(spec("web", 0), "db", true);
    let mut stage = Stage::with([rolling(spec("db", 0)), web()], &[1, 2]);
    assert_eq!(stage.step([wanted([rolling(spec("db", 1)), web()])]), ["spawn db#3 (args changed)"]);
    assert_eq!(stage.step([started(3)]), ["stop web#2 (dependency db restarted)"]);
    let done = stage.step([exited(2, 0), gone(2)]);
    assert_eq!(done, ["stop db#1 (args changed)", "spawn web#4 (dependency db restarted)"]);
    // The old `db` is still stopping, which doesn't concern the new `web`.
    assert_eq!(stage.step([started(4)]), NOTHING);
    assert_eq!(stage.step([exited(1, 0), gone(1)]), NOTHING);
}

/// Law 4: definitions are acyclic, facts may be cyclic. Former places inside a cycle block nothing.
#[test]
fn processes_that_swap_their_places_do_not_wait_for_one_another() {
    let mut stage = Stage::with([spec("a", 0), after(spec("b", 0), "a", false)], &[1, 2]);
    let swapped = wanted([after(spec("a", 1), "b", false), spec("b", 1)]);
    // By its former place `b` stops before `a`, by its new one after it. The new one counts.
    assert_eq!(stage.step([swapped]), ["stop a#1 (args changed)"]);
    assert_eq!(stage.step([exited(1, 0), gone(1)]), ["stop b#2 (args changed)"]);
    assert_eq!(stage.step([exited(2, 0), gone(2)]), ["spawn b#3 (args changed)"]);
    assert_eq!(stage.step([started(3)]), ["spawn a#4 (args changed)"]);
}

/// Law 5: a run that is kept until it is replaced doesn't block a stop of what it depends on.
#[test]
fn a_rolling_dependent_of_a_changed_dependency_does_not_block_it() {
    let api = |version| rolling(after(spec("api", version), "db", false));
    let mut stage = Stage::with([spec("db", 0), api(0)], &[1, 2]);
    // The old `api` stays until the new one is ready, which needs the new `db`, which needs the old one to be gone.
    assert_eq!(stage.step([wanted([spec("db", 1), api(1)])]), ["stop db#1 (args changed)"]);
    assert_eq!(stage.step([exited(1, 0), gone(1)]), ["spawn db#3 (args changed)"]);
    assert_eq!(stage.step([started(3)]), ["spawn api#4 (args changed)"]);
    assert_eq!(stage.step([started(4)]), ["stop api#2 (args changed)"]);
}

/// Law 6: a stop is complete when the whole process tree is gone; a start uses the newest definition.
#[test]
fn a_replacement_waits_for_the_whole_tree_and_uses_the_newest_definition() {
    let mut stage = Stage::with([spec("a", 0)], &[1]);
    assert_eq!(stage.step([wanted([spec("a", 1)])]), ["stop a#1 (args changed)"]);
    assert_eq!(stage.step([exited(1, 143)]), NOTHING);
    assert_eq!(stage.step([wanted([spec("a", 2)])]), NOTHING);
    assert_eq!(stage.step([gone(1)]), ["spawn a#2 (args changed)"]);
    let runs = &stage.engine.observed().processes()["a"].runs;
    assert_eq!(runs.iter().map(|run| run.spec.exec.args[0].value()).collect::<Vec<_>>(), ["2"]);
}
