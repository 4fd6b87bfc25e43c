//! The configuration file, read in one go with everything it names, and what was seen of each file on the way.
//!
//! It decides whether what stands in the files can be wanted, not whether anything changed.

use super::stamps::{Stamp, Stamps};
use crate::config::{self, Disk, Environment, Files, Inputs, Loaded, Rejected};
use std::cell::{Cell, RefCell};
use std::ffi::OsString;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};

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
    /// What was seen of each input just before it was read, and of each directory that decides which files are inputs.
    pub(super) stamps: Stamps,
    /// The same for the same content (or the same error) of the same files.
    pub(super) digest: u64,
    /// A file had changed so shortly before that another change may leave the same stamps.
    pub(super) is_fresh: bool,
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
        let Witness { stamps, hasher, is_fresh } = witness;
        Reading { revision, stamps: stamps.into_inner(), digest: hasher.into_inner().finish(), is_fresh: is_fresh.get() }
    }
}

/// The file system, with notes on what was seen.
#[derive(Default)]
pub(super) struct Witness {
    stamps: RefCell<Stamps>,
    hasher: RefCell<DefaultHasher>,
    is_fresh: Cell<bool>,
}

impl Witness {
    /// Looks at a path that is about to be read.
    pub(super) fn look(&self, path: &Path) -> Option<Stamp> {
        let stamp = Stamp::of(path);
        self.is_fresh.set(self.is_fresh.get() || stamp.as_ref().is_some_and(Stamp::is_fresh));
        self.stamps.borrow_mut().add(path, stamp);
        stamp
    }

    /// What was seen, and whether something had changed so shortly before that it may change again unseen.
    pub(super) fn seen(self) -> (Stamps, bool) {
        (self.stamps.into_inner(), self.is_fresh.get())
    }
}

impl Files for Witness {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.look(path);
        let answer = Disk.read(path);
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
