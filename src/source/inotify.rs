//! What the kernel tells of the entries of directories, by `inotify(7)`, on a thread of its own. It knows names and what was done
//! to them; whose names they are, and what follows from it, is not known here.
//!
//! That files are opened and read isn't asked for: whatever runs beside a configuration does so all the time, and would wake this
//! thread each time.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::{Errno, retry_on_intr};
use rustix::pipe::{PipeFlags, pipe_with};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// What is asked for of each directory: whatever changes an entry or moves it, and the directory's own end.
const ASKED: WatchFlags = WatchFlags::ATTRIB
    .union(WatchFlags::CREATE)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MODIFY)
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::MOVE)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR);

/// Room for some hundred events with ordinary names; the longest name takes 272 bytes.
const ROOM: usize = 16 * 1024;

/// What the kernel says has happened to a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Hint {
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

impl Hint {
    /// The name that it is about; `None`: any.
    pub(super) fn name(&self) -> Option<&Path> {
        match self {
            Hint::Placed(name) | Hint::Written(name) | Hint::Closed(name) | Hint::Gone(name) | Hint::Touched(name) => Some(name),
            Hint::Anything => None,
        }
    }
}

/// Why nothing, or not everything, is told.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    /// `EMFILE` of `inotify_init1(2)`.
    #[error(
        "this user has as many watchers as `fs.inotify.max_user_instances` allows, or navigator as many files as `ulimit -n`"
    )]
    Instances,
    /// `ENOSPC` of `inotify_add_watch(2)`.
    #[error("this user watches as many directories as `fs.inotify.max_user_watches` allows")]
    Watches,
    #[error(transparent)]
    Other(#[from] io::Error),
}

/// Directories that are watched; none any more once it is dropped.
#[derive(Debug)]
pub(super) struct Watcher {
    inotify: Arc<OwnedFd>,
    known: Known,
    /// Its other end hangs up when this is dropped, and the thread ends.
    _holds: OwnedFd,
}

/// The paths of each watched directory, by the number of its watch. One may have several, by mounts of the same directory.
#[derive(Clone, Debug, Default)]
struct Known(Arc<Mutex<BTreeMap<i32, Vec<PathBuf>>>>);

impl Known {
    fn all(&self) -> MutexGuard<'_, BTreeMap<i32, Vec<PathBuf>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watcher {
    /// Gives every hint to `take`, from its own thread.
    pub(super) fn new(take: impl Fn(Hint) + Send + 'static) -> Result<Watcher, Refused> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(|error| match error {
            Errno::MFILE => Refused::Instances,
            error => Refused::Other(error.into()),
        })?;
        let (held, holds) = pipe_with(PipeFlags::CLOEXEC).map_err(io::Error::from)?;
        let inotify = Arc::new(inotify);
        let known = Known::default();
        let watcher = Watcher { inotify: Arc::clone(&inotify), known: known.clone(), _holds: holds };
        thread::Builder::new().name("hints".to_owned()).spawn(move || {
            if listen(inotify.as_fd(), held.as_fd(), &known, &take).is_err() {
                // From now on the slow look alone finds what changes.
                take(Hint::Anything);
            }
        })?;
        Ok(watcher)
    }

    /// Watches a directory; whether there is one.
    pub(super) fn watch(&self, directory: &Path) -> Result<bool, Refused> {
        // Held until the number is known: an event may come before `inotify_add_watch` returns.
        let mut known = self.known.all();
        match inotify::add_watch(&self.inotify, directory, ASKED) {
            Ok(watch) => {
                let paths = known.entry(watch).or_default();
                if !paths.iter().any(|path| path == directory) {
                    paths.push(directory.to_owned());
                }
                Ok(true)
            }
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
            Err(Errno::NOSPC) => Err(Refused::Watches),
            Err(error) => Err(Refused::Other(error.into())),
        }
    }

    /// Watches a directory no more, if it was watched.
    pub(super) fn unwatch(&self, directory: &Path) {
        let mut known = self.known.all();
        for paths in known.values_mut() {
            paths.retain(|path| path != directory);
        }
        for (watch, _) in known.extract_if(.., |_, paths| paths.is_empty()) {
            // The kernel drops the watch of a directory that is removed by itself.
            let _gone_already = inotify::remove_watch(&self.inotify, watch);
        }
    }
}

/// Tells whatever the kernel tells, until nobody holds the other end of `held`.
fn listen(inotify: BorrowedFd<'_>, held: BorrowedFd<'_>, known: &Known, take: &impl Fn(Hint)) -> rustix::io::Result<()> {
    let mut buffer = vec![MaybeUninit::uninit(); ROOM];
    let mut events = Reader::new(inotify, &mut buffer);
    loop {
        if events.is_buffer_empty() {
            let mut both = [PollFd::new(&inotify, PollFlags::IN), PollFd::new(&held, PollFlags::empty())];
            retry_on_intr(|| poll(&mut both, None))?;
            if !both[1].revents().is_empty() {
                return Ok(());
            }
        }
        match events.next() {
            Ok(event) => {
                let name = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()));
                hints(event.wd(), event.events(), name, known).into_iter().for_each(take);
            }
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(error) => return Err(error),
        }
    }
}

