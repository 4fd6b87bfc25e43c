//! Log files: opened for appending, rotated by size, reopened when another program moved or removed them.
//!
//! Its path may lead through directories that a process's user can change. So each step is checked through a held descriptor,
//! and from the first such directory on, navigator acts with that user's rights ([`crate::access::walk`]). A `stat` of the
//! plain path only shows whether to walk again.

use super::mounts::device_of;
use crate::access::Trust;
use crate::access::identity::Identity;
use crate::access::walk::{FoundPath, Rules};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, fstat, renameat, unlinkat};
use rustix::io::Errno;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Permissions of new files and directories.
const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR).union(Mode::RGRP);
const DIRECTORY_MODE: Mode = Mode::RWXU.union(Mode::RGRP).union(Mode::XGRP).union(Mode::ROTH).union(Mode::XOTH);

/// Limits of rotation: the file becomes `path.1`, that `path.2`, and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// Maximum size in bytes; a longer line gets a file of its own.
    max_size: u64,
    /// Number of old files.
    keep: u32,
}

impl Limits {
    /// A size of 0 means that the file is never rotated.
    pub(super) fn new(max_size: u64, keep: u32) -> Limits {
        Limits { max_size: if max_size == 0 { u64::MAX } else { max_size }, keep }
    }
}

/// The user that a file is opened for, and the trusted users.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FileOwner {
    /// On untrusted steps, navigator acts with the rights of the user below.
    pub(super) trust: Trust,
    /// The user of the process; `None` for navigator's own log.
    pub(super) identity: Option<Identity>,
}

/// The log file at a path.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    owner: FileOwner,
    open: Option<OpenFile>,
    /// The device number of its filesystem, or of the one it will be created on.
    device: u64,
    limits: Option<Limits>,
    /// Why it could not be rotated; it grows meanwhile.
    rotation_error: Option<io::Error>,
}

/// A file that is open.
#[derive(Debug)]
struct OpenFile {
    file: File,
    /// Device and inode.
    id: (u64, u64),
    /// Bytes, at the last `stat`.
    size: u64,
    /// It is a regular file outside `/dev` and `/proc`.
    may_rotate: bool,
}

impl LogFile {
    pub(super) fn new(path: PathBuf, owner: FileOwner, limits: Option<Limits>) -> LogFile {
        let device = device_of(&path);
        LogFile { path, owner, open: None, device, limits, rotation_error: None }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The device number of its filesystem; before it is opened, a guess by its path.
    pub(super) fn device(&self) -> u64 {
        self.device
    }

    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.open.as_ref().map(|open| open.file.as_fd())
    }

