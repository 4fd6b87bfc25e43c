//! Waits, on one thread, for pipes and terminals that took less than they were given, and has their lanes served again when
//! they take more. The thread is there only while there is something to wait for.

use super::lane::Lane;
use super::writers::{IDLE, Writers};
use crate::sys;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::io::Errno;
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// The lanes that wait.
#[derive(Debug, Default)]
pub(super) struct WritableWatch {
    /// Made when it is needed first. A descriptor is in it from its first wait to its closing, and reports once for each wait.
    poll: OnceLock<OwnedFd>,
    waits: Mutex<Waits>,
}

#[derive(Debug, Default)]
struct Waits {
    /// By the number that the poll knows them by.
    lanes: HashMap<u64, Arc<Lane>>,
    /// The next of these numbers; none is used twice.
    next: u64,
    has_thread: bool,
}

impl WritableWatch {
    /// Has the lane served when its descriptor takes more. The descriptor must stay open until then.
    ///
    /// # Errors
    /// No descriptor for the poll, no room in it, or no thread.
    pub(super) fn add(&self, descriptor: BorrowedFd<'_>, lane: &Arc<Lane>, writers: &Arc<Writers>) -> io::Result<()> {
        let mut waits = self.waits();
        let poll = if let Some(poll) = self.poll.get() {
            poll
        } else {
            let new = epoll::create(epoll::CreateFlags::CLOEXEC)?;
            self.poll.get_or_init(|| new)
        };
        if !waits.has_thread {
            let writers = Arc::clone(writers);
            let work = move || {
                sys::come_after_others();
                writers.watch().run(&writers);
            };
            std::thread::Builder::new().name("writable-watch".to_owned()).spawn(work)?;
            waits.has_thread = true;
        }
        let number = waits.next;
        let (data, flags) = (epoll::EventData::new_u64(number), epoll::EventFlags::OUT | epoll::EventFlags::ONESHOT);
        match epoll::modify(poll, descriptor, data, flags) {
            Err(Errno::NOENT) => epoll::add(poll, descriptor, data, flags)?,
            modified => modified?,
        }
        waits.next += 1;
        waits.lanes.insert(number, Arc::clone(lane));
        Ok(())
    }

    fn run(&self, writers: &Arc<Writers>) {
        let Some(poll) = self.poll.get() else { return };
        let mut events = Vec::with_capacity(64);
        loop {
            let patience = Timespec::try_from(IDLE).ok().filter(|_| self.waits().lanes.is_empty());
            events.clear();
            let waited = epoll::wait(poll, spare_capacity(&mut events), patience.as_ref());
            assert!(matches!(waited, Ok(_) | Err(Errno::INTR)), "a poll of ours can be waited for: {waited:?}");
            let mut waits = self.waits();
            if events.is_empty() && waits.lanes.is_empty() {
                waits.has_thread = false;
                return;
            }
            let ready: Vec<_> = events.iter().filter_map(|event| waits.lanes.remove(&event.data.u64())).collect();
            drop(waits);
            for lane in ready {
                writers.submit(lane);
            }
        }
    }

    /// A panic elsewhere leaves them as whole as they were.
    fn waits(&self) -> MutexGuard<'_, Waits> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
