//! Connects to a navigator that may still be starting: it holds its lock before its socket exists.

use super::holder::HeldLock;
use super::known::{KnownInstance, LOCK};
use super::socket;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long to wait for the socket of a navigator that holds the lock.
pub(super) const STARTUP_TIMEOUT: Duration = Duration::from_secs(10);

/// How often to look for the socket where inotify is not available.
const POLL_INTERVAL: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum NotReached {
    /// No process holds the lock.
    NotRunning,
    /// The process with this pid holds the lock, and opens no socket.
    NoSocket(i32),
    /// The socket belongs to this user, which isn't trusted.
    UntrustedUser(u32),
    /// The socket can't be used.
    System(io::Error),
}

/// Connects to the socket of an instance. Waits up to `timeout` for a navigator that is starting.
pub(super) fn reach(instance: &KnownInstance, timeout: Duration) -> Result<UnixStream, NotReached> {
    let until = Instant::now() + timeout;
    let directory = &instance.directory;
    loop {
        // Set up before the attempt, so that no socket is missed that appears after it.
        let watch = watch(directory.path());
        match socket::connect(directory, directory.trust()) {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(user)) => return Err(NotReached::UntrustedUser(user)),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {}
            Err(error) => return Err(NotReached::System(error)),
        }
        let Some(holder) = HeldLock::holder(&directory.entry(LOCK)) else { return Err(NotReached::NotRunning) };
        if Instant::now() >= until {
            return Err(NotReached::NoSocket(holder.as_raw_nonzero().get()));
        }
        wait(watch.as_ref(), holder, until).map_err(NotReached::System)?;
    }
}

/// An inotify descriptor that is readable once a socket in a directory may accept connections; `None`: inotify is not available.
fn watch(directory: &Path) -> Option<OwnedFd> {
    let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok()?;
    // Changing its mode is the last step before a socket is ready.
    inotify::add_watch(&inotify, directory, WatchFlags::ATTRIB | WatchFlags::ONLYDIR).ok()?;
    Some(inotify)
}

/// Waits for a change in the directory, the end of the holder, or the deadline.
fn wait(watch: Option<&OwnedFd>, holder: Pid, until: Instant) -> io::Result<()> {
    // If it has ended, the next attempt finds out.
    let Ok(holder) = pidfd_open(holder, PidfdFlags::empty()) else { return Ok(()) };
    let mut descriptors = vec![PollFd::new(&holder, PollFlags::IN)];
    descriptors.extend(watch.map(|watch| PollFd::new(watch, PollFlags::IN)));
    let rest = until.saturating_duration_since(Instant::now());
    let timeout = if watch.is_some() { Timespec::try_from(rest).unwrap_or(POLL_INTERVAL) } else { POLL_INTERVAL };
    match poll(&mut descriptors, Some(&timeout)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
