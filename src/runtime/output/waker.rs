//! Wakes a thread that waits in a poll.

use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use std::io;

/// Something to poll that is readable from its being rung until its being hushed.
#[derive(Debug)]
pub(super) struct PollWaker(OwnedFd);

impl PollWaker {
    /// # Errors
    /// No descriptor.
    pub(super) fn new() -> io::Result<PollWaker> {
        Ok(PollWaker(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }

    /// Wakes whoever polls it, now or next.
    pub(super) fn wake(&self) {
        // The only failure is a counter that stands at its limit, and that wakes just as well.
        let _awake = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }

    /// Before looking why it was rung: what comes in between wakes once more, for nothing.
    pub(super) fn clear(&self) {
        let mut count = [0; 8];
        // It may not have been rung at all.
        let _hushed = rustix::io::read(&self.0, &mut count);
    }
}

impl AsFd for PollWaker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
