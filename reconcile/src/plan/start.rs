//! The gate of a start: predecessor gone, backoff over, dependencies hold, delay over, and those before it started.

use super::outlook::{Outlooks, Rest, blocked, current, outlooks, rest};
use super::{Block, Fate, Fates, Plan, Quiet, Row, STARTS_AT_ONCE, Step, View, Waiting};
use crate::desired::Entry;
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
    let under_way = view.unquiet().flat_map(Row::runs).filter(|run| run.up.is_none() && run.exit.is_none()).count();
    let mut turns = STARTS_AT_ONCE.saturating_sub(under_way);
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
            if let Some(waiting) = progress(run) {
                plan.wait(row.name, waiting);
            }
            continue;
        }
        // Of thousands that may all be started at once, nearly all.
        if plan.is_silent && turns == 0 && row.quiet() == Some(Quiet::InLine) {
            continue;
        }
        match (Gate { view, fates, outlooks, index, entry, removed }).ask(plan) {
            Err(None) => {}
            Err(Some(waiting)) => plan.wait(row.name, waiting),
            Ok(()) if turns == 0 => plan.wait(row.name, Waiting::Turn),
            Ok(()) => {
                turns -= 1;
                starts.push(index);
                plan.wait(row.name, Waiting::Exec);
            }
        }
    }
    plan.steps.extend(first(view, starts).into_iter().map(|index| Step::Start(view.rows()[index].name.clone())));
    // By a start or a stop that is begun, those may have to go who follow it; and by name one waits for what returns.
    !view.desired.names_dependencies()
}

/// For a process that isn't to run: its start delay doesn't count any more.
fn end_of_delay(row: &Row<'_>) -> Option<Step> {
    let counts = row.quiet().is_none() && row.process()?.due_since.is_some();
    counts.then(|| Step::ForgetDelay(row.name.clone()))
}

/// Of what may be started, the first that somebody that runs is to be restarted along with; all of it, if there is none.
///
/// By its start it may be replaced; what depends on those who then have to go must not be started in the same breath.
fn first(view: &View<'_>, starts: Vec<usize>) -> Vec<usize> {
    if starts.len() < 2 {
        return starts;
    }
    let runs = |index: usize| view.rows()[index].runs().iter().any(Run::is_undisturbed);
    let followers = view.desired.followers().iter().filter(|index| runs(**index));
    let edges = followers.flat_map(|index| &view.desired.entries()[*index].needs).filter(|need| need.restart);
    let followed: BTreeSet<usize> = edges.map(|need| need.on).collect();
    // One at a time, dependencies first: the next of them may need what the first one's start takes along.
    let mut in_order = view.desired.order().iter().copied();
    match in_order.find(|index| followed.contains(index) && starts.contains(index)) {
        Some(first) => vec![first],
        None => starts,
    }
}

/// What a run that goes on still has to reach.
fn progress(run: &Run) -> Option<Waiting> {
    match (run.up, run.ready) {
        (None, _) => Some(Waiting::Exec),
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
    index: usize,
    entry: &'v Entry,
    removed: Option<&'v Name>,
}

/// `Err` says what keeps a process from being started; `None` in it that there is nothing to wait for, or that
/// somebody else says so.
type Passed = Result<(), Option<Waiting>>;

impl Gate<'_, '_> {
    fn ask(&self, plan: &mut Plan) -> Passed {
        let rest = rest(self.view, self.index);
        if matches!(rest, Rest::Completed | Rest::Failed) {
            self.predecessor()?;
            return Err(self.outliving().find_map(progress));
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
        let order = || self.dependency(false).or_else(|| self.removal(rest)).or_else(|| self.order(rest));
        dependency.or(delay).or_else(order).map_or(Ok(()), |waiting| Err(Some(waiting)))
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

    fn order(&self, rest: Rest) -> Option<Waiting> {
        self.listed_after(rest).map(|index| Waiting::Order(self.view.rows()[index].name.clone()))
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
