//! The standard streams of the child that is made next.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::{DupFlags, Errno, dup3};
use std::io;

/// Standard input, output and error of the next child, and `/dev/null` between starts. Made early, so that their numbers are low:
/// the child copies only descriptors up to them.
#[derive(Debug)]
pub(crate) struct ChildStdio([OwnedFd; 3]);

impl ChildStdio {
    /// # Errors
    /// No descriptor, or no `/dev/null`.
    pub(crate) fn new() -> io::Result<ChildStdio> {
        let null = || rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty());
        Ok(ChildStdio([null()?, null()?, null()?]))
    }

    /// Sets the output streams.
    ///
    /// # Errors
    /// Those of `dup3(2)`.
    pub(crate) fn place(&mut self, output: impl AsFd, errors: impl AsFd) -> Result<(), Errno> {
        let [_null, out, err] = &mut self.0;
        dup3(output, out, DupFlags::CLOEXEC)?;
        dup3(errors, err, DupFlags::CLOEXEC)
    }

    /// Lets go of the output streams, so that they end with the child.
    pub(crate) fn reset(&mut self) {
        let [null, out, err] = &mut self.0;
        for descriptor in [out, err] {
            // A stream must end with its process, even if the descriptor loses its low number.
            if dup3(&*null, &mut *descriptor, DupFlags::CLOEXEC).is_err()
                && let Ok(other) = null.try_clone()
            {
                *descriptor = other;
            }
        }
    }

    /// The three, in their order.
    pub(crate) fn each(&self) -> [BorrowedFd<'_>; 3] {
        self.0.each_ref().map(AsFd::as_fd)
    }
}
