//! Definitions and facts of each process side by side: all that the rest of a plan reads.
//!
//! This module also holds everything that makes planning fast, so that no other has to know of it. On a host of thousands, nearly
//! every process is [`Quiescent`] at nearly every moment, and reading its facts is what takes time. So a [`Planner`] remembers
//! the state of each quiescent process, and reads the facts of the others alone. The plan is the same without that, which the
//! property tests check at every step.

mod dirty;
mod lookup;
mod planner;
mod quiescent;

pub(crate) use dirty::Dirty;
pub(crate) use planner::Planner;
use quiescent::Quiescent;

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
    rows: Vec<Row<'a>>,
    /// The numbers of the rows with facts that have been read, sorted.
    read: Vec<usize>,
}

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
        let read = (0..rows.len()).collect();
        View::of(desired, orders, observed, now, rows, read)
    }

    /// A view of the facts of those processes that are dirty and not quiescent. Where an entry is not dirty, `quiescent` has its
    /// state. Returns also what dirty entries were found to be quiescent.
    fn partial(
        desired: &'a Desired,
        orders: &'a Orders,
        observed: &'a Observed,
        quiescent: &[Quiescent],
        now: Time,
    ) -> (View<'a>, Vec<(usize, Quiescent)>) {
        let entries = desired.entries();
        let of_entry = |(entry, quiescent): (&'a DesiredProcess, &Quiescent)| {
            Row::new(&entry.spec.name, Some(entry), Facts::Unread(*quiescent, observed))
        };
        let mut rows: Vec<Row<'a>> = entries.iter().zip(quiescent).map(of_entry).collect();
        let (mut read, mut found) = (Vec::new(), Vec::new());
        let mut processes = Lookup::new(observed.processes());
        let mut next = 0;
        for name in observed.dirty() {
            let process = processes.get(name);
            next = place_from(next, entries, name);
            let Some(entry) = entries.get(next).filter(|entry| entry.spec.name == *name) else {
                read.push(rows.len());
                rows.push(Row::new(name, None, Facts::Read(process)));
                continue;
            };
            if let Some(quiescent) = Quiescent::of(process, entry, desired, orders, now) {
                rows[next].facts = Facts::Unread(quiescent, observed);
                found.push((next, quiescent));
            } else {
                rows[next].facts = Facts::Read(process);
                read.push(next);
            }
            next += 1;
        }
        read.sort_unstable();
        (View::of(desired, orders, observed, now, rows, read), found)
    }

    fn of(
        desired: &'a Desired,
        orders: &'a Orders,
        observed: &'a Observed,
        now: Time,
        mut rows: Vec<Row<'a>>,
        read: Vec<usize>,
    ) -> View<'a> {
        let mut first_run = 0;
        for &index in &read {
            rows[index].first_run = first_run;
            first_run += rows[index].count();
        }
        View {
            desired,
            orders,
            now,
            orders_execs: observed.orders_execs,
            is_ideal: observed.is_ideal,
            explains: true,
            observed,
            rows,
            read,
        }
    }

    pub(super) fn rows(&self) -> &[Row<'a>] {
        &self.rows
    }

    /// Whether a process is to run.
    pub(super) fn wants(&self, row: &Row<'_>) -> bool {
        match row.known_progress() {
            Some(progress) => progress != Progress::NotWanted,
            None => row.entry.is_some_and(|entry| self.orders.let_entry_run(entry)),
        }
    }

    /// The rows for which there may be something to do because of their own facts.
    pub(super) fn active(&self) -> impl Iterator<Item = &Row<'a>> {
        self.active_numbers().map(|index| &self.rows[index])
    }

    /// The numbers of the [`active`](Self::active) rows, sorted.
    pub(super) fn active_numbers(&self) -> impl Iterator<Item = usize> {
        self.read.iter().copied()
    }

    /// Makes a row active: there is something to do because of other rows. `first_run` is the place of its first run.
    pub(super) fn activate(&mut self, index: usize, first_run: usize) {
        if let Err(place) = self.read.binary_search(&index) {
            self.read.insert(place, index);
        }
        let row = &mut self.rows[index];
        (row.facts, row.first_run) = (Facts::Read(row.process()), first_run);
    }

    /// The numbers of the rows that have to pass a gate, sorted: the active ones and, of those that wait for others, the ones in
    /// `next` as long as there `is_room`. If the plan says what is waited for: the active ones, and all that wait for others.
    pub(super) fn candidates(&self, next: &[usize], mut is_room: impl FnMut(usize) -> bool) -> Vec<usize> {
        let is_waiting = |index: &usize| self.rows[*index].quiescent().is_some_and(Quiescent::is_waiting);
        let mut numbers: Vec<usize> = self.active_numbers().collect();
        if self.explains {
            numbers.extend((0..self.rows.len()).filter(is_waiting));
        } else {
            numbers.extend(next.iter().copied().filter(|index| is_waiting(index) && is_room(*index)));
        }
        numbers.sort_unstable();
        numbers
    }
}

/// Rarely called, and kept out of the way of what calls it.
#[cold]
fn look_up<'a>(observed: &'a Observed, name: &Name) -> Option<&'a ObservedProcess> {
    observed.processes().get(name)
}
