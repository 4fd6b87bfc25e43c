//! Schedules: tasks that run at their dates, one run at a time, each missed date once.

use crate::stage::{NOTHING, Stage, after, by_hand, exited, gone, spec, started, wanted, with};
use crate::take_over::next_life;
use reconcile::event::{Event, Order};
use reconcile::order_progress::{Goal, OrderProgress};
use reconcile::schedule::{NextDate, Schedule, WallDate};
use reconcile::spec::{Backoff, Condition, Dependency, ProcessKind, Restart, ShutdownOn, Spec};
use reconcile::state::ProcessState;
use reconcile::text::{Name, Text};
use reconcile::time::Time;
use std::time::Duration;

fn hourly() -> Schedule {
    Schedule::Cron { expression: Text::plain("@hourly"), timezone: None }
}

fn scheduled(name: &str, version: u32) -> Spec {
    with(spec(name, version), |spec| {
        spec.exec.kind = ProcessKind::Task;
        spec.schedule = Some(Box::new(hourly()));
    })
}

fn date_of(name: &str, schedule: Schedule, second: u64) -> Event {
    let date = WallDate(i64::try_from(second).expect("it is small") * 1_000);
    let next = NextDate { schedule, date, at: Time::from_millis(second * 1_000) };
    Event::NextDate { name: Name::from(name), next }
}

/// The next date of `a` is at this second.
fn date(second: u64) -> Event {
    date_of("a", hourly(), second)
}

/// `a` waits for its date at second 10.
fn dated() -> Stage {
    let mut stage = Stage::new();
    assert_eq!(stage.step([wanted([scheduled("a", 0)])]), NOTHING);
    assert_eq!(stage.step([date(10)]), NOTHING);
    stage
}

fn state(stage: &Stage) -> ProcessState {
    stage.status("a").expect("`a` is in the file").state
}

#[test]
fn a_task_waits_for_its_first_date_and_counts_as_converged() {
    let mut stage = Stage::new();
    assert_eq!(stage.step([wanted([scheduled("a", 0)])]), NOTHING);
    assert_eq!((state(&stage), stage.engine.is_converged()), (ProcessState::Pending, true));
    stage.step([date(10)]);
    assert_eq!(stage.waiting(), ["a runs at 10.000s"]);
    assert_eq!(stage.wake_at, Some(Time::from_millis(10_000)));
    assert_eq!(stage.wait(9_999), NOTHING);
    assert_eq!(stage.wait(1), ["spawn a#1 (scheduled)"]);
    assert!(!stage.engine.is_converged());
}

#[test]
fn a_task_runs_at_each_of_its_dates() {
    let mut stage = dated();
    assert_eq!(stage.wait(10_000), ["spawn a#1 (scheduled)"]);
    assert_eq!(stage.step([date(20), started(1), exited(1, 0), gone(1)]), NOTHING);
    assert_eq!((state(&stage), stage.engine.is_converged()), (ProcessState::Completed, true));
    assert_eq!(stage.wait(9_999), NOTHING);
    assert_eq!(stage.wait(1), ["spawn a#2 (scheduled)"]);
    assert_eq!(stage.status("a").map(|status| status.restarts), Some(0));
}

#[test]
fn dates_that_come_during_a_run_are_made_up_for_once_after_it() {
    let mut stage = dated();
    assert_eq!(stage.wait(10_000), ["spawn a#1 (scheduled)"]);
    stage.step([started(1), date(11)]);
    assert_eq!(stage.wait(100_000), NOTHING, "never two at a time");
    assert_eq!(stage.step([exited(1, 0)]), ["stop rest of a#1"], "nor beside what a run left behind");
    assert_eq!(stage.step([gone(1)]), ["spawn a#2 (scheduled)"]);
    assert_eq!(stage.step([date(200), started(2), exited(2, 0), gone(2)]), NOTHING);
    assert_eq!(stage.step([]), NOTHING);
    assert_eq!(stage.wait(90_000), ["spawn a#3 (scheduled)"]);
}

