//! The journal of an instance: a file that records its runs, so that the next navigator finds what a killed one left.
//!
//! Each run is recorded before it counts as started. If navigator is killed, the next navigator for the same configuration
//! reads which processes may be left ([`Record`]), verifies each with the kernel, and stops it.
//!
//! Processes run without the file, too. If it can't be written, that is logged once and retried. If it can't be read, it
//! is set aside; the marks of processes still show which instance they belong to.
//!
//! ```text
//!  directory/id      the instance's name (the first part of every mark), the directory that it belongs to, and its secret key
//!  directory/runs    the runs; one entry per line: checksum, space, JSON
//!  directory/facts   everything else about processes, in the same form ([`facts`])
//! ```
//!
//! Nothing is flushed to disk: a loss of power ends the processes as well.

mod digest;
mod entry;
mod fact_recorder;
mod facts;
mod line_file;
mod process_fact;
mod reasons;
mod record;
mod secret;
mod writer;

pub use digest::DefinitionDigest;
#[cfg(test)]
pub(crate) use entry::entry_line;
pub use entry::{Accepted, Definition, GroupDirectory, JournalEntry, RunKey, Started};
pub use facts::{FactUpdate, MainFact, RecordedFacts};
pub use process_fact::{ProcessFact, RecordedRun};
pub use record::Record;
pub use secret::InstanceSecret;

use crate::access::Directory;
use crate::sys::clock;
use entry::read_lines;
use facts::FactLines;
use line_file::Recorded as _;
use rustix::time::ClockId;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;
use writer::{Inbox, WriteRequest};

/// The name that a damaged file of entries gets.
const DAMAGED: &str = "runs.damaged";
/// The file of the instance's name.
const ID: &str = "id";

/// How long a start waits for its entry to be written. A hung disk must not stop processes from starting.
const WRITE_TIMEOUT: Duration = Duration::from_secs(1);

/// Writes entries, from any thread. Cheap to clone; the last clone closes the file.
#[derive(Clone, Debug)]
pub struct Journal {
    inbox: Inbox,
    author: Author,
    secret: InstanceSecret,
    boot: String,
}

/// The writing navigator: its instance, and this life of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    /// The name of the instance. It never changes.
    pub instance: String,
    /// The name of this life. It is never used again.
    pub life: String,
}

/// What was found when a journal was opened.
#[derive(Debug)]
pub struct Opened {
    /// The open journal.
    pub journal: Journal,
    /// The runs that earlier navigators of this instance recorded.
    pub former: Record,
    /// What the last of them recorded beside them, if that was in this boot.
    pub facts: Option<RecordedFacts>,
    /// When the engine's time begins, by the kernel's monotonic clock.
    pub epoch: Duration,
    /// Whether nothing can be left of them on this host: nothing was recorded, and the instance's name is new, so that no process
    /// can carry its mark.
    pub is_first: bool,
    /// Where the file was set aside, if parts of it could not be read.
    pub damaged: Option<PathBuf>,
}

impl Journal {
    /// Reads what earlier navigators recorded in an instance's directory, and begins to write there. The caller must hold the
    /// instance's lock.
    ///
    /// `boot` identifies the boot of the kernel and its pid namespace: runs recorded under another one are gone.
    /// If it is `None`, recorded pids prove nothing.
    ///
    /// # Errors
    /// No thread can be made, or the kernel gives no random numbers.
    pub fn open(directory: &Directory, boot: Option<String>) -> io::Result<Opened> {
        let boot = boot.unwrap_or_else(random);
        let stored = read_instance(directory);
        let has_name = stored.is_some();
        let (instance, secret) = match stored {
            Some((name, Some(secret))) => (name, secret),
            Some((name, None)) => create_secret(directory, name)?,
            None => create_secret(directory, random())?,
        };
        let author = Author { instance, life: random() };
        let (mut former, bad_lines) = Record::read(&directory.read(Record::FILE).unwrap_or_default());
        let damaged = (bad_lines > 0).then(|| directory.path().join(DAMAGED));
        if damaged.is_some() {
            // If that fails, too, the good lines are still in memory.
            let _refused = directory.rename(Record::FILE, DAMAGED);
        }
        let is_first = !has_name && former == Record::default();
        former.forget_other_boots(&boot);
        let mut facts = read_facts(directory, &boot);
        if let Some(facts) = &mut facts {
            facts.retain_mains(|key| former.run(key).is_some());
            former.change_mains(facts.mains());
        }
        let mut record = former.clone();
        record.fold(JournalEntry::Life { life: author.life.clone(), boot: boot.clone(), groups: None });
        let epoch = facts.as_ref().map_or_else(monotonic_now, RecordedFacts::epoch);
        let begun = facts.clone().unwrap_or_else(|| RecordedFacts::begin(boot.clone(), epoch));
        let inbox = Inbox::open(directory, record, FactLines::of(begun), secret.clone())?;
        Ok(Opened { journal: Journal { inbox, author, secret, boot }, former, facts, epoch, is_first, damaged })
    }

    /// Reads what the running navigator of an instance has recorded so far, and changes nothing: its runs, what it recorded beside
    /// them, and the key of its digests; `None` where that isn't there, or is of another boot.
    pub fn read(directory: &Directory, boot: &str) -> Option<(Record, RecordedFacts, InstanceSecret)> {
        let (_, secret) = read_instance(directory)?;
        let (record, _) = Record::read(&directory.read(Record::FILE).ok()?);
        Some((record, read_facts(directory, boot)?, secret?))
    }

