//! File events from the kernel (inotify).
//!
//! An event only says that a check is worthwhile; what changed is found by reading metadata.

use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind, RenameMode};
use notify::{Config, Error, ErrorKind, EventKindMask, RecommendedWatcher, RecursiveMode, Watcher as _};
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// What the kernel reports about a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FsEvent {
    /// It was renamed into place, or a symbolic link was replaced.
    MovedTo(PathBuf),
    /// It was opened and written to, and may still be open.
    Written(PathBuf),
    /// A writer has closed it.
    Closed(PathBuf),
    /// It was removed or moved away.
    Removed(PathBuf),
    /// Anything else, such as created or mode changed.
    Other(PathBuf),
    /// Events were lost.
    Overflow,
}

impl FsEvent {
    /// The name that the event is about; `None`: any.
    pub(super) fn name(&self) -> Option<&Path> {
        match self {
            FsEvent::MovedTo(name)
            | FsEvent::Written(name)
            | FsEvent::Closed(name)
            | FsEvent::Removed(name)
            | FsEvent::Other(name) => Some(name),
            FsEvent::Overflow => None,
        }
    }

    /// The same event about another name.
    fn with_name(&self, name: PathBuf) -> FsEvent {
        match self {
            FsEvent::MovedTo(_) => FsEvent::MovedTo(name),
            FsEvent::Written(_) => FsEvent::Written(name),
            FsEvent::Closed(_) => FsEvent::Closed(name),
            FsEvent::Removed(_) => FsEvent::Removed(name),
            FsEvent::Other(_) => FsEvent::Other(name),
            FsEvent::Overflow => FsEvent::Overflow,
        }
    }

    /// Converts an event; `None`: it adds nothing to other events.
    fn of(event: Result<notify::Event, Error>) -> Option<FsEvent> {
        let Some(event) = event.ok().filter(|event| !event.need_rescan()) else { return Some(FsEvent::Overflow) };
        let variant: fn(PathBuf) -> FsEvent = match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => FsEvent::Closed,
            // Both names of a rename were reported one by one before.
            EventKind::Access(_) | EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => return None,
            EventKind::Modify(ModifyKind::Name(RenameMode::To)) => FsEvent::MovedTo,
            EventKind::Modify(ModifyKind::Name(_)) | EventKind::Remove(_) => FsEvent::Removed,
            EventKind::Modify(ModifyKind::Data(_)) => FsEvent::Written,
            _ => FsEvent::Other,
        };
        Some(event.paths.into_iter().next().map_or(FsEvent::Overflow, variant))
    }
}

/// Why the kernel gives no events, or not all of them.
#[derive(Debug, thiserror::Error)]
pub(super) enum WatchError {
    /// `EMFILE` of `inotify_init(2)`.
    #[error("limit reached: `fs.inotify.max_user_instances` of this user, or open files (`ulimit -n`) of navigator")]
    Instances,
    /// `ENOSPC` of `inotify_add_watch(2)`.
    #[error("limit reached: `fs.inotify.max_user_watches` of this user")]
    Watches,
    #[error(transparent)]
    Other(io::Error),
}

impl From<Error> for WatchError {
    fn from(error: Error) -> WatchError {
        match error.kind {
            ErrorKind::MaxFilesWatch => WatchError::Watches,
            ErrorKind::Io(error) if Errno::from_io_error(&error) == Some(Errno::MFILE) => WatchError::Instances,
            ErrorKind::Io(error) => WatchError::Other(error),
            _ => WatchError::Other(io::Error::other(error)),
        }
    }
}

/// The most events that may be queued. Other programs may write beside the files faster than the queue is read.
const MAX_PENDING: usize = 1024;

/// Counts the queued events.
#[derive(Debug, Default)]
pub(super) struct EventBacklog(AtomicUsize);

impl EventBacklog {
    /// The event to queue: the given one, or, once per full queue, [`FsEvent::Overflow`].
    pub(super) fn admit(&self, event: FsEvent) -> Option<FsEvent> {
        match self.0.fetch_add(1, Ordering::AcqRel) {
            0..MAX_PENDING => Some(event),
            MAX_PENDING => Some(FsEvent::Overflow),
            _ => None,
        }
    }

    /// Call this before the queue is drained and the files are checked.
    pub(super) fn clear(&self) {
        self.0.store(0, Ordering::Release);
    }
}

/// Device and inode of a directory.
type DirectoryId = (u64, u64);

