//! Reaps children that have ended: all, only adopted ones, or single ones.

use super::super::proc;
use super::exit_watch::MAX_EXITS;
use super::{CLEANUP_BATCH, Reaper, status};
use crate::sys::Ended;
use std::io;

impl Reaper {
    /// Reaps every child that has ended. The kernel checks all children one by one.
    ///
    /// # Errors
    /// Those of `waitid(2)`, which are bugs.
    pub(in crate::runtime) fn reap_all(&mut self) -> io::Result<()> {
        self.exits.full_scan_begins();
        while let Some(ended) = self.parents.ended_any()? {
            self.finish_child(ended);
        }
        Ok(())
    }

    /// Reaps adopted children that have ended, and children of starts in progress. Where the kernel can tell them apart, main
    /// processes are not checked.
    ///
    /// # Errors
    /// Those of `waitid(2)`, which are bugs.
    pub(in crate::runtime) fn reap_adopted(&mut self) -> io::Result<()> {
        let unstarted: Vec<u32> = self.unstarted_pids().map(|(_, pid)| pid).collect();
        self.reap_those(&unstarted)?;
        while let Some(ended) = self.parents.ended_adopted()? {
            self.finish_child(ended);
        }
        Ok(())
    }

    /// Reaps a batch of the main processes that ended. Returns whether there may be more.
    ///
    /// # Errors
    /// Those of `epoll_wait(2)` and `waitid(2)`, which are bugs.
    pub(in crate::runtime) fn reap_mains(&mut self) -> io::Result<bool> {
        let exits = self.exits.take_exits()?;
        self.is_mass_exit = exits.len() >= CLEANUP_BATCH;
        self.reap_main_of(&exits)?;
        for &pid in &exits {
            if self.main_pids.contains_key(&pid) && proc::stat(pid).is_none_or(|stat| !self.parents.contains(stat.parent)) {
                self.foreign_main_ended(pid);
            }
            self.exits.mark_unreliable(pid);
        }
        Ok(exits.len() == MAX_EXITS)
    }

    /// Whether only [`Reaper::reap_all`] is sure to find the end of some main process.
    pub(in crate::runtime) fn needs_full_scans(&self) -> bool {
        self.exits.has_unwatched()
    }

    /// Reaps the main processes among these that have ended and are not reaped.
    ///
    /// # Errors
    /// Those of `waitid(2)`, which are bugs.
    pub(in crate::runtime) fn reap_main_of(&mut self, pids: &[u32]) -> io::Result<()> {
        let is_main = |pid: &u32| self.main_pids.contains_key(pid) || self.former_mains.contains_key(pid);
        let mains: Vec<u32> = pids.iter().copied().filter(is_main).collect();
        self.reap_those(&mains)
    }

    fn reap_those(&mut self, pids: &[u32]) -> io::Result<()> {
        if !pids.is_empty() {
            for ended in self.parents.ended_of(pids)? {
                self.finish_child(ended);
            }
        }
        Ok(())
    }

    fn finish_child(&mut self, ended: Ended) {
        self.child_ended(ended.pid, &status(ended.how));
        // From here on another process may have the pid, so the table must not refer to it any more.
        self.parents.reap(ended.pid);
    }
}
