//! Ends of processes that the former program in this process had started, and that are still our children. They may be reaped before
//! their runs are taken over, and their exit status must not be lost.

use super::super::proc;
use super::super::tree;
use super::{Reaper, status};
use crate::journal::Started;
use crate::sys;
use reconcile::event::ExitStatus;
use std::collections::HashMap;

/// How children ended that are of no run, by pid.
#[derive(Default)]
pub(super) struct UnclaimedEnds(Option<HashMap<u32, UnclaimedEnd>>);

struct UnclaimedEnd {
    status: ExitStatus,
    identity: Identity,
}

/// What tells a process from an earlier one with its pid, as in [`Started`].
#[derive(PartialEq, Eq)]
struct Identity {
    ticks: Option<u64>,
    inode: Option<u64>,
}

impl Identity {
    /// That of a child that is not reaped.
    fn of_child(pid: u32) -> Identity {
        let inode = tree::try_open(pid).ok().and_then(|pidfd| tree::inode(&pidfd));
        let ticks = if inode.is_some() { None } else { proc::stat(pid).and_then(|stat| stat.started) };
        Identity { ticks, inode }
    }

    fn is_recorded(&self, started: &Started) -> bool {
        (started.ticks.is_some() || started.inode.is_some()) && (self.ticks, self.inode) == (started.ticks, started.inode)
    }
}

impl UnclaimedEnds {
    /// A child that is of no run has ended, and is not reaped.
    pub(super) fn add(&mut self, pid: u32, status: &ExitStatus) {
        if let Some(ends) = &mut self.0 {
            ends.insert(pid, UnclaimedEnd { status: status.clone(), identity: Identity::of_child(pid) });
        }
    }
}

impl Reaper {
    /// From now on, keeps how children end that are of no run.
    pub(in crate::runtime) fn keep_unclaimed_ends(&mut self) {
        self.unclaimed = UnclaimedEnds(Some(HashMap::new()));
    }

    /// Forgets them.
    pub(in crate::runtime) fn forget_unclaimed_ends(&mut self) {
        self.unclaimed = UnclaimedEnds::default();
    }

    /// How a main process of a former life ended, if it was our child.
    pub(in crate::runtime) fn end_of_former(&self, started: &Started) -> Option<ExitStatus> {
        let ends = self.unclaimed.0.as_ref()?;
        if let Some(end) = ends.get(&started.pid).filter(|end| end.identity.is_recorded(started)) {
            return Some(end.status.clone());
        }
        let ended = sys::ended_one(started.pid).ok().flatten()?;
        Identity::of_child(started.pid).is_recorded(started).then(|| status(ended.how))
    }
}
