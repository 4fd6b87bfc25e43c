//! The directory of notification sockets: every user can enter it, and none can list it.

use crate::access::{FoundPath, Trust};
use rustix::fd::OwnedFd;
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use std::fs::Permissions;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tracing::warn;

/// The prefix of the directory name; a random part follows.
const PREFIX: &str = "navigator-notify-";

/// The directory of sockets. Removed at the end, or by the next navigator that creates one.
#[derive(Debug)]
pub(super) struct SocketDirectory {
    pub(super) path: PathBuf,
    /// Locked while this navigator lives.
    _lock: OwnedFd,
}

impl SocketDirectory {
    /// Creates one, and removes those of killed navigators. Its path must be trusted, because sockets in it are given to users
    /// by path.
    pub(super) fn make(base: &Path) -> io::Result<SocketDirectory> {
        remove_abandoned(base);
        // Hash map keys of the standard library are random numbers of the operating system.
        let name = format!("{PREFIX}{:016x}", RandomState::new().build_hasher().finish());
        let (new, path) = (base.join(format!("{name}.new")), base.join(name));
        FoundPath::find(&new, Trust::of_this_process())?.make_directory(Mode::from_raw_mode(0o711))?;
        // The umask may have removed bits.
        std::fs::set_permissions(&new, Permissions::from_mode(0o711))?;
        // It is locked before it gets its name; otherwise another navigator would take it for abandoned.
        let lock = lock_directory(&new)?;
        std::fs::rename(&new, &path)?;
        Ok(SocketDirectory { path, _lock: lock })
    }
}

impl SocketDirectory {
    /// Creates one in the state directory. As root, users of processes may then pass through that, but still not list it;
    /// what lies in it is closed to them.
    pub(super) fn make_in_state(state: &Path) -> io::Result<SocketDirectory> {
        if rustix::process::geteuid().is_root() {
            let directory = FoundPath::find(state, Trust::of_this_process())?.open(DIRECTORY, Mode::empty())?;
            let mode = Mode::from_raw_mode(rustix::fs::fstat(&directory)?.st_mode);
            rustix::fs::fchmod(&directory, mode | Mode::XGRP | Mode::XOTH)?;
        }
        SocketDirectory::make(state)
    }
}

const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC).union(OFlags::RDONLY);

impl Drop for SocketDirectory {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            warn!(target: "navigator", path = %self.path.display(), %error, "The directory of notification sockets can't be removed");
        }
    }
}

/// Locks a directory, unless another navigator holds the lock.
fn lock_directory(path: &Path) -> io::Result<OwnedFd> {
    let directory = rustix::fs::open(path, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?;
    flock(&directory, FlockOperation::NonBlockingLockExclusive)?;
    Ok(directory)
}

/// Removes directories of killed navigators of this user.
fn remove_abandoned(base: &Path) {
    let own = rustix::process::geteuid().as_raw();
    for entry in std::fs::read_dir(base).into_iter().flatten().flatten() {
        let is_ours = || std::fs::symlink_metadata(entry.path()).is_ok_and(|stat| stat.is_dir() && stat.uid() == own);
        if is_name(&entry.file_name().to_string_lossy()) && is_ours() && lock_directory(&entry.path()).is_ok() {
            // A directory that can't be removed stays.
            let _best_effort = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// Whether it is a name of such a directory.
fn is_name(name: &str) -> bool {
    let random = name.strip_prefix(PREFIX);
    random.is_some_and(|random| random.len() == 16 && random.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_navigator_removes_the_directory_of_a_killed_one() {
        let base = std::env::temp_dir().join(format!("navigator-abandoned-{}", std::process::id()));
        std::fs::create_dir(&base).expect("its name is new");
        let (abandoned, unrelated) = (base.join(format!("{PREFIX}{:016x}", 7)), base.join(format!("{PREFIX}of-another")));
        std::fs::create_dir(&abandoned).expect("it is ours");
        std::fs::write(abandoned.join("1"), "").expect("it is ours");
        std::fs::create_dir(&unrelated).expect("it is ours");
        let first = SocketDirectory::make(&base).expect("a directory");
        assert!(!abandoned.exists() && unrelated.exists());
        let second = SocketDirectory::make(&base).expect("a directory");
        assert!(first.path.exists(), "it is in use");
        drop((first, second));
        std::fs::remove_dir_all(&base).expect("it is ours");
    }
}
