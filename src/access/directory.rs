//! A directory of navigator, held open by a descriptor: a change of its path doesn't affect it.

use super::trust::Trust;
use super::walk::{FoundPath, Rules};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Mode, OFlags, Stat, fstat, mkdirat, openat, renameat, unlinkat};
use rustix::io::Errno;
use rustix::process::geteuid;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An open directory. Clones share its descriptor.
#[derive(Clone, Debug)]
pub struct Directory {
    fd: Arc<OwnedFd>,
    path: PathBuf,
    trust: Trust,
}

const OPEN_FLAGS: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

impl Directory {
    /// Opens a directory on a trusted path.
    ///
    /// # Errors
    /// A [`super::Distrust`], or it can't be opened.
    pub fn open(path: &Path, trust: Trust) -> io::Result<Directory> {
        Directory::open_with(path, Rules::of(trust))
    }

    /// The same, but creates it and missing parents, for this user alone.
    ///
    /// # Errors
    /// Errors of [`Directory::open`] and `mkdirat(2)`.
    pub fn open_or_make(path: &Path, trust: Trust) -> io::Result<Directory> {
        Directory::open_with(path, Rules { make: Some(Mode::RWXU), ..Rules::of(trust) })
    }

    fn open_with(path: &Path, rules: Rules<'_>) -> io::Result<Directory> {
        let place = rules.find(path)?;
        let fd = match place.open(OPEN_FLAGS, Mode::empty()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && rules.make.is_some() => {
                match place.make_directory(Mode::RWXU) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                    _ => place.open(OPEN_FLAGS, Mode::empty())?,
                }
            }
            fd => fd?,
        };
        place.judge(&fstat(&fd)?)?;
        Ok(Directory { fd: Arc::new(fd), path: path.to_owned(), trust: rules.trust })
    }

    /// Opens a subdirectory that only this user can use; creates it if it is missing. `Ok(None)`: it belongs to another user,
    /// or others may use it.
    ///
    /// # Errors
    /// Errors of `mkdirat(2)` and `openat(2)`.
    pub fn open_or_make_private(&self, name: &str) -> io::Result<Option<Directory>> {
        match mkdirat(&self.fd, name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let inner = self.open_inner(name)?;
        let stat = fstat(&inner.fd)?;
        let is_private =
            stat.st_uid == geteuid().as_raw() && !Mode::from_raw_mode(stat.st_mode).intersects(Mode::RWXG | Mode::RWXO);
        Ok(is_private.then_some(inner))
    }

    /// Opens a trusted subdirectory.
    ///
    /// # Errors
    /// A [`super::Distrust`], or an error of `openat(2)`.
    pub fn enter(&self, name: &str) -> io::Result<Directory> {
        let inner = self.open_inner(name)?;
        self.entry(name).judge(&inner.stat()?)?;
        Ok(inner)
    }

    /// Another descriptor of it, with locks of its own (`flock(2)`).
    ///
    /// # Errors
    /// Errors of `openat(2)`.
    pub fn reopen(&self) -> io::Result<OwnedFd> {
        Ok(openat(&self.fd, ".", OPEN_FLAGS, Mode::empty())?)
    }

    fn open_inner(&self, name: &str) -> io::Result<Directory> {
        let fd = openat(&self.fd, name, OPEN_FLAGS, Mode::empty())?;
        Ok(Directory { fd: Arc::new(fd), path: self.path.join(name), trust: self.trust })
    }

    /// The location of an entry.
    pub fn entry(&self, name: &str) -> FoundPath<'static> {
        FoundPath::in_directory(Arc::clone(&self.fd), self.path.join(name), self.trust)
    }

    /// Its path, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The trusted users.
    pub fn trust(&self) -> Trust {
        self.trust
    }

    /// Its attributes.
    ///
    /// # Errors
    /// Errors of `fstat(2)`.
    pub fn stat(&self) -> io::Result<Stat> {
        Ok(fstat(&self.fd)?)
    }

    /// Opens an entry; never a link.
    ///
    /// # Errors
    /// Errors of `openat(2)`.
    pub fn open_entry(&self, name: &str, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
        openat(&self.fd, name, flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC, mode)
    }

    /// The names in it, without `.` and `..`.
    ///
    /// # Errors
    /// Errors of `getdents64(2)`.
    pub fn names(&self) -> io::Result<Vec<OsString>> {
        let entries = rustix::fs::Dir::read_from(&self.fd)?;
        let names = entries.map(|entry| Ok(OsString::from_vec(entry?.file_name().to_bytes().to_vec())));
        let names: io::Result<Vec<OsString>> = names.collect();
        Ok(names?.into_iter().filter(|name| name != "." && name != "..").collect())
    }

    /// Reads a file in it.
    ///
    /// # Errors
    /// Errors of `openat(2)` and `read(2)`.
    pub fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        File::from(self.open_entry(name, OFlags::RDONLY, Mode::empty())?).read_to_end(&mut content)?;
        Ok(content)
    }

    /// Writes a file in place. A new one is accessible to this user alone.
    ///
    /// # Errors
    /// Errors of `openat(2)` and `write(2)`.
    pub fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let file = self.open_entry(name, OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC, Mode::RUSR | Mode::WUSR)?;
        File::from(file).write_all(content)
    }

    /// Replaces a file atomically. The new file is accessible to this user alone.
    ///
    /// # Errors
    /// Errors of `openat(2)`, `write(2)` and `renameat(2)`.
    pub fn replace(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let new = format!("{name}.new");
        // A failed attempt may have left one.
        self.remove(&new)?;
        let file = self.open_entry(&new, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL, Mode::RUSR | Mode::WUSR)?;
        let replaced = File::from(file).write_all(content).and_then(|()| self.rename(&new, name));
        replaced.inspect_err(|_| drop(self.remove(&new)))
    }

    /// Renames an entry.
    ///
    /// # Errors
    /// Errors of `renameat(2)`.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(renameat(&self.fd, from, &self.fd, to)?)
    }

    /// Removes a file; a missing one is no error.
    ///
    /// # Errors
    /// Errors of `unlinkat(2)`.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        match unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes an empty subdirectory.
    ///
    /// # Errors
    /// Errors of `unlinkat(2)`.
    pub fn remove_directory(&self, name: &str) -> io::Result<()> {
        Ok(unlinkat(&self.fd, name, AtFlags::REMOVEDIR)?)
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
