//! The tree of a run: its leader, whatever descends from it, and what has been handed to us of it.
//!
//! # Who belongs
//! The leader, and everything below it by parent links. When a process ends, its children become ours, because we are
//! the subreaper of everything we start (or process 1). Such an orphan belongs to the run that
//! - a scan has seen it in before, while its parents lived ([`Members::holds`]), or whose
//! - session it is in (each leader makes its own), or whose
//! - mark its environment holds ([`super::mark`]), which names the run's process too.
//!
//! Where each run has a control group ([`super::group`]), whoever is in it belongs, too, and the group tells when it is
//! empty. It is read where anybody else belongs to the run than its leader, or there is an orphan at all: else it tells
//! nothing that the kernel's lists of children don't. Elsewhere, a process that has left the session, wiped its environment
//! *and* lost its parent before any scan belongs
//! to nobody. It is still our child, and is killed when navigator ends.
//!
//! # Why a signal never reaches a stranger
//! A number found in `/proc` may be recycled before it is used. So a pidfd is opened first, which holds one process
//! whatever becomes of its number, and then proven ([`descend`]): while the pidfd still has its process, `/proc` names
//! a member as the parent of that number, and that member, too, still is the process that its own pidfd holds.
//! Children of ours need no proof: their numbers are theirs until we reap them.
//! Where the kernel refuses pidfds, only our own unreaped children are signalled, by number: the leader's group, then
//! the orphans as they come to us. Killing still ends everything, from the top down.
//!
//! # Why no wake-up is missed
//! A tree is empty when its leader is reaped, no child of ours belongs to it, and its group has nobody in it. Of the group
//! the kernel tells. Of our children it is enough to ask: follow the parents of any member upwards, and the last one below
//! us is our child, and a member. It is asked again after each `SIGCHLD`, and that is often enough: as long as the tree is not
//! empty, one of our children belongs to it. The kernel gives a process's children to us *before* it tells us of its end. So when
//! the last such child ends, there is a `SIGCHLD`, and at that moment whatever it leaves behind is already among our children.
//!
//! One thing can't be seen at that moment: whose an orphan is that has left the session and is just in the middle of an
//! exec, or is ending while we look, for it has no environment then. What the latter leaves behind became ours after we had
//! listed our children. Until all is known no tree counts as empty, and it's looked at again shortly.

use super::proc::{self, Lineage};
use crate::signals;
use crate::sys;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FsWord, fstat, fstatfs};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::{Arc, OnceLock};

/// A hold on one process.
#[derive(Debug)]
pub(super) enum ProcessHandle {
    /// That process and no other, also after its number has been recycled.
    Pidfd(Arc<OwnedFd>),
    /// The number of a child that is not yet reaped, where pidfds are refused. Dropped when it is reaped.
    Unreaped(u32),
    /// The same for a leader: signals go to its process group.
    UnreapedLeader(u32),
}

impl ProcessHandle {
    /// A hold on a child of ours that is not yet reaped.
    pub(super) fn of_child(pid: u32) -> ProcessHandle {
        open(pid).map_or(ProcessHandle::Unreaped(pid), ProcessHandle::by)
    }

    /// A hold on a leader that is not yet reaped.
    pub(super) fn of_leader(pid: u32) -> ProcessHandle {
        open(pid).map_or(ProcessHandle::UnreapedLeader(pid), ProcessHandle::by)
    }

    /// A hold by a pidfd.
    pub(super) fn by(pidfd: OwnedFd) -> ProcessHandle {
        ProcessHandle::Pidfd(Arc::new(pidfd))
    }

    /// Sends a signal; one that comes too late is not an error.
    ///
    /// # Errors
    /// That it is not permitted, as for a program that has changed its user where navigator may not.
    pub(super) fn signal(&self, signal: i32) -> io::Result<()> {
        let result = match self {
            ProcessHandle::Pidfd(pidfd) => sys::signal_pidfd(pidfd.as_fd(), signal),
            ProcessHandle::Unreaped(pid) => sys::signal_unreaped(pid.cast_signed(), signal),
            ProcessHandle::UnreapedLeader(pid) => sys::signal_unreaped(-pid.cast_signed(), signal),
        };
        result.or_else(|error| if error.raw_os_error() == Some(libc::ESRCH) { Ok(()) } else { Err(error) })
    }

    /// Another hold on the same process; `None` for one by its number.
    pub(super) fn copy(&self) -> Option<ProcessHandle> {
        if let ProcessHandle::Pidfd(pidfd) = self { Some(ProcessHandle::Pidfd(Arc::clone(pidfd))) } else { None }
    }

    /// Whether the process still has its number: it lives, or nobody has reaped it yet.
    pub(super) fn has_number(&self) -> bool {
        match self {
            ProcessHandle::Pidfd(pidfd) => has_number(pidfd),
            ProcessHandle::Unreaped(_) | ProcessHandle::UnreapedLeader(_) => true,
        }
    }

