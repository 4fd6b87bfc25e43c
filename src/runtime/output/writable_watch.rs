//! Waits on one thread for full pipes and terminals, and has their queues served when they take more. The thread exists only
//! while a queue waits.

use super::sink_queue::SinkQueue;
use super::writers::{IDLE, Writers};
use crate::sys;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::io::Errno;
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// Queues that wait for their destination.
#[derive(Debug, Default)]
pub(super) struct WritableWatch {
    /// Created at first use. A descriptor stays in it until it is closed, and reports once per wait.
    poll: OnceLock<OwnedFd>,
    waiting: Mutex<WaitingQueues>,
}

#[derive(Debug, Default)]
struct WaitingQueues {
    /// By their token in the poll.
    queues: HashMap<u64, Arc<SinkQueue>>,
    /// The next token; none is used twice.
    next: u64,
    has_thread: bool,
}

impl WritableWatch {
    /// Has the queue served when its descriptor takes more. The descriptor must stay open until then.
    ///
    /// # Errors
    /// No descriptor, no room in the poll, or no thread.
    pub(super) fn add(&self, descriptor: BorrowedFd<'_>, queue: &Arc<SinkQueue>, writers: &Arc<Writers>) -> io::Result<()> {
        let mut waiting = self.waiting();
        let poll = if let Some(poll) = self.poll.get() {
            poll
        } else {
            let new = epoll::create(epoll::CreateFlags::CLOEXEC)?;
            self.poll.get_or_init(|| new)
        };
        if !waiting.has_thread {
            let writers = Arc::clone(writers);
            let work = move || {
                sys::schedule_as_batch();
                writers.watch().run(&writers);
            };
            std::thread::Builder::new().name("writable-watch".to_owned()).spawn(work)?;
            waiting.has_thread = true;
        }
        let token = waiting.next;
        let (data, flags) = (epoll::EventData::new_u64(token), epoll::EventFlags::OUT | epoll::EventFlags::ONESHOT);
        match epoll::modify(poll, descriptor, data, flags) {
            Err(Errno::NOENT) => epoll::add(poll, descriptor, data, flags)?,
            modified => modified?,
        }
        waiting.next += 1;
        waiting.queues.insert(token, Arc::clone(queue));
        Ok(())
    }

    fn run(&self, writers: &Arc<Writers>) {
        let Some(poll) = self.poll.get() else { return };
        let mut events = Vec::with_capacity(64);
        loop {
            let timeout = Timespec::try_from(IDLE).ok().filter(|_| self.waiting().queues.is_empty());
            events.clear();
            let waited = epoll::wait(poll, spare_capacity(&mut events), timeout.as_ref());
            assert!(matches!(waited, Ok(_) | Err(Errno::INTR)), "a poll of ours can be waited for: {waited:?}");
            let mut waiting = self.waiting();
            if events.is_empty() && waiting.queues.is_empty() {
                waiting.has_thread = false;
                return;
            }
            let ready: Vec<_> = events.iter().filter_map(|event| waiting.queues.remove(&event.data.u64())).collect();
            drop(waiting);
            for queue in ready {
                writers.submit(queue);
            }
        }
    }

    /// Changes are complete before the lock is released, so a poisoned lock is safe to use.
    fn waiting(&self) -> MutexGuard<'_, WaitingQueues> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
