//! What is to become of each run: it stays, it must go and why, or it outlives its own replacement.

use super::outlook::{rest_in, unread};
use super::{KILL_PATIENCE, Plan, Quiet, Rest, Row, Step, View};
use crate::desired::Entry;
use crate::diff::changed_fields;
use crate::event::{Content, RunId};
use crate::observed::Run;
use crate::reason::Reason;
use crate::spec::{OnChange, OnWatch, Spec};
use crate::text::Name;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// What is to become of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate<'a> {
    /// It is what is wanted, or is kept as stale.
    Stay,
    /// It is to be replaced, and serves until its successor is ready.
    Outlive,
    /// It is to be told to stop.
    Go(Why<'a>),
    /// It was told to stop, or its leader ended by itself; what is left of it is going.
    Leaving,
}

/// Why a run must go, before it is put into words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why<'a> {
    Shutdown,
    Removed,
    Disabled,
    ByHand,
    RestartedByHand,
    Changed,
    Unready,
    Unhealthy,
    Watched(&'a str),
    With(&'a Name),
}

impl Why<'_> {
    fn replaces(self) -> bool {
        matches!(self, Why::Changed | Why::RestartedByHand | Why::Watched(_) | Why::With(_))
    }

    /// Whether it is the run's own failure.
    pub(super) fn is_failure(self) -> bool {
        matches!(self, Why::Unready | Why::Unhealthy)
    }

    /// The reason in words, for a run of a process that the file defines as `wanted`.
    pub(super) fn reason(self, run: &Run, wanted: Option<&Arc<Spec>>) -> Reason {
        match self {
            Why::Shutdown => Reason::Shutdown,
            Why::Removed => Reason::Removed,
            Why::Disabled => Reason::Disabled,
            Why::ByHand => Reason::StoppedByHand,
            Why::RestartedByHand => Reason::RestartedByHand,
            Why::Changed => Reason::Changed(wanted.map(|spec| changed_fields(&run.spec, spec)).unwrap_or_default()),
            Why::Unready => Reason::Unready(run.spec.ready_timing.deadline, run.unready.clone()),
            Why::Unhealthy => Reason::Unhealthy(run.unhealthy.clone().unwrap_or_default()),
            Why::Watched(path) => Reason::Watched(path.into()),
            Why::With(name) => Reason::With(name.clone()),
        }
    }
}

/// The fate of every run.
pub(crate) struct Fates<'a> {
    all: Vec<Fate<'a>>,
    /// The numbers of the rows that go because others do.
    along: Vec<usize>,
}

impl<'a> Fates<'a> {
    /// The fates of a row's runs, as in [`Row::runs`].
    pub(super) fn of(&self, row: &Row<'_>) -> &[Fate<'a>] {
        &self.all[row.first_run..row.first_run + row.count()]
    }

    /// Whether a row is settled, and there is nothing to do about it because of others either.
    pub(super) fn are_settled(&self, row: &Row<'_>) -> bool {
        row.quiet() == Some(Quiet::Settled) && self.all[row.first_run] == Fate::Stay
    }

    pub(super) fn all(&self) -> &[Fate<'a>] {
        &self.all
    }

    /// The numbers of the rows of which there is more to know than that they are quiet, and of these.
    pub(super) fn noticed(&self, view: &View<'_>, further: &[usize]) -> Vec<usize> {
        let mut numbers: Vec<usize> = view.unquiet_numbers().chain(self.along.iter().chain(further).copied()).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }
}

