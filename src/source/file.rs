//! The configuration file, read in one go with everything it names, and what was seen of each file on the way.
//!
//! It decides whether what stands in the files can be wanted, not whether anything changed.

use super::file_stat::{FileStat, FileStats};
use super::revision::WatchMethod;
use crate::access::identity::Identity;
use crate::access::{Directory, FoundPath, Trust};
use crate::config::{self, Disk, Environment, Files, Inputs, Loaded, Rejected};
use crate::sys::credentials::Borrowed;
use rustix::fd::{AsFd as _, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};

/// Answers whether a process has a file open to write to it; `None` where that can't be known.
pub type AskForWriter = fn(BorrowedFd<'_>) -> Option<bool>;

/// A configuration file and everything it names.
#[derive(Clone, Debug)]
pub struct FileSource {
    path: PathBuf,
    environment: Environment,
    pub(super) has_writer: AskForWriter,
    pub(super) means: WatchMethod,
    trust: Trust,
}

/// One reading of all files.
#[derive(Debug)]
pub struct Reading {
    /// What stands in them.
    pub revision: Result<Loaded, Rejected>,
    /// What was seen of its inputs.
    pub(super) evidence: ReadRecord,
    /// What they said.
    pub(super) answers: FsAnswers,
}

/// What the file system was asked, in order, and what tells each answer from another one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FsAnswers(Vec<(FsQuestion, PathBuf, u64)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FsQuestion {
    /// What stands in a file.
    Content,
    /// What stands in a directory.
    Names,
}

impl FsAnswers {
    /// Whether the same files said the same. The names in directories are no part of that: those that matter lead to files.
    pub(super) fn are_as_in(&self, other: &FsAnswers) -> bool {
        self.contents().eq(other.contents())
    }

    fn contents(&self) -> impl Iterator<Item = &(FsQuestion, PathBuf, u64)> {
        self.0.iter().filter(|(question, ..)| *question == FsQuestion::Content)
    }
}

/// What was seen of files while they were read.
#[derive(Debug, Default)]
pub(super) struct ReadRecord {
    /// Of each file just before it was read, and of each directory that decides which files are read.
    pub(super) stamps: FileStats,
    /// Of each file that was read, whether somebody had it open to write to it just before.
    pub(super) writers: BTreeMap<PathBuf, Option<bool>>,
    /// A file had changed so shortly before that another change may leave the same stamps.
    pub(super) is_fresh: bool,
}

