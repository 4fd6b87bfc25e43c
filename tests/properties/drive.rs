//! Drives an engine through a history in virtual time: hostile while the history lasts, kind afterwards.
//!
//! Time jumps to whatever comes first: the next operation, the world's next event, or the time the engine asked for.

use crate::dice::Dice;
use crate::facts::Facts;
use crate::history::{History, Op};
use crate::invariants::{Check, Violation, check_action, check_report, check_settled, check_step, ensure};
use crate::invariants::{check_speed, check_update, check_updates};
use crate::news::stranger;
use crate::previews::check_previews;
use crate::rules::Free;
use crate::sockets::check_moves;
use crate::standings::check_standings;
use crate::takeover::check_takeover;
use crate::trace::Trace;
use crate::wishes::{DEFINITIONS, MOST, Wish, name};
use crate::world::World;
use reconcile::engine::{Engine, StepOutcome};
use reconcile::event::{Action, Event, Order};
use reconcile::text::Name;
use reconcile::time::Time;
use std::collections::VecDeque;
use std::time::Duration;

/// Drives an engine through a history.
///
/// # Errors
/// The first invariant that doesn't hold.
pub(crate) fn drive(history: &History, trace: &mut Trace) -> Result<Figures, Violation> {
    let new = || if history.seed.is_multiple_of(2) { Engine::new().with_ordered_execs() } else { Engine::new() };
    let mut trial = Trial {
        engine: new(),
        plain: new().with_plain_plans(),
        facts: Facts::new(),
        world: World::new(history.seed),
        now: Time::ZERO,
        wake_at: None,
        figures: Figures::default(),
        trace,
    };
    trial.hostile(history)?;
    trial.kind(history.seed)?;
    Ok(trial.figures)
}

/// What a history came to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) steps: u64,
    pub(crate) spawns: u64,
    pub(crate) kills: u64,
    pub(crate) virtual_time: Duration,
}

impl std::ops::AddAssign for Figures {
    fn add_assign(&mut self, other: Figures) {
        self.steps += other.steps;
        self.spawns += other.spawns;
        self.kills += other.kills;
        self.virtual_time += other.virtual_time;
    }
}

struct Trial<'t> {
    engine: Engine,
    /// The same without anything that makes planning fast.
    plain: Engine,
    facts: Facts,
    world: World,
    now: Time,
    wake_at: Option<Time>,
    figures: Figures,
    trace: &'t mut Trace,
}

/// News for the engine, with the wish that it came from, if it is one.
type Item = (Event, Option<Wish>);

