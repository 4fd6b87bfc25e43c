//! Rollback, from the contract: random histories in which configurations fail before they are good. The last good one comes back
//! once, the bad one is remembered until the file has another, orders by hand survive, and everything settles.
//!
//! `ROLLBACKS=n` says how many histories.

use crate::dice::Dice;
use crate::history::{History, Op};
use crate::invariants::{Check, Violation, check_speed, ensure};
use crate::wishes::{Wish, name, number};
use crate::world::World;
use reconcile::engine::{Engine, StepOutcome};
use reconcile::event::{Event, Order};
use reconcile::report::Report;
use reconcile::rollback::{Rollback, RolloutState};
use reconcile::spec::Spec;
use reconcile::text::Name;
use reconcile::time::Time;
use std::collections::BTreeMap;
use std::time::Duration;

#[test]
fn a_configuration_that_fails_is_undone_once() {
    let mut all = Figures::default();
    for seed in 0..crate::number("ROLLBACKS").unwrap_or(2_000) {
        match drive(seed) {
            Ok(figures) => all = Figures { good: all.good + figures.good, undone: all.undone + figures.undone },
            Err(violation) => {
                println!("broken: {} | seed {seed}", violation.rule);
                panic!("{}: {}", violation.rule, violation.story);
            }
        }
    }
    println!("{} configurations were good, {} were undone", all.good, all.undone);
    assert!(all.good > 100 && all.undone > 100, "they test little");
}

#[derive(Default)]
struct Figures {
    good: u64,
    undone: u64,
}

/// An engine and what its reports say.
struct Rehearsal {
    engine: Engine,
    plain: Engine,
    world: World,
    now: Time,
    wake_at: Option<Time>,
    /// What the engine goes by: that of the file, or the good one.
    file: Wish,
    good: Option<(Wish, u64)>,
    /// Since when it is on trial.
    trial: Option<(Time, Rollback)>,
    /// What was undone.
    bad: Option<Wish>,
    /// Since when everything is as wanted.
    converged: Option<Time>,
    stopped: BTreeMap<usize, Spec>,
    figures: Figures,
}

fn drive(seed: u64) -> Result<Figures, Violation> {
    let mut dice = Dice::of(&[seed, 1]);
    let settings = Rollback {
        bake: Duration::from_millis(dice.pick(&[0, 1_000, 5_000, 30_000])),
        deadline: Duration::from_millis(dice.pick(&[3_000, 60_000, 600_000])),
    };
    // The first configurations of some have no `rollback`.
    let first = dice.pick(&[0, 0, 1, 3]);
    let mut trial = Rehearsal {
        engine: Engine::new(),
        plain: Engine::new().with_plain_plans(),
        world: World::new(seed),
        now: Time::ZERO,
        wake_at: None,
        file: Wish::nothing(),
        good: None,
        trial: None,
        bad: None,
        converged: None,
        stopped: BTreeMap::new(),
        figures: Figures::default(),
    };
    let mut wishes = 0;
    for (delay, op) in &History::random(seed).ops {
        trial.pass(trial.now + Duration::from_millis(*delay))?;
        match op {
            Op::Want(wish) => {
                wishes += 1;
                let wish = Wish { rollback: (wishes > first).then_some(settings), ..wish.clone() };
                trial.want(&wish)?;
                // The same text, saved again.
                if dice.chance(30) {
                    trial.want(&wish)?;
                }
            }
            Op::Start(process) => trial.order(*process, Order::Start)?,
            Op::Stop(process) => trial.order(*process, Order::Stop)?,
            Op::Restart(process) | Op::RestartStopFirst(process) => trial.order(*process, Order::Restart)?,
            Op::Retry => trial.retry()?,
            // Bad ones are saved again and again.
            Op::Nudge | Op::Stranger(_) => {
                if let Some(bad) = trial.bad.clone() {
                    trial.want(&bad)?;
                }
            }
            Op::Echo(_) | Op::Shutdown | Op::Hurry => {}
            op => trial.world.undergo(trial.now, op),
        }
        drop(trial.step(None)?);
    }
    trial.world.turn_kind(trial.now);
    let end = trial.now + Duration::from_hours(2);
    trial.pass(end)?;
    let story = || format!("{:?}, {:?}", trial.engine.rollout(), trial.engine.waiting(trial.now));
    ensure(trial.wake_at.is_none() && trial.trial.is_none(), "what is undone settles", story)?;
    Ok(trial.figures)
}

