//! Replaces a file as a whole: with the owner, group and mode of the old one, and so that a crash leaves the old or the new content.

use rustix::fd::OwnedFd;
use rustix::fs::{
    AtFlags, FlockOperation, Gid, Mode, OFlags, Uid, fchmod, fchown, flock, fstat, fsync, openat, renameat, statat, unlinkat,
};
use rustix::io::{Errno, retry_on_intr};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The mode of a file that didn't exist.
const NEW_MODE: Mode = Mode::from_raw_mode(0o644);

/// A file that is to be replaced. Its directory is locked (`flock(2)`) against other replacements.
pub(super) struct FileReplacement {
    directory: OwnedFd,
    path: PathBuf,
    name: OsString,
    /// The new file beside the old one, until it is in its place.
    written: Option<OsString>,
}

impl FileReplacement {
    /// Waits until no other replacement is in progress in the directory. No component of `path` is a link.
    pub(super) fn begin(path: &Path) -> io::Result<FileReplacement> {
        let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?.to_owned();
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let directory = rustix::fs::open(parent, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        retry_on_intr(|| flock(&directory, FlockOperation::LockExclusive))?;
        Ok(FileReplacement { directory, path: path.to_owned(), name, written: None })
    }

    /// Writes the new file, safely on the disk and under another name. Returns its path.
    pub(super) fn write(&mut self, content: &[u8]) -> io::Result<PathBuf> {
        let old = match statat(&self.directory, &self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Some(stat),
            Err(Errno::NOENT) => None,
            Err(error) => return Err(error.into()),
        };
        let mut name = OsString::from(".");
        name.push(&self.name);
        name.push(".apply");
        // One is left by a replacement that was killed.
        remove(&self.directory, &name)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&self.directory, &name, flags, Mode::RUSR | Mode::WUSR)?;
        self.written = Some(name.clone());
        let new = fstat(&file)?;
        if let Some(old) = old.filter(|old| (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid)) {
            fchown(&file, Some(Uid::from_raw(old.st_uid)), Some(Gid::from_raw(old.st_gid)))?;
        }
        // After the change of the owner, which may clear bits of the mode.
        fchmod(&file, old.map_or(NEW_MODE, |old| Mode::from_raw_mode(old.st_mode)))?;
        let mut file = File::from(file);
        file.write_all(content)?;
        file.sync_all()?;
        Ok(self.path.with_file_name(name))
    }

    /// Puts the new file in the place of the old one.
    pub(super) fn commit(&mut self) -> io::Result<()> {
        if let Some(written) = &self.written {
            renameat(&self.directory, written, &self.directory, &self.name)?;
            self.written = None;
        }
        Ok(())
    }

    /// Makes sure that a crash doesn't undo the replacement.
    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(fsync(&self.directory)?)
    }
}

fn remove(directory: &OwnedFd, name: &OsStr) -> io::Result<()> {
    match unlinkat(directory, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

impl Drop for FileReplacement {
    fn drop(&mut self) {
        if let Some(written) = &self.written {
            // The next replacement removes it otherwise.
            drop(remove(&self.directory, written));
        }
    }
}
