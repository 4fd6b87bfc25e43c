//! Replicas, from the contract: a few are replaced at a time, so that enough of them serve; and if one is put back, so are all.

use crate::facts::Facts;
use crate::invariants::{Check, ensure};
use crate::places::{Set, has};
use crate::records::Run;
use crate::rules::{Moment, Rest, rest};
use crate::wishes::{MOST, Wish, name, number};
use reconcile::engine::StepOutcome;
use reconcile::event::Action;
use reconcile::spec::{OnChange, ProcessKind, Spec};
use reconcile::text::Text;
use reconcile::time::Time;
use std::sync::Arc;

impl Facts {
    /// The replicas of the same definition, itself among them.
    fn siblings(&self, process: usize) -> impl Iterator<Item = usize> + use<> {
        let siblings: Set = self.places.siblings[process];
        (0..MOST).filter(move |&other| has(siblings, other))
    }

    /// Whether each replica is stopped before it is started again, one by one.
    pub(crate) fn is_one_by_one(&self, spec: &Spec) -> bool {
        let is_without_surge = spec.replica.as_ref().is_some_and(|replica| replica.surge == 0);
        let has_siblings = || self.places.siblings[number(&spec.name)].count_ones() > 1;
        is_without_surge && spec.on_change == OnChange::Rolling && has_siblings()
    }

    /// When another replica will have served for long enough, if it stays ready; `None`: it doesn't serve.
    fn serves_at(&self, process: usize) -> Option<Time> {
        let mut runs = self.runs_of(process);
        let (run, spec) = (runs.next().filter(|run| run.undisturbed() && !run.unhealthy)?, self.spec(process)?);
        if runs.next().is_some() { None } else { run.ready.map(|ready| ready + spec.stable) }
    }

    /// The other replicas that are to run.
    fn others(&self, process: usize) -> impl Iterator<Item = usize> {
        self.siblings(process).filter(move |&other| other != process && self.wanted(other))
    }

    /// Whether every other replica has served for long enough.
    pub(crate) fn others_serve(&self, process: usize, now: Time) -> bool {
        self.others(process).all(|other| self.serves_at(other).is_some_and(|at| at <= now))
    }

    /// Whether an earlier replica has to be replaced first.
    fn has_earlier(&self, process: usize) -> bool {
        self.others(process).filter(|&other| other < process).any(|other| self.runs_of(other).any(|run| self.is_old(run)))
    }

    /// Whether a run is to be replaced.
    fn is_old(&self, run: &Run) -> bool {
        run.asked.is_some() || self.spec(run.process).is_some_and(|spec| spec.exec != run.spec.exec)
    }

    /// Whether a run that is to be replaced has to wait until its turn has come: the others serve, and those before it are done.
    pub(crate) fn waits_for_others(&self, run: &Run, spec: &Spec, now: Time) -> bool {
        let serves = run.was_ready && !run.unhealthy && !run.asked.is_some_and(|asked| asked.stop_first);
        serves && self.is_one_by_one(spec) && (!self.others_serve(run.process, now) || self.has_earlier(run.process))
    }

    /// When the turn of a run that waits for it has come, if that takes nothing but time.
    pub(crate) fn turn_at(&self, run: &Run, now: Time) -> Option<Time> {
        let spec = self.spec(run.process).filter(|_| self.is_old(run))?;
        if !self.waits_for_others(run, spec, now) || self.has_earlier(run.process) {
            return None;
        }
        let times: Option<Vec<Time>> = self.others(run.process).map(|other| self.serves_at(other)).collect();
        times?.into_iter().max()
    }

    /// Whether one more replica may be replaced by a run that is started beside the old one.
    pub(crate) fn may_be_replaced(&self, moment: &Moment, process: usize) -> bool {
        let Some(replica) = self.spec(process).and_then(|spec| spec.replica.as_ref()) else { return true };
        let is_being_replaced = |other: usize| {
            let runs = self.runs_of(other).filter(|run| !run.reported).count();
            runs > 1 || moment.current(self, other).is_some_and(|run| run.trial.is_some())
        };
        let under_way = self.siblings(process).filter(|&other| is_being_replaced(other)).count();
        self.siblings(process).count() == 1 || u32::try_from(under_way).is_ok_and(|count| count < replica.surge)
    }

    /// Whether there is room for another run beside those that there are: one for each replica, and as many more as may be replaced
    /// at once.
    pub(crate) fn has_room_beside(&self, process: usize) -> bool {
        let Some(replica) = self.spec(process).and_then(|spec| spec.replica.as_ref()) else { return true };
        let wanted: Vec<usize> = self.siblings(process).filter(|&other| self.wanted(other)).collect();
        let runs = wanted.iter().flat_map(|&other| self.runs_of(other)).filter(|run| !run.reported).count();
        runs < wanted.len() + usize::try_from(replica.surge).unwrap_or_default().max(1)
    }

