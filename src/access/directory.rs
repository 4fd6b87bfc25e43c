//! A directory of navigator's own, held by a descriptor: whatever happens to its path, this is the one that was judged.

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

/// A held directory. Clones hold the same one.
#[derive(Clone, Debug)]
pub struct Directory {
    fd: Arc<OwnedFd>,
    path: PathBuf,
    trust: Trust,
}

const OPEN_FLAGS: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

impl Directory {
    /// Holds a directory on a trusted path.
    ///
    /// # Errors
    /// A [`super::Distrust`], or that it can't be opened.
    pub fn open(path: &Path, trust: Trust) -> io::Result<Directory> {
        Directory::open_with(path, Rules::of(trust))
    }

    /// The same; it and the directories above it are made where they are missing, for this user alone.
    ///
    /// # Errors
    /// As for [`Directory::open`], and those of `mkdirat(2)`.
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

    /// Holds a directory in it that is this user's alone, and makes it where it is missing.
    ///
    /// # Errors
    /// Those of `mkdirat(2)` and `openat(2)`; `Ok(None)`: it belongs to another user, or others may use it.
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

    /// Holds a directory in it that is trusted.
    ///
    /// # Errors
    /// A [`super::Distrust`], and those of `openat(2)`.
    pub fn enter(&self, name: &str) -> io::Result<Directory> {
        let inner = self.open_inner(name)?;
        self.entry(name).judge(&inner.stat()?)?;
        Ok(inner)
    }

    fn open_inner(&self, name: &str) -> io::Result<Directory> {
        let fd = openat(&self.fd, name, OPEN_FLAGS, Mode::empty())?;
        Ok(Directory { fd: Arc::new(fd), path: self.path.join(name), trust: self.trust })
    }

    /// The place of an entry in it.
    pub fn entry(&self, name: &str) -> FoundPath<'static> {
        FoundPath::in_directory(Arc::clone(&self.fd), self.path.join(name), self.trust)
    }

    /// Its path, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it is.
    ///
    /// # Errors
    /// Those of `fstat(2)`.
    pub fn stat(&self) -> io::Result<Stat> {
        Ok(fstat(&self.fd)?)
    }

    /// Opens an entry of it; never a link.
    ///
    /// # Errors
    /// Those of `openat(2)`.
    pub fn open_entry(&self, name: &str, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
        openat(&self.fd, name, flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC, mode)
    }

    /// The names in it, without `.` and `..`.
    ///
    /// # Errors
    /// Those of `getdents64(2)`.
    pub fn names(&self) -> io::Result<Vec<OsString>> {
        let entries = rustix::fs::Dir::read_from(&self.fd)?;
        let names = entries.map(|entry| Ok(OsString::from_vec(entry?.file_name().to_bytes().to_vec())));
        let names: io::Result<Vec<OsString>> = names.collect();
        Ok(names?.into_iter().filter(|name| name != "." && name != "..").collect())
    }

    /// The content of a file in it.
    ///
    /// # Errors
    /// Those of `openat(2)` and `read(2)`.
    pub fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        File::from(self.open_entry(name, OFlags::RDONLY, Mode::empty())?).read_to_end(&mut content)?;
        Ok(content)
    }

    /// Puts a file in place of what has this name, all of it or nothing. It is this user's alone.
    ///
    /// # Errors
    /// Those of `openat(2)`, `write(2)` and `renameat(2)`.
    pub fn replace(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let new = format!("{name}.new");
        // A former attempt may have left one.
        self.remove(&new)?;
        let file = self.open_entry(&new, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL, Mode::RUSR | Mode::WUSR)?;
        let replaced = File::from(file).write_all(content).and_then(|()| self.rename(&new, name));
        replaced.inspect_err(|_| drop(self.remove(&new)))
    }

    /// Renames an entry.
    ///
    /// # Errors
    /// Those of `renameat(2)`.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(renameat(&self.fd, from, &self.fd, to)?)
    }

    /// Removes a file, if there is one.
    ///
    /// # Errors
    /// Those of `unlinkat(2)`.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        match unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes an empty directory in it.
    ///
    /// # Errors
    /// Those of `unlinkat(2)`.
    pub fn remove_directory(&self, name: &str) -> io::Result<()> {
        Ok(unlinkat(&self.fd, name, AtFlags::REMOVEDIR)?)
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