/// Says the fate of every run; takes over new upkeep and reports survivors on the way.
pub(super) fn fates<'a>(view: &View<'a>, plan: &mut Plan) -> Fates<'a> {
    let mut fates = Fates { all: Vec::with_capacity(view.rows().len()), along: Vec::new() };
    for row in view.rows() {
        match row.quiet() {
            Some(Quiet::Settled) => fates.all.push(Fate::Stay),
            Some(Quiet::Held) => fates.all.push(Fate::Go(Why::Shutdown)),
            Some(Quiet::AtRest | Quiet::InLine) => {}
            None => fates.all.extend(row.runs().iter().map(|run| fate(view, row, run, plan))),
        }
    }
    // Dependencies come first in this order, so one pass reaches everything that is restarted along.
    for &index in view.desired.followers() {
        let row = &view.rows()[index];
        for (place, run) in row.runs().iter().enumerate() {
            if fates.of(row)[place] == Fate::Stay
                && let Some(name) = replaced_dependency(view, &fates, row, run)
            {
                fates.all[row.first_run + place] = Fate::Go(Why::With(name));
                fates.along.push(index);
            }
        }
    }
    for row in view.unquiet() {
        for (run, fate) in row.runs().iter().zip(fates.of(row)) {
            upkeep(row, run, *fate, view, plan);
        }
    }
    fates
}

fn fate<'a>(view: &View<'a>, row: &Row<'a>, run: &'a Run, plan: &mut Plan) -> Fate<'a> {
    if !run.is_undisturbed() {
        return Fate::Leaving;
    }
    if view.orders.closing().is_some() {
        return Fate::Go(Why::Shutdown);
    }
    let Some(entry) = row.entry else { return Fate::Go(Why::Removed) };
    if !entry.spec.enabled {
        return Fate::Go(Why::Disabled);
    }
    if !view.wants(row) {
        return Fate::Go(Why::ByHand);
    }
    if run.unwanted_by_hand {
        return Fate::Go(Why::RestartedByHand);
    }
    if !is_same(run, &entry.spec) {
        return match entry.spec.on_change {
            _ if is_superseded(row, run, &entry.spec) => Fate::Go(Why::Changed),
            OnChange::Keep if !is_right_there(row, &entry.spec) => health(view, run, plan),
            // What once served isn't given up for a moment in which it doesn't.
            OnChange::Keep | OnChange::Rolling if run.unhealthy.is_none() && service(run).is_some() => Fate::Outlive,
            OnChange::Keep | OnChange::Rolling | OnChange::Restart => Fate::Go(Why::Changed),
        };
    }
    match health(view, run, plan) {
        Fate::Stay if entry.spec.on_watch == OnWatch::Restart => {
            unread(run.content.as_ref(), content(row), &entry.spec).map_or(Fate::Stay, |path| Fate::Go(Why::Watched(path)))
        }
        fate => fate,
    }
}

/// What the files contain that a process watches.
fn content<'a>(row: &Row<'a>) -> Option<&'a Content> {
    row.process()?.content.as_ref()
}

/// Whether a run is what the definition wants: the identity is the same.
pub(crate) fn is_same(run: &Run, wanted: &Arc<Spec>) -> bool {
    Arc::ptr_eq(&run.spec, wanted) || run.spec.exec == wanted.exec
}

/// Whether nothing needs an old run any more: another one is ready that is right, or serves better, or the work is done.
fn is_superseded(row: &Row<'_>, run: &Run, wanted: &Arc<Spec>) -> bool {
    well(row).any(|other| (other.ready.is_some() && is_same(other, wanted)) || service(other) > service(run))
        || rest_in(row.process(), wanted) == Rest::Completed
}

/// Whether a run is there that is what is wanted, so that there is no need to keep another one in its place.
fn is_right_there(row: &Row<'_>, wanted: &Arc<Spec>) -> bool {
    well(row).any(|other| is_same(other, wanted))
}

/// The runs that are neither going nor have failed.
fn well<'a>(row: &Row<'a>) -> impl Iterator<Item = &'a Run> {
    row.runs().iter().filter(|run| run.is_undisturbed() && run.unhealthy.is_none())
}

/// How well a run serves, for comparing: ready rather than not any more, newer rather than older. One that never was ready
/// doesn't serve.
fn service(run: &Run) -> Option<(bool, RunId)> {
    run.first_ready.map(|_| (run.ready.is_some(), run.id))
}

