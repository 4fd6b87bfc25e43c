//! Bugs found by random histories, each with the shortest scenario that shows it.

use crate::stage::{
    NOTHING, Stage, after, by_hand, content, exited, gone, not_reloaded, probed, ready, refused, rolling, spec, started, unready,
    wanted, with,
};
use reconcile::event::{Event, Order};
use reconcile::preview::preview;
use reconcile::spec::{Dependency, OnChange, OnWatch, ProcessKind, Restart, Signal, SignalOrCommand, Spec};
use reconcile::text::{Name, Text};
use std::time::Duration;

fn disabled(spec: Spec) -> Spec {
    with(spec, |spec| spec.enabled = false)
}

fn announcing(spec: Spec, deadline: u64) -> Spec {
    with(spec, |spec| {
        spec.exec.announce = Some(reconcile::spec::Announce::Notify);
        spec.ready_timing.deadline = Duration::from_millis(deadline);
    })
}

/// A stage with `a`, which is never restarted, crashed, and has orphans that are being stopped.
fn crashed() -> Stage {
    let mut stage = Stage::with([spec("a", 0)], &[1]);
    assert_eq!(stage.step([exited(1, 1)]), ["stop rest of a#1"]);
    stage
}

#[test]
fn a_start_by_hand_counts_while_orphans_of_a_crash_are_killed() {
    for (order, reason) in [(Order::Start as fn(Name) -> Order, "started"), (Order::Restart, "restarted")] {
        let mut stage = crashed();
        assert_eq!(stage.step([by_hand(order, "a")]), NOTHING);
        assert_eq!(stage.step([gone(1)]), [format!("spawn a#2 ({reason} by hand)")]);
    }
}

#[test]
fn a_start_by_hand_counts_while_a_run_is_stopped_for_not_being_ready() {
    let mut stage = Stage::with([announcing(spec("a", 0), 1_000)], &[1]);
    assert_eq!(stage.wait(1_000), ["stop a#1 (not ready within 1s)"]);
    assert_eq!(stage.step([by_hand(Order::Start, "a")]), NOTHING);
    assert_eq!(stage.step([exited(1, 143), gone(1)]), ["spawn a#2 (started by hand)"]);
}

#[test]
fn a_process_enabled_again_starts_whatever_happened_before() {
    let mut stage = crashed();
    stage.step([wanted([disabled(spec("a", 0))]), wanted([spec("a", 0)])]);
    assert_eq!(stage.step([gone(1)]), ["spawn a#2 (enabled in file)"]);
}

#[test]
fn a_process_added_again_is_new_even_if_its_former_run_is_not_gone() {
    let mut stage = crashed();
    stage.step([wanted([])]);
    stage.step([wanted([spec("a", 0)])]);
    assert_eq!(stage.step([gone(1)]), ["spawn a#2 (added to file)"]);

    let mut stage = Stage::with([spec("a", 0)], &[1]);
    assert_eq!(stage.step([wanted([])]), ["stop a#1 (removed from file)"]);
    stage.step([wanted([spec("a", 0)])]);
    assert_eq!(stage.step([exited(1, 0), gone(1)]), ["spawn a#2 (added to file)"]);
}

#[test]
fn a_start_by_hand_counts_although_the_file_is_put_back() {
    let done = || with(spec("a", 0), |spec| spec.exec.kind = ProcessKind::Task);
    let mut stage = Stage::with([spec("b", 0), done()], &[1, 2]);
    stage.step([exited(1, 0), gone(1)]);
    // The next version of `a` waits for `b`, which is refused; meanwhile `a` is started by hand.
    let next = after(with(spec("a", 1), |spec| spec.exec.kind = ProcessKind::Task), "b", false);
    stage.step([exited(2, 1), gone(2), wanted([spec("b", 0), next])]);
    stage.step([by_hand(Order::Start, "a")]);
    assert_eq!(stage.step([wanted([spec("b", 0), done()])]), ["spawn a#3 (started by hand)"]);
}

#[test]
fn an_order_by_hand_does_not_restart_a_delay() {
    let mut stage = Stage::new();
    let delayed = || with(spec("a", 0), |spec| spec.start_delay = Duration::from_secs(2));
    assert_eq!(stage.step([wanted([delayed()])]), NOTHING);
    assert_eq!(stage.wait(1_000), NOTHING);
    assert_eq!(stage.step([by_hand(Order::Restart, "a")]), NOTHING);
    assert_eq!(stage.wait(1_000), ["spawn a#1 (restarted by hand)"]);
}

