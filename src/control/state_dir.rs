//! The state directory, which holds a directory for each instance.

use super::holder::ClaimError;
use crate::access::{Directory, Distrust, Trust};
use rustix::process::geteuid;
use std::ffi::OsStr;
use std::io;
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

    /// Opens it, and makes it if it is missing.
    pub(super) fn make(&self) -> Result<Directory, InstanceError> {
        Directory::open_or_make(&self.path, self.trust).map_err(|source| match Distrust::behind(&source) {
            Some(distrust) => InstanceError::Distrusted { path: self.path.clone(), distrust: distrust.clone() },
            None => InstanceError::Directory { path: self.path.clone(), source },
        })
    }

    /// Makes a directory with mode 0700 in the state directory.
    pub(super) fn make_private(&self, base: &Directory, name: &str) -> Result<Directory, InstanceError> {
        let path = self.path.join(name);
        match base.open_or_make_private(name) {
            Ok(Some(directory)) => Ok(directory),
            Ok(None) => Err(InstanceError::NotOurs(path)),
            Err(source) => Err(InstanceError::Directory { path, source }),
        }
    }
}

/// Why this process can't run a configuration.
#[derive(Debug, thiserror::Error)]
pub enum InstanceError {
    /// Another navigator runs it.
    #[error("`{}` is already run by the navigator with pid {pid}{}", config.display(), started_with(started.as_deref()))]
    Running {
        /// The configuration.
        config: PathBuf,
        /// The other navigator.
        pid: i32,
        /// The path that it was started with, if that is another one.
        started: Option<PathBuf>,
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
    /// The instance of the former program in this process is in another state directory.
    #[error("`{}` is not in state directory `{}`", directory.display(), state.display())]
    Other {
        /// The state directory.
        state: PathBuf,
        /// The directory of the instance.
        directory: PathBuf,
    },
    /// The lock could not be taken.
    #[error(transparent)]
    Lock(ClaimError),
}

fn started_with(path: Option<&Path>) -> String {
    path.map(|path| format!(", which was started with `{}`", path.display())).unwrap_or_default()
}
