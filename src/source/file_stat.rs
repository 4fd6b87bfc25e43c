//! File metadata from `stat(2)`, and what two snapshots of the same paths say about the change between them.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// The metadata at some paths; `None` where there is no file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FileStats(BTreeMap<PathBuf, Option<FileStat>>);

/// The metadata of a file. If it is the same, the content is the same, except for changes within the resolution of the file
/// system's clock (see [`FileStat::is_fresh`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileStat {
    is_directory: bool,
    /// It has no name any more. That can be seen by path only where the file itself is a mount point: it stays there after
    /// another file takes its name outside.
    is_unlinked: bool,
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    /// Also moves when a file is renamed or its mode changes.
    changed: (i64, i64),
}

impl FileStats {
    /// Adds the metadata of a path, unless there is some already. If the file changed between the two, the next check finds it.
    pub(super) fn add(&mut self, path: &Path, stat: Option<FileStat>) {
        self.0.entry(path.to_owned()).or_insert(stat);
    }

    /// The current metadata of the same paths.
    pub(super) fn stat_again(&self) -> FileStats {
        FileStats(self.0.keys().map(|path| (path.clone(), FileStat::of(path))).collect())
    }

    /// Whether every file is unchanged. Directories don't count: other programs may keep files there.
    pub(super) fn has_same_files(&self, earlier: &FileStats) -> bool {
        self.pairs(earlier).all(|(was, is)| was == is || both_directories(was, is))
    }

    /// Whether each file is unchanged or replaced by another one: none was written to, and none is missing.
    pub(super) fn replaces(&self, earlier: &FileStats) -> bool {
        let is_replaced = |was: Option<FileStat>, is: Option<FileStat>| match (was, is) {
            (Some(was), Some(is)) => (was.device, was.inode) != (is.device, is.inode),
            (was, is) => was.is_none() && is.is_some(),
        };
        self.pairs(earlier).all(|(was, is)| was == is || both_directories(was, is) || is_replaced(was, is))
    }

    /// Whether there are several files, or directories in which files are looked for.
    pub(super) fn are_several(&self) -> bool {
        self.0.len() > 1
    }

    /// Whether the metadata of this path is the same in both.
    pub(super) fn is_same_at(&self, earlier: &FileStats, path: &Path) -> bool {
        self.0.get(path) == earlier.0.get(path)
    }

    /// The paths of files that have no name any more.
    pub(super) fn unlinked(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().filter(|(_, stat)| stat.is_some_and(|stat| stat.is_unlinked)).map(|(path, _)| path.as_path())
    }

    /// Earlier and current metadata, for every path that is in both.
    fn pairs(&self, earlier: &FileStats) -> impl Iterator<Item = (Option<FileStat>, Option<FileStat>)> {
        self.0.iter().filter_map(|(path, is)| Some((*earlier.0.get(path)?, *is)))
    }
}

fn both_directories(was: Option<FileStat>, is: Option<FileStat>) -> bool {
    was.zip(is).is_some_and(|(was, is)| was.is_directory && is.is_directory)
}

impl FileStat {
    /// The current metadata of a path, symbolic links followed.
    pub(super) fn of(path: &Path) -> Option<FileStat> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let stat = std::fs::metadata(path).ok()?;
        Some(FileStat {
            is_directory: stat.is_dir(),
            is_unlinked: stat.is_file() && stat.nlink() == 0,
            device: stat.dev(),
            inode: stat.ino(),
            size: stat.size(),
            modified: (stat.mtime(), stat.mtime_nsec()),
            changed: (stat.ctime(), stat.ctime_nsec()),
        })
    }

    /// The size in bytes.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Whether it changed so recently that another change might leave the same times. File systems take times from a clock that
    /// ticks every few milliseconds (`CLOCK_REALTIME_COARSE` in `clock_getres(2)`).
    pub(super) fn is_fresh(&self) -> bool {
        const CLOCK_TICK: Duration = Duration::from_millis(30);
        let Ok(now) = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) else { return false };
        let (seconds, nanos) = self.changed;
        let changed = Duration::new(u64::try_from(seconds).unwrap_or(0), u32::try_from(nanos).unwrap_or(0));
        // Times in the future count by distance too: after the clock is set back, a file must not look fresh until it has caught
        // up.
        now.abs_diff(changed) < CLOCK_TICK
    }
}

#[cfg(test)]
impl FileStats {
    /// Made-up files: a path with its inode and size, or `None`. A path that ends in `/` is a directory.
    pub(super) fn fake(files: &[(&str, Option<(u64, u64)>)]) -> FileStats {
        let stat = |is_directory, (inode, size)| FileStat {
            is_directory,
            is_unlinked: false,
            device: 1,
            inode,
            size,
            modified: (i64::try_from(size).unwrap_or(0), 0),
            changed: (i64::try_from(size).unwrap_or(0), 0),
        };
        FileStats(files.iter().map(|(path, is)| (PathBuf::from(path), is.map(|is| stat(path.ends_with('/'), is)))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_file_is_told_from_a_written_one() {
        let file = |is| FileStats::fake(&[("a", is), ("optional", None)]);
        let was = file(Some((1, 10)));
        for (is, same, replaces) in
            [(Some((1, 10)), true, true), (Some((1, 11)), false, false), (Some((2, 10)), false, true), (None, false, false)]
        {
            let now = file(is);
            assert_eq!((now.has_same_files(&was), now.replaces(&was)), (same, replaces), "{is:?}");
        }
        assert!(was.replaces(&file(None)), "a new file counts as replaced");
    }

    #[test]
    fn a_changed_directory_is_no_change_of_a_file() {
        let was = FileStats::fake(&[("a", Some((1, 10))), ("parts/", Some((2, 1)))]);
        let now = FileStats::fake(&[("a", Some((1, 10))), ("parts/", Some((2, 2)))]);
        assert_ne!(now, was);
        assert!(now.has_same_files(&was) && now.replaces(&was));
    }
}
