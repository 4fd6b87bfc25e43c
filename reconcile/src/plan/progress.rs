//! How far each process of the file is on its way to run, and which process each one waits for by order alone.

use super::Block;
use super::disposition::{Disposition, Dispositions};
use super::view::{ListMembers, Row, View};
use crate::backoff::{End, RestartDecision, due};
use crate::desired::{DesiredProcess, ResolvedDependency};
use crate::event::Content;
use crate::observed::{ObservedProcess, Past, ProcessFacts, Run};
use crate::reason::Reason;
use crate::spec::{Condition, OnWatch, ProcessKind, Spec, Tier};
use crate::time::Time;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

/// How far a process of the file is on its way to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// It is not to run.
    NotWanted,
    /// It was started, or a start failed: those after it need not wait for it.
    Started,
    /// It wasn't started yet, and will be without help.
    Coming,
    /// It wasn't started yet, and waits for something that doesn't happen by itself.
    Stuck,
}

/// What is to be done about a process without runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RestingState {
    /// It hasn't been started with what is wanted now.
    Fresh,
    /// It hasn't been started with what is wanted now, and is not before the next date of its schedule.
    Dated,
    /// It completed.
    Completed,
    /// It failed, and is not started again.
    Failed,
    /// It is started again at this time.
    Again(Time),
}

/// The progress of every process of the file, and the order in which they start.
#[derive(Default)]
pub(super) struct StartOrder<'a> {
    /// The processes on their way, if the file is a plain list. Otherwise the next two fields are filled in.
    list: Option<ListMembers<'a>>,
    progress: Vec<Progress>,
    /// For each process: the one on its way that processes after it have to wait for.
    pending: Vec<Option<usize>>,
    /// The managed process that applications have to wait for.
    pub(super) pending_managed: Option<usize>,
    /// The processes on their way that wait for none before them in the list, or only for the exec of the one before.
    pub(super) next: Vec<usize>,
}

