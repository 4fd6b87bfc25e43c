//! The gate of a stop: it passes once the processes that come after the run's process, and are stopping too, are gone.

use super::disposition::{Disposition, Dispositions, StopCause};
use super::view::{ListMembers, Row, View};
use super::{Plan, Step, Waiting};
use crate::desired::DesiredProcess;
use crate::event::ExitStatus;
use crate::graph::Graph;
use crate::observed::Run;
use crate::reason::Reason;
use crate::spec::{StopScope, Tier};
use crate::text::Name;
use crate::time::Time;
use alloc::vec;
use alloc::vec::Vec;

/// Adds the steps of stops and kills to the plan.
pub(super) fn stop(view: &View<'_>, dispositions: &Dispositions<'_>, plan: &mut Plan) {
    let hurry = is_hurried(view);
    if let (Some(closing), false) = (view.orders.closing(), hurry) {
        plan.wake(closing.since + view.desired.shutdown_timeout());
    }
    let any_stops = dispositions.any_stops(view);
    let (blockers, next) = match (any_stops, hurry) {
        (false, _) => (Blockers::none(), Vec::new()),
        (true, true) => (Blockers::none(), (0..view.count()).collect()),
        (true, false) => blockers(view, dispositions),
    };
    let mut stops = Vec::new();
    for index in view.candidates(&next, |_| true) {
        let row = &view.row(index);
        for (run, disposition) in row.runs().iter().zip(dispositions.of(row)) {
            match disposition {
                Disposition::Keep | Disposition::KeepUntilReplaced => {}
                Disposition::Ending => end(row.name, run, hurry, view, plan),
                Disposition::Stop(cause) if hurry => plan.steps.push(Step::Kill(run.id, reason(*cause, run, row))),
                Disposition::Stop(_) if run.up.is_none() => plan.wait(row.name, Waiting::Exec),
                Disposition::Stop(cause) => {
                    if let Some(blocker) = blockers.of(index, view) {
                        plan.wait(row.name, Waiting::Dependent(view.row(blocker).name.clone()));
                    } else {
                        let why = reason(*cause, run, row);
                        match run.spec.stop.drain.as_ref().filter(|_| !why.is_failure()) {
                            Some(drain) => grant_drain(row.name, run, view.now + drain.timeout, plan),
                            None => grant_grace(row.name, view.now + run.spec.stop.timeout, plan),
                        }
                        stops.push(Step::Stop(run.id, why));
                    }
                }
            }
        }
    }
    plan.steps.append(&mut stops);
}

fn reason(cause: StopCause<'_>, run: &Run, row: &Row<'_>) -> Reason {
    cause.reason(run, row.entry.map(|entry| &entry.spec))
}

/// Whether everything is to be killed now: by order, or because the shutdown takes too long.
fn is_hurried(view: &View<'_>) -> bool {
    let Some(closing) = view.orders.closing() else { return false };
    closing.hurry || view.now >= closing.since + view.desired.shutdown_timeout()
}

/// Continues the end of a run. Ends its drain at the drain timeout. Tells the processes that its main process left behind to
/// stop, unless they were told before. Kills what remains after the grace period.
fn end(name: &Name, run: &Run, hurry: bool, view: &View<'_>, plan: &mut Plan) {
    if run.killed.is_some() {
        let waiting = if run.reported { Waiting::Survivors(run.kill_refused.clone()) } else { Waiting::Kill };
        return plan.wait(name, waiting);
    }
    let drains_until = run.stop.as_ref().and_then(|stop| stop.drains_until);
    if let (Some(until), false, None) = (drains_until, hurry, &run.exit) {
        return if view.now < until { grant_drain(name, run, until, plan) } else { plan.steps.push(Step::EndDrain(run.id)) };
    }
    let why = match &run.stop {
        Some(stop) => stop.why.clone(),
        None => Reason::Ended(run.exit.as_ref().map_or(ExitStatus::Lost, |(status, _)| status.clone())),
    };
    // A run that is draining wasn't told to end yet.
    let told = run.stop.as_ref().filter(|stop| stop.drains_until.is_none()).map(|stop| stop.told);
    let since = told.or(run.rest_stop);
    let until = since.unwrap_or(view.now) + run.spec.stop.timeout;
    if hurry || (view.now >= until && since.is_some()) {
        return plan.steps.push(Step::Kill(run.id, why));
    }
    let all_told = told.is_some() && run.spec.stop.scope == StopScope::Tree && run.spec.stop.command.is_none();
    if run.exit.is_some() && run.rest_stop.is_none() && !all_told {
        plan.steps.push(Step::StopRest(run.id, why));
    }
    grant_grace(name, until, plan);
}

fn grant_drain(name: &Name, run: &Run, until: Time, plan: &mut Plan) {
    plan.wake(until);
    plan.wait(name, Waiting::Drain(until, run.spec.stop.signal));
}

fn grant_grace(name: &Name, until: Time, plan: &mut Plan) {
    plan.wake(until);
    plan.wait(name, Waiting::Grace(until));
}

