//! The only unsafe code: system calls that no safe crate offers, each behind a safe function.
//!
//! [`clone`] starts a program by [`raw`] calls, directly in its control group where [`clone3`] can, and after another start where
//! [`slot`] asks for that. [`accounts`] looks up users and groups, [`clock`] the local time, [`lease`] finds out whether a file has a writer, [`pidfd`]
//! how a process that isn't our child has ended. This file has the calls for reaping and signals. Nothing in this directory makes decisions or knows what a run is.
#![expect(unsafe_code, reason = "clone, waitid with a pid in its answer, leases, and the account database have no safe wrapper")]

pub(crate) mod accounts;
pub(crate) mod child_stdio;
pub(crate) mod clock;
pub(crate) mod clone;
mod clone3;
pub(crate) mod credentials;
pub(crate) mod exec;
pub(crate) mod lease;
pub(crate) mod pidfd;
mod raw;
mod signal_queue;
pub(crate) mod slot;

pub(crate) use signal_queue::SignalQueue;

use rustix::event::epoll;
use rustix::fd::{AsRawFd, BorrowedFd, OwnedFd};
use serde::{Deserialize, Serialize};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use tokio::io::unix::AsyncFd;

/// The pid in the last `SIGCHLD`; 0: none since it was last read.
static LAST_ENDED: AtomicI32 = AtomicI32::new(0);

/// Makes every later `SIGCHLD` record the pid of the child that ended, before any other handler runs. One signal may stand for
/// several children, so the pid is only a hint which child to check first.
///
/// # Errors
/// Those of `sigaction(2)`.
pub(crate) fn record_ended_children() -> io::Result<()> {
    static IS_NOTED: AtomicBool = AtomicBool::new(false);
    if IS_NOTED.swap(true, Ordering::Relaxed) {
        return Ok(());
    }
    let note = |info: &libc::siginfo_t| {
        // SAFETY: the kernel fills this field for a SIGCHLD; what another process sends with one is at worst a
        // misleading hint.
        LAST_ENDED.store(unsafe { info.si_pid() }, Ordering::Release);
    };
    // SAFETY: the action stores a number, which is async-signal-safe, and never panics.
    unsafe { signal_hook_registry::register_sigaction(libc::SIGCHLD, note) }.map(drop)
}

/// The hint since the last call, if any.
pub(crate) fn last_ended() -> Option<u32> {
    u32::try_from(LAST_ENDED.swap(0, Ordering::Acquire)).ok().filter(|&pid| pid > 1)
}

/// A child that has ended and is not yet reaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ended {
    /// Its pid, which stays its own until [`reap`].
    pub(crate) pid: u32,
    /// How it ended.
    pub(crate) how: ExitKind,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ExitKind {
    /// With this exit status.
    Code(i32),
    /// By the signal of this number.
    Signal(i32),
}

/// A child that has ended. It is not reaped, so no other process can have its pid until [`reap`].
///
/// # Errors
/// Those of `waitid(2)`, except having no child at all, which is an answer: `None`.
pub(crate) fn ended_child() -> io::Result<Option<Ended>> {
    ended(libc::P_ALL, 0, 0)
}

/// The same, only among adopted orphans where the kernel can tell: it makes them children of the main thread, while a child that
/// another thread starts belongs to that thread.
///
/// # Errors
/// Those of `waitid(2)`.
pub(crate) fn ended_adopted() -> io::Result<Option<Ended>> {
    ended(libc::P_ALL, 0, if is_main_thread() { libc::__WNOTHREAD } else { 0 })
}

fn is_main_thread() -> bool {
    thread_local! {
        static IS_MAIN: bool = rustix::thread::gettid() == rustix::process::getpid();
    }
    IS_MAIN.with(|is_main| *is_main)
}

/// The same for one child, which the kernel finds without searching all others.
///
/// # Errors
/// Those of `waitid(2)`, except that it is no child of ours, which is an answer: `None`.
pub(crate) fn ended_one(pid: u32) -> io::Result<Option<Ended>> {
    ended(libc::P_PID, pid, 0)
}

/// Whether this process has any child, ended or not.
pub(crate) fn has_children() -> bool {
    query(libc::P_ALL, 0, 0).is_ok()
}

/// Whether this is a child of ours that is not reaped.
pub(crate) fn is_child(pid: u32) -> bool {
    query(libc::P_PID, pid, 0).is_ok()
}

fn ended(id_type: libc::idtype_t, pid: u32, further: i32) -> io::Result<Option<Ended>> {
    query(id_type, pid, further).or_else(|error| if is_no_child(&error) { Ok(None) } else { Err(error) })
}

fn is_no_child(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ECHILD)
}

