//! The socket of a keeper, in the directory of its instance.

use super::protocol::PROTOCOL;
use crate::access::Directory;
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::fs::{AtFlags, Mode, chmodat};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with};
use std::io;
use std::path::{Path, PathBuf};

/// More connections never wait at once: one for each thread, and a few more.
const BACKLOG: i32 = 32;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    /// No process listens there.
    #[error("no keeper runs")]
    Gone,
    /// Another navigator uses it.
    #[error("it serves another navigator")]
    Taken,
    /// It is of a later version.
    #[error("it speaks version {0} of the keeper's protocol, and this navigator version {PROTOCOL}")]
    Version(u32),
    /// Anything else.
    #[error(transparent)]
    System(#[from] io::Error),
}

/// A socket that listens for navigator alone.
pub(super) fn listener(directory: &Directory, name: &str) -> io::Result<OwnedFd> {
    let listener = stream()?;
    bind(&listener, &address(directory, name)?)?;
    // The directory has mode 0700 already.
    chmodat(directory, name, Mode::RUSR | Mode::WUSR, AtFlags::empty())?;
    listen(&listener, BACKLOG)?;
    Ok(listener)
}

/// Connects to the keeper of this name.
///
/// # Errors
/// [`LinkError::Gone`]: none runs.
pub(super) fn connect(directory: &Directory, name: &str) -> Result<OwnedFd, LinkError> {
    let link = stream()?;
    match rustix::net::connect(&link, &address(directory, name)?) {
        Ok(()) => Ok(link),
        Err(Errno::CONNREFUSED | Errno::NOENT) => Err(LinkError::Gone),
        Err(error) => Err(io::Error::from(error).into()),
    }
}

fn stream() -> io::Result<OwnedFd> {
    Ok(socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?)
}

/// By a descriptor of the directory: the path may be too long for an address.
fn address(directory: &Directory, name: &str) -> io::Result<SocketAddrUnix> {
    let path: PathBuf = Path::new("/proc/self/fd").join(directory.as_fd().as_raw_fd().to_string()).join(name);
    Ok(SocketAddrUnix::new(path)?)
}
