//! Finds the next dates of schedules by the wall clock, and gives them to the engine as times of its own clock.
//!
//! Both clocks run at one speed until the wall clock is set or the machine is suspended. Then the dates are given again.

use crate::schedule::{moment, next_date, wall_date};
use crate::sys::clock;
use jiff::Timestamp;
use reconcile::engine::Engine;
use reconcile::event::Event;
use reconcile::schedule::{NextDate, Schedule, WallDate};
use reconcile::spec::Spec;
use reconcile::time::Time;
use rustix::time::ClockId;
use std::time::Duration;

/// One moment by both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    pub(super) time: Time,
    pub(super) wall: Timestamp,
}

impl Now {
    /// A date as a time of the engine, which may have passed.
    fn time_of(self, date: WallDate) -> Time {
        self.time + moment(date).duration_since(self.wall).try_into().unwrap_or(Duration::ZERO)
    }

    fn event(self, spec: &Spec, schedule: &Schedule, date: WallDate) -> Event {
        let next = NextDate { schedule: schedule.clone(), date, at: self.time_of(date) };
        Event::NextDate { name: spec.name.clone(), next }
    }
}

/// The next dates of the tasks that have none: their schedules are new, or a start has served the last one.
pub(super) fn missing(engine: &Engine, now: impl Fn() -> Now) -> Vec<Event> {
    let missing = engine.scheduled().filter(|(spec, _, facts)| facts.and_then(|facts| facts.next_date_of(spec)).is_none());
    let events = missing.filter_map(|(spec, schedule, facts)| {
        let now = now();
        Some(now.event(spec, schedule, next_date(schedule, now.wall, facts.and_then(|facts| facts.served_date))?))
    });
    events.collect()
}

/// The dates to come, after the wall clock was set or the machine was suspended for this long. A date that was passed over is due.
pub(super) fn renewed(engine: &Engine, now: Now, suspended: Duration) -> Vec<Event> {
    let renewed = engine.scheduled().filter_map(|(spec, schedule, facts)| {
        let facts = facts?;
        let next = facts.next_date_of(spec).filter(|next| next.at > now.time)?;
        let date = match schedule {
            // The time that has passed counts, whatever the clock says.
            Schedule::Every(_) => wall_date(now.wall + next.at.since(now.time).saturating_sub(suspended)),
            Schedule::Cron { .. } if moment(next.date) <= now.wall => next.date,
            Schedule::Cron { .. } => next_date(schedule, now.wall, facts.served_date)?,
        };
        Some(now.event(spec, schedule, date))
    });
    renewed.collect()
}

/// How long the machine has been suspended since its boot.
pub(super) fn suspended_since_boot() -> Duration {
    let awake = clock::read(ClockId::Monotonic);
    clock::read(ClockId::Boottime).saturating_sub(awake)
}

#[cfg(test)]
mod tests {
    use super::*;
    use reconcile::desired::Desired;
    use reconcile::event::{Action, ExitStatus, Pid, RunId};
    use reconcile::spec::ProcessKind;

    fn now(second: u64, wall: &str) -> Now {
        Now { time: Time::from_millis(second * 1_000), wall: wall.parse().expect("it is a timestamp") }
    }

    fn scheduled(schedule: Schedule) -> Engine {
        let mut spec = Spec::new("a", "run");
        (spec.exec.kind, spec.schedule) = (ProcessKind::Task, Some(Box::new(schedule)));
        let mut engine = Engine::new();
        let desired = Desired::new(vec![spec], Duration::ZERO).expect("it is valid");
        let _outcome = engine.step(Time::ZERO, [Event::Wanted(desired)]);
        engine
    }

    fn nightly() -> Engine {
        scheduled(Schedule::Cron { expression: "0 3 * * *".into(), timezone: Some("Europe/Berlin".into()) })
    }

    /// Steps the engine; returns the starts, each of which succeeds at once.
    fn step(engine: &mut Engine, now: Now, events: Vec<Event>) -> Vec<RunId> {
        let starts = |actions: Vec<Action>| actions.into_iter().filter_map(|action| action.run());
        let runs: Vec<RunId> = starts(engine.step(now.time, events).actions).collect();
        let ends = runs.iter().flat_map(|&run| {
            let exited = Event::Exited { run, status: ExitStatus::Code(0) };
            [Event::Spawned { run, pid: Pid(1) }, exited, Event::Gone { run }]
        });
        let again = engine.step(now.time, ends.collect::<Vec<_>>());
        assert_eq!(again.actions, [], "one run makes up for all dates");
        runs
    }

