//! A file that says which process holds it, by a lock that the kernel drops with that process.
//!
//! The number written into it is for people. Programs ask the kernel who holds the lock, so a file that a dead process
//! left behind is never mistaken for a living one.

use rustix::fs::{FlockOperation, Mode, OFlags, fcntl_lock, fstat, ftruncate, lstat, open};
use rustix::io::{Errno, write};
use rustix::process::{Flock, FlockType, Pid, PidfdFlags, Signal, fcntl_getlk, getpid, pidfd_open, pidfd_send_signal};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// How often a lock is tried for whose holder nobody can name.
const ATTEMPTS: u32 = 10;

/// A lock held by this process for as long as the value lives.
#[derive(Debug)]
pub struct Claim {
    path: PathBuf,
    file: OwnedFd,
}

/// Why a file could not be claimed.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// Another process holds it.
    #[error("it is held by the process with pid {0}")]
    Held(i32),
    /// The file could not be opened, locked or written.
    #[error("failed to lock `{}`: {}", path.display(), std::io::Error::from(*source))]
    System {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: Errno,
    },
}

impl Claim {
    /// Locks the file for this process and writes its number into it. Creates the file, readable by everybody, writable
    /// by its owner; never follows a symbolic link in its last component.
    ///
    /// The lock is a POSIX record lock (fcntl(2), `F_SETLK`): it isn't inherited, and the kernel can say who holds it.
    pub fn new(path: &Path) -> Result<Claim, ClaimError> {
        let failed = |source| ClaimError::System { path: path.to_owned(), source };
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let mut attempts = 0;
        let file = loop {
            attempts += 1;
            let file = open(path, flags, Mode::from_raw_mode(0o644)).map_err(failed)?;
            match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
                // The former holder may have removed it in between: then the next one would find a new file, and lock that.
                Ok(()) if !is_at(path, &file) => {}
                Ok(()) => break file,
                Err(Errno::ACCESS | Errno::AGAIN) => match holder_of(&file) {
                    Some(pid) => return Err(ClaimError::Held(pid.as_raw_nonzero().get())),
                    // It has let go in between; or it has no number here, in another container.
                    None if attempts == ATTEMPTS => return Err(failed(Errno::AGAIN)),
                    None => {}
                },
                Err(source) => return Err(failed(source)),
            }
        };
        ftruncate(&file, 0).map_err(failed)?;
        let line = format!("{}\n", getpid());
        write(&file, line.as_bytes()).map_err(failed)?;
        Ok(Claim { path: path.to_owned(), file })
    }

    /// Who holds the file, if anybody does and it exists.
    pub fn holder(path: &Path) -> Option<Pid> {
        let file = open(path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK, Mode::empty()).ok()?;
        holder_of(&file)
    }

    /// Removes the file, while it is still held so that nobody else's is removed.
    pub fn remove(self) {
        // A file that is gone already needs no removing; one that can't be removed is harmless without its lock.
        drop(std::fs::remove_file(&self.path));
        drop(self.file);
    }
}

/// Whether a path still leads to the file that was opened there.
fn is_at(path: &Path, file: &OwnedFd) -> bool {
    match (lstat(path), fstat(file)) {
        (Ok(there), Ok(here)) => (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino),
        _ => false,
    }
}

/// Asks the kernel who keeps a lock from being taken.
fn holder_of(file: &OwnedFd) -> Option<Pid> {
    let lock = Flock::from(FlockType::WriteLock);
    fcntl_getlk(file, &lock).ok().flatten().and_then(|held| held.pid)
}

/// Sends a signal to the process that holds the file. Answers with its number, or `None` if nobody holds it.
///
/// # Errors
/// The system refuses to send it.
pub fn send(path: &Path, signal: Signal) -> Result<Option<Pid>, Errno> {
    let Some(pid) = Claim::holder(path) else { return Ok(None) };
    let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(pidfd) => pidfd,
        Err(Errno::SRCH) => return Ok(None),
        Err(error) => return Err(error),
    };
    // Asked again with the process pinned: its number may have passed to somebody else in between.
    if Claim::holder(path) != Some(pid) {
        return Ok(None);
    }
    match pidfd_send_signal(&pidfd, signal) {
        Ok(()) => Ok(Some(pid)),
        Err(Errno::SRCH) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_removed_or_replaced_is_no_longer_at_its_path() {
        let path = std::env::temp_dir().join(format!("navigator-holder-{}", std::process::id()));
        let make = || open(&path, OFlags::RDWR | OFlags::CREATE, Mode::RWXU).unwrap();
        let first = make();
        assert!(is_at(&path, &first));
        std::fs::remove_file(&path).unwrap();
        assert!(!is_at(&path, &first));
        let second = make();
        assert!(!is_at(&path, &first));
        assert!(is_at(&path, &second));
        std::fs::remove_file(&path).unwrap();
    }
}
