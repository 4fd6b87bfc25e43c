//! The writer threads: few, however many destinations there are.
//!
//! Usually one thread does everything. If a queue waits while all threads are busy, another one starts, up to [`THREADS`]. Full
//! pipes and terminals block no thread: their queues wait in [`WritableWatch`]. A write to a file can only block in the kernel.
//! So threads are limited by what may hang as a whole, a [`SinkGroup`]:
//!
//! - A filesystem has at most [`THREADS_PER_GROUP`] threads, and only one while half of the threads are busy.
//! - So have standard output and standard error. They are written without a watch: they are shared with other programs, and
//!   making them non-blocking would affect those.
//!
//! So output arrives while any number of pipes and terminals are full, and while files hang on up to five filesystems (a stuck
//! standard stream counts as one). Not guaranteed:
//!
//! - If two files of a filesystem hang, its other files wait for them.
//! - A file that was never open counts to the filesystem that its path names. If a link leads from there to one that hangs, it
//!   blocks a thread of the wrong group.
//! - While six filesystems hang at the same time, all output waits.
//!
//! Waiting output is bounded in each case: it is dropped and counted.

use super::budget::QueueBudget;
use super::sink_queue::{BATCH, CAPACITY, SinkQueue};
use super::writable_watch::WritableWatch;
use crate::sys;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Maximum number of threads.
const THREADS: usize = 8;
/// Maximum number of threads of a group. The reader is one thread, so two keep up with it.
const THREADS_PER_GROUP: usize = 2;

/// How long an idle thread waits for the next queue. The last one stays, and frees memory then.
pub(super) const IDLE: Duration = Duration::from_secs(5);

/// Buffers kept for reuse: as many as a full queue holds.
const SPARES: usize = CAPACITY / BATCH;
/// Buffers kept while idle: one to gather lines, one to write.
const IDLE_SPARES: usize = 2;
/// Larger buffers are not kept, in bytes.
const LARGEST_SPARE: usize = 4 * BATCH;

/// Destinations that may hang together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SinkGroup {
    Stdout,
    Stderr,
    /// Files on the filesystem of this device.
    Filesystem(u64),
}

/// The threads and their work.
#[derive(Debug, Default)]
pub(super) struct Writers {
    state: Mutex<WritersState>,
    /// Buffers for reuse. Fresh memory costs as much as copying the text.
    spares: Mutex<Vec<Vec<u8>>>,
    budget: QueueBudget,
    watch: WritableWatch,
    /// A queue is ready, or the printer is closed.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct WritersState {
    /// Groups that have threads or waiting queues.
    groups: BTreeMap<SinkGroup, GroupMembers>,
    /// Counts submitted queues.
    submitted: u64,
    /// Threads without a queue.
    idle: usize,
    threads: usize,
    closed: bool,
}

/// Queues of a group that are served or wait.
#[derive(Debug, Default)]
struct GroupMembers {
    threads: usize,
    /// Each with its position among all waiting queues.
    queues: VecDeque<(u64, Arc<SinkQueue>)>,
}

impl Writers {
    /// # Errors
    /// The thread can't be created.
    pub(super) fn start() -> io::Result<Arc<Writers>> {
        let writers = Arc::new(Writers::default());
        writers.spawn_thread()?;
        Ok(writers)
    }

    /// Has a queue served that no thread serves.
    pub(super) fn submit(self: &Arc<Self>, queue: Arc<SinkQueue>) {
        let group = queue.group();
        let mut state = self.lock();
        state.push(group, queue);
        self.dispatch(state);
    }

    /// Wakes or starts a thread if a queue may have one. Other queues are served by the threads of their group.
    fn dispatch(self: &Arc<Self>, state: MutexGuard<'_, WritersState>) {
        let ready = state.ready();
        let wants_another = ready > state.idle && state.threads < THREADS;
        drop(state);
        if ready > 0 {
            self.changed.notify_one();
        }
        if wants_another {
            // Without another thread, the existing ones serve it later.
            let _fewer = self.spawn_thread();
        }
    }

    /// A buffer for a text.
    pub(super) fn empty_buffer(&self) -> Vec<u8> {
        self.spares().pop().unwrap_or_default()
    }

    /// Keeps the buffer of a written text for reuse.
    pub(super) fn recycle(&self, mut text: Vec<u8>) {
        let mut spares = self.spares();
        if spares.len() < SPARES && text.capacity() <= LARGEST_SPARE {
            text.clear();
            spares.push(text);
        }
    }

    /// The limit on all queued output.
    pub(super) fn budget(&self) -> &QueueBudget {
        &self.budget
    }

    /// Where queues of full destinations wait.
    pub(super) fn watch(&self) -> &WritableWatch {
        &self.watch
    }

