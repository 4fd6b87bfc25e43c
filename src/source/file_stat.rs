//! What can be seen of files without reading them, and what two looks at the same paths say about what happened between.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// What was seen at some paths; `None` where nothing is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FileStats(BTreeMap<PathBuf, Option<FileStat>>);

/// What can be seen of a file without reading it. The content may differ only if this does, but for changes within the
/// resolution of the file system's clock: see [`Stamp::is_fresh`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileStat {
    is_directory: bool,
    /// It has no name any more. That can be seen by a path only where the file is mounted by itself: there it stays when
    /// another one takes its name outside.
    is_nameless: bool,
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    /// Also moves when a file is renamed or its mode changes.
    changed: (i64, i64),
}

impl FileStats {
    /// Adds what was seen at a path, unless it was seen before: then the two differ if it changed, and another look tells.
    pub(super) fn add(&mut self, path: &Path, stamp: Option<FileStat>) {
        self.0.entry(path.to_owned()).or_insert(stamp);
    }

    /// What is at the same paths now.
    pub(super) fn again(&self) -> FileStats {
        FileStats(self.0.keys().map(|path| (path.clone(), FileStat::of(path))).collect())
    }

    /// Whether every file is as it was. Directories don't count: who knows what else is kept in them.
    pub(super) fn has_the_files_of(&self, earlier: &FileStats) -> bool {
        self.pairs(earlier).all(|(was, is)| was == is || both_directories(was, is))
    }

    /// Whether each file is as it was or is another one, put in its place: none was written to, and none is missing.
    pub(super) fn replaces(&self, earlier: &FileStats) -> bool {
        let is_replaced = |was: Option<FileStat>, is: Option<FileStat>| match (was, is) {
            (Some(was), Some(is)) => (was.device, was.inode) != (is.device, is.inode),
            (was, is) => was.is_none() && is.is_some(),
        };
        self.pairs(earlier).all(|(was, is)| was == is || both_directories(was, is) || is_replaced(was, is))
    }

    /// Whether what is at this path is seen as it was earlier.
    pub(super) fn is_as_in(&self, earlier: &FileStats, path: &Path) -> bool {
        self.0.get(path) == earlier.0.get(path)
    }

    /// The paths at which a file without a name is.
    pub(super) fn nameless(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().filter(|(_, stamp)| stamp.is_some_and(|stamp| stamp.is_nameless)).map(|(path, _)| path.as_path())
    }

    /// Earlier and now, for every path that is in both.
    fn pairs(&self, earlier: &FileStats) -> impl Iterator<Item = (Option<FileStat>, Option<FileStat>)> {
        self.0.iter().filter_map(|(path, is)| Some((*earlier.0.get(path)?, *is)))
    }
}

fn both_directories(was: Option<FileStat>, is: Option<FileStat>) -> bool {
    was.zip(is).is_some_and(|(was, is)| was.is_directory && is.is_directory)
}

impl FileStat {
    /// What is at a path now, symbolic links followed.
    pub(super) fn of(path: &Path) -> Option<FileStat> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let stat = std::fs::metadata(path).ok()?;
        Some(FileStat {
            is_directory: stat.is_dir(),
            is_nameless: stat.is_file() && stat.nlink() == 0,
            device: stat.dev(),
            inode: stat.ino(),
            size: stat.size(),
            modified: (stat.mtime(), stat.mtime_nsec()),
            changed: (stat.ctime(), stat.ctime_nsec()),
        })
    }

    /// How many bytes it has.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Whether it changed so shortly ago that another change might leave the same times. File systems stamp by a clock
    /// that ticks every few milliseconds (`CLOCK_REALTIME_COARSE` in `clock_getres(2)`).
    pub(super) fn is_fresh(&self) -> bool {
        const TICKS: Duration = Duration::from_millis(30);
        let Ok(now) = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) else { return false };
        let (seconds, nanos) = self.changed;
        let changed = Duration::new(u64::try_from(seconds).unwrap_or(0), u32::try_from(nanos).unwrap_or(0));
        // In the future, too: a clock that was set back must not make a file look fresh until it has caught up.
        now.abs_diff(changed) < TICKS
    }
}

#[cfg(test)]
impl FileStats {
    /// Made-up files: a path, and its inode and size, or nothing. A path that ends in `/` is a directory.
    pub(super) fn made(files: &[(&str, Option<(u64, u64)>)]) -> FileStats {
        let stamp = |is_directory, (inode, size)| FileStat {
            is_directory,
            is_nameless: false,
            device: 1,
            inode,
            size,
            modified: (i64::try_from(size).unwrap_or(0), 0),
            changed: (i64::try_from(size).unwrap_or(0), 0),
        };
        FileStats(files.iter().map(|(path, is)| (PathBuf::from(path), is.map(|is| stamp(path.ends_with('/'), is)))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_in_place_is_told_from_what_was_written_to() {
        let file = |is| FileStats::made(&[("a", is), ("optional", None)]);
        let was = file(Some((1, 10)));
        for (is, same, replaces) in
            [(Some((1, 10)), true, true), (Some((1, 11)), false, false), (Some((2, 10)), false, true), (None, false, false)]
        {
            let now = file(is);
            assert_eq!((now.has_the_files_of(&was), now.replaces(&was)), (same, replaces), "{is:?}");
        }
        assert!(was.replaces(&file(None)), "what wasn't there and now is came whole");
    }

    #[test]
    fn a_busy_directory_is_no_change_of_a_file() {
        let was = FileStats::made(&[("a", Some((1, 10))), ("parts/", Some((2, 1)))]);
        let now = FileStats::made(&[("a", Some((1, 10))), ("parts/", Some((2, 2)))]);
        assert_ne!(now, was);
        assert!(now.has_the_files_of(&was) && now.replaces(&was));
    }
}
