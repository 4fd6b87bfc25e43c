//! The sockets of processes that the keepers hold, too, so that they outlive navigator.

use crate::access::Directory;
use crate::keeper::{LinkError, SocketLink};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::fstat;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The sockets. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct KeptSockets(Arc<Mutex<KeptState>>);

#[derive(Debug, Default)]
struct KeptState {
    /// By inode. A new keeper gets copies.
    sockets: BTreeMap<u64, OwnedFd>,
    keepers: Vec<SocketLink>,
}

impl KeptSockets {
    /// From now on this keeper holds them, too.
    ///
    /// # Errors
    /// It is gone.
    pub(super) fn add_keeper(&self, directory: &Directory, name: &str) -> Result<(), LinkError> {
        let link = SocketLink::open(directory, name)?;
        let mut state = self.lock();
        link.hold(&state.sockets.values().map(AsFd::as_fd).collect::<Vec<_>>())?;
        state.keepers.push(link);
        Ok(())
    }

    /// A socket was opened. Returns its inode, to release it.
    pub(super) fn hold(&self, socket: &OwnedFd) -> Option<u64> {
        let inode = fstat(socket).ok()?.st_ino;
        let mut state = self.lock();
        if !state.sockets.contains_key(&inode) {
            // Without a free descriptor it isn't held, and lost only if navigator is killed.
            let copy = socket.try_clone().ok()?;
            state.ask_each(|keeper| keeper.hold(&[copy.as_fd()]));
            state.sockets.insert(inode, copy);
        }
        Some(inode)
    }

    /// A socket was closed. When this returns, no keeper has it any more: its address is free.
    pub(super) fn release(&self, inode: u64) {
        let mut state = self.lock();
        if state.sockets.remove(&inode).is_some() {
            state.ask_each(|keeper| keeper.release(inode));
        }
    }

    /// No inherited socket is needed any more: keepers drop all but these.
    pub(super) fn settle(&self) {
        let mut state = self.lock();
        let inodes: Vec<u64> = state.sockets.keys().copied().collect();
        state.ask_each(|keeper| keeper.retain(&inodes));
    }

    /// Each change is complete before the lock is released.
    fn lock(&self) -> MutexGuard<'_, KeptState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeptState {
    /// Asks every keeper, and forgets those that are gone: the reaper finds that out, too.
    fn ask_each(&mut self, ask: impl Fn(&SocketLink) -> io::Result<()>) {
        self.keepers.retain(|keeper| ask(keeper).is_ok());
    }
}
