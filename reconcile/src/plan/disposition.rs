//! What becomes of each run: it is kept, is kept until it is replaced, or must stop, and why.

use super::progress::{RestingState, changed_file, resting_state};
use super::replicas::{Turns, is_one_by_one, is_to_be_replaced};
use super::sockets::are_held;
use super::view::{Row, View};
use super::{KILL_PATIENCE, Plan, Step, Waiting};
use crate::desired::DesiredProcess;
use crate::diff::changed_fields;
use crate::event::{Content, RunId};
use crate::observed::Run;
use crate::reason::Reason;
use crate::spec::{OnChange, OnWatch, Spec};
use crate::text::Name;
use crate::time::Time;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

/// What becomes of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disposition<'a> {
    /// It is up to date, or is kept although it isn't.
    Keep,
    /// It is to be replaced, and serves until its replacement is ready.
    KeepUntilReplaced,
    /// It is to be told to stop.
    Stop(StopCause<'a>),
    /// It was told to stop, or its main process ended by itself.
    Ending,
}

/// Why a run must stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StopCause<'a> {
    Shutdown,
    Removed,
    Disabled,
    ByHand,
    /// It is to be replaced, see [`Run::unwanted`].
    Unwanted,
    Changed,
    Unready,
    Unhealthy,
    Watched(&'a str),
    With(&'a Name),
}

impl StopCause<'_> {
    /// Whether another run is to take the place of the one that stops.
    fn replaces(self) -> bool {
        matches!(self, StopCause::Changed | StopCause::Unwanted | StopCause::Watched(_) | StopCause::With(_))
    }

    /// Whether the run has failed.
    pub(super) fn is_failure(self) -> bool {
        matches!(self, StopCause::Unready | StopCause::Unhealthy)
    }

    /// The reason to report, for a run of a process that the file defines as `wanted`.
    pub(super) fn reason(self, run: &Run, wanted: Option<&Arc<Spec>>) -> Reason {
        match self {
            StopCause::Shutdown => Reason::Shutdown,
            StopCause::Removed => Reason::Removed,
            StopCause::Disabled => Reason::Disabled,
            StopCause::ByHand => Reason::StoppedByHand,
            StopCause::Unwanted => run.unwanted.as_ref().map_or(Reason::RestartedByHand, |unwanted| unwanted.why.clone()),
            StopCause::Changed => Reason::Changed(wanted.map(|spec| changed_fields(&run.spec, spec)).unwrap_or_default()),
            StopCause::Unready => Reason::Unready(run.spec.ready_timing.deadline, run.unready.clone()),
            StopCause::Unhealthy => Reason::Unhealthy(run.unhealthy.clone().unwrap_or_default()),
            StopCause::Watched(path) => Reason::Watched(path.into()),
            StopCause::With(name) => Reason::With(name.clone()),
        }
    }
}

/// The dispositions of all runs: those of the active rows, each from [`Row::first_run`] on. Any other row knows its own.
pub(super) struct Dispositions<'a>(Vec<Disposition<'a>>);

impl<'a> Dispositions<'a> {
    /// Those of a row, in the order of [`Row::runs`].
    pub(super) fn of(&self, row: &Row<'_>) -> &[Disposition<'a>] {
        row.known_dispositions().unwrap_or_else(|| &self.0[row.first_run..row.first_run + row.count()])
    }

    /// Whether any run must stop.
    pub(super) fn any_stops(&self, view: &View<'_>) -> bool {
        let stops = |disposition: &Disposition<'_>| matches!(disposition, Disposition::Stop(_));
        view.stops_inactive() || self.0.iter().any(stops)
    }
}

