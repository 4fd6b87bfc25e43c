//! Wishes and facts side by side: what everything else in a plan looks at. It decides nothing.
//!
//! On a host of thousands nearly every process is quiet ([`Quiet`]), and each lies somewhere else in memory. So of those who are
//! known to be nothing is touched but their [`Entry`]; what is known of one is looked up when somebody asks.

use super::quiet::Quiet;
use crate::desired::{Desired, Entry};
use crate::event::RunId;
use crate::observed::{Observed, Process, Run};
use crate::orders::Orders;
use crate::text::Name;
use crate::time::Time;
use crate::walk::Walk;
use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Range;
use alloc::vec::Vec;
use core::iter::Peekable;

/// Wishes and facts by number: first the wanted processes as in [`Desired::entries`], then the others by name.
pub(crate) struct View<'a> {
    pub(crate) desired: &'a Desired,
    pub(crate) orders: &'a Orders,
    pub(crate) now: Time,
    /// See [`Engine::with_ordered_execs`](crate::engine::Engine::with_ordered_execs).
    pub(super) orders_execs: bool,
    /// No start takes any time, so that any number of them may be under way at once.
    pub(super) is_ideal: bool,
    rows: Vec<Row<'a>>,
    /// The numbers of the rows that were looked at.
    looked_at: Vec<usize>,
}

/// One process in a [`View`].
#[derive(Clone, Copy)]
pub(crate) struct Row<'a> {
    pub(crate) name: &'a Name,
    pub(crate) entry: Option<&'a Entry>,
    known: Known<'a>,
    /// The place of its first run among all runs.
    pub(super) first_run: usize,
}

/// What is known of a process.
#[derive(Clone, Copy)]
enum Known<'a> {
    /// Nobody has to look at it by itself. More stands there.
    Quiet(Quiet, &'a Observed),
    /// This.
    Process(Option<&'a Process>),
}

impl<'a> Row<'a> {
    pub(crate) fn process(&self) -> Option<&'a Process> {
        match self.known {
            Known::Quiet(_, observed) => look_up(observed, self.name),
            Known::Process(process) => process,
        }
    }

    pub(crate) fn runs(&self) -> &'a [Run] {
        if self.count_of_quiet() == Some(0) { &[] } else { self.process().map_or(&[], |process| &process.runs) }
    }

    /// How many runs it has.
    pub(crate) fn count(&self) -> usize {
        self.count_of_quiet().unwrap_or_else(|| self.runs().len())
    }

    fn count_of_quiet(&self) -> Option<usize> {
        self.quiet().map(Quiet::count)
    }

    pub(crate) fn replacement(&self) -> Option<RunId> {
        self.process()?.replacement
    }

    /// What it is at, if nobody has to look at it by itself.
    pub(crate) fn quiet(&self) -> Option<Quiet> {
        if let Known::Quiet(quiet, _) = self.known { Some(quiet) } else { None }
    }
}

impl<'a> View<'a> {
    /// Looks at everybody, and takes nobody for quiet.
    pub(crate) fn whole(desired: &'a Desired, orders: &'a Orders, observed: &'a Observed, now: Time) -> View<'a> {
        let row = |name, entry, process| Row { name, entry, known: Known::Process(process), first_run: 0 };
        let mut processes = Walk::over(observed.processes());
        let of_entry = |entry: &'a Entry| row(&entry.spec.name, Some(entry), processes.to(&entry.spec.name));
        let mut rows: Vec<Row<'a>> = desired.entries().iter().map(of_entry).collect();
        let mut wanted = Walk::over(desired.specs());
        let others = observed.processes().iter().filter(|(name, _)| wanted.to(name).is_none());
        rows.extend(others.map(|(name, process)| row(name, None, Some(process))));
        let looked_at = (0..rows.len()).collect();
        View { desired, orders, now, orders_execs: observed.orders_execs, is_ideal: observed.is_ideal, rows, looked_at }.counted()
    }

    /// Looks at those who may not be quiet, sorted by name. Of everybody else in [`Desired::entries`] `quiet` says what he is at.
    pub(crate) fn new(
        desired: &'a Desired,
        orders: &'a Orders,
        observed: &'a Observed,
        stirred: &'a [Name],
        quiet: &[Quiet],
        now: Time,
    ) -> View<'a> {
        let entries = desired.entries();
        let of_entry = |(entry, quiet): (&'a Entry, &Quiet)| {
            let known = Known::Quiet(*quiet, observed);
            Row { name: &entry.spec.name, entry: Some(entry), known, first_run: 0 }
        };
        let mut rows: Vec<Row<'a>> = entries.iter().zip(quiet).map(of_entry).collect();
        let mut looked_at = Vec::new();
        let mut others = Vec::new();
        let mut processes = Search::through(observed.processes());
        let mut next = 0;
        for name in stirred {
            let process = processes.to(name);
            next = place_from(next, entries, name);
            match entries.get(next).filter(|entry| entry.spec.name == *name) {
                Some(entry) => {
                    let quiet = Quiet::of(process, entry, orders, now);
                    rows[next].known = quiet.map_or(Known::Process(process), |quiet| Known::Quiet(quiet, observed));
                    looked_at.push(next);
                    next += 1;
                }
                None => others.push(Row { name, entry: None, known: Known::Process(process), first_run: 0 }),
            }
        }
        looked_at.extend(entries.len()..entries.len() + others.len());
        rows.append(&mut others);
        View { desired, orders, now, orders_execs: observed.orders_execs, is_ideal: observed.is_ideal, rows, looked_at }.counted()
    }