/// For each row, a row that must be gone before it may be told to stop.
enum Blockers<'a> {
    /// These processes of a plain list stop, in reverse order.
    List(ListMembers<'a>),
    Graph(Vec<Option<usize>>),
}

impl Blockers<'_> {
    fn none() -> Self {
        Blockers::Graph(Vec::new())
    }

    fn of(&self, index: usize, view: &View<'_>) -> Option<usize> {
        match self {
            Blockers::List(list) => {
                let entry = &view.desired.entries()[index];
                // A managed process stops after all applications.
                let application = || list.last_application().filter(|_| entry.tier == Tier::Managed);
                list.after(entry).or_else(application)
            }
            Blockers::Graph(blockers) => blockers.get(index).copied().flatten(),
        }
    }
}

/// The blockers, and the rows that are stopping and have none.
fn blockers<'a>(view: &View<'a>, dispositions: &Dispositions<'_>) -> (Blockers<'a>, Vec<usize>) {
    let former = former_places(view);
    let stopping = |row: &Row<'_>| is_stopping(row, dispositions);
    if former.is_empty()
        && let Some(list) = view.stopping_in_list(stopping)
    {
        let (lasts, blockers): (Vec<usize>, _) = (list.lasts().collect(), Blockers::List(list));
        let next = lasts.into_iter().filter(|index| blockers.of(*index, view).is_none()).collect();
        return (blockers, next);
    }
    let (mut blockers, mut next) = (vec![None; view.count()], Vec::new());
    let mut application = None;
    let (order, former) = stop_order(view, former);
    for index in order {
        let row = &view.row(index);
        let tier = tier(row);
        // A managed process stops after all applications, which come first in this order.
        if tier == Tier::Managed {
            blockers[index] = blockers[index].or(application);
        }
        let is_stopping = is_stopping(row, dispositions);
        if is_stopping && blockers[index].is_none() {
            next.push(index);
        }
        let blocker = if is_stopping { Some(index) } else { blockers[index] };
        let wanted = row.entry.into_iter().flat_map(DesiredProcess::comes_after);
        for on in wanted.chain(former.iter().filter(|(from, _)| *from == index).map(|(_, on)| *on)) {
            blockers[on] = blockers[on].or(blocker);
        }
        if tier == Tier::Application {
            application = application.or(blocker);
        }
    }
    (Blockers::Graph(blockers), next)
}

/// Pairs of a row and one that it comes after.
type Places = Vec<(usize, usize)>;

/// All rows, each before those that it comes after, and the former places that count.
///
/// The definitions are acyclic. Places that runs got from different generations need not be, so former places inside a strongly
/// connected component don't count.
fn stop_order(view: &View<'_>, mut former: Places) -> (Vec<usize>, Places) {
    let count = view.count();
    if former.is_empty() && count == view.desired.entries().len() {
        return (view.desired.order().iter().rev().copied().collect(), former);
    }
    let mut places = wanted_places(view);
    let mut all = places.clone();
    for &(index, on) in &former {
        all.add(index, on);
    }
    let mut component_of = vec![0; all.len()];
    for (number, component) in all.components().into_iter().enumerate() {
        for node in component {
            component_of[node] = number;
        }
    }
    former.retain(|&(index, on)| component_of[index] != component_of[on]);
    for &(index, on) in &former {
        places.add(index, on);
    }
    (places.components().into_iter().rev().flatten().filter(|&node| node < count).collect(), former)
}

/// What each row comes after by the definitions in force.
fn wanted_places(view: &View<'_>) -> Graph {
    // Every application comes after this node, and this node after every managed process.
    let between = view.count();
    let mut graph = Graph::new(between + 1);
    for index in 0..view.count() {
        let row = &view.row(index);
        row.entry.into_iter().flat_map(DesiredProcess::comes_after).for_each(|on| graph.add(index, on));
        match tier(row) {
            Tier::Managed => graph.add(between, index),
            Tier::Application => graph.add(index, between),
        }
    }
    graph
}

/// What each row came after when its runs were started, and no longer comes after.
fn former_places(view: &View<'_>) -> Places {
    let mut former = Vec::new();
    for index in view.active_numbers() {
        let row = &view.row(index);
        let is_wanted = |on: &usize| row.entry.is_some_and(|entry| entry.comes_after().any(|wanted| wanted == *on));
        let places = row.runs().iter().flat_map(|run| &run.waits).filter_map(|name| view.number(name));
        former.extend(places.filter(|on| !is_wanted(on)).map(|on| (index, on)));
    }
    former
}

/// Whether a process is stopping and has to be waited for. A run that survives being killed is not waited for, nor one that is
/// kept until it is replaced.
fn is_stopping(row: &Row<'_>, dispositions: &Dispositions<'_>) -> bool {
    dispositions.of(row).iter().enumerate().any(|(place, disposition)| match disposition {
        Disposition::Stop(_) => true,
        Disposition::Ending => !row.runs()[place].reported,
        Disposition::Keep | Disposition::KeepUntilReplaced => false,
    })
}

fn tier(row: &Row<'_>) -> Tier {
    row.entry.map(|entry| entry.tier).or_else(|| row.runs().first().map(|run| run.spec.tier)).unwrap_or_default()
}
