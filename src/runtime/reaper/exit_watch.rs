//! Reports the end of main processes by their pidfds, which become readable then.
//!
//! `SIGCHLD` alone is too slow: one signal may mean several exits, so each signal needs a check of all children, which the
//! kernel makes one by one. Orphans, and main processes without a pidfd, still need that; see [`super::Reaper::reap_all`].

use crate::sys;
use rustix::event::epoll;
use rustix::fd::OwnedFd;
use rustix::process::{Resource, getrlimit};
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::sync::Arc;
use tokio::io::unix::AsyncFd;

/// The most exits that are reported at once.
pub(super) const MAX_EXITS: usize = 64;

/// The unreaped main processes.
pub(super) struct ExitWatch {
    /// Becomes readable when one of them has ended.
    epoll: Arc<AsyncFd<OwnedFd>>,
    pidfds: HashMap<u32, Arc<OwnedFd>>,
    /// Main processes with exits that epoll may not report: only a full scan finds them.
    unwatched: BTreeSet<u32>,
    /// Those that aren't our children: nothing but their pidfd reports their end.
    foreign: BTreeSet<u32>,
    /// From this many main processes on, no pidfds are kept, to save descriptors.
    limit: usize,
    is_crowded: bool,
    /// Pidfds were dropped to save descriptors; one of them may have had an unreported exit.
    needs_full_scan: bool,
}

impl ExitWatch {
    /// # Errors
    /// Out of descriptors.
    pub(super) fn new() -> io::Result<ExitWatch> {
        let limit = getrlimit(Resource::Nofile).current.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        // For each process navigator also has two pipes.
        ExitWatch::with_limit(limit / 4)
    }

    fn with_limit(limit: usize) -> io::Result<ExitWatch> {
        Ok(ExitWatch {
            epoll: sys::epoll_set()?,
            pidfds: HashMap::new(),
            unwatched: BTreeSet::new(),
            foreign: BTreeSet::new(),
            limit,
            is_crowded: false,
            needs_full_scan: false,
        })
    }

    /// Becomes readable when a main process has ended.
    pub(super) fn readable(&self) -> Arc<AsyncFd<OwnedFd>> {
        Arc::clone(&self.epoll)
    }

    /// Adds a main process, with its pidfd if there is one.
    pub(super) fn add(&mut self, pid: u32, pidfd: Option<OwnedFd>) {
        let count = self.pidfds.len() + self.unwatched.len();
        if count >= self.limit {
            self.is_crowded = true;
            self.needs_full_scan |= !self.pidfds.is_empty();
            let foreign = &self.foreign;
            self.unwatched.extend(self.pidfds.extract_if(|pid, _| !foreign.contains(pid)).map(|(pid, _)| pid));
        } else if count < self.limit / 2 {
            self.is_crowded = false;
        }
        // One-shot: a debugger may keep an ended child from being reaped, and its pidfd must not wake us all the time. Nor is the
        // kernel's report of the reaping itself wanted.
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ONESHOT;
        let data = epoll::EventData::new_u64(u64::from(pid));
        let is_watched = |pidfd: &OwnedFd| epoll::add(self.epoll.get_ref(), pidfd, data, flags).is_ok();
        match pidfd.filter(|_| !self.is_crowded).filter(is_watched) {
            Some(pidfd) => drop(self.pidfds.insert(pid, Arc::new(pidfd))),
            None => drop(self.unwatched.insert(pid)),
        }
    }

    /// Adds a main process that isn't our child.
    pub(super) fn add_foreign(&mut self, pid: u32, pidfd: OwnedFd) {
        let data = epoll::EventData::new_u64(u64::from(pid));
        if let Err(error) = epoll::add(self.epoll.get_ref(), &pidfd, data, epoll::EventFlags::IN | epoll::EventFlags::ONESHOT) {
            tracing::warn!(target: "managed_processes", pid, %error, "Failed to watch for the end of a process");
        }
        self.foreign.insert(pid);
        self.pidfds.insert(pid, Arc::new(pidfd));
    }

