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

/// The members of a tree that was taken over, apart from its main process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FormerMembers {
    /// At least one lives.
    Alive,
    /// None is known, and the host has to be searched for others.
    Unknown,
    /// None is left, apart from those in its control group.
    Gone,
}

impl FormerTree {
    pub(super) fn new(key: RunKey) -> FormerTree {
        FormerTree { key, held: BTreeMap::new(), is_searched: false, undecided_since: None }
    }

    /// Handles of its members.
    pub(super) fn handles(&self) -> Vec<(u32, ProcessHandle)> {
        self.held.iter().filter_map(|(&pid, handle)| Some((pid, handle.copy()?))).collect()
    }

    /// Its members. `has_group`: the kernel says by its control group whether there are others.
    pub(super) fn members(&mut self, has_group: bool) -> FormerMembers {
        self.held.retain(|_, handle| handle.is_alive());
        match (self.held.is_empty(), has_group || self.is_searched) {
            (false, _) => FormerMembers::Alive,
            (true, false) => FormerMembers::Unknown,
            (true, true) => FormerMembers::Gone,
        }
    }

    /// Whether a process that may belong to it can't be judged yet.
    pub(super) fn is_undecided(&self) -> bool {
        self.undecided_since.is_some()
    }

    /// A search is over, and what it has found is added. `is_undecided`: a process can't be judged yet.
    pub(super) fn searched(&mut self, is_undecided: bool) {
        self.undecided_since = is_undecided.then(|| self.undecided_since.unwrap_or_else(Instant::now));
        let is_decided = self.undecided_since.is_none_or(|since| since.elapsed() >= LONGEST_EXEC);
        self.held.retain(|_, handle| handle.is_alive());
        self.is_searched = is_decided && self.held.is_empty();
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
