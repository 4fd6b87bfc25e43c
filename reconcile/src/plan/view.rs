//! Wishes and facts side by side: what everything else in a plan looks at. It decides nothing.
//!
//! On a host of thousands nearly every process is settled, and each lies somewhere else in memory. So of those who are known to
//! be settled nothing is touched but their [`Entry`]; what is known of one is looked up when somebody asks.

use crate::desired::{Desired, Entry};
use crate::event::RunId;
use crate::observed::{Observed, Process, Run};
use crate::orders::Orders;
use crate::text::Name;
use crate::time::Time;
use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Range;
use alloc::vec::Vec;
use core::iter::Peekable;

/// Wishes and facts by number: first the wanted processes as in [`Desired::entries`], then the others by name.
pub(crate) struct View<'a> {
    pub(crate) desired: &'a Desired,
    pub(crate) orders: &'a Orders,
    pub(crate) now: Time,
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
    /// All that runs of it is one run, which is what is wanted and ready, and of which nothing else is known. Nearly every
    /// process is like this at nearly every moment, and there is nothing to do about it by itself. More stands there.
    Settled(&'a Observed),
    /// It isn't to run, and nothing of it does; nor is there anything else to do about it. More stands there.
    AtRest(&'a Observed),
    /// This.
    Process(Option<&'a Process>),
}

impl<'a> Row<'a> {
    pub(crate) fn process(&self) -> Option<&'a Process> {
        match self.known {
            Known::Settled(observed) | Known::AtRest(observed) => look_up(observed, self.name),
            Known::Process(process) => process,
        }
    }

    pub(crate) fn runs(&self) -> &'a [Run] {
        if self.is_at_rest() { &[] } else { self.process().map_or(&[], |process| &process.runs) }
    }

    /// How many runs it has.
    pub(crate) fn count(&self) -> usize {
        if self.is_settled() { 1 } else { self.runs().len() }
    }

    pub(crate) fn replacement(&self) -> Option<RunId> {
        self.process()?.replacement
    }

    pub(crate) fn is_settled(&self) -> bool {
        matches!(self.known, Known::Settled(_))
    }

    pub(crate) fn is_at_rest(&self) -> bool {
        matches!(self.known, Known::AtRest(_))
    }

    /// Whether nobody needs to look at it by itself.
    fn is_quiet(&self) -> bool {
        self.is_settled() || self.is_at_rest()
    }
}

impl<'a> View<'a> {
    /// Looks at those who may be neither settled nor at rest, sorted by name; of everybody else the wishes say which of both.
    pub(crate) fn new(
        desired: &'a Desired,
        orders: &'a Orders,
        observed: &'a Observed,
        unsettled: impl IntoIterator<Item = &'a Name>,
        now: Time,
    ) -> View<'a> {
        let entries = desired.entries();
        let quiet = |entry: &'a Entry| {
            let is_wanted = orders.let_entry_run(entry);
            let known = if is_wanted { Known::Settled(observed) } else { Known::AtRest(observed) };
            Row { name: &entry.spec.name, entry: Some(entry), known, first_run: 0 }
        };
        let mut rows: Vec<Row<'a>> = entries.iter().map(quiet).collect();
        let mut looked_at = Vec::new();
        let mut others = Vec::new();
        let mut processes = Search::through(observed.processes());
        let mut next = 0;
        for name in unsettled {
            let process = processes.to(name);
            let known = Known::Process(process);
            next = place_from(next, entries, name);
            match entries.get(next).filter(|entry| entry.spec.name == *name) {
                Some(entry) => {
                    let row = &mut rows[next];
                    let is_quiet = match row.known {
                        Known::AtRest(_) => process.is_none_or(Process::is_at_rest),
                        _ => process.is_some_and(|process| process.is_settled(&entry.spec)),
                    };
                    if !is_quiet {
                        row.known = known;
                    }
                    looked_at.push(next);
                    next += 1;
                }
                None => others.push(Row { name, entry: None, known, first_run: 0 }),
            }
        }
        looked_at.extend(entries.len()..entries.len() + others.len());
        rows.append(&mut others);
        let mut first_run = 0;
        for row in &mut rows {
            row.first_run = first_run;
            first_run += row.count();
        }
        View { desired, orders, now, rows, looked_at }
    }

    pub(crate) fn rows(&self) -> &[Row<'a>] {
        &self.rows
    }

    /// The rows that are neither settled nor at rest.
    pub(crate) fn unsettled(&self) -> impl Iterator<Item = &Row<'a>> {
        self.looked_at.iter().map(|&index| &self.rows[index]).filter(|row| !row.is_quiet())
    }

    /// Those who were looked at for nothing, sorted by name.
    pub(crate) fn found_quiet(&self) -> Vec<Name> {
        let looked_at = self.looked_at.iter().map(|&index| &self.rows[index]);
        looked_at.filter(|row| row.is_quiet()).map(|row| row.name.clone()).collect()
    }

    /// Whether a row is wanted to run.
    pub(crate) fn wants(&self, row: &Row<'_>) -> bool {
        row.is_settled() || (!row.is_at_rest() && row.entry.is_some_and(|entry| self.orders.let_entry_run(entry)))
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
