//! Executes another program in this process, and finds its way around the descriptors that such a program inherits.

use rustix::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ffi::{CString, OsString};
use std::io;
use std::os::unix::ffi::OsStringExt;

/// Blocks every signal for this thread; an execution keeps them blocked and pending. Returns those that were blocked before.
pub(crate) fn block_signals() -> libc::sigset_t {
    // SAFETY: signal sets are plain data, for which all zero bytes are the empty set, and both are valid for the calls, which
    // can't fail with these arguments.
    unsafe {
        let (mut all, mut before): (libc::sigset_t, libc::sigset_t) = (std::mem::zeroed(), std::mem::zeroed());
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
        before
    }
}

/// Blocks exactly these signals for this thread.
pub(crate) fn restore_signals(blocked: &libc::sigset_t) {
    // SAFETY: the set is valid for the call, which can't fail with these arguments.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, blocked, std::ptr::null_mut()) };
}

/// Executes the program of a descriptor in this process (`execveat(2)`), with these arguments and variables. Returns only if that
/// fails.
pub(crate) fn execute(program: BorrowedFd<'_>, arguments: Vec<OsString>, variables: Vec<OsString>) -> io::Error {
    let strings = |list: Vec<OsString>| -> Result<Vec<CString>, _> {
        list.into_iter().map(|one| CString::new(one.into_vec())).collect::<Result<_, _>>()
    };
    let (arguments, variables) = match (strings(arguments), strings(variables)) {
        (Ok(arguments), Ok(variables)) => (arguments, variables),
        (Err(error), _) | (_, Err(error)) => return error.into(),
    };
    let pointers = |strings: &[CString]| -> Vec<*const libc::c_char> {
        strings.iter().map(|one| one.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (arguments_read, variables_read) = (pointers(&arguments), pointers(&variables));
    // SAFETY: the descriptor is borrowed, hence open; the path is empty as the flag asks for; both lists end with a null pointer,
    // and their strings live until after the call.
    unsafe {
        let (descriptor, path) = (program.as_raw_fd(), c"".as_ptr());
        let (arguments, variables) = (arguments_read.as_ptr(), variables_read.as_ptr());
        libc::syscall(libc::SYS_execveat, descriptor, path, arguments, variables, libc::AT_EMPTY_PATH);
    }
    io::Error::last_os_error()
}

/// Takes a variable out of the environment of this process. Call it before any thread exists.
pub(crate) fn take_variable(name: &str) -> Option<OsString> {
    let value = std::env::var_os(name)?;
    // SAFETY: there is no other thread that could read the environment meanwhile.
    unsafe { std::env::remove_var(name) };
    Some(value)
}

/// Takes ownership of a descriptor that this program was executed with, and that nothing else here owns.
pub(crate) fn own(inherited: i32) -> Option<OwnedFd> {
    // SAFETY: the call touches no memory.
    let is_open = unsafe { libc::fcntl(inherited, libc::F_GETFD) } != -1;
    // SAFETY: it is open, and by the contract of this function no other value owns it.
    is_open.then(|| unsafe { OwnedFd::from_raw_fd(inherited) })
}

/// Refers to a descriptor by its number, for a question to the kernel. The answer is about another one or an error if the descriptor
/// is closed meanwhile.
pub(crate) fn descriptor(number: i32) -> Option<BorrowedFd<'static>> {
    // SAFETY: the number is not -1. No memory depends on what it refers to.
    (number >= 0).then(|| unsafe { BorrowedFd::borrow_raw(number) })
}

/// Has a descriptor stay open when another program is executed. The opposite is [`super::close_on_exec`].
///
/// # Errors
/// It isn't open.
pub(crate) fn keep_on_exec(number: i32) -> io::Result<()> {
    // SAFETY: clears a flag of a descriptor, and touches no memory.
    if unsafe { libc::fcntl(number, libc::F_SETFD, 0) } == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
