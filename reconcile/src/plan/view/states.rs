//! The states of all processes of the file that are not dirty, and which of them start or stop as soon as others have.

use super::place_set::PlaceSet;
use super::quiescent::Quiescent;
use crate::desired::Desired;
use alloc::vec;
use alloc::vec::Vec;

/// The state of each of [`Desired::entries`] that is not dirty.
#[derive(Clone, Debug, Default)]
pub(super) struct States {
    by_index: Vec<Quiescent>,
    /// The places of those that are on their way to run.
    pub(super) coming: PlaceSet,
    /// The places of those that have to stop.
    pub(super) stopping: PlaceSet,
}

impl States {
    /// For other definitions. All processes must be dirty.
    pub(super) fn new(desired: &Desired) -> States {
        let count = desired.entries().len();
        States { by_index: vec![Quiescent::default(); count], coming: PlaceSet::below(count), stopping: PlaceSet::below(count) }
    }

    pub(super) fn of(&self, index: usize) -> Quiescent {
        self.by_index[index]
    }

    /// Sets the state of a dirty process; `None`: it isn't quiescent.
    pub(super) fn set(&mut self, desired: &Desired, index: usize, state: Option<Quiescent>) {
        let place = desired.entries()[index].place;
        self.coming.set(place, state.is_some_and(Quiescent::is_coming));
        self.stopping.set(place, state.is_some_and(Quiescent::is_stopping));
        self.by_index[index] = state.unwrap_or_default();
    }
}
