//! Reads the configuration file and everything it names in one pass, and records the metadata of each file on the way.
//!
//! It decides whether the content is valid, not whether anything changed.

use super::file_stat::{FileStat, FileStats};
use super::git::CommitInForce;
use super::revision::WatchMethod;
use crate::access::identity::Identity;
use crate::access::{Directory, FoundPath, Trust};
use crate::config::{self, Disk, Environment, Files, Inputs, Loaded, Rejected};
use crate::paths::{absolute, followed};
use crate::sys::credentials::Borrowed;
use rustix::fd::{AsFd as _, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};

/// Returns whether a process has a file open for writing; `None` where that can't be known.
pub type WriterCheck = fn(BorrowedFd<'_>) -> Option<bool>;

/// A configuration file and everything it names.
#[derive(Clone, Debug)]
pub struct FileSource {
    path: PathBuf,
    environment: Environment,
    pub(super) has_writer: WriterCheck,
    pub(super) watch_method: WatchMethod,
    trust: Trust,
    in_force: CommitInForce,
}

/// One reading of all files.
#[derive(Debug)]
pub struct Reading {
    /// The configuration they hold, or why it was rejected.
    pub revision: Result<Loaded, Rejected>,
    /// The metadata of its inputs.
    pub(super) record: ReadRecord,
    /// A digest of each answer of the file system.
    pub(super) answers: FsAnswers,
}

/// What the file system was asked, in order, with a digest of each answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FsAnswers(Vec<(FsQuestion, PathBuf, u64)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FsQuestion {
    /// The content of a file.
    Content,
    /// The names in a directory.
    Names,
}

impl FsAnswers {
    /// Whether the same files had the same content. Names in directories are left out: those that matter lead to files.
    pub(super) fn have_same_contents(&self, other: &FsAnswers) -> bool {
        self.contents().eq(other.contents())
    }

    fn contents(&self) -> impl Iterator<Item = &(FsQuestion, PathBuf, u64)> {
        self.0.iter().filter(|(question, ..)| *question == FsQuestion::Content)
    }
}

/// The metadata of files while they were read.
#[derive(Debug, Default)]
pub(super) struct ReadRecord {
    /// Of each file just before it was read, and of each directory that decides which files are read.
    pub(super) stats: FileStats,
    /// Of each file that was read: whether a process had it open for writing just before.
    pub(super) writers: BTreeMap<PathBuf, Option<bool>>,
    /// A file had changed so recently that another change may leave the same metadata.
    pub(super) is_fresh: bool,
}

impl ReadRecord {
    /// Whether the files that were read are those that were `judged` to be ready, and are still there unchanged.
    pub(super) fn is_stable(&self, judged: &FileStats) -> bool {
        self.stats.replaces(judged) && self.stats.stat_again().replaces(&self.stats)
    }
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

impl FileSource {
    /// The file at `path`; `environment` is navigator's own, for substitution.
    pub fn new(path: PathBuf, environment: Environment) -> FileSource {
        FileSource {
            path,
            environment,
            has_writer: |_| None,
            watch_method: WatchMethod::Events,
            trust: Trust::everybody(),
            in_force: CommitInForce::default(),
        }
    }

    /// Calls `has_writer` on every file before it is read. This matters to [`FileSource::follow`] alone.
    #[must_use]
    pub fn with_writer_check(self, has_writer: WriterCheck) -> FileSource {
        FileSource { has_writer, ..self }
    }

    /// Reads trusted files only.
    #[must_use]
    pub fn with_trust(self, trust: Trust) -> FileSource {
        FileSource { trust, ..self }
    }

    /// Reads what this commit wants, if the file says that a repository is followed.
    #[must_use]
    pub fn with_commit(self, in_force: CommitInForce) -> FileSource {
        FileSource { in_force, ..self }
    }

    /// Finds changes by this method. This matters to [`FileSource::follow`] alone.
    #[must_use]
    pub fn with_watch_method(self, means: WatchMethod) -> FileSource {
        FileSource { watch_method: means, ..self }
    }