    /// Walks its path.
    fn resolve(&self) -> io::Result<FoundPath<'_>> {
        let FileOwner { trust, identity } = &self.owner;
        Rules { trust: *trust, act_as: identity.as_ref(), make: Some(DIRECTORY_MODE) }.find(&self.path)
    }

    /// Rotates by these limits from now on.
    pub(super) fn set_limits(&mut self, limits: Limits) {
        self.limits = Some(limits);
    }

    /// Closes the file; the next write opens the path again.
    pub(super) fn close(&mut self) {
        self.open = None;
    }

    /// Opens the file at the path, unless it is open. A file that was moved, deleted or replaced is closed. Missing directories
    /// are created. Returns whether it is another file than before.
    ///
    /// # Errors
    /// Errors of `openat(2)`, a [`crate::access::Distrust`], or not a regular file with a single name.
    pub(super) fn open(&mut self) -> io::Result<bool> {
        if let Some(open) = &mut self.open {
            match rustix::fs::stat(&self.path) {
                Ok(there) if file_id(&there) == open.id => {
                    open.size = size(&there);
                    return Ok(false);
                }
                Err(error) if !matches!(error, Errno::NOENT | Errno::NOTDIR) => {
                    open.size = size(&fstat(&open.file)?);
                    return Ok(false);
                }
                Ok(_) | Err(_) => self.open = None,
            }
        }
        let found = self.resolve()?;
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE;
        let file = found.open(flags, FILE_MODE).map_err(|error| of_open(error, found.may_be_special()))?;
        let (opened, may_be_special) = (fstat(&file)?, found.may_be_special());
        if !may_be_special && !is_single_regular(&opened) {
            return Err(not_regular());
        }
        let may_rotate = !may_be_special;
        self.device = opened.st_dev;
        self.open = Some(OpenFile { file: file.into(), id: file_id(&opened), size: size(&opened), may_rotate });
        Ok(true)
    }

    /// The open file, and how many bytes of the text may go to it, in whole lines. Rotates first if not one line fits. The text
    /// must not be empty.
    ///
    /// # Errors
    /// It can't be opened. A failed rotation is no error, so no lines are lost: see [`LogFile::rotation_error`].
    pub(super) fn room(&mut self, text: &[u8]) -> io::Result<(&File, usize)> {
        self.open()?;
        self.rotation_error = None;
        let &OpenFile { may_rotate, size, .. } = self.opened()?;
        if let Some(limits) = self.limits.filter(|_| may_rotate) {
            let mut fitting = fitting_lines(text, limits.max_size.saturating_sub(size));
            if fitting == 0 && size > 0 {
                self.rotation_error = self.rotate(limits.keep).err();
                self.open()?;
                let room = if self.rotation_error.is_some() { u64::MAX } else { limits.max_size };
                fitting = fitting_lines(text, room);
            }
            if fitting == 0 {
                fitting = text.iter().position(|&byte| byte == b'\n').map_or(text.len(), |end| end + 1);
            }
            return Ok((&self.opened()?.file, fitting));
        }
        Ok((&self.opened()?.file, text.len()))
    }

    /// Why the last rotation failed.
    pub(super) fn rotation_error(&self) -> Option<&io::Error> {
        self.rotation_error.as_ref()
    }

    fn opened(&self) -> io::Result<&OpenFile> {
        self.open.as_ref().ok_or_else(|| ErrorKind::NotFound.into())
    }

    /// Rotates the file and removes the oldest. If the path is a link, its target is rotated.
    fn rotate(&mut self, keep: u32) -> io::Result<()> {
        let found = self.resolve()?;
        let is_same = |stat: Stat| self.open.as_ref().is_some_and(|open| file_id(&stat) == open.id);
        if found.stat()?.is_some_and(is_same) {
            let rotated = |number: u32| [found.name().to_owned(), format!(".{number}").into()].into_iter().collect::<OsString>();
            let names: Vec<OsString> = (1..=keep).map(rotated).collect();
            for name in &names {
                if found.is_owned_by_other(name)? {
                    let text = format!("`{}` belongs to another user", found.path().with_file_name(name).display());
                    return Err(io::Error::new(ErrorKind::PermissionDenied, text));
                }
            }
            found.act(|directory| rename_all(directory, &found, &names))?;
        }
        self.open = None;
        Ok(())
    }
}

/// Checks whether a file could be opened or created, without creating anything.
///
/// # Errors
/// As for [`LogFile::open`].
pub(super) fn check_openable(path: &Path, owner: &FileOwner) -> io::Result<()> {
    let rules = Rules { trust: owner.trust, act_as: owner.identity.as_ref(), make: None };
    match rules.find(path).and_then(|found| Ok((found.may_be_special(), found.stat()?))) {
        Ok((false, Some(stat))) if !is_single_regular(&stat) => Err(not_regular()),
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Under systemd, `/dev/stdout` leads to a socket.
fn of_open(error: io::Error, may_be_special: bool) -> io::Error {
    if may_be_special && Errno::from_io_error(&error) == Some(Errno::NXIO) {
        let text = "it is a socket, which can't be opened by a path; without a file, lines go to standard output";
        return io::Error::new(ErrorKind::InvalidInput, text);
    }
    error
}

fn not_regular() -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, "it is not a regular file with a single name")
}

/// Renames the file to the first of these names, that one to the second, and so on; without names, removes it.
fn rename_all(directory: BorrowedFd<'_>, found: &FoundPath<'_>, names: &[OsString]) -> Result<(), Errno> {
    let Some(first) = names.first() else { return ignore_missing(unlinkat(directory, found.name(), AtFlags::empty())) };
    for pair in names.windows(2).rev() {
        ignore_missing(renameat(directory, &pair[0], directory, &pair[1]))?;
    }
    ignore_missing(renameat(directory, found.name(), directory, first))
}

