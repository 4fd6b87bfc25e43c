//! The members of a tree that was taken over, by pidfds.

use super::super::tree::{LONGEST_EXEC, ProcessHandle};
use crate::journal::RunKey;
use rustix::event::epoll;
use rustix::fd::OwnedFd;
use std::collections::BTreeMap;
use std::time::Instant;

/// The tree of a run that was taken over, as far as it is not found by other means.
pub(super) struct FormerTree {
    /// Its entry in the journal.
    pub(super) key: RunKey,
    /// Members that were found by evidence.
    held: BTreeMap<u32, ProcessHandle>,
    /// Nothing of it was found since its last known member ended.
    is_searched: bool,
    /// Since when a process that may belong to it can't be judged.
    undecided_since: Option<Instant>,
}

impl FormerTree {
    pub(super) fn new(key: RunKey) -> FormerTree {
        FormerTree { key, held: BTreeMap::new(), is_searched: false, undecided_since: None }
    }

    /// The members that live. If there are none, it has to be searched for others.
    pub(super) fn living(&mut self) -> Vec<(u32, ProcessHandle)> {
        self.held.retain(|_, handle| handle.is_alive());
        self.handles()
    }

    /// Handles of its members.
    pub(super) fn handles(&self) -> Vec<(u32, ProcessHandle)> {
        self.held.iter().filter_map(|(&pid, handle)| Some((pid, handle.copy()?))).collect()
    }

    /// Whether a search since the end of its last known member has found nothing.
    pub(super) fn is_searched(&self) -> bool {
        self.is_searched
    }

    /// Whether a process that may belong to it can't be judged yet.
    pub(super) fn is_undecided(&self) -> bool {
        self.undecided_since.is_some()
    }

    /// A search is over, and what it has found is added. `is_undecided`: a process can't be judged yet.
    pub(super) fn searched(&mut self, is_undecided: bool) {
        self.undecided_since = is_undecided.then(|| self.undecided_since.unwrap_or_else(Instant::now));
        let is_decided = self.undecided_since.is_none_or(|since| since.elapsed() >= LONGEST_EXEC);
        self.is_searched = is_decided && self.living().is_empty();
    }

    /// Adds members. Their ends make `ends` readable.
    pub(super) fn add(&mut self, found: impl IntoIterator<Item = (u32, ProcessHandle)>, ends: &OwnedFd) {
        for (pid, handle) in found {
            if !handle.is_alive() || self.held.get(&pid).is_some_and(ProcessHandle::has_pid) {
                continue;
            }
            if let ProcessHandle::Pidfd(pidfd) = &handle {
                let data = epoll::EventData::new_u64(u64::from(pid));
                if let Err(error) = epoll::add(ends, pidfd, data, epoll::EventFlags::IN) {
                    tracing::warn!(target: "managed_processes", pid, %error, "Failed to watch for the end of a process");
                }
            }
            self.held.insert(pid, handle);
        }
    }
}
