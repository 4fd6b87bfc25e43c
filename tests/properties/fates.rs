//! What is to become of each run because of its own definition and facts.

use crate::facts::Facts;
use crate::records::Run;
use crate::rules::{Rest, Why, has_missed, rest, slowed_down};
use reconcile::spec::{OnChange, OnWatch, Spec};
use reconcile::time::Time;

/// What is to become of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Stay,
    /// It serves until another one has taken its place.
    Outlive,
    /// The same from now on, for this reason.
    Roll(Why),
    Go(Why),
    Leaving,
}

/// What a run's own definition and its process's orders make of it.
pub(crate) fn own_fate(facts: &Facts, run: &Run, now: Time) -> Fate {
    if !run.undisturbed() {
        return Fate::Leaving;
    }
    if facts.closing.is_some() {
        return Fate::Go(Why::Closing);
    }
    let Some(spec) = facts.spec(run.process) else { return Fate::Go(Why::Removed) };
    if !facts.enabled(run.process) && facts.processes[run.process].stopped.is_none() {
        return Fate::Go(Why::Disabled);
    }
    if facts.processes[run.process].stopped.is_some() {
        return Fate::Go(Why::ByHand);
    }
    let is_old = run.asked.is_some() || run.spec.exec != spec.exec;
    if is_old && facts.waits_for_others(run, spec, now) && !is_replaced(facts, run, spec, now) {
        return health(run, now);
    }
    if let Some(asked) = run.asked {
        let goes_on = can_roll(run, spec) && !is_replaced(facts, run, spec, now);
        return if goes_on { Fate::Outlive } else { Fate::Go(asked.why) };
    }
    let obsolete = run.spec.exec != spec.exec;
    if let Some(fate) = obsolete_fate(facts, run, spec, now).filter(|_| obsolete) {
        return fate;
    }
    let missed = spec.on_watch == OnWatch::Restart && has_missed(facts, run.process, run.read.as_ref(), spec);
    match health(run, now) {
        Fate::Stay if missed && !obsolete && slowed_down(facts, run, now).is_none() => roll_or_go(facts, run, spec, Why::Watched),
        fate => fate,
    }
}

/// What a run's own failure makes of it.
fn health(run: &Run, now: Time) -> Fate {
    // One on trial has to be ready in the end; for any other it is enough that it was.
    let in_time = if run.trial.is_some() { run.ready.is_some() } else { run.was_ready };
    match run.up {
        _ if run.unhealthy => Fate::Go(Why::Unhealthy),
        Some(up) if !in_time && now >= up + run.spec.ready_timing.deadline => Fate::Go(Why::Unready),
        _ => Fate::Stay,
    }
}

/// A run that is to be replaced although its definition is in force.
pub(crate) fn roll_or_go(facts: &Facts, run: &Run, spec: &Spec, why: Why) -> Fate {
    if can_roll(run, spec) || facts.is_one_by_one(spec) { Fate::Roll(why) } else { Fate::Go(why) }
}

/// Whether a run can serve until it is replaced: by its definition, and because it does serve.
fn can_roll(run: &Run, spec: &Spec) -> bool {
    let stop_first = run.asked.is_some_and(|asked| asked.stop_first);
    let starts_beside = spec.replica.as_ref().is_none_or(|replica| replica.surge > 0);
    spec.on_change == OnChange::Rolling && starts_beside && !stop_first && run.was_ready && !run.unhealthy
}

/// What is to become of a run with an identity that is no longer wanted; `None`: as if nothing had changed.
fn obsolete_fate(facts: &Facts, run: &Run, spec: &Spec, now: Time) -> Option<Fate> {
    let well = facts.runs_of(run.process).filter(|other| other.undisturbed() && !other.unhealthy);
    let is_right_there = { well }.any(|other| other.spec.exec == spec.exec);
    if is_replaced(facts, run, spec, now) {
        return Some(Fate::Go(Why::Changed));
    }
    match spec.on_change {
        // Where what is wanted is there already, nothing is kept instead of it; it may serve until that does.
        OnChange::Keep if !is_right_there => None,
        OnChange::Keep | OnChange::Rolling if run.was_ready && !run.unhealthy && !facts.is_one_by_one(spec) => {
            Some(Fate::Outlive)
        }
        // Nothing is given up for a definition that can't have its sockets.
        OnChange::Restart | OnChange::Rolling if !facts.has_sockets(run.process, spec) => None,
        OnChange::Keep | OnChange::Rolling | OnChange::Restart => Some(Fate::Go(Why::Changed)),
    }
}

/// Whether a run that is to be replaced is no longer needed: what is wanted has passed its trial, or a better one of those that
/// are to be replaced is there, or there is nothing left to do.
///
/// Of those that were ready, one that is ready is better; then one that isn't on trial; then a newer one.
fn is_replaced(facts: &Facts, run: &Run, spec: &Spec, now: Time) -> bool {
    let well = facts.runs_of(run.process).filter(|other| other.undisturbed() && !other.unhealthy);
    let is_old = |other: &Run| other.asked.is_some() || other.spec.exec != spec.exec;
    // One that has passed its trial and lapsed since has to stay ready once more.
    let is_steady = |other: &Run| if spec.on_change == OnChange::Rolling { other.steady(now) } else { other.ready.is_some() };
    let has_heir = well.clone().any(|other| !is_old(other) && is_steady(other) && other.trial.is_none());
    let serving = well.filter(|other| is_old(other) && other.was_ready);
    let best = serving.max_by_key(|other| (other.ready.is_some(), other.trial.is_none(), other.id));
    has_heir || best.is_some_and(|best| best.id != run.id) || rest(facts, run.process) == Rest::Completed
}