impl<'a> StartOrder<'a> {
    pub(super) fn new(view: &View<'a>, dispositions: &Dispositions<'_>) -> StartOrder<'a> {
        let mut order = StartOrder::default();
        let is_coming = |row: &Row<'_>, entry: &_| order.progress(view, dispositions, row, entry) == Progress::Coming;
        if let Some(list) = view.coming_in_list(is_coming) {
            order.pending_managed = list.first_managed();
            order.next = list.firsts().chain(behind_execs(view, dispositions, &list)).collect();
            order.list = Some(list);
            return order;
        }
        let count = view.desired.entries().len();
        (order.progress, order.pending) = (vec![Progress::NotWanted; count], vec![None; count]);
        for &index in view.desired.order() {
            order.add(view, dispositions, index);
        }
        order
    }

    /// Adds a process; all that it comes after have been added.
    fn add(&mut self, view: &View<'_>, dispositions: &Dispositions<'_>, index: usize) {
        let (row, entry) = (&view.row(index), &view.desired.entries()[index]);
        let progress = row.known_progress().unwrap_or_else(|| self.progress(view, dispositions, row, entry));
        self.progress[index] = progress;
        self.pending[index] = match progress {
            Progress::Coming => Some(index),
            // A running process doesn't separate those before it from those after it: they still start in order.
            Progress::Started => self.before(view, entry),
            // Order alone never blocks: the next ones wait for what this one would wait for in the list.
            Progress::NotWanted | Progress::Stuck => self.before_in_list(entry),
        };
        if progress == Progress::Coming {
            if entry.tier == Tier::Managed {
                self.pending_managed.get_or_insert(index);
            }
            if self.before_in_list(entry).is_none() || exec_before(view, dispositions, entry).is_some() {
                self.next.push(index);
            }
        }
    }

    fn progress(&self, view: &View<'_>, dispositions: &Dispositions<'_>, row: &Row<'_>, entry: &DesiredProcess) -> Progress {
        if !view.wants(row) {
            return Progress::NotWanted;
        }
        if let Some(run) = current_run(row, dispositions) {
            return if run.up.is_some() { Progress::Started } else { Progress::Coming };
        }
        if is_ending(row, dispositions) {
            // If it is replaced on purpose, it starts again at its place in the order. After a failure, it has had its turn.
            let has_failed =
                |disposition: &Disposition<'_>| matches!(disposition, Disposition::Stop(cause) if cause.is_failure());
            let failed = |(run, disposition): (&Run, &Disposition<'_>)| run.ends_by_itself() || has_failed(disposition);
            let all_failed = row.runs().iter().zip(dispositions.of(row)).all(failed);
            return if all_failed { Progress::Started } else { Progress::Coming };
        }
        match resting_state(row.process(), &entry.spec) {
            // What waits for a date keeps none behind it waiting.
            RestingState::Completed | RestingState::Failed | RestingState::Again(_) | RestingState::Dated => Progress::Started,
            RestingState::Fresh => {
                let is_blocked = |edge: &[ResolvedDependency]| {
                    let is_hopeless = |need| !matches!(self.blocked(view, dispositions, need), None | Some(Block::Coming));
                    edge.iter().all(|need| need.required && is_hopeless(need))
                };
                let survives = row.runs().iter().any(|run| run.reported);
                let is_stuck = survives || entry.edges().any(is_blocked);
                if is_stuck { Progress::Stuck } else { Progress::Coming }
            }
        }
    }

    /// The process that order alone makes an entry wait for.
    ///
    /// In the list, that is a process before it that is on its way to run. A named dependency makes it wait only if it is being
    /// replaced, or something below it is: then they start again in order.
    pub(super) fn before(&self, view: &View<'_>, entry: &DesiredProcess) -> Option<usize> {
        let by_name = || entry.needs.iter().filter_map(|need| self.pending[need.on]).find(|&on| is_returning(&view.row(on)));
        self.before_in_list(entry).or_else(by_name)
    }

    fn before_in_list(&self, entry: &DesiredProcess) -> Option<usize> {
        match &self.list {
            Some(list) => list.before(entry),
            None => entry.after.clone().find_map(|on| self.pending[on]),
        }
    }

    /// Whether a dependency that is on its way is waited for although it isn't required: until it has ended, failed or become
    /// unready once. A wait beyond that might never end.
    pub(super) fn is_awaited(&self, view: &View<'_>, dispositions: &Dispositions<'_>, on: usize) -> bool {
        let (row, spec) = (view.row(on), &view.desired.entries()[on].spec);
        match current_run(&row, dispositions) {
            Some(run) if run.ready.is_none() && run.first_ready.is_some() => false,
            Some(_) => resting_state(row.process(), spec) == RestingState::Fresh,
            None => self.progress[on] == Progress::Coming,
        }
    }

    /// Why a named dependency doesn't hold; `None` if it does.
    pub(super) fn blocked(&self, view: &View<'_>, dispositions: &Dispositions<'_>, need: &ResolvedDependency) -> Option<Block> {
        let row = &view.row(need.on);
        let spec = &view.desired.entries()[need.on].spec;
        if !view.wants(row) {
            return Some(if spec.enabled { Block::StoppedByHand } else { Block::Disabled });
        }
        // A run that is kept although it is outdated counts like any other.
        if let Some(run) = current_run(row, dispositions) {
            let holds = match need.condition {
                Condition::Started => run.up.is_some(),
                Condition::Ready => run.ready.is_some(),
                Condition::Completed => false,
            };
            return if holds { None } else { Some(Block::Coming) };
        }
        if is_ending(row, dispositions) {
            return Some(Block::Coming);
        }
        match resting_state(row.process(), spec) {
            RestingState::Completed if need.condition == Condition::Completed || spec.exec.kind == ProcessKind::Task => None,
            RestingState::Completed => Some(Block::Ended),
            RestingState::Failed => Some(Block::Failed),
            RestingState::Again(_) => Some(Block::BackingOff),
            RestingState::Dated => Some(Block::Scheduled),
            RestingState::Fresh if self.progress[need.on] == Progress::Stuck => Some(Block::Stuck),
            RestingState::Fresh => Some(Block::Coming),
        }
    }
}

/// The run right before an entry in the list, if its exec is under way and the host keeps the order of execs.
pub(super) fn exec_before<'a>(view: &View<'a>, dispositions: &Dispositions<'_>, entry: &DesiredProcess) -> Option<&'a Run> {
    let before = &view.row(entry.after.clone().next().filter(|_| view.orders_execs && entry.after.len() == 1)?);
    current_run(before, dispositions).filter(|run| run.is_under_way())
}