impl Rehearsal {
    /// Lets the world go on until then.
    fn pass(&mut self, until: Time) -> Check {
        for steps in 0.. {
            let next = self.world.next().into_iter().chain(self.wake_at).min();
            let Some(at) = next.filter(|at| *at <= until) else { break };
            ensure(steps < 5_000, "what is undone settles", || format!("{:?}", self.engine.waiting(self.now)))?;
            self.now = at.max(self.now);
            drop(self.step(None)?);
        }
        self.now = until.max(self.now);
        Ok(())
    }

    /// Saves a configuration.
    fn want(&mut self, wish: &Wish) -> Check {
        self.pass(self.now)?;
        let is_known = self.bad.as_ref() == Some(wish);
        let (generation, is_same) = (self.engine.generation(), self.file == *wish);
        let was_well = self.is_well();
        let outcome = self.step(Some(Event::Wanted(wish.desired())))?;
        self.world.watch(self.now, wish);
        let says = |report: &Report| outcome.reports.contains(report);
        ensure(says(&Report::KnownBad) == is_known, "what is known to be bad is not tried again", || format!("{outcome:?}"))?;
        if is_known {
            let story = || format!("{outcome:?}");
            let is_quiet = outcome.actions.is_empty() && self.engine.generation() == generation;
            return ensure(is_quiet, "what is known to be bad is not tried again", story);
        }
        if says(&Report::Unchanged) {
            self.bad = None;
            ensure(is_same && generation > 0, "only what is the same is unchanged", || format!("{outcome:?}"))?;
            return self.note(&outcome);
        }
        // It may have failed, or be good, already.
        self.begin(wish.clone(), was_well.then_some(generation), &outcome)
    }

    /// A configuration is put on trial.
    fn begin(&mut self, wish: Wish, well: Option<u64>, outcome: &StepOutcome) -> Check {
        let former = std::mem::replace(&mut self.file, wish);
        self.lift_orders();
        let was_on_trial = self.trial.take().is_some();
        self.converged = None;
        self.bad = None;
        match self.file.rollback {
            None => self.good = None,
            Some(settings) => {
                if let (None, Some(generation), false) = (&self.good, well.filter(|generation| *generation > 0), was_on_trial) {
                    self.good = Some((former, generation));
                }
                self.trial = Some((self.now, settings));
            }
        }
        self.note(outcome)
    }

    /// Tries again what was undone.
    fn retry(&mut self) -> Check {
        let outcome = self.step(Some(Event::Order(Order::Retry)))?;
        match self.bad.take() {
            Some(bad) => self.begin(bad, None, &outcome),
            None => self.note(&outcome),
        }
    }

    fn order(&mut self, process: usize, order: fn(Name) -> Order) -> Check {
        for process in self.file.meant(process) {
            let order = order(Name::from(name(process)));
            let spec = self.file.spec(process).cloned();
            match (&order, spec) {
                (Order::Stop(_), Some(spec)) => drop(self.stopped.insert(process, spec)),
                (_, Some(_)) => drop(self.stopped.remove(&process)),
                (_, None) => {}
            }
            drop(self.step(Some(Event::Order(order)))?);
        }
        Ok(())
    }

    fn is_well(&self) -> bool {
        self.engine.statuses().iter().all(|status| status.as_wanted)
    }