#[test]
fn orders_by_hand_are_forgotten_for_removed_processes() {
    let mut stage = Stage::with([spec("a", 0), after(spec("b", 0), "a", false)], &[1, 2]);
    assert_eq!(stage.step([wanted([])]), ["stop b#2 (removed from file)"]);
    stage.step([by_hand(Order::Restart, "a")]);
    assert_eq!(stage.step([wanted([spec("a", 0)]), exited(2, 0), gone(2)]), NOTHING);
}

#[test]
fn a_dependency_added_in_place_is_followed() {
    let mut stage = Stage::with([spec("a", 0), spec("b", 0)], &[1, 2]);
    assert_eq!(stage.step([wanted([spec("a", 0), after(spec("b", 0), "a", true)])]), ["update b#2"]);
    assert_eq!(stage.step([wanted([spec("a", 1), after(spec("b", 0), "a", true)])]), ["stop b#2 (dependency a restarted)"]);
}

#[test]
fn a_dependency_started_later_is_followed() {
    let loosely = || {
        with(spec("b", 0), |spec| {
            let edge = Dependency { restart: true, required: false, ..Dependency::default() };
            spec.depends_on.get_or_insert_default().insert(Name::from("a"), edge);
        })
    };
    let mut stage = Stage::with([disabled(spec("a", 0)), loosely()], &[1]);
    assert_eq!(stage.step([wanted([spec("a", 0), loosely()])]), ["spawn a#2 (enabled in file)"]);
    stage.step([started(2)]);
    assert_eq!(stage.step([by_hand(Order::Restart, "a")]), ["stop b#1 (dependency a restarted)"]);
}

#[test]
fn a_follower_stops_before_its_dependency_even_if_their_places_were_swapped() {
    // `b` came after `a`; now `a` follows `b`, which changes, and `c` follows `a`.
    let before = [spec("a", 0), after(spec("b", 0), "a", false), after(spec("c", 0), "a", true)];
    let mut stage = Stage::with(before, &[1, 2, 3]);
    let swapped = [after(spec("a", 0), "b", true), spec("b", 1), after(spec("c", 0), "a", true)];
    assert_eq!(stage.step([wanted(swapped)]), ["stop c#3 (dependency a restarted)"]);
    assert_eq!(stage.step([exited(3, 0), gone(3)]), ["stop a#1 (dependency b restarted)"]);
    assert_eq!(stage.step([exited(1, 0), gone(1)]), ["stop b#2 (args changed)"]);
}

#[test]
fn the_second_of_two_starts_that_restart_others_sees_what_the_first_did() {
    let a = || after(spec("a", 0), "b", true);
    let c = |version| rolling(after(spec("c", version), "a", false));
    let d = || after(spec("d", 0), "c", true);
    let mut stage = Stage::with([a(), spec("b", 0), c(0), d()], &[1, 2, 3, 4]);
    stage.step([exited(1, 1), gone(1)]);
    // `b` comes back as another and takes `a` along, so the new `c` can't be started upon that `a` any more.
    assert_eq!(
        stage.step([wanted([a(), spec("b", 1), c(1), d()])]),
        ["spawn b#5 (args changed)", "stop a#2 (dependency b restarted)"]
    );
}

#[test]
fn disabled_processes_are_gone_before_added_ones_start() {
    let mut stage = Stage::with([spec("a", 0)], &[1]);
    assert_eq!(stage.step([wanted([disabled(spec("a", 0)), spec("b", 0)])]), ["stop a#1 (disabled in file)"]);
    assert_eq!(stage.step([exited(1, 0), gone(1)]), ["spawn b#2 (added to file)"]);
}

#[test]
fn a_deadline_changed_in_place_counts_before_anything_is_stopped() {
    let listed = |spec: Spec| with(spec, |spec| spec.depends_on = None);
    let mut stage = Stage::with([listed(spec("a", 0)), announcing(listed(spec("b", 0)), 60_000)], &[1, 2]);
    stage.wait(5_000);
    // `b` is not ready within its new deadline, so it goes as well, and first.
    let change = wanted([listed(spec("a", 1)), announcing(listed(spec("b", 0)), 1_000)]);
    assert_eq!(stage.step([change]), ["update b#2", "stop b#2 (not ready within 1s)"]);
}

