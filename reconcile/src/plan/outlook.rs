//! How far each wanted process has come, and whether more is to be expected: the ground that start gates stand on.

use super::{Block, Fate, Fates, Quiet, View};
use crate::backoff::{Due, due};
use crate::desired::{Entry, Need};
use crate::event::Content;
use crate::observed::{Past, Process, Run};
use crate::reason::Reason;
use crate::spec::{Condition, Kind, OnWatch, Spec, Tier};
use crate::time::Time;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

/// How far a wanted process has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outlook {
    /// It is not to run.
    Out,
    /// It has been started, or has failed to be: its place in the list has been taken.
    Through,
    /// It has not been started, and will be without anybody's help.
    Coming,
    /// It has not been started, and waits for something that doesn't come by itself.
    Stuck,
}

/// What is due to a process of which nothing runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// It has not been tried since it was wanted like this.
    Fresh,
    /// It did what it was to do.
    Completed,
    /// It failed and is left alone.
    Failed,
    /// It is started again at this time.
    Again(Time),
}

/// The outlook of every wanted process, by its number, and who holds up those that come after others by order alone.
pub(super) struct Outlooks {
    outlook: Vec<Outlook>,
    /// For each: the process that those after it, by list or by name, have to wait for.
    held_by: Vec<Option<usize>>,
    /// The managed process that applications have to wait for.
    pub(super) managed_held_by: Option<usize>,
    /// Of those who stand in line, the ones who have nobody before them in the list, or may be next.
    pub(super) first_in_line: Vec<usize>,
}

impl Outlooks {
    /// The process that order alone makes an entry wait for.
    ///
    /// By the list, that is whoever is on its way before it. By name, what serves already is enough, unless something
    /// below that is being replaced as well: then they come back in order.
    pub(super) fn before(&self, view: &View<'_>, entry: &Entry) -> Option<usize> {
        let named = || entry.needs.iter().filter_map(|need| self.held_by[need.on]).find(|&on| is_returning(view, on));
        self.listed_before(entry).or_else(named)
    }

    fn listed_before(&self, entry: &Entry) -> Option<usize> {
        entry.after.and_then(|on| self.held_by[on])
    }

    /// The process that a dependency which is order alone makes its dependents wait for.
    pub(super) fn order_alone(&self, on: usize) -> Option<usize> {
        self.held_by[on]
    }
}

pub(super) fn outlooks(view: &View<'_>, fates: &Fates<'_>) -> Outlooks {
    let wanted = view.desired.entries().len();
    let mut all = Outlooks {
        outlook: vec![Outlook::Out; wanted],
        held_by: vec![None; wanted],
        managed_held_by: None,
        first_in_line: Vec::new(),
    };
    for &index in view.desired.order() {
        let outlook = outlook(view, fates, &all, index);
        let entry = &view.desired.entries()[index];
        all.outlook[index] = outlook;
        all.held_by[index] = match outlook {
            Outlook::Coming => Some(index),
            // What is there already doesn't part those before it from those after it.
            Outlook::Through => all.before(view, entry),
            // Order alone never blocks: those after it wait for what it would have waited for in the list.
            Outlook::Out | Outlook::Stuck => all.listed_before(entry),
        };
        if outlook == Outlook::Coming {
            if entry.tier == Tier::Managed {
                all.managed_held_by.get_or_insert(index);
            }
            if view.rows()[index].quiet() == Some(Quiet::InLine)
                && (all.listed_before(entry).is_none() || exec_before(view, fates, entry).is_some())
            {
                all.first_in_line.push(index);
            }
        }
    }
    all
}

/// The run of the one right before an entry in the list, if its exec is under way on a host that keeps the order of execs.
pub(super) fn exec_before<'a>(view: &View<'a>, fates: &Fates<'_>, entry: &Entry) -> Option<&'a Run> {
    let before = entry.after.filter(|&before| view.orders_execs && view.rows()[before].quiet().is_none())?;
    current(view, fates, before).filter(|run| run.is_under_way())
}

