//! A file of lines: entries are appended, and the file is rewritten after a failure or when most of its lines are obsolete.

use crate::access::Directory;
use rustix::fs::{Mode, OFlags, fstat};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many obsolete lines the file may hold before it is rewritten.
const MAX_OBSOLETE_LINES: usize = 1000;

/// What the entries in a file come to.
pub(super) trait Recorded {
    /// An entry.
    type Entry;
    /// The name of the file.
    const FILE: &'static str;

    /// Adds one entry. Returns its line, unless it adds nothing.
    fn add(&mut self, entry: Self::Entry) -> Option<String>;

    /// The fewest lines that say the same. What isn't in them is forgotten.
    fn lines(&mut self) -> Vec<String>;

    /// How many lines that is, about.
    fn useful_lines(&self) -> usize;
}

/// A file of entries.
#[derive(Debug)]
pub(super) struct LineFile<R> {
    directory: Directory,
    /// What the file should say.
    pub(super) record: R,
    /// Where lines are appended; `None` if the file has to be rewritten.
    file: Option<File>,
    lines: usize,
    pub(super) has_failed: bool,
    failing: FailingFiles,
}

/// The files of a journal that can't be written. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct FailingFiles(Arc<Mutex<BTreeSet<&'static str>>>);

impl FailingFiles {
    /// Adds a file. Returns whether it is the first.
    fn insert(&self, file: &'static str) -> bool {
        let mut files = self.lock();
        files.insert(file) && files.len() == 1
    }

    /// Removes a file. Returns whether it was the last.
    fn remove(&self, file: &'static str) -> bool {
        let mut files = self.lock();
        files.remove(file) && files.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<&'static str>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<R: Recorded> LineFile<R> {
    /// Begins with a file that says this.
    pub(super) fn begin(directory: Directory, record: R, failing: FailingFiles) -> LineFile<R> {
        let mut file = LineFile { directory, record, file: None, lines: 0, has_failed: false, failing };
        file.write(Vec::new());
        file
    }

    /// Writes entries. A failure of any file is logged once, until all can be written again.
    pub(super) fn write(&mut self, entries: Vec<R::Entry>) {
        let directory = self.directory.path().display().to_string();
        match self.append(entries) {
            Ok(()) if self.has_failed => {
                self.has_failed = false;
                if self.failing.remove(R::FILE) {
                    tracing::info!(target: "navigator", directory, "Writing the journal again");
                }
            }
            Ok(()) => {}
            Err(error) => {
                (self.file, self.has_failed) = (None, true);
                if self.failing.insert(R::FILE) {
                    tracing::warn!(target: "navigator", directory, %error, "Failed to write the journal");
                }
            }
        }
    }

    /// Whether there is a file, and few of its lines are obsolete.
    pub(super) fn is_in_order(&self) -> bool {
        self.file.is_some() && self.lines <= MAX_OBSOLETE_LINES + 2 * self.record.useful_lines()
    }

    fn append(&mut self, entries: Vec<R::Entry>) -> io::Result<()> {
        let is_in_order = self.is_in_order();
        let lines: Vec<String> = entries.into_iter().filter_map(|entry| self.record.add(entry)).collect();
        match &mut self.file {
            Some(file) if is_in_order && (lines.is_empty() || is_linked(file)) => {
                self.lines += lines.len();
                file.write_all(lines.concat().as_bytes())
            }
            _ => self.rewrite(),
        }
    }

    fn rewrite(&mut self) -> io::Result<()> {
        let lines = self.record.lines();
        self.directory.replace(R::FILE, lines.concat().as_bytes())?;
        self.file = Some(self.directory.open_entry(R::FILE, OFlags::WRONLY | OFlags::APPEND, Mode::empty())?.into());
        self.lines = lines.len();
        Ok(())
    }

    /// Removes a file without useful entries. The next entry makes a new one.
    pub(super) fn remove(&mut self) {
        self.file = None;
        if let Err(error) = self.directory.remove(R::FILE) {
            tracing::warn!(target: "navigator", directory = %self.directory.path().display(), %error, "Failed to remove the journal");
        }
    }
}

/// Whether a file still has a name; appending to a removed one would be lost.
fn is_linked(file: &File) -> bool {
    fstat(file).is_ok_and(|stat| stat.st_nlink > 0)
}
