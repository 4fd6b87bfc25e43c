//! The files of the commit in force that its configuration reads. They come from the repository: a checkout that is edited by hand
//! changes nothing of what is wanted.

use crate::config::{self, Environment, Files, FollowedFile, HostSource, Loaded, Rejected};
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// How many digits of a commit's id are shown.
const SHORT: usize = 7;

/// A commit's id as it is shown.
pub(super) fn short(commit: &str) -> &str {
    commit.get(..SHORT).unwrap_or(commit)
}

/// The content of files in a repository, and the names in directories, by their paths there.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct KnownFiles {
    contents: BTreeMap<PathBuf, Vec<u8>>,
    names: BTreeMap<PathBuf, Vec<OsString>>,
}

/// The commit in force, shared between the thread that follows the repository and the one that reads files.
#[derive(Clone, Debug, Default)]
pub struct CommitInForce(Arc<Mutex<Option<CommitFiles>>>);

/// A commit, and the files of it that were read.
#[derive(Clone, Debug)]
pub(super) struct CommitFiles {
    pub(super) commit: String,
    /// The path of its files, whatever the commit.
    pub(super) directory: PathBuf,
    pub(super) known: Arc<KnownFiles>,
}

impl CommitInForce {
    pub(super) fn set(&self, files: Option<CommitFiles>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = files;
    }

    pub(super) fn get(&self) -> Option<CommitFiles> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The configuration of the commit in force, if the host's file follows a repository; else that of the file. Without a commit
    /// there are no processes.
    ///
    /// # Errors
    /// Every problem of the repository's files.
    pub(in crate::source) fn load(&self, host: Loaded, files: &dyn Files, environment: &Environment) -> Result<Loaded, Rejected> {
        let (Some(source), Some(commit)) = (host.source.clone(), self.get()) else { return Ok(host) };
        let known = KnownFirst { known: &commit.known, directory: &commit.directory, files };
        let followed = FollowedFile { directory: &commit.directory, commit: short(&commit.commit) };
        let mut loaded = config::load_followed(&host, &source, followed, &known, environment);
        let inputs = match &mut loaded {
            Ok(loaded) => &mut loaded.inputs,
            Err(rejected) => &mut rejected.inputs,
        };
        // They are not read again when the checkout changes.
        inputs.files.retain(|path| !commit.known.contains(path, &commit.directory));
        inputs.directories.retain(|path, _| !path.starts_with(&commit.directory));
        loaded
    }

    /// Whether a configuration waits for its first commit.
    pub(in crate::source) fn is_awaited(&self, loaded: &Loaded) -> bool {
        loaded.source.is_some() && self.get().is_none()
    }
}

impl KnownFiles {
    fn contains(&self, path: &Path, directory: &Path) -> bool {
        path.strip_prefix(directory).is_ok_and(|inside| self.contents.contains_key(inside))
    }
}

/// Known files, and those of the disk for what isn't known.
struct KnownFirst<'f> {
    known: &'f KnownFiles,
    directory: &'f Path,
    files: &'f dyn Files,
}

impl Files for KnownFirst<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let known = path.strip_prefix(self.directory).ok().and_then(|inside| self.known.contents.get(inside));
        known.map_or_else(|| self.files.read(path), |content| Ok(content.clone()))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        let known = directory.strip_prefix(self.directory).ok().and_then(|inside| self.known.names.get(inside));
        known.map_or_else(|| self.files.list(directory), |names| Ok(names.clone()))
    }
}

/// Reads a checkout that is not in force under the path that it would have, and notes what is read of it.
struct CheckoutFiles<'f> {
    files: &'f dyn Files,
    /// The path that it would have.
    directory: &'f Path,
    checkout: &'f Path,
    known: RefCell<KnownFiles>,
}

impl Files for CheckoutFiles<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let Ok(inside) = path.strip_prefix(self.directory) else { return self.files.read(path) };
        let content = self.files.read(&self.checkout.join(inside))?;
        self.known.borrow_mut().contents.insert(inside.to_owned(), content.clone());
        Ok(content)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        let Ok(inside) = directory.strip_prefix(self.directory) else { return self.files.list(directory) };
        let names = self.files.list(&self.checkout.join(inside))?;
        self.known.borrow_mut().names.insert(inside.to_owned(), names.clone());
        Ok(names)
    }
}

/// Loads the configuration of a checkout as if it were in force. Also returns what was read of it.
///
/// # Errors
/// Every problem of the repository's files.
pub(super) fn load_checkout(
    host: &Loaded,
    source: &HostSource,
    checkout: Checkout<'_>,
    files: &dyn Files,
    environment: &Environment,
) -> (Result<Loaded, Rejected>, KnownFiles) {
    let Checkout { commit, path, directory } = checkout;
    let files = CheckoutFiles { files, directory, checkout: path, known: RefCell::default() };
    let followed = FollowedFile { directory, commit: short(commit) };
    let outcome = config::load_followed(host, source, followed, &files, environment);
    (outcome, files.known.into_inner())
}

/// A commit that is checked out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Checkout<'a> {
    pub(super) commit: &'a str,
    /// Where it is.
    pub(super) path: &'a Path,
    /// Where it would be in force.
    pub(super) directory: &'a Path,
}
