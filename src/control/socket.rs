//! The unix socket of an instance: its path, and how it is made and connected to.
//!
//! The path of a unix socket may have 107 bytes at most (`unix(7)`). Where it is longer, both ends use `/proc/self/fd` with a
//! descriptor of the directory.

use crate::access::{Directory, Trust};
use rustix::fs::{AtFlags, Mode, chmodat};
use rustix::net::sockopt::socket_peercred;
use rustix::net::{SocketAddrUnix, getsockname};
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// The name of the socket in its instance's directory.
const NAME: &str = "socket";

/// The longest path, in bytes, without the zero byte at its end.
const MAX_PATH: usize = 107;

/// Makes the socket of an instance with mode 0600. The caller holds the instance's lock, so an existing socket is stale.
///
/// Changing its mode is the last step: waiting clients watch for it.
///
/// # Errors
/// Those of `bind(2)` and of the file system.
pub(super) fn bind(directory: &Directory) -> io::Result<UnixListener> {
    directory.remove(NAME)?;
    let listener = UnixListener::bind(short_path(directory))?;
    // The directory has mode 0700 already. This protects the socket if that is changed later.
    chmodat(directory, NAME, Mode::RUSR | Mode::WUSR, AtFlags::empty())?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Whether a socket is that of an instance.
pub(super) fn is_of(listener: &OwnedFd, directory: &Directory) -> bool {
    let address = getsockname(listener).ok().and_then(|address| SocketAddrUnix::try_from(address).ok());
    let bound = address.as_ref().and_then(SocketAddrUnix::path_bytes).map(|path| Path::new(OsStr::from_bytes(path)));
    // A short path names the directory by a descriptor.
    bound.is_some_and(|path| path == directory.path().join(NAME) || (path.starts_with("/proc/self/fd") && path.ends_with(NAME)))
}

/// Removes the socket of an instance.
pub(super) fn remove(directory: &Directory) {
    // If it can't be removed, the next navigator replaces it.
    drop(directory.remove(NAME));
}

/// Connects to the socket of an instance, and checks that a trusted user listens there.
///
/// # Errors
/// Those of `connect(2)`. `Ok(Err(user))`: the listening user isn't trusted.
pub(super) fn connect(directory: &Directory, trust: Trust) -> io::Result<Result<UnixStream, u32>> {
    let stream = UnixStream::connect(short_path(directory))?;
    let user = socket_peercred(&stream)?.uid.as_raw();
    Ok(if trust.includes(user) { Ok(stream) } else { Err(user) })
}

/// A path of the socket that is short enough.
fn short_path(directory: &Directory) -> PathBuf {
    let path = directory.path().join(NAME);
    if path.as_os_str().len() <= MAX_PATH {
        return path;
    }
    Path::new("/proc/self/fd").join(directory.as_fd().as_raw_fd().to_string()).join(NAME)
}