#[test]
fn dates_that_come_while_a_start_waits_are_one() {
    let file = [spec("db", 0), after(scheduled("a", 0), "db", false)];
    let mut stage = Stage::new();
    assert_eq!(stage.step([wanted(file)]), ["spawn db#1 (added to file)"]);
    stage.step([date(10)]);
    assert_eq!(stage.wait(10_000), NOTHING);
    assert_eq!(stage.waiting()[0], "a waits for db: not started");
    assert!(!stage.engine.is_converged());
    stage.step([date(11)]);
    stage.wait(50_000);
    assert_eq!(stage.step([started(1)]), ["spawn a#2 (scheduled)"]);
    assert_eq!(stage.step([date(100), started(2), exited(2, 0), gone(2)]), NOTHING);
}

#[test]
fn a_failed_run_is_restarted_by_its_policy_and_runs_again_at_its_date() {
    let mut stage = Stage::new();
    let retried = with(scheduled("a", 0), |spec| {
        (spec.restart, spec.max_restarts) = (Restart::OnFailure, Some(1));
        spec.backoff = Backoff::steady(Duration::from_secs(1));
    });
    stage.step([wanted([retried])]);
    stage.step([date(10)]);
    for (run, second) in [(1, 10), (3, 20), (5, 30)] {
        assert_eq!(stage.wait(10_000 - u64::from(second > 10) * 1_000), [format!("spawn a#{run} (scheduled)")]);
        assert_eq!(stage.step([date(second + 10), started(run), exited(run, 1), gone(run)]), NOTHING);
        assert_eq!(state(&stage), ProcessState::Backoff);
        let again = run + 1;
        assert_eq!(stage.wait(1_000), [format!("spawn a#{again} (exit status 1)")]);
        assert_eq!(stage.step([started(again), exited(again, 1), gone(again)]), NOTHING);
        assert_eq!(state(&stage), ProcessState::Failed, "each date has its own restarts");
    }
    // A date that comes before the restart.
    let slow = with(scheduled("a", 0), |spec| {
        (spec.restart, spec.backoff) = (Restart::OnFailure, Backoff::steady(Duration::from_mins(5)));
    });
    stage.step([wanted([slow])]);
    assert_eq!(stage.wait(9_000), ["spawn a#7 (scheduled)"]);
}

#[test]
fn a_failure_shuts_navigator_down_if_it_says_so_and_success_does_not() {
    for (shutdown_on, code, ends) in [
        (ShutdownOn::Failure, 3, true),
        (ShutdownOn::Failure, 0, false),
        (ShutdownOn::Exit, 3, true),
        (ShutdownOn::Exit, 0, false),
    ] {
        let main = with(scheduled("a", 0), |spec| spec.shutdown_on = Some(shutdown_on));
        let mut stage = Stage::new();
        stage.step([wanted([main])]);
        stage.step([date(1)]);
        stage.wait(1_000);
        stage.step([date(10), started(1), exited(1, code), gone(1)]);
        assert_eq!(stage.engine.orders().closing().is_some(), ends, "{shutdown_on:?}, exit status {code}");
    }
}

#[test]
fn a_start_by_hand_runs_it_now_and_a_stop_holds_it() {
    let mut stage = dated();
    assert_eq!(stage.step([by_hand(Order::Start, "a")]), ["spawn a#1 (started by hand)"]);
    assert_eq!(Goal::Up("a".into()).progress(&stage.engine), OrderProgress::Coming);
    stage.step([started(1), exited(1, 0), gone(1)]);
    assert_eq!(Goal::Up("a".into()).progress(&stage.engine), OrderProgress::Reached);
    stage.step([by_hand(Order::Stop, "a")]);
    assert_eq!(stage.wait(60_000), NOTHING, "the date comes while it is stopped");
    assert_eq!(stage.engine.scheduled().count(), 0, "it needs no dates");
    assert_eq!(state(&stage), ProcessState::Stopped);
    assert_eq!(stage.step([by_hand(Order::Start, "a")]), ["spawn a#2 (started by hand)"]);
    assert_eq!(stage.step([started(2), exited(2, 0), gone(2)]), NOTHING, "that run made up for the date");
}