    /// Waits until everything recorded so far is written.
    pub fn flush(&self) {
        self.wait_for(WriteRequest::default());
    }

    /// The writing navigator.
    pub fn author(&self) -> &Author {
        &self.author
    }

    /// The secret key of the instance.
    pub fn secret(&self) -> &InstanceSecret {
        &self.secret
    }

    /// Records where this navigator makes control groups, and waits until it is written. Call it before a process is in one.
    pub fn record_groups(&self, groups: GroupDirectory) {
        let life = self.author.life.clone();
        self.record_and_wait(JournalEntry::Life { life, boot: self.boot.clone(), groups: Some(groups) });
    }

    /// Records soon that these earlier lives of this boot have no control groups any more.
    pub fn forget_groups(&self, lives: Vec<String>) {
        let entry = |life| JournalEntry::Life { life, boot: self.boot.clone(), groups: None };
        self.record_all(lives.into_iter().map(entry).collect());
    }

    /// The key of a run of this navigator.
    pub fn key(&self, run: u64) -> RunKey {
        RunKey { life: self.author.life.clone(), run }
    }

    /// Writes an entry soon, without waiting.
    pub fn record(&self, entry: JournalEntry) {
        self.record_all(vec![entry]);
    }

    /// Writes entries soon, at once, without waiting.
    pub fn record_all(&self, entries: Vec<JournalEntry>) {
        if entries.is_empty() {
            return;
        }
        if let Err(entries) = self.inbox.write_if_quick(entries) {
            self.inbox.send(WriteRequest { entries, ..WriteRequest::default() });
        }
    }

    /// Records soon what has changed about processes, without waiting.
    pub fn update(&self, updates: Vec<FactUpdate>) {
        self.inbox.send(WriteRequest { updates, ..WriteRequest::default() });
    }

    /// Writes an entry, and waits until it is written, has failed, or takes too long.
    pub fn record_and_wait(&self, entry: JournalEntry) {
        if let Err(entries) = self.inbox.write_now(vec![entry]) {
            self.wait_for(WriteRequest { entries, ..WriteRequest::default() });
        }
    }

    /// Waits until every earlier entry is written. The files are removed, but that of runs only if none is left.
    pub fn close(&self) {
        self.wait_for(WriteRequest { is_last: true, ..WriteRequest::default() });
    }

    fn wait_for(&self, request: WriteRequest) {
        let (written, wait) = mpsc::channel();
        self.inbox.send(WriteRequest { written: Some(written), ..request });
        // Writing late or never is both fine: nothing depends on it.
        let _too_late = wait.recv_timeout(WRITE_TIMEOUT);
    }
}

/// Whether navigators of this instance have recorded runs that may be left.
pub fn has_runs(directory: &Directory) -> bool {
    directory.entry(Record::FILE).stat().is_ok_and(|stat| stat.is_some())
}

/// What the last navigator recorded beside its runs, if that was in this boot. Damaged lines are skipped.
fn read_facts(directory: &Directory, boot: &str) -> Option<RecordedFacts> {
    let mut facts = RecordedFacts::default();
    read_lines(&directory.read(FactLines::FILE).ok()?, |entry| facts.fold(entry));
    Some(facts).filter(|facts| facts.is_of(boot))
}

/// The time since this moment of the kernel's monotonic clock.
pub fn time_since(moment: Duration) -> Duration {
    monotonic_now().saturating_sub(moment)
}

fn monotonic_now() -> Duration {
    clock::read(ClockId::Monotonic)
}

/// The instance's name and secret key from its first start; older versions made no key. Both are bound to this
/// directory: a copy of it, for instance in a container image, is another instance.
fn read_instance(directory: &Directory) -> Option<(String, Option<InstanceSecret>)> {
    let text = String::from_utf8(directory.read(ID).ok()?).ok()?;
    let mut parts = text.trim_end().split(' ');
    let (name, of) = (parts.next()?, parts.next()?);
    let is_name = name.len() == 16 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_name && of == directory_identity(directory)).then(|| (name.to_owned(), parts.next().and_then(InstanceSecret::read)))
}

/// Gives an instance a new secret key, and stores both. If they can't be stored, they serve for one life.
fn create_secret(directory: &Directory, name: String) -> io::Result<(String, InstanceSecret)> {
    let secret = InstanceSecret::random()?;
    if let Err(error) =
        directory.replace(ID, format!("{name} {} {}\n", directory_identity(directory), secret.written()).as_bytes())
    {
        tracing::warn!(target: "navigator", path = %directory.path().display(), %error, "Failed to store the name of this instance");
    }
    Ok((name, secret))
}

/// The identity of a directory: device and inode.
fn directory_identity(directory: &Directory) -> String {
    directory.stat().map(|stat| format!("{}:{}", stat.st_dev, stat.st_ino)).unwrap_or_default()
}

/// Sixteen random hexadecimal digits: the hash of nothing under the standard library's keys, which are random numbers of the
/// operating system.
fn random() -> String {
    format!("{:016x}", RandomState::new().build_hasher().finish())
}

#[cfg(test)]
mod tests;
