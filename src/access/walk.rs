//! Walks a path step by step through held descriptors, so that nothing can be exchanged between check and use.
//!
//! Each directory and link on the path is checked ([`Trust`]). While all are trusted, navigator uses its own rights. From the
//! first untrusted one on, it uses the rights of the process's user, or refuses if there is none. A sticky directory that
//! others can write to is accepted if the next entry belongs to a trusted user: no other user can replace that entry.
//!
//! Paths under `/proc` are resolved by the kernel, because links there may lead to files without a path.

use super::identity::Identity;
use super::trust::{Distrust, Trust, UntrustedWriter};
use crate::sys::credentials::Borrowed;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, fstat, mkdirat, openat, readlinkat, statat, unlinkat};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// Maximum number of links, as in the kernel (`path_resolution(7)`).
const MAX_LINKS: usize = 40;

/// The rules of a walk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules<'a> {
    pub(crate) trust: Trust,
    /// The user that acts from the first untrusted step on; `None`: such a path is refused.
    pub(crate) act_as: Option<&'a Identity>,
    /// Creates missing directories with this mode.
    pub(crate) make: Option<Mode>,
}

/// The end of a walk: an open directory, and a name in it that was not a link.
#[derive(Debug)]
pub struct FoundPath<'a> {
    directory: Arc<OwnedFd>,
    name: OsString,
    /// The same as a path, without links.
    path: PathBuf,
    is_sticky: bool,
    trust: Trust,
    /// The user that acts there; `None`: navigator itself.
    acts_as: Option<&'a Identity>,
}

impl<'a> Rules<'a> {
    /// Only checks, and uses navigator's own rights.
    pub(crate) fn of(trust: Trust) -> Rules<'a> {
        Rules { trust, act_as: None, make: None }
    }

    /// Walks a path. The last component may be missing.
    ///
    /// # Errors
    /// A [`Distrust`], or an error of `openat(2)`, `readlinkat(2)` or `mkdirat(2)`. A missing component is an error only in the
    /// middle of the path.
    pub(crate) fn find(self, path: &Path) -> io::Result<FoundPath<'a>> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let mut remaining = components(&std::path::absolute(path)?);
        let mut walk = PathWalk::begin(self)?;
        let mut links = 0;
        while let Some(part) = remaining.pop() {
            if walk.path == Path::new("/proc") && walk.acting.is_none() {
                remaining.push(part);
                return Ok(walk.finish(remaining.into_iter().rev().collect::<PathBuf>().into_os_string()));
            }
            if part == ".." {
                walk.up()?;
                continue;
            }
            let Some(stat) = walk.stat_entry(&part, !remaining.is_empty())? else { return Ok(walk.finish(part)) };
            walk.check_entry(&part, &stat)?;
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Symlink if links == MAX_LINKS => return Err(Errno::LOOP.into()),
                FileType::Symlink => {
                    links += 1;
                    let target = walk.target(&part)?;
                    remaining.extend(components(&target));
                    if target.is_absolute() {
                        walk.restart()?;
                    }
                }
                _ if remaining.is_empty() => return Ok(walk.finish(part)),
                FileType::Directory => walk.enter(part, &stat)?,
                _ => return Err(Errno::NOTDIR.into()),
            }
        }
        Ok(walk.finish(".".into()))
    }
}

/// A walk in progress.
struct PathWalk<'a> {
    rules: Rules<'a>,
    directory: OwnedFd,
    /// The path so far, without links.
    path: PathBuf,
    /// Other users can create entries in the directory, but can't replace those of trusted users.
    is_sticky: bool,
    /// Set from the first untrusted step on: the user, and its rights.
    acting: Option<(&'a Identity, Option<Borrowed>)>,
}