#[test]
fn a_restart_by_hand_replaces_the_run() {
    let mut stage = dated();
    stage.wait(10_000);
    stage.step([date(100), started(1)]);
    assert_eq!(stage.step([by_hand(Order::Restart, "a")]), ["stop a#1 (restarted by hand)"]);
    assert_eq!(stage.step([exited(1, 0), gone(1)]), ["spawn a#2 (restarted by hand)"]);
    assert_eq!(stage.step([started(2), exited(2, 0), gone(2)]), NOTHING);
}

#[test]
fn a_change_does_not_start_it_but_restarts_a_run() {
    let mut stage = dated();
    assert_eq!(stage.step([wanted([scheduled("a", 1)])]), NOTHING);
    assert_eq!(stage.wait(10_000), ["spawn a#1 (scheduled)"]);
    stage.step([date(20), started(1)]);
    assert_eq!(stage.step([wanted([scheduled("a", 2)])]), ["stop a#1 (args changed)"]);
    assert_eq!(stage.step([exited(1, 0), gone(1)]), ["spawn a#2 (args changed)"]);
    stage.step([started(2), exited(2, 0), gone(2)]);
    assert_eq!(stage.step([wanted([scheduled("a", 3)])]), NOTHING, "unlike a task without a schedule");
    assert_eq!((state(&stage), stage.engine.is_converged()), (ProcessState::Pending, true));
    assert_eq!(stage.wait(10_000), ["spawn a#3 (scheduled)"]);
}

#[test]
fn a_restart_that_is_called_off_is_not_made_up_for() {
    let mut stage = dated();
    stage.wait(10_000);
    stage.step([date(100), started(1)]);
    assert_eq!(stage.step([by_hand(Order::Restart, "a")]), ["stop a#1 (restarted by hand)"]);
    stage.step([wanted([with(scheduled("a", 0), |spec| spec.enabled = false)])]);
    assert_eq!(stage.step([exited(1, 0), gone(1)]), NOTHING);
    assert_eq!(stage.step([wanted([scheduled("a", 0)])]), NOTHING, "it waits for its next date");
    // What changes while it is held doesn't start it either.
    stage.step([by_hand(Order::Stop, "a")]);
    assert_eq!(stage.step([wanted([scheduled("a", 1)])]), NOTHING);
    assert_eq!(state(&stage), ProcessState::Pending);
}

#[test]
fn another_schedule_is_taken_over_in_place() {
    let daily = Schedule::Every(Duration::from_secs(7));
    let mut stage = dated();
    stage.wait(10_000);
    stage.step([date(20), started(1)]);
    let other = with(scheduled("a", 0), |spec| spec.schedule = Some(Box::new(daily.clone())));
    assert_eq!(stage.step([wanted([other.clone()])]), ["update a#1"]);
    assert_eq!(stage.step([exited(1, 0), gone(1)]), NOTHING);
    assert_eq!(stage.wait(10_000), NOTHING, "the date of the former schedule no longer counts");
    assert_eq!(stage.step([date(21)]), NOTHING, "and one that comes late is ignored");
    stage.step([date_of("a", daily, 27)]);
    assert_eq!(stage.wait(7_000), ["spawn a#2 (scheduled)"]);
    // Without a schedule it is a task like any other.
    stage.step([started(2), exited(2, 0), gone(2)]);
    assert_eq!(stage.step([wanted([with(other, |spec| spec.schedule = None)])]), NOTHING);
    assert_eq!(state(&stage), ProcessState::Completed);
}

#[test]
fn a_date_that_came_while_it_was_disabled_is_not_made_up_for() {
    let mut stage = dated();
    stage.step([wanted([with(scheduled("a", 0), |spec| spec.enabled = false)])]);
    assert_eq!(stage.wait(60_000), NOTHING);
    assert_eq!(stage.step([wanted([scheduled("a", 0)])]), NOTHING);
    assert_eq!(stage.step([date(70)]), NOTHING);
    assert_eq!(stage.wait(10_000), ["spawn a#1 (scheduled)"]);
}

