//! Starts a program in a child that shares navigator's memory until its exec, as `posix_spawn` does, with the steps that
//! `posix_spawn` lacks. An error names the step that failed.
//!
//! `clone(CLONE_VM | CLONE_VFORK)` copies no page tables, so its cost doesn't grow with navigator's memory. But between clone and
//! exec the child runs in *navigator's* memory while navigator's other threads go on. Therefore:
//!
//! - it has a stack of its own, and calls nothing but raw system calls: no allocation, no lock, no library function
//!   that touches the state of other threads (`setuid` of the C library signals every thread, for instance);
//! - every signal is blocked around the clone, and the child unblocks them only after every disposition is the
//!   default: no handler of navigator can run in it (where the kernel resets the handlers, the child resets only
//!   ignored signals, instead of all 62);
//! - it starts with navigator's table of descriptors and does not change it: its first step is to get a table of its own;
//! - what it reads was prepared before, and what it writes is one small record that navigator reads after the exec.
//!
//! The memory is undumpable from the moment at which the child changes its user, so that no process of that user can attach to the
//! child, and with it to us, before the exec. The kernel does that itself unless `fs.suid_dumpable` says otherwise; the child does it
//! explicitly. The memory is ours too, so navigator writes no core file from then on, and its files in `/proc` belong to root. Root
//! may read them all the same, and a navigator that is not root never changes the user. It is never undone here.

use super::clone3;
use super::raw::{address, call, number};
use super::slot::Slot;
use rustix::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use serde::{Deserialize, Serialize};
use std::borrow::{Borrow, Cow};
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::io;
use std::ops::RangeInclusive;
use std::ptr;
use std::sync::{Arc, OnceLock};

/// Everything that the child does before its exec, prepared.
pub(crate) struct Child<'a> {
    /// The files to try, in order, as `execvp(3)` tries the directories of `PATH`.
    pub(crate) programs: &'a [CString],
    /// The program's arguments, its name first.
    pub(crate) arguments: &'a [CString],
    /// Its environment, as `NAME=value`.
    pub(crate) environment: &'a [Cow<'a, CStr>],
    /// The variables that hold the child's own pid.
    pub(crate) pid_variables: &'a [&'a str],
    /// Descriptors 0, 1 and 2 of the program. None of them may be 0, 1 or 2 itself. The lower their numbers, the better: what
    /// is above them isn't copied for the child.
    pub(crate) stdio: [BorrowedFd<'a>; 3],
    /// What to write to `oom_score_adj`.
    pub(crate) oom_score_adj: Option<&'a [u8]>,
    /// Resource limits.
    pub(crate) limits: &'a [SetLimit],
    /// File mode creation mask.
    pub(crate) umask: u32,
    /// Scheduling priority.
    pub(crate) nice: Option<i32>,
    /// Supplementary groups to have.
    pub(crate) groups: Option<&'a [u32]>,
    /// Group to become.
    pub(crate) group: Option<u32>,
    /// User to become.
    pub(crate) user: Option<u32>,
    /// Directory to enter, as the user that it has become.
    pub(crate) directory: Option<&'a CStr>,
    /// Whether no exec gives it or its descendants more privileges than it has.
    pub(crate) no_new_privs: bool,
    /// Further descriptors of the program, and their numbers there, above 2. None of these is the present number of another
    /// descriptor in this list.
    pub(crate) passed: &'a [(BorrowedFd<'a>, u32)],
    /// The directory of the control group to be in.
    pub(crate) in_group: Option<BorrowedFd<'a>>,
    /// The starts that must be over before the program is executed.
    pub(crate) after: &'a [Arc<Slot>],
}

/// A child that has executed its program.
#[derive(Debug)]
pub(crate) struct StartedChild {
    /// Its pid.
    pub(crate) pid: u32,
    /// Its pidfd, where the clone returned one.
    pub(crate) pidfd: Option<OwnedFd>,
    /// Error number, if it could not enter its control group. It runs all the same.
    pub(crate) group_error: Option<i32>,
}