impl Trial<'_> {
    fn hostile(&mut self, history: &History) -> Check {
        let mut ops: VecDeque<(Time, &Op)> = VecDeque::new();
        let mut at = Time::ZERO;
        for (delay, op) in &history.ops {
            at = at + Duration::from_millis(*delay);
            ops.push_back((at, op));
        }
        while let Some((at, _)) = ops.front() {
            let next = [Some(*at), self.world.next(), self.wake_at].into_iter().flatten().min();
            self.now = next.unwrap_or(*at).max(self.now);
            let mut batch: Vec<Item> = self.world.news(self.now).into_iter().map(|event| (event, None)).collect();
            while let Some((at, op)) = ops.front()
                && *at <= self.now
            {
                self.perform(op, &mut batch)?;
                ops.pop_front();
            }
            // What a crash by an operation told at once.
            batch.extend(self.world.news(self.now).into_iter().map(|event| (event, None)));
            drop(self.step(batch)?);
        }
        Ok(())
    }

    fn perform(&mut self, op: &Op, batch: &mut Vec<Item>) -> Check {
        self.trace.op(self.now, op);
        let event = match op {
            Op::Want(wish) => {
                batch.push((Event::Wanted(wish.desired()), Some(wish.clone())));
                self.world.watch(self.now, wish);
                return Ok(());
            }
            Op::Start(process) | Op::Stop(process) | Op::Restart(process) | Op::RestartStopFirst(process) => {
                let order = match op {
                    Op::Start(_) => Order::Start,
                    Op::Stop(_) => Order::Stop,
                    Op::Restart(_) => Order::Restart,
                    _ => Order::RestartStopFirst,
                };
                let meant = self.facts.wish.meant(*process).into_iter();
                batch.extend(meant.map(|process| (Event::Order(order(Name::from(name(process)))), None)));
                return Ok(());
            }
            Op::Retry => Event::Order(Order::Retry),
            Op::Shutdown => Event::Order(Order::Shutdown),
            Op::Hurry => Event::Order(Order::Hurry),
            Op::Crash(_) | Op::Lapse(_) | Op::Recover(_) | Op::Sicken(_) | Op::Write(..) | Op::Nudge => {
                self.world.undergo(self.now, op);
                return Ok(());
            }
            Op::Echo(which) => match self.world.echo(*which) {
                Some(event) => return self.repeat(event, batch),
                None => return Ok(()),
            },
            Op::Stranger(which) => return self.repeat(stranger(*which), batch),
        };
        batch.push((event, None));
        Ok(())
    }

    /// News that came before, or of runs that nobody knows, must not matter.
    fn repeat(&mut self, event: Event, batch: &mut Vec<Item>) -> Check {
        drop(self.step(std::mem::take(batch))?);
        let story = format!("{event:?}");
        let known = self.facts.clone();
        let outcome = self.step(vec![(event, None)])?;
        let quiet = outcome.actions.is_empty() && outcome.reports.is_empty();
        ensure(quiet || self.facts.differs(&known), "news without news changes nothing", || format!("{story}: {outcome:?}"))
    }

    fn step(&mut self, batch: Vec<Item>) -> Result<StepOutcome, Violation> {
        let mut news = Vec::with_capacity(batch.len());
        for (event, wish) in batch {
            self.trace.news(self.now, &event, &self.facts);
            match (&event, &wish) {
                (_, Some(wish)) => self.facts.want(wish),
                (Event::Order(order), _) => self.facts.order(self.now, order),
                _ => self.facts.news(self.now, &event),
            }
            news.push(event);
        }
        let plain = self.plain.step(self.now, news.iter().cloned());
        let outcome = self.engine.step(self.now, news);
        self.figures.steps += 1;
        let after = self.engine.plan(self.now);
        check_speed((&outcome, &after), (&plain, &self.plain.plan(self.now)))?;
        self.trace.outcome(self.now, &outcome, &after.waiting, &self.facts);
        for report in &outcome.reports {
            check_report(&self.facts, report)?;
            self.facts.report(report);
        }
        check_updates(&outcome)?;
        // What is taken over in place counts before anything is decided by it. What only follows from a put-back comes in its turn.
        let (updates, actions): (Vec<&Action>, Vec<&Action>) = outcome
            .actions
            .iter()
            .partition(|action| matches!(action, Action::Update { .. }) && check_update(&self.facts, action).is_ok());
        for action in updates {
            let _ = self.facts.act(self.now, action, None, (false, false));
            self.world.perform(self.now, action);
        }
        check_moves(&self.facts, &outcome.actions)?;
        let mut moment = self.facts.judged(self.now, &[]);
        let delays = self.facts.delays();
        self.facts.count_delays(&moment);
        if !actions.is_empty() {
            let mut before = Free::at(&self.facts, &moment);
            for action in actions {
                let why = check_action(&self.facts, &moment, &before, action)?;
                let reason = matches!(action, Action::Spawn { .. }).then(|| self.engine.observed().run(action.run()?)).flatten();
                let reason = reason.map(|run| &run.reason);
                let said = (
                    reason.is_some_and(reconcile::reason::Reason::replaces),
                    matches!(reason, Some(reconcile::reason::Reason::Watched(_))),
                );
                let is_put_back = self.facts.act(self.now, action, why, said);
                self.world.perform(self.now, action);
                self.count(action)?;
                if is_put_back {
                    // All is decided anew: nothing is forgotten because of what failed, and no run had to go for it.
                    self.facts.keep_delays(&delays);
                    moment = self.facts.judged(self.now, &[]);
                    before = Free::at(&self.facts, &moment);
                } else {
                    moment = self.facts.judged(self.now, &before.going);
                }
            }
            self.facts.count_delays(&moment);
        }
        (0..MOST).for_each(|process| self.facts.prove(self.now, process));
        check_step(&self.facts, &moment, &self.engine, &outcome, &after)?;
        if self.figures.steps.is_multiple_of(4) {
            check_standings(&self.facts, self.now, &self.engine)?;
            check_takeover(&self.engine, self.now, &self.facts.wish)?;
            let again = self.engine.step(self.now, []);
            let quiet = again.actions.is_empty() && again.reports.is_empty();
            ensure(quiet && again.wake_at == outcome.wake_at, "planning again right away yields nothing", || {
                format!("{again:?}")
            })?;
        }
        self.wake_at = outcome.wake_at;
        Ok(outcome)
    }

    fn count(&mut self, action: &Action) -> Check {
        match action {
            Action::Spawn { spec, .. } => {
                self.figures.spawns += 1;
                let living = self.world.living(crate::wishes::number(&spec.name));
                ensure(living <= 2, "at most one run of a name", || format!("{living} trees of {} live", spec.name))
            }
            Action::Kill { .. } => {
                self.figures.kills += 1;
                Ok(())
            }
            Action::Hold { .. }
            | Action::Drain { .. }
            | Action::Stop { .. }
            | Action::StopRest { .. }
            | Action::Update { .. }
            | Action::Reload { .. } => Ok(()),
        }
    }

    /// Lets a kind world take its course from these news on; `check` is what must hold after each step.
    fn settle(&mut self, news: Vec<Item>, mut check: impl FnMut(&Facts, &StepOutcome) -> Check) -> Check {
        let bound = self.now + self.facts.patience();
        let most = self.figures.steps + 100 * u64::try_from(MOST).unwrap_or(0);
        let mut outcome = self.step(news)?;
        check(&self.facts, &outcome)?;
        while let Some(at) = [self.world.next(), self.wake_at].into_iter().flatten().min() {
            self.now = at.max(self.now);
            let story = || format!("{} steps, now at {}: {:?}", self.figures.steps, self.now, self.engine.waiting(self.now));
            ensure(self.now <= bound && self.figures.steps < most, "a kind world settles in time", story)?;
            let batch = self.world.news(self.now).into_iter().map(|event| (event, None)).collect();
            outcome = self.step(batch)?;
            check(&self.facts, &outcome)?;
        }
        check_settled(&self.facts, self.now, &self.engine, &outcome)?;
        check_standings(&self.facts, self.now, &self.engine)
    }

    /// Changes the program of some replicas, which is well.
    fn roll(&mut self) -> Check {
        let Some((mut roll, wish)) = self.facts.next_roll(self.now) else { return Ok(()) };
        self.trace.op(self.now, &Op::Want(wish.clone()));
        self.settle(vec![(Event::Wanted(wish.desired()), Some(wish))], |facts, outcome| roll.check(facts, outcome))?;
        roll.check_end(&self.facts)
    }

    fn kind(&mut self, seed: u64) -> Check {
        self.trace.kind(self.now);
        self.world.turn_kind(self.now);
        self.settle(Vec::new(), |_, _| Ok(()))?;
        self.roll()?;
        self.figures.virtual_time = self.now.since_epoch();
        if self.facts.closing.is_none() {
            let mut dice = Dice::of(&[seed]);
            let next = self.facts.wish.changed(&mut dice, DEFINITIONS.min(self.facts.wish.definitions.len() + 2));
            check_previews(&self.engine, self.now, &next, &mut dice)?;
        }
        for later in [1, 3_600] {
            self.now = self.now + Duration::from_secs(later);
            let outcome = self.step(Vec::new())?;
            let quiet = outcome.actions.is_empty() && outcome.reports.is_empty();
            ensure(quiet, "what has settled stays", || format!("{outcome:?}"))?;
        }
        Ok(())
    }
}
