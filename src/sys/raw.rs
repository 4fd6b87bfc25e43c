//! Raw system calls, for a child that runs in navigator's memory: they touch no state of the C library or of other threads.

use rustix::fd::RawFd;
use std::ffi::c_long;

/// A raw system call.
///
/// # Errors
/// The number of the error.
///
/// # Safety
/// The requirements of the call itself.
pub(super) unsafe fn call(number: c_long, arguments: [usize; 5]) -> Result<usize, i32> {
    let [first, second, third, fourth, fifth] = arguments;
    // SAFETY: the caller's promise.
    let result = unsafe { libc::syscall(number, first, second, third, fourth, fifth) };
    // SAFETY: the address of this thread's error number is valid. (In the child that is its spawner's, which is held.)
    usize::try_from(result).map_err(|_| unsafe { *libc::__errno_location() })
}

/// A pointer as an argument.
pub(super) fn address<T>(pointer: *const T) -> usize {
    pointer.expose_provenance()
}

/// A signed argument, widened as the kernel expects it.
pub(super) fn number(value: RawFd) -> usize {
    (value as isize).cast_unsigned()
}
