//! Notices that a program has removed the path of a socket (`inotify(7)`). Paths that can't be watched are checked once a second.

use crate::sys;
use rustix::fd::{AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// How often paths are checked if some can't be watched.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// The shortest time between two checks, so that a program that removes its path over and over doesn't keep navigator busy.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(200);

/// Watches directories with sockets.
#[derive(Debug, Default)]
pub(super) struct PathWatch {
    /// `None`: the kernel allows no further inotify instance.
    inotify: OnceLock<Option<Arc<AsyncFd<OwnedFd>>>>,
    /// Whether some path isn't watched.
    is_incomplete: AtomicBool,
    /// Notified when one of the above changes.
    changed: Notify,
}

impl PathWatch {
    /// Prepares for the first path, on the loop's thread.
    pub(super) fn begin(&self) {
        self.inotify.get_or_init(|| {
            self.changed.notify_one();
            let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok()?;
            sys::readable(inotify).ok().map(Arc::new)
        });
    }

    /// Watches a directory, and returns the number of the watch, which is the same for the same directory.
    pub(super) fn add(&self, directory: BorrowedFd<'_>) -> Option<i32> {
        let mask = WatchFlags::DELETE | WatchFlags::MOVED_FROM | WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF;
        let inotify = self.inotify.get()?.as_ref()?;
        inotify::add_watch(inotify.get_ref(), format!("/proc/self/fd/{}", directory.as_raw_fd()), mask).ok()
    }

    /// Ends a watch.
    pub(super) fn remove(&self, watch: i32) {
        if let Some(Some(inotify)) = self.inotify.get() {
            // It ended by itself if its directory is gone.
            let _ended = inotify::remove_watch(inotify.get_ref(), watch);
        }
    }

    /// Records whether all paths are watched.
    pub(super) fn set_complete(&self, is_complete: bool) {
        if self.is_incomplete.swap(!is_complete, Ordering::Relaxed) == is_complete {
            self.changed.notify_one();
        }
    }

    /// Calls `check` whenever the paths should be checked. `is_watched`: whether a file name is that of a socket.
    pub(super) async fn run(&self, is_watched: impl Fn(&[u8]) -> bool, check: impl Fn()) {
        loop {
            let inotify = self.inotify.get().and_then(Clone::clone);
            let check_at = Instant::now() + CHECK_INTERVAL;
            tokio::select! {
                () = has_removed(inotify, &is_watched) => {}
                () = sleep_until(check_at), if self.is_incomplete.load(Ordering::Relaxed) => {}
                () = self.changed.notified() => continue,
            }
            check();
            sleep_until(Instant::now() + SHORTEST_INTERVAL).await;
        }
    }
}

/// Waits until a file of such a name, or a watched directory, has been removed.
async fn has_removed(inotify: Option<Arc<AsyncFd<OwnedFd>>>, is_watched: &impl Fn(&[u8]) -> bool) {
    let Some(inotify) = inotify else { return std::future::pending().await };
    loop {
        let Ok(mut ready) = inotify.readable().await else { return std::future::pending().await };
        if read_removed(inotify.get_ref(), is_watched) {
            return;
        }
        ready.clear_ready();
    }
}

/// Reads all events; returns whether one of them may concern the path of a socket.
fn read_removed(inotify: &OwnedFd, is_watched: &impl Fn(&[u8]) -> bool) -> bool {
    let mut space = [MaybeUninit::uninit(); 4096];
    let (mut reader, mut counts) = (Reader::new(inotify, &mut space), false);
    while let Ok(event) = reader.next() {
        let of_directory = ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF | ReadFlags::QUEUE_OVERFLOW;
        counts |= event.events().intersects(of_directory) || event.file_name().is_some_and(|name| is_watched(name.to_bytes()));
    }
    counts
}
