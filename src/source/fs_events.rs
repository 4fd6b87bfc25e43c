//! Hints from the kernel that something may have changed. Each is worth a look and nothing more: what is true is seen by
//! looking.

use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind, RenameMode};
use notify::{Config, Error, ErrorKind, EventKindMask, RecommendedWatcher, RecursiveMode, Watcher as _};
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// What the kernel says has happened to a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FsEvent {
    /// It was put in place whole: renamed to, or a symbolic link replaced.
    Placed(PathBuf),
    /// It was opened and written to, and may still be open.
    Written(PathBuf),
    /// Whoever wrote to it has closed it.
    Closed(PathBuf),
    /// It was removed or moved away.
    Gone(PathBuf),
    /// Something else: created, its mode changed.
    Touched(PathBuf),
    /// Hints were lost.
    Anything,
}

impl FsEvent {
    /// The name that it is about; `None`: any.
    pub(super) fn name(&self) -> Option<&Path> {
        match self {
            FsEvent::Placed(name)
            | FsEvent::Written(name)
            | FsEvent::Closed(name)
            | FsEvent::Gone(name)
            | FsEvent::Touched(name) => Some(name),
            FsEvent::Anything => None,
        }
    }

    /// The same about another name.
    fn about(&self, name: PathBuf) -> FsEvent {
        match self {
            FsEvent::Placed(_) => FsEvent::Placed(name),
            FsEvent::Written(_) => FsEvent::Written(name),
            FsEvent::Closed(_) => FsEvent::Closed(name),
            FsEvent::Gone(_) => FsEvent::Gone(name),
            FsEvent::Touched(_) => FsEvent::Touched(name),
            FsEvent::Anything => FsEvent::Anything,
        }
    }

    /// What an event means; `None`: it says nothing that another event doesn't say.
    fn of(event: Result<notify::Event, Error>) -> Option<FsEvent> {
        let Some(event) = event.ok().filter(|event| !event.need_rescan()) else { return Some(FsEvent::Anything) };
        let hint: fn(PathBuf) -> FsEvent = match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => FsEvent::Closed,
            // Both names of a rename were reported one by one before.
            EventKind::Access(_) | EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => return None,
            EventKind::Modify(ModifyKind::Name(RenameMode::To)) => FsEvent::Placed,
            EventKind::Modify(ModifyKind::Name(_)) | EventKind::Remove(_) => FsEvent::Gone,
            EventKind::Modify(ModifyKind::Data(_)) => FsEvent::Written,
            _ => FsEvent::Touched,
        };
        Some(event.paths.into_iter().next().map_or(FsEvent::Anything, hint))
    }
}

/// Why the kernel gives no hints, or not all.
#[derive(Debug, thiserror::Error)]
pub(super) enum WatchRefusal {
    /// `EMFILE`.
    #[error(
        "this user has as many watchers as `fs.inotify.max_user_instances` allows, or navigator as many files as `ulimit -n`"
    )]
    Instances,
    /// `ENOSPC` of `inotify_add_watch(2)`.
    #[error("this user watches as many directories as `fs.inotify.max_user_watches` allows")]
    Watches,
    #[error(transparent)]
    Other(io::Error),
}

impl From<Error> for WatchRefusal {
    fn from(error: Error) -> WatchRefusal {
        match error.kind {
            ErrorKind::MaxFilesWatch => WatchRefusal::Watches,
            ErrorKind::Io(error) if Errno::from_io_error(&error) == Some(Errno::MFILE) => WatchRefusal::Instances,
            ErrorKind::Io(error) => WatchRefusal::Other(error),
            _ => WatchRefusal::Other(io::Error::other(error)),
        }
    }
}

/// How many hints may wait to be taken. Somebody may write beside the files all the time, and faster than anybody looks.
const MOST: usize = 1024;

/// Counts the hints that wait.
#[derive(Debug, Default)]
pub(super) struct EventBacklog(AtomicUsize);