    /// Gives the runs their places.
    fn counted(mut self) -> View<'a> {
        let mut first_run = 0;
        for row in &mut self.rows {
            row.first_run = first_run;
            first_run += row.count();
        }
        self
    }

    pub(crate) fn rows(&self) -> &[Row<'a>] {
        &self.rows
    }

    /// The rows that are not quiet.
    pub(crate) fn unquiet(&self) -> impl Iterator<Item = &Row<'a>> {
        self.unquiet_numbers().map(|index| &self.rows[index])
    }

    /// The numbers of the rows that are not quiet.
    pub(crate) fn unquiet_numbers(&self) -> impl Iterator<Item = usize> {
        self.looked_at.iter().copied().filter(|&index| self.rows[index].quiet().is_none())
    }

    /// The numbers of those who were looked at for nothing, and what they are at.
    pub(crate) fn found_quiet(&self) -> Vec<(usize, Quiet)> {
        self.looked_at.iter().filter_map(|&index| Some((index, self.rows[index].quiet()?))).collect()
    }

    /// Whether a row is wanted to run.
    pub(crate) fn wants(&self, row: &Row<'_>) -> bool {
        match row.quiet() {
            Some(quiet) => quiet.is_wanted(),
            None => row.entry.is_some_and(|entry| self.orders.let_entry_run(entry)),
        }
    }
}

/// Hardly ever asked for, and so kept out of the way of all that ask about others.
#[cold]
fn look_up<'a>(observed: &'a Observed, name: &Name) -> Option<&'a Process> {
    observed.processes().get(name)
}

/// The place of a name among entries that are sorted by name, from a place on. Mostly it is near: so the steps begin with one
/// entry, and double.
fn place_from(mut place: usize, entries: &[Entry], name: &Name) -> usize {
    let is_before = |entry: &Entry| entry.spec.name < *name;
    let mut step = 1;
    while entries.get(place + step - 1).is_some_and(is_before) {
        place += step;
        step *= 2;
    }
    let end = entries.len().min(place + step - 1);
    place + entries[place..end].partition_point(is_before)
}

/// Looks up names that come one behind the other: mostly one of the next, and else among all.
struct Search<'a> {
    all: &'a BTreeMap<Name, Process>,
    rest: Peekable<Range<'a, Name, Process>>,
}

impl<'a> Search<'a> {
    /// How many are passed by one by one; about as many as it takes to find one among thousands.
    const NEXT: usize = 8;

    fn through(all: &'a BTreeMap<Name, Process>) -> Search<'a> {
        Search { all, rest: all.range::<Name, _>(..).peekable() }
    }

    fn to(&mut self, name: &Name) -> Option<&'a Process> {
        let is_before = |(next, _): &(&'a Name, &'a Process)| *next < name;
        let passed = (0..Search::NEXT).take_while(|_| self.rest.next_if(is_before).is_some()).count();
        if passed == Search::NEXT {
            self.rest = self.all.range::<Name, _>(name..).peekable();
        }
        self.rest.next_if(|(next, _)| *next == name).map(|(_, process)| process)
    }
}