/// Decides what becomes of every run. Updates and reloads those that are kept, and reports those that survive being killed.
pub(super) fn dispositions<'a>(view: &mut View<'a>, plan: &mut Plan) -> Dispositions<'a> {
    let mut all = Dispositions(Vec::new());
    let mut turns = Turns::default();
    for row in view.active() {
        all.0.extend(row.runs().iter().map(|run| disposition(view, row, run, &mut turns, plan)));
    }
    // A process comes after those it depends on, so one pass finds all that are restarted along with others.
    for &index in view.desired.followers() {
        let row = view.row(index);
        for (place, run) in row.runs().iter().enumerate() {
            if all.of(&row)[place] == Disposition::Keep
                && let Some(name) = replaced_dependency(view, &all, &row, run)
            {
                if row.entry.is_some_and(is_one_by_one) {
                    // It waits until the others serve.
                    let why = Reason::With(name.clone());
                    plan.steps.extend(run.unwanted.is_none().then_some(Step::Replace(run.id, why)));
                    continue;
                }
                let rolls = row.entry.is_some_and(|entry| rolls(&entry.spec, run));
                let stop = if rolls {
                    plan.steps.push(Step::Replace(run.id, Reason::With(name.clone())));
                    Disposition::KeepUntilReplaced
                } else {
                    Disposition::Stop(StopCause::With(name))
                };
                if row.known_dispositions().is_some() {
                    view.activate(index, all.0.len());
                    all.0.push(stop);
                } else {
                    all.0[row.first_run + place] = stop;
                }
            }
        }
    }
    for row in view.active() {
        for (run, disposition) in row.runs().iter().zip(all.of(row)) {
            maintain(row, run, *disposition, view, plan);
        }
    }
    all
}

/// What becomes of a run because of its own definition and facts.
fn disposition<'a>(view: &View<'a>, row: &Row<'a>, run: &'a Run, turns: &mut Turns, plan: &mut Plan) -> Disposition<'a> {
    if !run.is_undisturbed() {
        return Disposition::Ending;
    }
    if view.orders.closing().is_some() {
        return Disposition::Stop(StopCause::Shutdown);
    }
    let Some(entry) = row.entry else { return Disposition::Stop(StopCause::Removed) };
    if !view.orders.enable(&entry.spec) && !view.orders.is_stopped(&entry.spec.name) {
        return Disposition::Stop(StopCause::Disabled);
    }
    if !view.wants(row) {
        return Disposition::Stop(StopCause::ByHand);
    }
    let is_outdated = run.unwanted.is_some() || !is_same(run, &entry.spec);
    let superseded = (is_outdated && is_one_by_one(entry)).then(|| is_superseded(view, row, run, &entry.spec, plan));
    if superseded == Some(false)
        && let Some(other) = turns.waits_for(view, run, entry, plan)
    {
        plan.wait(row.name, Waiting::Replica(other.clone()));
        return health(view, run, plan);
    }
    let is_superseded = |plan: &mut Plan| superseded.unwrap_or_else(|| is_superseded(view, row, run, &entry.spec, plan));
    if run.unwanted.is_some() {
        let goes_on = rolls(&entry.spec, run) && !is_superseded(plan);
        return if goes_on { Disposition::KeepUntilReplaced } else { Disposition::Stop(StopCause::Unwanted) };
    }
    if !is_same(run, &entry.spec) {
        return match entry.spec.on_change {
            _ if is_superseded(plan) => Disposition::Stop(StopCause::Changed),
            OnChange::Keep if !has_current_run(row, &entry.spec) => health(view, run, plan),
            // A run that was ready once isn't stopped because it is unready for a moment.
            OnChange::Keep | OnChange::Rolling if run.unhealthy.is_none() && service(run).is_some() && !is_one_by_one(entry) => {
                Disposition::KeepUntilReplaced
            }
            // Nothing is stopped for a definition that can't be started.
            OnChange::Restart | OnChange::Rolling if !are_held(row.process(), &entry.spec) => health(view, run, plan),
            OnChange::Keep | OnChange::Rolling | OnChange::Restart => Disposition::Stop(StopCause::Changed),
        };
    }
    match health(view, run, plan) {
        Disposition::Keep if entry.spec.on_watch == OnWatch::Restart => {
            let changed = changed_file(run.content.as_ref(), content(row), &entry.spec);
            let due = || row.process()?.watch_restarts.due(&entry.spec.backoff, view.now, run.id.0);
            match (changed, changed.and_then(|_| due())) {
                (None, _) => Disposition::Keep,
                (Some(path), None) if is_one_by_one(entry) => {
                    plan.steps.push(Step::Replace(run.id, Reason::Watched(path.into())));
                    Disposition::Keep
                }
                (Some(path), None) if rolls(&entry.spec, run) => {
                    plan.steps.push(Step::Replace(run.id, Reason::Watched(path.into())));
                    Disposition::KeepUntilReplaced
                }
                (Some(path), None) => Disposition::Stop(StopCause::Watched(path)),
                (Some(_), Some(due)) => {
                    plan.wake(due);
                    Disposition::Keep
                }
            }
        }
        disposition => disposition,
    }
}

