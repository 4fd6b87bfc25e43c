//! Signals as something to read, for a process without an async runtime (`signalfd(2)`).

use rustix::fd::{FromRawFd, OwnedFd};
use std::io;

/// The pending signals of this process. They have to be blocked.
#[derive(Debug)]
pub(crate) struct SignalQueue(OwnedFd);

impl SignalQueue {
    /// # Errors
    /// Out of descriptors.
    pub(crate) fn new(signals: &[i32]) -> io::Result<SignalQueue> {
        // SAFETY: a signal set is plain data, for which all zero bytes are the empty set; it is valid for the calls.
        let descriptor = unsafe {
            let mut set: libc::sigset_t = std::mem::zeroed();
            for &signal in signals {
                libc::sigaddset(&raw mut set, signal);
            }
            libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
        };
        if descriptor == -1 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call has returned a new descriptor.
        Ok(SignalQueue(unsafe { OwnedFd::from_raw_fd(descriptor) }))
    }

    /// Becomes readable when a signal is pending.
    pub(crate) fn descriptor(&self) -> &OwnedFd {
        &self.0
    }

    /// The next signal, and the pid of the process that it is from or about; `None`: none is pending.
    pub(crate) fn take(&self) -> Option<(i32, u32)> {
        /// Where the kernel's record has the two.
        const SIGNAL: usize = std::mem::offset_of!(libc::signalfd_siginfo, ssi_signo);
        const PID: usize = std::mem::offset_of!(libc::signalfd_siginfo, ssi_pid);
        let mut record = [0; size_of::<libc::signalfd_siginfo>()];
        let read = rustix::io::read(&self.0, &mut record).ok()?;
        let number = |at: usize| Some(u32::from_ne_bytes(record.get(at..at + 4)?.try_into().ok()?));
        (read == record.len()).then(|| Some((number(SIGNAL)?.cast_signed(), number(PID)?))).flatten()
    }
}
