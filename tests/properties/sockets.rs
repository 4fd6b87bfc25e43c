//! Held sockets, from the contract: which ones each process needs, which are held, and what waits for them.

use crate::facts::Facts;
use crate::fates::Fate;
use crate::invariants::{Check, ensure};
use crate::rules::{Moment, Rest, again, rest};
use crate::wishes::{MOST, name, number};
use reconcile::event::Action;
use reconcile::socket::Listener;
use reconcile::spec::Spec;
use reconcile::time::Time;

/// The sockets that are to be held for a process.
#[derive(Clone, Debug)]
pub(crate) struct Sockets {
    pub(crate) listeners: Vec<Listener>,
    pub(crate) state: State,
    /// How often in a row they were refused.
    pub(crate) refusals: u32,
}

/// What is known of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// There is no answer yet.
    Asked,
    Held,
    /// One of them couldn't be had at this time.
    Refused(Time),
}

impl Facts {
    /// Takes that exactly these are to be held.
    pub(crate) fn hold(&mut self, process: usize, listeners: &[Listener]) {
        let former = self.processes[process].sockets.take();
        // What is held stays so when others are closed.
        let has = |former: &Sockets| listeners.iter().all(|listener| former.listeners.contains(listener));
        let stays = former.as_ref().is_some_and(|former| former.state == State::Held && has(former));
        let refusals = former.filter(|former| former.listeners == listeners).map_or(0, |former| former.refusals);
        let state = if stays { State::Held } else { State::Asked };
        let sockets = Sockets { listeners: listeners.to_vec(), state, refusals };
        self.processes[process].sockets = Some(sockets).filter(|sockets| !sockets.listeners.is_empty());
    }

    /// Takes an answer, unless it is about others, or came before.
    pub(crate) fn held(&mut self, now: Time, process: usize, listeners: &[Listener], refused: bool) {
        let Some(sockets) = &mut self.processes[process].sockets else { return };
        if sockets.listeners != listeners || sockets.state != State::Asked {
            return;
        }
        sockets.refusals = if refused { sockets.refusals + 1 } else { 0 };
        sockets.state = if refused { State::Refused(now) } else { State::Held };
    }

    /// A program that runs has all of its sockets.
    pub(crate) fn had_by_start(&mut self, process: usize, spec: &Spec) {
        if let Some(sockets) = &mut self.processes[process].sockets
            && sockets.listeners == spec.exec.sockets
        {
            (sockets.state, sockets.refusals) = (State::Held, 0);
        }
    }

    /// What is known of the sockets of a definition, if all of them are among those that are to be held.
    fn state_of(&self, process: usize, spec: &Spec) -> Option<State> {
        let sockets = self.processes[process].sockets.as_ref()?;
        spec.exec.sockets.iter().all(|listener| sockets.listeners.contains(listener)).then_some(sockets.state)
    }

    /// Whether all sockets of a definition are held.
    pub(crate) fn has_sockets(&self, process: usize, spec: &Spec) -> bool {
        spec.exec.sockets.is_empty() || self.state_of(process, spec) == Some(State::Held)
    }

    /// Whether a definition may be started as far as its sockets are concerned: they are held, or were refused, which the start
    /// then meets with itself.
    pub(crate) fn may_start_with_sockets(&self, process: usize, spec: &Spec) -> bool {
        let known = matches!(self.state_of(process, spec), Some(State::Held | State::Refused(_)));
        spec.exec.sockets.is_empty() || known
    }

    /// The sockets that a process needs: those of what is wanted, unless it is over, and those of all that goes on.
    fn needed(&self, process: usize) -> Vec<Listener> {
        let is_over = self.runs_of(process).next().is_none() && matches!(rest(self, process), Rest::Completed | Rest::Failed);
        let wanted = self.spec(process).filter(|_| self.wanted(process) && !is_over);
        let mut needed = wanted.map(|spec| spec.exec.sockets.clone()).unwrap_or_default();
        for listener in self.runs_of(process).filter(|run| run.undisturbed()).flat_map(|run| &run.spec.exec.sockets) {
            if needed.iter().all(|known| known.address != listener.address) {
                needed.push(listener.clone());
            }
        }
        needed
    }

    /// Between these moments, sockets that were refused are asked for again, if something goes on until they are had. A start tries that by itself.
    fn asked_again(&self, moment: &Moment, process: usize) -> Rest {
        let runs = self.runs_of(process).any(|run| run.up.is_some() && moment.fate(self, run) == Fate::Stay);
        let sockets = self.processes[process].sockets.as_ref().filter(|_| runs);
        match sockets.zip(self.spec(process)) {
            Some((Sockets { state: State::Refused(at), refusals, .. }, spec)) => {
                again(spec, (false, false), (*refusals, false), *at)
            }
            _ => Rest::Fresh,
        }
    }
}

/// Checks that sockets are asked for when that is due.
pub(crate) fn check_hold(facts: &Facts, moment: &Moment, process: usize, listeners: &[Listener]) -> Check {
    let story = || format!("{} gets {listeners:?}", name(process));
    let is_repeated = facts.processes[process].sockets.as_ref().is_some_and(|sockets| sockets.listeners == listeners);
    let is_due = matches!(facts.asked_again(moment, process), Rest::Again(least, _) if moment.now() >= least);
    ensure(!is_repeated || is_due, "sockets are asked for again when it is time", story)?;
    let knows = facts.processes[process].sockets.is_some() || !listeners.is_empty();
    ensure(knows, "nothing is closed where nothing is held", story)
}

/// Checks that what is held is what is needed, and that it will be asked for again what was refused.
pub(crate) fn check_held(facts: &Facts, moment: &Moment, wake_at: Option<Time>) -> Check {
    for process in 0..MOST {
        let held = facts.processes[process].sockets.as_ref().map(|sockets| sockets.listeners.clone()).unwrap_or_default();
        let needed = facts.needed(process);
        let is_right = held.len() == needed.len() && needed.iter().all(|listener| held.contains(listener));
        ensure(is_right, "the sockets that are held are those that are needed", || {
            format!("{} needs {needed:?}, and has {held:?}", name(process))
        })?;
        if let Rest::Again(_, most) = facts.asked_again(moment, process) {
            let in_time = moment.now() < most && wake_at.is_some_and(|at| at <= most);
            ensure(in_time, "refused sockets are asked for again", || format!("{} at {most}, not {wake_at:?}", name(process)))?;
        }
    }
    Ok(())
}

/// Checks that an address that is held before and after these actions, by whichever process, is held all the time.
pub(crate) fn check_moves(facts: &Facts, actions: &[Action]) -> Check {
    let mut table: Vec<Vec<&Listener>> = (0..MOST)
        .map(|process| facts.processes[process].sockets.iter().flat_map(|sockets| &sockets.listeners).collect())
        .collect();
    let has = |table: &[Vec<&Listener>], one: &Listener| table.iter().flatten().any(|other| other.address == one.address);
    let mut holds = actions.iter().filter_map(|action| match action {
        Action::Hold { name, listeners } => Some((number(name), listeners)),
        _ => None,
    });
    let mut dropped: Vec<Listener> = Vec::new();
    holds.try_for_each(|(process, listeners)| {
        let former = std::mem::replace(&mut table[process], listeners.iter().collect());
        dropped.extend(former.into_iter().filter(|one| !has(&table, one)).cloned());
        let is_back = dropped.iter().find(|one| has(&table, one));
        ensure(is_back.is_none(), "an address that moves is held all the time", || format!("{is_back:?}"))
    })
}
