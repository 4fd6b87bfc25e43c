//! State shared by the tasks on the loop's thread: this navigator's runs, and the orphans of earlier navigators.

use super::orphans::Orphans;
use super::reaper::Reaper;
use reconcile::event::{Refusal, RunId};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// The state of the loop's thread.
pub(super) struct LoopState {
    pub(super) reaper: Mutex<Reaper>,
    pub(super) orphans: Mutex<Orphans>,
    /// Wakes the reaper's task when a call of [`super::Runtime::perform`] has made events.
    pub(super) news: Notify,
}

impl LoopState {
    /// Locks the reaper. Never held across an await or a clone, and never contended: only the loop's thread locks it.
    pub(super) fn lock(&self) -> MutexGuard<'_, Reaper> {
        self.reaper.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks the orphans, by the rules of [`LoopState::lock`].
    pub(super) fn orphans(&self) -> MutexGuard<'_, Orphans> {
        self.orphans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks for further processes of runs that were taken over and seem to be gone. Then reports those that are.
    pub(super) fn search_for_taken_over(&self) {
        let unsearched = self.lock().unsearched();
        for (run, key) in &unsearched {
            let (found, is_undecided) = self.orphans().find_of(key);
            self.lock().searched(*run, found, is_undecided);
        }
        if !unsearched.is_empty() {
            self.lock().report_finished();
        }
        let gone = self.lock().take_gone_former();
        for key in &gone {
            self.orphans().forget(key);
        }
    }

    /// Reports a start that can't be attempted.
    pub(super) fn refuse(&self, run: RunId, stage: &str, error: String) {
        let why = Refusal::Failed { stage: stage.to_owned(), error };
        self.lock().refuse(run, why);
    }
}