/// A resource limit: its number, its soft and its hard value.
pub(crate) type SetLimit = (u32, u64, u64);

/// A step of the child.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Stage {
    /// Getting a table of descriptors of its own.
    Descriptors,
    /// Making a session and process group of its own.
    Session,
    /// Setting every signal to its default.
    Signals,
    /// Putting descriptors 0, 1 and 2 in place.
    Stdio,
    /// Writing `oom_score_adj`.
    OomScoreAdj,
    /// Setting the limit of this place in [`Child::limits`].
    Limit(usize),
    /// Setting the scheduling priority.
    Nice,
    /// Setting the supplementary groups.
    Groups,
    /// Setting the group.
    Group,
    /// Setting the user.
    User,
    /// Keeping the user's processes from attaching to it.
    Undumpable,
    /// Entering the directory.
    Directory,
    /// Giving up privileges that an exec could bring.
    NoNewPrivs,
    /// Putting the further descriptor of this number in place.
    Passing(u32),
    /// Waiting until another start is over.
    Turn,
    /// Emptying the signal mask.
    Mask,
    /// The start was cancelled before its program was executed.
    Cancelled,
    /// Executing the program.
    Execute,
}

/// Why there is no program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CloneFailure {
    /// The clone failed: there is no child.
    Clone(i32),
    /// The child failed at this stage with this error number. It has ended, and has to be reaped.
    Child(Stage, i32),
}

/// The stack of a child until its exec. The exclusive borrow in [`start`] allows one child at a time.
pub(crate) struct Stack {
    start: *mut c_void,
}

// SAFETY: the memory belongs to the value alone, and any thread may use it or give it back.
unsafe impl Send for Stack {}

impl Stack {
    /// Room enough for a dozen calls without recursion.
    const SIZE: usize = 64 * 1024;
    /// Larger than any page in use, so that an overflow causes a fault instead of overwriting other memory.
    const GUARD: usize = 64 * 1024;

    /// # Errors
    /// Those of `mmap(2)`: no memory.
    pub(crate) fn new() -> io::Result<Stack> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK;
        // SAFETY: a fresh anonymous mapping overlaps no other memory.
        let start = unsafe { libc::mmap(ptr::null_mut(), Self::GUARD + Self::SIZE, libc::PROT_NONE, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let stack = Stack { start };
        // SAFETY: the range is the upper part of the mapping made above.
        let result = unsafe { libc::mprotect(start.byte_add(Self::GUARD), Self::SIZE, libc::PROT_READ | libc::PROT_WRITE) };
        if result == -1 { Err(io::Error::last_os_error()) } else { Ok(stack) }
    }

    /// Its lowest byte.
    fn bottom(&self) -> *mut c_void {
        // SAFETY: within the mapping.
        unsafe { self.start.byte_add(Self::GUARD) }
    }

    /// The end from which it grows down.
    fn top(&self) -> *mut c_void {
        // SAFETY: one past the end of the mapping, which is a multiple of every alignment.
        unsafe { self.start.byte_add(Self::GUARD + Self::SIZE) }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and no child runs on it, because `start` returns only after its exec or end.
        unsafe { libc::munmap(self.start, Self::GUARD + Self::SIZE) };
    }
}

/// What the child sees: prepared pointers, and the record that it leaves when it fails.
struct ChildShared<'a> {
    child: &'a Child<'a>,
    programs: Vec<*const c_char>,
    arguments: Vec<*const c_char>,
    environment: Vec<*const c_char>,
    /// Where in the environment the child writes its own pid: each has room for [`DIGITS`] and the NUL behind them.
    own_digits: Vec<*mut u8>,
    failure: Option<(Stage, i32)>,
    slot: &'a Slot,
    /// Our own pid.
    parent: u32,
    /// The signals that may not be at their default.
    to_reset: &'static [usize],
    /// The control group that the child has yet to enter.
    to_enter: Option<BorrowedFd<'a>>,
    group_error: Option<i32>,
}

