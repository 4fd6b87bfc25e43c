//! Hints from the kernel that something may have changed. Each is worth a look and nothing more: what is true is seen by
//! looking.

use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind, RenameMode};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// What the kernel says has happened to a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Hint {
    /// It was put in place whole: renamed to, or a symbolic link replaced.
    Placed(PathBuf),
    /// It was opened and written to, and may still be open.
    Written(PathBuf),
    /// Whoever wrote to it has closed it.
    Closed(PathBuf),
    /// Something else: created, removed, its mode changed.
    Touched(PathBuf),
    /// Hints were lost.
    Anything,
}

impl Hint {
    /// The hints in an event. That files are opened and read is none: navigator does so itself.
    pub(super) fn of(event: notify::Result<notify::Event>) -> Vec<Hint> {
        let Ok(event) = event else { return vec![Hint::Anything] };
        if event.need_rescan() || event.paths.is_empty() {
            return vec![Hint::Anything];
        }
        let hint: fn(PathBuf) -> Hint = match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => Hint::Closed,
            // A rename is told three times: where from, where to, and both at once.
            EventKind::Access(_) | EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => return Vec::new(),
            EventKind::Modify(ModifyKind::Name(RenameMode::To)) => Hint::Placed,
            EventKind::Modify(ModifyKind::Data(_)) => Hint::Written,
            _ => Hint::Touched,
        };
        event.paths.into_iter().map(hint).collect()
    }

    /// The name that it is about; `None`: any.
    pub(super) fn name(&self) -> Option<&PathBuf> {
        match self {
            Hint::Placed(name) | Hint::Written(name) | Hint::Closed(name) | Hint::Touched(name) => Some(name),
            Hint::Anything => None,
        }
    }
}

/// Watches directories for hints.
pub(super) struct Hints {
    watcher: RecommendedWatcher,
    /// Each with the device and inode that is watched: another directory may have taken its name.
    watched: BTreeMap<PathBuf, (u64, u64)>,
}

impl Hints {
    /// Gives every hint to `take`, from a thread of the watcher's own.
    ///
    /// # Errors
    /// The system's limits on watching are reached.
    pub(super) fn new(take: impl Fn(Hint) + Send + 'static) -> notify::Result<Hints> {
        let watcher = notify::recommended_watcher(move |event| Hint::of(event).into_iter().for_each(&take))?;
        Ok(Hints { watcher, watched: BTreeMap::new() })
    }

    /// Watches these directories and no others. One that isn't there is left out: the one above it tells when it comes.
    ///
    /// # Errors
    /// One that is there can't be watched.
    pub(super) fn watch(&mut self, directories: &BTreeSet<PathBuf>) -> notify::Result<()> {
        let mut wanted = BTreeMap::new();
        for directory in directories {
            if let Ok(stat) = std::fs::metadata(directory) {
                wanted.insert(directory.clone(), (stat.dev(), stat.ino()));
            }
        }
        let gone: Vec<PathBuf> =
            self.watched.iter().filter(|(path, is)| wanted.get(*path) != Some(is)).map(|(path, _)| path.clone()).collect();
        for directory in gone {
            self.watched.remove(&directory);
            // The kernel drops the watch of a directory that is removed by itself.
            drop(self.watcher.unwatch(&directory));
        }
        for (directory, is) in wanted {
            if !self.watched.contains_key(&directory) {
                self.watcher.watch(&directory, RecursiveMode::NonRecursive)?;
                self.watched.insert(directory, is);
            }
        }
        Ok(())
    }
}
