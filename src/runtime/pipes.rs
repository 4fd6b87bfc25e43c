//! Pipes that outlive navigator: a program that writes to one without a reader waits for the next reader.

use super::proc;
use rustix::fd::OwnedFd;
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};

/// A pipe from a program to us: our end, which is non-blocking, and the program's, which is not, as programs expect.
///
/// The program's end is open for reading, too. So the pipe always has a reader, and if navigator is killed, a write blocks once the
/// pipe is full, instead of ending the program by `SIGPIPE`. The pipe still ends for us when the last process closes it.
///
/// # Errors
/// Out of descriptors.
pub(super) fn lasting() -> Result<(OwnedFd, OwnedFd), Errno> {
    let (ours, write_only) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    if let Ok(theirs) = proc::reopen(&ours, OFlags::RDWR | OFlags::CLOEXEC) {
        return Ok((ours, theirs));
    }
    // There may be no `/proc`. Then the program ends with navigator.
    fcntl_setfl(&write_only, OFlags::empty())?;
    Ok((ours, write_only))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::fcntl_getfl;
    use rustix::io::{FdFlags, fcntl_getfd, read, write};

    #[test]
    fn a_write_succeeds_without_a_reader_and_the_end_is_noticed() {
        let (ours, theirs) = lasting().expect("descriptors");
        for end in [&ours, &theirs] {
            assert_eq!(fcntl_getfd(end), Ok(FdFlags::CLOEXEC));
        }
        assert!(fcntl_getfl(&ours).is_ok_and(|flags| flags.contains(OFlags::NONBLOCK)));
        assert!(fcntl_getfl(&theirs).is_ok_and(|flags| !flags.contains(OFlags::NONBLOCK)));
        let mut chunk = [0; 8];
        assert_eq!(read(&ours, &mut chunk), Err(Errno::AGAIN));
        assert_eq!(write(&theirs, b"one"), Ok(3));
        let next = proc::reopen(&ours, OFlags::RDONLY | OFlags::CLOEXEC).expect("it is ours");
        drop(ours);
        assert_eq!(write(&theirs, b"two"), Ok(3));
        drop(theirs);
        assert_eq!(read(&next, &mut chunk).map(|count| chunk[..count].to_vec()), Ok(b"onetwo".to_vec()));
        assert_eq!(read(&next, &mut chunk), Ok(0));
        let (ours, theirs) = lasting().expect("descriptors");
        drop(ours);
        assert_eq!(write(&theirs, b"one"), Ok(3), "without any reader of ours");
    }
}