/// Asks for a child that has ended, without reaping it. It is an error if there is no child at all.
fn query(id_type: libc::idtype_t, pid: u32, further: i32) -> io::Result<Option<Ended>> {
    // SAFETY: `siginfo_t` is plain data, for which all zero bytes are a value.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT | further;
    // SAFETY: `info` is valid for writes for the whole call.
    if unsafe { libc::waitid(id_type, pid, &raw mut info, options) } == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `waitid` filled the fields of a SIGCHLD, or left the zeros of above when there was none.
    let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
    let how = if info.si_code == libc::CLD_EXITED { ExitKind::Code(status) } else { ExitKind::Signal(status) };
    Ok(u32::try_from(pid).ok().filter(|&pid| pid != 0).map(|pid| Ended { pid, how }))
}

/// Reaps a child that [`ended_child`] named. From here on another process may have its pid.
///
/// # Errors
/// Those of `waitid(2)`.
pub(crate) fn reap(pid: u32) -> io::Result<()> {
    // SAFETY: a null `siginfo_t` pointer is allowed and asks for nothing to be written.
    let result = unsafe { libc::waitid(libc::P_PID, pid, std::ptr::null_mut(), libc::WEXITED | libc::WNOHANG) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Waits for the end of a child that is about to end, and reaps it.
///
/// # Errors
/// Those of `waitid(2)`.
pub(crate) fn wait_for(pid: u32) -> io::Result<()> {
    // SAFETY: a null `siginfo_t` pointer is allowed and asks for nothing to be written.
    let result = unsafe { libc::waitid(libc::P_PID, pid, std::ptr::null_mut(), libc::WEXITED) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Sends a signal through a pidfd; 0 only asks whether the process still exists, reaped or not.
///
/// # Errors
/// Those of `pidfd_send_signal(2)`; `ESRCH` once the process has been reaped.
pub(crate) fn signal_pidfd(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    let no_info: *const libc::siginfo_t = std::ptr::null();
    // SAFETY: the descriptor is borrowed, hence open, and a null `siginfo_t` pointer is allowed.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, no_info, 0) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Sends a signal to a process (or, for a negative pid, to a process group) where there are no pidfds.
///
/// The caller must make sure that the pid is an unreaped child of ours, or its group.
///
/// # Errors
/// Those of `kill(2)`.
#[expect(clippy::disallowed_methods, reason = "the way out where pidfds are refused; the number is an unreaped child's")]
pub(crate) fn signal_unreaped(pid: i32, signal: i32) -> io::Result<()> {
    // SAFETY: `kill` takes two numbers and touches no memory.
    if unsafe { libc::kill(pid, signal) } == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Sets this process's own disposition of `SIGCHLD` to default and of `SIGPIPE` and `SIGXFSZ` (a file that grows beyond
/// `ulimit -f`) to ignored, so that a write fails instead of killing.
///
/// # Errors
/// Those of `sigaction(2)`; none is known to happen.
pub(crate) fn own_signals() -> io::Result<()> {
    for (signal, handler) in [(libc::SIGCHLD, libc::SIG_DFL), (libc::SIGPIPE, libc::SIG_IGN), (libc::SIGXFSZ, libc::SIG_IGN)] {
        // SAFETY: neither disposition is a function, so no code of ours is entered from a signal.
        if unsafe { libc::signal(signal, handler) } == libc::SIG_ERR {
            return Err(io::Error::last_os_error());
        }
    }
    ignore_reserved_signals();
    Ok(())
}

/// Lets this thread, and threads that it starts later, receive every signal but `SIGCHLD`.
///
/// # Errors
/// Those of `sigprocmask(2)`; none is known to happen.
pub(crate) fn unblock_signals() -> io::Result<()> {
    mask_child_signal(libc::SIG_SETMASK)
}

/// Ignores the real-time signals that the C library reserves for its threads, and that it doesn't let a program handle. It installs
/// its own handlers when it needs them.
fn ignore_reserved_signals() {
    /// The first real-time signal of the kernel.
    const FIRST: i32 = 32;
    for signal in FIRST..libc::SIGRTMIN() {
        // The kernel's `sigaction` record, longer than on any architecture. The handler comes first.
        let action = [libc::SIG_IGN as u64, 0, 0, 0, 0, 0, 0, 0];
        let nothing = std::ptr::null_mut::<u64>();
        // SAFETY: the kernel reads from `action` alone, and sets a disposition that enters no code.
        let _refused = unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, action.as_ptr(), nothing, 8) };
    }
}

/// Whether this process ignores a signal.
pub(crate) fn is_ignored(signal: i32) -> bool {
    // SAFETY: a `sigaction` is plain data, for which all zero bytes are a value.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: a null pointer sets nothing, and `action` is valid for writes.
    let failed = unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut action) };
    failed == 0 && action.sa_sigaction == libc::SIG_IGN
}

/// Lets this thread, and threads that it starts later, receive `SIGCHLD`.
///
/// # Errors
/// Those of `sigprocmask(2)`; none is known to happen.
pub(crate) fn unblock_child_signal() -> io::Result<()> {
    mask_child_signal(libc::SIG_UNBLOCK)
}

fn mask_child_signal(how: i32) -> io::Result<()> {
    // SAFETY: a signal set is plain data, for which all zero bytes are the empty set.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` is valid for both calls, the signal is one, and a null pointer for the former mask is allowed.
    let failed = unsafe {
        libc::sigaddset(&raw mut set, libc::SIGCHLD);
        libc::pthread_sigmask(how, &raw const set, std::ptr::null_mut())
    };
    if failed == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(failed)) }
}

