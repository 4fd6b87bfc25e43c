//! Ends of processes that the former program in this process had started, and that are still our children. They may be reaped before
//! their runs are taken over, and their exit status must not be lost.

use super::super::proc;
use super::super::tree;
use crate::journal::Started;
use reconcile::event::ExitStatus;
use std::collections::HashMap;

/// How children ended that are of no run, by pid. `None`: that is of no interest.
#[derive(Default)]
pub(super) struct UnclaimedEnds(Option<HashMap<u32, UnclaimedEnd>>);

struct UnclaimedEnd {
    status: ExitStatus,
    identity: ChildIdentity,
}

/// What tells a process from an earlier one with its pid, as in [`Started`].
#[derive(PartialEq, Eq)]
struct ChildIdentity {
    ticks: Option<u64>,
    inode: Option<u64>,
}

impl ChildIdentity {
    /// That of a child that is not reaped.
    fn of(pid: u32) -> ChildIdentity {
        let inode = tree::try_open(pid).ok().and_then(|pidfd| tree::inode(&pidfd));
        let ticks = if inode.is_some() { None } else { proc::stat(pid).and_then(|stat| stat.started) };
        ChildIdentity { ticks, inode }
    }

    fn is_recorded(&self, started: &Started) -> bool {
        (started.ticks.is_some() || started.inode.is_some()) && (self.ticks, self.inode) == (started.ticks, started.inode)
    }
}

impl UnclaimedEnds {
    /// Keeps ends from now on.
    pub(super) fn begin(&mut self) {
        self.0 = Some(HashMap::new());
    }

    /// A child that is of no run has ended, and is not reaped.
    pub(super) fn add(&mut self, pid: u32, status: &ExitStatus) {
        if let Some(ends) = &mut self.0 {
            ends.insert(pid, UnclaimedEnd { status: status.clone(), identity: ChildIdentity::of(pid) });
        }
    }

    /// How a main process of a former life ended. `unreaped`: how the child with its pid has ended that is not reaped.
    pub(super) fn end_of(&self, started: &Started, unreaped: impl FnOnce() -> Option<ExitStatus>) -> Option<ExitStatus> {
        let ends = self.0.as_ref()?;
        if let Some(end) = ends.get(&started.pid).filter(|end| end.identity.is_recorded(started)) {
            return Some(end.status.clone());
        }
        unreaped().filter(|_| ChildIdentity::of(started.pid).is_recorded(started))
    }
}