    /// Reads another file in the same way. A file in the same directory is named by the same path of it, so that paths in both
    /// resolve alike.
    #[must_use]
    pub fn with_path(&self, path: PathBuf) -> FileSource {
        let directory = |path: &Path| absolute(path).parent().map(followed);
        let beside =
            path.file_name().filter(|_| directory(&path) == directory(&self.path)).map(|name| self.path.with_file_name(name));
        FileSource { path: beside.unwrap_or(path), ..self.clone() }
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads everything now.
    pub fn read(&self) -> Reading {
        self.read_in_place(&self.path)
    }

    /// Reads everything now, with the content of another file in the place of this one.
    pub fn read_in_place(&self, file: &Path) -> Reading {
        let fs = RecordingFs::new(self.has_writer).with_trust(self.trust);
        let host = config::load_in_place(file, &self.path, &fs, &self.environment);
        let revision = host.and_then(|host| self.in_force.load(host, &fs, &self.environment));
        let (record, answers) = fs.finish();
        Reading { revision, record, answers }
    }

    /// Reads the host's own file alone.
    pub(super) fn read_host(&self) -> Result<Loaded, Rejected> {
        self.read_with(|files, environment| config::load(&self.path, files, environment))
    }

    /// Reads other files in the same way.
    pub(super) fn read_with<T>(&self, read: impl FnOnce(&dyn Files, &Environment) -> T) -> T {
        read(&RecordingFs::new(self.has_writer).with_trust(self.trust), &self.environment)
    }

    /// Whether a configuration waits for the first commit of its repository.
    pub(super) fn is_awaited(&self, loaded: &Loaded) -> bool {
        self.in_force.is_awaited(loaded)
    }

    /// Asks the file system what an earlier reading asked. Equal answers mean equal content, so that nothing need be parsed
    /// again. `None`: an answer differs.
    pub(super) fn confirm(&self, earlier: &FsAnswers) -> Option<ReadRecord> {
        let fs = RecordingFs::new(self.has_writer).with_trust(self.trust);
        for (question, path, _) in &earlier.0 {
            // The answer is recorded by `fs`.
            match question {
                FsQuestion::Content => drop(fs.stream(path, |_| {})),
                FsQuestion::Names => drop(fs.list(path)),
            }
            let answers = fs.answers.borrow();
            if answers.0.last() != earlier.0.get(answers.0.len() - 1) {
                return None;
            }
        }
        Some(fs.finish().0)
    }
}

/// A file system that records what it is asked.
pub(super) struct RecordingFs {
    has_writer: WriterCheck,
    stats: RefCell<FileStats>,
    writers: RefCell<BTreeMap<PathBuf, Option<bool>>>,
    answers: RefCell<FsAnswers>,
    is_fresh: Cell<bool>,
    trust: Trust,
    /// The identity that files are opened with; `None`: navigator's own.
    identity: Option<Identity>,
}

impl RecordingFs {
    pub(super) fn new(has_writer: WriterCheck) -> RecordingFs {
        RecordingFs {
            has_writer,
            stats: RefCell::default(),
            writers: RefCell::default(),
            answers: RefCell::default(),
            is_fresh: Cell::default(),
            trust: Trust::everybody(),
            identity: None,
        }
    }

    /// Reads trusted files only.
    fn with_trust(self, trust: Trust) -> RecordingFs {
        RecordingFs { trust, ..self }
    }

    /// Records the metadata of a path that is about to be read.
    pub(super) fn stat(&self, path: &Path) -> Option<FileStat> {
        let stat = FileStat::of(path);
        self.is_fresh.set(self.is_fresh.get() || stat.as_ref().is_some_and(FileStat::is_fresh));
        self.stats.borrow_mut().add(path, stat);
        stat
    }

    /// Records whether a file that is about to be read has a writer. Call [`RecordingFs::stat`] first: a writer that opens the
    /// file after this changes the metadata recorded before.
    pub(super) fn check_writer(&self, path: &Path, file: BorrowedFd<'_>) {
        self.writers.borrow_mut().insert(path.to_owned(), (self.has_writer)(file));
    }

    /// Opens files with the identity of another user from now on.
    pub(super) fn set_identity(&mut self, identity: Option<Identity>) {
        self.identity = identity;
    }

    /// Takes on the identity to open files with, until the returned value is dropped.
    pub(super) fn borrow_identity(&self) -> io::Result<Option<Borrowed>> {
        self.identity.as_ref().map_or(Ok(None), Identity::borrow)
    }

    /// Opens a trusted file. The descriptor that was checked is the one that is read.
    fn open(&self, path: &Path) -> io::Result<OwnedFd> {
        if self.trust == Trust::everybody() {
            return Disk::open(path);
        }
        let place = FoundPath::find(path, self.trust)?;
        let file = place.open(OFlags::RDONLY, Mode::empty())?;
        place.judge(&Disk::stat_regular(&file)?)?;
        Ok(file)
    }

