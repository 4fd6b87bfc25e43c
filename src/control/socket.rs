//! The socket of an instance: where it is, and how it is made and reached.
//!
//! The name of a unix socket may have 107 bytes and no more (`unix(7)`), and a state directory may lie deeper; so both ends
//! go through a descriptor of the directory where the name would be too long.

use crate::access::{Directory, Trust};
use rustix::fs::{AtFlags, Mode, chmodat};
use rustix::net::sockopt::socket_peercred;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// The name of the socket in its instance's directory.
const NAME: &str = "socket";

/// As long as a name may be, with the zero byte at its end.
const LONGEST: usize = 107;

/// Makes the socket of an instance, for its owner alone. Whoever calls it holds the instance's lock, so a socket that is
/// there already is a dead one.
/// Its mode is changed when it takes connections, which tells those who look out for it.
///
/// # Errors
/// Those of `bind(2)` and of the file system.
pub(super) fn bind(directory: &Directory) -> io::Result<UnixListener> {
    directory.remove(NAME)?;
    let listener = UnixListener::bind(way_to(directory))?;
    // The directory is its owner's alone already; this is for a directory that is opened to others later.
    chmodat(directory, NAME, Mode::RUSR | Mode::WUSR, AtFlags::empty())?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Removes the socket of an instance.
pub(super) fn remove(directory: &Directory) {
    // What can't be removed is dead all the same, and is taken over by the next one.
    drop(directory.remove(NAME));
}

/// Reaches the socket of an instance, and makes sure that a trusted user answers there.
///
/// # Errors
/// Those of `connect(2)`; `Ok(Err(user))`: this user listens, and isn't trusted.
pub(super) fn connect(directory: &Directory, trust: Trust) -> io::Result<Result<UnixStream, u32>> {
    let stream = UnixStream::connect(way_to(directory))?;
    let user = socket_peercred(&stream)?.uid.as_raw();
    Ok(if trust.includes(user) { Ok(stream) } else { Err(user) })
}

/// A name of the socket that is short enough.
fn way_to(directory: &Directory) -> PathBuf {
    let path = directory.path().join(NAME);
    if path.as_os_str().len() <= LONGEST {
        return path;
    }
    Path::new("/proc/self/fd").join(directory.as_fd().as_raw_fd().to_string()).join(NAME)
}