#[test]
fn an_unready_old_run_is_shown_as_waiting_when_its_replacement_was_given_up() {
    let a = |version| rolling(announcing(spec("a", version), 60_000));
    let mut stage = Stage::with([a(0)], &[1]);
    stage.step([ready(1), unready(1), wanted([a(1)])]);
    assert_eq!(stage.step([refused(2)]), NOTHING);
    assert_eq!(stage.waiting(), ["a not ready any more: connection refused"]);
}

#[test]
fn no_run_is_kept_instead_of_an_up_to_date_one() {
    let kept = |version| with(announcing(spec("a", version), 60_000), |spec| spec.on_change = OnChange::Keep);
    let mut stage = Stage::with([rolling(announcing(spec("a", 0), 60_000))], &[1]);
    stage.step([ready(1), unready(1)]);
    assert_eq!(stage.step([wanted([rolling(announcing(spec("a", 1), 60_000))])]), ["spawn a#2 (args changed)"]);
    // The change is taken back: the new run only serves for as long as the old one doesn't.
    assert_eq!(stage.step([started(2), ready(2), wanted([kept(0)])]), ["update a#1"]);
    assert_eq!(stage.waiting(), ["a not ready any more: connection refused"]);
    assert_eq!(stage.step([ready(1)]), ["stop a#2 (args changed)"]);
}

#[test]
fn the_reason_of_a_start_is_how_the_newest_run_ended() {
    let a = |version| rolling(announcing(spec("a", version), 60_000));
    let mut stage = Stage::with([a(0)], &[1]);
    assert_eq!(stage.step([ready(1), wanted([a(1)])]), ["spawn a#2 (args changed)"]);
    assert_eq!(stage.step([by_hand(Order::Stop, "a")]), ["stop a#1 (stopped by hand)"]);
    stage.step([by_hand(Order::Restart, "a")]);
    assert_eq!(stage.step([started(2)]), ["stop a#2 (restarted by hand)"]);
    // The old run takes longer to stop than the one that was started beside it.
    stage.step([exited(2, 0), gone(2)]);
    assert_eq!(stage.step([exited(1, 0), gone(1)]), ["spawn a#3 (restarted by hand)"]);
}

#[test]
fn a_failed_reload_is_reported_once() {
    let reloading = || {
        with(spec("a", 0), |spec| {
            (spec.watch, spec.on_watch) = (vec![Text::plain("x")], OnWatch::Reload);
            spec.reload = Some(SignalOrCommand::Signal(Signal("HUP")));
        })
    };
    let mut stage = Stage::with([reloading()], &[1]);
    assert_eq!(stage.step([content("a", &["x"], [("x", 1)]), content("a", &["x"], [("x", 2)])]), ["reload a#1"]);
    assert_eq!(stage.reports([not_reloaded(1)]), 1);
    assert_eq!(stage.reports([not_reloaded(1)]), 0, "the same event again");
}

#[test]
fn a_process_stopped_by_hand_has_not_converged_while_it_runs() {
    let mut stage = Stage::with([spec("a", 0), after(spec("b", 0), "a", false)], &[1, 2]);
    stage.step([by_hand(Order::Stop, "b"), by_hand(Order::Stop, "a")]);
    stage.step([by_hand(Order::Start, "b")]);
    assert!(!stage.engine.is_converged());
}

#[test]
fn a_run_that_waits_for_its_replacement_is_not_stale() {
    let mut stage = Stage::with([rolling(spec("a", 0))], &[1]);
    assert_eq!(stage.step([wanted([rolling(spec("a", 1))])]), ["spawn a#2 (args changed)"]);
    assert!(stage.status("a").is_some_and(|status| !status.stale));
    // The replacement can't be started: the old run differs from the file, and not on purpose.
    stage.step([refused(2)]);
    assert!(stage.status("a").is_some_and(|status| status.stale));
    assert!(!stage.engine.is_converged());
}

#[test]
fn a_replacement_that_is_given_up_blocks_nothing() {
    let listed = || with(spec("b", 0), |spec| spec.depends_on = None);
    let mut stage = Stage::with([rolling(spec("a", 0))], &[1]);
    stage.step([wanted([rolling(spec("a", 1)), listed()])]);
    assert_eq!(stage.step([refused(2)]), ["spawn b#3 (added to file)"]);
}

