//! Opens regular files only: opening a device may act, and opening a FIFO blocks.

use rustix::fd::{AsRawFd as _, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags, Stat, fstat};
use std::io;
use std::path::Path;

/// Opens a regular file for reading; follows links. It is checked through an `O_PATH` descriptor, so it can't be exchanged
/// between check and open.
///
/// # Errors
/// `InvalidInput` if it is not a regular file, or an error of `open(2)`; without `/proc`, `NotFound`.
pub(crate) fn open_regular(path: &Path) -> io::Result<(OwnedFd, Stat)> {
    let seen = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let stat = fstat(&seen)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::open(format!("/proc/self/fd/{}", seen.as_raw_fd()), flags, Mode::empty())?;
    Ok((file, stat))
}
