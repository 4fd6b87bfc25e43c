//! The threads that write: few, however many destinations there are.
//!
//! Most of the time one thread does it all. For a lane that waits while every thread is busy there is another one, up to
//! [`THREADS`]. Pipes and terminals that are full hold no thread: their lanes wait in [`WritableWatch`]. A write to a file waits in
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

use super::budget::Budget;
use super::lane::{BATCH, CAPACITY, Lane};
use super::writable_watch::WritableWatch;
use crate::sys;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// There are no more threads than this.
const THREADS: usize = 8;
/// A group has no more threads than this. The reader is one thread, so two keep up with it.
const OF_ONE: usize = 2;

/// How long a thread that isn't needed stays for the next lane. The last one stays for good, and lets go of memory then.
pub(super) const IDLE: Duration = Duration::from_secs(5);

/// How many written texts' memory is kept for the next ones: as much as waits in a lane that fills and empties again and again.
const SPARES: usize = CAPACITY / BATCH;
/// How many of them are kept when nothing has been written for a while: one for who gathers lines, and one for who writes.
const SPARES_AT_REST: usize = 2;
/// The memory of a larger text isn't kept: there was an unusual lot of it at once.
const LARGEST_SPARE: usize = 4 * BATCH;

/// Destinations that are likely to hang together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Group {
    Stdout,
    Stderr,
    /// Files on the filesystem of this device.
    Filesystem(u64),
}

/// The threads, and what they are to do.
#[derive(Debug, Default)]
pub(super) struct Writers {
    state: Mutex<State>,
    /// Memory of texts that are written. Fresh memory costs as much as copying the text.
    spares: Mutex<Vec<Vec<u8>>>,
    budget: Budget,
    watch: WritableWatch,
    /// There is a lane to serve, or there will be none any more.
    news: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Those that have a thread, or lanes that wait for one.
    groups: BTreeMap<Group, Members>,
    /// How many lanes have been submitted.
    submitted: u64,
    /// Threads that have no lane: those that wait for one, and those that are about to.
    idle: usize,
    threads: usize,
    closed: bool,
}

/// The members of a group that are to be served, or are.
#[derive(Debug, Default)]
struct Members {
    threads: usize,
    /// Each with its place among all that wait.
    lanes: VecDeque<(u64, Arc<Lane>)>,
}

impl Writers {
    /// # Errors
    /// No thread could be made.
    pub(super) fn start() -> io::Result<Arc<Writers>> {
        let writers = Arc::new(Writers::default());
        writers.employ()?;
        Ok(writers)
    }

    /// Has a lane served that nobody serves.
    pub(super) fn submit(self: &Arc<Self>, lane: Arc<Lane>) {
        let group = lane.group();
        let mut state = self.lock();
        state.push(group, lane);
        self.call(state);
    }

    /// Sends a thread to the lanes that may have one. Those that may not are served by the threads that their group has.
    fn call(self: &Arc<Self>, state: MutexGuard<'_, State>) {
        let ready = state.ready();
        let wants_another = ready > state.idle && state.threads < THREADS;
        drop(state);
        if ready > 0 {
            self.news.notify_one();
        }
        if wants_another {
            // Where there can't be another one, those that there are come to it when they can.
            let _fewer = self.employ();
        }
    }

    /// Memory for a text.
    pub(super) fn empty(&self) -> Vec<u8> {
        self.spares().pop().unwrap_or_default()
    }

    /// Takes back the memory of a text that is written.
    pub(super) fn take_back(&self, mut text: Vec<u8>) {
        let mut spares = self.spares();
        if spares.len() < SPARES && text.capacity() <= LARGEST_SPARE {
            text.clear();
            spares.push(text);
        }
    }

    /// The bound on what all lanes hold.
    pub(super) fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Where lanes wait whose destination is full.
    pub(super) fn watch(&self) -> &WritableWatch {
        &self.watch
    }

    fn spares(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.spares.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the threads end, after all that is left to do.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.news.notify_all();
    }

    fn employ(self: &Arc<Self>) -> io::Result<()> {
        let writers = Arc::clone(self);
        let work = move || {
            sys::come_after_others();
            while let Some((group, lane)) = writers.next() {
                // The lane's file may be closed here, which can hang as well.
                let unfinished = lane.serve().then_some(lane);
                writers.lock().release(group, unfinished);
            }
        };
        self.lock().hire();
        let employed = std::thread::Builder::new().name("writer".to_owned()).spawn(work);
        employed.map(drop).inspect_err(|_| self.lock().dismiss())
    }