    /// Steps both engines, with all news and perhaps an event whose reports its caller notes.
    fn step(&mut self, event: Option<Event>) -> Result<StepOutcome, Violation> {
        let is_of_caller = matches!(event, Some(Event::Wanted(_) | Event::Order(Order::Retry)));
        let news: Vec<Event> = self.world.news(self.now).into_iter().chain(event).collect();
        let plain = self.plain.step(self.now, news.iter().cloned());
        let outcome = self.engine.step(self.now, news);
        check_speed((&outcome, &self.engine.plan(self.now)), (&plain, &self.plain.plan(self.now)))?;
        for action in &outcome.actions {
            self.world.perform(self.now, action);
        }
        self.wake_at = outcome.wake_at;
        if !is_of_caller {
            self.note(&outcome)?;
        }
        Ok(outcome)
    }

    /// Takes what is reported of configurations, and checks what must hold after a step.
    fn note(&mut self, outcome: &StepOutcome) -> Check {
        let well_since = if self.is_well() { self.converged.or(Some(self.now)) } else { None };
        for report in &outcome.reports {
            let story = || format!("{report:?}");
            match report {
                Report::Good(generation) => {
                    let bake = self.trial.take().map(|(_, settings)| settings.bake);
                    let is_good = bake.zip(self.converged).is_some_and(|(bake, since)| self.now >= since + bake);
                    ensure(is_good, "what is good was well for long enough", story)?;
                    self.good = Some((self.file.clone(), *generation));
                    self.figures.good += 1;
                }
                Report::RolledBack { generation, to, .. } => {
                    ensure(self.trial.take().is_some(), "what is undone was on trial", story)?;
                    let expected = self.good.as_ref().map(|(_, generation)| *generation);
                    ensure(*to == expected, "the last good configuration comes back", story)?;
                    if let Some((good, at)) = &mut self.good {
                        *at = self.engine.generation();
                        ensure(*at == generation + 1, "what comes back is a generation of its own", story)?;
                        self.bad = Some(std::mem::replace(&mut self.file, good.clone()));
                        self.figures.undone += 1;
                    }
                }
                _ => {}
            }
        }
        // What is reported was decided by what was well before.
        self.converged = well_since;
        if let Some((since, settings)) = self.trial {
            let story =
                || format!("on trial since {since}, it is {}; {:?} {:?}", self.now, self.engine.rollout(), outcome.reports);
            let until = since + settings.deadline;
            let is_watched = self.now < until && self.wake_at.is_some_and(|at| at <= until);
            ensure(is_watched, "a trial has a deadline", story)?;
            let until = self.converged.map(|since| since + settings.bake).filter(|at| *at > self.now);
            ensure(until.is_none_or(|until| self.wake_at.is_some_and(|at| at <= until)), "a trial has an end", story)?;
        }
        self.check_force()?;
        self.lift_orders();
        let lost = self.stopped.keys().find(|&&process| !self.engine.orders().is_stopped(name(process)));
        ensure(lost.is_none(), "orders by hand outlive a configuration", || lost.map_or("", |&process| name(process)))
    }

    /// A changed definition lifts the order to stop.
    fn lift_orders(&mut self) {
        let file = &self.file;
        self.stopped.retain(|&process, spec| file.spec(process) == Some(spec));
    }

    /// Checks that the engine goes by what it is to go by.
    fn check_force(&self) -> Check {
        let desired = self.engine.desired();
        let is_right = |spec: &Spec| {
            let known = desired.get(&spec.name).is_some_and(|entry| *entry.spec == *spec);
            known || self.engine.put_back(&spec.name).is_some()
        };
        let all = desired.entries().len() == self.file.specs.len() && self.file.specs.iter().all(is_right);
        ensure(all, "the last good configuration is in force, or that of the file", || {
            let names: String = desired.entries().iter().map(|entry| name(number(&entry.spec.name))).collect();
            format!("{names}, {:?}", self.engine.rollout())
        })?;
        let is_said = matches!(self.engine.rollout(), Some(RolloutState::RolledBack { .. })) == self.bad.is_some();
        ensure(is_said, "what is undone is said", || format!("{:?}", self.engine.rollout()))?;
        ensure(self.engine.is_rolled_back() == self.bad.is_some(), "what is undone is said", || "otherwise".to_string())
    }
}
