//! The clocks of the kernel, and the local time of day.

use rustix::time::{ClockId, clock_gettime};
use std::mem::MaybeUninit;
use std::time::Duration;

/// What a clock of the kernel shows (`clock_gettime(2)`).
pub(crate) fn read(clock: ClockId) -> Duration {
    Duration::try_from(clock_gettime(clock)).unwrap_or_default()
}

/// Hour, minute and second by the clock on the wall; `None`: the C library can't tell.
pub(crate) fn time_of_day(since_epoch: libc::time_t) -> Option<[i32; 3]> {
    let mut parts = MaybeUninit::<libc::tm>::uninit();
    // SAFETY: both pointers are valid for the call.
    let filled = unsafe { libc::localtime_r(&raw const since_epoch, parts.as_mut_ptr()) };
    if filled.is_null() {
        return None;
    }
    // SAFETY: the call succeeded, so it has filled the whole structure.
    let parts = unsafe { parts.assume_init() };
    Some([parts.tm_hour, parts.tm_min, parts.tm_sec])
}
