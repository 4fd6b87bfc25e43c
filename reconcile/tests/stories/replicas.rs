//! Several replicas of one definition: they start side by side, and are replaced so that enough of them serve.

use crate::stage::{NOTHING, Stage, after, by_hand, content, exited, gone, probed, ready, rolling, spec, started, wanted, with};
use reconcile::event::Order;
use reconcile::replica::Replica;
use reconcile::spec::{Dependency, OnWatch, Spec};
use reconcile::state::ProcessState;
use reconcile::text::{Name, Text};
use std::collections::BTreeMap;
use std::time::Duration;

/// One of the replicas of `web`.
fn web(number: u32, version: u32, surge: u32) -> Spec {
    let replica = |spec: &mut Spec| {
        (spec.name, spec.stable) = (Name::from(format!("web:{number}")), Duration::ZERO);
        spec.replica = Some(Replica { of: "web".into(), number, surge });
    };
    with(rolling(probed(spec("web", version))), replica)
}

/// So many replicas.
fn webs(count: u32, version: u32, surge: u32) -> Vec<Spec> {
    (1..=count).map(|number| web(number, version, surge)).collect()
}

/// A stage with ready replicas.
fn serving(count: u32, surge: u32) -> Stage {
    let mut stage = Stage::with(webs(count, 0, surge), &(1..=u64::from(count)).collect::<Vec<_>>());
    stage.step((1..=u64::from(count)).map(ready));
    stage
}

#[test]
fn they_start_and_stop_side_by_side_in_their_place_of_the_list() {
    let list = [vec![spec("db", 0)], webs(3, 0, 1), vec![spec("mail", 0)]].concat();
    let list: Vec<Spec> = list.into_iter().map(|spec| with(spec, |spec| spec.depends_on = None)).collect();
    let mut stage = Stage::new();
    assert_eq!(stage.step([wanted(list)]), ["spawn db#1 (added to file)"]);
    let all = ["spawn web:1#2 (added to file)", "spawn web:2#3 (added to file)", "spawn web:3#4 (added to file)"];
    assert_eq!(stage.step([started(1)]), all);
    assert_eq!(stage.step([started(4), started(2)]), NOTHING, "the next in the list comes after all of them");
    assert_eq!(stage.step([started(3)]), ["spawn mail#5 (added to file)"]);
    stage.step([started(5)]);
    assert_eq!(stage.step([wanted([] as [Spec; 0])]), ["stop mail#5 (removed from file)"]);
    let all = ["stop web:1#2 (removed from file)", "stop web:2#3 (removed from file)", "stop web:3#4 (removed from file)"];
    assert_eq!(stage.step([exited(5, 0), gone(5)]), all);
    assert_eq!(stage.step([2, 3].into_iter().flat_map(|run| [exited(run, 0), gone(run)])), NOTHING);
    assert_eq!(stage.step([exited(4, 0), gone(4)]), ["stop db#1 (removed from file)"]);
}

#[test]
fn another_number_of_them_concerns_no_other() {
    let mut stage = serving(4, 1);
    let more = ["spawn web:5#5 (added to file)", "spawn web:6#6 (added to file)"];
    assert_eq!(stage.step([wanted(webs(6, 0, 1))]), more);
    stage.step([started(5), started(6), ready(5), ready(6)]);
    let fewer = [3, 4, 5, 6].map(|number| format!("stop web:{number}#{number} (removed from file)"));
    assert_eq!(stage.step([wanted(webs(2, 0, 1))]), fewer);
}

#[test]
fn as_many_are_replaced_at_once_as_the_surge_says() {
    let mut stage = serving(3, 2);
    assert_eq!(stage.step([wanted(webs(3, 1, 2))]), ["spawn web:1#4 (args changed)", "spawn web:2#5 (args changed)"]);
    stage.step([started(4), started(5)]);
    assert_eq!(stage.waiting().last().expect("one waits"), "web:3 is replaced after web:1");
    assert_eq!(stage.step([ready(4)]), ["stop web:1#1 (args changed)"]);
    assert_eq!(stage.step([exited(1, 0)]), NOTHING, "an old run counts until it is gone");
    assert_eq!(stage.step([gone(1)]), ["spawn web:3#6 (args changed)"]);
    stage.step([started(6)]);
    assert_eq!(stage.step([ready(6), ready(5)]), ["stop web:2#2 (args changed)", "stop web:3#3 (args changed)"]);
    stage.step([exited(2, 0), gone(2), exited(3, 0), gone(3)]);
    assert!(stage.engine.is_converged());
}

#[test]
fn no_other_one_is_replaced_before_the_new_run_is_ready_even_if_the_old_one_dies() {
    let mut stage = serving(2, 1);
    assert_eq!(stage.step([wanted(webs(2, 1, 1))]), ["spawn web:1#3 (args changed)"]);
    assert_eq!(stage.step([started(3), exited(1, 1), gone(1)]), NOTHING);
    assert_eq!(stage.step([ready(3)]), ["spawn web:2#4 (args changed)"]);
}

