//! Schedules, from the contract: random histories of tasks that run at dates. Never two runs at a time, each date is served at most
//! once, a missed one at once, and nothing else starts such a task but an operator and its restart policy.
//!
//! `SCHEDULES=n` says how many histories.

use crate::dice::Dice;
use crate::invariants::{Check, Violation, check_speed, ensure};
use reconcile::desired::Desired;
use reconcile::engine::Engine;
use reconcile::event::{Action, Event, ExitStatus, Order, Pid, RunId};
use reconcile::observed::ProcessFacts;
use reconcile::reason::Reason;
use reconcile::schedule::{NextDate, Schedule, WallDate};
use reconcile::spec::{Backoff, ProcessKind, Restart, Spec};
use reconcile::text::{Name, Text};
use reconcile::time::Time;
use std::collections::BTreeMap;
use std::time::Duration;

const NAMES: [&str; 3] = ["a", "b", "c"];

#[test]
fn dates_are_served_once() {
    let mut starts = 0;
    for seed in 0..crate::number("SCHEDULES").unwrap_or(1_000) {
        match drive(seed) {
            Ok(scheduled) => starts += scheduled,
            Err(violation) => {
                println!("broken: {} | seed {seed}", violation.rule);
                panic!("{}: {}", violation.rule, violation.story);
            }
        }
    }
    println!("{starts} scheduled starts");
    assert!(starts > 10_000, "they test little");
}

/// Tasks on a host where every program starts at once.
struct Host {
    dice: Dice,
    engine: Engine,
    /// The same without anything that makes planning fast.
    plain: Engine,
    now: Time,
    wake_at: Option<Time>,
    file: Vec<Spec>,
    /// When the runs that live end, and how.
    runs: BTreeMap<RunId, (Name, Time, i32)>,
    /// The last date that each task has served.
    served: BTreeMap<Name, WallDate>,
    scheduled: u64,
}

fn drive(seed: u64) -> Result<u64, Violation> {
    let mut dice = Dice::of(&[seed]);
    let file = NAMES.iter().map(|name| task(&mut dice, name)).collect();
    let (engine, plain) = (Engine::new(), Engine::new().with_plain_plans());
    let (runs, served) = (BTreeMap::new(), BTreeMap::new());
    let mut host = Host { dice, engine, plain, now: Time::ZERO, wake_at: None, file, runs, served, scheduled: 0 };
    host.want()?;
    for _ in 0..60 {
        host.let_time_pass()?;
        host.operate()?;
    }
    Ok(host.scheduled)
}

fn task(dice: &mut Dice, name: &str) -> Spec {
    let mut spec = Spec::new(name, "run");
    spec.exec.kind = ProcessKind::Task;
    spec.exec.args = vec![Text::plain(&dice.below(2).to_string())];
    spec.schedule = Some(Box::new(Schedule::Every(Duration::from_secs(dice.pick(&[1, 3, 20])))));
    spec.restart = dice.pick(&[Restart::Never, Restart::OnFailure]);
    (spec.max_restarts, spec.backoff) = (Some(1), Backoff::steady(Duration::from_millis(dice.pick(&[100, 5_000]))));
    spec.enabled = dice.chance(85);
    spec
}

impl Host {
    fn want(&mut self) -> Check {
        let desired = Desired::new(self.file.clone(), Desired::SHUTDOWN_TIMEOUT).expect("they are valid");
        self.step(vec![Event::Wanted(desired)])
    }

    /// An operator does something, or the file changes.
    fn operate(&mut self) -> Check {
        let place = self.dice.below(NAMES.len());
        let name = Name::from(NAMES[place]);
        match self.dice.below(9) {
            0 => self.step(vec![Event::Order(Order::Start(name))]),
            1 => self.step(vec![Event::Order(Order::Stop(name))]),
            2 => self.step(vec![Event::Order(Order::Restart(name))]),
            3 => {
                self.file[place] = task(&mut self.dice, NAMES[place]);
                self.want()
            }
            4 => {
                self.file[place].enabled = !self.file[place].enabled;
                self.want()
            }
            _ => Ok(()),
        }
    }

    /// Lets time pass, from one event to the next.
    fn let_time_pass(&mut self) -> Check {
        let until = self.now + Duration::from_millis(self.dice.pick(&[0, 700, 4_000, 30_000]));
        for round in 0.. {
            ensure(round < 1_000, "a moment comes to an end", || format!("at {}", self.now))?;
            let ends = self.runs.values().map(|(_, at, _)| *at).min();
            let Some(next) = ends.into_iter().chain(self.wake_at).min().filter(|next| *next <= until) else { break };
            self.now = next.max(self.now);
            let ended: Vec<RunId> = self.runs.iter().filter(|(_, (_, at, _))| *at <= self.now).map(|(run, _)| *run).collect();
            let events = ended.into_iter().flat_map(|run| {
                let (_, _, code) = self.runs.remove(&run).expect("it lives");
                [Event::Exited { run, status: ExitStatus::Code(code) }, Event::Gone { run }]
            });
            let events = events.collect();
            self.step(events)?;
        }
        self.now = until;
        Ok(())
    }

