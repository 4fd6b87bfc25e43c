//! The files of unix sockets: creates them, sets their permissions, and restores deleted ones.
//!
//! A socket is bound to exactly the path that the configuration names, because programs recognize it by that. The directories
//! of the path are checked first ([`crate::access::walk`]). If only trusted users can change them, navigator binds with its own
//! rights. Otherwise it does everything there with the rights of the process's user.
//!
//! Some programs delete the path of a socket that they were passed. So each socket has a *spare*, a hard link in the same
//! directory, from which its path is restored.

use super::listener::{Failure, begin, stream_socket};
use super::path_watch::PathWatch;
use crate::access::identity::Identity;
use crate::access::walk::{FoundPath, Rules};
use crate::access::{Distrust, Trust};
use crate::checksum::fnv1a;
use crate::error_text::words;
use rustix::fd::{AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Stat, Uid, chownat, fchmod, fstat, linkat, openat, statat, unlinkat};
use rustix::io::ioctl_fionbio;
use rustix::net::{AddressFamily, SocketAddrUnix, bind, connect};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The mode of directories that navigator creates.
const DIRECTORY_MODE: Mode = Mode::RWXU.union(Mode::RGRP).union(Mode::XGRP).union(Mode::ROTH).union(Mode::XOTH);

/// The file of a socket.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    trust: Trust,
    permissions: Permissions,
    /// Device and inode.
    id: (u64, u64),
    /// The watch of its directory.
    watch: Option<i32>,
}

/// The permissions of a file.
#[derive(Clone, Debug)]
pub(super) struct Permissions {
    pub(super) mode: u32,
    /// Owner and group.
    pub(super) owner: Identity,
    /// Navigator acts with the rights of this user where untrusted users can write.
    pub(super) acts_as: Identity,
}

/// The state of a path after [`SocketFile::put_back`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PathState {
    /// The socket is there, or something else that isn't ours.
    Kept,
    /// It was missing, and is there again.
    PutBack,
    /// It is missing, and so is its spare.
    Lost,
}

impl SocketFile {
    /// Binds a socket to a path, and listens there. Creates missing directories.
    pub(super) fn open(
        path: &Path,
        trust: Trust,
        permissions: &Permissions,
        backlog: u32,
    ) -> Result<(OwnedFd, SocketFile), Failure> {
        let place = Place { path, trust, acts_as: &permissions.acts_as };
        let found = place.find(Some(DIRECTORY_MODE))?;
        clear(&found, found.name())?;
        let socket = stream_socket(AddressFamily::UNIX)?;
        // The file gets the mode of the socket, minus the umask. So it never has more permissions than these.
        fchmod(&socket, Mode::from_raw_mode(permissions.mode))?;
        let address = address(path)?;
        found.act(|_| bind(&socket, &address))?;
        let made = found.stat().map_err(Failure::from).and_then(|stat| {
            let is_socket = |stat: &Stat| FileType::from_raw_mode(stat.st_mode) == FileType::Socket;
            stat.filter(is_socket).ok_or_else(|| Failure::Other("another process removed it at once".to_owned()))
        });
        let finished = made.and_then(|stat| {
            let file = SocketFile { path: path.to_owned(), trust, permissions: permissions.clone(), id: id(&stat), watch: None };
            make_spare(&found);
            let ready = set_permissions(&found, file.id, permissions).and_then(|()| Ok(begin(&socket, backlog)?));
            ready.inspect_err(|_| file.remove()).map(|()| file)
        });
        finished.map(|file| (socket, file))
    }

    /// The file of a socket that a process has bound there by itself.
    pub(super) fn adopt(path: &Path, trust: Trust, permissions: &Permissions) -> Result<SocketFile, Failure> {
        let place = Place { path, trust, acts_as: &permissions.acts_as };
        let found = place.find(None)?;
        let id = id_of(&found, found.name())?.ok_or_else(|| Failure::Other("the path is missing".to_owned()))?;
        make_spare(&found);
        set_permissions(&found, id, permissions)?;
        Ok(SocketFile { path: path.to_owned(), trust, permissions: permissions.clone(), id, watch: None })
    }