/// The hints in one event. Those of a directory that is watched no more are none.
fn hints(watch: i32, what: ReadFlags, name: Option<&OsStr>, known: &Known) -> Vec<Hint> {
    if what.contains(ReadFlags::QUEUE_OVERFLOW) {
        return vec![Hint::Anything];
    }
    let mut known = known.all();
    let paths = if what.contains(ReadFlags::IGNORED) { known.remove(&watch) } else { known.get(&watch).cloned() };
    let hint: fn(PathBuf) -> Hint = if what.contains(ReadFlags::CLOSE_WRITE) {
        Hint::Closed
    } else if what.contains(ReadFlags::MODIFY) {
        Hint::Written
    } else if what.contains(ReadFlags::MOVED_TO) {
        Hint::Placed
    } else if what.intersects(ReadFlags::CREATE | ReadFlags::ATTRIB) {
        Hint::Touched
    } else {
        // Deleted or moved away, itself or with its directory, or the file system is gone (`IN_UNMOUNT`).
        Hint::Gone
    };
    paths.unwrap_or_default().into_iter().map(|path| hint(name.map_or_else(|| path.clone(), |name| path.join(name)))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::folder::Folder;
    use super::*;
    use std::fs;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::symlink;
    use std::sync::mpsc::{self, Receiver};
    use std::time::Duration;

    /// How long anything that must happen may take.
    const DEADLINE: Duration = Duration::from_mins(1);

    /// A directory, and a symbolic link to it.
    fn real_and_link() -> Folder {
        let folder = Folder::new();
        fs::create_dir(folder.path("real")).expect("it is ours");
        symlink("real", folder.path("link")).expect("it is ours");
        folder
    }

    fn watcher() -> (Watcher, Receiver<Hint>) {
        let (sender, received) = mpsc::channel();
        // The test is over.
        let watcher = Watcher::new(move |hint| drop(sender.send(hint))).expect("files can be watched here");
        (watcher, received)
    }

    #[test]
    fn nobody_is_woken_by_those_who_only_read() {
        let folder = real_and_link();
        let (watcher, _received) = watcher();
        assert!(watcher.watch(&folder.path("real")).expect("it can be watched"));
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", watcher.inotify.as_raw_fd())).expect("the kernel tells");
        let masks: Vec<&str> = info.split_whitespace().filter_map(|word| word.strip_prefix("mask:")).collect();
        let [mask] = masks[..] else { panic!("one watch in {info}") };
        let mask = WatchFlags::from_bits_retain(u32::from_str_radix(mask, 16).expect("proc_pid_fdinfo(5)"));
        assert!(!mask.intersects(WatchFlags::OPEN | WatchFlags::ACCESS | WatchFlags::CLOSE_NOWRITE), "{mask:?}");
        assert!(mask.contains(WatchFlags::CLOSE_WRITE | WatchFlags::MOVED_TO), "{mask:?}");
    }

    #[test]
    fn a_directory_that_is_known_by_two_paths_is_told_of_by_both() {
        let folder = real_and_link();
        let [real, link, file] = ["real", "link", "real/file"].map(|path| folder.path(path));
        let (watcher, received) = watcher();
        for directory in [&real, &link, &real] {
            assert!(watcher.watch(directory).expect("it can be watched"));
        }
        let next = || received.recv_timeout(DEADLINE).expect("it is told");
        fs::create_dir(&file).expect("it is ours");
        assert_eq!([next(), next()], [Hint::Touched(file.clone()), Hint::Touched(link.join("file"))]);
        watcher.unwatch(&real);
        fs::remove_dir(&file).expect("it is ours");
        assert_eq!(next(), Hint::Gone(link.join("file")));
        watcher.unwatch(&link);
        fs::create_dir(&file).expect("it is ours");
        assert!(watcher.watch(&real).expect("it can be watched"));
        fs::remove_dir(&file).expect("it is ours");
        assert_eq!(next(), Hint::Gone(file), "what was made unwatched is not told of");
    }

    #[test]
    fn a_directory_that_goes_is_told_of_and_may_come_back() {
        let folder = real_and_link();
        let real = folder.path("real");
        let (watcher, received) = watcher();
        assert!(watcher.watch(&real).expect("it can be watched"));
        fs::remove_dir(&real).expect("it is empty");
        let mut hints = received.iter();
        assert_eq!(hints.find(|hint| matches!(hint, Hint::Gone(_))), Some(Hint::Gone(real.clone())));
        assert!(!watcher.watch(&real).expect("it is not there"));
        fs::write(&real, "").expect("it is ours");
        assert!(!watcher.watch(&real).expect("it is no directory"));
        fs::remove_file(&real).expect("it is ours");
        fs::create_dir(&real).expect("it is ours");
        assert!(watcher.watch(&real).expect("it can be watched"));
        fs::write(real.join("file"), "").expect("it is ours");
        assert_eq!(hints.find(|hint| matches!(hint, Hint::Closed(_))), Some(Hint::Closed(real.join("file"))));
    }

    #[test]
    fn one_that_is_dropped_ends() {
        let folder = Folder::new();
        let (watcher, received) = watcher();
        assert!(watcher.watch(&folder.path("")).expect("it can be watched"));
        drop(watcher);
        // The thread held what sends.
        assert_eq!(received.recv_timeout(DEADLINE), Err(mpsc::RecvTimeoutError::Disconnected));
    }
}
