//! A list on a host that keeps the order of execs itself: starts are begun behind those that are under way.

use crate::stage::{Stage, refused, spec, started, wanted, with};
use reconcile::engine::Engine;
use reconcile::spec::Spec;
use std::time::Duration;

/// A process that comes after the one before it.
fn listed(name: &str, version: u32) -> Spec {
    with(spec(name, version), |spec| spec.depends_on = None)
}

fn stage() -> Stage {
    Stage { engine: Engine::new().with_ordered_execs(), ..Stage::new() }
}

#[test]
fn two_are_started_behind_the_one_whose_program_is_being_executed() {
    let mut stage = stage();
    let begun = stage.tell([wanted(["a", "b", "c", "d", "e"].map(|name| listed(name, 0)))]);
    let expected = ["spawn a#1 (added to file)", "spawn b#2 after a#1 (added to file)", "spawn c#3 after b#2 (added to file)"];
    assert_eq!(begun, expected);
    let waiting = [
        "a is being started",
        "b waits for a, which comes before it",
        "c waits for b, which comes before it",
        "d waits for c, which comes before it",
        "e waits for d, which comes before it",
    ];
    assert_eq!(stage.waiting(), waiting);
    assert_eq!(stage.tell([started(1)]), ["spawn d#4 after c#3 (added to file)"]);
    assert_eq!(stage.tell([started(2), started(3)]), ["spawn e#5 after d#4 (added to file)"]);
}

#[test]
fn one_that_can_not_be_started_holds_up_nobody_behind_it() {
    let mut stage = stage();
    drop(stage.tell([wanted(["a", "b", "c", "d"].map(|name| listed(name, 0)))]));
    assert_eq!(stage.tell([refused(1)]), ["spawn d#4 after c#3 (added to file)"]);
}

#[test]
fn nobody_is_started_behind_another_before_his_delay_is_over() {
    let mut stage = stage();
    let late = with(listed("b", 0), |spec| spec.start_delay = Duration::from_secs(1));
    let begun = stage.tell([wanted([listed("a", 0), late, listed("c", 0)])]);
    assert_eq!(begun, ["spawn a#1 (added to file)"]);
    assert_eq!(stage.wait(1000), ["spawn b#2 after a#1 (added to file)", "spawn c#3 after b#2 (added to file)"]);
}

#[test]
fn what_is_removed_is_gone_before_anybody_is_started_behind_another() {
    let mut stage = stage();
    drop(stage.tell([wanted([listed("a", 0), listed("z", 0)])]));
    drop(stage.tell([started(1), started(2)]));
    assert_eq!(stage.tell([wanted([listed("a", 1), listed("b", 0)])]), ["stop z#2 (removed from file)"]);
}

#[test]
fn a_program_that_is_no_longer_wanted_when_its_turn_comes_is_stopped_once_it_runs() {
    let mut stage = stage();
    drop(stage.tell([wanted([listed("a", 0), listed("b", 0)])]));
    assert_eq!(stage.tell([wanted([listed("a", 0)])]), Vec::<String>::new());
    assert_eq!(stage.tell([started(1), started(2)]), ["stop b#2 (removed from file)"]);
}

#[test]
fn where_the_host_keeps_no_order_nobody_is_started_behind_another() {
    let mut stage = Stage::new();
    let begun = stage.tell([wanted(["a", "b"].map(|name| listed(name, 0)))]);
    assert_eq!(begun, ["spawn a#1 (added to file)"]);
}