impl EventBacklog {
    /// What is to be passed on of a hint: itself, or of those beyond the most that may wait, once, that some were lost.
    pub(super) fn admit(&self, hint: FsEvent) -> Option<FsEvent> {
        match self.0.fetch_add(1, Ordering::AcqRel) {
            0..MOST => Some(hint),
            MOST => Some(FsEvent::Anything),
            _ => None,
        }
    }

    /// All that wait are about to be taken, and looked into after that.
    pub(super) fn clear(&self) {
        self.0.store(0, Ordering::Release);
    }
}

/// Which directory stands behind a path: its device and inode.
type DirectoryId = (u64, u64);

/// Watches directories for hints; none any more once it is dropped.
pub(super) struct FsEvents {
    watcher: RecommendedWatcher,
    /// Each with the directory that is watched under that path; `None`: the watch may be dead.
    watched: BTreeMap<PathBuf, Option<DirectoryId>>,
}

impl FsEvents {
    /// Gives every hint to `take`, from a thread of the watcher's own.
    ///
    /// # Errors
    /// The system's limits on watching are reached.
    pub(super) fn new(take: impl Fn(FsEvent) + Send + 'static) -> Result<FsEvents, WatchRefusal> {
        // Other programs open and read files beside a configuration all the time. That must not wake the watcher's thread.
        let changes = EventKindMask::CORE | EventKindMask::ACCESS_CLOSE;
        let take = move |event| FsEvent::of(event).into_iter().for_each(&take);
        let watcher = RecommendedWatcher::new(take, Config::default().with_event_kinds(changes))?;
        Ok(FsEvents { watcher, watched: BTreeMap::new() })
    }

    /// Takes note of a hint, and returns it under every path that its directory is watched by: one that is mounted twice has
    /// two, and the watcher reports only one of them.
    pub(super) fn note(&mut self, hint: FsEvent) -> Vec<FsEvent> {
        let Some(name) = hint.name() else {
            self.doubt(Path::new("/"));
            return vec![hint];
        };
        let mut names = BTreeSet::from([name.to_owned()]);
        names.extend(self.others(name).cloned());
        if let (Some(directory), Some(entry)) = (name.parent(), name.file_name()) {
            names.extend(self.others(directory).map(|directory| directory.join(entry)));
        }
        if matches!(hint, FsEvent::Gone(_)) {
            for name in &names {
                self.doubt(name);
            }
        }
        names.into_iter().map(|name| hint.about(name)).collect()
    }

