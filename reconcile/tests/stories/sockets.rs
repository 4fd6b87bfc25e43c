//! Sockets that navigator holds: when they are opened and closed, and what waits for them.

use crate::stage::{Stage, after, by_hand, exited, gone, probed, ready, rolling, spec, started, wanted, with};
use reconcile::event::{Event, Order, Refusal, RunId};
use reconcile::socket::{Address, HoldState, Listener};
use reconcile::spec::{Restart, Spec};
use reconcile::state::ProcessState;
use reconcile::text::Name;

fn listener(port: u16) -> Listener {
    Listener::new("web", Address::Any(port))
}

/// The same, with these sockets.
fn listening<const N: usize>(spec: Spec, ports: [u16; N]) -> Spec {
    with(spec, |spec| spec.exec.sockets = ports.map(listener).to_vec())
}

/// Navigator holds these sockets for a process.
fn held<const N: usize>(name: &str, ports: [u16; N]) -> Event {
    Event::Held { name: Name::from(name), listeners: ports.map(listener).to_vec(), refusal: None }
}

/// One of these sockets can't be had.
fn refused<const N: usize>(name: &str, ports: [u16; N]) -> Event {
    let refusal = Some(why());
    Event::Held { name: Name::from(name), listeners: ports.map(listener).to_vec(), refusal }
}

/// These actions without their reasons.
fn acts(actions: &[String]) -> Vec<&str> {
    actions.iter().map(|action| action.split(" (").next().unwrap_or(action)).collect()
}

fn why() -> Refusal {
    Refusal::Listen { address: "*:80".to_string(), why: "address in use".to_string() }
}

#[test]
fn a_start_waits_until_its_sockets_are_held() {
    let mut stage = Stage::new();
    assert_eq!(stage.step([wanted([listening(spec("web", 0), [80])])]), ["hold *:80 for web"]);
    assert_eq!(stage.waiting(), ["web waits for its sockets"]);
    assert_eq!(stage.step([held("web", [80])]), ["spawn web#1 (added to file)"]);
    assert!(stage.step([started(1)]).is_empty());
    assert!(stage.engine.is_converged());
}

#[test]
fn sockets_are_held_while_a_process_waits_for_its_dependency() {
    let mut stage = Stage::new();
    let specs = [spec("db", 0), after(listening(spec("web", 0), [80]), "db", false)];
    assert_eq!(stage.step([wanted(specs)]), ["hold *:80 for web", "spawn db#1 (added to file)"]);
}

#[test]
fn sockets_outlive_crashes_and_restarts() {
    let with_policy = |version| with(listening(spec("web", version), [80]), |spec| spec.restart = Restart::OnFailure);
    let mut stage = Stage::new();
    stage.step([wanted([with_policy(0)])]);
    stage.step([held("web", [80])]);
    stage.step([started(1)]);
    assert!(stage.step([exited(1, 1), gone(1)]).is_empty(), "nothing is closed during the backoff");
    assert_eq!(stage.wait(600), ["spawn web#2 (exit status 1)"]);
    stage.step([started(2)]);
    assert_eq!(stage.step([by_hand(Order::Restart, "web")]), ["stop web#2 (restarted by hand)"]);
    assert_eq!(stage.step([exited(2, 0), gone(2)]), ["spawn web#3 (restarted by hand)"]);
    stage.step([started(3)]);
    assert_eq!(stage.step([wanted([with_policy(1)])]), ["stop web#3 (args changed)"]);
}

#[test]
fn sockets_are_closed_when_a_process_is_stopped_fails_or_completes() {
    let plain = || listening(spec("web", 0), [80]);
    let mut stage = Stage::new();
    stage.step([wanted([plain()])]);
    stage.step([held("web", [80])]);
    stage.step([started(1)]);
    // The server still has its own copy, and decides what becomes of the connections in the queue.
    assert_eq!(stage.step([by_hand(Order::Stop, "web")]), ["stop web#1 (stopped by hand)", "hold  for web"]);
    stage.step([exited(1, 0), gone(1)]);
    assert_eq!(stage.step([by_hand(Order::Start, "web")]), ["hold *:80 for web"]);
    stage.step([held("web", [80])]);
    stage.step([started(2)]);
    assert_eq!(stage.step([exited(2, 1), gone(2)]), ["hold  for web"], "it has failed");
    stage.step([by_hand(Order::Start, "web")]);
    stage.step([held("web", [80])]);
    stage.step([started(3)]);
    assert_eq!(stage.step([exited(3, 0), gone(3)]), ["hold  for web"], "it has completed");
    assert!(stage.engine.observed().processes()["web"].sockets.is_none());
}

