//! The directory of one instance for what outlives a boot.

use crate::access::{Directory, Trust};
use crate::checksum::fnv1a;
use crate::error_text::words;
use crate::paths::absolute;
use rustix::fd::OwnedFd;
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::process::geteuid;
use std::ffi::OsString;
use std::fs::{DirBuilder, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The directory of one instance, locked for this process. Clones share the lock.
#[derive(Clone, Debug)]
pub struct DataDir {
    directory: Directory,
    _lock: Option<Arc<OwnedFd>>,
}

/// The directory can't be used.
#[derive(Debug, thiserror::Error)]
#[error("failed to use data directory `{}`: {}; choose another with `--data-dir`", path.display(), words(source))]
pub struct DataDirError {
    path: PathBuf,
    source: io::Error,
}

/// The directory that holds the directories of all instances: the one that is named, else that of the service manager, else
/// `/var/lib/navigator`, for other users than root one in their home. `variable` looks up environment variables.
pub fn default_base(named: Option<PathBuf>, variable: impl Fn(&str) -> Option<OsString>) -> PathBuf {
    let path = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || {
        let state = path("XDG_STATE_HOME").or_else(|| path("HOME").map(|home| home.join(".local/state")));
        state.map(|state| state.join("navigator"))
    };
    let named = named.or_else(|| path("NAVIGATOR_DATA_DIR")).or_else(|| path("STATE_DIRECTORY"));
    let of_user = || if geteuid().is_root() { None } else { home() };
    named.or_else(of_user).unwrap_or_else(|| PathBuf::from("/var/lib/navigator"))
}

impl DataDir {
    /// Opens the directory of a configuration, and makes it if it is missing. Other users may enter it, to reach checked out files.
    ///
    /// # Errors
    /// It can't be made, isn't trusted, or is used by another navigator.
    pub fn open(base: &Path, config: &Path, trust: Trust) -> Result<DataDir, DataDirError> {
        let path = absolute(base).join(name_of(&absolute(config)));
        let opened = DataDir::open_at(&path, trust);
        opened.map_err(|source| DataDirError { path, source })
    }

    fn open_at(path: &Path, trust: Trust) -> io::Result<DataDir> {
        let parent = path.parent().unwrap_or(path);
        DirBuilder::new().recursive(true).mode(0o755).create(parent)?;
        match DirBuilder::new().mode(0o711).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let directory = Directory::open(path, trust)?;
        std::fs::set_permissions(path, Permissions::from_mode(0o711))?;
        let lock = directory.open_entry("lock", OFlags::RDWR | OFlags::CREATE, Mode::RUSR | Mode::WUSR)?;
        let in_use = |_| io::Error::other("another navigator uses it");
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(in_use)?;
        Ok(DataDir { directory, _lock: Some(Arc::new(lock)) })
    }

    /// Opens the directory of a configuration that another navigator runs, to read in it.
    ///
    /// # Errors
    /// There is none, or it isn't trusted.
    pub fn open_to_read(base: &Path, config: &Path, trust: Trust) -> Result<DataDir, DataDirError> {
        let path = absolute(base).join(name_of(&absolute(config)));
        match Directory::open(&path, trust) {
            Ok(directory) => Ok(DataDir { directory, _lock: None }),
            Err(source) => Err(DataDirError { path, source }),
        }
    }

    /// The directory.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The clone of the repository.
    pub fn mirror(&self) -> PathBuf {
        self.path().join("mirror.git")
    }

    /// The directory of the checkouts, by commit.
    pub fn checkouts(&self) -> PathBuf {
        self.path().join("checkouts")
    }

    /// The link to the checkout in force: the path of its files, whatever the commit.
    pub fn current(&self) -> PathBuf {
        self.path().join("current")
    }

    /// Replaces a file, and waits until it is on the disk.
    ///
    /// # Errors
    /// It can't be written; then the former one is still there.
    pub fn replace(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let new = format!("{name}.new");
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
        let mut file = File::from(self.directory.open_entry(&new, flags, Mode::RUSR | Mode::WUSR)?);
        file.write_all(content)?;
        file.sync_all()?;
        self.directory.rename(&new, name)?;
        self.sync()
    }

    /// Waits until the names in the directory are on the disk.
    ///
    /// # Errors
    /// Errors of `fsync(2)`.
    pub fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(self.directory.reopen()?)?)
    }
}

/// The name of a configuration's directory: the same after a boot.
fn name_of(config: &Path) -> String {
    let stem = config.file_stem().and_then(|stem| stem.to_str()).unwrap_or("config");
    let plain: String = stem.chars().filter(|char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_')).take(40).collect();
    format!("{plain}-{:016x}", fnv1a(config.as_os_str().as_bytes()))
}
