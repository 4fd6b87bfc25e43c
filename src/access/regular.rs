//! Opens regular files and nothing else: a device may act when it is opened, and a FIFO waits.

use rustix::fd::{AsRawFd as _, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags, Stat, fstat};
use std::io;
use std::path::Path;

/// Opens the regular file at a path to read it, over links. It is looked at before it is opened, by a descriptor that opens
/// nothing yet (`O_PATH`), so that it can't be exchanged in between.
///
/// # Errors
/// `InvalidInput` for what is no regular file, else those of `open(2)`; without `/proc`, `NotFound`.
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