    fn place(&self) -> Place<'_> {
        Place { path: &self.path, trust: self.trust, acts_as: &self.permissions.acts_as }
    }

    /// Begins to watch its directory.
    pub(super) fn watched_by(mut self, watch: &PathWatch) -> SocketFile {
        let add = |directory: BorrowedFd<'_>| Ok::<_, io::Error>(watch.add(directory));
        self.watch = self.place().find(None).ok().and_then(|found| found.act(add).ok()?);
        self
    }

    /// The watch of its directory; `None`: it isn't watched.
    pub(super) fn watch(&self) -> Option<i32> {
        self.watch
    }

    /// Applies changed permissions.
    pub(super) fn change(&mut self, permissions: &Permissions) -> Result<(), Failure> {
        let found = self.place().find(None)?;
        if id_of(&found, found.name())? == Some(self.id) {
            set_permissions(&found, self.id, permissions)?;
        }
        self.permissions = permissions.clone();
        Ok(())
    }

    /// Its permissions, for opening it again.
    pub(super) fn permissions(&self) -> &Permissions {
        &self.permissions
    }

    /// Restores the path of the socket if it is missing. `replaces`: also if another socket is there on which no process listens.
    pub(super) fn put_back(&self, replaces: bool) -> Result<PathState, Failure> {
        let found = self.place().find(Some(DIRECTORY_MODE))?;
        match id_of(&found, found.name())? {
            Some(id) if id == self.id => return Ok(PathState::Kept),
            // Not ours to remove.
            Some(_) if !replaces || clear(&found, found.name()).is_err() => return Ok(PathState::Kept),
            _ => {}
        }
        let spare = spare_name(found.name());
        if id_of(&found, &spare)? != Some(self.id) {
            return Ok(PathState::Lost);
        }
        found.act(|directory| linkat(directory, &spare, directory, found.name(), AtFlags::empty()))?;
        Ok(PathState::PutBack)
    }

    /// Removes its path and its spare, as far as they are still its own.
    pub(super) fn remove(&self) {
        // If its directory is gone, so is the file.
        let Ok(found) = self.place().find(None) else { return };
        for name in [found.name(), &spare_name(found.name())] {
            if matches!(id_of(&found, name), Ok(Some(id)) if id == self.id) {
                // The next navigator removes it.
                let _best_effort = found.act(|directory| unlinkat(directory, name, AtFlags::empty()));
            }
        }
    }
}

/// The path of a socket, and the rules for opening its directory.
struct Place<'a> {
    path: &'a Path,
    trust: Trust,
    acts_as: &'a Identity,
}

impl<'a> Place<'a> {
    fn find(&self, make: Option<Mode>) -> Result<FoundPath<'a>, Failure> {
        let rules = Rules { trust: self.trust, act_as: Some(self.acts_as), make };
        rules.find(self.path).map_err(|error| {
            let remedy = Distrust::behind(&error)
                .map_or_else(String::new, |distrust| format!(": {}; or set `user` of the process", distrust.remedy()));
            Failure::Other(words(&error) + &remedy)
        })
    }
}

fn address(path: &Path) -> Result<SocketAddrUnix, Failure> {
    SocketAddrUnix::new(path).map_err(|_| Failure::Other("the path of a socket has at most 107 bytes".to_owned()))
}

/// The name of the spare. It depends on the path alone, so that a spare left by a killed navigator is found.
fn spare_name(name: &OsStr) -> OsString {
    format!(".navigator-{:016x}", fnv1a(name.as_bytes())).into()
}

