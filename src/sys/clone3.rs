//! Clones a child directly into a control group, so that it never has to move there.
//!
//! A move (a write to `cgroup.procs`) waits until every processor has passed through the scheduler, because the kernel's lock for
//! moves is optimized for readers: up to 10 ms, however small the group. `clone3(2)` with `CLONE_INTO_CGROUP` (Linux 5.7) needs no
//! move. The C library has no function for it, and a child with a stack of its own can't return from a function that its parent
//! called; hence the few instructions in here. The result is `None` on a machine without such instructions, and where the kernel
//! or a seccomp filter refuses; the caller then clones the usual way.

use super::slot::Slot;
use rustix::fd::{BorrowedFd, OwnedFd};
use std::ffi::{c_int, c_void};

/// The first function of a child.
pub(super) type ChildEntry = extern "C" fn(*mut c_void) -> c_int;

/// Like `clone(2)` with these flags, into a control group, and with every handled signal reset to its default; ignored signals
/// stay ignored. The child calls `entry` with `argument`, on the stack with its lowest byte at `stack`. The kernel writes its pid to
/// `slot`. Returns its pid and pidfd, or `None` if there is no child.
///
/// # Safety
/// As for `clone(2)`. `entry` must not return.
#[cfg(target_arch = "x86_64")]
pub(super) unsafe fn into_group(
    group: BorrowedFd<'_>,
    flags: c_int,
    stack: *mut c_void,
    stack_size: usize,
    entry: ChildEntry,
    argument: *mut c_void,
    slot: &Slot,
) -> Option<(c_int, OwnedFd)> {
    use rustix::fd::{AsRawFd, FromRawFd};

    /// `CLONE_INTO_CGROUP` of the kernel's `sched.h`.
    const INTO_GROUP: u64 = 0x2_0000_0000;
    /// `CLONE_CLEAR_SIGHAND` of the same, which is older (Linux 5.5).
    const CLEAR_HANDLERS: u64 = 0x1_0000_0000;
    /// The low byte of the flags of `clone(2)` is the signal that tells of the child's end.
    const SIGNAL: c_int = 0xff;
    let mut pidfd: c_int = -1;
    let arguments = libc::clone_args {
        flags: u64::from((flags & !SIGNAL | libc::CLONE_PIDFD | libc::CLONE_CHILD_CLEARTID).cast_unsigned())
            | INTO_GROUP
            | CLEAR_HANDLERS,
        pidfd: (&raw mut pidfd).expose_provenance() as u64,
        child_tid: slot.end_address().expose_provenance() as u64,
        parent_tid: slot.pid_address().expose_provenance() as u64,
        exit_signal: u64::from((flags & SIGNAL).cast_unsigned()),
        stack: stack.expose_provenance() as u64,
        stack_size: stack_size as u64,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
        cgroup: u64::from(group.as_raw_fd().cast_unsigned()),
    };
    let result: i64;
    // SAFETY: the caller's promise. The child has its own stack and its own copy of every register, never comes back here,
    // and finds its two values in registers that the system call leaves alone. Its stack is aligned as a call demands,
    // because its end is, and it has no caller, which the empty frame pointer tells a stack walker.
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, {argument}",
            "call {entry}",
            "ud2",
            "2:",
            argument = in(reg) argument,
            entry = in(reg) entry,
            in("rdi") &raw const arguments,
            in("rsi") size_of::<libc::clone_args>(),
            inlateout("rax") libc::SYS_clone3 => result,
            out("rcx") _,
            out("r11") _,
        );
    }
    let pid = c_int::try_from(result).ok().filter(|&pid| pid > 0)?;
    // SAFETY: the call succeeded, so the kernel has written a descriptor there that is new, and ours alone: the child's table
    // of descriptors is its own.
    Some((pid, unsafe { OwnedFd::from_raw_fd((&raw const pidfd).read_volatile()) }))
}

/// As above, for architectures without instructions here.
///
/// # Safety
/// It does nothing.
#[cfg(not(target_arch = "x86_64"))]
pub(super) unsafe fn into_group(
    _group: BorrowedFd<'_>,
    _flags: c_int,
    _stack: *mut c_void,
    _stack_size: usize,
    _entry: ChildEntry,
    _argument: *mut c_void,
    _slot: &Slot,
) -> Option<(c_int, OwnedFd)> {
    None
}
