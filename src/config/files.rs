//! File access of the loader: the trait [`Files`], and [`Disk`] for the real file system. Tests load from memory.
//!
//! [`Disk`] reads only regular files up to a size limit: a FIFO must not block the loader, a device must not fill memory.

use rustix::fd::OwnedFd;
use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::io::{read, retry_on_intr};
use std::ffi::OsString;
use std::io;
use std::path::Path;

/// Size limit of a configuration or env file, in bytes.
pub const MAX_BYTES: u64 = 4 << 20;

/// Size of the chunks in which a file is read, in bytes.
pub const CHUNK: usize = 32 << 10;

/// The file operations of the loader.
pub trait Files {
    /// The content of a regular file of at most [`MAX_BYTES`].
    ///
    /// # Errors
    /// Those of the operating system; `IsADirectory`; `InvalidInput` for other non-regular files; `FileTooLarge`.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// The names in a directory, in any order, without `.` and `..`. The empty path is the working directory.
    ///
    /// # Errors
    /// Those of the operating system.
    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>>;
}

/// A file system in which one file has the content of another.
pub(super) struct InPlace<'f> {
    pub(super) files: &'f dyn Files,
    /// The path that is asked for.
    pub(super) place: &'f Path,
    /// The file that is read instead.
    pub(super) file: &'f Path,
}

impl Files for InPlace<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.files.read(if path == self.place { self.file } else { path })
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        self.files.list(directory)
    }
}

/// A file system in which one file has this text.
pub(crate) struct WithText<'f> {
    pub(crate) files: &'f dyn Files,
    pub(crate) place: &'f Path,
    pub(crate) text: &'f str,
}

impl Files for WithText<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        if path == self.place { Ok(self.text.as_bytes().to_vec()) } else { self.files.read(path) }
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        self.files.list(directory)
    }
}

/// The real file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

impl Disk {
    /// Reads a file in chunks of at most [`CHUNK`] bytes. The last chunk may be empty.
    ///
    /// # Errors
    /// Those of [`Files::read`].
    pub fn read_chunks(file: &OwnedFd, mut take: impl FnMut(&[u8])) -> io::Result<()> {
        let mut chunk = vec![0; CHUNK];
        let (mut filled, mut total) = (0, 0);
        // Counts what is read: the file may grow after `fstat`.
        while total <= MAX_BYTES {
            let count = retry_on_intr(|| read(file, &mut chunk[filled..]))?;
            filled += count;
            total += count as u64;
            if filled == CHUNK || count == 0 {
                take(&chunk[..filled]);
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
        // Without NONBLOCK, opening a FIFO waits for its writer. It has no effect on a regular file.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = rustix::fs::open(path, flags, Mode::empty())?;
        Disk::stat_regular(&file)?;
        Ok(file)
    }

    /// The metadata of an open regular file.
    ///
    /// # Errors
    /// `IsADirectory`; `InvalidInput` for other non-regular files.
    pub fn stat_regular(file: &OwnedFd) -> io::Result<Stat> {
        let stat = rustix::fs::fstat(file)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Ok(stat),
            FileType::Directory => Err(io::ErrorKind::IsADirectory.into()),
            other => Err(io::Error::new(io::ErrorKind::InvalidInput, format!("not a regular file but {}", type_name(other)))),
        }
    }
}

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        Disk::read_chunks(&Disk::open(path)?, |chunk| bytes.extend_from_slice(chunk))?;
        Ok(bytes)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
        std::fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name())).collect()
    }
}

fn type_name(file_type: FileType) -> &'static str {
    match file_type {
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        _ => "something else",
    }
}
