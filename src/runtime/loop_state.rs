//! What the tasks of the loop's thread share: the runs of this navigator, and the processes that former ones left.

use super::orphans::Orphans;
use super::reaper::Reaper;
use reconcile::event::{Refusal, RunId};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// The state of the loop's thread.
pub(super) struct LoopState {
    pub(super) reaper: Mutex<Reaper>,
    pub(super) left: Mutex<Orphans>,
    /// There is news that a call of [`super::Runtime::perform`] made.
    pub(super) news: Notify,
}

impl LoopState {
    /// Never held across an await or a clone, and never contended: all who lock it are on the loop's thread.
    pub(super) fn lock(&self) -> MutexGuard<'_, Reaper> {
        self.reaper.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As [`LoopState::lock`].
    pub(super) fn left(&self) -> MutexGuard<'_, Orphans> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reports a start that can't even be attempted.
    pub(super) fn refuse(&self, run: RunId, stage: &str, error: String) {
        let why = Refusal::Failed { stage: stage.to_owned(), error };
        self.lock().refuse(run, why);
    }
}
