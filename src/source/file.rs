//! The configuration file, read in one go with everything it names, and what was seen of each file on the way.
//!
//! It decides whether what stands in the files can be wanted, not whether anything changed.

use super::stamps::{Stamp, Stamps};
use super::trust::Trust;
use super::watch::Means;
use crate::config::{self, Disk, Environment, Files, Inputs, Loaded, Rejected};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};

/// Answers whether somebody has a file open to write to it; `None` where that can't be known.
pub type AskForWriter = fn(&Path) -> Option<bool>;

/// A configuration file and everything it names.
#[derive(Clone, Debug)]
pub struct FileSource {
    path: PathBuf,
    environment: Environment,
    pub(super) has_writer: AskForWriter,
    pub(super) means: Means,
    trust: Trust,
}

/// One reading of all files.
#[derive(Debug)]
pub struct Reading {
    /// What stands in them.
    pub revision: Result<Loaded, Rejected>,
    /// What was seen of its inputs.
    pub(super) evidence: Evidence,
    /// The same for the same content (or the same error) of the same files.
    pub(super) digest: u64,
}

/// What was seen of files while they were read.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    /// Of each file just before it was read, and of each directory that decides which files are read.
    pub(super) stamps: Stamps,
    /// Of each file that was read, whether somebody had it open to write to it just before.
    pub(super) writers: BTreeMap<PathBuf, Option<bool>>,
    /// A file had changed so shortly before that another change may leave the same stamps.
    pub(super) is_fresh: bool,
}

impl Evidence {
    /// Whether what was `judged` to be ready is what was read, as far as anybody can see, and is still there.
    pub(super) fn is_steady(&self, judged: &Stamps) -> bool {
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
        FileSource { path, environment, has_writer: |_| None, means: Means::Events, trust: Trust::Everybody }
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
    pub fn found_by(self, means: Means) -> FileSource {
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
        let witness = Witness::new(self.has_writer).trusting(self.trust);
        let revision = config::load(&self.path, &witness, &self.environment);
        let digest = witness.hasher.borrow().finish();
        Reading { revision, evidence: witness.testify(), digest }
    }
}

/// The file system, with notes on what was seen.
pub(super) struct Witness {
    has_writer: AskForWriter,
    stamps: RefCell<Stamps>,
    writers: RefCell<BTreeMap<PathBuf, Option<bool>>>,
    hasher: RefCell<DefaultHasher>,
    is_fresh: Cell<bool>,
    trust: Trust,
}

impl Witness {
    pub(super) fn new(has_writer: AskForWriter) -> Witness {
        Witness {
            has_writer,
            stamps: RefCell::default(),
            writers: RefCell::default(),
            hasher: RefCell::default(),
            is_fresh: Cell::default(),
            trust: Trust::Everybody,
        }
    }

    /// The same, which reads nothing that isn't trusted.
    fn trusting(self, trust: Trust) -> Witness {
        Witness { trust, ..self }
    }

    /// Looks at a path that is about to be read.
    pub(super) fn look(&self, path: &Path) -> Option<Stamp> {
        let stamp = Stamp::of(path);
        self.is_fresh.set(self.is_fresh.get() || stamp.as_ref().is_some_and(Stamp::is_fresh));
        self.stamps.borrow_mut().add(path, stamp);
        stamp
    }

    /// Asks whether somebody is writing to a file that is about to be read. After [`Witness::look`]: a writer who comes
    /// after the question changes the stamp that was seen before it.
    pub(super) fn ask(&self, path: &Path) {
        self.writers.borrow_mut().insert(path.to_owned(), (self.has_writer)(path));
    }

    /// Everything that was seen on the way.
    pub(super) fn testify(self) -> Evidence {
        Evidence { stamps: self.stamps.into_inner(), writers: self.writers.into_inner(), is_fresh: self.is_fresh.get() }
    }
}

impl Files for Witness {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.look(path);
        self.ask(path);
        let answer = Disk::read_if(path, |seen| Ok(self.trust.judge(path, seen)?));
        let mut hasher = self.hasher.borrow_mut();
        path.hash(&mut *hasher);
        match &answer {
            Ok(content) => content.hash(&mut *hasher),
            Err(error) => error.to_string().hash(&mut *hasher),
        }
        answer
    }

    /// The names are no part of the digest: those that matter lead to files that are read.
    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        self.look(directory);
        Disk.list(directory)
    }
}
