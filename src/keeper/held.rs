//! The descriptors that the keeper holds, so that nothing is lost while no navigator runs: the read ends of pipes, and sockets.
//!
//! A pipe is dropped once all its writers are gone and everything in it is read. Sockets are dropped when navigator says so.

use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{FileType, fstat};
use std::collections::HashMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// In the data of an epoll event: the rest is the inode of a pipe.
pub(super) const PIPE: u64 = 1 << 63;

/// The descriptors, by inode.
pub(super) struct HeldDescriptors {
    epoll: OwnedFd,
    held: Mutex<HashMap<u64, OwnedFd>>,
}

impl HeldDescriptors {
    /// `epoll`: reports pipes without writers, see [`PIPE`].
    pub(super) fn new(epoll: OwnedFd) -> HeldDescriptors {
        HeldDescriptors { epoll, held: Mutex::default() }
    }

    /// Holds a descriptor.
    pub(super) fn add(&self, descriptor: OwnedFd) {
        let Ok(stat) = fstat(&descriptor) else { return };
        let mut held = self.lock();
        if FileType::from_raw_mode(stat.st_mode) == FileType::Fifo {
            let data = epoll::EventData::new_u64(PIPE | stat.st_ino);
            // The end of its last writer is reported in any case.
            if epoll::add(&self.epoll, &descriptor, data, epoll::EventFlags::ONESHOT).is_err() {
                // It would never be dropped.
                return;
            }
        }
        held.insert(stat.st_ino, descriptor);
    }

    /// Drops a pipe that has no writers, if it is empty. Returns whether it has to be looked at again.
    pub(super) fn drop_if_empty(&self, inode: u64) -> bool {
        let mut held = self.lock();
        let has_more = held.get(&inode).is_some_and(|pipe| has_data(pipe.as_fd()));
        if !has_more && let Some(pipe) = held.remove(&inode) {
            // Navigator may have another descriptor of it.
            let _absent = epoll::delete(&self.epoll, &pipe);
        }
        has_more
    }

    /// Drops the sockets but these.
    pub(super) fn retain_sockets(&self, inodes: &[u64]) {
        self.lock().retain(|inode, descriptor| inodes.contains(inode) || is_pipe(descriptor));
    }

    /// Drops a socket.
    pub(super) fn release(&self, inode: u64) {
        self.lock().remove(&inode);
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Calls `act` with all descriptors, in pieces of at most `at_once`. The second value is whether more follow.
    ///
    /// # Errors
    /// Those of `act`.
    pub(super) fn each(&self, at_once: usize, mut act: impl FnMut(&[BorrowedFd<'_>], bool) -> io::Result<()>) -> io::Result<()> {
        let held = self.lock();
        let all: Vec<BorrowedFd<'_>> = held.values().map(AsFd::as_fd).collect();
        let mut rest = &all[..];
        loop {
            let (now, later) = rest.split_at(rest.len().min(at_once));
            act(now, !later.is_empty())?;
            if later.is_empty() {
                return Ok(());
            }
            rest = later;
        }
    }

    /// Each change is complete before the lock is released.
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, OwnedFd>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_pipe(descriptor: &OwnedFd) -> bool {
    fstat(descriptor).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo)
}

fn has_data(pipe: BorrowedFd<'_>) -> bool {
    let mut polled = [PollFd::from_borrowed_fd(pipe, PollFlags::IN)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut polled, Some(&at_once)).is_ok() && polled[0].revents().contains(PollFlags::IN)
}