impl ReadRecord {
    /// Whether what was `judged` to be ready is what was read, as far as anybody can see, and is still there.
    pub(super) fn is_steady(&self, judged: &FileStats) -> bool {
        self.stamps.replaces(judged) && self.stamps.again().replaces(&self.stamps)
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
    /// The file at `path`; `environment` is what substitution sees of navigator's own.
    pub fn new(path: PathBuf, environment: Environment) -> FileSource {
        FileSource { path, environment, has_writer: |_| None, means: WatchMethod::Events, trust: Trust::everybody() }
    }

    /// The same, with this question asked of every file before it is read. It matters to [`FileSource::follow`] alone.
    #[must_use]
    pub fn asking(self, has_writer: AskForWriter) -> FileSource {
        FileSource { has_writer, ..self }
    }

    /// The same, of files that are trusted alone.
    #[must_use]
    pub fn trusting(self, trust: Trust) -> FileSource {
        FileSource { trust, ..self }
    }

    /// The same, with changes found by these means. It matters to [`FileSource::follow`] alone.
    #[must_use]
    pub fn found_by(self, means: WatchMethod) -> FileSource {
        FileSource { means, ..self }
    }

    /// Another file, read in the same way. In the same directory it is named in the same way, too, so that what both name
    /// relative to themselves is the same.
    #[must_use]
    pub fn instead(&self, path: PathBuf) -> FileSource {
        let directory = |path: &Path| std::path::absolute(path).ok()?.parent().map(Path::to_owned);
        let beside =
            path.file_name().filter(|_| directory(&path) == directory(&self.path)).map(|name| self.path.with_file_name(name));
        FileSource { path: beside.unwrap_or(path), ..self.clone() }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads everything now.
    pub fn read(&self) -> Reading {
        let witness = RecordingFs::new(self.has_writer).trusting(self.trust);
        let revision = config::load(&self.path, &witness, &self.environment);
        let (evidence, answers) = witness.testify();
        Reading { revision, evidence, answers }
    }

    /// Asks what an earlier reading asked. Whoever gets the same answers reads the same, so nothing of it needs to be decoded;
    /// `None`: there is another answer.
    pub(super) fn confirm(&self, earlier: &FsAnswers) -> Option<ReadRecord> {
        let witness = RecordingFs::new(self.has_writer).trusting(self.trust);
        for (question, path, _) in &earlier.0 {
            // What was answered is noted by the witness.
            match question {
                FsQuestion::Content => drop(witness.pass(path, |_| {})),
                FsQuestion::Names => drop(witness.list(path)),
            }
            let answers = witness.answers.borrow();
            if answers.0.last() != earlier.0.get(answers.0.len() - 1) {
                return None;
            }
        }
        Some(witness.testify().0)
    }
}

/// The file system, with notes on what was seen.
pub(super) struct RecordingFs {
    has_writer: AskForWriter,
    stamps: RefCell<FileStats>,
    writers: RefCell<BTreeMap<PathBuf, Option<bool>>>,
    answers: RefCell<FsAnswers>,
    is_fresh: Cell<bool>,
    trust: Trust,
    /// The rights that files are opened with; `None`: navigator's own.
    acting: Option<Identity>,
}

impl RecordingFs {
    pub(super) fn new(has_writer: AskForWriter) -> RecordingFs {
        RecordingFs {
            has_writer,
            stamps: RefCell::default(),
            writers: RefCell::default(),
            answers: RefCell::default(),
            is_fresh: Cell::default(),
            trust: Trust::everybody(),
            acting: None,
        }
    }

    /// The same, which reads nothing that isn't trusted.
    fn trusting(self, trust: Trust) -> RecordingFs {
        RecordingFs { trust, ..self }
    }

    /// Looks at a path that is about to be read.
    pub(super) fn look(&self, path: &Path) -> Option<FileStat> {
        let stamp = FileStat::of(path);
        self.is_fresh.set(self.is_fresh.get() || stamp.as_ref().is_some_and(FileStat::is_fresh));
        self.stamps.borrow_mut().add(path, stamp);
        stamp
    }

    /// Asks whether a file that is about to be read is being written to. After [`Witness::look`]: a writer that comes
    /// after the question changes the stamp that was seen before it.
    pub(super) fn ask(&self, path: &Path, file: BorrowedFd<'_>) {
        self.writers.borrow_mut().insert(path.to_owned(), (self.has_writer)(file));
    }

    /// Acts with the rights of another user from now on.
    pub(super) fn act_as(&mut self, identity: Option<Identity>) {
        self.acting = identity;
    }

    /// The rights to open files with, until what this returns is dropped.
    pub(super) fn rights(&self) -> io::Result<Option<Borrowed>> {
        self.acting.as_ref().map_or(Ok(None), Identity::borrow)
    }

    /// Opens a file that is trusted; the descriptor that was judged is the one that is read.
    fn open(&self, path: &Path) -> io::Result<OwnedFd> {
        if self.trust == Trust::everybody() {
            return Disk::open(path);
        }
        let place = FoundPath::find(path, self.trust)?;
        let file = place.open(OFlags::RDONLY, Mode::empty())?;
        place.judge(&Disk::stat_regular(&file)?)?;
        Ok(file)
    }

    /// The names in a directory that is trusted.
    fn names(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        if self.trust == Trust::everybody() {
            // As for files: what navigator can't see is not opened with the rights of another user.
            std::fs::metadata(if directory.as_os_str().is_empty() { Path::new(".") } else { directory })?;
            let _rights = self.rights()?;
            return Disk.list(directory);
        }
        let names = Directory::open(directory, self.trust)?.names()?;
        Ok(names)
    }

    /// Asks what stands in a file, piece by piece, and keeps nothing of the answer but what tells it from another one.
    fn pass(&self, path: &Path, mut take: impl FnMut(&[u8])) -> io::Result<()> {
        self.look(path);
        let mut print = DefaultHasher::new();
        let take = |piece: &[u8]| {
            piece.hash(&mut print);
            take(piece);
        };
        let opened = self.open(path);
        match &opened {
            Ok(file) => self.ask(path, file.as_fd()),
            Err(_) => drop(self.writers.borrow_mut().insert(path.to_owned(), None)),
        }
        let answer = opened.and_then(|file| Disk::read_chunks(&file, take));
        self.note(FsQuestion::Content, path, &answer.as_ref().map(|()| print.finish()).map_err(ToString::to_string));
        answer
    }

    fn note(&self, question: FsQuestion, path: &Path, answer: &Result<impl Hash, String>) {
        let mut hasher = DefaultHasher::new();
        answer.hash(&mut hasher);
        self.answers.borrow_mut().0.push((question, path.to_owned(), hasher.finish()));
    }

    /// Everything that was seen on the way, and what was read.
    pub(super) fn testify(self) -> (ReadRecord, FsAnswers) {
        let evidence =
            ReadRecord { stamps: self.stamps.into_inner(), writers: self.writers.into_inner(), is_fresh: self.is_fresh.get() };
        (evidence, self.answers.into_inner())
    }
}

impl Files for RecordingFs {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.pass(path, |piece| bytes.extend_from_slice(piece))?;
        Ok(bytes)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        self.look(directory);
        let mut answer = self.names(directory);
        // In an order that is the same each time.
        if let Ok(names) = &mut answer {
            names.sort_unstable();
        }
        self.note(FsQuestion::Names, directory, &answer.as_ref().map_err(ToString::to_string));
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::CHUNK;
    use std::fs;

    #[test]
    fn what_is_read_again_is_confirmed_as_long_as_every_file_and_directory_says_the_same() {
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
        assert!(!confirms(&reading), "it is there now");

        let reading = source.read();
        assert_eq!(reading.revision.as_ref().expect("it is whole").desired.entries().len(), 2);
        assert!(confirms(&reading));
        write(&part, "managed_processes: [{ name: web, command: web }]\n");
        assert!(confirms(&reading), "it is the same text");
        write(&part, "managed_processes: [{ name: web, command: wab }]\n");
        assert!(!confirms(&reading));

        // As much as a piece, and around it.
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
