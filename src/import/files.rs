//! Files that are read for an import: regular ones of a bounded size, and no links.

use crate::config::{Disk, Files};
use rustix::fs::{Mode, OFlags};
use std::ffi::OsString;
use std::io;
use std::path::Path;

/// The disk, without links: a file beside an imported one may be anyone's.
pub(super) struct DiskWithoutLinks;

impl Files for DiskWithoutLinks {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| match (error, std::fs::canonicalize(path)) {
            (rustix::io::Errno::LOOP, Ok(target)) => {
                io::Error::other(format!("it is a link; name the file that it leads to: `{}`", target.display()))
            }
            (error, _) => error.into(),
        })?;
        Disk::stat_regular(&file)?;
        let mut bytes = Vec::new();
        Disk::read_chunks(&file, |chunk| bytes.extend_from_slice(chunk))?;
        Ok(bytes)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        Disk.list(directory)
    }
}