#[test]
fn without_surge_each_stops_first_while_the_others_serve() {
    let mut stage = serving(3, 0);
    assert_eq!(stage.step([wanted(webs(3, 1, 0))]), ["stop web:1#1 (args changed)"]);
    assert_eq!(stage.step([exited(1, 0), gone(1)]), ["spawn web:1#4 (args changed)"]);
    assert_eq!(stage.step([started(4)]), NOTHING);
    assert!(stage.waiting().contains(&"web:2 is replaced after web:1".to_owned()), "{:?}", stage.waiting());
    assert_eq!(stage.step([ready(4)]), ["stop web:2#2 (args changed)"]);
    assert_eq!(stage.step([exited(2, 0), gone(2)]), ["spawn web:2#5 (args changed)"]);
    assert_eq!(stage.step([started(5), exited(5, 1), gone(5)]), NOTHING, "the last one goes on as long as another doesn't serve");
    let mended = webs(3, 2, 0);
    assert_eq!(stage.step([wanted(mended)]), ["spawn web:2#6 (args changed)"], "one that doesn't serve has nothing to wait for");
    assert_eq!(stage.step([started(6), ready(6)]), ["stop web:1#4 (args changed)"]);
    stage.step([exited(4, 0), gone(4)]);
    assert_eq!(stage.step([started(7), ready(7)]), ["stop web:3#3 (args changed)"]);
    stage.step([exited(3, 0), gone(3)]);
    stage.step([started(8), ready(8)]);
    assert!(stage.engine.is_converged());
}

#[test]
fn by_hand_and_for_a_file_they_are_replaced_in_turns_too() {
    for surge in [0, 1] {
        let mut stage = serving(2, surge);
        let begun = stage.step(["web:1", "web:2"].map(|name| by_hand(Order::Restart, name)));
        assert_eq!(begun.len(), 1, "{begun:?}");
        assert!(begun[0].contains("web:1"), "{begun:?}");
        let both = stage.step(["web:1", "web:2"].map(|name| by_hand(Order::RestartStopFirst, name)));
        assert!(both.iter().any(|step| step.starts_with("stop web:2#2")), "{both:?}");
    }
    let watching = |spec: &mut Spec| (spec.watch, spec.on_watch) = (vec![Text::plain("cert.pem")], OnWatch::Restart);
    for (surge, begun) in [(0, "stop web:1#1"), (1, "spawn web:1#3")] {
        let mut stage = Stage::with(webs(2, 0, surge).into_iter().map(|spec| with(spec, watching)), &[1, 2]);
        let watched = |number: u32, hash: u64| content(&format!("web:{number}"), &["cert.pem"], [("cert.pem", hash)]);
        stage.step([watched(1, 1), watched(2, 1), ready(1), ready(2)]);
        let steps = stage.step([watched(1, 2), watched(2, 2)]);
        assert!(steps.len() == 1 && steps[0].starts_with(begun), "{steps:?}");
    }
}

#[test]
fn one_replica_is_enough_for_a_dependent() {
    let needs = BTreeMap::from([("web".into(), Dependency::default())]);
    let client = || with(spec("client", 0), |spec| spec.depends_on = Some(needs.clone()));
    let list = |count| [webs(count, 0, 1), vec![client()]].concat();
    let mut stage = Stage::new();
    stage.step([wanted(list(2))]);
    assert_eq!(stage.step([started(1), started(2), exited(1, 1), gone(1)]), NOTHING);
    assert_eq!(stage.step([ready(2)]), ["spawn client#3 (added to file)"]);
    stage.step([started(3)]);
    let stops = stage.step([wanted([] as [Spec; 0])]);
    assert_eq!(stops, ["stop client#3 (removed from file)"], "they all stay until it is gone");
}

#[test]
fn one_that_is_put_back_takes_the_others_back() {
    let mut stage = serving(3, 1);
    assert_eq!(stage.step([wanted(webs(3, 1, 1))]), ["spawn web:1#4 (args changed)"]);
    stage.step([started(4), ready(4)]);
    assert_eq!(stage.step([exited(1, 0), gone(1)]), ["spawn web:2#5 (args changed)"]);
    let put_back = stage.step([started(5), exited(5, 1), gone(5)]);
    assert!(put_back.contains(&"spawn web:1#6 (args changed)".to_owned()), "{put_back:?}");
    stage.step([started(6), ready(6), exited(4, 0), gone(4)]);
    for name in ["web:1", "web:2", "web:3"] {
        let status = stage.status(name).expect("it is in the file");
        assert_eq!((status.state, status.stale), (ProcessState::Running, true), "{name}");
        assert!(status.reason.to_string().starts_with("put back: exit status 1"), "{name}: {}", status.reason);
    }
    assert_eq!(stage.wait(100_000), NOTHING, "no other one tries the same");
    assert_eq!(stage.step([wanted(webs(3, 2, 1))]), ["spawn web:1#7 (args changed)"], "another definition is tried");
}