    /// Remembers what replicas are wanted by right before a new wish, unless they are being replaced already.
    pub(crate) fn remember_before_roll(&mut self, wish: &Wish) {
        let is_under_way = |process: usize| {
            let is_old = |run: &Run| self.spec(process).is_some_and(|spec| spec.exec != run.spec.exec);
            let on_trial = |run: &Run| run.trial.as_ref().is_some_and(|former| former.exec != run.spec.exec);
            self.runs_of(process).any(|run| run.undisturbed() && (is_old(run) || on_trial(run)))
        };
        let remembered: [Option<Arc<Spec>>; MOST] = std::array::from_fn(|process| {
            wish.spec(process).filter(|spec| spec.replica.is_some())?;
            let spec = self.spec(process).filter(|spec| spec.replica.is_some());
            let known = self.processes[process].before_roll.clone();
            match spec {
                Some(spec) if !self.siblings(process).any(is_under_way) => Some(Arc::new(spec.clone())),
                _ => known,
            }
        });
        for (process, before_roll) in remembered.into_iter().enumerate() {
            self.processes[process].before_roll = before_roll;
        }
    }
}

/// A rolling update of replicas in a kind world.
pub(crate) struct Roll {
    replicas: Vec<usize>,
    surge: usize,
    /// How many of them were ready when it began.
    ready: usize,
    /// How many runs there were.
    runs: usize,
    /// Nothing keeps any of them from being replaced.
    is_free: bool,
    /// Those that run, and are restarted along with these replicas alone; how often each was.
    followers: Vec<(usize, usize)>,
}

impl Facts {
    /// An update of the first definition that has rolling replicas, one of which is ready.
    pub(crate) fn next_roll(&self, now: Time) -> Option<(Roll, Wish)> {
        let rolls = |spec: &Spec| spec.enabled && spec.on_change == OnChange::Rolling;
        let mut definitions = self.wish.definitions.iter().filter(|definition| definition.replicas.is_some());
        let definition = number(&definitions.find(|definition| rolls(&definition.spec))?.spec.name);
        let replicas = self.wish.meant(definition);
        let mut roll = Roll { replicas, surge: 0, ready: 0, runs: 0, is_free: false, followers: Vec::new() };
        let surge = self.in_file(roll.replicas[0]).and_then(|spec| spec.replica.as_ref()).map_or(0, |replica| replica.surge);
        (roll.ready, roll.runs) = (roll.ready_now(self), roll.runs_now(self));
        roll.surge = usize::try_from(surge).unwrap_or_default();
        let moment = Moment::of(self, now);
        let is_up_to_date = |process: usize| {
            let Some((run, spec)) = moment.current(self, process).zip(self.spec(process)) else { return false };
            spec.exec == run.spec.exec && self.has_sockets(process, spec)
        };
        let is_free = |process| is_up_to_date(process) && moment.needs_hold(self, process);
        roll.is_free = roll.ready == roll.replicas.len() && roll.replicas.iter().all(|&process| is_free(process));
        let follows = |process: usize| {
            let mut others = self.places.needs[process].iter().filter(|need| need.restart).map(|need| need.on).peekable();
            others.peek().is_some() && others.all(|on| roll.replicas.contains(&on))
        };
        let is_at_will = |spec: &Spec| spec.exec.kind == ProcessKind::Service && !self.is_one_by_one(spec);
        let is_at_will = |process| self.spec(process).is_some_and(is_at_will) && rest(self, process) == Rest::Fresh;
        let followers = (0..MOST).filter(|&process| follows(process) && is_free(process) && is_at_will(process));
        roll.followers = followers.map(|process| (process, 0)).collect();
        let wish = self.wish.with(definition, |definition| definition.spec.exec.args = vec![Text::plain("next")]);
        (roll.ready > 0 && self.closing.is_none()).then_some((roll, wish))
    }
}

impl Roll {
    fn ready_now(&self, facts: &Facts) -> usize {
        let is_ready = |run: &Run| run.undisturbed() && run.ready.is_some() && !run.unhealthy;
        self.replicas.iter().filter(|&&process| facts.runs_of(process).any(is_ready)).count()
    }

    fn runs_now(&self, facts: &Facts) -> usize {
        self.replicas.iter().flat_map(|&process| facts.runs_of(process)).count()
    }

    /// Checks what must hold all the time.
    pub(crate) fn check(&mut self, facts: &Facts, outcome: &StepOutcome) -> Check {
        let started = |process| {
            let is_start = |action: &&Action| matches!(action, Action::Spawn { spec, .. } if number(&spec.name) == process);
            outcome.actions.iter().filter(is_start).count()
        };
        self.followers.iter_mut().for_each(|(process, starts)| *starts += started(*process));
        let least = self.ready - usize::from(self.surge == 0);
        let (ready, runs) = (self.ready_now(facts), self.runs_now(facts));
        let of = name(self.replicas[0]);
        ensure(ready >= least, "enough replicas serve during an update", || format!("{ready} of {}, {of}", self.ready))?;
        let most = self.runs.max(self.replicas.len()) + self.surge;
        ensure(runs <= most, "no more replicas run than there are, and `surge`", || format!("{runs} of {most}, {of}"))
    }

    /// Checks what came of it.
    pub(crate) fn check_end(&self, facts: &Facts) -> Check {
        let is_new = |process: usize| facts.runs_of(process).all(|run| run.spec.exec.args[0].value() == "next");
        let done = self.replicas.iter().all(|&process| is_new(process));
        ensure(done || !self.is_free, "an update reaches all replicas", || name(self.replicas[0]))?;
        let often = self.followers.iter().find(|(_, starts)| self.is_free && *starts != 1);
        ensure(often.is_none(), "what follows replicas is restarted once", || format!("{often:?}"))
    }
}
