//! The gate of a stop: a run goes once those that depend on it, and are going too, are gone.

use super::fate::Why;
use super::{Fate, Fates, Plan, Quiet, Row, Step, View, Waiting};
use crate::desired::Entry;
use crate::graph::Graph;
use crate::observed::Run;
use crate::reason::Reason;
use crate::spec::Tier;
use crate::text::Name;
use crate::time::Time;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

/// Says what is to be told to stop, and what is to be killed. Answers whether that leads to nothing else, as far as that is
/// easily seen: a stop changes nothing for others until it is over, if it has a grace, and if it is of a process's only run, as
/// another one would be judged anew.
pub(super) fn stop(view: &View<'_>, fates: &Fates<'_>, plan: &mut Plan) -> bool {
    let mut is_final = true;
    let before = plan.steps.len();
    let hurry = is_hurried(view);
    if let (Some(closing), false) = (view.orders.closing(), hurry) {
        plan.wake(closing.since + view.desired.shutdown_timeout());
    }
    let anybody_goes = fates.all().iter().any(|fate| matches!(fate, Fate::Go(_)));
    let held_by = if anybody_goes && !hurry { holders(view, fates) } else { Vec::new() };
    let mut stops = Vec::new();
    // In a shutdown everybody has to go who is held.
    let all_of_them = !plan.is_silent || view.orders.closing().is_some();
    let numbers = if all_of_them { (0..view.rows().len()).collect() } else { fates.noticed(view, &[]) };
    for (index, row) in numbers.into_iter().map(|index| (index, &view.rows()[index])) {
        if fates.are_settled(row) {
            continue;
        }
        let holder = held_by.get(index).copied().flatten();
        // Of thousands in a shutdown, nearly all.
        if plan.is_silent && holder.is_some() && row.quiet() == Some(Quiet::Held) {
            continue;
        }
        for (run, fate) in row.runs().iter().zip(fates.of(row)) {
            match fate {
                Fate::Stay | Fate::Outlive => {}
                Fate::Leaving => leave(row.name, run, hurry, view, plan),
                Fate::Go(_) if run.up.is_none() && !hurry => plan.wait(row.name, Waiting::Exec),
                Fate::Go(why) => {
                    let reason = || why.reason(run, row.entry.map(|entry| &entry.spec));
                    match holder {
                        _ if hurry => plan.steps.push(Step::Kill(run.id, reason())),
                        Some(holder) => plan.wait(row.name, Waiting::Dependent(view.rows()[holder].name.clone())),
                        None => {
                            stops.push(Step::Stop(run.id, reason()));
                            have_grace(row.name, view.now + run.spec.stop.timeout, plan);
                            let has_grace = run.spec.stop.timeout > Duration::ZERO;
                            // Of one that is well but for a file the deadline was looked at, and doesn't count any more.
                            is_final &= has_grace && row.count() == 1 && !matches!(why, Why::Watched(_));
                        }
                    }
                }
            }
        }
    }
    // A kill goes on until everything is gone, and may be another run's.
    is_final &= plan.steps.len() == before;
    plan.steps.append(&mut stops);
    is_final
}

/// Whether everything is to be killed now: by order, or because the shutdown takes too long.
fn is_hurried(view: &View<'_>) -> bool {
    let Some(closing) = view.orders.closing() else { return false };
    closing.hurry || view.now >= closing.since + view.desired.shutdown_timeout()
}

/// A run that was told to stop, or whose leader ended by itself: kill what is left when its time is up.
fn leave(name: &Name, run: &Run, hurry: bool, view: &View<'_>, plan: &mut Plan) {
    if run.killed.is_some() {
        return plan.wait(name, Waiting::Kill);
    }
    let Some(stop) = &run.stop else {
        // The leader ended by itself: what it leaves behind has nobody to answer to.
        let status = run.exit.as_ref().map_or(crate::event::Status::Lost, |(status, _)| status.clone());
        return plan.steps.push(Step::Kill(run.id, Reason::Ended(status)));
    };
    let until = stop.since + run.spec.stop.timeout;
    if hurry || view.now >= until {
        plan.steps.push(Step::Kill(run.id, stop.why.clone()));
    } else {
        have_grace(name, until, plan);
    }
}

fn have_grace(name: &Name, until: Time, plan: &mut Plan) {
    plan.wake(until);
    plan.wait(name, Waiting::Grace(until));
}

