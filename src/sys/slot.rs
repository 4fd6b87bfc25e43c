//! What the kernel writes about a start, and how one start waits for another.
//!
//! Processes of a list execute their programs in order. If the loop enforced that order, each start would wait until the loop
//! has handled the previous exec, and then until its control group, pipes and child are made. Instead a start can be given
//! another start that it *comes after*: its child is made early and waits just before its exec. The kernel wakes it when the
//! other child releases its maker's memory, which is at its exec or its end (`CLONE_CHILD_CLEARTID` in `clone(2)`).
//!
//! Navigator registers a start, and its keeper makes the child. So the slots are in memory that both have mapped ([`SlotTable`]).

use super::clock;
use super::raw::{address, call, number};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::time::ClockId;
use std::ffi::c_int;
use std::io;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A start.
#[derive(Debug)]
pub(crate) struct Slot {
    cells: SlotCells,
    /// Something may still write to it after it is dropped, so it is not used again.
    is_abandoned: AtomicBool,
}

/// Where a slot is.
#[derive(Debug)]
enum SlotCells {
    /// In this process's own memory.
    Own(Box<Cells>),
    /// In a table, at this place.
    Shared { table: Arc<SlotTable>, place: u32, is_owned: bool },
}

/// The numbers of a slot. All zero bytes, the initial memory of a table, are never used as they are: see [`Cells::reset`].
#[derive(Debug)]
#[repr(C)]
struct Cells {
    /// When its clone began, in nanoseconds of the monotonic clock; 0: it has not.
    begun: AtomicU64,
    /// The pid of its child, written before the child's first instruction.
    pid: AtomicI32,
    /// 0 once the start is over.
    end: AtomicI32,
    /// Whether the start is cancelled.
    is_cancelled: AtomicBool,
}

/// [`Cells::end`] of a start that isn't over.
const NOT_OVER: i32 = 1;

impl Cells {
    fn new() -> Cells {
        let (begun, pid, end) = (AtomicU64::new(0), AtomicI32::new(0), AtomicI32::new(NOT_OVER));
        Cells { begun, pid, end, is_cancelled: AtomicBool::new(false) }
    }

    fn reset(&self) {
        let Cells { begun, pid, end, is_cancelled } = self;
        begun.store(0, Ordering::SeqCst);
        pid.store(0, Ordering::SeqCst);
        end.store(NOT_OVER, Ordering::SeqCst);
        is_cancelled.store(false, Ordering::SeqCst);
    }
}

/// Slots in memory that two processes have mapped.
#[derive(Debug)]
pub(crate) struct SlotTable {
    memory: OwnedFd,
    cells: NonNull<Cells>,
    places: Mutex<FreePlaces>,
}

#[derive(Debug, Default)]
struct FreePlaces {
    /// Used before, and free again. Taken first: their memory is there already.
    freed: Vec<u32>,
    /// From here on, none was used yet.
    unused: u32,
}

// SAFETY: the memory is mapped for as long as the value lives, and consists of atomics.
unsafe impl Send for SlotTable {}
// SAFETY: the same.
unsafe impl Sync for SlotTable {}

impl SlotTable {
    /// More starts are never in progress at once. Memory is taken only for those that were.
    const PLACES: u32 = 1 << 16;
    const SIZE: usize = Self::PLACES as usize * size_of::<Cells>();

    /// # Errors
    /// No memory, or no descriptor.
    pub(crate) fn new() -> io::Result<Arc<SlotTable>> {
        let memory = memfd_create("navigator-starts", MemfdFlags::CLOEXEC)?;
        ftruncate(&memory, Self::SIZE as u64)?;
        SlotTable::map(memory)
    }

    /// Maps the memory of a table that another process has made.
    ///
    /// # Errors
    /// Those of `mmap(2)`.
    pub(crate) fn map(memory: OwnedFd) -> io::Result<Arc<SlotTable>> {
        let access = rustix::mm::ProtFlags::READ | rustix::mm::ProtFlags::WRITE;
        // SAFETY: a fresh mapping overlaps no other memory.
        let start = unsafe { rustix::mm::mmap(ptr::null_mut(), Self::SIZE, access, rustix::mm::MapFlags::SHARED, &memory, 0)? };
        let cells = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Arc::new(SlotTable { memory, cells, places: Mutex::default() }))
    }

    /// Its memory, for another process to map.
    pub(crate) fn memory(&self) -> BorrowedFd<'_> {
        self.memory.as_fd()
    }

    /// A new slot. If the table is full, it is in this process's own memory.
    pub(crate) fn slot(self: &Arc<SlotTable>) -> Slot {
        let place = {
            let mut places = self.places();
            places.freed.pop().or_else(|| {
                let next = (places.unused < Self::PLACES).then_some(places.unused);
                places.unused += u32::from(next.is_some());
                next
            })
        };
        let Some(place) = place else { return Slot::default() };
        let slot = Slot::of(SlotCells::Shared { table: Arc::clone(self), place, is_owned: true });
        slot.cells().reset();
        slot
    }

    /// The slot at a place that the other process has given.
    pub(crate) fn at(self: &Arc<SlotTable>, place: u32) -> Option<Slot> {
        (place < Self::PLACES).then(|| Slot::of(SlotCells::Shared { table: Arc::clone(self), place, is_owned: false }))
    }

    fn places(&self) -> MutexGuard<'_, FreePlaces> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for SlotTable {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and no slot refers to it any more, because each has a share of the table.
        let _unmapped = unsafe { rustix::mm::munmap(self.cells.as_ptr().cast(), Self::SIZE) };
    }
}

