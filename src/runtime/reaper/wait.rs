//! Reaps children that have ended: all, only adopted ones, or single ones.

use super::super::proc;
use super::exit_watch::MAX_EXITS;
use super::{CLEANUP_BATCH, Reaper, status};
use crate::sys::{self, Ended};
use std::io;

impl Reaper {
    /// Reaps every child that has ended. The kernel checks all children one by one.
    ///
    /// # Errors
    /// Those of `waitid(2)`, which are bugs.
    pub(in crate::runtime) fn reap_all(&mut self) -> io::Result<()> {
        self.exits.full_scan_begins();
        while let Some(ended) = sys::ended_child()? {
            self.finish_child(ended)?;
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
        for pid in unstarted {
            self.reap_one(pid)?;
        }
        while let Some(ended) = sys::ended_adopted()? {
            self.finish_child(ended)?;
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
        for &pid in &exits {
            self.reap_main(pid)?;
            if self.main_pids.contains_key(&pid) && proc::stat(pid).is_none_or(|stat| stat.parent != std::process::id()) {
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

    /// Reaps this main process if it has ended and is not reaped.
    ///
    /// # Errors
    /// Those of `waitid(2)`, which are bugs.
    pub(in crate::runtime) fn reap_main(&mut self, pid: u32) -> io::Result<()> {
        if self.main_pids.contains_key(&pid) || self.former_mains.contains_key(&pid) { self.reap_one(pid) } else { Ok(()) }
    }

    fn reap_one(&mut self, pid: u32) -> io::Result<()> {
        sys::ended_one(pid)?.map_or(Ok(()), |ended| self.finish_child(ended))
    }

    fn finish_child(&mut self, ended: Ended) -> io::Result<()> {
        self.child_ended(ended.pid, &status(ended.how));
        // From here on another process may have the pid, so the table must not refer to it any more.
        sys::reap(ended.pid)
    }
}
