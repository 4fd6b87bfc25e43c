//! What the kernel writes about a start into navigator's memory, and how one start waits for another.
//!
//! Processes of a list execute their programs in order. If the loop enforced that order, each start would wait until the loop
//! has handled the previous exec, and then until its control group, pipes and child are made. Instead a start can be given
//! another start that it *comes after*: its child is made early and waits just before its exec. The kernel wakes it when the
//! other child releases navigator's memory, which is at its exec or its end (`CLONE_CHILD_CLEARTID` in `clone(2)`).

use super::raw::{address, call, number};
use std::ffi::c_int;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::Instant;

/// A start.
#[derive(Debug)]
pub(crate) struct Slot {
    /// When its clone began.
    begun: OnceLock<Instant>,
    /// Whether the start is cancelled.
    is_cancelled: AtomicBool,
    /// The pid of its child, written before the child's first instruction.
    pid: AtomicI32,
    /// 0 once the start is over.
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
    /// Cancels the start, unless its program has been executed already.
    pub(crate) fn cancel(&self) {
        self.is_cancelled.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::SeqCst)
    }

    /// Records that the clone begins now.
    pub(super) fn begin(&self) {
        self.begun.get_or_init(Instant::now);
    }

    /// When the clone began; `None` before that.
    pub(crate) fn begun(&self) -> Option<Instant> {
        self.begun.get().copied()
    }

    /// The child's pid, once there is one.
    pub(crate) fn pid(&self) -> Option<u32> {
        u32::try_from(self.pid.load(Ordering::SeqCst)).ok().filter(|&pid| pid != 0)
    }

    /// Where the kernel writes the child's pid (`CLONE_PARENT_SETTID`).
    pub(super) fn pid_address(&self) -> *mut c_int {
        self.pid.as_ptr()
    }

    /// Where the kernel writes 0 when the child releases our memory (`CLONE_CHILD_CLEARTID`). It then wakes one waiter.
    pub(super) fn end_address(&self) -> *mut c_int {
        self.end.as_ptr()
    }

    /// Marks the start as over, with or without a child, and wakes all waiters.
    pub(crate) fn end(&self) {
        self.end.store(0, Ordering::Release);
        let wake_all = [address(self.end.as_ptr()), libc::FUTEX_WAKE as usize, i32::MAX as usize, 0, 0];
        // SAFETY: the address is valid, and nothing is read or written there.
        let _count = unsafe { call(libc::SYS_futex, wake_all) };
    }

    /// Waits, in a child of `parent`, until this other start is over.
    ///
    /// The wait ends as long as navigator lives. If navigator is killed before it has made the other child, nothing would wake the
    /// waiter, so the kernel is asked to kill it when its parent dies.
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
