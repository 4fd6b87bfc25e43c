//! The threads that make children. Each serves one thread of navigator at a time.
//!
//! They never end: the kernel would make their children those of the main thread, which reaps adopted ones.

use super::held::HeldDescriptors;
use super::message::{receive_message, send_message};
use super::order::{ChildOrder, StartAnswer};
use crate::sys;
use crate::sys::child_stdio::ChildStdio;
use crate::sys::clone::{self, CloneFailure, Stack, StartedChild};
use crate::sys::slot::{Slot, SlotTable};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::fcntl_dupfd_cloexec;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Children are made with these.
const STACK: usize = 128 * 1024;

/// The threads, and the children that they have made.
pub(super) struct Starters {
    held: Arc<HeldDescriptors>,
    state: Mutex<StarterState>,
    has_work: Condvar,
}

#[derive(Default)]
struct StarterState {
    /// Connections that no thread serves yet, each with its table of slots.
    waiting: VecDeque<(OwnedFd, Arc<SlotTable>)>,
    /// How many threads wait for a connection.
    idle: usize,
    /// Starts in progress.
    in_progress: Vec<Arc<Slot>>,
    /// Children that are not reaped; whether each is killed when navigator is.
    made: HashMap<u32, bool>,
}

impl Starters {
    pub(super) fn new(held: Arc<HeldDescriptors>) -> Arc<Starters> {
        Arc::new(Starters { held, state: Mutex::default(), has_work: Condvar::new() })
    }

    /// Serves a connection of navigator.
    ///
    /// # Errors
    /// No thread can be made.
    pub(super) fn serve(self: &Arc<Starters>, link: OwnedFd, table: Arc<SlotTable>) -> io::Result<()> {
        let mut state = self.lock();
        state.waiting.push_back((link, table));
        if state.waiting.len() <= state.idle {
            self.has_work.notify_one();
            return Ok(());
        }
        drop(state);
        let (starters, reserve) = (Arc::clone(self), Reserve::new()?);
        std::thread::Builder::new().name("starter".to_owned()).stack_size(STACK).spawn(move || starters.run(reserve)).map(drop)
    }

    fn run(&self, mut reserve: Reserve) {
        loop {
            let (link, table) = self.next();
            // On an error the connection is closed, and navigator makes its starts itself.
            while let Ok(Some((order, descriptors))) = receive_message(&link) {
                if self.serve_one(&link, &table, order, descriptors, &mut reserve).is_err() {
                    break;
                }
            }
        }
    }

    fn next(&self) -> (OwnedFd, Arc<SlotTable>) {
        let mut state = self.lock();
        state.idle += 1;
        loop {
            if let Some(work) = state.waiting.pop_front() {
                state.idle -= 1;
                return work;
            }
            state = self.has_work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn serve_one(
        &self,
        link: &OwnedFd,
        table: &Arc<SlotTable>,
        order: ChildOrder,
        descriptors: Vec<OwnedFd>,
        reserve: &mut Reserve,
    ) -> io::Result<()> {
        let slot = order.slot(table).ok_or(io::ErrorKind::InvalidData)?;
        let ends_with_navigator = order.ends_with_navigator;
        self.lock().in_progress.push(Arc::clone(&slot));
        let answer = self.start(&slot, table, order, descriptors, reserve);
        {
            let mut state = self.lock();
            state.in_progress.retain(|other| !Arc::ptr_eq(other, &slot));
            // It may have been reaped by now.
            state.made.extend(slot.pid().filter(|&pid| sys::is_child(pid)).map(|pid| (pid, ends_with_navigator)));
        }
        let (answer, pidfd) = answer.unwrap_or((StartAnswer::Refused, None));
        let beside: Vec<BorrowedFd<'_>> = pidfd.iter().map(AsFd::as_fd).collect();
        send_message(link, &answer, &beside)
    }

    /// `None`: the start was not attempted.
    fn start(
        &self,
        slot: &Slot,
        table: &Arc<SlotTable>,
        order: ChildOrder,
        mut descriptors: Vec<OwnedFd>,
        reserve: &mut Reserve,
    ) -> Option<(StartAnswer, Option<OwnedFd>)> {
        let own = order.own_descriptors();
        if descriptors.len() < 2 + own {
            return None;
        }
        let held = descriptors.split_off(2 + own);
        let mut beside = descriptors.split_off(2);
        // Not in the place of another one in the program.
        let above = order.above_passed();
        for descriptor in &mut beside {
            *descriptor = fcntl_dupfd_cloexec(&*descriptor, above).ok()?;
        }
        let Reserve { stack, stdio } = reserve;
        let placed = stdio.place(&descriptors[0], &descriptors[1]);
        // The child's copies are the only ones then, so that a stream ends with it.
        drop(descriptors);
        let started =
            placed.ok().and_then(|()| order.with_child(table, stdio.each(), &beside, |child| clone::start(child, stack, slot)));
        stdio.reset();
        let started = started?;
        if started.is_ok() {
            for descriptor in held {
                self.held.add(descriptor);
            }
        }
        Some(match started {
            Ok(StartedChild { pid, pidfd, group_error }) => (StartAnswer::Started { pid, group_error }, pidfd),
            Err(CloneFailure::Clone(error)) => (StartAnswer::NoChild(error), None),
            Err(CloneFailure::Child(stage, error)) => (StartAnswer::Failed(stage, error), None),
        })
    }

    /// The children that are not reaped.
    pub(super) fn made(&self) -> Vec<u32> {
        self.lock().made.keys().copied().collect()
    }

    /// Whether it has made this child.
    pub(super) fn has_made(&self, pid: u32) -> bool {
        self.lock().made.contains_key(&pid)
    }

    /// Reaps a child that has ended, if it is one of ours.
    pub(super) fn reap(&self, pid: u32) {
        let mut state = self.lock();
        state.made.remove(&pid);
        let _another_parents = sys::reap(pid);
    }

    /// Navigator is gone. Ends the starts that wait for another one or hang in their exec, of which no other navigator will know, and
    /// the children that end with it.
    pub(super) fn cancel(&self) {
        let state = self.lock();
        for slot in &state.in_progress {
            slot.cancel();
            if let Some(pid) = slot.pid() {
                // It may have ended; only this process reaps it, and not meanwhile.
                let _has_ended = sys::signal_unreaped(pid.cast_signed(), libc::SIGKILL);
            }
        }
        for (pid, _) in state.made.iter().filter(|(_, ends_with_navigator)| **ends_with_navigator) {
            // Each leads a process group of its own.
            let _has_ended = sys::signal_unreaped(-pid.cast_signed(), libc::SIGKILL);
        }
    }

    /// Each change is complete before the lock is released.
    fn lock(&self) -> MutexGuard<'_, StarterState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a thread needs for one child at a time.
struct Reserve {
    stack: Stack,
    stdio: ChildStdio,
}

impl Reserve {
    fn new() -> io::Result<Reserve> {
        Ok(Reserve { stack: Stack::new()?, stdio: ChildStdio::new()? })
    }
}
