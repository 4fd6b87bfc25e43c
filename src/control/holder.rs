//! A file that says which process holds it, by a lock that the kernel drops with that process.
//!
//! The number written into it is for people. Programs ask the kernel who holds the lock, so a file that a dead process
//! left behind is never mistaken for a living one.

use crate::access::{FoundPath, Trust};
use rustix::fs::{FileType, FlockOperation, Mode, OFlags, Stat, fcntl_lock, fstat, ftruncate};
use rustix::io::{Errno, write};
use rustix::process::{Flock, FlockType, Pid, PidfdFlags, Signal, fcntl_getlk, geteuid, getpid, pidfd_open, pidfd_send_signal};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// How often a lock is tried that is held by a process without a number here.
const ATTEMPTS: u32 = 10;

/// A lock held by this process for as long as the value lives.
#[derive(Debug)]
pub struct HeldLock {
    place: FoundPath<'static>,
    file: OwnedFd,
}

/// Why a file could not be claimed.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// Another process holds it.
    #[error("it is held by the process with pid {0}")]
    Held(i32),
    /// Another user made it, or it is no regular file with one name.
    #[error("`{}` is not a regular file of this user with a single name; remove it", .0.display())]
    NotOurs(PathBuf),
    /// The file could not be opened, locked or written.
    #[error("failed to lock `{}`: {source}", path.display())]
    System {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl HeldLock {
    /// Locks the file for this process and writes its number into it. Creates the file, readable by all users, writable
    /// by its owner. What exists is taken only if it is a regular file of this user with one name.
    ///
    /// The lock is a POSIX record lock (fcntl(2), `F_SETLK`): it isn't inherited, and the kernel can say who holds it.
    pub fn new(place: FoundPath<'static>) -> Result<HeldLock, ClaimError> {
        let failed = |source: io::Error| ClaimError::System { path: place.path().to_owned(), source };
        let mut attempts = 0;
        let file = loop {
            attempts += 1;
            let file = match place.open(OFlags::RDWR | OFlags::CREATE, Mode::from_raw_mode(0o644)) {
                Ok(file) => file,
                Err(error) if is_strangers(&error) => return Err(ClaimError::NotOurs(place.path().to_owned())),
                Err(error) => return Err(failed(error)),
            };
            let opened = fstat(&file).map_err(|error| failed(error.into()))?;
            if !is_ours(&opened) {
                return Err(ClaimError::NotOurs(place.path().to_owned()));
            }
            match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
                // The former holder may have removed it in between: then the next one would find a new file, and lock that.
                Ok(()) if !is_at(&place, &opened) => {}
                Ok(()) => break file,
                Err(Errno::ACCESS | Errno::AGAIN) => match holder_of(&file) {
                    Some(pid) => return Err(ClaimError::Held(pid.as_raw_nonzero().get())),
                    // It has let go in between; or it has no number here, in another container.
                    None if attempts == ATTEMPTS => return Err(failed(Errno::AGAIN.into())),
                    None => {}
                },
                Err(source) => return Err(failed(source.into())),
            }
        };
        let line = format!("{}\n", getpid());
        ftruncate(&file, 0).and_then(|()| write(&file, line.as_bytes())).map_err(|error| failed(error.into()))?;
        Ok(HeldLock { place, file })
    }

    /// The process that holds the file, if one does and the file belongs to a trusted user.
    pub fn holder(place: &FoundPath<'_>) -> Option<Pid> {
        let file = place.open(OFlags::RDONLY, Mode::empty()).ok()?;
        let is_file = |stat: &Stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        fstat(&file).ok().filter(|stat| is_file(stat) && place.judge(stat).is_ok())?;
        holder_of(&file)
    }

    /// Removes the file, while it is still held so that no other process's is removed.
    pub fn remove(self) {
        // A file that is gone already needs no removing; one that can't be removed is harmless without its lock.
        drop(self.place.remove());
        drop(self.file);
    }
}

/// Whether opening failed because of what another user put there: a file of its own, a link, a directory.
fn is_strangers(error: &io::Error) -> bool {
    let found = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(found, Some(Errno::EXIST | Errno::LOOP | Errno::ISDIR | Errno::NXIO))
}

