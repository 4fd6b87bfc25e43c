//! The directory that the sockets for notifications lie in: every user can pass it, and nobody can list it.

use crate::access::{FoundPath, Trust};
use rustix::fd::OwnedFd;
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use std::fs::Permissions;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tracing::warn;

/// What the directories of sockets are called, before a random part.
const PREFIX: &str = "navigator-notify-";

/// Where the sockets lie. Removed at the end, or by the next navigator that makes one.
#[derive(Debug)]
pub(super) struct SocketDirectory {
    pub(super) path: PathBuf,
    /// Locked for as long as this navigator lives.
    _lock: OwnedFd,
}

impl SocketDirectory {
    /// Makes one, and removes those that killed navigators left. Its way must be trusted: what lies in it is given to users by path.
    pub(super) fn make(base: &Path) -> io::Result<SocketDirectory> {
        remove_abandoned(base);
        // The keys of the standard library's hash maps are random numbers of the operating system.
        let name = format!("{PREFIX}{:016x}", RandomState::new().build_hasher().finish());
        let (new, path) = (base.join(format!("{name}.new")), base.join(name));
        FoundPath::find(&new, Trust::of_this_process())?.make_directory(Mode::from_raw_mode(0o711))?;
        // Whatever the mask of navigator's launcher was.
        std::fs::set_permissions(&new, Permissions::from_mode(0o711))?;
        // Under its own name it is locked from the beginning, or another navigator would take it for abandoned.
        let lock = lock_directory(&new)?;
        std::fs::rename(&new, &path)?;
        Ok(SocketDirectory { path, _lock: lock })
    }
}

impl Drop for SocketDirectory {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            warn!(target: "navigator", path = %self.path.display(), %error, "The directory of notification sockets is left");
        }
    }
}

/// Locks a directory, unless somebody else has.
fn lock_directory(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
    let directory = rustix::fs::open(path, flags, Mode::empty())?;
    flock(&directory, FlockOperation::NonBlockingLockExclusive)?;
    Ok(directory)
}

/// Removes what navigators of this user left behind that were killed.
fn remove_abandoned(base: &Path) {
    let own = rustix::process::geteuid().as_raw();
    for entry in std::fs::read_dir(base).into_iter().flatten().flatten() {
        let is_ours = || std::fs::symlink_metadata(entry.path()).is_ok_and(|stat| stat.is_dir() && stat.uid() == own);
        if is_name(&entry.file_name().to_string_lossy()) && is_ours() && lock_directory(&entry.path()).is_ok() {
            // What can't be removed was going to be left anyway.
            let _best_effort = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// Whether a directory of sockets could be called so.
fn is_name(name: &str) -> bool {
    let random = name.strip_prefix(PREFIX);
    random.is_some_and(|random| random.len() == 16 && random.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_navigator_removes_what_a_killed_one_left() {
        let base = std::env::temp_dir().join(format!("navigator-abandoned-{}", std::process::id()));
        std::fs::create_dir(&base).expect("its name is new");
        let (abandoned, strangers) = (base.join(format!("{PREFIX}{:016x}", 7)), base.join(format!("{PREFIX}of-another")));
        std::fs::create_dir(&abandoned).expect("it is ours");
        std::fs::write(abandoned.join("1"), "").expect("it is ours");
        std::fs::create_dir(&strangers).expect("it is ours");
        let first = SocketDirectory::make(&base).expect("a directory");
        assert!(!abandoned.exists() && strangers.exists());
        let second = SocketDirectory::make(&base).expect("a directory");
        assert!(first.path.exists(), "it is in use");
        drop((first, second));
        std::fs::remove_dir_all(&base).expect("it is ours");
    }
}
