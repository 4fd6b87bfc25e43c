//! Definitions and facts of each process side by side: all that the rest of a plan reads.
//!
//! This module also holds everything that makes planning fast, so that no other has to know about it. Of thousands of
//! processes, nearly all are [`Quiescent`] at any moment, and reading their facts is what takes time. So a [`Planner`]
//! remembers the state of each quiescent process, and reads only the facts of the others. The plan is the same without that,
//! which the property tests check at every step.

mod dirty;
mod list;
mod lookup;
mod place_set;
mod planner;
mod quiescent;
mod states;

pub(crate) use dirty::Dirty;
pub(crate) use list::ListMembers;
pub(crate) use planner::Planner;
use quiescent::Quiescent;
use states::States;

use super::disposition::Disposition;
use super::progress::Progress;
use crate::desired::{Desired, DesiredProcess};
use crate::event::RunId;
use crate::merge_lookup::MergeLookup;
use crate::observed::{Observed, ObservedProcess, Run};
use crate::orders::Orders;
use crate::text::Name;
use crate::time::Time;
use alloc::vec::Vec;
use lookup::{Lookup, place_from};

/// All processes, by number: first those of the file as in [`Desired::entries`], then the others by name.
pub(super) struct View<'a> {
    pub(super) desired: &'a Desired,
    pub(super) orders: &'a Orders,
    pub(super) now: Time,
    /// See [`Engine::with_ordered_execs`](crate::engine::Engine::with_ordered_execs).
    pub(super) orders_execs: bool,
    /// Starts take no time, so their number is not limited.
    pub(super) is_ideal: bool,
    /// The plan says what is waited for.
    pub(super) explains: bool,
    observed: &'a Observed,
    /// The states of the rows that are not active; `None`: all are.
    states: Option<&'a States>,
    active: Vec<ActiveRow<'a>>,
}

/// A row with facts that have been read, and its number. Sorted by number.
type ActiveRow<'a> = (usize, Row<'a>);

/// One process in a [`View`].
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) name: &'a Name,
    pub(super) entry: Option<&'a DesiredProcess>,
    facts: Facts<'a>,
    /// If it is active: the place of its first run among the runs of all active rows.
    pub(super) first_run: usize,
}

#[derive(Clone, Copy)]
enum Facts<'a> {
    Read(Option<&'a ObservedProcess>),
    Unread(Quiescent, &'a Observed),
}

impl<'a> Row<'a> {
    fn new(name: &'a Name, entry: Option<&'a DesiredProcess>, facts: Facts<'a>) -> Row<'a> {
        Row { name, entry, facts, first_run: 0 }
    }

    pub(super) fn process(&self) -> Option<&'a ObservedProcess> {
        match self.facts {
            Facts::Read(process) => process,
            Facts::Unread(_, observed) => look_up(observed, self.name),
        }
    }

    pub(super) fn runs(&self) -> &'a [Run] {
        if self.count() == 0 { &[] } else { self.process().map_or(&[], |process| &process.runs) }
    }

    /// How many runs it has.
    pub(super) fn count(&self) -> usize {
        match self.facts {
            Facts::Read(process) => process.map_or(0, |process| process.runs.len()),
            Facts::Unread(quiescent, _) => quiescent.dispositions().len(),
        }
    }

    pub(super) fn replacement(&self) -> Option<RunId> {
        self.process()?.replacement
    }

    /// The disposition of each run, if it is known already: the row isn't active.
    pub(super) fn known_dispositions(&self) -> Option<&'static [Disposition<'static>]> {
        self.quiescent().map(Quiescent::dispositions)
    }

    /// The progress of the process, if it is known already.
    pub(super) fn known_progress(&self) -> Option<Progress> {
        self.quiescent().map(Quiescent::progress)
    }

    fn quiescent(&self) -> Option<Quiescent> {
        if let Facts::Unread(quiescent, _) = self.facts { Some(quiescent) } else { None }
    }
}