impl Default for Slot {
    fn default() -> Slot {
        Slot::of(SlotCells::Own(Box::new(Cells::new())))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let SlotCells::Shared { table, place, is_owned: true } = &self.cells
            && !self.is_abandoned.load(Ordering::Relaxed)
        {
            table.places().freed.push(*place);
        }
    }
}

impl Slot {
    fn of(cells: SlotCells) -> Slot {
        Slot { cells, is_abandoned: AtomicBool::new(false) }
    }

    fn cells(&self) -> &Cells {
        match &self.cells {
            SlotCells::Own(cells) => cells,
            // SAFETY: the place is within the mapping, which lives as long as the table. All bytes are valid for atomics.
            SlotCells::Shared { table, place, .. } => unsafe { table.cells.add(*place as usize).as_ref() },
        }
    }

    /// Its place, if it is in a table.
    pub(crate) fn place(&self) -> Option<u32> {
        if let SlotCells::Shared { place, .. } = self.cells { Some(place) } else { None }
    }

    /// The process that made its child was lost: the child may still write to it.
    pub(crate) fn abandon(&self) {
        self.is_abandoned.store(true, Ordering::Relaxed);
    }

    /// Cancels the start, unless its program has been executed already.
    pub(crate) fn cancel(&self) {
        self.cells().is_cancelled.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cells().is_cancelled.load(Ordering::SeqCst)
    }

    /// Records that the clone begins now.
    pub(super) fn begin(&self) {
        let now = u64::try_from(clock::read(ClockId::Monotonic).as_nanos()).unwrap_or(u64::MAX);
        // Only the first one counts.
        let _begun_before = self.cells().begun.compare_exchange(0, now, Ordering::SeqCst, Ordering::SeqCst);
    }

    /// When the clone began; `None` before that.
    pub(crate) fn begun(&self) -> Option<Instant> {
        let begun = Duration::from_nanos(self.cells().begun.load(Ordering::SeqCst));
        let now = Instant::now();
        (!begun.is_zero()).then(|| now.checked_sub(clock::read(ClockId::Monotonic).saturating_sub(begun)).unwrap_or(now))
    }

    /// The child's pid, once there is one.
    pub(crate) fn pid(&self) -> Option<u32> {
        u32::try_from(self.cells().pid.load(Ordering::SeqCst)).ok().filter(|&pid| pid != 0)
    }

    /// Where the kernel writes the child's pid (`CLONE_PARENT_SETTID`).
    pub(super) fn pid_address(&self) -> *mut c_int {
        self.cells().pid.as_ptr()
    }

    /// Where the kernel writes 0 when the child releases its maker's memory (`CLONE_CHILD_CLEARTID`). It then wakes one waiter.
    pub(super) fn end_address(&self) -> *mut c_int {
        self.cells().end.as_ptr()
    }

    /// Marks the start as over, with or without a child, and wakes all waiters.
    pub(crate) fn end(&self) {
        self.cells().end.store(0, Ordering::Release);
        let wake_all = [address(self.end_address()), libc::FUTEX_WAKE as usize, i32::MAX as usize, 0, 0];
        // SAFETY: the address is valid, and nothing is read or written there.
        let _count = unsafe { call(libc::SYS_futex, wake_all) };
    }

    /// Waits, in a child of `parent`, until this other start is over.
    ///
    /// The wait ends as long as the parent lives. If that is killed before it has made the other child, nothing would wake the
    /// waiter, so the kernel is asked to kill it when its parent dies.
    ///
    /// # Errors
    /// The number of an error; `ESRCH`: its parent is gone.
    pub(super) fn wait(&self, parent: u32) -> Result<(), i32> {
        if self.cells().end.load(Ordering::Acquire) == 0 {
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
        self.wait_until_over();
        die_with_parent(0).map(|_| ())
    }

    /// Waits until the start is over. It makes raw system calls alone.
    pub(crate) fn wait_until_over(&self) {
        let end = &self.cells().end;
        while end.load(Ordering::Acquire) != 0 {
            let wait = [address(end.as_ptr()), libc::FUTEX_WAIT as usize, number(NOT_OVER), 0, 0];
            // SAFETY: the address is valid as long as the borrow. If the start is over, the call returns at once.
            let _woken = unsafe { call(libc::SYS_futex, wait) };
        }
    }
}
