//! The directory of one instance: one navigator for one configuration.
//!
//! A state directory is a base, in which each real path of a configuration has a directory of its own, readable by its
//! owner alone. The lock in it makes a second navigator for the same configuration step back.

use super::holder::{Claim, ClaimError};
use crate::journal::fnv1a;
use rustix::fs::{Mode, OFlags, fstat, open};
use rustix::process::geteuid;
use std::ffi::OsStr;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The base of all instances' directories.
#[derive(Clone, Debug)]
pub struct StateDir(PathBuf);

impl StateDir {
    /// The one that was asked for, else the usual one: `/run/navigator` for root, `$XDG_RUNTIME_DIR/navigator` for
    /// others, and where that isn't set a directory of the user's own among the temporary files.
    pub fn new(asked: Option<PathBuf>, runtime_dir: Option<&OsStr>) -> StateDir {
        let usual = || {
            let user = geteuid();
            match runtime_dir.filter(|dir| !dir.is_empty()) {
                _ if user.is_root() => PathBuf::from("/run/navigator"),
                Some(dir) => Path::new(dir).join("navigator"),
                None => std::env::temp_dir().join(format!("navigator-{}", user.as_raw())),
            }
        };
        StateDir(asked.unwrap_or_else(usual))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Makes sure that an instance's directory could be made in it, and leaves nothing behind.
    pub fn check(&self) -> Result<(), InstanceError> {
        let trial = self.0.join(format!("trial-{}", std::process::id()));
        let was_there = self.0.exists();
        make_private(&self.0, &trial)?;
        std::fs::remove_dir(&trial).map_err(|source| InstanceError::Directory { path: trial, source })?;
        if !was_there {
            // Somebody may have begun to use it in between.
            let _in_use = std::fs::remove_dir(&self.0);
        }
        Ok(())
    }

    /// The directory of the instance for a configuration, whether or not it exists.
    pub fn of(&self, config: &Path) -> PathBuf {
        let real = std::fs::canonicalize(config).or_else(|_| std::path::absolute(config)).unwrap_or_else(|_| config.to_owned());
        let stem = real.file_stem().unwrap_or_default().to_string_lossy();
        let word: String = stem.chars().filter(char::is_ascii_alphanumeric).take(24).collect();
        self.0.join(format!("{word}-{:016x}", fnv1a(real.as_os_str().as_bytes())))
    }

    /// The lock of the instance for a configuration, whether or not it exists.
    pub fn lock_of(&self, config: &Path) -> PathBuf {
        self.of(config).join("lock")
    }
}

/// The claim of this process on a configuration.
#[derive(Debug)]
pub struct Instance {
    directory: PathBuf,
    claim: Claim,
}

/// Why this process can't be the one for its configuration.
#[derive(Debug, thiserror::Error)]
pub enum InstanceError {
    /// Another navigator is.
    #[error("`{}` is already run by the navigator with pid {pid}", config.display())]
    Running {
        /// The configuration.
        config: PathBuf,
        /// The other one.
        pid: i32,
    },
    /// The directory belongs to somebody else, or others may write to it.
    #[error("state directory `{}` must belong to this user and be closed to others; choose another with `--state-dir`", .0.display())]
    NotOurs(PathBuf),
    /// The directory could not be made.
    #[error("failed to make state directory `{}`: {source}; choose another with `--state-dir`", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The lock could not be taken.
    #[error(transparent)]
    Lock(ClaimError),
}

impl Instance {
    /// Claims a configuration for this process.
    pub fn claim(state: &StateDir, config: &Path) -> Result<Instance, InstanceError> {
        let directory = state.of(config);
        make_private(&state.0, &directory)?;
        let claim = Claim::new(&directory.join("lock")).map_err(|error| match error {
            ClaimError::Held(pid) => InstanceError::Running { config: config.to_owned(), pid },
            other @ ClaimError::System { .. } => InstanceError::Lock(other),
        })?;
        Ok(Instance { directory, claim })
    }

    /// The directory that is this instance's alone for as long as it holds the claim.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Gives the configuration free.
    pub fn release(self) {
        self.claim.remove();
    }
}

/// Makes a directory that is its owner's alone, and its base if that is missing.
fn make_private(base: &Path, directory: &Path) -> Result<(), InstanceError> {
    let failed = |source| InstanceError::Directory { path: directory.to_owned(), source };
    if !base.exists() {
        DirBuilder::new().recursive(true).mode(0o700).create(base).map_err(failed)?;
    }
    if let Err(error) = DirBuilder::new().mode(0o700).create(directory)
        && error.kind() != io::ErrorKind::AlreadyExists
    {
        return Err(failed(error));
    }
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let stat = open(directory, flags, Mode::empty()).and_then(fstat).map_err(|error| failed(error.into()))?;
    let others = Mode::RWXG | Mode::RWXO;
    let is_ours = stat.st_uid == geteuid().as_raw() && !Mode::from_raw_mode(stat.st_mode).intersects(others);
    if is_ours { Ok(()) } else { Err(InstanceError::NotOurs(directory.to_owned())) }
}