    /// The next lane, waiting for it; `None` when this thread isn't needed any more.
    fn next(self: &Arc<Self>) -> Option<(Group, Arc<Lane>)> {
        let (mut state, mut is_bored) = (self.lock(), false);
        loop {
            if let Some(picked) = state.pick() {
                // Another one may wait behind it.
                self.call(state);
                return Some(picked);
            }
            if state.closed {
                state.dismiss();
                return None;
            }
            if is_bored {
                state = self.news.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let waited = self.news.wait_timeout(state, IDLE).unwrap_or_else(PoisonError::into_inner);
            (state, is_bored) = (waited.0, waited.1.timed_out());
            if is_bored && state.ready() == 0 {
                self.spares().truncate(SPARES_AT_REST);
                if state.threads > 1 {
                    state.dismiss();
                    return None;
                }
            }
        }
    }

    /// A panic elsewhere leaves the state as whole as it was: every change of it is complete before the next begins.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn hire(&mut self) {
        self.threads += 1;
        self.idle += 1;
    }

    fn dismiss(&mut self) {
        self.threads -= 1;
        self.idle -= 1;
    }

    /// How many threads a group may have now.
    fn limit(&self) -> usize {
        if self.threads - self.idle < THREADS / 2 { OF_ONE } else { 1 }
    }

    /// How many lanes could have a thread now.
    fn ready(&self) -> usize {
        let limit = self.limit();
        self.groups.values().map(|members| members.lanes.len().min(limit.saturating_sub(members.threads))).sum()
    }

    /// Takes, for an idle thread, the lane that has waited for the longest time of those that may have one.
    fn pick(&mut self) -> Option<(Group, Arc<Lane>)> {
        let limit = self.limit();
        let open = self.groups.iter_mut().filter(|(_, members)| members.threads < limit);
        let waiting = open.filter_map(|(group, members)| Some((members.lanes.front()?.0, *group, members)));
        let (_, group, members) = waiting.min_by_key(|(place, ..)| *place)?;
        let (_, lane) = members.lanes.pop_front()?;
        members.threads += 1;
        self.idle -= 1;
        Some((group, lane))
    }

    fn push(&mut self, group: Group, lane: Arc<Lane>) {
        self.submitted += 1;
        self.groups.entry(group).or_default().lanes.push_back((self.submitted, lane));
    }

    /// Takes note that a thread of the group is idle again, and that its lane waits for its next turn if it is unfinished.
    fn release(&mut self, group: Group, unfinished: Option<Arc<Lane>>) {
        self.idle += 1;
        if let Some(lane) = unfinished {
            self.push(group, lane);
        }
        if let Some(members) = self.groups.get_mut(&group) {
            members.threads -= 1;
            if members.threads == 0 && members.lanes.is_empty() {
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
    fn idle() -> (Arc<Writers>, State) {
        (Arc::default(), State { idle: THREADS, threads: THREADS, ..State::default() })
    }

    #[test]
    fn five_filesystems_that_hang_leave_a_thread_to_others() {
        let (writers, mut state) = idle();
        let mut picked = Vec::new();
        for device in 0..5 {
            (0..10).for_each(|_| state.push(Group::Filesystem(device), Lane::new(Sink::stdout(), &writers)));
            picked.extend(std::iter::from_fn(|| state.pick()).map(|(group, _)| group));
        }
        assert_eq!(picked, [0, 0, 1, 1, 2, 3, 4].map(Group::Filesystem));
        assert_eq!(state.ready(), 0);
        state.push(Group::Stdout, Lane::new(Sink::stdout(), &writers));
        assert_eq!(state.ready(), 1);
        assert_eq!(state.pick().map(|(group, _)| group), Some(Group::Stdout));
        // One that comes back serves the next of its own filesystem.
        state.release(Group::Filesystem(3), None);
        assert_eq!(state.pick().map(|(group, _)| group), Some(Group::Filesystem(3)));
    }

    #[test]
    fn lanes_take_turns_and_what_has_none_is_forgotten() {
        let (writers, mut state) = idle();
        let lanes = [(); 3].map(|()| Lane::new(Sink::stdout(), &writers));
        for lane in &lanes {
            state.push(Group::Stderr, Arc::clone(lane));
        }
        for turn in 0..6 {
            let (group, lane) = state.pick().unwrap();
            assert!(Arc::ptr_eq(&lane, &lanes[turn % 3]));
            state.release(group, (turn < 3).then_some(lane));
        }
        assert!(state.pick().is_none() && state.groups.is_empty());
    }
}
