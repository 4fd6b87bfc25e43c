//! The directory of notification sockets: every user can enter it, and none can list it.
//!
//! It is named after the instance. So processes that outlive a killed navigator go on sending to the same paths, and the next
//! navigator of the instance takes the directory over and opens their sockets again. The directories of other instances are left
//! alone, because their processes may live, too. If an instance is killed and never started again, its directory stays with its
//! sockets until the files there are cleaned up, for `/tmp` mostly at the next boot.
//!
//! If another user has taken the name, the directory gets a random one. Sockets there can't be opened again.

use crate::access::{FoundPath, Trust};
use rustix::fd::OwnedFd;
use rustix::fs::{FlockOperation, Mode, OFlags, fchmod, flock, fstat};
use rustix::process::geteuid;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use tracing::warn;

/// The prefix of the directory name; the instance's name follows.
const PREFIX: &str = "navigator-notify-";
/// The mode of the directory.
const MODE: Mode = Mode::RWXU.union(Mode::XGRP).union(Mode::XOTH);
const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC).union(OFlags::RDONLY);

/// The directory of sockets. Removed at the end.
#[derive(Debug)]
pub(super) struct SocketDirectory {
    pub(super) path: PathBuf,
    /// Locked while this navigator lives.
    _lock: OwnedFd,
}

impl SocketDirectory {
    /// Creates the directory of an instance, or takes it over. Its path must be trusted, because sockets in it are given to users
    /// by path.
    pub(super) fn open(base: &Path, instance: &str) -> io::Result<SocketDirectory> {
        let name = format!("{PREFIX}{instance}");
        SocketDirectory::take(base.join(&name)).or_else(|_taken| {
            remove_abandoned(base, &name);
            // Hash map keys of the standard library are random numbers of the operating system.
            SocketDirectory::take(base.join(format!("{name}-{:016x}", RandomState::new().build_hasher().finish())))
        })
    }

    /// The same in the state directory. As root, users of processes may then pass through that, but still not list it; what lies in
    /// it is closed to them.
    pub(super) fn open_in_state(state: &Path, instance: &str) -> io::Result<SocketDirectory> {
        if geteuid().is_root() {
            let directory = FoundPath::find(state, Trust::of_this_process())?.open(DIRECTORY, Mode::empty())?;
            let mode = Mode::from_raw_mode(fstat(&directory)?.st_mode);
            fchmod(&directory, mode | Mode::XGRP | Mode::XOTH)?;
        }
        SocketDirectory::open(state, instance)
    }

    /// Removes the directory that a killed navigator of this instance has left, if there is one.
    pub(super) fn remove_left(base: &Path, instance: &str) {
        let path = base.join(format!("{PREFIX}{instance}"));
        if is_own_directory(&path) {
            // Dropping it removes it.
            drop(SocketDirectory::take(path));
        }
    }

    /// # Errors
    /// It can't be created, or another user can change it, or another navigator has locked it.
    fn take(path: PathBuf) -> io::Result<SocketDirectory> {
        let place = FoundPath::find(&path, Trust::of_this_process())?;
        match place.make_directory(MODE) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let directory = place.open(DIRECTORY, Mode::empty())?;
        let stat = fstat(&directory)?;
        place.judge(&stat)?;
        if stat.st_uid != geteuid().as_raw() {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        flock(&directory, FlockOperation::NonBlockingLockExclusive)?;
        // The umask may have removed bits.
        fchmod(&directory, MODE)?;
        Ok(SocketDirectory { path, _lock: directory })
    }
}

impl Drop for SocketDirectory {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            warn!(target: "navigator", path = %self.path.display(), %error, "The directory of notification sockets can't be removed");
        }
    }
}

fn is_own_directory(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|stat| stat.is_dir() && stat.uid() == geteuid().as_raw())
}

/// Removes directories with random names that killed navigators of this instance have left.
fn remove_abandoned(base: &Path, name: &str) {
    for entry in std::fs::read_dir(base).into_iter().flatten().flatten() {
        let is_random =
            entry.file_name().to_str().and_then(|found| found.strip_prefix(name)).is_some_and(|end| end.starts_with('-'));
        if is_random && is_own_directory(&entry.path()) {
            // One that can't be taken stays. Dropping it removes it.
            drop(SocketDirectory::take(entry.path()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, lchown, symlink};

    /// A base for one test.
    struct Base(PathBuf);

    impl Base {
        fn new(name: &str) -> Base {
            let path = std::env::temp_dir().join(format!("navigator-{name}-{}", std::process::id()));
            fs::create_dir(&path).expect("its name is new");
            Base(path)
        }

        fn path(&self, instance: &str) -> PathBuf {
            self.0.join(format!("{PREFIX}{instance}"))
        }
    }

    impl Drop for Base {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).expect("it is ours");
        }
    }

    #[test]
    fn the_next_navigator_of_an_instance_takes_the_directory_of_a_killed_one_over() {
        let base = Base::new("directories");
        let (left, of_another) = (base.path("one"), base.path("other"));
        for directory in [&left, &of_another] {
            fs::create_dir(directory).expect("it is ours");
            fs::write(directory.join("1"), "").expect("it is ours");
        }
        let next = SocketDirectory::open(&base.0, "one").expect("a directory");
        assert_eq!(next.path, left);
        assert!(left.join("1").exists() && of_another.join("1").exists());
        assert_eq!(fs::metadata(&left).expect("it exists").permissions().mode() & 0o777, 0o711);
        drop(next);
        assert!(!left.exists() && of_another.exists(), "an ordered end removes its own");
        SocketDirectory::remove_left(&base.0, "one");
        SocketDirectory::remove_left(&base.0, "other");
        assert!(!left.exists() && !of_another.exists());
    }

    #[test]
    fn a_directory_that_is_not_safely_ours_is_left_alone() {
        let base = Base::new("squatters");
        let path = base.path("one");
        let abandoned = base.0.join(format!("{PREFIX}one-0"));
        let is_root = geteuid().is_root();
        for case in ["another user's", "writable by others", "another user's link", "a file", "locked"] {
            let target = base.0.join("target");
            fs::create_dir_all(&target).expect("it is ours");
            fs::create_dir_all(&abandoned).expect("it is ours");
            let mut lock = None;
            match case {
                "another user's link" if is_root => {
                    symlink(&target, &path).expect("it is ours");
                    lchown(&path, Some(65534), None).expect("root may");
                }
                "another user's link" => symlink("/proc/none/here", &path).expect("it is ours"),
                "a file" => fs::write(&path, "").expect("it is ours"),
                _ => fs::create_dir(&path).expect("it is ours"),
            }
            match case {
                "another user's" if is_root => lchown(&path, Some(65534), None).expect("root may"),
                "another user's" | "writable by others" => {
                    fs::set_permissions(&path, Permissions::from_mode(0o777)).expect("it is ours");
                }
                "locked" => lock = Some(SocketDirectory::take(path.clone()).expect("it is ours")),
                _ => {}
            }
            let opened = SocketDirectory::open(&base.0, "one").expect("another name");
            assert_ne!(opened.path, path, "{case}");
            assert!(opened.path.starts_with(&base.0) && !abandoned.exists(), "{case}");
            drop(opened);
            assert!(fs::symlink_metadata(&path).is_ok() && target.exists(), "{case}");
            drop(lock);
            let _removed_with_lock = fs::remove_file(&path).or_else(|_| fs::remove_dir(&path));
        }
    }
}
