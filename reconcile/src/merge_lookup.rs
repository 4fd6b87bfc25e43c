//! Looks names up in a sorted sequence, one after the other: where all are asked for, a walk is as long as the sequence, and a
//! search would begin anew for each.

use crate::text::Name;
use core::iter::Peekable;

/// A walk over pairs of a name and a value that are sorted by name.
pub(crate) struct MergeLookup<I: Iterator>(Peekable<I>);

impl<'a, T, I: Iterator<Item = (&'a Name, T)>> MergeLookup<I> {
    pub(crate) fn over(sorted: impl IntoIterator<IntoIter = I>) -> MergeLookup<I> {
        MergeLookup(sorted.into_iter().peekable())
    }

    /// The value of a name that comes behind every name that was asked for before.
    pub(crate) fn to(&mut self, name: &Name) -> Option<T> {
        while self.0.next_if(|(other, _)| *other < name).is_some() {}
        self.0.next_if(|(other, _)| *other == name).map(|(_, value)| value)
    }
}