    /// Whether the process has not ended. Without a pidfd, one that is not yet reaped counts as alive.
    pub(super) fn is_alive(&self) -> bool {
        let ProcessHandle::Pidfd(pidfd) = self else { return true };
        let mut polled = [PollFd::new(pidfd, PollFlags::IN)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        // A pidfd is readable once its process has ended. An error says nothing, and the living must not be forgotten.
        !matches!(poll(&mut polled, Some(&at_once)), Ok(1..))
    }
}

/// Holds whatever process has this number now, if there is one and pidfds are allowed.
fn open(pid: u32) -> Option<OwnedFd> {
    try_open(pid).ok()
}

/// Holds whatever process has this number now.
///
/// # Errors
/// `ESRCH` or `EINVAL` if there is none; anything else where pidfds are refused.
pub(super) fn try_open(pid: u32) -> Result<OwnedFd, Errno> {
    pidfd_open(Pid::from_raw(pid.cast_signed()).ok_or(Errno::SRCH)?, PidfdFlags::empty())
}

/// Whether the process of a pidfd still has its number: it lives, or nobody has reaped it yet.
pub(super) fn has_number(pidfd: &OwnedFd) -> bool {
    sys::signal_pidfd(pidfd.as_fd(), 0).map_or_else(|error| error.raw_os_error() != Some(libc::ESRCH), |()| true)
}

/// The inode of a pidfd. Since Linux 6.9 it's the process's own for as long as the kernel runs; before, all had the same
/// one, which says nothing.
pub(super) fn inode(pidfd: &OwnedFd) -> Option<u64> {
    /// `PID_FS_MAGIC` of the kernel's `magic.h`.
    const PIDFS: FsWord = 0x5049_4446;
    /// All pidfds of a kernel are of one kind.
    static ARE_OWN: OnceLock<bool> = OnceLock::new();
    let are_own = ARE_OWN.get_or_init(|| fstatfs(pidfd).is_ok_and(|system| system.f_type == PIDFS));
    are_own.then(|| fstat(pidfd).ok().map(|stat| stat.st_ino)).flatten()
}

/// Sends a signal to each of these.
pub(super) fn send_all(found: &[(u32, ProcessHandle)], signal: i32) {
    for (pid, handle) in found {
        send(*pid, handle, signal);
    }
}

/// Sends a signal. That it may not be sent is for people to know, and no reason to spare the others.
pub(super) fn send(pid: u32, handle: &ProcessHandle, signal: i32) {
    if let Err(error) = handle.signal(signal) {
        tracing::warn!(target: "managed_processes", pid, signal = signals::name(signal).0, %error, "Signal refused");
    }
}

/// The members of a tree that have been seen and held, so that each is told once, and is known again as an orphan.
#[derive(Debug, Default)]
pub(super) struct TreeMembers(HashMap<u32, ProcessHandle>);

impl TreeMembers {
    /// Whether the process that has this number is one of them.
    pub(super) fn holds(&self, pid: u32) -> bool {
        self.0.get(&pid).is_some_and(ProcessHandle::has_number)
    }

    /// Holds these too.
    pub(super) fn add(&mut self, found: Vec<(u32, ProcessHandle)>) {
        self.0.extend(found);
    }

    /// Lets go of one that is reaped.
    pub(super) fn forget(&mut self, pid: u32) {
        self.0.remove(&pid);
    }
}

/// Everything alive at and below these roots, each proven to be there by the time it was held. Roots are held by pidfds,
/// or are children of ours that are not reaped while this runs.
pub(super) fn descend(lineage: &Lineage, roots: Vec<(u32, ProcessHandle)>) -> Vec<(u32, ProcessHandle)> {
    let mut known: HashSet<u32> = roots.iter().map(|&(pid, _)| pid).collect();
    let mut found = roots;
    let mut next = 0;
    while next < found.len() {
        let (parent, ref holder) = found[next];
        next += 1;
        if !matches!(holder, ProcessHandle::Pidfd(_)) {
            continue;
        }
        let mut below = Vec::new();
        for pid in lineage.children(parent) {
            let Some(pidfd) = open(pid).filter(|_| !known.contains(&pid)) else { continue };
            let handle = ProcessHandle::by(pidfd);
            let is_child = proc::stat(pid).is_some_and(|stat| stat.parent == parent);
            if is_child && handle.has_number() && holder.has_number() {
                known.insert(pid);
                below.push((pid, handle));
            }
        }
        found.append(&mut below);
    }
    found.retain(|(_, handle)| handle.is_alive());
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_finding_children_agree() {
        let own = std::process::id();
        let parent = proc::stat(own).expect("we exist").parent;
        for lineage in [Lineage::now(), Lineage::scan()] {
            assert!(lineage.children(parent).contains(&own));
        }
    }
}
