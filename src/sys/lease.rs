//! Finds out whether a file has a writer: takes a lease on it and gives it back at once. The kernel grants a read lease only
//! while no process has the file open for writing.

use rustix::fd::{AsRawFd, BorrowedFd};
use std::io;

/// Chooses the signal that the kernel sends when another process opens a leased file (`fcntl(2)`). The number is from the kernel's
/// `asm-generic/fcntl.h`; no architecture that Rust compiles for has another one.
const F_SETSIG: i32 = 10;

/// Whether a read lease on this file is available. The descriptor must be open for reading only.
///
/// A process that opens the file for writing meanwhile waits a few microseconds until the lease is given back, or gets `EAGAIN` if
/// it opens with `O_NONBLOCK`, which is rare for files.
///
/// # Errors
/// Those of `F_SETLEASE` in `fcntl(2)`: `EACCES` where the file is another user's, `EINVAL` where its file system has no
/// leases. A refusal because of a writer (`EAGAIN`) is an answer.
pub(crate) fn is_available(file: BorrowedFd<'_>) -> io::Result<bool> {
    match take(file) {
        Ok(()) => command(file, libc::F_SETLEASE, libc::F_UNLCK).map(|()| true),
        Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Takes a lease. If another process opens the file meanwhile, the kernel signals the holder: by default with SIGIO, which kills.
/// SIGURG is ignored by default. Giving the lease back resets the choice.
fn take(file: BorrowedFd<'_>) -> io::Result<()> {
    command(file, F_SETSIG, libc::SIGURG)?;
    command(file, libc::F_SETLEASE, libc::F_RDLCK)
}

fn command(file: BorrowedFd<'_>, command: i32, argument: i32) -> io::Result<()> {
    // SAFETY: the descriptor is borrowed, hence open; all commands used here take a number and touch no memory.
    if unsafe { libc::fcntl(file.as_raw_fd(), command, argument) } == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fd::AsFd as _;
    use rustix::fs::{Mode, OFlags};
    use std::fs::{self, File};

    /// A file that is removed at the end.
    struct Scratch(std::path::PathBuf);

    impl Scratch {
        fn new(name: &str) -> Scratch {
            let path = std::env::temp_dir().join(format!("navigator-lease-{name}-{}", std::process::id()));
            fs::write(&path, "text").expect("the system's place for such files can be written");
            Scratch(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            drop(fs::remove_file(&self.0));
        }
    }

    #[test]
    fn a_lease_is_available_exactly_while_there_is_no_writer() {
        let scratch = Scratch::new("writers");
        let file = File::open(&scratch.0).expect("it was just written");
        let is_free = || is_available(file.as_fd()).expect("the file is ours, and has leases");
        assert!(is_free() && is_free(), "it is given back each time");
        let reader = File::open(&scratch.0).expect("it is there");
        assert!(is_free(), "another reader doesn't matter");
        let writer = fs::OpenOptions::new().append(true).open(&scratch.0).expect("it is ours");
        assert!(!is_free());
        drop(writer);
        assert!(is_free());
        drop(reader);
    }

    #[test]
    fn opening_a_leased_file_does_not_kill_the_holder() {
        let scratch = Scratch::new("signal");
        let file = File::open(&scratch.0).expect("it was just written");
        assert!(is_available(file.as_fd()).expect("the file is ours, and has leases"));
        take(file.as_fd()).expect("it has no writer");
        // Without NONBLOCK it would wait for the lease to be given back; the signal is sent either way.
        let refused = rustix::fs::open(&scratch.0, OFlags::WRONLY | OFlags::NONBLOCK, Mode::empty());
        assert_eq!(refused.err(), Some(rustix::io::Errno::AGAIN));
    }
}