/// The number of digits of the largest possible pid.
const DIGITS: usize = 10;

/// Starts a program and returns its pid once its exec has succeeded. Blocks the calling thread until then. The
/// program may have ended, and may have been reaped, by the time this returns.
///
/// `slot` holds the child's pid from before its first instruction, so that the reaper recognizes a child that exits at once.
/// The child is not reaped here, even if it failed.
///
/// # Errors
/// What failed; see [`CloneFailure`].
pub(crate) fn start(child: &Child<'_>, stack: &mut Stack, slot: &Slot) -> Result<StartedChild, CloneFailure> {
    debug_assert!(child.stdio.iter().all(|descriptor| descriptor.as_raw_fd() > 2), "a source would be overwritten");
    debug_assert!(child.passed.iter().all(|&one| !would_be_overwritten(one, child.passed)), "a source would be overwritten");
    let own_variable = |name: &&str| [name.as_bytes(), b"=", &[0; DIGITS + 1]].concat();
    let mut own_texts: Vec<Vec<u8>> = child.pid_variables.iter().map(own_variable).collect();
    let own: Vec<*mut u8> = own_texts.iter_mut().map(Vec::as_mut_ptr).collect();
    let mut shared = ChildShared {
        child,
        programs: child.programs.iter().map(|text| text.as_ptr()).collect(),
        arguments: pointers(child.arguments, &[]),
        environment: pointers(child.environment, &own),
        own_digits: own.iter().zip(child.pid_variables).map(|(text, name)| text.wrapping_add(name.len() + 1)).collect(),
        failure: None,
        slot,
        parent: std::process::id(),
        to_reset: ignored(),
        to_enter: None,
        group_error: None,
    };
    let usual = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PARENT_SETTID | libc::SIGCHLD;
    // The child copies of our descriptors what it needs, instead of all of them, of which there may be thousands.
    let flags = usual | libc::CLONE_FILES;
    slot.begin();
    let mut former_mask = 0_u64;
    // SAFETY: both masks are eight bytes long, as said, and valid for the call.
    unsafe {
        let former_mask = address((&raw mut former_mask).cast_const());
        call(libc::SYS_rt_sigprocmask, [SET_MASK, address(&raw const ALL), former_mask, 8, 0]).map_err(CloneFailure::Clone)?;
    }
    // SAFETY: `run` gets a pointer to `shared`, which outlives it because this thread is held until the child has released
    // our memory. The stack is the child's alone by the exclusive borrow. `slot` is valid for writes.
    let born =
        |group| unsafe { clone3::into_group(group, flags, stack.bottom(), Stack::SIZE, run, (&raw mut shared).cast(), slot) };
    let (result, error, pidfd) = if let Some((pid, pidfd)) = child.in_group.and_then(born) {
        (pid, 0, Some(pidfd))
    } else {
        shared.to_enter = child.in_group;
        shared.to_reset = changeable();
        // What it opens to enter must not be left in our table, should it be killed right then.
        let flags = if child.in_group.is_some() { usual } else { flags };
        // SAFETY: as above.
        let result = unsafe {
            let (flags, argument, no_tls) =
                (flags | libc::CLONE_CHILD_CLEARTID, (&raw mut shared).cast(), ptr::null_mut::<c_void>());
            libc::clone(run, stack.top(), flags, argument, slot.pid_address(), no_tls, slot.end_address())
        };
        (result, io::Error::last_os_error().raw_os_error().unwrap_or(0), None)
    };
    // SAFETY: as above; a null pointer for the former mask is allowed.
    let unblocked = unsafe { call(libc::SYS_rt_sigprocmask, [SET_MASK, address(&raw const former_mask), 0, 8, 0]) };
    debug_assert!(unblocked.is_ok(), "restoring a mask that was read can't fail");
    match (u32::try_from(result), record(&shared.failure)) {
        (Err(_), _) => Err(CloneFailure::Clone(error)),
        (Ok(_), Some((stage, error))) => Err(CloneFailure::Child(stage, error)),
        (Ok(pid), None) => Ok(StartedChild { pid, pidfd, group_error: record(&shared.group_error) }),
    }
}

