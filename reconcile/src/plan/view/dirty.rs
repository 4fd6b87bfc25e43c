//! The processes with facts that changed since they were last found quiescent ([`super::Quiescent`]).
//!
//! One name too many costs time; a missing one is a bug. So [`Observed`](crate::observed::Observed) alone has this set, and marks
//! every process that it lends for changes.

use crate::text::Name;
use alloc::vec::Vec;

/// Names of processes, sorted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dirty(Vec<Name>);

impl Dirty {
    pub(crate) fn names(&self) -> &[Name] {
        &self.0
    }

    pub(crate) fn into_names(self) -> Vec<Name> {
        self.0
    }

    pub(crate) fn mark(&mut self, name: &Name) {
        if let Err(place) = self.0.binary_search(name) {
            self.0.insert(place, name.clone());
        }
    }

    /// Marks all processes there are; `names` is sorted.
    pub(crate) fn mark_all<'a>(&mut self, names: impl ExactSizeIterator<Item = &'a Name>) {
        // Only existing processes are marked, so equal counts mean that all of them are.
        if self.0.len() < names.len() {
            self.0 = names.cloned().collect();
        }
    }

    /// Marks all these processes, beside others that may not exist.
    pub(crate) fn extend<'a>(&mut self, names: impl Iterator<Item = &'a Name>) {
        self.0.extend(names.cloned());
        self.0.sort();
        self.0.dedup();
    }

    /// Removes these names; `names` is sorted.
    pub(crate) fn clear<'a>(&mut self, names: impl Iterator<Item = &'a Name>) {
        let mut names = names.peekable();
        self.0.retain(|name| names.next_if(|other| *other == name).is_none());
    }
}