    /// The other paths that the directory at this one is watched by.
    fn others<'a>(&'a self, directory: &Path) -> impl Iterator<Item = &'a PathBuf> {
        let identity = self.watched.get(directory).copied().flatten();
        let is_same = move |(_, other): &(_, &Option<DirectoryId>)| identity.is_some() && **other == identity;
        self.watched.iter().filter(is_same).map(|(path, _)| path)
    }

    /// Takes note that a name is gone. A directory that was watched there is watched no more, nor are those below it; one
    /// that takes its name may even get its inode.
    fn doubt(&mut self, gone: &Path) {
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
    pub(super) fn watch(&mut self, directories: &BTreeSet<PathBuf>) -> Result<(), WatchRefusal> {
        let wanted: BTreeMap<&PathBuf, Option<DirectoryId>> =
            directories.iter().filter_map(|directory| Some((directory, Some(identity(directory)?)))).collect();
        let watcher = &mut self.watcher;
        self.watched.retain(|directory, identity| {
            let stays = wanted.get(directory) == Some(identity);
            if !stays {
                // The kernel drops the watch of a directory that is removed by itself.
                let _gone_already = watcher.unwatch(directory);
            }
            stays
        });
        for (directory, identity) in wanted {
            if self.watched.contains_key(directory) {
                continue;
            }
            match self.watcher.watch(directory, RecursiveMode::NonRecursive) {
                Ok(()) => drop(self.watched.insert(directory.clone(), identity)),
                Err(error) if is_absent(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// Whether a directory could not be watched because it went a moment ago.
fn is_absent(error: &Error) -> bool {
    match &error.kind {
        ErrorKind::PathNotFound => true,
        ErrorKind::Io(error) => error.kind() == io::ErrorKind::NotADirectory,
        _ => false,
    }
}

fn identity(directory: &Path) -> Option<DirectoryId> {
    let stat = std::fs::metadata(directory).ok()?;
    stat.is_dir().then(|| (stat.dev(), stat.ino()))
}

#[cfg(test)]
mod tests {
    use super::super::test_directory::TestDirectory;
    use super::*;
    use rustix::fs::inotify::WatchFlags;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::sync::mpsc::{self, Receiver};
    use std::time::Duration;

    /// How long anything that must happen may take.
    const DEADLINE: Duration = Duration::from_mins(1);

    #[test]
    fn of_more_hints_than_anybody_takes_the_last_says_that_some_were_lost() {
        let backlog = EventBacklog::default();
        let admitted: Vec<FsEvent> =
            (0..3 * MOST).filter_map(|_| backlog.admit(FsEvent::Written(PathBuf::from("log")))).collect();
        assert_eq!((admitted.len(), admitted.last()), (MOST + 1, Some(&FsEvent::Anything)));
        backlog.clear();
        assert_eq!(backlog.admit(FsEvent::Gone(PathBuf::from("log"))), Some(FsEvent::Gone(PathBuf::from("log"))));
    }

    /// A directory, and the hints about it.
    struct WatchedDirectory {
        folder: TestDirectory,
        hints: FsEvents,
        received: Receiver<FsEvent>,
    }

    impl WatchedDirectory {
        /// Nothing in it is watched yet.
        fn new() -> WatchedDirectory {
            let (sender, received) = mpsc::channel();
            // The test is over.
            let hints = FsEvents::new(move |hint| drop(sender.send(hint))).expect("files can be watched here");
            WatchedDirectory { folder: TestDirectory::new(), hints, received }
        }

        fn watch(&mut self, names: &[&str]) {
            let directories = names.iter().map(|name| self.path(name)).collect();
            self.hints.watch(&directories).expect("they can be watched");
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path(name)
        }

        /// The hints up to and with this one, as they come and as they are passed on.
        #[track_caller]
        fn until(&mut self, last: &FsEvent) -> (Vec<FsEvent>, Vec<FsEvent>) {
            let (mut received, mut passed) = (Vec::new(), Vec::new());
            while received.last() != Some(last) {
                let hint = self.received.recv_timeout(DEADLINE);
                let hint = hint.unwrap_or_else(|_| panic!("{last:?} comes after {received:?}"));
                passed.extend(self.hints.note(hint.clone()));
                received.push(hint);
            }
            (received, passed)
        }
    }

    #[test]
    fn every_step_of_a_save_by_rename_is_reported_once() {
        let mut watched = WatchedDirectory::new();
        watched.watch(&[""]);
        let [new, file] = ["new", "file"].map(|name| watched.path(name));
        fs::write(&new, "text").expect("it is ours");
        fs::read(&new).expect("it was just written");
        fs::rename(&new, &file).expect("it is ours");
        fs::remove_file(&file).expect("it is ours");
        let expected = [
            FsEvent::Touched(new.clone()),
            FsEvent::Written(new.clone()),
            FsEvent::Closed(new.clone()),
            FsEvent::Gone(new),
            FsEvent::Placed(file.clone()),
            FsEvent::Gone(file.clone()),
        ];
        assert_eq!(watched.until(&FsEvent::Gone(file)), (expected.to_vec(), expected.to_vec()));
    }

    #[test]
    fn the_kernel_is_not_asked_for_reads() {
        let mut watched = WatchedDirectory::new();
        watched.watch(&[""]);
        let inode = fs::metadata(watched.path("")).expect("it is ours").ino();
        let descriptors = fs::read_dir("/proc/self/fdinfo").expect("the kernel tells");
        let infos: String = descriptors.filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok()).collect();
        let line = infos.lines().find(|line| line.starts_with("inotify ") && line.contains(&format!(" ino:{inode:x} ")));
        let mask = line.and_then(|line| line.split_whitespace().find_map(|word| word.strip_prefix("mask:")));
        let mask = mask.and_then(|mask| u32::from_str_radix(mask, 16).ok()).expect("a watch as in proc_pid_fdinfo(5)");
        let mask = WatchFlags::from_bits_retain(mask);
        assert!(!mask.intersects(WatchFlags::OPEN | WatchFlags::ACCESS | WatchFlags::CLOSE_NOWRITE), "{mask:?}");
        assert!(mask.contains(WatchFlags::CLOSE_WRITE | WatchFlags::MOVED_TO), "{mask:?}");
    }

    #[test]
    fn a_directory_that_is_watched_by_two_paths_is_reported_under_both() {
        let mut watched = WatchedDirectory::new();
        fs::create_dir(watched.path("real")).expect("it is ours");
        symlink("real", watched.path("link")).expect("it is ours");
        watched.watch(&["real", "link"]);
        let [real, link] = ["real/file", "link/file"].map(|name| watched.path(name));
        let either = |watched: &mut WatchedDirectory, of: fn(PathBuf) -> FsEvent| {
            let hint = watched.received.recv_timeout(DEADLINE).expect("it is reported");
            let mut hints = watched.hints.note(hint);
            hints.sort_by_key(|hint| hint.name().map(Path::to_owned));
            assert_eq!(hints, [of(link.clone()), of(real.clone())]);
        };
        fs::create_dir(&real).expect("it is ours");
        either(&mut watched, FsEvent::Touched);
        fs::remove_dir(&real).expect("it is ours");
        either(&mut watched, FsEvent::Gone);
        // One of both is watched on when the other isn't any more.
        watched.watch(&["link"]);
        fs::create_dir(&real).expect("it is ours");
        assert_eq!(watched.until(&FsEvent::Touched(link.clone())).1, [FsEvent::Touched(link)]);
    }

    #[test]
    fn a_directory_that_goes_is_reported_and_may_come_back() {
        let mut watched = WatchedDirectory::new();
        let real = watched.path("real");
        fs::create_dir(&real).expect("it is ours");
        watched.watch(&["real"]);
        fs::remove_dir(&real).expect("it is empty");
        watched.until(&FsEvent::Gone(real.clone()));
        watched.watch(&["real"]);
        fs::write(&real, "").expect("it is ours");
        watched.watch(&["real"]);
        assert!(watched.hints.watched.is_empty(), "it is not there, and then it is no directory");
        fs::remove_file(&real).expect("it is ours");
        fs::create_dir(&real).expect("it is ours");
        watched.watch(&["real"]);
        fs::write(real.join("file"), "text").expect("it is ours");
        watched.until(&FsEvent::Closed(real.join("file")));
    }

    #[test]
    fn a_watch_that_may_be_dead_is_renewed_though_the_directory_looks_the_same() {
        for hint in [|name| FsEvent::Gone(name), |_| FsEvent::Anything] {
            let mut watched = WatchedDirectory::new();
            watched.watch(&[""]);
            let directory = watched.path("");
            // As the kernel does when a directory is removed; one that is made then may get its inode.
            watched.hints.watcher.unwatch(&directory).expect("it is watched");
            watched.hints.note(hint(directory));
            watched.watch(&[""]);
            fs::write(watched.path("file"), "text").expect("it is ours");
            watched.until(&FsEvent::Closed(watched.path("file")));
        }
    }

    #[test]
    fn once_dropped_it_gives_no_hints_any_more() {
        let mut watched = WatchedDirectory::new();
        watched.watch(&[""]);
        drop(watched.hints);
        // The watcher's thread held what sends.
        assert_eq!(watched.received.recv_timeout(DEADLINE), Err(mpsc::RecvTimeoutError::Disconnected));
    }
}
