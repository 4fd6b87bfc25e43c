//! Reaching a navigator that may only just be starting: its lock is held before its socket is there.

use super::holder::HeldLock;
use super::instance::{LOCK, StateDir};
use super::socket;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a navigator may hold the lock and have no socket.
pub(super) const STARTING: Duration = Duration::from_secs(10);

/// How soon is looked again where the kernel doesn't tell of a socket that comes.
const AGAIN: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// Why nobody was reached.
#[derive(Debug)]
pub(super) enum NotReached {
    /// Nobody holds the lock.
    NotRunning,
    /// This one does, and has no socket.
    Silent(i32),
    /// This user listens, and isn't trusted.
    Stranger(u32),
    /// The socket can't be used.
    System(io::Error),
}

/// Connects to the socket of the instance for a configuration. Waits for it while the navigator that holds the lock is
/// starting, for as long as this.
pub(super) fn reach(state: &StateDir, config: &Path, patience: Duration) -> Result<UnixStream, NotReached> {
    let until = Instant::now() + patience;
    let directory = state.find(config).map_err(NotReached::System)?.ok_or(NotReached::NotRunning)?;
    loop {
        // Before the attempt, so that a socket which comes after it is told of.
        let arrivals = watch(directory.path());
        match socket::connect(&directory, state.trust()) {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(user)) => return Err(NotReached::Stranger(user)),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {}
            Err(error) => return Err(NotReached::System(error)),
        }
        let Some(holder) = HeldLock::holder(&directory.entry(LOCK)) else { return Err(NotReached::NotRunning) };
        if Instant::now() >= until {
            return Err(NotReached::Silent(holder.as_raw_nonzero().get()));
        }
        wait(arrivals.as_ref(), holder, until).map_err(NotReached::System)?;
    }
}

/// Something to poll that is readable once a socket in a directory may take connections; `None`: the kernel doesn't tell.
fn watch(directory: &Path) -> Option<OwnedFd> {
    let arrivals = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok()?;
    // The last that is done to a socket before it is ready is a change of its mode.
    inotify::add_watch(&arrivals, directory, WatchFlags::ATTRIB | WatchFlags::ONLYDIR).ok()?;
    Some(arrivals)
}

/// Waits until something arrives, the holder ends, or time is up.
fn wait(arrivals: Option<&OwnedFd>, holder: Pid, until: Instant) -> io::Result<()> {
    // It may have ended since; that is seen next.
    let Ok(holder) = pidfd_open(holder, PidfdFlags::empty()) else { return Ok(()) };
    let mut ends = vec![PollFd::new(&holder, PollFlags::IN)];
    ends.extend(arrivals.map(|arrivals| PollFd::new(arrivals, PollFlags::IN)));
    let patience = until.saturating_duration_since(Instant::now());
    let patience = if arrivals.is_some() { Timespec::try_from(patience).unwrap_or(AGAIN) } else { AGAIN };
    match poll(&mut ends, Some(&patience)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