#[test]
fn of_two_outdated_runs_only_the_one_that_serves_waits_for_a_replacement() {
    let mut stage = Stage::with([rolling(spec("a", 0))], &[1]);
    stage.step([wanted([rolling(spec("a", 1))])]);
    stage.step([wanted([rolling(spec("a", 2))])]);
    // The second run is ready as soon as it is started, and was outdated before it could take the place of the first.
    assert_eq!(stage.step([started(2)]), ["stop a#2 (args changed)"]);
    assert_eq!(stage.step([exited(2, 0), gone(2)]), ["spawn a#3 (args changed)"]);
}

#[test]
fn an_old_run_stops_when_its_replacement_has_completed() {
    let mut stage = Stage::with([rolling(spec("a", 0))], &[1]);
    stage.step([wanted([rolling(with(spec("a", 1), |spec| spec.exec.kind = ProcessKind::Task))])]);
    assert_eq!(stage.step([started(2), exited(2, 0), gone(2)]), ["stop a#1 (args, type changed)"]);
    // The end of the old run doesn't count: the task isn't run a second time.
    assert_eq!(stage.step([exited(1, 0), gone(1)]), NOTHING);
}

#[test]
fn an_old_run_is_not_kept_beside_the_one_that_replaced_it() {
    let kept = |spec| with(spec, |spec: &mut Spec| spec.on_change = OnChange::Keep);
    let slow = |version| announcing(rolling(spec("a", version)), 60_000);
    let mut stage = Stage::with([slow(0)], &[1]);
    stage.step([ready(1)]);
    assert_eq!(stage.step([wanted([slow(1)])]), ["spawn a#2 (args changed)"]);
    stage.step([started(2), wanted([kept(slow(1))])]);
    assert_eq!(stage.step([ready(2)]), ["stop a#1 (args changed)"]);
}

#[test]
fn a_preview_lets_running_tasks_complete() {
    let migrate = || with(spec("migrate", 0), |spec| spec.exec.kind = ProcessKind::Task);
    let web = || {
        with(after(spec("web", 0), "migrate", false), |spec| {
            spec.depends_on.iter_mut().flatten().for_each(|(_, edge)| edge.condition = None);
        })
    };
    let stage = Stage::with([migrate()], &[1]);
    let Event::Wanted(next) = wanted([migrate(), web()]) else { panic!("`wanted` is another event") };
    let deeds: Vec<String> = preview(&stage.engine, stage.now, next).into_iter().flatten().map(|deed| deed.to_string()).collect();
    assert_eq!(deeds, ["start web (added to file)"]);
}

#[test]
fn a_restart_by_hand_replaces_a_pair_of_runs_as_well() {
    let always = |version| announcing(rolling(with(spec("a", version), |spec| spec.restart = Restart::Always)), 60_000);
    let mut stage = Stage::with([always(0)], &[1]);
    stage.step([ready(1), wanted([always(1)])]);
    stage.step([started(2)]);
    assert_eq!(stage.step([by_hand(Order::Restart, "a")]), ["stop a#2 (restarted by hand)"]);
    assert_eq!(stage.step([exited(2, 0), gone(2)]), ["spawn a#3 (restarted by hand)"]);
    assert_eq!(stage.step([started(3)]), NOTHING);
    assert_eq!(stage.step([ready(3)]), ["stop a#1 (restarted by hand)"]);
}

#[test]
fn dependents_do_not_follow_what_is_given_up_before_it_took_over() {
    let web = |version| rolling(probed(spec("web", version)));
    let mut stage = Stage::with([web(0)], &[1]);
    stage.step([ready(1)]);
    assert_eq!(stage.step([wanted([web(1)])]), ["spawn web#2 (args changed)"]);
    let both = [web(0), after(spec("client", 0), "web", true)];
    assert_eq!(stage.step([wanted(both)]), ["spawn client#3 (added to file)"]);
    assert_eq!(stage.step([started(3), started(2)]), ["stop web#2 (args changed)"]);
}

#[test]
fn a_longer_time_to_stay_ready_counts_before_it_is_over() {
    let after = |spec: &mut Spec, seconds| spec.stable = Duration::from_secs(seconds);
    let web = |version, seconds| with(rolling(probed(spec("web", version))), |spec| after(spec, seconds));
    let mut stage = Stage::with([web(0, 1)], &[1]);
    stage.step([ready(1), wanted([web(1, 1)])]);
    stage.step([started(2), ready(2)]);
    stage.now = stage.now + Duration::from_secs(1);
    assert_eq!(stage.step([wanted([web(1, 5)])]), ["update web#2"]);
    stage.step([exited(2, 1), gone(2)]);
    assert!(stage.engine.put_back(&Name::from("web")).is_some(), "it hadn't taken over");
}