#[test]
fn an_address_that_moves_is_opened_for_one_before_it_is_closed_for_the_other() {
    let mut stage = Stage::new();
    let own = |mut spec: Spec| {
        spec.depends_on = Some(std::collections::BTreeMap::new());
        spec
    };
    stage.step([wanted([own(listening(spec("a", 0), [80])), own(spec("b", 0))])]);
    stage.step([held("a", [80])]);
    stage.step([started(1), started(2)]);
    let moved = [own(spec("a", 0)), own(listening(spec("b", 0), [80]))];
    assert_eq!(acts(&stage.step([wanted(moved)])), ["hold *:80 for b", "stop a#2", "hold  for a"]);
    assert_eq!(acts(&stage.step([held("b", [80])])), ["stop b#1"]);
}

#[test]
fn a_removed_process_keeps_its_sockets_until_it_is_told_to_stop() {
    let mut stage = Stage::new();
    let db = || listening(spec("db", 0), [80]);
    stage.step([wanted([db(), after(spec("web", 0), "db", false)])]);
    stage.step([held("db", [80])]);
    stage.step([started(1)]);
    stage.step([started(2)]);
    assert_eq!(stage.step([wanted([])]), ["stop web#2 (removed from file)"]);
    assert_eq!(stage.step([exited(2, 0), gone(2)]), ["stop db#1 (removed from file)", "hold  for db"]);
    stage.step([exited(1, 0), gone(1)]);
    assert!(stage.engine.observed().processes().is_empty());
}

#[test]
fn a_process_that_is_removed_before_its_start_leaves_no_socket() {
    let mut stage = Stage::new();
    stage.step([wanted([listening(spec("web", 0), [80])])]);
    assert_eq!(stage.step([wanted([])]), ["hold  for web"]);
    assert!(stage.step([held("web", [80])]).is_empty(), "this answer is late");
    assert!(stage.engine.observed().processes().is_empty());
}

#[test]
fn nothing_is_stopped_for_a_socket_that_can_not_be_had() {
    for restart in [Restart::Never, Restart::OnFailure] {
        let with_policy = |spec: Spec| with(spec, |spec| spec.restart = restart);
        let mut stage = Stage::with([with_policy(spec("web", 0))], &[1]);
        assert_eq!(stage.step([wanted([with_policy(listening(spec("web", 1), [80]))])]), ["hold *:80 for web"]);
        assert!(stage.step([refused("web", [80])]).is_empty());
        let status = stage.status("web").expect("it is in the file");
        assert_eq!((status.state, status.stale, status.as_wanted), (ProcessState::Running, true, false));
        assert_eq!(status.reason.to_string(), "can't listen on *:80: address in use");
        assert_eq!(stage.waiting(), ["web can't listen on *:80: address in use"]);
        let again = stage.wait(700);
        if restart == Restart::Never {
            assert!(again.is_empty(), "one try, as for any start");
            continue;
        }
        assert_eq!(again, ["hold *:80 for web"]);
        assert!(stage.step([refused("web", [80])]).is_empty());
        assert!(stage.wait(700).is_empty(), "the next try comes later");
        assert_eq!(stage.wait(700), ["hold *:80 for web"]);
        assert_eq!(acts(&stage.step([held("web", [80])])), ["stop web#1"]);
    }
}

#[test]
fn a_start_with_a_refused_socket_fails_like_any_other() {
    let mut stage = Stage::new();
    let web = || with(listening(spec("web", 0), [80]), |spec| spec.restart = Restart::OnFailure);
    stage.step([wanted([web()])]);
    assert_eq!(stage.step([refused("web", [80])]), ["spawn web#1 (added to file)"]);
    assert!(stage.step([Event::NotSpawned { run: RunId(1), why: why() }]).is_empty());
    assert_eq!(stage.status("web").map(|status| status.state), Some(ProcessState::Backoff));
    assert_eq!(stage.wait(600), ["spawn web#2 (can't listen on *:80: address in use)"]);
    stage.step([started(2)]);
    let sockets = stage.engine.observed().processes()["web"].sockets.as_ref();
    assert_eq!(sockets.map(|held| &held.state), Some(&HoldState::Held), "the start got them by itself");
}