impl<'a> PathWalk<'a> {
    fn begin(rules: Rules<'a>) -> io::Result<PathWalk<'a>> {
        let directory = root()?;
        let stat = fstat(&directory)?;
        let mut walk = PathWalk { rules, directory, path: "/".into(), is_sticky: false, acting: None };
        walk.check_entry(OsStr::new(""), &stat)?;
        walk.is_sticky = walk.is_shared(&stat);
        Ok(walk)
    }

    /// The attributes of an entry. A missing directory is created if the rules say so.
    fn stat_entry(&self, part: &OsStr, is_middle: bool) -> io::Result<Option<Stat>> {
        let stat_entry = || statat(&self.directory, part, AtFlags::SYMLINK_NOFOLLOW);
        match (stat_entry(), self.rules.make) {
            (Ok(stat), _) => Ok(Some(stat)),
            (Err(Errno::NOENT), _) if !is_middle => Ok(None),
            (Err(Errno::NOENT), Some(mode)) => match mkdirat(&self.directory, part, mode) {
                Ok(()) | Err(Errno::EXIST) => Ok(Some(stat_entry()?)),
                Err(error) => Err(error.into()),
            },
            (Err(error), _) => Err(error.into()),
        }
    }

    /// Checks an entry before the walk passes it.
    fn check_entry(&mut self, part: &OsStr, stat: &Stat) -> io::Result<()> {
        if self.acting.is_some() {
            return Ok(());
        }
        let path = self.path.join(part);
        let writer = match FileType::from_raw_mode(stat.st_mode) {
            _ if !self.rules.trust.includes(stat.st_uid) && self.is_sticky => Some(UntrustedWriter::User(stat.st_uid)),
            FileType::Symlink => self.rules.trust.writer(stat),
            FileType::Directory if self.is_shared(stat) => None,
            FileType::Directory => self.rules.trust.writer_at(&path, stat),
            // A file is checked when it is opened.
            _ => None,
        };
        let Some(writer) = writer else { return Ok(()) };
        match self.rules.act_as.filter(|identity| identity.is_another_user()) {
            Some(identity) => {
                self.acting = Some((identity, identity.borrow()?));
                Ok(())
            }
            None => Err(Distrust::new(&path, stat, writer).into()),
        }
    }

    /// Whether other users can create entries in a directory, but can't replace those of trusted users.
    fn is_shared(&self, stat: &Stat) -> bool {
        let mode = Mode::from_raw_mode(stat.st_mode);
        self.rules.trust.includes(stat.st_uid) && mode.contains(Mode::SVTX) && mode.intersects(Mode::WGRP | Mode::WOTH)
    }

    fn enter(&mut self, part: OsString, stat: &Stat) -> io::Result<()> {
        let directory = openat(&self.directory, &part, DIRECTORY, Mode::empty())?;
        let entered = fstat(&directory)?;
        if (entered.st_dev, entered.st_ino) != (stat.st_dev, stat.st_ino) {
            // It was exchanged, or this step mounted a filesystem (`autofs(5)`).
            self.check_entry(&part, &entered)?;
        }
        self.directory = directory;
        self.path.push(part);
        self.is_sticky = self.is_shared(&entered);
        Ok(())
    }

    fn up(&mut self) -> io::Result<()> {
        self.directory = openat(&self.directory, "..", DIRECTORY, Mode::empty())?;
        self.path.pop();
        let stat = fstat(&self.directory)?;
        self.check_entry(OsStr::new(""), &stat)?;
        self.is_sticky = self.is_shared(&stat);
        Ok(())
    }

    fn target(&self, part: &OsStr) -> io::Result<PathBuf> {
        let target = readlinkat(&self.directory, part, Vec::new())?;
        Ok(OsString::from_vec(target.into_bytes()).into())
    }

    /// Continues at the root, for an absolute link.
    fn restart(&mut self) -> io::Result<()> {
        self.directory = root()?;
        self.path = "/".into();
        self.is_sticky = self.is_shared(&fstat(&self.directory)?);
        Ok(())
    }

    fn finish(self, name: OsString) -> FoundPath<'a> {
        let path = self.path.join(&name);
        let acts_as = self.acting.map(|(identity, _)| identity);
        let PathWalk { rules, directory, is_sticky, .. } = self;
        FoundPath { directory: Arc::new(directory), name, path, is_sticky, trust: rules.trust, acts_as }
    }
}

const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

fn root() -> io::Result<OwnedFd> {
    Ok(rustix::fs::open("/", DIRECTORY, Mode::empty())?)
}

