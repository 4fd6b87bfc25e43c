//! Ends of processes that the former program in this process had started, and that are still our children. They may be reaped before
//! their runs are taken over, and their exit status must not be lost.

use super::super::tree;
use crate::journal::Started;
use reconcile::event::ExitStatus;
use std::collections::HashMap;

/// How children ended that are of no run, by pid. `None`: that is of no interest.
#[derive(Default)]
pub(super) struct UnclaimedEnds(Option<HashMap<u32, UnclaimedEnd>>);

struct UnclaimedEnd {
    status: ExitStatus,
    /// See [`tree::identity`].
    identity: (Option<u64>, Option<u64>),
}

/// The identity of a child that is not reaped.
fn identity(pid: u32) -> (Option<u64>, Option<u64>) {
    tree::identity(pid, tree::try_open(pid).ok().as_ref())
}

fn is_recorded(identity: (Option<u64>, Option<u64>), started: &Started) -> bool {
    identity != (None, None) && identity == (started.ticks, started.inode)
}

impl UnclaimedEnds {
    /// Keeps ends from now on.
    pub(super) fn begin(&mut self) {
        self.0 = Some(HashMap::new());
    }

    /// A child that is of no run has ended, and is not reaped.
    pub(super) fn add(&mut self, pid: u32, status: &ExitStatus) {
        if let Some(ends) = &mut self.0 {
            ends.insert(pid, UnclaimedEnd { status: status.clone(), identity: identity(pid) });
        }
    }

    /// How a main process of a former life ended. `unreaped`: how the child with its pid has ended that is not reaped.
    pub(super) fn end_of(&self, started: &Started, unreaped: impl FnOnce() -> Option<ExitStatus>) -> Option<ExitStatus> {
        let ends = self.0.as_ref()?;
        if let Some(end) = ends.get(&started.pid).filter(|end| is_recorded(end.identity, started)) {
            return Some(end.status.clone());
        }
        unreaped().filter(|_| is_recorded(identity(started.pid), started))
    }
}