/// A record in [`ChildShared`], read from memory that another process wrote to.
fn record<T: Copy>(of_shared: &T) -> T {
    // SAFETY: a valid, aligned reference. The child wrote to it as a value of this type before it let us go on.
    unsafe { ptr::read_volatile(of_shared) }
}

/// Whether placing the descriptors of this list would replace this one of them before it is copied.
pub(crate) fn would_be_overwritten((source, target): (BorrowedFd<'_>, u32), passed: &[(BorrowedFd<'_>, u32)]) -> bool {
    let source = source.as_raw_fd().cast_unsigned();
    source != target && passed.iter().any(|(_, other)| source == *other)
}

/// Pointers to strings, to further ones, and the null pointer that ends the list.
fn pointers<T: Borrow<CStr>>(texts: &[T], further: &[*mut u8]) -> Vec<*const c_char> {
    let further = further.iter().map(|text| text.cast_const().cast());
    texts.iter().map(|text| text.borrow().as_ptr()).chain(further).chain([ptr::null()]).collect()
}

/// Every signal, as the kernel's mask of 64 bits.
static ALL: u64 = u64::MAX;
/// No signal.
static NONE: u64 = 0;
/// The kernel's `sigaction` record, at least as long as on any architecture, meaning: default, no flags, empty mask.
static DEFAULT_ACTION: [u64; 8] = [0; 8];
/// The numbers that the kernel has for signals.
const SIGNALS: RangeInclusive<usize> = 1..=64;
/// `SIG_SETMASK` as an argument of [`call`].
const SET_MASK: usize = libc::SIG_SETMASK as usize;

/// The child. It never returns: it becomes the program, or ends.
extern "C" fn run(shared: *mut c_void) -> c_int {
    let shared: *mut ChildShared<'_> = shared.cast();
    // SAFETY: the pointer that `start` passed; its owner is held, so this is the only reference in use.
    let group_error = unsafe { (*shared).to_enter }.and_then(|group| write_file(group.as_raw_fd(), c"cgroup.procs", b"0").err());
    // SAFETY: as above; nothing refers to the record.
    unsafe { ptr::write_volatile(&raw mut (*shared).group_error, group_error) };
    // SAFETY: as above.
    let failure = become_program(unsafe { &*shared });
    // SAFETY: as above; the reference of the line before is no longer used.
    unsafe { ptr::write_volatile(&raw mut (*shared).failure, Some(failure)) };
    loop {
        // SAFETY: ends this process, and nothing of ours: the memory is shared, the thread group is not.
        let _never = unsafe { call(libc::SYS_exit_group, [127, 0, 0, 0, 0]) };
    }
}

/// Goes through the stages; returns only with the one that failed.
fn become_program(shared: &ChildShared<'_>) -> (Stage, i32) {
    for &digits in &shared.own_digits {
        // SAFETY: `start` made room for as many, and waits.
        unsafe { write_own_number(digits) };
    }
    match prepare(shared) {
        Err(failure) => failure,
        Ok(()) if shared.slot.is_cancelled() => (Stage::Cancelled, libc::ECANCELED),
        Ok(()) => (Stage::Execute, execute(shared)),
    }
}

