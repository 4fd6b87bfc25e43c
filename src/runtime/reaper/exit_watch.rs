//! Who tells of a leader's end: its own pidfd, which is readable from then on.
//!
//! `SIGCHLD` alone wouldn't do. Ends that come together may come as one signal, so that each would cost a look at every child
//! there is, which the kernel makes one by one. For an orphan, and for a leader without a pidfd, that look is still made; see
//! [`super::Reaper::reap`].

use crate::sys;
use rustix::event::epoll;
use rustix::fd::OwnedFd;
use rustix::process::{Resource, getrlimit};
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::sync::Arc;
use tokio::io::unix::AsyncFd;

/// How many ends are told at once.
pub(super) const AT_ONCE: usize = 64;

/// The leaders that are not reaped.
pub(super) struct ExitWatch {
    /// Becomes readable when one of them has ended.
    told: Arc<AsyncFd<OwnedFd>>,
    held: HashMap<u32, Arc<OwnedFd>>,
    /// Those whose end only a look tells.
    untold: BTreeSet<u32>,
    /// With more leaders than this, their descriptors are needed for what can't do without.
    room: usize,
    is_crowded: bool,
    /// Descriptors were given up: one of them may have had an end to tell, whose signal came with another's.
    wants_a_look: bool,
}

impl ExitWatch {
    /// # Errors
    /// Out of descriptors.
    pub(super) fn new() -> io::Result<ExitWatch> {
        let limit = getrlimit(Resource::Nofile).current.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        // Each process takes two others, which it reads.
        ExitWatch::with_room(limit / 4)
    }

    fn with_room(room: usize) -> io::Result<ExitWatch> {
        Ok(ExitWatch {
            told: sys::epoll_set()?,
            held: HashMap::new(),
            untold: BTreeSet::new(),
            room,
            is_crowded: false,
            wants_a_look: false,
        })
    }

    /// What becomes readable when a leader has ended.
    pub(super) fn readable(&self) -> Arc<AsyncFd<OwnedFd>> {
        Arc::clone(&self.told)
    }

    /// Enters a leader, with a descriptor of it if there is one.
    pub(super) fn expect(&mut self, pid: u32, pidfd: Option<OwnedFd>) {
        let count = self.held.len() + self.untold.len();
        if count >= self.room {
            self.is_crowded = true;
            self.wants_a_look |= !self.held.is_empty();
            self.untold.extend(self.held.drain().map(|(pid, _)| pid));
        } else if count < self.room / 2 {
            self.is_crowded = false;
        }
        // Once only: a debugger may keep a child from being reaped that has ended, and nobody is to wake all the time meanwhile. Nor
        // does anybody want to hear that it has been reaped, which the kernel tells of as well.
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ONESHOT;
        let data = epoll::EventData::new_u64(u64::from(pid));
        let is_held = |pidfd: &OwnedFd| epoll::add(self.told.get_ref(), pidfd, data, flags).is_ok();
        match pidfd.filter(|_| !self.is_crowded).filter(is_held) {
            Some(pidfd) => drop(self.held.insert(pid, Arc::new(pidfd))),
            None => drop(self.untold.insert(pid)),
        }
    }

    /// A leader's descriptor.
    pub(super) fn holds(&self, pid: u32) -> Option<Arc<OwnedFd>> {
        self.held.get(&pid).map(Arc::clone)
    }

    /// Whether every leader is to be looked at once, because nobody may be left who tells of one that has ended already.
    pub(super) fn want_a_look(&self) -> bool {
        self.wants_a_look
    }

    /// Every leader is being looked at.
    pub(super) fn are_looked_at(&mut self) {
        self.wants_a_look = false;
    }

    /// A leader is being reaped; returns its descriptor.
    pub(super) fn forget(&mut self, pid: u32) -> Option<Arc<OwnedFd>> {
        self.untold.remove(&pid);
        self.held.remove(&pid)
    }

    /// Who has told of its end since this was asked last: [`AT_ONCE`] of them, if there may be more.
    ///
    /// # Errors
    /// Those of `epoll_wait(2)`, which are bugs.
    pub(super) fn tell(&self) -> io::Result<Vec<u32>> {
        let mut events: Vec<epoll::Event> = Vec::with_capacity(AT_ONCE);
        let spare = rustix::buffer::spare_capacity(&mut events);
        epoll::wait(self.told.get_ref(), spare, Some(&rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 }))?;
        Ok(events.iter().filter_map(|event| u32::try_from({ event.data }.u64()).ok()).collect())
    }

    /// One that told of its end could not be reaped: somebody watches it, and only a look tells when he is done.
    pub(super) fn doubt(&mut self, pid: u32) {
        if self.held.contains_key(&pid) {
            self.untold.insert(pid);
        }
    }

    /// Whether there is a leader whose end only a look tells.
    pub(super) fn is_any_untold(&self) -> bool {
        !self.untold.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command};

    #[expect(clippy::disallowed_methods, reason = "what is tested are children that nobody reaps")]
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
    async fn an_end_is_told_once_and_in_doubt_only_a_look_tells() {
        let mut ends = ExitWatch::with_room(8).expect("descriptors");
        let (mut one, other) = (child(), child());
        ends.expect(one.id(), pidfd(&one));
        ends.expect(other.id(), pidfd(&other));
        assert_eq!((ends.tell().expect("it can be asked"), ends.is_any_untold()), (Vec::new(), false));
        one.kill().expect("it is our child");
        drop(ends.readable().readable().await.expect("it can be waited for"));
        assert_eq!(ends.tell().expect("it can be asked"), [one.id()]);
        assert_eq!(ends.tell().expect("it can be asked"), Vec::<u32>::new());
        ends.doubt(one.id());
        assert!(ends.is_any_untold());
        ends.forget(one.id());
        assert!(!ends.is_any_untold());
        one.wait().expect("it is our child");
        ends.expect(1, None);
        assert!(ends.is_any_untold(), "nobody tells of its end");
        end(other);
    }

    #[tokio::test]
    async fn a_crowd_takes_no_descriptors_until_it_is_gone() {
        let mut ends = ExitWatch::with_room(4).expect("descriptors");
        let children: Vec<Child> = (0..5).map(|_| child()).collect();
        for child in &children {
            ends.expect(child.id(), pidfd(child));
        }
        assert_eq!((ends.held.len(), ends.untold.len()), (0, 5));
        assert!(ends.want_a_look(), "one of the first four may have ended without a signal of its own");
        ends.are_looked_at();
        for child in &children[..4] {
            ends.forget(child.id());
        }
        ends.expect(children[0].id(), pidfd(&children[0]));
        assert_eq!((ends.held.len(), ends.untold.len(), ends.want_a_look()), (1, 1, false));
        children.into_iter().for_each(end);
    }
}