impl<'a> View<'a> {
    /// A view of all facts.
    pub(super) fn whole(desired: &'a Desired, orders: &'a Orders, observed: &'a Observed, now: Time) -> View<'a> {
        let mut processes = MergeLookup::over(observed.processes());
        let of_entry = |entry: &'a DesiredProcess| {
            let name = &entry.spec.name;
            Row::new(name, Some(entry), Facts::Read(processes.to(name)))
        };
        let mut rows: Vec<Row<'a>> = desired.entries().iter().map(of_entry).collect();
        let mut wanted = MergeLookup::over(desired.specs());
        let others = observed.processes().iter().filter(|(name, _)| wanted.to(name).is_none());
        rows.extend(others.map(|(name, process)| Row::new(name, None, Facts::Read(Some(process)))));
        View::of(desired, orders, observed, now, None, rows.into_iter().enumerate().collect())
    }

    /// A view of the facts of those processes that are dirty and not quiescent.
    fn partial(
        desired: &'a Desired,
        orders: &'a Orders,
        observed: &'a Observed,
        now: Time,
        states: &'a States,
        active: Vec<ActiveRow<'a>>,
    ) -> View<'a> {
        View::of(desired, orders, observed, now, Some(states), active)
    }

    fn of(
        desired: &'a Desired,
        orders: &'a Orders,
        observed: &'a Observed,
        now: Time,
        states: Option<&'a States>,
        mut active: Vec<ActiveRow<'a>>,
    ) -> View<'a> {
        let mut first_run = 0;
        for (_, row) in &mut active {
            row.first_run = first_run;
            first_run += row.count();
        }
        View {
            desired,
            orders,
            now,
            orders_execs: observed.orders_execs,
            is_ideal: observed.is_ideal,
            explains: true,
            observed,
            states,
            active,
        }
    }

    /// How many rows there are.
    pub(super) fn count(&self) -> usize {
        let last = self.active.last().map_or(0, |(number, _)| number + 1);
        self.desired.entries().len().max(last)
    }

    /// The row with a number.
    pub(super) fn row(&self, number: usize) -> Row<'a> {
        match (self.place_of(number), self.states) {
            (Ok(place), _) => self.active[place].1,
            (Err(_), Some(states)) => {
                let entry = &self.desired.entries()[number];
                Row::new(&entry.spec.name, Some(entry), Facts::Unread(states.of(number), self.observed))
            }
            (Err(_), None) => unreachable!("all rows are active"),
        }
    }

    /// The number of a process.
    pub(super) fn number(&self, name: &Name) -> Option<usize> {
        // The rows that are not in the file follow, sorted by name as well.
        let others = || {
            let others = &self.active[self.active.partition_point(|(number, _)| *number < self.desired.entries().len())..];
            Some(others[others.binary_search_by(|(_, row)| row.name.cmp(name)).ok()?].0)
        };
        self.desired.index(name).or_else(others)
    }

    /// Where a row is, or would be, among the active ones.
    fn place_of(&self, number: usize) -> Result<usize, usize> {
        match self.active.get(number) {
            // As in a view of all facts.
            Some((first, _)) if *first == number => Ok(number),
            _ => self.active.binary_search_by_key(&number, |(number, _)| *number),
        }
    }

    /// Whether a process is to run.
    pub(super) fn wants(&self, row: &Row<'_>) -> bool {
        match row.known_progress() {
            Some(progress) => progress != Progress::NotWanted,
            None => row.entry.is_some_and(|entry| self.orders.let_entry_run(entry)),
        }
    }

    /// The rows for which there may be something to do because of their own facts, by number.
    pub(super) fn active(&self) -> impl Iterator<Item = &Row<'a>> {
        self.active.iter().map(|(_, row)| row)
    }

    /// The numbers of the [`active`](Self::active) rows, sorted.
    pub(super) fn active_numbers(&self) -> impl Iterator<Item = usize> {
        self.active.iter().map(|(number, _)| *number)
    }

    /// Makes a row active: there is something to do because of other rows. `first_run` is the place of its first run.
    pub(super) fn activate(&mut self, number: usize, first_run: usize) {
        let mut row = self.row(number);
        (row.facts, row.first_run) = (Facts::Read(row.process()), first_run);
        match self.place_of(number) {
            Ok(place) => self.active[place].1 = row,
            Err(place) => self.active.insert(place, (number, row)),
        }
    }

    /// The numbers of the rows that have to pass a gate, sorted: the active ones and, of those that wait for others, the ones in
    /// `next` as long as there `is_room`. If the plan says what is waited for: the active ones, and all that wait for others.
    pub(super) fn candidates(&self, next: &[usize], mut is_room: impl FnMut(usize) -> bool) -> Vec<usize> {
        let is_waiting = |number: &usize| self.row(*number).quiescent().is_some_and(Quiescent::is_waiting);
        let mut numbers: Vec<usize> = self.active_numbers().collect();
        if self.explains {
            numbers.extend((0..self.count()).filter(is_waiting));
        } else {
            numbers.extend(next.iter().copied().filter(|number| is_waiting(number) && is_room(*number)));
        }
        numbers.sort_unstable();
        numbers
    }

    /// Whether a process that is not active has to stop.
    pub(super) fn stops_inactive(&self) -> bool {
        self.states.is_some_and(|states| !states.stopping.is_empty())
    }

    /// If the file is a plain list: the processes on their way to run. Of the active rows, those for which `is_coming` is true.
    pub(super) fn coming_in_list(&self, is_coming: impl FnMut(&Row<'a>, &DesiredProcess) -> bool) -> Option<ListMembers<'a>> {
        self.list_members(|states| &states.coming, is_coming)
    }

    /// If the file is a plain list, and no other process has a run: the processes that stop. Of the active rows, those for which
    /// `is_stopping` is true.
    pub(super) fn stopping_in_list(&self, mut is_stopping: impl FnMut(&Row<'a>) -> bool) -> Option<ListMembers<'a>> {
        let has_others = self.count() > self.desired.entries().len();
        if has_others { None } else { self.list_members(|states| &states.stopping, |row, _| is_stopping(row)) }
    }

    fn list_members(
        &self,
        inactive: impl Fn(&States) -> &place_set::PlaceSet,
        mut is_member: impl FnMut(&Row<'a>, &DesiredProcess) -> bool,
    ) -> Option<ListMembers<'a>> {
        if self.desired.names_dependencies() {
            return None;
        }
        let mut members = ListMembers::new(self.desired, inactive(self.states?).clone());
        for row in self.active() {
            if let Some(entry) = row.entry {
                members.set(entry, is_member(row, entry));
            }
        }
        Some(members)
    }
}

impl States {
    /// Reads the facts of all dirty processes. Returns the active rows, and the numbers of those that were found quiescent.
    fn read<'a>(
        &mut self,
        desired: &'a Desired,
        orders: &Orders,
        observed: &'a Observed,
        now: Time,
    ) -> (Vec<ActiveRow<'a>>, Vec<usize>) {
        let entries = desired.entries();
        let (mut active, mut others, mut quiescent) = (Vec::new(), Vec::new(), Vec::new());
        let mut processes = Lookup::new(observed.processes());
        let mut next = 0;
        for name in observed.dirty() {
            let process = processes.get(name);
            next = place_from(next, entries, name);
            let Some(entry) = entries.get(next).filter(|entry| entry.spec.name == *name) else {
                others.push((entries.len() + others.len(), Row::new(name, None, Facts::Read(process))));
                continue;
            };
            let state = Quiescent::of(process, entry, desired, orders, now);
            self.set(desired, next, state);
            match state {
                Some(_) => quiescent.push(next),
                None => active.push((next, Row::new(name, Some(entry), Facts::Read(process)))),
            }
            next += 1;
        }
        active.append(&mut others);
        (active, quiescent)
    }
}

/// Rarely called, so it isn't inlined.
#[cold]
fn look_up<'a>(observed: &'a Observed, name: &Name) -> Option<&'a ObservedProcess> {
    observed.processes().get(name)
}
