//! The threads that write. One does it all, as long as its writes come back; for a lane that has nobody while every
//! thread is held in a write, there is another one. So a terminal that was stopped, or a disk of a server that is gone,
//! holds its own lane and no other.

use super::lane::{BATCH, CAPACITY, Lane};
use crate::sys;
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a thread that isn't needed stays for the next lane. The last one stays for good, and lets go of memory then.
const IDLE: Duration = Duration::from_secs(5);

/// How many written texts' memory is kept for the next ones: as much as waits in a lane that fills and empties again and again.
const SPARES: usize = CAPACITY / BATCH;
/// How many of them are kept when nothing has been written for a while: one for who gathers lines, and one for who writes.
const SPARES_AT_REST: usize = 2;
/// The memory of a larger text isn't kept: there was an unusual lot of it at once.
const LARGEST_SPARE: usize = 4 * BATCH;

/// The threads, and what they are to do.
#[derive(Debug, Default)]
pub(super) struct Writers {
    state: Mutex<State>,
    /// Memory of texts that are written. Fresh memory costs as much as copying the text.
    spares: Mutex<Vec<Vec<u8>>>,
    /// There is a lane to serve, or there will be none any more.
    news: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lanes: VecDeque<Arc<Lane>>,
    /// Threads that have no lane: those that wait for one, and those that are about to.
    idle: usize,
    threads: usize,
    closed: bool,
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
        let mut state = self.lock();
        state.lanes.push_back(lane);
        let wants_another = state.lanes.len() > state.idle;
        drop(state);
        self.news.notify_one();
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
            sys::schedule_as_batch();
            while let Some(lane) = writers.next() {
                lane.serve();
                writers.lock().idle += 1;
            }
        };
        self.lock().hire();
        let employed = std::thread::Builder::new().name("writer".to_owned()).spawn(work);
        employed.map(drop).inspect_err(|_| self.lock().dismiss())
    }

    /// The next lane, waiting for it; `None` when this thread isn't needed any more.
    fn next(&self) -> Option<Arc<Lane>> {
        let (mut state, mut is_bored) = (self.lock(), false);
        loop {
            if let Some(lane) = state.lanes.pop_front() {
                state.idle -= 1;
                return Some(lane);
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
            if is_bored && state.lanes.is_empty() {
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
}