/// For each row, a row that has to be gone before it may be told to stop.
fn holders(view: &View<'_>, fates: &Fates<'_>) -> Vec<Option<usize>> {
    let is_going = |row: &Row<'_>| match row.quiet() {
        Some(Quiet::Held) => true,
        _ => !fates.are_settled(row) && is_going(row.runs(), fates.of(row)),
    };
    let going: Vec<bool> = view.rows().iter().map(is_going).collect();
    let former = former_places(view);
    let is_all_wanted = view.rows().len() == view.desired.entries().len();
    if former.is_empty() && is_all_wanted { holders_by_wishes(view, &going) } else { holders_by_places(view, &going, former) }
}

/// Where nothing has a place but by the wanted definitions: their order is known.
fn holders_by_wishes(view: &View<'_>, going: &[bool]) -> Vec<Option<usize>> {
    let entries = view.desired.entries();
    let mut held_by = vec![None; entries.len()];
    let mut application = None;
    for &index in view.desired.order().iter().rev() {
        let entry = &entries[index];
        if entry.tier == Tier::Managed {
            held_by[index] = held_by[index].or(application);
        }
        let holds = if going[index] { Some(index) } else { held_by[index] };
        for on in entry.comes_after() {
            held_by[on] = held_by[on].or(holds);
        }
        if entry.tier == Tier::Application {
            application = application.or(holds);
        }
    }
    held_by
}

fn holders_by_places(view: &View<'_>, going: &[bool], former: Vec<(usize, usize)>) -> Vec<Option<usize>> {
    let graph = places(view, former);
    let mut held_by = vec![None; graph.len()];
    // Dependents first: a component comes after everything that its edges lead to.
    for node in graph.components().into_iter().rev().flatten() {
        let holds = if going.get(node) == Some(&true) { Some(node) } else { held_by[node] };
        for &on in graph.next(node) {
            held_by[on] = held_by[on].or(holds);
        }
    }
    held_by.truncate(view.rows().len());
    held_by
}

/// What each row comes after: by the wanted definitions, and by the places that its runs have had.
///
/// Wishes are acyclic. Places that runs got from different generations need not be, so inside a strongly connected
/// component those don't count that are no longer wanted.
fn places(view: &View<'_>, former: Vec<(usize, usize)>) -> Graph {
    let mut wanted = wanted_places(view);
    if former.is_empty() {
        return wanted;
    }
    let mut all = wanted.clone();
    for &(index, on) in &former {
        all.add(index, on);
    }
    let components = all.components();
    let mut component_of = vec![0; all.len()];
    for (number, component) in components.iter().enumerate() {
        for &node in component {
            component_of[node] = number;
        }
    }
    for (index, on) in former {
        if component_of[index] != component_of[on] {
            wanted.add(index, on);
        }
    }
    wanted
}

fn wanted_places(view: &View<'_>) -> Graph {
    // Every application comes after this node, and this node after every managed process.
    let tiers = view.rows().len();
    let mut graph = Graph::new(tiers + 1);
    for (index, row) in view.rows().iter().enumerate() {
        if let Some(entry) = row.entry {
            entry.comes_after().for_each(|on| graph.add(index, on));
        }
        match tier(row) {
            Tier::Managed => graph.add(tiers, index),
            Tier::Application => graph.add(index, tiers),
        }
    }
    graph
}

/// The places that runs have had, and that are no longer wanted.
fn former_places(view: &View<'_>) -> Vec<(usize, usize)> {
    let mut former = Vec::new();
    // Who is quiet has the place that is wanted, or none.
    for (index, row) in view.rows().iter().enumerate().filter(|(_, row)| row.quiet().is_none()) {
        let wanted = || row.entry.into_iter().flat_map(Entry::comes_after).map(|on| view.rows()[on].name);
        let is_wanted = |name: &Name| wanted().any(|other| other == name);
        let waits = row.runs().iter().flat_map(|run| &run.waits);
        let gone = waits.filter(|name| !is_wanted(name)).filter_map(|name| find(view, name));
        former.extend(gone.map(|on| (index, on)));
    }
    former
}

/// Whether anything of a row is to be waited for: it is going, and neither outlives its replacement nor can't be killed.
fn is_going(runs: &[Run], fates: &[Fate<'_>]) -> bool {
    runs.iter().zip(fates).any(|(run, fate)| matches!(fate, Fate::Go(_) | Fate::Leaving) && !run.reported)
}

fn tier(row: &Row<'_>) -> Tier {
    row.entry.map(|entry| entry.tier).or_else(|| row.runs().first().map(|run| run.spec.tier)).unwrap_or_default()
}

fn find(view: &View<'_>, name: &Name) -> Option<usize> {
    let wanted = view.desired.entries().len();
    view.desired.index(name).or_else(|| {
        // The rows that are no longer wanted follow, sorted by name as well.
        view.rows()[wanted..].binary_search_by(|row| row.name.cmp(name)).ok().map(|place| wanted + place)
    })
}
