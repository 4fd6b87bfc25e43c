//! Wakes a thread that waits in a poll (`eventfd(2)`).

use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use std::io;

/// A descriptor that is readable from [`PollWaker::wake`] until [`PollWaker::clear`].
#[derive(Debug)]
pub(super) struct PollWaker(OwnedFd);

impl PollWaker {
    /// # Errors
    /// No descriptor is left.
    pub(super) fn new() -> io::Result<PollWaker> {
        Ok(PollWaker(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }

    /// Wakes the thread, now or in its next poll.
    pub(super) fn wake(&self) {
        // It only fails if the counter is at its limit, which wakes as well.
        let _awake = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }

    /// Call it before checking for work: work added during the check then wakes the thread again.
    pub(super) fn clear(&self) {
        let mut count = [0; 8];
        // It may not have been set.
        let _cleared = rustix::io::read(&self.0, &mut count);
    }
}

impl AsFd for PollWaker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
