//! How loading sees the file system: two questions, so that tests can answer them from memory.
//!
//! [`Disk`] answers them from the real one, and lets nothing but a regular file of bounded size through: a FIFO must not
//! hang whoever loads, and a device must not fill the memory.

use rustix::fd::OwnedFd;
use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::io::{read, retry_on_intr};
use std::ffi::OsString;
use std::io;
use std::path::Path;

/// A configuration or env file may have this many bytes.
pub const MAX_BYTES: u64 = 4 << 20;

/// As much of a file is read at once.
pub const PIECE: usize = 32 << 10;

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
    /// Passes on the content of a file in pieces of at most [`PIECE`] bytes.
    ///
    /// # Errors
    /// Those of [`Files::read`].
    pub fn pass(file: &OwnedFd, mut take: impl FnMut(&[u8])) -> io::Result<()> {
        let mut piece = vec![0; PIECE];
        let (mut filled, mut passed) = (0, 0);
        // Whatever its size said a moment ago.
        while passed <= MAX_BYTES {
            let count = retry_on_intr(|| read(file, &mut piece[filled..]))?;
            filled += count;
            passed += count as u64;
            if filled == PIECE || count == 0 {
                take(&piece[..filled]);
                filled = 0;
            }
            if count == 0 {
                return Ok(());
            }
        }
        Err(io::ErrorKind::FileTooLarge.into())
    }

    /// Opens a regular file.
    ///
    /// # Errors
    /// Those of [`Files::read`].
    pub fn open(path: &Path) -> io::Result<OwnedFd> {
        // NONBLOCK, or opening a FIFO waits for its writer; it has no effect on a regular file.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = rustix::fs::open(path, flags, Mode::empty())?;
        Disk::regular(&file)?;
        Ok(file)
    }

    /// What is known of an open file, if it is a regular one.
    ///
    /// # Errors
    /// `IsADirectory`, or `InvalidInput` for other things.
    pub fn regular(file: &OwnedFd) -> io::Result<Stat> {
        let stat = rustix::fs::fstat(file)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Ok(stat),
            FileType::Directory => Err(io::ErrorKind::IsADirectory.into()),
            other => Err(io::Error::new(io::ErrorKind::InvalidInput, format!("not a regular file but {}", named(other)))),
        }
    }
}

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        Disk::pass(&Disk::open(path)?, |piece| bytes.extend_from_slice(piece))?;
        Ok(bytes)
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
