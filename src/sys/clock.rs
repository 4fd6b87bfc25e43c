//! The local time of day.

use std::mem::MaybeUninit;

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