/// Makes the spare of a socket, and replaces one left by a killed navigator. Some file systems have no hard links. There, a
/// path that is lost is bound again.
fn make_spare(found: &FoundPath<'_>) {
    let spare = spare_name(found.name());
    let _none = clear(found, &spare)
        .and_then(|()| Ok(found.act(|directory| linkat(directory, found.name(), directory, &spare, AtFlags::empty()))?));
}

fn id(stat: &Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

fn stat(found: &FoundPath<'_>, name: &OsStr) -> io::Result<Option<Stat>> {
    match found.act(|directory| statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)) {
        Ok(stat) => Ok(Some(stat)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn id_of(found: &FoundPath<'_>, name: &OsStr) -> io::Result<Option<(u64, u64)>> {
    Ok(stat(found, name)?.as_ref().map(id))
}

/// Removes a socket on which no process listens. Fails if anything else has that name.
fn clear(found: &FoundPath<'_>, name: &OsStr) -> Result<(), Failure> {
    let Some(stat) = stat(found, name)? else { return Ok(()) };
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Socket => None,
        FileType::RegularFile => Some("a file"),
        FileType::Directory => Some("a directory"),
        FileType::Symlink => Some("a link"),
        _ => Some("a device or a FIFO"),
    };
    if let Some(kind) = kind {
        return Err(Failure::Other(format!("there is {kind} at that path: remove it, or choose another path")));
    }
    if is_alive(found, name)? {
        return Err(Failure::InUse);
    }
    Ok(found.act(|directory| unlinkat(directory, name, AtFlags::empty()))?)
}

/// Whether a process listens on the socket of this name.
fn is_alive(found: &FoundPath<'_>, name: &OsStr) -> Result<bool, Failure> {
    let socket = stream_socket(AddressFamily::UNIX)?;
    // A blocking one would wait while the queue is full.
    ioctl_fionbio(&socket, true)?;
    let attempt = |directory: BorrowedFd<'_>| {
        let path = [format!("/proc/self/fd/{}/", directory.as_raw_fd()).as_bytes(), name.as_bytes()].concat();
        // With a long file name, this may exceed the limit of an address though the whole path doesn't.
        let address = SocketAddrUnix::new(OsStr::from_bytes(&path));
        connect(&socket, &address.or_else(|_| SocketAddrUnix::new(found.path().with_file_name(name)))?)
    };
    match found.act(attempt).map_err(|error| error.raw_os_error()) {
        Err(Some(libc::ECONNREFUSED)) => Ok(false),
        Ok(()) | Err(Some(libc::EAGAIN | libc::EPROTOTYPE)) => Ok(true),
        Err(error) => Err(io::Error::from_raw_os_error(error.unwrap_or(libc::EINVAL)).into()),
    }
}

/// Sets the permissions of the file with this id. Fails if another file has its name by then.
fn set_permissions(found: &FoundPath<'_>, made: (u64, u64), permissions: &Permissions) -> Result<(), Failure> {
    let Permissions { mode, owner, .. } = permissions;
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = found.act(|directory| openat(directory, found.name(), flags, Mode::empty()))?;
    if id(&fstat(&file)?) != made {
        return Err(Failure::Other("another process replaced it".to_owned()));
    }
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    found.act(|_| rustix::fs::chmod(&*path, Mode::from_raw_mode(*mode)))?;
    if owner.user.is_none() && owner.group.is_none() {
        return Ok(());
    }
    let (user, group) = (owner.user.map(Uid::from_raw), owner.group.map(Gid::from_raw));
    let given = found.act(|_| chownat(&file, "", user, group, AtFlags::EMPTY_PATH));
    given.map_err(|error| match error.raw_os_error() {
        Some(libc::EPERM) if found.acts_as_user() => Failure::Other(
            "the user of the process can write there, and may not give the socket away: leave out `user` and `group`".to_owned(),
        ),
        Some(libc::EPERM) => Failure::Other("only root may give a socket to another user or group".to_owned()),
        _ => error.into(),
    })
}