/// What the files that a process watches contain.
fn content<'a>(row: &Row<'a>) -> Option<&'a Content> {
    row.process()?.content.as_ref()
}

/// Whether a run executes what is wanted, so that no restart is needed.
pub(crate) fn is_same(run: &Run, wanted: &Arc<Spec>) -> bool {
    Arc::ptr_eq(&run.spec, wanted) || run.spec.exec == wanted.exec
}

/// Whether an outdated run is no longer needed: an up-to-date one is ready, another outdated one serves better, or the process
/// has completed.
fn is_superseded(view: &View<'_>, row: &Row<'_>, run: &Run, wanted: &Arc<Spec>, plan: &mut Plan) -> bool {
    let takes_over = healthy_runs(row).filter_map(|other| takes_over_at(other, wanted)).min();
    if let Some(at) = takes_over.filter(|at| *at > view.now) {
        plan.wake(at);
        plan.wait(row.name, Waiting::Stable(at));
    }
    let serves_better = |other: &Run| (other.unwanted.is_some() || !is_same(other, wanted)) && service(other) > service(run);
    takes_over.is_some_and(|at| at <= view.now)
        || healthy_runs(row).any(serves_better)
        || resting_state(row.process(), wanted) == RestingState::Completed
}

/// When a run has taken the place of those that are to be replaced, if it stays ready.
fn takes_over_at(run: &Run, wanted: &Arc<Spec>) -> Option<Time> {
    let stable = if wanted.on_change == OnChange::Rolling { run.spec.stable } else { Duration::ZERO };
    let takes_over = run.replaces.is_none() && run.unwanted.is_none() && is_same(run, wanted);
    run.ready.filter(|_| takes_over).map(|ready| ready + stable)
}

/// Whether a run serves until its replacement does. One that was ready once counts as serving even while it is unready.
pub(super) fn rolls(wanted: &Spec, run: &Run) -> bool {
    let starts_beside = wanted.replica.as_ref().is_none_or(|replica| replica.surge != 0);
    wanted.on_change == OnChange::Rolling
        && starts_beside
        && !run.stops_first()
        && run.unhealthy.is_none()
        && service(run).is_some()
}

fn has_current_run(row: &Row<'_>, wanted: &Arc<Spec>) -> bool {
    healthy_runs(row).any(|other| is_same(other, wanted))
}

/// The runs that are neither ending nor failed.
fn healthy_runs<'a>(row: &Row<'a>) -> impl Iterator<Item = &'a Run> {
    row.runs().iter().filter(|run| run.is_undisturbed() && run.unhealthy.is_none())
}

/// How well a run serves, to be compared: one that is ready serves better than one that was, then one that has taken its place
/// better than one that has yet to, then a newer one better than an older one. A run that never was ready doesn't serve.
pub(super) fn service(run: &Run) -> Option<(bool, bool, RunId)> {
    run.first_ready.map(|_| (run.ready.is_some(), run.replaces.is_none(), run.id))
}

/// Stops a run that is unhealthy, or that isn't ready by its deadline.
fn health<'a>(view: &View<'a>, run: &Run, plan: &mut Plan) -> Disposition<'a> {
    if run.unhealthy.is_some() {
        return Disposition::Stop(StopCause::Unhealthy);
    }
    // One that is to replace another has to stay ready, too.
    let in_time = if run.replaces.is_some() { run.ready } else { run.first_ready };
    let (Some(up), None) = (run.up, in_time) else { return Disposition::Keep };
    let deadline = up + run.spec.ready_timing.deadline;
    if view.now >= deadline {
        return Disposition::Stop(StopCause::Unready);
    }
    plan.wake(deadline);
    Disposition::Keep
}

/// The dependency, if any, that was replaced and so restarts this run.
///
/// A run follows the run of the dependency that serves it. So a dependency that crashed and came back is still followed. If a
/// replacement runs already, the end of the old run restarts only the runs that it serves. Replicas are followed once, when the
/// last of them is replaced.
fn replaced_dependency<'a>(view: &View<'a>, all: &Dispositions<'a>, row: &Row<'a>, run: &Run) -> Option<&'a Name> {
    row.entry?.edges().filter(|edge| edge.iter().all(|need| need.restart)).find_map(|edge| {
        let replaced = edge.iter().find(|need| is_replaced(view, all, need.on, run))?;
        let goes_on = edge.len() > 1 && edge.iter().any(|need| is_to_be_replaced(&view.row(need.on), all));
        (!goes_on).then(|| view.desired.entries()[replaced.on].spec.definition())
    })
}

