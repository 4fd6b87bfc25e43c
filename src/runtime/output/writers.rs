//! The threads that write: few, however many destinations there are.
//!
//! Most of the time one thread does it all. For a queue that waits while every thread is busy there is another one, up to
//! [`THREADS`]. Pipes and terminals that are full hold no thread: their queues wait in [`WritableWatch`]. A write to a file waits in
//! the kernel, which can't be avoided; so threads are shared out by what may hang as a whole, a [`Group`]:
//!
//! - a filesystem has [`OF_ONE`] threads at most, and only one while half of the threads are busy;
//! - the same goes for standard output and standard error, which are written without a watch: they are shared with others, and to
//!   make them non-blocking would change them for all.
//!
//! So lines go on to arrive while any number of pipes and terminals are full, and while any number of files hang on up to five
//! filesystems, each of the two standard streams counted as one if it is stuck. What is not guaranteed:
//!
//! - Where two files of a filesystem hang and its others don't, the others wait for them.
//! - A file that was never open counts as on the filesystem that its path names. Where a link leads from there onto one that
//!   hangs, it holds a thread of the wrong one.
//! - While six filesystems hang at the same time, all output waits.
//!
//! What waits is bounded all the same, and is dropped and counted.

use super::budget::QueueBudget;
use super::sink_queue::{BATCH, CAPACITY, SinkQueue};
use super::writable_watch::WritableWatch;
use crate::sys;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// There are no more threads than this.
const THREADS: usize = 8;
/// A group has no more threads than this. The reader is one thread, so two keep up with it.
const THREADS_PER_GROUP: usize = 2;

/// How long a thread that isn't needed stays for the next queue. The last one stays for good, and lets go of memory then.
pub(super) const IDLE: Duration = Duration::from_secs(5);

/// How many written texts' memory is kept for the next ones: as much as waits in a queue that fills and empties again and again.
const SPARES: usize = CAPACITY / BATCH;
/// How many of them are kept when nothing has been written for a while: one for who gathers lines, and one for who writes.
const IDLE_SPARES: usize = 2;
/// The memory of a larger text isn't kept: there was an unusual lot of it at once.
const LARGEST_SPARE: usize = 4 * BATCH;

/// Destinations that are likely to hang together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SinkGroup {
    Stdout,
    Stderr,
    /// Files on the filesystem of this device.
    Filesystem(u64),
}

/// The threads, and what they are to do.
#[derive(Debug, Default)]
pub(super) struct Writers {
    state: Mutex<WritersState>,
    /// Memory of texts that are written. Fresh memory costs as much as copying the text.
    spares: Mutex<Vec<Vec<u8>>>,
    budget: QueueBudget,
    watch: WritableWatch,
    /// There is a queue to serve, or there will be none any more.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct WritersState {
    /// Those that have a thread, or queues that wait for one.
    groups: BTreeMap<SinkGroup, GroupMembers>,
    /// How many queues have been submitted.
    submitted: u64,
    /// Threads that have no queue: those that wait for one, and those that are about to.
    idle: usize,
    threads: usize,
    closed: bool,
}

/// The members of a group that are to be served, or are.
#[derive(Debug, Default)]
struct GroupMembers {
    threads: usize,
    /// Each with its place among all that wait.
    queues: VecDeque<(u64, Arc<SinkQueue>)>,
}

impl Writers {
    /// # Errors
    /// No thread could be made.
    pub(super) fn start() -> io::Result<Arc<Writers>> {
        let writers = Arc::new(Writers::default());
        writers.spawn_thread()?;
        Ok(writers)
    }

    /// Has a queue served that nobody serves.
    pub(super) fn submit(self: &Arc<Self>, queue: Arc<SinkQueue>) {
        let group = queue.group();
        let mut state = self.lock();
        state.push(group, queue);
        self.dispatch(state);
    }

    /// Sends a thread to the queues that may have one. Those that may not are served by the threads that their group has.
    fn dispatch(self: &Arc<Self>, state: MutexGuard<'_, WritersState>) {
        let ready = state.ready();
        let wants_another = ready > state.idle && state.threads < THREADS;
        drop(state);
        if ready > 0 {
            self.changed.notify_one();
        }
        if wants_another {
            // Where there can't be another one, those that there are come to it when they can.
            let _fewer = self.spawn_thread();
        }
    }

    /// Memory for a text.
    pub(super) fn empty_buffer(&self) -> Vec<u8> {
        self.spares().pop().unwrap_or_default()
    }

    /// Takes back the memory of a text that is written.
    pub(super) fn recycle(&self, mut text: Vec<u8>) {
        let mut spares = self.spares();
        if spares.len() < SPARES && text.capacity() <= LARGEST_SPARE {
            text.clear();
            spares.push(text);
        }
    }

    /// The bound on what all queues hold.
    pub(super) fn budget(&self) -> &QueueBudget {
        &self.budget
    }

    /// Where queues wait whose destination is full.
    pub(super) fn watch(&self) -> &WritableWatch {
        &self.watch
    }

    fn spares(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.spares.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the threads end, after all that is left to do.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    fn spawn_thread(self: &Arc<Self>) -> io::Result<()> {
        let writers = Arc::clone(self);
        let work = move || {
            sys::schedule_as_batch();
            while let Some((group, queue)) = writers.next() {
                // The queue's file may be closed here, which can hang as well.
                let unfinished = queue.serve().then_some(queue);
                writers.lock().release(group, unfinished);
            }
        };
        self.lock().add_thread();
        let spawned = std::thread::Builder::new().name("writer".to_owned()).spawn(work);
        spawned.map(drop).inspect_err(|_| self.lock().remove_thread())
    }

    /// The next queue, waiting for it; `None` when this thread isn't needed any more.
    fn next(self: &Arc<Self>) -> Option<(SinkGroup, Arc<SinkQueue>)> {
        let (mut state, mut has_idled) = (self.lock(), false);
        loop {
            if let Some(next) = state.pick() {
                // Another one may wait behind it.
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

    /// A panic elsewhere leaves the state as whole as it was: every change of it is complete before the next begins.
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

    /// How many threads a group may have now.
    fn limit(&self) -> usize {
        if self.threads - self.idle < THREADS / 2 { THREADS_PER_GROUP } else { 1 }
    }

    /// How many queues could have a thread now.
    fn ready(&self) -> usize {
        let limit = self.limit();
        self.groups.values().map(|members| members.queues.len().min(limit.saturating_sub(members.threads))).sum()
    }

    /// Takes, for an idle thread, the queue that has waited for the longest time of those that may have one.
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

    /// Takes note that a thread of the group is idle again, and that its queue waits for its next turn if it is unfinished.
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

    /// Threads that are all idle, and never serve what they pick.
    fn idle() -> (Arc<Writers>, WritersState) {
        (Arc::default(), WritersState { idle: THREADS, threads: THREADS, ..WritersState::default() })
    }

    #[test]
    fn five_filesystems_that_hang_leave_a_thread_to_others() {
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
        // One that comes back serves the next of its own filesystem.
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
