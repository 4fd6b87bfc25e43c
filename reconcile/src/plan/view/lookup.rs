//! Finds many names, in sorted order, among entries and processes that are sorted by name.

use crate::desired::DesiredProcess;
use crate::observed::ObservedProcess;
use crate::text::Name;
use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Range;
use core::iter::Peekable;

/// Returns where a name is, or would be, among entries, searching from `place` on. It is probably near, so the steps begin with
/// one entry, and double.
pub(super) fn place_from(mut place: usize, entries: &[DesiredProcess], name: &Name) -> usize {
    let is_before = |entry: &DesiredProcess| entry.spec.name < *name;
    let mut step = 1;
    while entries.get(place + step - 1).is_some_and(is_before) {
        place += step;
        step *= 2;
    }
    let end = entries.len().min(place + step - 1);
    place + entries[place..end].partition_point(is_before)
}

/// Looks up processes by names in sorted order: first among the next few, then by a search in the whole map.
pub(super) struct Lookup<'a> {
    all: &'a BTreeMap<Name, ObservedProcess>,
    rest: Peekable<Range<'a, Name, ObservedProcess>>,
}

impl<'a> Lookup<'a> {
    /// How many processes are passed one by one; about as many comparisons as a search among thousands takes.
    const NEXT: usize = 8;

    pub(super) fn new(all: &'a BTreeMap<Name, ObservedProcess>) -> Lookup<'a> {
        Lookup { all, rest: all.range::<Name, _>(..).peekable() }
    }

    pub(super) fn get(&mut self, name: &Name) -> Option<&'a ObservedProcess> {
        let is_before = |(next, _): &(&'a Name, &'a ObservedProcess)| *next < name;
        let passed = (0..Lookup::NEXT).take_while(|_| self.rest.next_if(is_before).is_some()).count();
        if passed == Lookup::NEXT {
            self.rest = self.all.range::<Name, _>(name..).peekable();
        }
        self.rest.next_if(|(next, _)| *next == name).map(|(_, process)| process)
    }
}