/// Whether the run of a dependency that serves a run is replaced, or was.
fn is_replaced(view: &View<'_>, all: &Dispositions<'_>, on: usize, run: &Run) -> bool {
    let dependency = &view.row(on);
    let serving = serving(dependency, all.of(dependency), run);
    let is_replaced = serving.is_some_and(|(place, served_by)| match all.of(dependency)[place] {
        Disposition::Stop(cause) => cause.replaces(),
        Disposition::Ending => served_by.exit.is_none() && served_by.stop.as_ref().is_some_and(|stop| stop.why.replaces()),
        Disposition::Keep | Disposition::KeepUntilReplaced => false,
    });
    // A dependency that was down, such as a completed task, is replaced when it is started again.
    let is_older = serving.is_some_and(|(_, served_by)| served_by.id < run.bound.0);
    let follows = || run.follows(view.desired.entries()[on].spec.definition());
    let was_replaced = !is_older && dependency.replacement() > Some(run.taken_over) && follows();
    is_replaced || was_replaced
}

/// The run of a dependency that serves a run: the newest that was there when that run was bound or, once it is gone, the oldest
/// later one. One that is kept serves rather than one that isn't, and one that has taken its place rather than one that has yet to.
fn serving<'a>(dependency: &Row<'a>, dispositions: &[Disposition<'_>], run: &Run) -> Option<(usize, &'a Run)> {
    let runs = dependency.runs();
    let (bound, at) = run.bound;
    let was_there = |other: &Run| other.id < bound && other.was_undisturbed(at);
    let there = (0..runs.len()).filter(|place| was_there(&runs[*place]));
    let best = there.max_by_key(|place| (dispositions[*place] == Disposition::Keep, runs[*place].replaces.is_none(), *place));
    let place = best.or_else(|| runs.iter().position(|other| other.id > bound))?;
    Some((place, &runs[place]))
}

/// Updates a run if settings that need no restart have changed, reloads it if its files changed, and reports it if it survives
/// being killed.
fn maintain(row: &Row<'_>, run: &Run, disposition: Disposition<'_>, view: &View<'_>, plan: &mut Plan) {
    let updates = is_outdated(row, run, disposition);
    if updates {
        plan.steps.push(Step::Update(run.id));
    } else if disposition == Disposition::Keep
        && let Some(path) = file_to_reload(row, run)
    {
        plan.steps.push(Step::Reload(run.id, Reason::Watched(path.into())));
    }
    if !updates && let (Disposition::Keep, Some(_), Some(ready)) = (disposition, &run.replaces, run.ready) {
        let until = ready + run.spec.stable;
        if view.now >= until {
            plan.steps.push(Step::Establish(run.id));
        } else {
            plan.wake(until);
        }
    }
    if let (Some(killed), false) = (run.killed, run.reported) {
        if run.kill_refused.is_some() || view.now >= killed + KILL_PATIENCE {
            plan.steps.push(Step::Report(run.id));
        } else {
            plan.wake(killed + KILL_PATIENCE);
        }
    }
}

/// Whether settings of a run that need no restart have changed. A failed run is updated too: with the new ones it may not have
/// failed.
fn is_outdated(row: &Row<'_>, run: &Run, disposition: Disposition<'_>) -> bool {
    let is_concerned = match disposition {
        Disposition::Keep => true,
        Disposition::Stop(cause) => cause.is_failure(),
        Disposition::KeepUntilReplaced | Disposition::Ending => false,
    };
    let differs =
        |entry: &DesiredProcess| !Arc::ptr_eq(&run.spec, &entry.spec) && run.spec != entry.spec && is_same(run, &entry.spec);
    is_concerned && row.entry.is_some_and(differs)
}

/// The changed file, if any, because of which a run is told to read its files again.
///
/// Before it is ready for the first time, a program may not handle a reload yet. Afterwards it is told even while it is
/// unready: the change may be the fix.
fn file_to_reload<'a>(row: &Row<'a>, run: &'a Run) -> Option<&'a str> {
    let can_reload = run.spec.on_watch == OnWatch::Reload && run.spec.reload.is_some() && run.first_ready.is_some();
    if can_reload { changed_file(run.content.as_ref(), content(row), &run.spec) } else { None }
}