/// Whether a file is a regular one of this user's with one name, or has lost that a moment ago.
fn is_ours(stat: &Stat) -> bool {
    let is_regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    is_regular && stat.st_uid == geteuid().as_raw() && stat.st_nlink <= 1
}

/// Whether a place still leads to the file that was opened there.
fn is_at(place: &FoundPath<'_>, opened: &Stat) -> bool {
    let there = place.stat().ok().flatten();
    there.is_some_and(|there| (there.st_dev, there.st_ino) == (opened.st_dev, opened.st_ino))
}

/// Asks the kernel who keeps a lock from being taken.
fn holder_of(file: &OwnedFd) -> Option<Pid> {
    let lock = Flock::from(FlockType::WriteLock);
    fcntl_getlk(file, &lock).ok().flatten().and_then(|held| held.pid)
}

/// Why the holder of a file was not signalled.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// It runs as a user that isn't trusted.
    #[error("`{}` is held by pid {pid} of user {user}, which is no navigator of this user; it was not signalled", path.display())]
    Stranger {
        /// The file.
        path: PathBuf,
        /// The process.
        pid: i32,
        /// Its user.
        user: u32,
    },
    /// The system refuses.
    #[error("failed to signal the running navigator: {}", io::Error::from(*.0))]
    System(Errno),
}

/// Sends a signal to the process that holds the file, if it runs as a trusted user. Returns its number, or `None` if no
/// process holds it.
pub fn send(place: &FoundPath<'_>, trust: Trust, signal: Signal) -> Result<Option<Pid>, SendError> {
    let Some(pid) = HeldLock::holder(place) else { return Ok(None) };
    let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(pidfd) => pidfd,
        Err(Errno::SRCH) => return Ok(None),
        Err(error) => return Err(SendError::System(error)),
    };
    let user = user_of(pid);
    // Asked again with the process pinned: its number may have passed to another one in between.
    if HeldLock::holder(place) != Some(pid) {
        return Ok(None);
    }
    match user {
        Some(user) if trust.includes(user) => {}
        Some(user) => {
            return Err(SendError::Stranger { path: place.path().to_owned(), pid: pid.as_raw_nonzero().get(), user });
        }
        None => return Ok(None),
    }
    match pidfd_send_signal(&pidfd, signal) {
        Ok(()) => Ok(Some(pid)),
        Err(Errno::SRCH) => Ok(None),
        Err(error) => Err(SendError::System(error)),
    }
}

/// The effective user of a process (`proc_pid_status(5)`): the owner of its directory in `/proc` may be another one.
fn user_of(pid: Pid) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).ok()?;
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    ids.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::access::Directory;

    #[test]
    fn a_file_that_was_removed_or_replaced_is_no_longer_at_its_place() {
        let directory = std::env::temp_dir().join(format!("navigator-holder-{}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        let place = Directory::open(&directory, Trust::everybody()).unwrap().entry("pid");
        let make = || fstat(place.open(OFlags::RDWR | OFlags::CREATE, Mode::RWXU).unwrap()).unwrap();
        let first = make();
        assert!(is_at(&place, &first));
        place.remove().unwrap();
        assert!(!is_at(&place, &first));
        // With another name the former file keeps its inode, so that the new one has another.
        fs::write(directory.join("other"), "").unwrap();
        let second = make();
        assert!(is_at(&place, &second));
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn links_and_files_with_a_second_name_are_not_claimed() {
        let directory = std::env::temp_dir().join(format!("navigator-claim-{}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        let held = Directory::open(&directory, Trust::everybody()).unwrap();
        fs::write(directory.join("file"), "").unwrap();
        fs::hard_link(directory.join("file"), directory.join("second")).unwrap();
        std::os::unix::fs::symlink("file", directory.join("link")).unwrap();
        fs::create_dir(directory.join("directory")).unwrap();
        for name in ["second", "link", "directory"] {
            assert!(matches!(HeldLock::new(held.entry(name)), Err(ClaimError::NotOurs(_))), "{name}");
        }
        HeldLock::new(held.entry("new")).unwrap().remove();
        fs::remove_dir_all(directory).unwrap();
    }
}