#[test]
fn a_rolling_replacement_needs_its_sockets_too() {
    let web = |version, port| rolling(probed(listening(spec("web", version), [port])));
    let mut stage = Stage::new();
    stage.step([wanted([web(0, 80)])]);
    stage.step([held("web", [80])]);
    stage.step([started(1)]);
    stage.step([ready(1)]);
    assert_eq!(stage.step([wanted([web(1, 81)])]), ["hold *:81 *:80 for web"]);
    let both = Event::Held { name: Name::from("web"), listeners: vec![listener(81), listener(80)], refusal: None };
    assert_eq!(acts(&stage.step([both])), ["spawn web#2"]);
}

#[test]
fn an_address_moves_although_the_other_process_gets_one_in_exchange() {
    let disabled = |spec: Spec| with(spec, |spec| spec.start_delay = std::time::Duration::from_hours(1));
    let mut stage = Stage::new();
    stage.step([wanted([disabled(listening(spec("a", 0), [80])), disabled(listening(spec("b", 0), [81]))])]);
    stage.step([held("a", [80]), held("b", [81])]);
    let swapped = [disabled(listening(spec("a", 0), [81])), disabled(listening(spec("b", 0), [80]))];
    let expected = ["hold *:81 *:80 for a", "hold *:80 *:81 for b", "hold *:81 for a", "hold *:80 for b"];
    assert_eq!(stage.step([wanted(swapped)]), expected);
}

#[test]
fn a_rolling_process_that_is_not_ready_is_not_stopped_for_a_socket_either() {
    let web = |version, ports: &[u16]| {
        let rolls = rolling(probed(spec("web", version)));
        with(rolls, |spec| spec.exec.sockets = ports.iter().map(|port| listener(*port)).collect())
    };
    let mut stage = Stage::with([web(0, &[])], &[1]);
    assert_eq!(stage.step([wanted([web(1, &[80])])]), ["hold *:80 for web"]);
    assert!(stage.step([refused("web", [80])]).is_empty());
}

#[test]
fn an_answer_that_comes_twice_counts_once() {
    let web = |version, ports: &[u16]| {
        with(spec("web", version), |spec| {
            spec.restart = Restart::OnFailure;
            spec.exec.sockets = ports.iter().map(|port| listener(*port)).collect();
        })
    };
    let mut stage = Stage::with([web(0, &[])], &[1]);
    stage.step([wanted([web(1, &[80])])]);
    stage.step([refused("web", [80])]);
    let due = stage.wake_at;
    stage.now = stage.now + std::time::Duration::from_millis(100);
    assert!(stage.step([refused("web", [80])]).is_empty());
    assert_eq!(stage.wake_at, due);
}

#[test]
fn what_is_held_stays_so_when_another_address_is_given_up() {
    let mut stage = Stage::new();
    stage.step([wanted([listening(spec("web", 0), [80, 81])])]);
    stage.step([held("web", [80, 81])]);
    stage.step([started(1)]);
    let acts_of = stage.step([wanted([listening(spec("web", 1), [80])])]);
    assert!(acts(&acts_of).contains(&"stop web#1"), "{acts_of:?}");
}

#[test]
fn a_start_does_not_ask_for_refused_sockets_beside_itself() {
    let mut stage = Stage::new();
    let web = || with(listening(spec("web", 0), [80]), |spec| spec.restart = Restart::OnFailure);
    stage.step([wanted([web()])]);
    assert_eq!(stage.step([refused("web", [80])]), ["spawn web#1 (added to file)"]);
    assert_eq!(stage.wake_at, None);
    assert!(stage.wait(60_000).is_empty());
}

#[test]
fn a_start_waits_for_the_answer_about_its_own_sockets() {
    let gated = |ports: &[u16]| {
        let ports: Vec<Listener> = ports.iter().map(|port| listener(*port)).collect();
        with(spec("web", 0), |spec| spec.exec.sockets = ports)
    };
    let mut stage = Stage::new();
    let db = || with(spec("db", 0), |spec| spec.enabled = false);
    stage.step([wanted([db(), after(gated(&[80, 81]), "db", false)])]);
    stage.step([refused("web", [80, 81])]);
    assert_eq!(stage.step([wanted([db(), gated(&[81])])]), ["hold *:81 for web"]);
    assert_eq!(stage.step([held("web", [81])]), ["spawn web#1 (added to file)"]);
}
