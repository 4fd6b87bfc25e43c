//! Looks up names in a sorted sequence, in sorted order.
//!
//! To look up all names takes one pass, where a search for each would take longer.

use crate::text::Name;
use core::iter::Peekable;

/// One pass over pairs of a name and a value that are sorted by name.
pub(crate) struct MergeLookup<I: Iterator>(Peekable<I>);

impl<'a, T, I: Iterator<Item = (&'a Name, T)>> MergeLookup<I> {
    pub(crate) fn over(sorted: impl IntoIterator<IntoIter = I>) -> MergeLookup<I> {
        MergeLookup(sorted.into_iter().peekable())
    }

    /// The value of a name; `name` must come after every name that was looked up before.
    pub(crate) fn to(&mut self, name: &Name) -> Option<T> {
        while self.0.next_if(|(other, _)| *other < name).is_some() {}
        self.0.next_if(|(other, _)| *other == name).map(|(_, value)| value)
    }
}
