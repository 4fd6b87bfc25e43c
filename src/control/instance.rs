//! State directories, and the directory of one instance: a navigator that runs a configuration.
//!
//! In the state directory, each real path of a configuration has a directory of its own, with mode 0700. The lock in it keeps a
//! second navigator from running the same configuration.

use super::holder::{ClaimError, HeldLock};
use crate::access::{Directory, Distrust, Trust};
use crate::checksum::fnv1a;
use rustix::process::geteuid;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The directory that holds the directories of all instances.
#[derive(Clone, Debug)]
pub struct StateDir {
    path: PathBuf,
    trust: Trust,
}

impl StateDir {
    /// The directory `named`, else the default: `/run/navigator` for root, `$XDG_RUNTIME_DIR/navigator` for other users, and
    /// without that variable `navigator-UID` in the directory for temporary files. It and all directories above it must be
    /// trusted.
    pub fn new(named: Option<PathBuf>, runtime_dir: Option<&OsStr>, trust: Trust) -> StateDir {
        let default = || {
            let user = geteuid();
            match runtime_dir.filter(|dir| !dir.is_empty()) {
                _ if user.is_root() => PathBuf::from("/run/navigator"),
                Some(dir) => Path::new(dir).join("navigator"),
                None => std::env::temp_dir().join(format!("navigator-{}", user.as_raw())),
            }
        };
        StateDir { path: named.unwrap_or_else(default), trust }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The trusted users.
    pub fn trust(&self) -> Trust {
        self.trust
    }

    /// The default pid file: `/run/navigator.pid` for root, else `navigator.pid` in this directory.
    pub fn pid_file(&self) -> PathBuf {
        if geteuid().is_root() { "/run/navigator.pid".into() } else { self.path.join("navigator.pid") }
    }

    /// Checks that an instance's directory can be made here, without leaving anything behind.
    pub fn check(&self) -> Result<(), InstanceError> {
        let existed = self.path.exists();
        let trial = format!("trial-{}", std::process::id());
        let base = self.make()?;
        self.make_private(&base, &trial)?;
        base.remove_directory(&trial).map_err(|source| InstanceError::Directory { path: self.path.join(trial), source })?;
        if !existed {
            // It fails if another navigator uses the directory meanwhile.
            let _in_use = std::fs::remove_dir(&self.path);
        }
        Ok(())
    }

    /// The directory of the instance for a configuration, if it exists.
    ///
    /// # Errors
    /// It can't be opened, or isn't trusted.
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

    /// Makes a directory with mode 0700 in the state directory.
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

/// The lock file in an instance's directory.
pub const LOCK: &str = "lock";

/// The exclusive right of this process to run a configuration.
#[derive(Debug)]
pub struct Instance {
    directory: Directory,
    lock: HeldLock,
}

/// Why this process can't run a configuration.
#[derive(Debug, thiserror::Error)]
pub enum InstanceError {
    /// Another navigator runs it.
    #[error("`{}` is already run by the navigator with pid {pid}", config.display())]
    Running {
        /// The configuration.
        config: PathBuf,
        /// The other navigator.
        pid: i32,
    },
    /// A user that isn't trusted can change the state directory or a directory above it.
    #[error("state directory `{}` is not safe: {distrust}; {}, or choose another with `--state-dir`", path.display(), distrust.remedy())]
    Distrusted {
        /// The state directory.
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
    /// Locks a configuration for this process.
    pub fn claim(state: &StateDir, config: &Path) -> Result<Instance, InstanceError> {
        let directory = state.make_private(&state.make()?, &name_of(config))?;
        let lock = HeldLock::new(directory.entry(LOCK)).map_err(|error| match error {
            ClaimError::Held(pid) => InstanceError::Running { config: config.to_owned(), pid },
            other => InstanceError::Lock(other),
        })?;
        Ok(Instance { directory, lock })
    }

    /// The directory of this instance, which no other navigator uses while the lock is held.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Unlocks the configuration.
    pub fn release(self) {
        self.lock.remove();
    }
}
