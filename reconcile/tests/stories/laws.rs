//! The laws of the core, each as the smallest story that ends badly without it.

use crate::stage::{Stage, after, exited, gone, probed, ready, rolling, spec, started, wanted, with};
use reconcile::spec::Announce;
use std::time::Duration;

const NOTHING: [&str; 0] = [];

/// Law 1: waits and the time to wake come from the plan that is made after everything is begun.
#[test]
fn a_stop_that_was_begun_just_now_is_followed_by_a_kill() {
    let mut stage = Stage::with([spec("a", 0)], &[1]);
    assert_eq!(stage.tell([wanted([])]), ["stop a#1 (removed from file)"]);
    // Planned before the stop was begun, there would be nothing to wake for, and `a`, deaf to TERM, would run for ever.
    assert_eq!(stage.wake_at, Some(stage.now + Duration::from_secs(10)));
    assert_eq!(stage.wait(10_000), ["kill a#1"]);
}

/// Law 2: how a process announces that it is ready is identity; active probes are upkeep.
#[test]
fn a_run_is_never_left_waiting_for_an_announcement_that_it_does_not_know_of() {
    let mut stage = Stage::with([spec("a", 0)], &[1]);
    assert_eq!(stage.tell([wanted([probed(spec("a", 0))])]), ["update a#1"]);
    assert!(stage.engine.is_converged(), "what is ready stays ready");
    let announcing = with(spec("a", 0), |spec| spec.exec.announce = Some(Announce::Notify));
    assert_eq!(stage.tell([wanted([announcing])]), ["stop a#1 (ready changed)"]);
    assert_eq!(stage.tell([exited(1, 0), gone(1)]), ["spawn a#2 (ready changed)"]);
    stage.tell([started(2)]);
    assert!(!stage.engine.is_converged());
    stage.tell([ready(2)]);
    assert!(stage.engine.is_converged());
}

/// Law 3: what is restarted along with another one follows its run, not its name.
#[test]
fn a_dependent_is_restarted_once_for_each_replacement() {
    let web = || after(spec("web", 0), "db", true);
    let mut stage = Stage::with([rolling(spec("db", 0)), web()], &[1, 2]);
    assert_eq!(stage.tell([wanted([rolling(spec("db", 1)), web()])]), ["spawn db#3 (args changed)"]);
    assert_eq!(stage.tell([started(3)]), ["stop web#2 (dependency db restarted)"]);
    let done = stage.tell([exited(2, 0), gone(2)]);
    assert_eq!(done, ["stop db#1 (args changed)", "spawn web#4 (dependency db restarted)"]);
    // The old `db` is still there, and still going; the new `web` has nothing to do with it.
    assert_eq!(stage.tell([started(4)]), NOTHING);
    assert_eq!(stage.tell([exited(1, 0), gone(1)]), NOTHING);
}

/// Law 4: wishes are acyclic, facts may be cyclic; old edges within a cycle hold up nobody.
#[test]
fn processes_that_swap_their_places_do_not_wait_for_one_another() {
    let mut stage = Stage::with([spec("a", 0), after(spec("b", 0), "a", false)], &[1, 2]);
    let swapped = wanted([after(spec("a", 1), "b", false), spec("b", 1)]);
    // By its old place `b` stops before `a`, by its new one after it: the new one counts.
    assert_eq!(stage.tell([swapped]), ["stop a#1 (args changed)"]);
    assert_eq!(stage.tell([exited(1, 0), gone(1)]), ["stop b#2 (args changed)"]);
    assert_eq!(stage.tell([exited(2, 0), gone(2)]), ["spawn b#3 (args changed)"]);
    assert_eq!(stage.tell([started(3)]), ["spawn a#4 (args changed)"]);
}

/// Law 5: a run that outlives its own replacement holds up nothing that it depends on.
#[test]
fn a_rolling_dependent_of_a_changed_dependency_does_not_block_it() {
    let api = |version| rolling(after(spec("api", version), "db", false));
    let mut stage = Stage::with([spec("db", 0), api(0)], &[1, 2]);
    // The old `api` stays until the new one is ready, which needs the new `db`, which needs the old one to be gone.
    assert_eq!(stage.tell([wanted([spec("db", 1), api(1)])]), ["stop db#1 (args changed)"]);
    assert_eq!(stage.tell([exited(1, 0), gone(1)]), ["spawn db#3 (args changed)"]);
    assert_eq!(stage.tell([started(3)]), ["spawn api#4 (args changed)"]);
    assert_eq!(stage.tell([started(4)]), ["stop api#2 (args changed)"]);
}

/// Law 6: a stop is complete when the whole tree is gone; a start reads the newest wishes.
#[test]
fn a_replacement_waits_for_the_whole_tree_and_is_what_is_wanted_by_then() {
    let mut stage = Stage::with([spec("a", 0)], &[1]);
    assert_eq!(stage.tell([wanted([spec("a", 1)])]), ["stop a#1 (args changed)"]);
    assert_eq!(stage.tell([exited(1, 143)]), NOTHING);
    assert_eq!(stage.tell([wanted([spec("a", 2)])]), NOTHING);
    assert_eq!(stage.tell([gone(1)]), ["spawn a#2 (args changed)"]);
    let runs = &stage.engine.observed().processes()["a"].runs;
    assert_eq!(runs.iter().map(|run| run.spec.exec.args[0].value()).collect::<Vec<_>>(), ["2"]);
}
