//! A program file that is to take over a process.

use crate::access::{Distrust, FoundPath, Trust};
use crate::error_text::words;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags, Stat, fstat, open, stat};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A program file. It stays the same whatever happens to its path.
#[derive(Debug)]
pub(crate) struct Program {
    /// Its path.
    pub(crate) path: PathBuf,
    file: OwnedFd,
}

impl Program {
    /// Opens a program. Only trusted users may be able to change it.
    ///
    /// # Errors
    /// Why it can't be used, with its path.
    pub(crate) fn open(path: &Path, trust: Trust) -> Result<Program, String> {
        let shown = path.display();
        let failed = |error: io::Error| match Distrust::behind(&error) {
            Some(distrust) => format!("{distrust}; {}", distrust.remedy()),
            None => format!("`{shown}` can't be opened: {}", words(&error)),
        };
        let place = FoundPath::find(path, trust).map_err(failed)?;
        let file = place.open(OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).map_err(failed)?;
        let found = fstat(&file).map_err(|error| failed(error.into()))?;
        place.judge(&found).map_err(failed)?;
        let mode = Mode::from_raw_mode(found.st_mode);
        if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile
            || !mode.intersects(Mode::XUSR | Mode::XGRP | Mode::XOTH)
        {
            return Err(format!("`{shown}` is not an executable file"));
        }
        Ok(Program { path: path.to_owned(), file })
    }

    /// The file of the program that runs in this process, even if its path leads to another one by now.
    ///
    /// # Errors
    /// There is no `/proc`.
    pub(super) fn running() -> io::Result<OwnedFd> {
        Ok(open("/proc/self/exe", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)
    }

    /// The path of the program that this process was started from.
    ///
    /// # Errors
    /// There is no `/proc`.
    pub(crate) fn own_path() -> io::Result<PathBuf> {
        let link = std::fs::read_link("/proc/self/exe")?;
        // The kernel's mark of a file that was replaced (`proc_pid_exe(5)`).
        let path = link.as_os_str().as_bytes();
        let path = path.strip_suffix(b" (deleted)").unwrap_or(path);
        Ok(PathBuf::from(std::ffi::OsStr::from_bytes(path)))
    }

    /// Whether its path still leads to it.
    pub(crate) fn is_at_its_path(&self) -> bool {
        let identity = |stat: Stat| (stat.st_dev, stat.st_ino);
        stat(&self.path).ok().map(identity) == fstat(&self.file).ok().map(identity)
    }
}

impl AsFd for Program {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
