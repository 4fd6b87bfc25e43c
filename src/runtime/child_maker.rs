//! Makes the children that execute programs: by the keeper, or by this process where there is none.

use super::proc;
use crate::access::Directory;
use crate::keeper::{KeptWithChild, StartLink, StartLinkError};
use crate::sys::clone::{self, Child, CloneFailure, Stack, Stage, StartedChild};
use crate::sys::slot::{Slot, SlotTable};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Where children are made: the same for all threads.
#[derive(Debug)]
pub(super) struct StartPlace {
    /// The directory of the instance, and the slots of its starts. `None`: this process makes them itself.
    shared: Option<(Directory, Arc<SlotTable>)>,
    keepers: Mutex<Keepers>,
}

#[derive(Debug, Default)]
struct Keepers {
    /// The name and pid of the one that makes children, if there is one. A later one may have the same name.
    current: Option<(String, u32)>,
    /// The pids of all.
    pids: Vec<u32>,
}

impl StartPlace {
    /// Without a keeper, at first. `directory`: of the instance; `None`: there will never be a keeper.
    ///
    /// # Errors
    /// No memory for slots.
    pub(super) fn new(directory: Option<Directory>) -> io::Result<StartPlace> {
        let shared = directory.map(|directory| SlotTable::new().map(|table| (directory, table))).transpose()?;
        Ok(StartPlace { shared, keepers: Mutex::default() })
    }

    /// From now on, children are made by the keeper of this name and pid, or by this process. `pids`: of all keepers.
    pub(super) fn set(&self, current: Option<(String, u32)>, pids: Vec<u32>) {
        *self.lock() = Keepers { current, pids };
    }

    /// The pids of this process and of all keepers.
    pub(super) fn parents(&self) -> Vec<u32> {
        [std::process::id()].into_iter().chain(self.lock().pids.iter().copied()).collect()
    }

    /// A slot for a start.
    pub(super) fn slot(&self) -> Slot {
        self.shared.as_ref().map_or_else(Slot::default, |(_, table)| table.slot())
    }

    /// Whether a process with this parent was started here.
    pub(super) fn is_parent(&self, pid: u32) -> bool {
        pid == std::process::id() || self.lock().pids.contains(&pid)
    }

    /// Each change is complete before the lock is released.
    fn lock(&self) -> MutexGuard<'_, Keepers> {
        self.keepers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes children for one thread, one at a time.
pub(super) struct ChildMaker {
    place: Arc<StartPlace>,
    /// The connection to the keeper of this pid.
    link: Option<(u32, StartLink)>,
    stack: Stack,
}

impl ChildMaker {
    /// # Errors
    /// No memory for a stack.
    pub(super) fn new(place: Arc<StartPlace>) -> io::Result<ChildMaker> {
        Ok(ChildMaker { place, link: None, stack: Stack::new()? })
    }

    /// Makes a child, see [`clone::start`]. `kept`: what the keeper keeps with it.
    ///
    /// # Errors
    /// See [`CloneFailure`].
    pub(super) fn start(
        &mut self,
        child: &Child<'_>,
        slot: &Slot,
        kept: KeptWithChild<'_>,
    ) -> Result<StartedChild, CloneFailure> {
        if let Some(link) = self.link() {
            match link.start(child, slot, kept) {
                Ok(outcome) => return outcome,
                Err(StartLinkError::NotAttempted) => {}
                Err(StartLinkError::Lost) => {
                    self.link = None;
                    slot.abandon();
                    if let Some(pid) = slot.pid() {
                        return outcome_of(pid, slot);
                    }
                }
            }
        }
        self.start_here(child, slot)
    }

    /// Makes a child of this process.
    ///
    /// # Errors
    /// See [`CloneFailure`].
    pub(super) fn start_here(&mut self, child: &Child<'_>, slot: &Slot) -> Result<StartedChild, CloneFailure> {
        clone::start(child, &mut self.stack, slot)
    }

    /// The connection to the keeper.
    fn link(&mut self) -> Option<&StartLink> {
        let (directory, table) = self.place.shared.as_ref()?;
        let (name, keeper) = self.place.lock().current.clone()?;
        if self.link.as_ref().is_none_or(|(pid, _)| *pid != keeper) {
            // If it was just lost, this process makes the child.
            self.link = StartLink::open(directory, &name, table).ok().map(|link| (keeper, link));
        }
        self.link.as_ref().map(|(_, link)| link)
    }
}

/// What became of the child of a keeper that was lost before it answered.
fn outcome_of(pid: u32, slot: &Slot) -> Result<StartedChild, CloneFailure> {
    slot.wait_until_over();
    // It isn't reaped before its start is reported.
    if proc::stat(pid).is_some_and(|stat| stat.has_executed) {
        Ok(StartedChild { pid, pidfd: None, group_error: None })
    } else {
        Err(CloneFailure::Child(Stage::Cancelled, libc::ECANCELED))
    }
}