#[test]
fn a_third_version_that_fails_takes_all_back_to_the_first() {
    let mut stage = serving(3, 1);
    stage.step([wanted(webs(3, 1, 1))]);
    stage.step([started(4), ready(4)]);
    assert_eq!(stage.step([exited(1, 0), gone(1)]), ["spawn web:2#5 (args changed)"]);
    stage.step([wanted(webs(3, 2, 1)), started(5)]);
    assert_eq!(stage.step([exited(5, 0), gone(5)]), ["spawn web:1#6 (args changed)"], "beside one of the second version");
    let back = stage.step([started(6), exited(6, 1), gone(6)]);
    assert_eq!(back, ["spawn web:1#7 (args changed)"]);
    assert_eq!(stage.step([started(7), ready(7)]), ["stop web:1#4 (args changed)"]);
    stage.step([exited(4, 0), gone(4)]);
    let version = |name: &str| stage.engine.observed().processes()[name].runs[0].spec.exec.args[0].clone();
    assert_eq!(["web:1", "web:2", "web:3"].map(version), ["0", "0", "0"].map(Text::plain));
}

#[test]
fn what_follows_them_is_restarted_once() {
    for surge in [0, 1] {
        let list = |version| [webs(2, version, surge), vec![after(spec("client", 0), "web", true)]].concat();
        let mut stage = Stage::with(list(0), &[1, 2]);
        stage.step([ready(1), ready(2), started(3)]);
        let mut steps = stage.step([wanted(list(1))]);
        // Each run does what it is told to, one after the other.
        for place in 0..20 {
            let Some(step) = steps.get(place).cloned() else { break };
            let run: u64 = step.split(['#', ' ']).nth(2).and_then(|run| run.parse().ok()).expect("a run");
            let events = if step.starts_with("spawn") { [started(run), ready(run)] } else { [exited(run, 0), gone(run)] };
            steps.extend(stage.step(events));
        }
        let restarts = steps.iter().filter(|step| step.starts_with("spawn client")).count();
        assert_eq!(restarts, 1, "surge {surge}: {steps:?}");
        assert!(stage.engine.is_converged(), "{steps:?}");
        let place = |what: &str| steps.iter().position(|step| step.starts_with(what)).expect("each is replaced");
        let places = ["stop web:1", "stop client", "stop web:2"].map(place);
        assert!(places.is_sorted(), "with the last of them, so that it isn't down for long: {steps:?}");
    }
}

#[test]
fn what_follows_them_is_restarted_after_they_were_down() {
    let list = |version| [webs(2, version, 1), vec![after(spec("client", 0), "web", true)]].concat();
    let mut stage = Stage::with(list(0), &[1, 2, 3]);
    stage.step([1, 2].into_iter().flat_map(|run| [exited(run, 1), gone(run)]));
    let begun = stage.step([wanted(list(1))]);
    assert!(begun.contains(&"spawn web:1#4 (args changed)".to_owned()), "{begun:?}");
    let steps = [begun, stage.step([started(4), started(5)])].concat();
    assert!(steps.contains(&"stop client#3 (dependency web restarted)".to_owned()), "{steps:?}");
}

#[test]
fn without_surge_a_replacement_that_is_under_way_is_finished() {
    let mut stage = serving(3, 2);
    stage.step([wanted(webs(3, 1, 2))]);
    stage.step([started(4), started(5)]);
    stage.step([wanted(webs(3, 1, 0))]);
    assert_eq!(stage.step([ready(4), ready(5)]), ["stop web:1#1 (args changed)", "stop web:2#2 (args changed)"]);
}

#[test]
fn a_dependent_that_does_not_require_them_waits_for_those_on_their_way() {
    let optional = Dependency { required: false, ..Dependency::default() };
    let client = with(spec("client", 0), |spec| spec.depends_on = Some(BTreeMap::from([("web".into(), optional)])));
    let mut stage = Stage::new();
    stage.step([wanted([webs(2, 0, 1), vec![client]].concat())]);
    stage.step([by_hand(Order::Stop, "web:1"), started(1)]);
    assert_eq!(stage.step([exited(1, 0), gone(1), started(2)]), NOTHING);
    assert_eq!(stage.step([ready(2)]), ["spawn client#3 (added to file)"]);
}

#[test]
fn no_other_one_is_started_in_the_moment_in_which_one_is_put_back() {
    let mut stage = serving(3, 2);
    stage.step([wanted(webs(3, 1, 2))]);
    stage.step([started(4), started(5)]);
    assert_eq!(stage.step([ready(4)]), ["stop web:1#1 (args changed)"]);
    stage.now = stage.now + Duration::from_mins(1);
    let steps = stage.step([exited(1, 0), gone(1)]);
    assert_eq!(steps, ["stop web:2#5 (not ready within 1m)", "spawn web:1#6 (args changed)"], "web:3 is as it was");
}
