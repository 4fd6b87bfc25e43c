//! Which sockets navigator has to hold for each process, and whether a start or a restart has to wait for them.
//!
//! A process needs the sockets of its definition while it is wanted, and those of each run that goes on. So they outlive
//! restarts, crashes and waits. One that is stopped by hand, has completed or has failed needs none: its clients are refused
//! instead of waiting for nothing.

use super::disposition::{Disposition, Dispositions};
use super::progress::{RestingState, resting_state};
use super::view::{Row, View};
use super::{Plan, Step, Waiting};
use crate::backoff::{End, RestartDecision, Streak, due};
use crate::observed::{ObservedProcess, Run};
use crate::socket::{Address, HeldSockets, HoldState, Listener};
use crate::spec::Spec;
use crate::time::Time;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// Adds to the plan the steps that change which sockets navigator holds.
pub(super) fn hold(view: &View<'_>, dispositions: &Dispositions<'_>, plan: &mut Plan) {
    let (mut growing, mut shrinking) = (Vec::new(), Vec::new());
    for row in view.active().filter(|row| concerns_sockets(row)) {
        let held = row.process().and_then(|process| process.sockets.as_deref());
        let needed = needed(view, row);
        let is_held = |listener: &Listener| held.is_some_and(|held| held.listeners.contains(listener));
        match held {
            None if needed.is_empty() => {}
            Some(held) if held.listeners == needed => retry(row, dispositions.of(row), held, view.now, plan),
            _ if needed.iter().all(is_held) => shrinking.push(Step::Hold(row.name.clone(), needed)),
            _ => {
                let is_lost = |listener: &&Listener| needed.iter().all(|other| other.address != listener.address);
                let lost: Vec<Listener> = held.iter().flat_map(|held| &held.listeners).filter(is_lost).cloned().collect();
                growing.push((row.name, needed, lost));
            }
        }
    }
    // An address that moves from one process to another is held all the time: the other one gets it first.
    let gained: Vec<Address> = growing.iter().flat_map(|(_, needed, _)| needed).map(|one| one.address.clone()).collect();
    plan.steps.extend(growing.into_iter().map(|(name, mut needed, lost)| {
        needed.extend(lost.into_iter().filter(|listener| gained.contains(&listener.address)));
        Step::Hold(name.clone(), needed)
    }));
    plan.steps.extend(shrinking);
}

/// Whether a process has sockets, or its definition asks for some.
fn concerns_sockets(row: &Row<'_>) -> bool {
    let has_sockets = |spec: &Spec| !spec.exec.sockets.is_empty();
    row.entry.is_some_and(|entry| has_sockets(&entry.spec))
        || row.process().is_some_and(|process| process.sockets.is_some())
        || row.runs().iter().any(|run| has_sockets(&run.spec))
}

/// The sockets that a process needs now. Where a definition and a run have the same address, the definition counts.
fn needed(view: &View<'_>, row: &Row<'_>) -> Vec<Listener> {
    let mut needed = Vec::new();
    if view.wants(row)
        && let Some(entry) = row.entry
        && !is_over(row, &entry.spec)
    {
        needed.extend_from_slice(&entry.spec.exec.sockets);
    }
    for listener in row.runs().iter().filter(|run| run.is_undisturbed()).flat_map(|run| &run.spec.exec.sockets) {
        if needed.iter().all(|other| other.address != listener.address) {
            needed.push(listener.clone());
        }
    }
    needed
}

/// Whether a process has completed or failed, and is not started again.
fn is_over(row: &Row<'_>, wanted: &Arc<Spec>) -> bool {
    row.runs().is_empty() && matches!(resting_state(row.process(), wanted), RestingState::Completed | RestingState::Failed)
}

/// Tries again to open sockets that were refused, if a run is kept for lack of them. A start opens its sockets by itself.
fn retry(row: &Row<'_>, dispositions: &[Disposition<'_>], held: &HeldSockets, now: Time, plan: &mut Plan) {
    let is_kept = |(run, disposition): (&Run, &Disposition<'_>)| *disposition == Disposition::Keep && run.up.is_some();
    let Some(entry) = row.entry.filter(|_| row.runs().iter().zip(dispositions).any(is_kept)) else { return };
    let HoldState::Refused { why, at, count } = &held.state else { return };
    let end = End { success: false, missing: why.is_missing(), at: *at };
    let streak = Streak { length: *count, after_health: false };
    plan.wait(row.name, Waiting::Sockets(Some(why.clone())));
    match due(&entry.spec, end, streak, u64::from(*count)) {
        RestartDecision::Again(at) if now < at => plan.wake(at),
        RestartDecision::Again(_) => plan.steps.push(Step::Hold(row.name.clone(), held.listeners.clone())),
        RestartDecision::Completed | RestartDecision::Failed => {}
    }
}

/// Whether navigator holds all sockets of a definition.
pub(super) fn are_held(process: Option<&ObservedProcess>, wanted: &Spec) -> bool {
    wanted.exec.sockets.is_empty() || state_for(process, wanted) == Some(&HoldState::Held)
}

/// Whether it isn't known yet if navigator can hold the sockets of a definition. Steps of this plan may change which ones it
/// holds.
pub(super) fn are_pending(process: Option<&ObservedProcess>, wanted: &Spec, plan: &Plan) -> bool {
    let changes = || plan.steps.iter().any(|step| matches!(step, Step::Hold(name, _) if *name == wanted.name));
    let is_pending = || matches!(state_for(process, wanted), None | Some(HoldState::Pending { .. })) || changes();
    !wanted.exec.sockets.is_empty() && is_pending()
}

/// Whether there is nothing to do about the sockets of a process that runs as it is wanted.
pub(super) fn are_settled(process: &ObservedProcess, wanted: &Spec) -> bool {
    match process.sockets.as_deref() {
        None => wanted.exec.sockets.is_empty(),
        Some(held) => held.state == HoldState::Held && held.listeners == wanted.exec.sockets,
    }
}

fn state_for<'a>(process: Option<&'a ObservedProcess>, wanted: &Spec) -> Option<&'a HoldState> {
    let held = process?.sockets.as_deref()?;
    wanted.exec.sockets.iter().all(|listener| held.listeners.contains(listener)).then_some(&held.state)
}
