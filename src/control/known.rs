//! The instances of a state directory: which navigator runs which configuration.
//!
//! An instance is known by the path that its navigator was started with. A link on that path may lead elsewhere by now, so where
//! it leads is looked up anew each time.

use super::holder::HeldLock;
use super::state_dir::StateDir;
use crate::access::{Directory, FoundPath};
use crate::keeper;
use crate::paths::{absolute, followed};
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// The lock file in an instance's directory.
pub(super) const LOCK: &str = "lock";

/// The file in an instance's directory that holds the path of its configuration.
pub(super) const CONFIG: &str = "config";

/// An instance: its directory, and the navigator that runs it.
#[derive(Debug)]
pub struct KnownInstance {
    pub(super) directory: Directory,
    /// The path that the last navigator was started with.
    pub(super) config: PathBuf,
    /// Whether a navigator runs, here or in another container.
    pub(super) is_running: bool,
}

impl KnownInstance {
    /// The path that the last navigator was started with.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// The pid of the navigator that runs; `None`: none does, or it has no pid here.
    pub fn pid(&self) -> Option<i32> {
        HeldLock::holder(&self.lock()).map(|pid| pid.as_raw_nonzero().get())
    }

    /// The pid of a keeper that a navigator has left, and how many processes run below it; `None`: there is none.
    pub fn keeper(&self) -> Option<(u32, usize)> {
        let names = keeper::names(&self.directory).unwrap_or_default();
        let welcome = names.iter().rev().find_map(|name| keeper::look(&self.directory, name).ok())?;
        Some((welcome.pid, welcome.processes))
    }

    /// The location of its lock.
    pub fn lock(&self) -> FoundPath<'static> {
        self.directory.entry(LOCK)
    }

    /// Whether it was started with this absolute path, or with one that leads to the same file now.
    pub(super) fn is_of(&self, config: &Path) -> bool {
        self.config == config || followed(&self.config) == followed(config)
    }
}

impl StateDir {
    /// The running instance of a configuration: the one that was started with this path, else one that was started with a path
    /// that leads to the same file now.
    ///
    /// # Errors
    /// The state directory can't be opened, or isn't trusted.
    pub fn find(&self, config: &Path) -> io::Result<Option<KnownInstance>> {
        let path = absolute(config);
        let running = self.running()?.into_iter().filter(|known| known.is_of(&path));
        Ok(running.min_by_key(|known| known.config != path))
    }

    /// The keeper of a configuration that no navigator runs, see [`KnownInstance::keeper`].
    pub(super) fn keeper_of(&self, config: &Path) -> Option<(u32, usize)> {
        let base = Directory::open(self.path(), self.trust()).ok()?;
        let path = absolute(config);
        known(&base).ok()?.into_iter().filter(|known| known.is_of(&path)).find_map(|known| known.keeper())
    }

    /// All running instances, sorted by the paths of their configurations.
    ///
    /// # Errors
    /// The state directory can't be opened, or isn't trusted.
    pub fn running(&self) -> io::Result<Vec<KnownInstance>> {
        let base = match Directory::open(self.path(), self.trust()) {
            Ok(base) => base,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut running: Vec<KnownInstance> = known(&base)?.into_iter().filter(|known| known.is_running).collect();
        running.sort_by(|a, b| a.config.cmp(&b.config));
        Ok(running)
    }
}

/// All instances in a state directory, running or not. Directories that are no instances, or not trusted, are left out.
pub(super) fn known(base: &Directory) -> io::Result<Vec<KnownInstance>> {
    let instance = |name: OsString| {
        let directory = base.enter(name.to_str()?).ok()?;
        let config = PathBuf::from(OsString::from_vec(directory.read(CONFIG).ok()?));
        let is_running = HeldLock::is_held(&directory.entry(LOCK));
        Some(KnownInstance { directory, config, is_running })
    };
    Ok(base.names()?.into_iter().filter_map(instance).collect())
}