    /// The next date, as seconds of the engine's clock and by the wall clock.
    fn next(engine: &Engine) -> Option<(u64, String)> {
        let (spec, _, facts) = engine.scheduled().next()?;
        let next = facts?.next_date_of(spec)?;
        Some((next.at.since_epoch().as_secs(), moment(next.date).to_string()))
    }

    #[test]
    fn a_date_is_given_once_and_again_after_it_was_served() {
        let mut engine = nightly();
        let start = now(100, "2026-11-30T01:00:00Z");
        let given = missing(&engine, || start);
        assert_eq!(given.len(), 1);
        assert_eq!(step(&mut engine, start, given).len(), 0);
        assert_eq!(next(&engine), Some((3_700, "2026-11-30T02:00:00Z".to_owned())));
        assert_eq!(missing(&engine, || start).len(), 0);
        let date = now(3_700, "2026-11-30T02:00:00Z");
        assert_eq!(step(&mut engine, date, Vec::new()), [RunId(1)]);
        let given = missing(&engine, || date);
        assert_eq!(step(&mut engine, date, given), []);
        assert_eq!(next(&engine), Some((90_100, "2026-12-01T02:00:00Z".to_owned())));
    }

    #[test]
    fn changes_of_daylight_saving_move_the_date_by_an_hour() {
        for (night, date) in [("2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z"), ("2026-10-24T12:00:00Z", "2026-10-25T02:00:00Z")]
        {
            let mut engine = nightly();
            let start = now(0, night);
            let given = missing(&engine, || start);
            step(&mut engine, start, given);
            assert_eq!(next(&engine).map(|(_, date)| date).as_deref(), Some(date), "03:00 in Berlin");
        }
    }

    #[test]
    fn a_clock_that_is_set_moves_the_date() {
        // By the former clock it is an hour until the date.
        for (wall, at, runs) in [
            ("2026-11-30T01:30:00Z", 1_900, 0), // forward, and before the date
            ("2026-11-30T00:00:00Z", 7_300, 0), // back
            ("2026-12-24T12:00:00Z", 100, 1),   // forward over many dates
            ("2020-01-01T00:00:00Z", 7_300, 0), // back by years
        ] {
            let mut engine = nightly();
            let start = now(100, "2026-11-30T01:00:00Z");
            let given = missing(&engine, || start);
            step(&mut engine, start, given);
            let set = now(100, wall);
            let given = renewed(&engine, set, Duration::ZERO);
            assert_eq!(step(&mut engine, set, given).len(), runs, "{wall}");
            if runs == 0 {
                assert_eq!(next(&engine).map(|(second, _)| second), Some(at), "{wall}");
            }
        }
    }

    #[test]
    fn a_clock_that_is_set_back_a_little_after_a_date_does_not_repeat_it() {
        let mut engine = nightly();
        let start = now(100, "2026-11-30T01:59:59Z");
        let given = missing(&engine, || start);
        step(&mut engine, start, given);
        let date = now(101, "2026-11-30T02:00:00Z");
        assert_eq!(step(&mut engine, date, Vec::new()).len(), 1);
        let given = missing(&engine, || date);
        step(&mut engine, date, given);
        let set = now(102, "2026-11-30T01:59:00Z");
        let given = renewed(&engine, set, Duration::ZERO);
        step(&mut engine, set, given);
        assert_eq!(next(&engine).map(|(_, date)| date).as_deref(), Some("2026-12-01T02:00:00Z"));
    }

    #[test]
    fn an_interval_counts_time_and_not_the_clock() {
        let mut engine = scheduled(Schedule::Every(Duration::from_hours(1)));
        let start = now(0, "2026-11-30T01:00:00Z");
        let given = missing(&engine, || start);
        step(&mut engine, start, given);
        // The clock was set by days.
        let set = now(600, "2026-12-24T12:10:00Z");
        let given = renewed(&engine, set, Duration::ZERO);
        assert_eq!(step(&mut engine, set, given), []);
        assert_eq!(next(&engine), Some((3_600, "2026-12-24T13:00:00Z".to_owned())));
        // The machine was suspended for half an hour, while the engine's clock stood still.
        let woken = now(600, "2026-12-24T12:40:00Z");
        let given = renewed(&engine, woken, Duration::from_mins(30));
        assert_eq!(step(&mut engine, woken, given), []);
        assert_eq!(next(&engine), Some((1_800, "2026-12-24T13:00:00Z".to_owned())));
        // And for a day.
        let woken = now(600, "2026-12-25T12:40:00Z");
        let given = renewed(&engine, woken, Duration::from_hours(24));
        assert_eq!(step(&mut engine, woken, given), [RunId(1)]);
    }
}