/// The processes of a list that are on their way, each right behind one with its exec under way.
fn behind_execs(view: &View<'_>, dispositions: &Dispositions<'_>, list: &ListMembers<'_>) -> Vec<usize> {
    let entries = view.active().filter_map(|row| row.entry);
    let behind = entries.filter_map(|entry| list.right_after(entry));
    behind.filter(|index| exec_before(view, dispositions, &view.desired.entries()[*index]).is_some()).collect()
}

/// Whether a process that is on its way is being replaced.
fn is_returning(row: &Row<'_>) -> bool {
    row.process().is_some_and(|process| {
        let was_replaced = process.past.as_ref().is_some_and(|past| past.why.replaces());
        was_replaced || !process.runs.is_empty()
    })
}

/// The run of a process that is kept, if there is one.
pub(super) fn current_run<'a>(row: &Row<'a>, dispositions: &Dispositions<'_>) -> Option<&'a Run> {
    let place = dispositions.of(row).iter().rposition(|disposition| *disposition == Disposition::Keep)?;
    row.runs().get(place)
}

/// Whether a run of a process must be gone before another one is started. A run that is kept until it is replaced need not, nor
/// one that can't be killed.
fn is_ending(row: &Row<'_>, dispositions: &Dispositions<'_>) -> bool {
    let mut runs = row.runs().iter().zip(dispositions.of(row));
    runs.any(|(run, disposition)| *disposition != Disposition::KeepUntilReplaced && !run.reported)
}

/// The changed file, if any, because of which a process that ended is started again: like a changed definition, it may be the
/// fix.
pub(crate) fn changed_since_end<'a>(past: &'a Past, content: Option<&'a Content>, spec: &Spec) -> Option<&'a str> {
    if spec.on_watch == OnWatch::Restart { changed_file(past.content.as_ref(), content, spec) } else { None }
}

/// The watched file, if any, that changed since its content was `read`.
pub(super) fn changed_file<'a>(read: Option<&'a Content>, content: Option<&'a Content>, spec: &Spec) -> Option<&'a str> {
    content.filter(|content| content.watch == spec.watch)?.first_difference(read?)
}

/// What is to be done about a process that is wanted as `spec` and has no runs.
pub(crate) fn resting_state(process: Option<&ObservedProcess>, spec: &Arc<Spec>) -> RestingState {
    let unknown = || if spec.schedule.is_some() { RestingState::Dated } else { RestingState::Fresh };
    process.map_or_else(unknown, |process| resting_state_after(process, process.past.as_ref(), spec))
}

/// The same for a process that ended as `past` says.
///
/// A scheduled task that would be started now waits for its date, unless it was called.
pub(crate) fn resting_state_after(process: &ProcessFacts, past: Option<&Past>, spec: &Arc<Spec>) -> RestingState {
    match state_after_end(process, past, spec) {
        RestingState::Fresh if spec.schedule.is_some() && !process.is_called() => RestingState::Dated,
        state => state,
    }
}

fn state_after_end(process: &ProcessFacts, past: Option<&Past>, spec: &Arc<Spec>) -> RestingState {
    let Some(past) = past else { return RestingState::Fresh };
    let Some(streak) = past.streak else { return RestingState::Fresh };
    if is_mended(past, spec) {
        return RestingState::Fresh;
    }
    if spec.schedule.is_none() && changed_since_end(past, process.content.as_ref(), spec).is_some() {
        let due = process.watch_restarts.due(&spec.backoff, past.at, past.run.0);
        return due.map_or(RestingState::Fresh, RestingState::Again);
    }
    let end = End { success: past.succeeded(spec), missing: past.was_missing(), at: past.at };
    match due(spec, end, streak, past.run.0) {
        RestartDecision::Completed => RestingState::Completed,
        RestartDecision::Failed => RestingState::Failed,
        RestartDecision::Again(at) => RestingState::Again(at),
    }
}

/// Whether the definition has changed since a run ended, so that the cause may be gone: the program is another one, or the
/// probe that failed is.
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
