//! A lock file: the kernel names the process that holds it, and releases it when that process ends.
//!
//! The pid in the file is for people. Programs ask the kernel for the holder, so a stale file is never mistaken for a running
//! process.

use crate::access::{FoundPath, Trust};
use rustix::fs::{FileType, FlockOperation, Mode, OFlags, Stat, fcntl_lock, fstat, ftruncate};
use rustix::io::{Errno, write};
use rustix::process::{Flock, FlockType, Pid, PidfdFlags, Signal, fcntl_getlk, geteuid, getpid, pidfd_open, pidfd_send_signal};
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;

/// How often to try a lock if its holder has no pid here, such as one in another container.
const ATTEMPTS: u32 = 10;

/// A lock held by this process for as long as the value lives.
#[derive(Debug)]
pub struct HeldLock {
    place: FoundPath<'static>,
    file: LockFile,
}

/// The open lock file.
#[derive(Debug)]
enum LockFile {
    Own(OwnedFd),
    /// The former program in this process has opened it. It is never closed: it may be needed again if this program gives up.
    Inherited(i32),
}

/// Why a file could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// Another process holds it.
    #[error("it is held by the process with pid {0}")]
    Held(i32),
    /// It belongs to another user, isn't a regular file, or has several names.
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
    /// Locks the file for this process and writes its pid into it. Creates the file with mode 0644. An existing file must be a
    /// regular file of this user with one name.
    ///
    /// The lock is a POSIX record lock (fcntl(2), `F_SETLK`): it isn't inherited, and the kernel names its holder.
    pub fn new(place: FoundPath<'static>) -> Result<HeldLock, ClaimError> {
        let failed = |source: io::Error| ClaimError::System { path: place.path().to_owned(), source };
        let mut attempts = 0;
        let file = loop {
            attempts += 1;
            let file = match place.open(OFlags::RDWR | OFlags::CREATE, Mode::from_raw_mode(0o644)) {
                Ok(file) => file,
                Err(error) if is_not_ours(&error) => return Err(ClaimError::NotOurs(place.path().to_owned())),
                Err(error) => return Err(failed(error)),
            };
            let opened = fstat(&file).map_err(|error| failed(error.into()))?;
            if !is_ours(&opened) {
                return Err(ClaimError::NotOurs(place.path().to_owned()));
            }
            match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
                // The former holder has removed the file meanwhile: another process could lock a new one.
                Ok(()) if !is_at(&place, &opened) => {}
                Ok(()) => break file,
                Err(Errno::ACCESS | Errno::AGAIN) => match lock_on(&file).and_then(|held| held.pid) {
                    Some(pid) => return Err(ClaimError::Held(pid.as_raw_nonzero().get())),
                    // It has released the lock meanwhile; or it has no pid here, in another container.
                    None if attempts == ATTEMPTS => return Err(failed(Errno::AGAIN.into())),
                    None => {}
                },
                Err(source) => return Err(failed(source.into())),
            }
        };
        let line = format!("{}\n", getpid());
        ftruncate(&file, 0).and_then(|()| write(&file, line.as_bytes())).map_err(|error| failed(error.into()))?;
        Ok(HeldLock { place, file: LockFile::Own(file) })
    }

    /// The lock of this descriptor, which the former program in this process has taken. (The kernel would release it if any other
    /// descriptor of the file was closed.)
    pub fn inherited(place: FoundPath<'static>, descriptor: i32) -> HeldLock {
        HeldLock { place, file: LockFile::Inherited(descriptor) }
    }

    /// Its descriptor, which keeps the lock in another program of this process.
    pub fn descriptor(&self) -> i32 {
        match &self.file {
            LockFile::Own(file) => file.as_raw_fd(),
            LockFile::Inherited(descriptor) => *descriptor,
        }
    }

    /// The process that holds the lock; `None`: none does, or it has no pid here, or the file belongs to a user that isn't
    /// trusted.
    pub fn holder(place: &FoundPath<'_>) -> Option<Pid> {
        HeldLock::query(place)?.pid
    }

    /// Whether a process holds the lock, here or in another container.
    pub fn is_held(place: &FoundPath<'_>) -> bool {
        HeldLock::query(place).is_some()
    }

    /// The lock as it is held.
    fn query(place: &FoundPath<'_>) -> Option<Flock> {
        let file = place.open(OFlags::RDONLY, Mode::empty()).ok()?;
        let is_file = |stat: &Stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        fstat(&file).ok().filter(|stat| is_file(stat) && place.judge(stat).is_ok())?;
        lock_on(&file)
    }

    /// Removes the file before the lock is released: afterwards, it could be another process's.
    pub fn remove(self) {
        // Without its lock, a file that can't be removed is harmless.
        drop(self.place.remove());
        drop(self.file);
    }
}

