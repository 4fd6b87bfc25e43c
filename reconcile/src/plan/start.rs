//! The gate of a start: it passes once the former run is gone, backoff and delay are over, the dependencies hold, its sockets are
//! held or refused, and the processes before it have been started.

use super::disposition::{Disposition, Dispositions};
use super::progress::{RestingState, StartOrder, current_run, exec_before, resting_state};
use super::quota::StartQuota;
use super::replicas::Replacements;
use super::sockets::are_pending;
use super::view::{Row, View};
use super::{Block, Plan, STARTS_AHEAD, Step, Waiting};
use crate::desired::{DesiredProcess, ResolvedDependency};
use crate::event::RunId;
use crate::observed::Run;
use crate::orders::ShutdownCause;
use crate::spec::{ShutdownOn, Tier};
use crate::text::Name;
use crate::time::Time;
use alloc::collections::BTreeSet;
use alloc::vec;
use alloc::vec::Vec;

/// Adds the steps of starts to the plan.
pub(super) fn start(view: &View<'_>, dispositions: &Dispositions<'_>, plan: &mut Plan) {
    if view.orders.closing().is_some() {
        plan.steps.extend(view.active().filter_map(forget_delay));
        return;
    }
    let mut order = StartOrder::new(view, dispositions);
    let under_way = starts_under_way(view);
    let mut quota = if view.is_ideal { StartQuota::unlimited(view.desired) } else { StartQuota::left(view.desired, &under_way) };
    let removed = still_removing(view);
    let entries = view.desired.entries();
    let mut possible = quota.clone();
    order.next.sort_unstable();
    let candidates = view.candidates(&order.next, |index| possible.take(entries[index].user));
    let (mut starts, mut replacements) = (Vec::new(), Replacements::default());
    for (index, entry) in candidates.into_iter().filter_map(|index| Some((index, entries.get(index)?))) {
        let row = &view.row(index);
        if !view.wants(row) {
            plan.steps.extend(forget_delay(row));
        } else if let Some(run) = current_run(row, dispositions) {
            if let Some(waiting) = unfinished(run, &under_way) {
                plan.wait(row.name, waiting);
            }
        } else {
            let gate = Gate { view, dispositions, order: &order, under_way: &under_way, row, entry, removed };
            match gate.ask(plan) {
                Err(None) => {}
                Err(Some(waiting)) => plan.wait(row.name, waiting),
                Ok(after) => match replacements.begin(view, dispositions, row, entry) {
                    Err(waiting) => plan.wait(row.name, waiting),
                    Ok(()) if !quota.take(entry.user) => plan.wait(row.name, Waiting::Turn),
                    Ok(()) => {
                        starts.push((index, after));
                        plan.wait(row.name, Waiting::Exec);
                    }
                },
            }
        }
    }
    let steps = first(view, starts).into_iter();
    plan.steps.extend(steps.map(|(index, after)| Step::Start { name: view.row(index).name.clone(), after }));
}

/// The runs that wait for their exec.
fn starts_under_way<'a>(view: &View<'a>) -> Vec<&'a Run> {
    view.active().flat_map(Row::runs).filter(|run| run.is_under_way()).collect()
}

/// How many execs come before the one of a run.
fn execs_before(run: RunId, under_way: &[&Run]) -> usize {
    let is_under_way = |run: &RunId| under_way.iter().any(|other| other.id == *run);
    let before = |run: &RunId| under_way.iter().find(|other| other.id == *run)?.after.filter(is_under_way);
    core::iter::successors(before(&run), before).count()
}

/// Whether no other process can be started right behind a start that is itself begun behind the run `after`.
pub(super) fn is_last_in_row(view: &View<'_>, after: Option<RunId>) -> bool {
    let has_room = || after.is_none_or(|after| execs_before(after, &starts_under_way(view)) + 1 < STARTS_AHEAD);
    !(view.orders_execs && view.desired.is_list() && has_room())
}

/// The start delay of a process that is not to run no longer counts.
fn forget_delay(row: &Row<'_>) -> Option<Step> {
    row.process()?.due_since.map(|_| Step::ForgetDelay(row.name.clone()))
}

/// If some of the starts may cause the restart of a running process, keeps only the first of these; otherwise keeps all.
///
/// A process that depends on one that then has to stop must not be started at the same time. So such starts are begun one at a
/// time, dependencies first.
fn first(view: &View<'_>, starts: Vec<(usize, Option<RunId>)>) -> Vec<(usize, Option<RunId>)> {
    if starts.len() < 2 || view.desired.followers().is_empty() {
        return starts;
    }
    let runs = |index: usize| view.row(index).runs().iter().any(Run::is_undisturbed);
    let followers = view.desired.followers().iter().filter(|index| runs(**index));
    let needs = followers.flat_map(|index| &view.desired.entries()[*index].needs).filter(|need| need.restart);
    let followed: BTreeSet<usize> = needs.map(|need| need.on).collect();
    let start_of = |index: &usize| starts.iter().find(|(started, _)| started == index && followed.contains(index));
    match view.desired.order().iter().find_map(start_of) {
        Some(first) => vec![*first],
        None => starts,
    }
}

