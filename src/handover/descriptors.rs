//! The descriptors that stay open when another program takes over: pipes that are read, and sockets that others may use at any
//! moment. Both programs recognize them by what the kernel says about them, so none has to be listed.

use crate::sys::exec;
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::fs::{FileType, OFlags, fcntl_getfl, fstat};
use rustix::net::sockopt::{socket_acceptconn, socket_type};
use rustix::net::{SocketAddrUnix, SocketType, getsockname};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a descriptor that stays open is.
enum Lasting {
    /// The read end of the pipe with this inode.
    Pipe(u64),
    /// A socket that listens.
    Listener,
    /// A socket for notifications, at this path.
    Notifications(PathBuf),
}

/// The descriptors that were inherited from the former program, until they are used.
#[derive(Debug, Default)]
pub(crate) struct InheritedDescriptors(Mutex<OpenDescriptors>);

#[derive(Debug, Default)]
struct OpenDescriptors {
    pipes: HashMap<u64, OwnedFd>,
    listeners: Vec<OwnedFd>,
    notifications: HashMap<PathBuf, OwnedFd>,
}

/// The numbers of the descriptors that stay open.
pub(super) fn lasting() -> Vec<i32> {
    open().into_iter().filter(|&number| judge(number).is_some()).collect()
}

/// The numbers of all open descriptors but the standard ones. One of them may be closed by now.
fn open() -> Vec<i32> {
    let entries = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.filter(|&number: &i32| number > 2).collect()
}

fn judge(number: i32) -> Option<Lasting> {
    let descriptor = exec::descriptor(number)?;
    let stat = fstat(descriptor).ok()?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Fifo => {
            let flags = fcntl_getfl(descriptor).ok()?;
            (flags & OFlags::RWMODE == OFlags::RDONLY).then_some(Lasting::Pipe(stat.st_ino))
        }
        FileType::Socket if socket_acceptconn(descriptor).unwrap_or(false) => Some(Lasting::Listener),
        FileType::Socket if socket_type(descriptor).is_ok_and(|kind| kind == SocketType::DGRAM) => {
            let address = SocketAddrUnix::try_from(getsockname(descriptor).ok()?).ok()?;
            let path = Path::new(OsStr::from_bytes(address.path_bytes()?)).to_owned();
            Some(Lasting::Notifications(path))
        }
        _ => None,
    }
}

impl InheritedDescriptors {
    /// Takes ownership of all that were inherited. Call it before any other descriptor is opened. They stay open until
    /// [`InheritedDescriptors::close`]: the process may be given back.
    pub(crate) fn take() -> Arc<InheritedDescriptors> {
        let mut inherited = OpenDescriptors::default();
        for number in open() {
            let Some(lasting) = judge(number) else { continue };
            let Some(owned) = exec::own(number) else { continue };
            match lasting {
                Lasting::Pipe(inode) => drop(inherited.pipes.insert(inode, owned)),
                Lasting::Listener => inherited.listeners.push(owned),
                Lasting::Notifications(path) => drop(inherited.notifications.insert(path, owned)),
            }
        }
        let inherited = Arc::new(InheritedDescriptors(Mutex::new(inherited)));
        std::mem::forget(Arc::clone(&inherited));
        inherited
    }

    /// Adds descriptors that a keeper has held.
    pub(crate) fn add(&self, descriptors: Vec<OwnedFd>) {
        let mut inherited = self.lock();
        for descriptor in descriptors {
            match judge(descriptor.as_raw_fd()) {
                Some(Lasting::Pipe(inode)) => drop(inherited.pipes.entry(inode).or_insert(descriptor)),
                Some(Lasting::Listener) => inherited.listeners.push(descriptor),
                Some(Lasting::Notifications(path)) => drop(inherited.notifications.entry(path).or_insert(descriptor)),
                None => {}
            }
        }
    }

    /// The read end of a pipe.
    pub(crate) fn pipe(&self, inode: u64) -> Option<OwnedFd> {
        self.lock().pipes.remove(&inode)
    }

    /// A socket that listens, and about which `is_meant` is true.
    pub(crate) fn listener(&self, is_meant: impl Fn(&OwnedFd) -> bool) -> Option<OwnedFd> {
        let mut inherited = self.lock();
        let place = inherited.listeners.iter().position(is_meant)?;
        Some(inherited.listeners.swap_remove(place))
    }

    /// The socket for notifications at a path.
    pub(crate) fn notifications(&self, path: &Path) -> Option<OwnedFd> {
        self.lock().notifications.remove(path)
    }

    /// Closes those that nothing has used.
    pub(crate) fn close(&self) {
        *self.lock() = OpenDescriptors::default();
    }

    /// Changes are complete before the lock is released, so a poisoned lock is safe to use.
    fn lock(&self) -> MutexGuard<'_, OpenDescriptors> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