/// Whether opening failed because something else is there: another user's file, a link, a directory.
fn is_not_ours(error: &io::Error) -> bool {
    let found = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(found, Some(Errno::EXIST | Errno::LOOP | Errno::ISDIR | Errno::NXIO))
}

/// Whether a file is a regular file of this user with one name, or with none because it was just removed.
fn is_ours(stat: &Stat) -> bool {
    let is_regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    is_regular && stat.st_uid == geteuid().as_raw() && stat.st_nlink <= 1
}

/// Whether the path still leads to the opened file.
fn is_at(place: &FoundPath<'_>, opened: &Stat) -> bool {
    let there = place.stat().ok().flatten();
    there.is_some_and(|there| (there.st_dev, there.st_ino) == (opened.st_dev, opened.st_ino))
}

/// Asks the kernel for the lock that a process holds, with its pid.
fn lock_on(file: &OwnedFd) -> Option<Flock> {
    fcntl_getlk(file, &Flock::from(FlockType::WriteLock)).ok().flatten()
}

/// Why the holder of a lock was not signalled.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// It runs as a user that isn't trusted.
    #[error("`{}` is held by pid {pid} of user {user}, which is not trusted; it was not signalled", path.display())]
    UntrustedUser {
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

/// Sends a signal to the process that holds the lock, if it runs as a trusted user. Returns its pid; `None`: no process holds
/// it.
pub fn send(place: &FoundPath<'_>, trust: Trust, signal: Signal) -> Result<Option<Pid>, SendError> {
    let Some(pid) = HeldLock::holder(place) else { return Ok(None) };
    let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(pidfd) => pidfd,
        Err(Errno::SRCH) => return Ok(None),
        Err(error) => return Err(SendError::System(error)),
    };
    let user = user_of(pid);
    // Checked again now that the pidfd pins the process: its pid may have been reused before.
    if HeldLock::holder(place) != Some(pid) {
        return Ok(None);
    }
    match user {
        Some(user) if trust.includes(user) => {}
        Some(user) => {
            return Err(SendError::UntrustedUser { path: place.path().to_owned(), pid: pid.as_raw_nonzero().get(), user });
        }
        None => return Ok(None),
    }
    match pidfd_send_signal(&pidfd, signal) {
        Ok(()) => Ok(Some(pid)),
        Err(Errno::SRCH) => Ok(None),
        Err(error) => Err(SendError::System(error)),
    }
}

/// The effective user of a process (`proc_pid_status(5)`). The owner of its directory in `/proc` may differ.
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
    fn a_removed_or_replaced_file_is_no_longer_at_its_path() {
        let directory = std::env::temp_dir().join(format!("navigator-holder-{}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        let place = Directory::open(&directory, Trust::everybody()).unwrap().entry("pid");
        let make = || fstat(place.open(OFlags::RDWR | OFlags::CREATE, Mode::RWXU).unwrap()).unwrap();
        let first = make();
        assert!(is_at(&place, &first));
        place.remove().unwrap();
        assert!(!is_at(&place, &first));
        // Something else takes the freed inode number, so that the new file gets another.
        fs::write(directory.join("other"), "").unwrap();
        let second = make();
        assert!(is_at(&place, &second));
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn links_directories_and_hard_linked_files_are_not_locked() {
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
