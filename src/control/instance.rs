//! The directory of one instance: a navigator that runs a configuration.
//!
//! In the state directory, each configuration has a directory of its own, with mode 0700. It holds the path that navigator was
//! started with, and a lock. A second navigator for that path, or for one that leads to the same file, is refused.

use super::holder::{ClaimError, HeldLock};
use super::known::{CONFIG, KnownInstance, LOCK, known};
use super::state_dir::{InstanceError, StateDir};
use crate::access::Directory;
use crate::checksum::fnv1a;
use crate::journal;
use crate::paths::absolute;
use rustix::fd::OwnedFd;
use rustix::fs::{FlockOperation, Mode, flock};
use rustix::io::{Errno, retry_on_intr};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The exclusive right of this process to run a configuration.
#[derive(Debug)]
pub struct Instance {
    directory: Directory,
    lock: HeldLock,
}

impl Instance {
    /// Locks a configuration for this process.
    ///
    /// # Errors
    /// See [`InstanceError`].
    pub fn claim(state: &StateDir, config: &Path) -> Result<Instance, InstanceError> {
        let path = absolute(config);
        let base = state.make()?;
        let failed = |source| InstanceError::Directory { path: state.path().to_owned(), source };
        let turn = take_turn(&base).map_err(failed)?;
        let mut known = known(&base).map_err(failed)?;
        known.retain(|known| known.is_of(&path));
        if let Some(other) = known.iter().find(|known| known.is_running) {
            let started = Some(other.config.clone()).filter(|other| *other != path);
            return Err(match other.pid() {
                Some(pid) => InstanceError::Running { config: config.to_owned(), pid, started },
                None => {
                    InstanceError::Lock(ClaimError::System { path: other.lock().path().to_owned(), source: Errno::AGAIN.into() })
                }
            });
        }
        let directory = state.make_private(&base, &choose(&base, &known, &path))?;
        // Before the lock: as soon as it is held, clients look for the path. Until then none reads the file, so it is written in
        // place.
        let content = path.as_os_str().as_bytes();
        let is_there = directory.read(CONFIG).is_ok_and(|former| former == content);
        let written = if is_there { Ok(()) } else { directory.write(CONFIG, content) };
        written.map_err(|source| InstanceError::Directory { path: directory.path().to_owned(), source })?;
        let lock = HeldLock::new(directory.entry(LOCK)).map_err(|error| match error {
            ClaimError::Held(pid) => InstanceError::Running { config: config.to_owned(), pid, started: None },
            other => InstanceError::Lock(other),
        })?;
        drop(turn);
        Ok(Instance { directory, lock })
    }

    /// Goes on with a configuration that the former program in this process has locked. `directory`: the instance's; `lock`: the
    /// descriptor of its lock.
    ///
    /// # Errors
    /// See [`InstanceError`].
    pub fn inherited(state: &StateDir, directory: &Path, lock: i32) -> Result<Instance, InstanceError> {
        let name = directory.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if state.path().join(name) != directory {
            return Err(InstanceError::Other { state: state.path().to_owned(), directory: directory.to_owned() });
        }
        let directory = state.make_private(&state.make()?, name)?;
        let lock = HeldLock::inherited(directory.entry(LOCK), lock);
        Ok(Instance { directory, lock })
    }

    /// The descriptor of its lock.
    pub fn lock_descriptor(&self) -> i32 {
        self.lock.descriptor()
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

/// Waits until no other navigator is at [`Instance::claim`], and holds others back until the descriptor is closed: two that
/// start at once, with different paths of one file, must see each other.
///
/// `None`: others may open the directory, and could hold this one back for ever.
fn take_turn(base: &Directory) -> io::Result<Option<OwnedFd>> {
    if Mode::from_raw_mode(base.stat()?.st_mode).intersects(Mode::RWXG | Mode::RWXO) {
        return Ok(None);
    }
    let turn = base.reopen()?;
    retry_on_intr(|| flock(&turn, FlockOperation::LockExclusive))?;
    Ok(Some(turn))
}

/// The name of the directory for a configuration: the one of a killed navigator that may have left processes, else the one that
/// was used for this path before, else a new one. `known`: the instances of this configuration, none of which runs.
fn choose(base: &Directory, known: &[KnownInstance], path: &Path) -> String {
    let has_runs = |known: &KnownInstance| journal::has_runs(&known.directory);
    let former = known.iter().filter(|known| has_runs(known) || known.config == path);
    let former = former.min_by_key(|known| (!has_runs(known), known.config != path));
    if let Some(name) = former.and_then(|former| former.directory.path().file_name()?.to_str()) {
        return name.to_owned();
    }
    // A directory without a path was left by an attempt that failed.
    let is_free = |name: &String| base.enter(name).and_then(|directory| directory.read(CONFIG)).is_err();
    let numbered = (2..).map(|number| format!("{}-{number}", name_of(path)));
    std::iter::once(name_of(path)).chain(numbered).find(is_free).unwrap_or_default()
}

/// The name of an instance's directory, where no other instance uses it.
fn name_of(config: &Path) -> String {
    let stem = config.file_stem().unwrap_or_default().to_string_lossy();
    let word: String = stem.chars().filter(char::is_ascii_alphanumeric).take(24).collect();
    format!("{word}-{:016x}", fnv1a(config.as_os_str().as_bytes()))
}
