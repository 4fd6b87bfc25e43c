//! List order on a host that keeps execs in order: starts are begun behind those that are under way.

use crate::stage::{NOTHING, Stage, after, by_hand, exited, gone, probed, ready, refused, rolling, spec, started, wanted, with};
use reconcile::engine::Engine;
use reconcile::event::Order;
use reconcile::spec::Spec;
use reconcile::time::Time;
use std::time::Duration;

/// A process that comes after the one before it.
fn listed(name: &str, version: u32) -> Spec {
    with(spec(name, version), |spec| spec.depends_on = None)
}

fn stage() -> Stage {
    Stage { engine: Engine::new().with_ordered_execs(), ..Stage::new() }
}

#[test]
fn two_starts_are_begun_behind_the_one_under_way() {
    let mut stage = stage();
    let begun = stage.step([wanted(["a", "b", "c", "d", "e"].map(|name| listed(name, 0)))]);
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
    assert_eq!(stage.step([started(1)]), ["spawn d#4 after c#3 (added to file)"]);
    assert_eq!(stage.step([started(2), started(3)]), ["spawn e#5 after d#4 (added to file)"]);
}

#[test]
fn a_failed_start_does_not_block_those_behind_it() {
    let mut stage = stage();
    drop(stage.step([wanted(["a", "b", "c", "d"].map(|name| listed(name, 0)))]));
    assert_eq!(stage.step([refused(1)]), ["spawn d#4 after c#3 (added to file)"]);
}

#[test]
fn a_start_behind_another_waits_for_its_delay() {
    let mut stage = stage();
    let late = with(listed("b", 0), |spec| spec.start_delay = Duration::from_secs(1));
    let begun = stage.step([wanted([listed("a", 0), late, listed("c", 0)])]);
    assert_eq!(begun, ["spawn a#1 (added to file)"]);
    assert_eq!(stage.wait(1000), ["spawn b#2 after a#1 (added to file)", "spawn c#3 after b#2 (added to file)"]);
}

#[test]
fn removed_processes_are_gone_before_a_start_behind_another() {
    let mut stage = stage();
    drop(stage.step([wanted([listed("a", 0), listed("z", 0)])]));
    drop(stage.step([started(1), started(2)]));
    assert_eq!(stage.step([wanted([listed("a", 1), listed("b", 0)])]), ["stop z#2 (removed from file)"]);
}

#[test]
fn a_process_removed_while_its_exec_waits_is_stopped_once_it_runs() {
    let mut stage = stage();
    drop(stage.step([wanted([listed("a", 0), listed("b", 0)])]));
    assert_eq!(stage.step([wanted([listed("a", 0)])]), Vec::<String>::new());
    assert_eq!(stage.step([started(1), started(2)]), ["stop b#2 (removed from file)"]);
}

#[test]
fn no_start_is_begun_behind_another_if_the_host_keeps_no_order() {
    let mut stage = Stage::new();
    let begun = stage.step([wanted(["a", "b"].map(|name| listed(name, 0)))]);
    assert_eq!(begun, ["spawn a#1 (added to file)"]);
}

/// The order in which removed processes of a list are stopped, if `kept` says which stay and `done` which have completed before.
fn stops(kept: u32, done: u32) -> (Vec<String>, Vec<String>) {
    const COUNT: u32 = 6;
    let has = |set: u32, process: u32| set & (1 << process) != 0;
    let name = |process: u32| char::from(b'a' + u8::try_from(process).expect("few")).to_string();
    let mut stage = Stage::with((0..COUNT).map(|process| listed(&name(process), 0)), &(1..=u64::from(COUNT)).collect::<Vec<_>>());
    let runs = |process: u32| u64::from(process) + 1;
    for process in (0..COUNT).filter(|&process| has(done, process)) {
        drop(stage.step([exited(runs(process), 0), gone(runs(process))]));
    }
    let leaving = (0..COUNT).rev().filter(|&process| !has(kept, process) && !has(done, process));
    let expected = leaving.map(|process| format!("stop {}#{} (removed from file)", name(process), runs(process))).collect();
    let mut stopped = Vec::new();
    let kept: Vec<Spec> = (0..COUNT).filter(|&process| has(kept, process)).map(|process| listed(&name(process), 0)).collect();
    let mut actions = stage.step([wanted(kept)]);
    while let [stop] = &actions[..] {
        let run = stop.split(['#', ' ']).nth(2).and_then(|run| run.parse().ok()).expect("`stop a#1 (…)`");
        stopped.push(stop.clone());
        actions = stage.step([exited(run, 0), gone(run)]);
    }
    assert_eq!(actions, [""; 0], "one at a time");
    (stopped, expected)
}

#[test]
fn removed_processes_stop_one_after_the_other_whatever_stays_between_them() {
    for kept in 0..64 {
        for done in 0..64 {
            let (stopped, expected) = stops(kept, done);
            assert_eq!(stopped, expected, "{kept:06b} stay, {done:06b} were done");
        }
    }
}

#[test]
fn the_order_holds_over_two_changes_of_the_file() {
    let mut stage = Stage::with(["a", "b", "c", "d"].map(|name| listed(name, 0)), &[1, 2, 3, 4]);
    assert_eq!(stage.step([wanted(["a", "b"].map(|name| listed(name, 0)))]), ["stop d#4 (removed from file)"]);
    // `b` stays, and no longer comes after anything.
    assert_eq!(stage.step([wanted([listed("b", 0)])]), [""; 0]);
    assert_eq!(stage.step([exited(4, 0), gone(4)]), ["stop c#3 (removed from file)"]);
    assert_eq!(stage.step([exited(3, 0), gone(3)]), ["stop a#1 (removed from file)"]);
}

#[test]
fn a_disabled_process_that_is_started_by_hand_gets_its_place() {
    let place = |engine| {
        let mut stage = Stage { engine, now: Time::ZERO, wake_at: None };
        stage.step([wanted([spec("a", 0), spec("b", 0), after(spec("d", 0), "a", false), listed("f", 0)])]);
        stage.step([started(1), started(2)]);
        stage.step([started(3)]);
        let disabled = with(spec("d", 0), |spec| spec.enabled = false);
        assert_eq!(stage.step([wanted([spec("a", 1), spec("b", 0), listed("f", 1), disabled])]), NOTHING, "`f` is being started");
        stage.step([by_hand(Order::Start, "d")])
    };
    let expected = ["update d#3", "stop a#1 (args changed)"];
    assert_eq!(place(Engine::new()), expected);
    assert_eq!(place(Engine::new().with_plain_plans()), expected);
}

#[test]
fn each_run_of_a_process_keeps_its_own_place() {
    let listed = |name| listed(name, 0);
    let mut stage = Stage::with([listed("b"), listed("d"), rolling(probed(listed("f")))], &[1, 2, 3]);
    stage.step([ready(3)]);
    let newer = rolling(probed(after(spec("f", 1), "b", false)));
    stage.step([wanted([listed("b"), listed("d"), newer])]);
    assert_eq!(stage.step([started(4), ready(4)]), ["stop f#3 (args changed)"]);
    assert_eq!(stage.step([wanted([listed("d")])]), ["stop f#4 (removed from file)"]);
    assert_eq!(stage.step([exited(4, 0), gone(4)]), NOTHING, "the older run came after d, and d after b");
    assert_eq!(stage.step([exited(3, 0), gone(3)]), ["stop b#1 (removed from file)"]);
}