    /// The names in a trusted directory.
    fn names(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        if self.trust == Trust::everybody() {
            // As for files: a path that navigator can't see is not opened with the identity of another user.
            std::fs::metadata(if directory.as_os_str().is_empty() { Path::new(".") } else { directory })?;
            let _rights = self.borrow_identity()?;
            return Disk.list(directory);
        }
        let names = Directory::open(directory, self.trust)?.names()?;
        Ok(names)
    }

    /// Passes a file's content to `take` in pieces, and records a digest of the answer.
    fn stream(&self, path: &Path, mut take: impl FnMut(&[u8])) -> io::Result<()> {
        self.stat(path);
        let mut digest = DefaultHasher::new();
        let take = |piece: &[u8]| {
            piece.hash(&mut digest);
            take(piece);
        };
        let opened = self.open(path);
        match &opened {
            Ok(file) => self.check_writer(path, file.as_fd()),
            Err(_) => drop(self.writers.borrow_mut().insert(path.to_owned(), None)),
        }
        let answer = opened.and_then(|file| Disk::read_chunks(&file, take));
        self.record_answer(FsQuestion::Content, path, &answer.as_ref().map(|()| digest.finish()).map_err(ToString::to_string));
        answer
    }

    fn record_answer(&self, question: FsQuestion, path: &Path, answer: &Result<impl Hash, String>) {
        let mut hasher = DefaultHasher::new();
        answer.hash(&mut hasher);
        self.answers.borrow_mut().0.push((question, path.to_owned(), hasher.finish()));
    }

    /// The recorded metadata and answers.
    pub(super) fn finish(self) -> (ReadRecord, FsAnswers) {
        let record =
            ReadRecord { stats: self.stats.into_inner(), writers: self.writers.into_inner(), is_fresh: self.is_fresh.get() };
        (record, self.answers.into_inner())
    }
}

impl Files for RecordingFs {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.stream(path, |piece| bytes.extend_from_slice(piece))?;
        Ok(bytes)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        self.stat(directory);
        let mut answer = self.names(directory);
        // Sorted, so that equal directories give equal answers.
        if let Ok(names) = &mut answer {
            names.sort_unstable();
        }
        self.record_answer(FsQuestion::Names, directory, &answer.as_ref().map_err(ToString::to_string));
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::CHUNK;
    use std::fs;

    #[test]
    fn a_reading_is_confirmed_while_every_file_and_directory_is_the_same() {
        let directory = std::env::temp_dir().join(format!("navigator-confirm-{}", std::process::id()));
        let parts = directory.join("conf.d");
        fs::create_dir_all(&parts).expect("its name is new");
        let write = |path: &Path, text: &str| fs::write(path, text).expect("it is ours");
        let (main, part) = (directory.join("navigator.yml"), parts.join("web.yml"));
        write(&main, "include: conf.d/*.yml\nmanaged_processes: [{ name: db, command: db, env_file: db.env }]\n");
        write(&part, "managed_processes: [{ name: web, command: web }]\n");
        let source = FileSource::new(main.clone(), Environment::default());
        let confirms = |reading: &Reading| source.confirm(&reading.answers).is_some();

        let reading = source.read();
        assert!(reading.revision.is_err(), "`db.env` is missing");
        assert!(confirms(&reading));
        write(&directory.join("db.env"), "PORT=1\n");
        assert!(!confirms(&reading), "it exists now");

        let reading = source.read();
        assert_eq!(reading.revision.as_ref().expect("it is valid").desired.entries().len(), 2);
        assert!(confirms(&reading));
        write(&part, "managed_processes: [{ name: web, command: web }]\n");
        assert!(confirms(&reading), "it is the same text");
        write(&part, "managed_processes: [{ name: web, command: wab }]\n");
        assert!(!confirms(&reading));

        // Lengths around the size of a chunk.
        for length in [CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK] {
            let text = "#".repeat(length);
            write(&part, &text);
            let reading = source.read();
            assert!(confirms(&reading), "{length}");
            write(&part, &(text[1..].to_owned() + "."));
            assert!(!confirms(&reading), "{length}");
        }

        let reading = source.read();
        write(&parts.join("more.yml"), "");
        assert!(!confirms(&reading), "another file is included");
        fs::remove_dir_all(&directory).expect("it is ours");
    }
}
