//! The gate of a start: predecessor gone, backoff over, dependencies hold, delay over, and those before it started.

use super::outlook::{Outlooks, Rest, blocked, current, exec_before, outlooks, rest};
use super::turns::Turns;
use super::{Block, Fate, Fates, Plan, Quiet, Row, STARTS_AHEAD, Step, View, Waiting};
use crate::desired::Entry;
use crate::event::RunId;
use crate::observed::Run;
use crate::spec::Tier;
use crate::text::Name;
use alloc::collections::BTreeSet;
use alloc::vec;
use alloc::vec::Vec;

/// Says what is to be started. Answers whether the starts lead to nothing else, as far as that is easily seen: until its program
/// runs, whoever is started only holds others up.
pub(super) fn start(view: &View<'_>, fates: &Fates<'_>, plan: &mut Plan) -> bool {
    if view.orders.closing().is_some() {
        plan.steps.extend(view.unquiet().filter_map(end_of_delay));
        return true;
    }
    let outlooks = &outlooks(view, fates);
    let under_way: Vec<&Run> = view.unquiet().flat_map(Row::runs).filter(|run| run.is_under_way()).collect();
    let mut turns = if view.is_ideal { Turns::for_all(view.desired) } else { Turns::left(view.desired, &under_way) };
    let removed = still_removing(view);
    let mut starts = Vec::new();
    let wanted = view.desired.entries().len();
    // Whoever else stands in line has to wait, and whoever is quiet otherwise waits for nothing.
    let numbers = if plan.is_silent { fates.noticed(view, &outlooks.first_in_line) } else { (0..wanted).collect() };
    for index in numbers.into_iter().take_while(|&index| index < wanted) {
        let (row, entry) = (&view.rows()[index], &view.desired.entries()[index]);
        if fates.are_settled(row) {
            continue;
        }
        if !view.wants(row) {
            plan.steps.extend(end_of_delay(row));
            continue;
        }
        if let Some(run) = current(view, fates, index) {
            if let Some(waiting) = progress(run, &under_way) {
                plan.wait(row.name, waiting);
            }
            continue;
        }
        // Of thousands that may all be started at once, nearly all.
        if plan.is_silent && !turns.has(entry.user) && row.quiet() == Some(Quiet::InLine) {
            continue;
        }
        match (Gate { view, fates, outlooks, under_way: &under_way, index, entry, removed }).ask(plan) {
            Err(None) => {}
            Err(Some(waiting)) => plan.wait(row.name, waiting),
            Ok(_) if !turns.take(entry.user) => plan.wait(row.name, Waiting::Turn),
            Ok(after) => {
                starts.push(Start { index, after });
                plan.wait(row.name, Waiting::Exec);
            }
        }
    }
    let starts = first(view, starts);
    // Whoever is next in the list may be started behind it.
    let lead_on = view.orders_execs && view.desired.is_list() && starts.iter().any(|start| start.may_be_followed(&under_way));
    let step = |start: Start| Step::Start { name: view.rows()[start.index].name.clone(), after: start.after };
    plan.steps.extend(starts.into_iter().map(step));
    // By a start or a stop that is begun, those may have to go who follow it; and by name one waits for what returns.
    let all_by_list = !view.desired.names_dependencies();
    all_by_list && !lead_on
}

/// How many others' execs come before that of a run.
fn place(run: RunId, under_way: &[&Run]) -> usize {
    let before = |run: &RunId| under_way.iter().find(|other| other.id == *run)?.after;
    let is_under_way = |run: &RunId| under_way.iter().any(|other| other.id == *run);
    core::iter::successors(before(&run).filter(is_under_way), |run| before(run).filter(is_under_way)).count()
}

/// A start to begin.
#[derive(Clone, Copy)]
struct Start {
    index: usize,
    /// The run whose exec comes before.
    after: Option<RunId>,
}

impl Start {
    fn may_be_followed(&self, under_way: &[&Run]) -> bool {
        self.after.is_none_or(|after| place(after, under_way) + 1 < STARTS_AHEAD)
    }
}

/// For a process that isn't to run: its start delay doesn't count any more.
fn end_of_delay(row: &Row<'_>) -> Option<Step> {
    let counts = row.quiet().is_none() && row.process()?.due_since.is_some();
    counts.then(|| Step::ForgetDelay(row.name.clone()))
}

/// Of what may be started, the first that somebody that runs is to be restarted along with; all of it, if there is none.
///
/// By its start it may be replaced; what depends on those who then have to go must not be started in the same breath.
fn first(view: &View<'_>, starts: Vec<Start>) -> Vec<Start> {
    if starts.len() < 2 {
        return starts;
    }
    let runs = |index: usize| view.rows()[index].runs().iter().any(Run::is_undisturbed);
    let followers = view.desired.followers().iter().filter(|index| runs(**index));
    let edges = followers.flat_map(|index| &view.desired.entries()[*index].needs).filter(|need| need.restart);
    let followed: BTreeSet<usize> = edges.map(|need| need.on).collect();
    // One at a time, dependencies first: the next of them may need what the first one's start takes along.
    let mut in_order = view.desired.order().iter().copied();
    let first = in_order.find_map(|index| starts.iter().find(|start| start.index == index && followed.contains(&index)));
    match first {
        Some(first) => vec![*first],
        None => starts,
    }
}

