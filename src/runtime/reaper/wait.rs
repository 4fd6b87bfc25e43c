//! Which children are looked at for having ended, and when all of them have to be. Whose they are is told elsewhere.

use super::exit_watch::AT_ONCE;
use super::{MUCH_TO_TIDY, Reaper, status};
use crate::sys::{self, Ended};
use std::io;

impl Reaper {
    /// Reaps every child that has ended, for which the kernel looks at each.
    ///
    /// # Errors
    /// Those of `waitid(2)`, which are bugs.
    pub(in crate::runtime) fn reap(&mut self) -> io::Result<()> {
        self.ends.are_looked_at();
        while let Some(ended) = sys::ended_child()? {
            self.take_leave(ended)?;
        }
        Ok(())
    }

    /// Reaps those who were handed to us and have ended, and those that may have ended before they could be called started. Leaders
    /// are not looked at, where those can be told apart.
    ///
    /// # Errors
    /// Those of `waitid(2)`, which are bugs.
    pub(in crate::runtime) fn reap_others(&mut self) -> io::Result<()> {
        let unborn: Vec<u32> = self.unborn_pids().map(|(_, pid)| pid).collect();
        for pid in unborn {
            self.reap_one(pid)?;
        }
        while let Some(ended) = sys::ended_adopted()? {
            self.take_leave(ended)?;
        }
        Ok(())
    }

    /// Reaps leaders that have told of their end, so many that others are not kept waiting; answers whether there may be more.
    ///
    /// # Errors
    /// Those of `epoll_wait(2)` and `waitid(2)`, which are bugs.
    pub(in crate::runtime) fn reap_told(&mut self) -> io::Result<bool> {
        let told = self.ends.tell()?;
        self.are_many_ending = told.len() >= MUCH_TO_TIDY;
        for &pid in &told {
            self.reap_leader(pid)?;
            self.ends.doubt(pid);
        }
        Ok(told.len() == AT_ONCE)
    }

    /// Whether a leader may end of which nothing but [`Reaper::reap`] is sure to tell.
    pub(in crate::runtime) fn needs_looks(&self) -> bool {
        self.ends.is_any_untold()
    }

    /// Reaps this leader if it has ended, and somebody hasn't done so before.
    ///
    /// # Errors
    /// Those of `waitid(2)`, which are bugs.
    pub(in crate::runtime) fn reap_leader(&mut self, pid: u32) -> io::Result<()> {
        if self.leaders.contains_key(&pid) { self.reap_one(pid) } else { Ok(()) }
    }

    fn reap_one(&mut self, pid: u32) -> io::Result<()> {
        sys::ended_one(pid)?.map_or(Ok(()), |ended| self.take_leave(ended))
    }

    fn take_leave(&mut self, ended: Ended) -> io::Result<()> {
        self.ended(ended.pid, &status(ended.how));
        // From here on the number may be somebody else's, so nothing in the table may still mean this child by it.
        sys::reap(ended.pid)
    }
}