    /// The pidfd of a main process.
    pub(super) fn pidfd(&self, pid: u32) -> Option<Arc<OwnedFd>> {
        self.pidfds.get(&pid).map(Arc::clone)
    }

    /// Whether a full scan is needed, because pidfds were given up.
    pub(super) fn needs_full_scan(&self) -> bool {
        self.needs_full_scan
    }

    /// A full scan begins.
    pub(super) fn full_scan_begins(&mut self) {
        self.needs_full_scan = false;
    }

    /// Removes a main process that is being reaped. Returns its pidfd.
    pub(super) fn forget(&mut self, pid: u32) -> Option<Arc<OwnedFd>> {
        self.unwatched.remove(&pid);
        self.foreign.remove(&pid);
        self.pidfds.remove(&pid)
    }

    /// The pids of main processes that have ended since the last call: [`MAX_EXITS`], if there may be more.
    ///
    /// # Errors
    /// Those of `epoll_wait(2)`, which are bugs.
    pub(super) fn take_exits(&self) -> io::Result<Vec<u32>> {
        let mut events: Vec<epoll::Event> = Vec::with_capacity(MAX_EXITS);
        let spare = rustix::buffer::spare_capacity(&mut events);
        epoll::wait(self.epoll.get_ref(), spare, Some(&rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 }))?;
        Ok(events.iter().filter_map(|event| u32::try_from({ event.data }.u64()).ok()).collect())
    }

    /// A main process that has ended could not be reaped, because it is traced. Only full scans find out when it can be.
    pub(super) fn mark_unreliable(&mut self, pid: u32) {
        if self.pidfds.contains_key(&pid) {
            self.unwatched.insert(pid);
        }
    }

    /// Whether a main process may end without a report, so that only a full scan finds it.
    pub(super) fn has_unwatched(&self) -> bool {
        !self.unwatched.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command};

    #[expect(clippy::disallowed_methods, reason = "the test needs children that are not reaped")]
    fn child() -> Child {
        Command::new("sleep").arg("60").spawn().expect("`sleep` can be run")
    }

    fn pidfd(child: &Child) -> Option<OwnedFd> {
        super::super::super::tree::try_open(child.id()).ok()
    }

    fn end(mut child: Child) {
        child.kill().expect("it is our child");
        child.wait().expect("it is our child");
    }

    #[tokio::test]
    async fn an_exit_is_reported_once_and_an_unreliable_pidfd_needs_scans() {
        let mut watch = ExitWatch::with_limit(8).expect("descriptors");
        let (mut one, other) = (child(), child());
        watch.add(one.id(), pidfd(&one));
        watch.add(other.id(), pidfd(&other));
        assert_eq!((watch.take_exits().expect("it can be asked"), watch.has_unwatched()), (Vec::new(), false));
        one.kill().expect("it is our child");
        drop(watch.readable().readable().await.expect("it can be waited for"));
        assert_eq!(watch.take_exits().expect("it can be asked"), [one.id()]);
        assert_eq!(watch.take_exits().expect("it can be asked"), Vec::<u32>::new());
        watch.mark_unreliable(one.id());
        assert!(watch.has_unwatched());
        watch.forget(one.id());
        assert!(!watch.has_unwatched());
        one.wait().expect("it is our child");
        watch.add(1, None);
        assert!(watch.has_unwatched(), "its end is not reported");
        end(other);
    }

    #[tokio::test]
    async fn above_the_limit_no_pidfds_are_kept() {
        let mut watch = ExitWatch::with_limit(4).expect("descriptors");
        let children: Vec<Child> = (0..5).map(|_| child()).collect();
        for child in &children {
            watch.add(child.id(), pidfd(child));
        }
        assert_eq!((watch.pidfds.len(), watch.unwatched.len()), (0, 5));
        assert!(watch.needs_full_scan(), "one of the first four may have ended without a signal of its own");
        watch.full_scan_begins();
        for child in &children[..4] {
            watch.forget(child.id());
        }
        watch.add(children[0].id(), pidfd(&children[0]));
        assert_eq!((watch.pidfds.len(), watch.unwatched.len(), watch.needs_full_scan()), (1, 1, false));
        children.into_iter().for_each(end);
    }
}