/// What a run that goes on still has to reach.
fn progress(run: &Run, under_way: &[&Run]) -> Option<Waiting> {
    match (run.up, run.ready) {
        (None, _) => {
            let before = under_way.iter().find(|other| Some(other.id) == run.after);
            Some(before.map_or(Waiting::Exec, |before| Waiting::Order(before.spec.name.clone())))
        }
        (Some(up), None) => {
            let until = run.first_ready.is_none().then_some(up + run.spec.ready_timing.deadline);
            Some(Waiting::Readiness { until, why: run.unready.clone() })
        }
        (Some(_), Some(_)) => None,
    }
}

/// A process that is no longer in the file, or disabled there, and not gone yet.
fn still_removing<'a>(view: &View<'a>) -> Option<&'a Name> {
    let mut removed = view.unquiet().filter(|row| row.entry.is_none_or(|entry| !entry.spec.enabled));
    removed.find(|row| row.runs().iter().any(|run| !run.reported)).map(|row| row.name)
}

struct Gate<'v, 'a> {
    view: &'v View<'a>,
    fates: &'v Fates<'a>,
    outlooks: &'v Outlooks,
    under_way: &'v [&'a Run],
    index: usize,
    entry: &'v Entry,
    removed: Option<&'v Name>,
}

/// `Err` says what keeps something from going on; `None` in it that there is nothing to wait for, or that somebody else says so.
type Passed<T = ()> = Result<T, Option<Waiting>>;

impl Gate<'_, '_> {
    /// Whether the process may be started now, and whose exec its own has to wait for.
    fn ask(&self, plan: &mut Plan) -> Passed<Option<RunId>> {
        let rest = rest(self.view, self.index);
        if matches!(rest, Rest::Completed | Rest::Failed) {
            self.predecessor()?;
            return Err(self.outliving().find_map(|run| progress(run, self.under_way)));
        }
        // The delay counts from the moment that dependencies hold, whatever else is still waited for. Those that are order
        // alone may come and go: they would put it off for ever.
        let dependency = self.dependency(true);
        let delay = self.delay(dependency.is_none(), plan);
        self.predecessor()?;
        if let Rest::Again(at) = rest
            && self.view.now < at
        {
            plan.wake(at);
            return Err(Some(Waiting::Backoff(at)));
        }
        let order = || self.dependency(false).or_else(|| self.removal(rest));
        match (dependency.or(delay).or_else(order), self.listed_after(rest)) {
            (Some(waiting), _) => Err(Some(waiting)),
            (None, None) => Ok(None),
            (None, Some(holder)) => match self.close_behind() {
                Some(run) => Ok(Some(run)),
                None => Err(Some(Waiting::Order(self.view.rows()[holder].name.clone()))),
            },
        }
    }

    /// A former run that isn't gone says itself what it waits for, unless it was reported to survive.
    fn predecessor(&self) -> Passed {
        let row = &self.view.rows()[self.index];
        let outlived = self.outliving().count();
        if row.runs().len() > outlived || outlived > 1 {
            return Err(row.runs().iter().any(|run| run.reported).then_some(Waiting::Kill));
        }
        Ok(())
    }

    /// The runs that serve until this start has led to one that is ready.
    fn outliving(&self) -> impl Iterator<Item = &Run> {
        let row = &self.view.rows()[self.index];
        row.runs().iter().zip(self.fates.of(row)).filter(|(_, fate)| **fate == Fate::Outlive).map(|(run, _)| run)
    }

    /// A named dependency that doesn't hold, of those that are required or of the others.
    fn dependency(&self, required: bool) -> Option<Waiting> {
        self.entry.needs.iter().filter(|need| need.required == required).find_map(|need| {
            let why = blocked(self.view, self.fates, self.outlooks, need)?;
            // Order alone waits for what is on its way, and for as long as it is.
            let waits = required || (why == Block::Coming && self.outlooks.order_alone(need.on).is_some());
            let on = &self.view.desired.entries()[need.on].spec.name;
            waits.then(|| Waiting::Dependency { on: on.clone(), condition: need.condition, why })
        })
    }

    /// The start delay; keeps or forgets on the way from when it counts.
    fn delay(&self, counts: bool, plan: &mut Plan) -> Option<Waiting> {
        let name = &self.entry.spec.name;
        let since = self.view.rows()[self.index].process().and_then(|process| process.due_since);
        match (counts, since) {
            (false, None) => return None,
            (false, Some(_)) => {
                plan.steps.push(Step::ForgetDelay(name.clone()));
                return None;
            }
            (true, None) => plan.steps.push(Step::CountDelay(name.clone())),
            (true, Some(_)) => {}
        }
        let until = since.unwrap_or(self.view.now) + self.entry.spec.start_delay;
        if self.view.now >= until {
            return None;
        }
        plan.wake(until);
        Some(Waiting::Delay(until))
    }

    /// A process that was never started waits for those that were removed to be gone: it may take over what they hold.
    fn removal(&self, rest: Rest) -> Option<Waiting> {
        let new = self.view.rows()[self.index].process().is_none_or(|process| !process.tried);
        let removed = self.removed.filter(|_| rest == Rest::Fresh && new)?;
        Some(Waiting::Removed(removed.clone()))
    }

    /// The run behind which it may be started already, if that one's exec is all that there is to wait for.
    fn close_behind(&self) -> Option<RunId> {
        let before = exec_before(self.view, self.fates, self.entry)?.id;
        (place(before, self.under_way) < STARTS_AHEAD).then_some(before)
    }

    /// Who has to be started before it by the place in the list, which a process that ended by itself has already had.
    fn listed_after(&self, rest: Rest) -> Option<usize> {
        if rest != Rest::Fresh {
            return None;
        }
        let before = self.outlooks.before(self.view, self.entry);
        let tier = self.outlooks.managed_held_by.filter(|_| self.entry.tier == Tier::Application);
        before.or(tier)
    }
}