/// A run that isn't ready by its deadline has failed, and so has one that isn't alive.
fn health<'a>(view: &View<'a>, run: &Run, plan: &mut Plan) -> Fate<'a> {
    if run.unhealthy.is_some() {
        return Fate::Go(Why::Unhealthy);
    }
    let (Some(up), None) = (run.up, run.first_ready) else { return Fate::Stay };
    let deadline = up + run.spec.ready_timing.deadline;
    if view.now >= deadline {
        return Fate::Go(Why::Unready);
    }
    plan.wake(deadline);
    Fate::Stay
}

/// The dependency, if any, whose replacement takes this run along.
///
/// A run follows the run of its dependency that serves it: a dependency that crashed and came back is still followed, and
/// one that is replaced by a successor that already runs takes along only those that the old run serves.
fn replaced_dependency<'a>(view: &View<'a>, fates: &Fates<'a>, row: &Row<'a>, run: &Run) -> Option<&'a Name> {
    row.entry?.needs.iter().filter(|need| need.restart).find_map(|need| {
        let dependency = &view.rows()[need.on];
        let serving = serving(dependency, run);
        let is_replaced = serving.is_some_and(|(place, served_by)| match fates.of(dependency)[place] {
            Fate::Go(why) => why.replaces(),
            Fate::Leaving => served_by.exit.is_none() && served_by.stop.as_ref().is_some_and(|stop| stop.why.replaces()),
            Fate::Stay | Fate::Outlive => false,
        });
        // A dependency that was down, such as a completed task, is replaced by being started again.
        let serves_still = serving.is_some_and(|(_, served_by)| served_by.id < run.id);
        let was_replaced = !serves_still && run.follows(dependency.name) && dependency.replacement() > Some(run.taken_over);
        (is_replaced || was_replaced).then_some(dependency.name)
    })
}

/// The run of a dependency that serves a run: the newest that was there when that began or, once it is gone, the oldest
/// that came later.
fn serving<'a>(dependency: &Row<'a>, run: &Run) -> Option<(usize, &'a Run)> {
    let runs = dependency.runs();
    let there = runs.iter().rposition(|other| other.id < run.id && other.was_undisturbed(run.begun));
    let place = there.or_else(|| runs.iter().position(|other| other.id > run.id))?;
    Some((place, &runs[place]))
}

/// Takes over a changed upkeep, reloads what hasn't read its files as they are, and reports what survives being killed.
fn upkeep(row: &Row<'_>, run: &Run, fate: Fate<'_>, view: &View<'_>, plan: &mut Plan) {
    if is_outdated(row, run, fate) {
        plan.steps.push(Step::Update(run.id));
    } else if fate == Fate::Stay
        && let Some(path) = to_reload(row, run)
    {
        plan.steps.push(Step::Reload(run.id, Reason::Watched(path.into())));
    }
    if let (Some(killed), false) = (run.killed, run.reported) {
        if view.now >= killed + KILL_PATIENCE {
            plan.steps.push(Step::Report(run.id));
        } else {
            plan.wake(killed + KILL_PATIENCE);
        }
    }
}

/// Whether a run has to take over another upkeep. Also of one that has failed: by the new one perhaps it hasn't.
fn is_outdated(row: &Row<'_>, run: &Run, fate: Fate<'_>) -> bool {
    let counts = match fate {
        Fate::Stay => true,
        Fate::Go(why) => why.is_failure(),
        Fate::Outlive | Fate::Leaving => false,
    };
    let differs = |entry: &Entry| !Arc::ptr_eq(&run.spec, &entry.spec) && run.spec != entry.spec && is_same(run, &entry.spec);
    counts && row.entry.is_some_and(differs)
}

/// The file, if any, for which a run has to be told to read its files again, by the definition that it runs.
///
/// Until it has been ready, a program may not know yet what to do when it is told. One that isn't ready any more is told all
/// the same: what changed may be what mends it.
fn to_reload<'a>(row: &Row<'a>, run: &'a Run) -> Option<&'a str> {
    let can = run.spec.on_watch == OnWatch::Reload && run.spec.reload.is_some() && run.first_ready.is_some();
    if can { unread(run.content.as_ref(), content(row), &run.spec) } else { None }
}