#[test]
fn it_keeps_none_behind_it_in_the_list_waiting_and_waits_for_its_place_at_its_date() {
    let in_list = |spec: Spec| with(spec, |spec| spec.depends_on = None);
    let mut stage = Stage::new();
    let file = [in_list(scheduled("a", 0)), in_list(spec("b", 0))];
    assert_eq!(stage.step([wanted(file)]), ["spawn b#1 (added to file)"]);
    // At its date it comes after what is before it.
    let mut stage = Stage::new();
    assert_eq!(stage.step([wanted([in_list(spec("b", 0)), in_list(scheduled("a", 0))])]), ["spawn b#1 (added to file)"]);
    stage.step([date(1)]);
    assert_eq!(stage.wait(1_000), NOTHING);
    assert_eq!(stage.step([started(1)]), ["spawn a#2 (scheduled)"]);
}

#[test]
fn a_dependent_waits_until_it_has_completed_once() {
    let needs = |name: &str| {
        let edge = Dependency { condition: Some(Condition::Completed), ..Dependency::default() };
        with(spec(name, 0), |spec| {
            spec.depends_on.get_or_insert_default().insert("a".into(), edge);
        })
    };
    let in_list = with(spec("next", 0), |spec| spec.depends_on = None);
    let mut stage = Stage::new();
    let file = [scheduled("a", 0), needs("web"), in_list];
    assert_eq!(stage.step([wanted(file)]), ["spawn next#1 (added to file)"], "what comes after the dependent doesn't wait");
    stage.step([started(1), date(10)]);
    assert!(
        stage.waiting().contains(&"web waits for a: scheduled, and has not completed yet".to_owned()),
        "{:?}",
        stage.waiting()
    );
    assert_eq!(stage.wait(10_000), ["spawn a#2 (scheduled)"]);
    assert_eq!(stage.step([date(20), started(2), exited(2, 0), gone(2)]), ["spawn web#3 (added to file)"]);
    // A running dependent isn't touched by later runs.
    stage.step([started(3)]);
    assert_eq!(stage.wait(10_000), ["spawn a#4 (scheduled)"]);
    assert_eq!(stage.step([date(30), started(4), exited(4, 1), gone(4)]), NOTHING);
}

#[test]
fn a_date_that_was_missed_by_navigator_is_made_up_for_once_after_a_takeover() {
    let file = vec![scheduled("a", 0)];
    let former = dated();
    // It goes on to wait.
    let mut next = next_life(&former, file.clone());
    assert_eq!(next.step([wanted(file.clone())]), NOTHING);
    assert_eq!(next.wait(10_000), ["spawn a#1 (scheduled)"]);
    // The date came while no navigator was there.
    let mut next = next_life(&former, file.clone());
    next.now = Time::from_millis(60_000);
    assert_eq!(next.step([wanted(file.clone())]), ["spawn a#1 (scheduled)"]);
    assert_eq!(next.step([date(70), started(1), exited(1, 0), gone(1)]), NOTHING);
    // One that was served isn't served again.
    let mut next = next_life(&next, file.clone());
    assert_eq!(next.step([wanted(file)]), NOTHING);
}

#[test]
fn a_preview_waits_for_no_date() {
    let stage = dated();
    let file = [scheduled("a", 1), spec("b", 0)];
    let Event::Wanted(wanted) = wanted(file) else { panic!("it wants a configuration") };
    let waves = reconcile::preview::preview(&stage.engine, stage.now, wanted);
    let steps: Vec<String> = waves.iter().flatten().map(ToString::to_string).collect();
    assert_eq!(steps, ["start b (added to file)"]);
}

#[test]
fn the_plain_planner_finds_the_same() {
    let mut plain = Stage::new();
    plain.engine = plain.engine.with_plain_plans();
    let mut stage = Stage::new();
    let events = || [vec![wanted([scheduled("a", 0), spec("b", 0)])], vec![date(10), started(1)]];
    for events in events().into_iter().zip(events()) {
        assert_eq!(stage.step(events.0), plain.step(events.1));
        assert_eq!(stage.wake_at, plain.wake_at);
    }
    assert_eq!(stage.wait(10_000), ["spawn a#2 (scheduled)"]);
    assert_eq!(plain.wait(10_000), ["spawn a#2 (scheduled)"]);
}