/// Watches directories for events, until it is dropped.
pub(super) struct FsEvents {
    watcher: RecommendedWatcher,
    /// The directory that is watched under each path; `None`: the watch may be dead.
    watched: BTreeMap<PathBuf, Option<DirectoryId>>,
}

impl FsEvents {
    /// Passes every event to `take`, from the watcher's own thread.
    ///
    /// # Errors
    /// The system's limits on watching are reached.
    pub(super) fn new(take: impl Fn(FsEvent) + Send + 'static) -> Result<FsEvents, WatchError> {
        // Other programs open and read files beside a configuration all the time. That must not wake the watcher's thread.
        let changes = EventKindMask::CORE | EventKindMask::ACCESS_CLOSE;
        let take = move |event| FsEvent::of(event).into_iter().for_each(&take);
        let watcher = RecommendedWatcher::new(take, Config::default().with_event_kinds(changes))?;
        Ok(FsEvents { watcher, watched: BTreeMap::new() })
    }

    /// Returns an event under every path that its directory is watched by. A directory that is mounted twice has two, and the
    /// watcher reports only one of them.
    pub(super) fn expand(&mut self, event: FsEvent) -> Vec<FsEvent> {
        let Some(name) = event.name() else {
            self.mark_unreliable(Path::new("/"));
            return vec![event];
        };
        let mut names = BTreeSet::from([name.to_owned()]);
        names.extend(self.aliases(name).cloned());
        if let (Some(directory), Some(entry)) = (name.parent(), name.file_name()) {
            names.extend(self.aliases(directory).map(|directory| directory.join(entry)));
        }
        if matches!(event, FsEvent::Removed(_)) {
            for name in &names {
                self.mark_unreliable(name);
            }
        }
        names.into_iter().map(|name| event.with_name(name)).collect()
    }

