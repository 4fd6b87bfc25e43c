//! A file to append to, which may be put aside when it has grown, and which others may take away at any time.

use rustix::fs::OFlags;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;

/// How a file is put aside: it becomes `path.1`, that `path.2`, and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// Bytes that it may hold; a line longer than that has a file to itself.
    pub(super) max_size: u64,
    /// How many are kept besides it.
    pub(super) keep: u32,
}

/// The file that is at a path.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    open: Option<Open>,
    limits: Option<Limits>,
    /// Why it couldn't be put aside; it grows meanwhile.
    stuck: Option<io::Error>,
}

/// A file that is open.
#[derive(Debug)]
struct Open {
    file: File,
    /// What no other file has as long as this one is open: device and inode.
    identity: (u64, u64),
    /// As it was when it was looked at last.
    size: u64,
}

impl LogFile {
    pub(super) fn new(path: PathBuf, limits: Option<Limits>) -> LogFile {
        LogFile { path, open: None, limits, stuck: None }
    }

    /// Puts it aside by other limits from now on.
    pub(super) fn limit(&mut self, limits: Limits) {
        self.limits = Some(limits);
    }

    /// Lets go of it, so that the next line goes to whatever is at the path then.
    pub(super) fn close(&mut self) {
        self.open = None;
    }

    /// Opens what is at the path, unless that is open already. One that was moved away, deleted or replaced is let go,
    /// also if nobody said so. Answers whether it's another one than before.
    ///
    /// # Errors
    /// Those of `open(2)`.
    pub(super) fn open(&mut self) -> io::Result<bool> {
        if let Some(open) = &mut self.open {
            match std::fs::metadata(&self.path) {
                Ok(there) if identity(&there) == open.identity => {
                    open.size = there.len();
                    return Ok(false);
                }
                Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                    open.size = open.file.metadata()?.len();
                    return Ok(false);
                }
                Ok(_) | Err(_) => self.open = None,
            }
        }
        let flags = OFlags::NOCTTY.bits().cast_signed();
        let file = OpenOptions::new().append(true).create(true).mode(0o640).custom_flags(flags).open(&self.path)?;
        let ours = file.metadata()?;
        self.open = Some(Open { file, identity: identity(&ours), size: ours.len() });
        Ok(true)
    }

    /// The open file, and how much of the text may go to it: up to the end of a line. Puts it aside first if not even
    /// one line fits any more. The text isn't empty.
    ///
    /// # Errors
    /// That it can't be opened or looked at. That it can't be put aside is no reason to lose lines: see
    /// [`LogFile::stuck`].
    pub(super) fn room(&mut self, text: &[u8]) -> io::Result<(&File, usize)> {
        self.open()?;
        self.stuck = None;
        if let Some(limits) = self.limits {
            let size = self.opened()?.size;
            let mut fitting = fitting(text, limits.max_size.saturating_sub(size));
            if fitting == 0 && size > 0 {
                self.stuck = self.put_aside(limits.keep).err();
                self.open()?;
                let room = if self.stuck.is_some() { u64::MAX } else { limits.max_size };
                fitting = self::fitting(text, room);
            }
            if fitting == 0 {
                fitting = text.iter().position(|&byte| byte == b'\n').map_or(text.len(), |end| end + 1);
            }
            return Ok((&self.opened()?.file, fitting));
        }
        Ok((&self.opened()?.file, text.len()))
    }

    /// Why it couldn't be put aside the last time that it should have been.
    pub(super) fn stuck(&self) -> Option<&io::Error> {
        self.stuck.as_ref()
    }

    fn opened(&self) -> io::Result<&Open> {
        self.open.as_ref().ok_or_else(|| ErrorKind::NotFound.into())
    }

    /// Puts the file aside, the oldest one over the edge.
    fn put_aside(&mut self, keep: u32) -> io::Result<()> {
        let aside = |number: u32| {
            let mut path = self.path.clone().into_os_string();
            path.push(format!(".{number}"));
            PathBuf::from(path)
        };
        if keep == 0 {
            present(std::fs::remove_file(&self.path))?;
        } else {
            for number in (1..keep).rev() {
                present(std::fs::rename(aside(number), aside(number + 1)))?;
            }
            present(std::fs::rename(&self.path, aside(1)))?;
        }
        self.open = None;
        Ok(())
    }
}

fn identity(file: &Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

/// How much of the text fits, in whole lines.
fn fitting(text: &[u8], room: u64) -> usize {
    let room = usize::try_from(room).unwrap_or(usize::MAX);
    if text.len() <= room {
        return text.len();
    }
    memchr::memrchr(b'\n', &text[..room]).map_or(0, |end| end + 1)
}

/// A file that isn't there doesn't have to be moved.
fn present(moved: io::Result<()>) -> io::Result<()> {
    moved.or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) })
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

    /// A directory for a test, and what is in a file of it.
    fn directory(name: &str) -> (PathBuf, impl Fn(&str) -> Option<String>) {
        let directory = std::env::temp_dir().join(format!("navigator-rotation-{name}-{}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        let place = directory.clone();
        (directory, move |file| fs::read_to_string(place.join(file)).ok())
    }

    #[test]
    fn so_many_are_kept_and_no_line_is_broken() {
        let (directory, content) = directory("keep");
        let path = directory.join("log");
        let mut file = LogFile::new(path.clone(), Some(Limits { max_size: 10, keep: 2 }));
        write(&mut file, "one\ntwo\nthree\nand a long one\n");
        write(&mut file, "four\nfive\n");
        write(&mut file, "six\n");
        assert_eq!(content("log").as_deref(), Some("six\n"));
        assert_eq!(content("log.1").as_deref(), Some("four\nfive\n"));
        assert_eq!(content("log.2").as_deref(), Some("and a long one\n"));
        assert_eq!(content("log.3"), None);
        let mut none_kept = LogFile::new(path, Some(Limits { max_size: 5, keep: 0 }));
        write(&mut none_kept, "seven\neight\n");
        assert_eq!(content("log").as_deref(), Some("eight\n"));
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_file_that_was_emptied_has_all_its_room_again() {
        let (directory, content) = directory("emptied");
        let path = directory.join("log");
        let mut file = LogFile::new(path.clone(), Some(Limits { max_size: 10, keep: 1 }));
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
    fn whoever_takes_the_file_away_gets_a_new_one() {
        let (directory, content) = directory("away");
        let path = directory.join("log");
        let mut file = LogFile::new(path.clone(), None);
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
    fn a_file_that_can_not_be_put_aside_grows() {
        let (directory, content) = directory("stuck");
        let path = directory.join("log");
        // A directory that isn't empty stands in the way.
        fs::create_dir_all(directory.join("log.1/full")).unwrap();
        let mut file = LogFile::new(path, Some(Limits { max_size: 5, keep: 1 }));
        write(&mut file, "one\ntwo\nthree\n");
        assert!(file.stuck().is_some());
        assert_eq!(content("log").as_deref(), Some("one\ntwo\nthree\n"));
        fs::remove_dir_all(directory.join("log.1")).unwrap();
        write(&mut file, "four\n");
        assert!(file.stuck().is_none());
        assert_eq!(content("log").as_deref(), Some("four\n"));
        fs::remove_dir_all(directory).unwrap();
    }
}
