//! What the kernel writes about a start into our memory, and how another start waits for it.
//!
//! Processes of a list are started one after the other: no program before that of the one before it. If that were left to the loop,
//! each would wait until the loop has heard of the last exec, and until a group, pipes and a child are made. So a start may be
//! given another that it *comes after*: its child is made meanwhile, and waits with its exec. The kernel wakes it at the very
//! moment at which the other lets go of our memory, which is its exec or its end; it does so for whoever joins a thread
//! (`CLONE_CHILD_CLEARTID` in `clone(2)`).

use super::raw::{address, call, number};
use std::ffi::c_int;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::Instant;

/// A start.
#[derive(Debug)]
pub(crate) struct Slot {
    /// When its child was about to be made.
    begun: OnceLock<Instant>,
    /// It is not to be made any more.
    is_cancelled: AtomicBool,
    /// The number of its child, before its first instruction.
    pid: AtomicI32,
    /// 0 as soon as it is over.
    end: AtomicI32,
}

/// [`Slot::end`] of a start that isn't over.
const NOT_OVER: i32 = 1;

impl Default for Slot {
    fn default() -> Slot {
        Slot {
            begun: OnceLock::new(),
            is_cancelled: AtomicBool::new(false),
            pid: AtomicI32::new(0),
            end: AtomicI32::new(NOT_OVER),
        }
    }
}

impl Slot {
    /// It is not to be made any more, if there is time for that.
    pub(crate) fn cancel(&self) {
        self.is_cancelled.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::SeqCst)
    }

    /// Its child is about to be made.
    pub(super) fn begin(&self) {
        self.begun.get_or_init(Instant::now);
    }

    /// When its child was made, once there is one.
    pub(crate) fn begun(&self) -> Option<Instant> {
        self.begun.get().copied()
    }

    /// The child's number, once there is one.
    pub(crate) fn pid(&self) -> Option<u32> {
        u32::try_from(self.pid.load(Ordering::SeqCst)).ok().filter(|&pid| pid != 0)
    }

    /// Where the kernel writes the child's number (`CLONE_PARENT_SETTID`).
    pub(super) fn for_number(&self) -> *mut c_int {
        self.pid.as_ptr()
    }

    /// Where the kernel writes 0 when the child lets go of our memory (`CLONE_CHILD_CLEARTID`). It wakes one who waits for that.
    pub(super) fn for_end(&self) -> *mut c_int {
        self.end.as_ptr()
    }

    /// The start is over, whether or not there ever was a child: wakes all who wait for that.
    pub(crate) fn end(&self) {
        self.end.store(0, Ordering::Release);
        let wake_all = [address(self.end.as_ptr()), libc::FUTEX_WAKE as usize, i32::MAX as usize, 0, 0];
        // SAFETY: the address is valid, and nothing is read or written there.
        let _count = unsafe { call(libc::SYS_futex, wake_all) };
    }

    /// In a child of `parent`: waits until this start, which is another's, is over.
    ///
    /// That is certain to come, as long as navigator lives. Should it be killed before it has made the other's child, nobody would
    /// tell; so the kernel is asked to kill whoever waits, along with the thread that waits for him.
    ///
    /// # Errors
    /// The number of an error; `ESRCH`: navigator is gone.
    pub(super) fn wait(&self, parent: u32) -> Result<(), i32> {
        let is_over = || self.end.load(Ordering::Acquire) == 0;
        if is_over() {
            return Ok(());
        }
        let die_with_parent = |signal: c_int| {
            // SAFETY: numbers by value.
            unsafe { call(libc::SYS_prctl, [libc::PR_SET_PDEATHSIG as usize, number(signal), 0, 0, 0]) }
        };
        die_with_parent(libc::SIGKILL)?;
        // SAFETY: the call takes nothing, and can't fail.
        if unsafe { call(libc::SYS_getppid, [0; 5]) } != Ok(parent as usize) {
            return Err(libc::ESRCH);
        }
        while !is_over() {
            let wait = [address(self.end.as_ptr()), libc::FUTEX_WAIT as usize, number(NOT_OVER), 0, 0];
            // SAFETY: the address is valid as long as the borrow. If that is over, the call returns at once.
            let _woken = unsafe { call(libc::SYS_futex, wait) };
        }
        die_with_parent(0).map(|_| ())
    }
}
