//! The socket of an instance: where it is, and how it is made and reached.
//!
//! The name of a unix socket may have 107 bytes and no more (`unix(7)`), and a state directory may lie deeper; so both ends
//! go through a descriptor of the directory where the name would be too long.

use rustix::fs::{Mode, OFlags, open};
use std::fs::{Permissions, remove_file, set_permissions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
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
pub(super) fn bind(directory: &Path) -> io::Result<UnixListener> {
    match remove_file(directory.join(NAME)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(Way::to(directory)?.path())?;
    // The directory is its owner's alone already; this is for whoever moves it.
    set_permissions(directory.join(NAME), Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Removes the socket of an instance.
pub(super) fn remove(directory: &Path) {
    // What can't be removed is dead all the same, and is taken over by the next one.
    drop(remove_file(directory.join(NAME)));
}

/// Reaches the socket of an instance.
///
/// # Errors
/// Nobody listens, or it isn't ours.
pub(super) fn connect(directory: &Path) -> io::Result<UnixStream> {
    UnixStream::connect(Way::to(directory)?.path())
}

/// A name for the socket that is short enough.
enum Way {
    Direct(PathBuf),
    Through(OwnedFd),
}

impl Way {
    fn to(directory: &Path) -> io::Result<Way> {
        let path = directory.join(NAME);
        if path.as_os_str().len() <= LONGEST {
            return Ok(Way::Direct(path));
        }
        let directory = open(directory, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Way::Through(directory))
    }

    fn path(&self) -> PathBuf {
        match self {
            Way::Direct(path) => path.clone(),
            Way::Through(directory) => Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(NAME),
        }
    }
}