    /// The other paths that the directory at this one is watched by.
    fn aliases<'a>(&'a self, directory: &Path) -> impl Iterator<Item = &'a PathBuf> {
        let identity = self.watched.get(directory).copied().flatten();
        let is_same = move |(_, other): &(_, &Option<DirectoryId>)| identity.is_some() && **other == identity;
        self.watched.iter().filter(is_same).map(|(path, _)| path)
    }

    /// Marks watches at and below a removed name as dead. A directory that takes the name later may even get the same inode.
    fn mark_unreliable(&mut self, removed: &Path) {
        for (directory, identity) in &mut self.watched {
            if directory.starts_with(removed) {
                *identity = None;
            }
        }
    }

    /// Watches these directories and no others. A missing one is skipped: the directory above reports when it appears.
    ///
    /// # Errors
    /// An existing directory can't be watched.
    pub(super) fn watch(&mut self, directories: &BTreeSet<PathBuf>) -> Result<(), WatchError> {
        let wanted: BTreeMap<&PathBuf, Option<DirectoryId>> =
            directories.iter().filter_map(|directory| Some((directory, Some(identity(directory)?)))).collect();
        let watcher = &mut self.watcher;
        self.watched.retain(|directory, identity| {
            let is_kept = wanted.get(directory) == Some(identity);
            if !is_kept {
                // The kernel itself drops the watch of a removed directory.
                let _already_dropped = watcher.unwatch(directory);
            }
            is_kept
        });
        for (directory, identity) in wanted {
            if self.watched.contains_key(directory) {
                continue;
            }
            match self.watcher.watch(directory, RecursiveMode::NonRecursive) {
                Ok(()) => drop(self.watched.insert(directory.clone(), identity)),
                Err(error) if was_removed(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// Whether a directory could not be watched because it was just removed.
fn was_removed(error: &Error) -> bool {
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

    /// The longest that anything may take that must happen.
    const DEADLINE: Duration = Duration::from_mins(1);

    #[test]
    fn a_full_queue_ends_with_an_overflow() {
        let backlog = EventBacklog::default();
        let admitted: Vec<FsEvent> =
            (0..3 * MAX_PENDING).filter_map(|_| backlog.admit(FsEvent::Written(PathBuf::from("log")))).collect();
        assert_eq!((admitted.len(), admitted.last()), (MAX_PENDING + 1, Some(&FsEvent::Overflow)));
        backlog.clear();
        assert_eq!(backlog.admit(FsEvent::Removed(PathBuf::from("log"))), Some(FsEvent::Removed(PathBuf::from("log"))));
    }

    /// A directory and the events about it.
    struct WatchedDirectory {
        directory: TestDirectory,
        events: FsEvents,
        received: Receiver<FsEvent>,
    }

    impl WatchedDirectory {
        /// Watches nothing in it yet.
        fn new() -> WatchedDirectory {
            let (sender, received) = mpsc::channel();
            // Sending fails when the test is over.
            let events = FsEvents::new(move |event| drop(sender.send(event))).expect("files can be watched here");
            WatchedDirectory { directory: TestDirectory::new(), events, received }
        }

        fn watch(&mut self, names: &[&str]) {
            let directories = names.iter().map(|name| self.path(name)).collect();
            self.events.watch(&directories).expect("they can be watched");
        }

        fn path(&self, name: &str) -> PathBuf {
            self.directory.path(name)
        }

        /// The events up to and including `last`: as received, and expanded.
        #[track_caller]
        fn until(&mut self, last: &FsEvent) -> (Vec<FsEvent>, Vec<FsEvent>) {
            let (mut received, mut passed) = (Vec::new(), Vec::new());
            while received.last() != Some(last) {
                let event = self.received.recv_timeout(DEADLINE);
                let event = event.unwrap_or_else(|_| panic!("{last:?} comes after {received:?}"));
                passed.extend(self.events.expand(event.clone()));
                received.push(event);
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
            FsEvent::Other(new.clone()),
            FsEvent::Written(new.clone()),
            FsEvent::Closed(new.clone()),
            FsEvent::Removed(new),
            FsEvent::MovedTo(file.clone()),
            FsEvent::Removed(file.clone()),
        ];
        assert_eq!(watched.until(&FsEvent::Removed(file)), (expected.to_vec(), expected.to_vec()));
    }

    #[test]
    fn reads_are_not_watched() {
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
        let expect_both = |watched: &mut WatchedDirectory, of: fn(PathBuf) -> FsEvent| {
            let event = watched.received.recv_timeout(DEADLINE).expect("it is reported");
            let mut events = watched.events.expand(event);
            events.sort_by_key(|event| event.name().map(Path::to_owned));
            assert_eq!(events, [of(link.clone()), of(real.clone())]);
        };
        fs::create_dir(&real).expect("it is ours");
        expect_both(&mut watched, FsEvent::Other);
        fs::remove_dir(&real).expect("it is ours");
        expect_both(&mut watched, FsEvent::Removed);
        // The other path is still watched when one no longer is.
        watched.watch(&["link"]);
        fs::create_dir(&real).expect("it is ours");
        assert_eq!(watched.until(&FsEvent::Other(link.clone())).1, [FsEvent::Other(link)]);
    }

    #[test]
    fn a_removed_directory_is_reported_and_can_be_watched_again() {
        let mut watched = WatchedDirectory::new();
        let real = watched.path("real");
        fs::create_dir(&real).expect("it is ours");
        watched.watch(&["real"]);
        fs::remove_dir(&real).expect("it is empty");
        watched.until(&FsEvent::Removed(real.clone()));
        watched.watch(&["real"]);
        fs::write(&real, "").expect("it is ours");
        watched.watch(&["real"]);
        assert!(watched.events.watched.is_empty(), "it is not there, and then it is no directory");
        fs::remove_file(&real).expect("it is ours");
        fs::create_dir(&real).expect("it is ours");
        watched.watch(&["real"]);
        fs::write(real.join("file"), "text").expect("it is ours");
        watched.until(&FsEvent::Closed(real.join("file")));
    }

    #[test]
    fn a_watch_that_may_be_dead_is_renewed() {
        for event in [|name| FsEvent::Removed(name), |_| FsEvent::Overflow] {
            let mut watched = WatchedDirectory::new();
            watched.watch(&[""]);
            let directory = watched.path("");
            // As the kernel does when a directory is removed; a directory created then may get its inode.
            watched.events.watcher.unwatch(&directory).expect("it is watched");
            watched.events.expand(event(directory));
            watched.watch(&[""]);
            fs::write(watched.path("file"), "text").expect("it is ours");
            watched.until(&FsEvent::Closed(watched.path("file")));
        }
    }

    #[test]
    fn a_dropped_watcher_sends_no_events() {
        let mut watched = WatchedDirectory::new();
        watched.watch(&[""]);
        drop(watched.events);
        // The watcher's thread held the sender.
        assert_eq!(watched.received.recv_timeout(DEADLINE), Err(mpsc::RecvTimeoutError::Disconnected));
    }
}
