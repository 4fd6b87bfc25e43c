//! Hints from the kernel that something may have changed. Each is worth a look and nothing more: what is true is seen by
//! looking.

use super::inotify::{Hint, Refused, Watcher};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many hints may wait to be taken. Somebody may write beside the files all the time, and faster than anybody looks.
const MOST: usize = 1024;

/// Counts the hints that wait.
#[derive(Debug, Default)]
pub(super) struct Backlog(AtomicUsize);

impl Backlog {
    /// What is to be passed on of a hint: itself, or of those beyond the most that may wait, once, that some were lost.
    pub(super) fn admit(&self, hint: Hint) -> Option<Hint> {
        match self.0.fetch_add(1, Ordering::AcqRel) {
            0..MOST => Some(hint),
            MOST => Some(Hint::Anything),
            _ => None,
        }
    }

    /// All that wait are about to be taken, and looked into after that.
    pub(super) fn clear(&self) {
        self.0.store(0, Ordering::Release);
    }
}

/// Which directory stands behind a path: its device and inode.
type Identity = (u64, u64);

/// Watches directories for hints.
pub(super) struct Hints {
    watcher: Watcher,
    /// Each with the directory that is watched under that path; `None`: the watch may be dead.
    watched: BTreeMap<PathBuf, Option<Identity>>,
}

impl Hints {
    /// Gives every hint to `take`, from a thread of the watcher's own.
    ///
    /// # Errors
    /// The system's limits on watching are reached.
    pub(super) fn new(take: impl Fn(Hint) + Send + 'static) -> Result<Hints, Refused> {
        Ok(Hints { watcher: Watcher::new(take)?, watched: BTreeMap::new() })
    }

    /// Takes note that a name is gone. A directory that was watched there is watched no more, nor are those below it; one
    /// that takes its name may even get its inode.
    pub(super) fn doubt(&mut self, gone: &Path) {
        for (directory, identity) in &mut self.watched {
            if directory.starts_with(gone) {
                *identity = None;
            }
        }
    }

    /// Watches these directories and no others. One that isn't there is left out: the one above it tells when it comes.
    ///
    /// # Errors
    /// One that is there can't be watched.
    pub(super) fn watch(&mut self, directories: &BTreeSet<PathBuf>) -> Result<(), Refused> {
        let wanted: BTreeMap<&PathBuf, Option<Identity>> =
            directories.iter().filter_map(|directory| Some((directory, Some(identity(directory)?)))).collect();
        let watcher = &self.watcher;
        self.watched.retain(|directory, identity| {
            let stays = wanted.get(directory) == Some(identity);
            if !stays {
                watcher.unwatch(directory);
            }
            stays
        });
        for (directory, identity) in wanted {
            if self.watched.contains_key(directory) {
                continue;
            }
            // Unless it went a moment ago.
            if self.watcher.watch(directory)? {
                self.watched.insert(directory.clone(), identity);
            }
        }
        Ok(())
    }
}

fn identity(directory: &Path) -> Option<Identity> {
    let stat = std::fs::metadata(directory).ok()?;
    stat.is_dir().then(|| (stat.dev(), stat.ino()))
}

#[cfg(test)]
mod tests {
    use super::super::folder::Folder;
    use super::*;
    use std::fs;
    use std::sync::mpsc::{self, Receiver};
    use std::time::Duration;

    /// How long anything that must happen may take.
    const DEADLINE: Duration = Duration::from_mins(1);

    #[test]
    fn of_more_hints_than_anybody_takes_the_last_says_that_some_were_lost() {
        let backlog = Backlog::default();
        let admitted: Vec<Hint> = (0..3 * MOST).filter_map(|_| backlog.admit(Hint::Written(PathBuf::from("log")))).collect();
        assert_eq!((admitted.len(), admitted.last()), (MOST + 1, Some(&Hint::Anything)));
        backlog.clear();
        assert_eq!(backlog.admit(Hint::Gone(PathBuf::from("log"))), Some(Hint::Gone(PathBuf::from("log"))));
    }

    /// A directory that is watched.
    struct Watched {
        folder: Folder,
        hints: Hints,
        received: Receiver<Hint>,
    }

    impl Watched {
        fn new() -> Watched {
            let (sender, received) = mpsc::channel();
            // The test is over.
            let hints = Hints::new(move |hint| drop(sender.send(hint))).expect("files can be watched here");
            let mut watched = Watched { folder: Folder::new(), hints, received };
            watched.watch();
            watched
        }

        fn watch(&mut self) {
            self.hints.watch(&[self.path("")].into()).expect("it can be watched");
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path(name)
        }

        /// The hints up to and with this one.
        #[track_caller]
        fn until(&self, last: &Hint) -> Vec<Hint> {
            let mut hints = Vec::new();
            while hints.last() != Some(last) {
                hints.push(self.received.recv_timeout(DEADLINE).unwrap_or_else(|_| panic!("{last:?} comes after {hints:?}")));
            }
            hints
        }
    }

    #[test]
    fn every_step_of_a_save_by_rename_is_told_once() {
        let watched = Watched::new();
        let [new, file] = ["new", "file"].map(|name| watched.path(name));
        fs::write(&new, "text").expect("it is ours");
        fs::read(&new).expect("it was just written");
        fs::rename(&new, &file).expect("it is ours");
        fs::remove_file(&file).expect("it is ours");
        let expected = [
            Hint::Touched(new.clone()),
            Hint::Written(new.clone()),
            Hint::Closed(new.clone()),
            Hint::Gone(new),
            Hint::Placed(file.clone()),
            Hint::Gone(file.clone()),
        ];
        assert_eq!(watched.until(&Hint::Gone(file)), expected);
    }

    #[test]
    fn a_watch_that_may_be_dead_is_renewed_though_the_directory_looks_the_same() {
        let mut watched = Watched::new();
        let directory = watched.path("");
        // As the kernel does when a directory is removed; one that is made then may get its inode.
        watched.hints.watcher.unwatch(&directory);
        watched.hints.doubt(&directory);
        watched.watch();
        fs::write(watched.path("file"), "text").expect("it is ours");
        watched.until(&Hint::Closed(watched.path("file")));
    }
}
