//! How loading sees the file system: two questions, so that tests can answer them from memory.
//!
//! [`Disk`] answers them from the real one, and lets nothing but a regular file of bounded size through: a FIFO must not
//! hang whoever loads, and a device must not fill the memory.

use rustix::fs::{FileType, Mode, OFlags, Stat};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// A configuration or env file may have this many bytes.
pub const MAX_BYTES: u64 = 4 << 20;

/// The two questions that loading asks.
pub trait Files {
    /// The content of a regular file of at most [`MAX_BYTES`].
    ///
    /// # Errors
    /// As the operating system says; `IsADirectory`, `InvalidInput` for other things that are no regular file, and
    /// `FileTooLarge`.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// The names in a directory, in any order, without `.` and `..`. The empty path is the working directory.
    ///
    /// # Errors
    /// As the operating system says.
    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>>;
}

/// The real file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

impl Disk {
    /// As [`Files::read`], of a file that `accept` doesn't object to: it sees the very file that is then read.
    ///
    /// # Errors
    /// Those of [`Files::read`], and the objections.
    pub fn read_if(path: &Path, accept: impl FnOnce(&Stat) -> io::Result<()>) -> io::Result<Vec<u8>> {
        // NONBLOCK, or opening a FIFO waits for its writer; it has no effect on a regular file.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = rustix::fs::open(path, flags, Mode::empty())?;
        let stat = rustix::fs::fstat(&file)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {}
            FileType::Directory => return Err(io::ErrorKind::IsADirectory.into()),
            other => return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("not a regular file but {}", named(other)))),
        }
        accept(&stat)?;
        let mut bytes = Vec::new();
        // One byte more than allowed tells "just fits" from "too large", whatever the size said a moment ago.
        File::from(file).take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(bytes)
    }
}

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        Disk::read_if(path, |_| Ok(()))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
        std::fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name())).collect()
    }
}

fn named(file_type: FileType) -> &'static str {
    match file_type {
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        _ => "something else",
    }
}