    fn spares(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.spares.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the threads after all queued work.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    fn spawn_thread(self: &Arc<Self>) -> io::Result<()> {
        let writers = Arc::clone(self);
        let work = move || {
            sys::schedule_as_batch();
            while let Some((group, queue)) = writers.next() {
                // Releasing the queue may close its file, which can block too.
                let unfinished = queue.serve().then_some(queue);
                writers.lock().release(group, unfinished);
            }
        };
        self.lock().add_thread();
        let spawned = std::thread::Builder::new().name("writer".to_owned()).spawn(work);
        spawned.map(drop).inspect_err(|_| self.lock().remove_thread())
    }

    /// Waits for the next queue; `None`: this thread isn't needed any more.
    fn next(self: &Arc<Self>) -> Option<(SinkGroup, Arc<SinkQueue>)> {
        let (mut state, mut has_idled) = (self.lock(), false);
        loop {
            if let Some(next) = state.pick() {
                // Another queue may be ready.
                self.dispatch(state);
                return Some(next);
            }
            if state.closed {
                state.remove_thread();
                return None;
            }
            if has_idled {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let waited = self.changed.wait_timeout(state, IDLE).unwrap_or_else(PoisonError::into_inner);
            (state, has_idled) = (waited.0, waited.1.timed_out());
            if has_idled && state.ready() == 0 {
                self.spares().truncate(IDLE_SPARES);
                if state.threads > 1 {
                    state.remove_thread();
                    return None;
                }
            }
        }
    }

    /// Changes are complete before the lock is released, so a poisoned lock is safe to use.
    fn lock(&self) -> MutexGuard<'_, WritersState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WritersState {
    fn add_thread(&mut self) {
        self.threads += 1;
        self.idle += 1;
    }

    fn remove_thread(&mut self) {
        self.threads -= 1;
        self.idle -= 1;
    }

    /// The maximum number of threads of a group now.
    fn limit(&self) -> usize {
        if self.threads - self.idle < THREADS / 2 { THREADS_PER_GROUP } else { 1 }
    }

    /// The number of queues that could have a thread now.
    fn ready(&self) -> usize {
        let limit = self.limit();
        self.groups.values().map(|members| members.queues.len().min(limit.saturating_sub(members.threads))).sum()
    }

    /// Takes for an idle thread the queue that has waited longest, of those that may have one.
    fn pick(&mut self) -> Option<(SinkGroup, Arc<SinkQueue>)> {
        let limit = self.limit();
        let open = self.groups.iter_mut().filter(|(_, members)| members.threads < limit);
        let waiting = open.filter_map(|(group, members)| Some((members.queues.front()?.0, *group, members)));
        let (_, group, members) = waiting.min_by_key(|(place, ..)| *place)?;
        let (_, queue) = members.queues.pop_front()?;
        members.threads += 1;
        self.idle -= 1;
        Some((group, queue))
    }

    fn push(&mut self, group: SinkGroup, queue: Arc<SinkQueue>) {
        self.submitted += 1;
        self.groups.entry(group).or_default().queues.push_back((self.submitted, queue));
    }

    /// Returns a thread of the group to the idle ones; an unfinished queue waits for its next turn.
    fn release(&mut self, group: SinkGroup, unfinished: Option<Arc<SinkQueue>>) {
        self.idle += 1;
        if let Some(queue) = unfinished {
            self.push(group, queue);
        }
        if let Some(members) = self.groups.get_mut(&group) {
            members.threads -= 1;
            if members.threads == 0 && members.queues.is_empty() {
                self.groups.remove(&group);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sink::Sink;
    use super::*;

    /// Idle threads that never serve what they pick.
    fn idle() -> (Arc<Writers>, WritersState) {
        (Arc::default(), WritersState { idle: THREADS, threads: THREADS, ..WritersState::default() })
    }

    #[test]
    fn five_hanging_filesystems_leave_a_thread_to_others() {
        let (writers, mut state) = idle();
        let mut picked = Vec::new();
        for device in 0..5 {
            (0..10).for_each(|_| state.push(SinkGroup::Filesystem(device), SinkQueue::new(Sink::stdout(), &writers)));
            picked.extend(std::iter::from_fn(|| state.pick()).map(|(group, _)| group));
        }
        assert_eq!(picked, [0, 0, 1, 1, 2, 3, 4].map(SinkGroup::Filesystem));
        assert_eq!(state.ready(), 0);
        state.push(SinkGroup::Stdout, SinkQueue::new(Sink::stdout(), &writers));
        assert_eq!(state.ready(), 1);
        assert_eq!(state.pick().map(|(group, _)| group), Some(SinkGroup::Stdout));
        // A released thread serves the next queue of its own filesystem.
        state.release(SinkGroup::Filesystem(3), None);
        assert_eq!(state.pick().map(|(group, _)| group), Some(SinkGroup::Filesystem(3)));
    }

    #[test]
    fn queues_of_a_group_take_turns_and_an_empty_group_is_removed() {
        let (writers, mut state) = idle();
        let queues = [(); 3].map(|()| SinkQueue::new(Sink::stdout(), &writers));
        for queue in &queues {
            state.push(SinkGroup::Stderr, Arc::clone(queue));
        }
        for turn in 0..6 {
            let (group, queue) = state.pick().unwrap();
            assert!(Arc::ptr_eq(&queue, &queues[turn % 3]));
            state.release(group, (turn < 3).then_some(queue));
        }
        assert!(state.pick().is_none() && state.groups.is_empty());
    }
}