/// What a run that is kept waits for.
fn unfinished(run: &Run, under_way: &[&Run]) -> Option<Waiting> {
    match (run.up, run.ready) {
        (None, _) => {
            let before = under_way.iter().find(|other| Some(other.id) == run.after);
            Some(before.map_or(Waiting::Exec, |before| Waiting::Order(before.spec.name.clone())))
        }
        (Some(up), None) => {
            let until = run.first_ready.is_none().then_some(up + run.spec.ready_timing.deadline);
            Some(Waiting::Readiness { until, why: run.unready.clone() })
        }
        (Some(_), Some(ready)) => run.replaces.as_ref().map(|_| Waiting::Stable(ready + run.spec.stable)),
    }
}

/// A process that was removed or disabled, and isn't gone yet.
fn still_removing<'a>(view: &View<'a>) -> Option<&'a Name> {
    let mut removed = view.active().filter(|row| row.entry.is_none_or(|entry| !view.orders.enable(&entry.spec)));
    removed.find(|row| row.runs().iter().any(|run| !run.reported)).map(|row| row.name)
}

struct Gate<'v, 'a> {
    view: &'v View<'a>,
    dispositions: &'v Dispositions<'a>,
    order: &'v StartOrder<'a>,
    under_way: &'v [&'a Run],
    row: &'v Row<'a>,
    entry: &'v DesiredProcess,
    removed: Option<&'v Name>,
}

/// `Err`: the process can't be started; with what it waits for, unless it waits for nothing or one of its runs says that already.
type Passed<T = ()> = Result<T, Option<Waiting>>;

impl Gate<'_, '_> {
    /// Whether the process may be started now, and the run, if any, that must have its exec first.
    fn ask(&self, plan: &mut Plan) -> Passed<Option<RunId>> {
        let rest = resting_state(self.row.process(), &self.entry.spec);
        let date = if rest == RestingState::Fresh { None } else { self.date() };
        if date.is_some_and(|date| self.view.now >= date) {
            self.predecessor()?;
            plan.steps.push(Step::CallOnDate(self.entry.spec.name.clone()));
            return Err(None);
        }
        if matches!(rest, RestingState::Completed | RestingState::Failed | RestingState::Dated) {
            self.predecessor()?;
            plan.steps.extend(self.shutdown(rest));
            if let Some(date) = date {
                plan.wake(date);
            }
            let kept = self.kept_until_replaced().find_map(|run| unfinished(run, self.under_way));
            return Err(kept.or(date.map(Waiting::Date)));
        }
        // The delay counts from the moment that the required dependencies hold. The others may come and go, which would put it
        // off for ever.
        let dependency = self.dependency(true);
        let delay = self.delay(dependency.is_none(), plan);
        self.predecessor()?;
        if let RestingState::Again(at) = rest
            && self.view.now < at
        {
            plan.wake(date.map_or(at, |date| date.min(at)));
            return Err(Some(Waiting::Backoff(at)));
        }
        let others = || self.dependency(false).or_else(|| self.removal(rest));
        if let Some(waiting) = dependency.or(delay).or_else(others) {
            let stall = self.stall(&waiting, plan);
            plan.steps.extend(stall);
            return Err(Some(waiting));
        }
        if are_pending(self.row.process(), &self.entry.spec, plan) {
            return Err(Some(Waiting::Sockets(None)));
        }
        let Some(before) = self.before(rest) else { return Ok(None) };
        match self.close_behind() {
            Some(run) => Ok(Some(run)),
            None => Err(Some(Waiting::Order(self.view.row(before).name.clone()))),
        }
    }

    /// The next date of its schedule. In a preview no date comes.
    fn date(&self) -> Option<Time> {
        self.row.process()?.next_date_of(&self.entry.spec).filter(|_| !self.view.is_ideal).map(|next| next.at)
    }

    /// The shutdown that the end of this process causes, if any.
    fn shutdown(&self, rest: RestingState) -> Option<Step> {
        let (spec, past) = (&self.entry.spec, self.row.process()?.past.as_ref()?);
        let success = past.succeeded(spec);
        let is_cause = match spec.shutdown_on? {
            _ if rest == RestingState::Dated => false,
            ShutdownOn::Failure => !success,
            // A scheduled task that has completed runs again.
            ShutdownOn::Exit => !success || spec.schedule.is_none(),
        };
        let cause = || ShutdownCause { name: spec.name.clone(), status: past.status.clone(), success };
        is_cause.then(|| Step::ShutDown(cause()))
    }