    /// Steps the engine until it needs no further date.
    fn step(&mut self, mut events: Vec<Event>) -> Check {
        loop {
            let plain = self.plain.step(self.now, events.iter().cloned());
            let outcome = self.engine.step(self.now, events);
            check_speed((&outcome, &self.engine.plan(self.now)), (&plain, &self.plain.plan(self.now)))?;
            self.wake_at = outcome.wake_at;
            events = Vec::new();
            for action in &outcome.actions {
                self.perform(action, &mut events)?;
            }
            // A date may be given late.
            if events.is_empty() && self.dice.chance(90) {
                events = self.dates();
            }
            if events.is_empty() {
                return self.check();
            }
        }
    }

    fn perform(&mut self, action: &Action, events: &mut Vec<Event>) -> Check {
        match action {
            Action::Spawn { run, spec, .. } => {
                let name = spec.name.clone();
                let lives = self.runs.values().any(|(other, ..)| *other == name);
                ensure(!lives, "a task never runs twice at a time", || format!("{name} at {}", self.now))?;
                ensure(self.engine.orders().let_run(spec), "a task that is held isn't started", || {
                    format!("{name} at {}", self.now)
                })?;
                let reason = self.engine.observed().run(*run).map(|run| run.reason.clone());
                let has_cause = !matches!(reason, None | Some(Reason::Added | Reason::Enabled));
                ensure(has_cause, "a scheduled task waits for its date", || format!("{name} at {}: {reason:?}", self.now))?;
                if reason == Some(Reason::Scheduled) {
                    self.scheduled += 1;
                    let served = self.engine.observed().processes().get(&name).and_then(|process| process.served_date);
                    let former = served.and_then(|served| self.served.insert(name.clone(), served));
                    let is_new = served.is_some() && former < served;
                    ensure(is_new, "each date is served once", || format!("{name} at {}: {former:?}, {served:?}", self.now))?;
                }
                let facts = self.engine.observed().processes().get(&name);
                let left = facts.and_then(|facts| facts.next_date_of(spec)).filter(|next| next.at <= self.now);
                ensure(left.is_none(), "a start serves the date that has come", || format!("{name} at {}", self.now))?;
                let (after, code) = (self.dice.pick(&[0, 400, 2_500, 9_000]), self.dice.pick(&[0, 0, 1]));
                self.runs.insert(*run, (name, self.now + Duration::from_millis(after), code));
                events.push(Event::Spawned { run: *run, pid: Pid(1) });
            }
            Action::Stop { run, .. } | Action::Kill { run } => {
                let end = self.now + Duration::from_millis(self.dice.pick(&[0, 300]));
                if let Some((_, at, _)) = self.runs.get_mut(run) {
                    *at = end;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The next dates of the tasks that have none: whole intervals since the beginning.
    fn dates(&self) -> Vec<Event> {
        let next = |(spec, schedule, facts): (&_, &Schedule, Option<&ProcessFacts>)| {
            let spec: &std::sync::Arc<Spec> = spec;
            if facts.is_some_and(|facts| facts.next_date_of(spec).is_some()) {
                return None;
            }
            let Schedule::Every(interval) = schedule else { return None };
            let passed = self.now.since_epoch().as_nanos() / interval.as_nanos() + 1;
            let at = Time::ZERO + *interval * u32::try_from(passed).expect("histories are short");
            let date = WallDate(i64::try_from(at.since_epoch().as_millis()).expect("histories are short"));
            Some(Event::NextDate { name: spec.name.clone(), next: NextDate { schedule: schedule.clone(), date, at } })
        };
        self.engine.scheduled().filter_map(next).collect()
    }

    fn check(&self) -> Check {
        for (spec, _, facts) in self.engine.scheduled() {
            let (name, Some(facts)) = (&spec.name, facts) else { continue };
            let story = || format!("{name} at {}: wakes at {:?}, {facts:?}", self.now, self.wake_at);
            // The next start of one that is to be started anyway serves its date.
            if let Some(next) = facts.next_date_of(spec).filter(|_| facts.runs.is_empty() && !is_called(facts)) {
                ensure(next.at > self.now, "a date that has come is served at once", story)?;
                ensure(self.wake_at.is_some_and(|at| at <= next.at), "a date wakes the engine", story)?;
            }
            if let Some(served) = facts.served_date {
                let is_past = Time::from_millis(u64::try_from(served.0).unwrap_or_default()) <= self.now;
                ensure(is_past, "no date is served before it has come", story)?;
            }
        }
        let idle = self.runs.is_empty() && self.engine.statuses().iter().all(|status| status.failures == 0);
        ensure(!idle || self.engine.is_converged(), "tasks that wait for their dates count as converged", || {
            format!("at {}", self.now)
        })
    }
}

/// Whether a task is to be started as soon as possible, and waits for its place in the list.
fn is_called(facts: &ProcessFacts) -> bool {
    matches!(&facts.cue, Some(Reason::Scheduled | Reason::StartedByHand)) || facts.cue.as_ref().is_some_and(Reason::replaces)
}