fn file_id(file: &Stat) -> (u64, u64) {
    (file.st_dev, file.st_ino)
}

fn size(file: &Stat) -> u64 {
    u64::try_from(file.st_size).unwrap_or(0)
}

/// Whether it is a regular file without a second name; a file that was just removed has none at all.
fn is_single_regular(file: &Stat) -> bool {
    FileType::from_raw_mode(file.st_mode) == FileType::RegularFile && file.st_nlink <= 1
}

/// Bytes of the text that fit, in whole lines.
fn fitting_lines(text: &[u8], room: u64) -> usize {
    let room = usize::try_from(room).unwrap_or(usize::MAX);
    if text.len() <= room {
        return text.len();
    }
    memchr::memrchr(b'\n', &text[..room]).map_or(0, |end| end + 1)
}

/// Treats a missing file as success.
fn ignore_missing(moved: Result<(), Errno>) -> Result<(), Errno> {
    moved.or_else(|error| if error == Errno::NOENT { Ok(()) } else { Err(error) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write;

    fn write(file: &mut LogFile, text: &str) {
        let mut text = text.as_bytes();
        while !text.is_empty() {
            let (mut open, length) = file.room(text).unwrap();
            open.write_all(&text[..length]).unwrap();
            text = &text[length..];
        }
    }

    /// A directory for a test, and a function that reads a file in it.
    fn directory(name: &str) -> (PathBuf, impl Fn(&str) -> Option<String>) {
        let directory = std::env::temp_dir().join(format!("navigator-rotation-{name}-{}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        let root = directory.clone();
        (directory, move |file| fs::read_to_string(root.join(file)).ok())
    }

    #[test]
    fn rotation_keeps_the_configured_number_of_files_and_breaks_no_line() {
        let (directory, content) = directory("keep");
        let path = directory.join("log");
        let mut file = LogFile::new(path.clone(), FileOwner::default(), Some(Limits::new(10, 2)));
        write(&mut file, "one\ntwo\nthree\nand a long one\n");
        write(&mut file, "four\nfive\n");
        write(&mut file, "six\n");
        assert_eq!(content("log").as_deref(), Some("six\n"));
        assert_eq!(content("log.1").as_deref(), Some("four\nfive\n"));
        assert_eq!(content("log.2").as_deref(), Some("and a long one\n"));
        assert_eq!(content("log.3"), None);
        let mut none_kept = LogFile::new(path, FileOwner::default(), Some(Limits::new(5, 0)));
        write(&mut none_kept, "seven\neight\n");
        assert_eq!(content("log").as_deref(), Some("eight\n"));
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_size_of_zero_means_that_the_file_is_never_rotated() {
        let (directory, content) = directory("never");
        let mut file = LogFile::new(directory.join("log"), FileOwner::default(), Some(Limits::new(0, 1)));
        (0..100).for_each(|number| write(&mut file, &format!("{number}\n")));
        let lines: Vec<String> = content("log").unwrap_or_default().lines().map(str::to_owned).collect();
        assert_eq!(lines, (0..100).map(|number| number.to_string()).collect::<Vec<_>>());
        assert_eq!(content("log.1"), None);
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_truncated_file_may_grow_to_its_limit_again() {
        let (directory, content) = directory("emptied");
        let path = directory.join("log");
        let mut file = LogFile::new(path.clone(), FileOwner::default(), Some(Limits::new(10, 1)));
        write(&mut file, "one\ntwo\n");
        fs::write(&path, "").unwrap();
        write(&mut file, "three\nsix\n");
        assert_eq!([content("log").as_deref(), content("log.1").as_deref()], [Some("three\nsix\n"), None]);
        fs::write(&path, "by others\n").unwrap();
        write(&mut file, "seven\n");
        assert_eq!([content("log").as_deref(), content("log.1").as_deref()], [Some("seven\n"), Some("by others\n")]);
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_moved_removed_or_replaced_file_is_opened_again() {
        let (directory, content) = directory("away");
        let path = directory.join("log");
        let mut file = LogFile::new(path.clone(), FileOwner::default(), None);
        write(&mut file, "one\n");
        fs::rename(&path, directory.join("moved")).unwrap();
        write(&mut file, "two\n");
        assert_eq!([content("moved").as_deref(), content("log").as_deref()], [Some("one\n"), Some("two\n")]);
        fs::remove_file(&path).unwrap();
        write(&mut file, "three\n");
        assert_eq!(content("log").as_deref(), Some("three\n"));
        fs::write(directory.join("other"), "four\n").unwrap();
        fs::rename(directory.join("other"), &path).unwrap();
        write(&mut file, "five\n");
        assert_eq!(content("log").as_deref(), Some("four\nfive\n"));
        fs::write(&path, "").unwrap();
        write(&mut file, "six\n");
        assert_eq!(content("log").as_deref(), Some("six\n"), "emptied in place, as `copytruncate` does");
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_file_that_cannot_be_rotated_grows() {
        let (directory, content) = directory("stuck");
        let path = directory.join("log");
        // A non-empty directory blocks the new name.
        fs::create_dir_all(directory.join("log.1/full")).unwrap();
        let mut file = LogFile::new(path, FileOwner::default(), Some(Limits::new(5, 1)));
        write(&mut file, "one\ntwo\nthree\n");
        assert!(file.rotation_error().is_some());
        assert_eq!(content("log").as_deref(), Some("one\ntwo\nthree\n"));
        fs::remove_dir_all(directory.join("log.1")).unwrap();
        write(&mut file, "four\n");
        assert!(file.rotation_error().is_none());
        assert_eq!(content("log").as_deref(), Some("four\n"));
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn the_target_of_a_link_is_rotated_and_the_link_stays() {
        let (directory, content) = directory("link");
        fs::create_dir(directory.join("real")).unwrap();
        let path = directory.join("log");
        std::os::unix::fs::symlink("real/web", &path).unwrap();
        let mut file = LogFile::new(path.clone(), FileOwner::default(), Some(Limits::new(4, 1)));
        write(&mut file, "one\ntwo\n");
        assert_eq!(fs::read_link(&path).unwrap(), Path::new("real/web"));
        assert_eq!([content("real/web").as_deref(), content("real/web.1").as_deref()], [Some("two\n"), Some("one\n")]);
        assert_eq!(content("log.1"), None);
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn only_a_regular_file_with_one_name_is_accepted_and_missing_directories_are_created() {
        let (directory, content) = directory("plain");
        let open =
            |name: &str| LogFile::new(directory.join(name), FileOwner::default(), None).open().map_err(|error| error.kind());
        rustix::fs::mkfifoat(rustix::fs::CWD, directory.join("fifo"), Mode::RWXU).unwrap();
        let reader = rustix::fs::open(directory.join("fifo"), OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty()).unwrap();
        fs::write(directory.join("one"), "").unwrap();
        fs::hard_link(directory.join("one"), directory.join("two")).unwrap();
        assert_eq!(["fifo", "one", "two"].map(open), [Err(ErrorKind::InvalidInput); 3]);
        assert_eq!(open("new/deeper/log"), Ok(true));
        assert_eq!(content("new/deeper/log").as_deref(), Some(""));
        drop(reader);
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn files_under_dev_and_proc_are_accepted_and_never_rotated() {
        let (ours, theirs) = rustix::pipe::pipe().unwrap();
        let path = format!("/proc/self/fd/{}", rustix::fd::AsRawFd::as_raw_fd(&theirs));
        let mut file = LogFile::new(path.into(), FileOwner::default(), Some(Limits::new(4, 1)));
        write(&mut file, "one\ntwo\nthree\n");
        drop((file, theirs));
        let mut text = String::new();
        io::Read::read_to_string(&mut File::from(ours), &mut text).unwrap();
        assert_eq!(text, "one\ntwo\nthree\n");
        let (socket, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        let path = format!("/proc/self/fd/{}", rustix::fd::AsRawFd::as_raw_fd(&socket));
        let error = LogFile::new(path.into(), FileOwner::default(), None).open().unwrap_err();
        assert!(error.to_string().starts_with("it is a socket"), "{error}");
        let mut null = LogFile::new("/dev/null".into(), FileOwner::default(), Some(Limits::new(4, 1)));
        write(&mut null, "one\ntwo\n");
        assert!(null.rotation_error().is_none());
    }
}