/// Every stage before the last. Limits come after the only stage that opens a file, the user after every stage that may need
/// privileges, and the directory after the user, because that user must be able to enter it.
fn prepare(shared: &ChildShared<'_>) -> Result<(), (Stage, i32)> {
    let child = shared.child;
    // SAFETY (of every call below): numbers by value, or pointers to memory that outlives the call.
    unsafe {
        own_descriptors(child).map_err(at(Stage::Descriptors))?;
        call(libc::SYS_setsid, [0; 5]).map_err(at(Stage::Session))?;
        for signal in shared.to_reset {
            let arguments = [*signal, address(&raw const DEFAULT_ACTION), 0, 8, 0];
            call(libc::SYS_rt_sigaction, arguments).map_err(at(Stage::Signals))?;
        }
        for (target, source) in child.stdio.iter().enumerate() {
            call(libc::SYS_dup3, [number(source.as_raw_fd()), target, 0, 0, 0]).map_err(at(Stage::Stdio))?;
        }
        if let Some(value) = child.oom_score_adj {
            write_file(libc::AT_FDCWD, c"/proc/self/oom_score_adj", value).map_err(at(Stage::OomScoreAdj))?;
        }
        for (place, &(resource, soft, hard)) in child.limits.iter().enumerate() {
            let limit = [soft, hard];
            let arguments = [0, resource as usize, address(&raw const limit), 0, 0];
            call(libc::SYS_prlimit64, arguments).map_err(at(Stage::Limit(place)))?;
        }
        // It returns the former mask and can't fail.
        let _former = call(libc::SYS_umask, [child.umask as usize, 0, 0, 0, 0]);
        if let Some(nice) = child.nice {
            let arguments = [libc::PRIO_PROCESS as usize, 0, number(nice), 0, 0];
            call(libc::SYS_setpriority, arguments).map_err(at(Stage::Nice))?;
        }
        if let Some(groups) = child.groups {
            let arguments = [groups.len(), address(groups.as_ptr()), 0, 0, 0];
            call(libc::SYS_setgroups, arguments).map_err(at(Stage::Groups))?;
        }
        if let Some(group) = child.group {
            let group = group as usize;
            call(libc::SYS_setresgid, [group, group, group, 0, 0]).map_err(at(Stage::Group))?;
        }
        if let Some(user) = child.user {
            let user = user as usize;
            call(libc::SYS_setresuid, [user, user, user, 0, 0]).map_err(at(Stage::User))?;
            // At once: with `fs.suid_dumpable` at 1, the previous call has made the memory dumpable.
            call(libc::SYS_prctl, [libc::PR_SET_DUMPABLE as usize, 0, 0, 0, 0]).map_err(at(Stage::Undumpable))?;
        }
        if let Some(directory) = child.directory {
            call(libc::SYS_chdir, [address(directory.as_ptr()), 0, 0, 0, 0]).map_err(at(Stage::Directory))?;
        }
        // It belongs to this task alone, although the memory is shared.
        if child.no_new_privs {
            call(libc::SYS_prctl, [libc::PR_SET_NO_NEW_PRIVS as usize, 1, 0, 0, 0]).map_err(at(Stage::NoNewPrivs))?;
        }
        // Every descriptor of ours is born with this flag, and those of our launcher got it at the start; so where the
        // kernel doesn't know the call (before 5.11), nothing is lost.
        let _unknown = call(libc::SYS_close_range, [3, u32::MAX as usize, libc::CLOSE_RANGE_CLOEXEC as usize, 0, 0]);
        for &(descriptor, place) in child.passed {
            let (source, target) = (number(descriptor.as_raw_fd()), place as usize);
            // Without a flag it stays open; and a copy onto itself would be an error.
            let placed = if source == target {
                call(libc::SYS_fcntl, [source, libc::F_SETFD as usize, 0, 0, 0])
            } else {
                call(libc::SYS_dup3, [source, target, 0, 0, 0])
            };
            placed.map_err(at(Stage::Passing(place)))?;
        }
        for before in child.after {
            before.wait(shared.parent).map_err(at(Stage::Turn))?;
        }
        call(libc::SYS_rt_sigprocmask, [SET_MASK, address(&raw const NONE), 0, 8, 0]).map_err(at(Stage::Mask))?;
    }
    Ok(())
}

/// The signals that navigator ignores, which a program would inherit. They are fixed at navigator's start.
fn ignored() -> &'static [usize] {
    static IGNORED: OnceLock<Vec<usize>> = OnceLock::new();
    let is_ignored = |signal: &usize| {
        let mut action = DEFAULT_ACTION;
        // SAFETY: a null pointer sets nothing, and there is room for what is.
        let asked = unsafe { call(libc::SYS_rt_sigaction, [*signal, 0, (&raw mut action).expose_provenance(), 8, 0]) };
        // The handler comes first in the record.
        asked.is_err() || action[0] == libc::SIG_IGN as u64
    };
    IGNORED.get_or_init(|| changeable().iter().copied().filter(is_ignored).collect())
}