/// Makes the allocator return unused memory to the system. Call it before any thread exists.
///
/// By default the GNU C library gives each thread an arena that never shrinks, and keeps ever larger blocks once one of that size
/// has been freed. Reading a configuration takes a hundred times the memory that its result needs.
pub(crate) fn keep_little_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    for (setting, value) in [
        (libc::M_ARENA_MAX, 1),
        (libc::M_MMAP_THRESHOLD, 64 << 10),
        (libc::M_TRIM_THRESHOLD, 64 << 10),
        // Memory that each plan needs for a moment is kept.
        (libc::M_TOP_PAD, 256 << 10),
    ] {
        // SAFETY: the call takes two numbers. What it refuses stays as it was.
        let _refused = unsafe { libc::mallopt(setting, value) };
    }
}

/// Makes the kernel allocate a descriptor table for a thousand processes, as long as there is no other thread.
///
/// The table grows by doubling. With threads, each doubling waits for a grace period (`expand_fdtable` in the kernel's
/// `fs/file.c`): 8 to 16 ms in which every open blocks, six times on the way to three thousand.
pub(crate) fn grow_descriptor_table(limit: u64) {
    /// Three for each process, and some. The table takes 33 KiB of kernel memory, and never shrinks.
    const ROOM: u64 = 4096;
    let highest = i32::try_from(limit.min(ROOM)).unwrap_or(0) - 1;
    // Without a standard error this fails, and the table grows later.
    drop(rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stderr(), highest));
}

/// Makes the scheduler treat this thread as batch work (`SCHED_BATCH` of `sched(7)`): when woken, it does not preempt a running
/// thread. For work that is best done in larger pieces and that nothing waits for. Its share of the processor stays the same.
/// A thread with another policy than the default keeps it.
pub(crate) fn schedule_as_batch() {
    #[cfg(target_os = "linux")]
    // SAFETY: both calls are about the calling thread, and the second reads `none`, which is valid for it.
    unsafe {
        let none = libc::sched_param { sched_priority: 0 };
        if libc::sched_getscheduler(0) == libc::SCHED_OTHER {
            // If the kernel refuses, the policy stays as it was.
            let _as_before = libc::sched_setscheduler(0, libc::SCHED_BATCH, &raw const none);
        }
    }
}

/// Registers a descriptor with tokio, to wait until it is readable.
///
/// # Errors
/// The descriptor can't be polled, or a limit of the kernel is reached.
pub(crate) fn readable(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` names one and the same open descriptor for as long as it exists.
    unsafe { AsyncFd::register(descriptor) }.map_err(Into::into)
}

/// A set of descriptors that becomes readable when any of them does (`epoll(7)`).
///
/// # Errors
/// Out of descriptors, or of memory.
pub(crate) fn epoll_set() -> io::Result<Arc<AsyncFd<OwnedFd>>> {
    readable(epoll::create(epoll::CreateFlags::CLOEXEC)?).map(Arc::new)
}

/// Marks every open descriptor from this number on as close-on-exec.
///
/// # Errors
/// Those of `close_range(2)`; `ENOSYS` or `EINVAL` on kernels before 5.11.
pub(crate) fn close_on_exec_from(first: u32) -> io::Result<()> {
    // SAFETY: the call touches no memory and closes nothing; it sets a flag on descriptors.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Marks one descriptor as close-on-exec. A number that isn't open is not an error.
///
/// # Errors
/// Those of `fcntl(2)`.
pub(crate) fn close_on_exec(descriptor: i32) -> io::Result<()> {
    // SAFETY: sets a flag on a descriptor, and touches no memory.
    if unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) } != -1 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    if error.raw_os_error() == Some(libc::EBADF) { Ok(()) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn a_batch_thread_is_known_to_the_scheduler() {
        /// `SCHED_OTHER` and `SCHED_BATCH`, as the 41st field of `/proc/PID/stat` has them (`proc(5)`).
        const POLICIES: [&str; 2] = ["0", "3"];
        let policy = || {
            let stat = std::fs::read_to_string("/proc/thread-self/stat").expect("there is a `/proc`");
            let behind = stat.rsplit_once(')').expect("the name stands in parentheses").1;
            behind.split_ascii_whitespace().nth(41 - 3).map(ToOwned::to_owned)
        };
        let thread = std::thread::spawn(move || {
            let before = policy();
            schedule_as_batch();
            [before, policy()]
        });
        let policies = thread.join().expect("it ends");
        assert_eq!(policies.each_ref().map(|policy| policy.as_deref()), POLICIES.map(Some));
    }
}
