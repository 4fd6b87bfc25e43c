//! The order of a plain list, where no process names a dependency: each process comes after the one before it.
//!
//! There, all that counts is which processes are on their way, or stop. Their neighbours in the list are found without reading
//! the others.

use super::place_set::PlaceSet;
use crate::desired::{Desired, DesiredProcess};
use crate::spec::Tier;

/// Some processes of a plain list. A process with an empty `depends_on` begins a new part of the list, and so does each
/// application. Parts are independent of one another.
pub(crate) struct ListMembers<'a> {
    desired: &'a Desired,
    places: PlaceSet,
}

impl<'a> ListMembers<'a> {
    pub(super) fn new(desired: &'a Desired, places: PlaceSet) -> ListMembers<'a> {
        ListMembers { desired, places }
    }

    /// Adds a process of the file, or removes it.
    pub(crate) fn set(&mut self, entry: &DesiredProcess, is_in: bool) {
        self.places.set(entry.place, is_in);
    }

    /// The nearest member before an entry in its part of the list.
    pub(crate) fn before(&self, entry: &DesiredProcess) -> Option<usize> {
        self.places.previous(entry.place).filter(|before| *before >= entry.part).map(|before| self.index(before))
    }

    /// The nearest member after an entry in its part of the list.
    pub(crate) fn after(&self, entry: &DesiredProcess) -> Option<usize> {
        let after = self.places.next(entry.place + 1).map(|after| self.index(after))?;
        (self.desired.entries()[after].part <= entry.place).then_some(after)
    }

    /// The entry right after another one in its part of the list, if it is a member.
    pub(crate) fn right_after(&self, entry: &DesiredProcess) -> Option<usize> {
        self.after(entry).filter(|after| self.desired.entries()[*after].place == entry.place + 1)
    }

    /// The first managed process.
    pub(crate) fn first_managed(&self) -> Option<usize> {
        self.places.next(0).map(|first| self.index(first)).filter(|first| self.tier(*first) == Tier::Managed)
    }

    /// The last application.
    pub(crate) fn last_application(&self) -> Option<usize> {
        let last = self.places.previous(usize::MAX).map(|last| self.index(last));
        last.filter(|last| self.tier(*last) == Tier::Application)
    }

    /// The first member of each part, of the last part first.
    pub(crate) fn firsts(&self) -> impl Iterator<Item = usize> {
        self.lasts().filter_map(|last| self.places.next(self.desired.entries()[last].part)).map(|first| self.index(first))
    }

    /// The last member of each part, of the last part first.
    pub(crate) fn lasts(&self) -> impl Iterator<Item = usize> {
        let previous = |limit| self.places.previous(limit).map(|place| self.index(place));
        core::iter::successors(previous(usize::MAX), move |index| previous(self.desired.entries()[*index].part))
    }

    fn tier(&self, index: usize) -> Tier {
        self.desired.entries()[index].tier
    }

    fn index(&self, place: usize) -> usize {
        self.desired.order()[place]
    }
}