fn outlook(view: &View<'_>, fates: &Fates<'_>, all: &Outlooks, index: usize) -> Outlook {
    let row = &view.rows()[index];
    match row.quiet() {
        Some(Quiet::InLine) => return Outlook::Coming,
        Some(Quiet::Settled) if fates.are_settled(row) => return Outlook::Through,
        Some(Quiet::AtRest | Quiet::Held) => return Outlook::Out,
        None if !view.wants(row) => return Outlook::Out,
        Some(Quiet::Settled) | None => {}
    }
    if let Some(run) = current(view, fates, index) {
        return if run.up.is_some() { Outlook::Through } else { Outlook::Coming };
    }
    if is_leaving(view, fates, index) {
        // Replaced on purpose, it comes back in its place; ended or failed by itself, it has had its place.
        let has_failed = |fate: &Fate<'_>| matches!(fate, Fate::Go(why) if why.is_failure());
        let failed = |(run, fate): (&Run, &Fate<'_>)| run.ends_by_itself() || has_failed(fate);
        let by_itself = row.runs().iter().zip(fates.of(row)).all(failed);
        return if by_itself { Outlook::Through } else { Outlook::Coming };
    }
    match rest(view, index) {
        Rest::Completed | Rest::Failed | Rest::Again(_) => Outlook::Through,
        Rest::Fresh => {
            let survives = row.runs().iter().any(|run| run.reported);
            let stuck = survives
                || view.desired.entries()[index]
                    .needs
                    .iter()
                    .any(|need| need.required && !matches!(blocked(view, fates, all, need), None | Some(Block::Coming)));
            if stuck { Outlook::Stuck } else { Outlook::Coming }
        }
    }
}

/// Whether a process that is on its way makes room for itself, or has just done so: it is being replaced.
fn is_returning(view: &View<'_>, index: usize) -> bool {
    view.rows()[index].process().is_some_and(|process| {
        let gone = process.past.as_ref().is_some_and(|past| past.why.replaces());
        gone || !process.runs.is_empty()
    })
}

/// The run of a wanted process that stays, if there is one.
pub(super) fn current<'a>(view: &View<'a>, fates: &Fates<'_>, index: usize) -> Option<&'a Run> {
    let row = &view.rows()[index];
    row.runs().iter().zip(fates.of(row)).rev().find(|(_, fate)| **fate == Fate::Stay).map(|(run, _)| run)
}

/// Whether a run of a process is going, so that nothing can be said before it is gone. One that outlives its replacement
/// doesn't count, nor one that can't be killed: neither is going to make room.
fn is_leaving(view: &View<'_>, fates: &Fates<'_>, index: usize) -> bool {
    let row = &view.rows()[index];
    row.runs().iter().zip(fates.of(row)).any(|(run, fate)| *fate != Fate::Outlive && !run.reported)
}

/// What is due to a wanted process of which nothing stays.
pub(super) fn rest(view: &View<'_>, index: usize) -> Rest {
    let row = &view.rows()[index];
    row.entry.map_or(Rest::Fresh, |entry| rest_in(row.process(), &entry.spec))
}

/// The file, if any, whose change starts again what ended by itself: like a changed definition, it may be what was wanting.
pub(crate) fn missed<'a>(past: &'a Past, content: Option<&'a Content>, spec: &Spec) -> Option<&'a str> {
    if spec.on_watch == OnWatch::Restart { unread(past.content.as_ref(), content, spec) } else { None }
}

/// The file, if any, that a definition watches, and that somebody who has read `read` hasn't read as it is now.
pub(super) fn unread<'a>(read: Option<&'a Content>, content: Option<&'a Content>, spec: &Spec) -> Option<&'a str> {
    content.filter(|content| content.watch == spec.watch)?.first_difference(read?)
}

/// What is due to a process that is wanted as `spec`, and of which this is known.
pub(crate) fn rest_in(process: Option<&Process>, spec: &Arc<Spec>) -> Rest {
    process.map_or(Rest::Fresh, |process| rest_of(process.past.as_ref(), process.content.as_ref(), spec))
}

/// What is due to a process that is wanted as `spec`, ended as `past` says, and watches what contains this.
pub(crate) fn rest_of(past: Option<&Past>, content: Option<&Content>, spec: &Arc<Spec>) -> Rest {
    let Some(past) = past else { return Rest::Fresh };
    let Some(streak) = past.streak else { return Rest::Fresh };
    if is_mended(past, spec) || missed(past, content, spec).is_some() {
        return Rest::Fresh;
    }
    match due(spec, past.succeeded(), streak, past.at, past.run.0) {
        Due::Completed => Rest::Completed,
        Due::Failed => Rest::Failed,
        Due::Again(at) => Rest::Again(at),
    }
}

/// Whether what ended is wanted in another way, as far as its end had to do with that: as another program, or with another
/// check where it was a check that it failed.
pub(crate) fn is_mended(past: &Past, spec: &Arc<Spec>) -> bool {
    if Arc::ptr_eq(&past.spec, spec) {
        return false;
    }
    let other_check = match past.why {
        Reason::Unready(..) => (&past.spec.ready, past.spec.ready_timing) != (&spec.ready, spec.ready_timing),
        Reason::Unhealthy(_) => past.spec.liveness != spec.liveness,
        _ => false,
    };
    past.spec.exec != spec.exec || other_check
}

/// Why a named dependency doesn't hold; `None` if it does.
pub(super) fn blocked(view: &View<'_>, fates: &Fates<'_>, all: &Outlooks, need: &Need) -> Option<Block> {
    let row = &view.rows()[need.on];
    let spec = &view.desired.entries()[need.on].spec;
    if !view.wants(row) {
        return Some(if spec.enabled { Block::StoppedByHand } else { Block::Disabled });
    }
    if let Some(run) = current(view, fates, need.on) {
        let holds = match need.condition {
            Condition::Started => run.up.is_some(),
            Condition::Ready => run.ready.is_some(),
            Condition::Completed => false,
        };
        // A run that stays although it is stale serves those that are there, and those that come.
        return if holds { None } else { Some(Block::Coming) };
    }
    if is_leaving(view, fates, need.on) {
        return Some(Block::Coming);
    }
    match rest(view, need.on) {
        Rest::Completed if need.condition == Condition::Completed || spec.exec.kind == Kind::Task => None,
        Rest::Completed => Some(Block::Ended),
        Rest::Failed => Some(Block::Failed),
        Rest::Again(_) => Some(Block::BackingOff),
        Rest::Fresh if all.outlook[need.on] == Outlook::Stuck => Some(Block::Stuck),
        Rest::Fresh => Some(Block::Coming),
    }
}