/// The signals that can be anything but their default.
fn changeable() -> &'static [usize] {
    static CHANGEABLE: OnceLock<Vec<usize>> = OnceLock::new();
    let is_changeable = |signal: &usize| *signal != libc::SIGKILL as usize && *signal != libc::SIGSTOP as usize;
    CHANGEABLE.get_or_init(|| SIGNALS.filter(is_changeable).collect())
}

/// Gives the child a table of descriptors of its own, without those above the ones that it needs.
fn own_descriptors(child: &Child<'_>) -> Result<(), i32> {
    let needed = child.stdio.iter().chain(child.passed.iter().map(|(descriptor, _)| descriptor));
    let above = needed.map(|descriptor| descriptor.as_raw_fd() + 1).fold(3, i32::max);
    // SAFETY: both calls take numbers by value. They change nothing about the table that was shared.
    unsafe {
        let unshare = libc::CLOSE_RANGE_UNSHARE as usize;
        if call(libc::SYS_close_range, [number(above), u32::MAX as usize, unshare, 0, 0]).is_err() {
            // Before Linux 5.9; then all of it is copied, and what isn't needed is closed by the exec.
            call(libc::SYS_unshare, [number(libc::CLONE_FILES), 0, 0, 0, 0])?;
        }
    }
    Ok(())
}

/// Executes the first program that can be, by the rules of `execvp(3)`; returns only with the error that counts.
fn execute(shared: &ChildShared<'_>) -> i32 {
    let mut counts = libc::ENOENT;
    for &program in &shared.programs {
        let arguments = [address(program), address(shared.arguments.as_ptr()), address(shared.environment.as_ptr()), 0, 0];
        // SAFETY: three pointers to strings and lists that end as the call demands, and that outlive it.
        match unsafe { call(libc::SYS_execve, arguments) } {
            // A file without execute permission is reported only if no later directory has an executable one.
            Err(libc::EACCES) => counts = libc::EACCES,
            Err(libc::ENOENT | libc::ENOTDIR) if shared.programs.len() > 1 => {}
            Err(error) => return error,
            Ok(_) => {}
        }
    }
    counts
}

/// Writes this process's pid in decimal.
///
/// # Safety
/// There must be room for [`DIGITS`] bytes, which nothing else reads or writes meanwhile.
unsafe fn write_own_number(place: *mut u8) {
    // SAFETY: the call takes nothing, and can't fail.
    let mut rest = unsafe { call(libc::SYS_getpid, [0; 5]) }.unwrap_or(0);
    let mut digits = [0; DIGITS];
    let mut count = 0;
    while count < DIGITS && (rest > 0 || count == 0) {
        digits[count] = b"0123456789"[rest % 10];
        rest /= 10;
        count += 1;
    }
    for at in 0..count {
        // SAFETY: within the room that the caller promised.
        unsafe { ptr::write_volatile(place.add(at), digits[count - 1 - at]) };
    }
}

/// Writes a small file in one go. Its path is relative to the directory.
fn write_file(directory: RawFd, path: &CStr, content: &[u8]) -> Result<(), i32> {
    let flags = (libc::O_WRONLY | libc::O_CLOEXEC) as usize;
    // SAFETY: a string that ends with NUL, and a slice with its length.
    unsafe {
        let file = call(libc::SYS_openat, [number(directory), address(path.as_ptr()), flags, 0, 0])?;
        let written = call(libc::SYS_write, [file, address(content.as_ptr()), content.len(), 0, 0]);
        call(libc::SYS_close, [file, 0, 0, 0, 0])?;
        written.map(|_| ())
    }
}

fn at(stage: Stage) -> impl Fn(i32) -> (Stage, i32) {
    move |error| (stage, error)
}