    /// The report of what the start waits for, if that won't happen by itself and hasn't been reported yet.
    fn stall(&self, waiting: &Waiting, plan: &mut Plan) -> Option<Step> {
        let Waiting::Dependency { on, why, .. } = waiting else { return None };
        let why = match why {
            Block::Coming => self.unready(on, plan)?,
            Block::BackingOff => return None,
            why => *why,
        };
        let said = self.row.process().and_then(|process| process.stalled.as_ref());
        let is_said = said.is_some_and(|(former, cause)| former == on && *cause == why);
        (!is_said).then(|| Step::Stall(self.entry.spec.name.clone(), on.clone(), why))
    }

    /// Whether a dependency was ready, and is not ready again within its deadline.
    fn unready(&self, on: &Name, plan: &mut Plan) -> Option<Block> {
        let need = self.entry.needs.iter().find(|need| self.view.desired.entries()[need.on].spec.name == *on)?;
        let row = self.view.row(need.on);
        let run = current_run(&row, self.dispositions)?;
        let until = run.lapsed? + run.spec.ready_timing.deadline;
        if self.view.now < until {
            plan.wake(until);
            return None;
        }
        Some(Block::Unready)
    }

    /// Passes if no former run is left but one that is kept until it is replaced.
    fn predecessor(&self) -> Passed {
        let kept = self.kept_until_replaced().count();
        if self.row.runs().len() > kept || kept > 1 {
            // A run says itself what it waits for, unless it was reported to survive being killed.
            let survivor = self.row.runs().iter().find(|run| run.reported);
            return Err(survivor.map(|run| Waiting::Survivors(run.kill_refused.clone())));
        }
        Ok(())
    }

    fn kept_until_replaced(&self) -> impl Iterator<Item = &Run> {
        let runs = self.row.runs().iter().zip(self.dispositions.of(self.row));
        runs.filter(|(_, disposition)| **disposition == Disposition::KeepUntilReplaced).map(|(run, _)| run)
    }

    /// A named dependency that doesn't hold, among those that are required or among the others.
    fn dependency(&self, required: bool) -> Option<Waiting> {
        let mut edges = self.entry.edges().filter(|edge| edge.iter().all(|need| need.required == required));
        edges.find_map(|edge| {
            let blocked = |need: &ResolvedDependency| Some((*need, self.order.blocked(self.view, self.dispositions, need)?));
            // One replica is enough. The one that may come by itself is named.
            let blocked = edge.iter().map(blocked).collect::<Option<Vec<_>>>()?;
            let is_awaited = |on| required || self.order.is_awaited(self.view, self.dispositions, on);
            let coming = blocked.iter().find(|(need, why)| *why == Block::Coming && is_awaited(need.on));
            let (need, why) = coming.or(blocked.first().filter(|_| required))?;
            let on = self.view.desired.entries()[need.on].spec.name.clone();
            Some(Waiting::Dependency { on, condition: need.condition, why: *why })
        })
    }

    /// The start delay, if it isn't over. Plans to remember or forget since when it counts.
    fn delay(&self, counts: bool, plan: &mut Plan) -> Option<Waiting> {
        let name = &self.entry.spec.name;
        let since = self.row.process().and_then(|process| process.due_since);
        if !counts {
            plan.steps.extend(since.map(|_| Step::ForgetDelay(name.clone())));
            return None;
        }
        if since.is_none() {
            plan.steps.push(Step::CountDelay(name.clone()));
        }
        let until = since.unwrap_or(self.view.now) + self.entry.spec.start_delay;
        if self.view.now >= until {
            return None;
        }
        plan.wake(until);
        Some(Waiting::Delay(until))
    }

    /// A process that was never started waits until removed ones are gone: it may need what they use, such as a port.
    fn removal(&self, rest: RestingState) -> Option<Waiting> {
        let is_new = self.row.process().is_none_or(|process| !process.tried);
        let removed = self.removed.filter(|_| rest == RestingState::Fresh && is_new)?;
        Some(Waiting::Removed(removed.clone()))
    }

    /// The run right before it in the list, if only the exec of that run is left to wait for.
    fn close_behind(&self) -> Option<RunId> {
        let before = exec_before(self.view, self.dispositions, self.entry)?.id;
        (execs_before(before, self.under_way) < STARTS_AHEAD).then_some(before)
    }

    /// The process that has to be started before it by order alone. A process that ended by itself has had its turn, unless it runs
    /// again and is to be replaced.
    fn before(&self, rest: RestingState) -> Option<usize> {
        if rest != RestingState::Fresh && self.row.runs().is_empty() {
            return None;
        }
        let tier = || self.order.pending_managed.filter(|_| self.entry.tier == Tier::Application);
        self.order.before(self.view, self.entry).or_else(tier)
    }
}