/// The components of a path in reverse, so that the next one can be popped.
pub(crate) fn components(path: &Path) -> Vec<OsString> {
    let named = |component: Component<'_>| match component {
        Component::Normal(part) => Some(part.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().rev().filter_map(named).collect()
}

impl<'a> FoundPath<'a> {
    /// Walks a path of which each step must be trusted.
    ///
    /// # Errors
    /// A [`Distrust`], or a directory on the path is missing or can't be entered.
    pub fn find(path: &Path, trust: Trust) -> io::Result<FoundPath<'static>> {
        Rules::of(trust).find(path)
    }

    /// An entry of an open, trusted directory.
    pub(super) fn in_directory(directory: Arc<OwnedFd>, path: PathBuf, trust: Trust) -> FoundPath<'a> {
        let name = path.file_name().unwrap_or_default().to_owned();
        FoundPath { directory, name, path, is_sticky: false, trust, acts_as: None }
    }

    /// Its path without links, for messages.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Creates the directory.
    ///
    /// # Errors
    /// Errors of `mkdirat(2)`.
    pub(crate) fn make_directory(&self, mode: Mode) -> io::Result<()> {
        self.act(|directory| mkdirat(directory, &self.name, mode))
    }

    /// Removes the file.
    ///
    /// # Errors
    /// Errors of `unlinkat(2)`.
    pub(crate) fn remove(&self) -> io::Result<()> {
        self.act(|directory| unlinkat(directory, &self.name, AtFlags::empty()))
    }

    /// Acts in the directory, with the rights of its user.
    ///
    /// # Errors
    /// Errors of `act`, or the rights can't be acquired.
    pub(crate) fn act<T, E: Into<io::Error>>(&self, act: impl FnOnce(BorrowedFd<'_>) -> Result<T, E>) -> io::Result<T> {
        let _borrowed = self.acts_as.map(Identity::borrow).transpose()?;
        act(self.directory.as_fd()).map_err(Into::into)
    }

    /// Whether navigator acts with the rights of another user there.
    pub(crate) fn acts_as_user(&self) -> bool {
        self.acts_as.is_some()
    }

    /// The name of the file in its directory.
    pub(crate) fn name(&self) -> &OsStr {
        &self.name
    }

    /// Its attributes; `None`: it doesn't exist.
    pub(crate) fn stat(&self) -> io::Result<Option<Stat>> {
        match self.act(|directory| statat(directory, &self.name, AtFlags::SYMLINK_NOFOLLOW)) {
            Ok(stat) => Ok(Some(stat)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Opens or creates the file; never a link.
    ///
    /// # Errors
    /// Errors of `openat(2)`.
    pub(crate) fn open(&self, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        let follow = if self.is_in_proc() { OFlags::empty() } else { OFlags::NOFOLLOW };
        let flags = flags | follow | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        // Where others can create entries, an existing file must belong to a trusted user.
        let flags = if self.is_sticky && flags.contains(OFlags::CREATE) && self.acts_as.is_none() {
            match self.stat()? {
                Some(stat) if !self.trust.includes(stat.st_uid) => return Err(Errno::EXIST.into()),
                Some(_) => flags.difference(OFlags::CREATE),
                None => flags | OFlags::EXCL,
            }
        } else {
            flags
        };
        self.act(|directory| openat(directory, &self.name, flags, mode))
    }

    /// Whether it lies under `/proc`, on a trusted path.
    fn is_in_proc(&self) -> bool {
        self.acts_as.is_none() && self.path.starts_with("/proc")
    }

    /// Whether it may be a device or a standard stream: it lies under `/dev` or `/proc` on a trusted path.
    pub(crate) fn may_be_special(&self) -> bool {
        self.acts_as.is_none() && (self.path.starts_with("/dev") || self.path.starts_with("/proc"))
    }

    /// Whether an untrusted user created this entry, which root could still remove or replace.
    pub(crate) fn is_owned_by_other(&self, name: &OsStr) -> io::Result<bool> {
        if !self.is_sticky || self.acts_as.is_some() {
            return Ok(false);
        }
        match statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(!self.trust.includes(stat.st_uid)),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Checks a file that was opened here.
    ///
    /// # Errors
    /// A [`Distrust`].
    pub(crate) fn judge(&self, file: &Stat) -> io::Result<()> {
        match self.trust.writer_at(&self.path, file) {
            None => Ok(()),
            Some(writer) => Err(Distrust::new(&self.path, file, writer).into()),
        }
    }
}
