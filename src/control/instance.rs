//! The directory of one instance: one navigator for one configuration.
//!
//! A state directory is a base, in which each real path of a configuration has a directory of its own, readable by its
//! owner alone. The lock in it makes a second navigator for the same configuration step back.

use super::holder::{ClaimError, HeldLock};
use crate::access::{Directory, Distrust, Trust};
use crate::checksum::fnv1a;
use rustix::process::geteuid;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The base of all instances' directories.
#[derive(Clone, Debug)]
pub struct StateDir {
    path: PathBuf,
    trust: Trust,
}

impl StateDir {
    /// The one that was asked for, else the usual one: `/run/navigator` for root, `$XDG_RUNTIME_DIR/navigator` for
    /// others, and where that isn't set a directory of the user's own among the temporary files. It and all directories
    /// above it must be trusted.
    pub fn new(asked: Option<PathBuf>, runtime_dir: Option<&OsStr>, trust: Trust) -> StateDir {
        let usual = || {
            let user = geteuid();
            match runtime_dir.filter(|dir| !dir.is_empty()) {
                _ if user.is_root() => PathBuf::from("/run/navigator"),
                Some(dir) => Path::new(dir).join("navigator"),
                None => std::env::temp_dir().join(format!("navigator-{}", user.as_raw())),
            }
        };
        StateDir { path: asked.unwrap_or_else(usual), trust }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The users that are trusted with files and processes of navigator.
    pub fn trust(&self) -> Trust {
        self.trust
    }

    /// The usual pid file: `/run/navigator.pid` for root, else one beside the instances.
    pub fn pid_file(&self) -> PathBuf {
        if geteuid().is_root() { "/run/navigator.pid".into() } else { self.path.join("navigator.pid") }
    }

    /// Makes sure that an instance's directory could be made in it, and leaves nothing behind.
    pub fn check(&self) -> Result<(), InstanceError> {
        let was_there = self.path.exists();
        let trial = format!("trial-{}", std::process::id());
        let base = self.make()?;
        self.make_private(&base, &trial)?;
        base.remove_directory(&trial).map_err(|source| InstanceError::Directory { path: self.path.join(trial), source })?;
        if !was_there {
            // Another navigator may have begun to use it in between.
            let _in_use = std::fs::remove_dir(&self.path);
        }
        Ok(())
    }

    /// The directory of the instance for a configuration, if it exists.
    ///
    /// # Errors
    /// It can't be entered, or isn't trusted.
    pub fn find(&self, config: &Path) -> io::Result<Option<Directory>> {
        match Directory::open(&self.path, self.trust).and_then(|base| base.enter(&name_of(config))) {
            Ok(directory) => Ok(Some(directory)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn make(&self) -> Result<Directory, InstanceError> {
        Directory::open_or_make(&self.path, self.trust).map_err(|source| match Distrust::behind(&source) {
            Some(distrust) => InstanceError::Distrusted { path: self.path.clone(), distrust: distrust.clone() },
            None => InstanceError::Directory { path: self.path.clone(), source },
        })
    }

    /// Makes a directory in the base that is its owner's alone.
    fn make_private(&self, base: &Directory, name: &str) -> Result<Directory, InstanceError> {
        let path = self.path.join(name);
        match base.open_or_make_private(name) {
            Ok(Some(directory)) => Ok(directory),
            Ok(None) => Err(InstanceError::NotOurs(path)),
            Err(source) => Err(InstanceError::Directory { path, source }),
        }
    }
}

/// The name of an instance's directory.
fn name_of(config: &Path) -> String {
    let real = std::fs::canonicalize(config).or_else(|_| std::path::absolute(config)).unwrap_or_else(|_| config.to_owned());
    let stem = real.file_stem().unwrap_or_default().to_string_lossy();
    let word: String = stem.chars().filter(char::is_ascii_alphanumeric).take(24).collect();
    format!("{word}-{:016x}", fnv1a(real.as_os_str().as_bytes()))
}

/// The file in an instance's directory that the navigator holds which runs it.
pub const LOCK: &str = "lock";

/// The claim of this process on a configuration.
#[derive(Debug)]
pub struct Instance {
    directory: Directory,
    claim: HeldLock,
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
    /// The base or a directory above it can be changed by a user that isn't trusted.
    #[error("state directory `{}` is not safe: {distrust}; {}, or choose another with `--state-dir`", path.display(), distrust.remedy())]
    Distrusted {
        /// The base.
        path: PathBuf,
        /// Why.
        distrust: Distrust,
    },
    /// The directory belongs to another user, or others may write to it.
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
        let directory = state.make_private(&state.make()?, &name_of(config))?;
        let claim = HeldLock::new(directory.entry(LOCK)).map_err(|error| match error {
            ClaimError::Held(pid) => InstanceError::Running { config: config.to_owned(), pid },
            other => InstanceError::Lock(other),
        })?;
        Ok(Instance { directory, claim })
    }

    /// The directory that is this instance's alone for as long as it holds the claim.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Gives the configuration free.
    pub fn release(self) {
        self.claim.remove();
    }
}
