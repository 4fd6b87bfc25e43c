//! The configuration file, read in one go with everything it names, and what was seen of each file on the way.
//!
//! It decides whether what stands in the files can be wanted, not whether anything changed.

use crate::config::{self, Disk, Environment, Files, Inputs, Loaded, Rejected};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// A configuration file and everything it names.
#[derive(Clone, Debug)]
pub struct FileSource {
    path: PathBuf,
    environment: Environment,
}

/// One reading of all files.
#[derive(Debug)]
pub struct Reading {
    /// What stands in them.
    pub revision: Result<Loaded, Rejected>,
    /// What was seen of each input, and of each directory that decides which files are inputs.
    pub(super) stamps: Stamps,
    /// The same for the same content (or the same error) of the same files.
    pub(super) digest: u64,
    /// A file changed while it was read, or so shortly before that its times can't tell.
    pub(super) is_shaky: bool,
}

impl Reading {
    /// The files and directories that decided the outcome.
    pub(super) fn inputs(&self) -> &Inputs {
        match &self.revision {
            Ok(loaded) => &loaded.inputs,
            Err(rejected) => &rejected.inputs,
        }
    }
}

/// What can be seen of files without reading them; `None` for one that isn't there.
pub(super) type Stamps = BTreeMap<PathBuf, Option<Stamp>>;

/// What can be seen of a file without reading it. The content may differ only if this does, but for changes within the
/// resolution of the file system's clock: see [`Reading::is_shaky`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Its entries are what counts, and those are put in place one by one.
    pub(super) is_directory: bool,
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    /// Also moves when a file is renamed or its mode changes.
    changed: (i64, i64),
}

impl Stamp {
    /// What is at a path now, symbolic links followed.
    pub(super) fn of(path: &Path) -> Option<Stamp> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let stat = std::fs::metadata(path).ok()?;
        Some(Stamp {
            is_directory: stat.is_dir(),
            device: stat.dev(),
            inode: stat.ino(),
            size: stat.size(),
            modified: (stat.mtime(), stat.mtime_nsec()),
            changed: (stat.ctime(), stat.ctime_nsec()),
        })
    }

    /// Whether it is the same file, whatever is in it.
    pub(super) fn is_same_file(&self, other: &Stamp) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }

    /// Whether it changed so shortly ago that another change might leave the same times. File systems stamp by a clock
    /// that ticks every few milliseconds (`CLOCK_REALTIME_COARSE` in `clock_getres(2)`).
    fn is_fresh(&self) -> bool {
        const TICKS: Duration = Duration::from_millis(30);
        let Ok(now) = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) else { return false };
        let (seconds, nanos) = self.changed;
        let changed = Duration::new(u64::try_from(seconds).unwrap_or(0), u32::try_from(nanos).unwrap_or(0));
        now.saturating_sub(changed) < TICKS
    }
}

impl FileSource {
    /// The file at `path`; `environment` is what substitution sees of navigator's own.
    pub fn new(path: PathBuf, environment: Environment) -> FileSource {
        FileSource { path, environment }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads everything now.
    pub fn read(&self) -> Reading {
        let witness = Witness::default();
        let revision = config::load(&self.path, &witness, &self.environment);
        let Witness { stamps, hasher, is_shaky } = witness;
        Reading { revision, stamps: stamps.into_inner(), digest: hasher.into_inner().finish(), is_shaky: is_shaky.get() }
    }
}

/// The file system, with notes on what was seen.
#[derive(Default)]
struct Witness {
    stamps: RefCell<Stamps>,
    hasher: RefCell<DefaultHasher>,
    is_shaky: Cell<bool>,
}

impl Witness {
    /// Asks the disk between two looks at the path, and remembers what was seen and answered.
    fn note<T: Hash>(&self, path: &Path, ask: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let before = Stamp::of(path);
        let answer = ask();
        let mut hasher = self.hasher.borrow_mut();
        path.hash(&mut *hasher);
        match &answer {
            Ok(content) => content.hash(&mut *hasher),
            Err(error) => error.to_string().hash(&mut *hasher),
        }
        let is_steady = before == Stamp::of(path) && !before.as_ref().is_some_and(Stamp::is_fresh);
        self.is_shaky.set(self.is_shaky.get() || !is_steady);
        self.stamps.borrow_mut().insert(path.to_owned(), before);
        answer
    }
}

impl Files for Witness {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.note(path, || Disk.read(path))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        self.note(directory, || {
            let mut names = Disk.list(directory)?;
            names.sort_unstable();
            Ok(names)
        })
    }
}
