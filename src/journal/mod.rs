//! What an instance remembers of its processes beyond its own death: a file of lines in its directory.
//!
//! A navigator that is killed says nothing any more. So what runs is written down before it counts as started, and the
//! next navigator for the same configuration reads who may be left ([`Record`]), makes sure of each by what the kernel
//! says, and stops it.
//!
//! The file is *not* needed for anything to run. Where it can't be written, that is said once and tried again; where it
//! can't be read, it is set aside, and the marks of processes still tell whose they are.
//!
//! ```text
//!  directory/id      the instance's name (the first part of every mark), the directory that it belongs to, and its secret key
//!  directory/runs    one line an entry: checksum, space, JSON
//! ```
//!
//! Nothing is flushed to the disk: what a loss of power could take from this file, it has taken from the processes too.

mod checksum;
mod entry;
mod record;
mod secret;
mod writer;

pub use checksum::fnv1a;
pub use entry::{Accepted, Definition, Entry, GroupDirectory, RunKey, Started};
pub use record::Record;
pub use secret::Secret;

use crate::access::Directory;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;
use writer::{Inbox, Message};

/// The file of entries, and where a damaged one is put.
const RUNS: &str = "runs";
const DAMAGED: &str = "runs.damaged";
/// The file of the instance's name.
const ID: &str = "id";

/// How long a start waits for its entry to be written. A disk that hangs must not keep a host from running.
const PATIENCE: Duration = Duration::from_secs(1);

/// Writes entries, from any thread. Cheap to clone; the file ends with the last clone.
#[derive(Clone, Debug)]
pub struct Journal {
    inbox: Inbox,
    author: Author,
    secret: Secret,
    boot: String,
}

/// Who writes: the instance, and this life of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    /// Of the configuration, for good.
    pub instance: String,
    /// Of this navigator, never to come again.
    pub life: String,
}

/// What was found when a journal was opened.
#[derive(Debug)]
pub struct Opened {
    /// To write to from now on.
    pub journal: Journal,
    /// What the former navigators of this instance left in it.
    pub former: Record,
    /// Whether there can't be anything that they left on this host: nothing was noted, and the name that their processes would be
    /// marked with was made just now.
    pub is_first: bool,
    /// Where the file was put aside, if parts of it could not be read.
    pub damaged: Option<PathBuf>,
}

impl Journal {
    /// Reads what former navigators left in an instance's directory, and begins to write there. Only whoever holds the
    /// instance's lock may call it.
    ///
    /// `boot` names the kernel's life and the numbering of its processes: what was noted under another name is long gone.
    /// Where nobody can tell, numbers that were noted say nothing.
    ///
    /// # Errors
    /// There is no thread to write with, or the kernel gives no random numbers.
    pub fn open(directory: &Directory, boot: Option<String>) -> io::Result<Opened> {
        let boot = boot.unwrap_or_else(random);
        let kept = kept_instance(directory);
        let is_known = kept.is_some();
        let (instance, secret) = match kept {
            Some((name, Some(secret))) => (name, secret),
            Some((name, None)) => keep_instance(directory, name)?,
            None => keep_instance(directory, random())?,
        };
        let author = Author { instance, life: random() };
        let (mut former, bad_lines) = Record::read(&directory.read(RUNS).unwrap_or_default());
        let damaged = (bad_lines > 0).then(|| directory.path().join(DAMAGED));
        if damaged.is_some() {
            // Should even that be refused, the good lines are kept in memory all the same.
            let _refused = directory.rename(RUNS, DAMAGED);
        }
        let is_first = !is_known && former == Record::default();
        former.forget_other_boots(&boot);
        let mut record = former.clone();
        record.fold(Entry::Life { life: author.life.clone(), boot: boot.clone(), groups: None });
        let inbox = Inbox::open(directory.clone(), record)?;
        Ok(Opened { journal: Journal { inbox, author, secret, boot }, former, is_first, damaged })
    }

    /// Who writes.
    pub fn author(&self) -> &Author {
        &self.author
    }

    /// The secret key of the instance.
    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// Writes where this navigator makes control groups, and waits until that is written. Call it before a process is in one.
    pub fn note_groups(&self, groups: GroupDirectory) {
        let life = self.author.life.clone();
        self.note_and_wait(Entry::Life { life, boot: self.boot.clone(), groups: Some(groups) });
    }

    /// Writes, at some time soon, that these former lives of this boot have no control groups any more.
    pub fn forget_groups(&self, lives: Vec<String>) {
        let entry = |life| Entry::Life { life, boot: self.boot.clone(), groups: None };
        self.note_all(lives.into_iter().map(entry).collect());
    }

    /// The key of a run of this navigator.
    pub fn key(&self, run: u64) -> RunKey {
        RunKey { life: self.author.life.clone(), run }
    }

    /// Has an entry written, at some time soon.
    pub fn note(&self, entry: Entry) {
        self.note_all(vec![entry]);
    }

    /// Has entries written, at some time soon, and in one go.
    pub fn note_all(&self, entries: Vec<Entry>) {
        if entries.is_empty() {
            return;
        }
        if let Err(entries) = self.inbox.write_in_passing(entries) {
            self.inbox.send(Message { entries, written: None });
        }
    }

    /// Has an entry written, and waits until it is, or can't be, or takes too long.
    pub fn note_and_wait(&self, entry: Entry) {
        if let Err(entries) = self.inbox.write_now(vec![entry]) {
            self.wait_for(entries);
        }
    }

    /// Waits until everything noted so far is written. With nothing left that runs, the file goes.
    pub fn close(&self) {
        self.wait_for(Vec::new());
    }

    fn wait_for(&self, entries: Vec<Entry>) {
        let (written, wait) = mpsc::channel();
        self.inbox.send(Message { entries, written: Some(written) });
        // Too late is as good as never: nobody depends on it.
        let _too_late = wait.recv_timeout(PATIENCE);
    }
}

/// The instance's name and secret key, as they were made at its first start; older versions made no key. Both are bound to this very
/// directory: a copy of it, as in an image of a container, is another instance.
fn kept_instance(directory: &Directory) -> Option<(String, Option<Secret>)> {
    let text = String::from_utf8(directory.read(ID).ok()?).ok()?;
    let mut parts = text.trim_end().split(' ');
    let (name, of) = (parts.next()?, parts.next()?);
    let is_name = name.len() == 16 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_name && of == place(directory)).then(|| (name.to_owned(), parts.next().and_then(Secret::read)))
}

/// Gives an instance a new secret key, and keeps both. Where they can't be kept, they are good for one life.
fn keep_instance(directory: &Directory, name: String) -> io::Result<(String, Secret)> {
    let secret = Secret::random()?;
    if let Err(error) = directory.replace(ID, format!("{name} {} {}\n", place(directory), secret.written()).as_bytes()) {
        tracing::warn!(target: "navigator", path = %directory.path().display(), %error, "The name of this instance can't be kept");
    }
    Ok((name, secret))
}

/// What tells a directory from every other one.
fn place(directory: &Directory) -> String {
    directory.stat().map(|stat| format!("{}:{}", stat.st_dev, stat.st_ino)).unwrap_or_default()
}

/// Sixteen random hexadecimal digits. The keys of the standard library's hash maps are the operating system's random
/// numbers, and the hash of nothing under them is as random.
fn random() -> String {
    format!("{:016x}", RandomState::new().build_hasher().finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Trust;
    use reconcile::spec::Signal;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    /// A directory of a test's own, which goes with it.
    struct Site(PathBuf);

    impl Site {
        fn new(name: &str) -> Site {
            Site::within(&std::env::temp_dir(), name)
        }

        /// One that is in memory.
        fn in_memory(name: &str) -> Site {
            let directory = Site::within(Path::new("/dev/shm"), name);
            assert!(writer::is_in_memory(&directory.held()), "shared memory is a file system in memory (shm_overview(7))");
            directory
        }

        fn within(directory: &Path, name: &str) -> Site {
            let path = directory.join(format!("navigator-journal-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Site(path)
        }

        fn open(&self, boot: &str) -> Opened {
            Journal::open(&self.held(), Some(boot.to_owned())).expect("a thread")
        }

        fn held(&self) -> Directory {
            Directory::open(&self.0, Trust::everybody()).expect("it was made")
        }
    }

    impl Drop for Site {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).expect("the test's directory can be removed");
        }
    }

    fn started(journal: &Journal, run: u64, name: &str) -> Entry {
        let (ticks, inode) = (Some(7), None);
        Entry::Started(Started { key: journal.key(run), name: name.to_owned(), pid: 100, ticks, inode, leaf: None })
    }

    fn definition(name: &str) -> Definition {
        let stop = reconcile::spec::Stop::default();
        Definition {
            name: name.to_owned(),
            application: false,
            after: Vec::new(),
            signal: stop.signal.0.to_owned(),
            timeout_ms: 1,
        }
    }

    /// Whose runs are noted, by name: a life's name is random, and so is the order of what two of them left.
    fn names(record: &Record) -> Vec<&str> {
        let mut names: Vec<&str> = record.runs().map(|run| run.name.as_str()).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn the_next_navigator_reads_what_the_former_one_noted() {
        let directory = Site::new("next");
        let first = directory.open("boot");
        assert_eq!((names(&first.former), first.damaged), (vec![], None));
        let journal = first.journal;
        let accepted = Some(Accepted { generation: 3, content: "ab12".to_owned() });
        let processes = vec![definition("db"), definition("web")];
        journal.note(Entry::Wanted { shutdown_ms: 5, processes, accepted: accepted.clone() });
        journal.note_and_wait(started(&journal, 1, "db"));
        journal.note_and_wait(started(&journal, 2, "web"));
        journal.note(Entry::Gone { key: journal.key(1) });
        journal.close();
        let second = directory.open("boot");
        assert_eq!(names(&second.former), ["web"]);
        assert_eq!(second.journal.author().instance, journal.author().instance);
        assert_ne!(second.journal.author().life, journal.author().life);
        assert_eq!(second.former.definition("web").unwrap().signal, Signal::TERM.0);
        assert_eq!(second.former.accepted(), accepted.as_ref());
        // Until it is told that they are gone, what the first one left is handed on.
        second.journal.note_and_wait(started(&second.journal, 1, "other"));
        second.journal.close();
        let third = directory.open("boot").former;
        assert_eq!((names(&third), third.accepted()), (vec!["other", "web"], accepted.as_ref()), "also once it was written anew");
        let rebooted = directory.open("another boot");
        assert_eq!(names(&rebooted.former), [""; 0]);
    }

    #[test]
    fn what_an_older_version_noted_of_a_configuration_is_read() {
        let json = r#"{"wanted":{"shutdown_ms":5,"processes":[]}}"#;
        let (record, bad_lines) = Record::read(format!("{:016x} {json}\n", fnv1a(json.as_bytes())).as_bytes());
        assert_eq!((record.shutdown_timeout(), record.accepted(), bad_lines), (Some(Duration::from_millis(5)), None, 0));
    }

    #[test]
    fn a_copy_of_the_directory_is_another_instance() {
        let (original, copy) = (Site::new("original"), Site::new("copy"));
        let instance = original.open("boot").journal.author().instance.clone();
        fs::copy(original.0.join("id"), copy.0.join("id")).unwrap();
        assert_ne!(copy.open("boot").journal.author().instance, instance);
        assert_eq!(original.open("boot").journal.author().instance, instance);
    }

    #[test]
    fn a_key_is_kept_for_its_own_directory_and_given_to_a_name_without_one() {
        let (directory, copy) = (Site::new("key"), Site::new("key-copy"));
        let path = directory.0.join("id");
        let first = directory.open("boot").journal;
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(directory.open("boot").journal.secret(), first.secret());
        fs::copy(&path, copy.0.join("id")).unwrap();
        assert_ne!(copy.open("boot").journal.secret(), first.secret());
        // As an older version wrote it.
        let older = format!("{} {}\n", first.author().instance, place(&directory.held()));
        fs::write(&path, &older).unwrap();
        let second = directory.open("boot");
        assert_eq!(second.journal.author().instance, first.author().instance);
        assert!(second.journal.secret() != first.secret() && !second.is_first);
        assert_eq!(directory.open("boot").journal.secret(), second.journal.secret());
        let key = second.journal.secret().written();
        second.journal.note_and_wait(started(&second.journal, 1, "web"));
        let shown = format!("{:?} {}", second.journal, fs::read_to_string(directory.0.join("runs")).unwrap());
        assert!(!shown.contains(&key) && fs::read_to_string(&path).unwrap().contains(&key), "{shown}");
    }

    #[test]
    fn directories_of_groups_are_kept_until_none_is_left() {
        let directory = Site::new("groups");
        let first = directory.open("boot").journal;
        let groups = GroupDirectory { path: "/navigator-a.b".to_owned(), inode: 7 };
        first.note_groups(groups.clone());
        let noted = |record: &Record| record.groups().map(|(life, groups)| (life.to_owned(), groups.clone())).collect::<Vec<_>>();
        let expected = [(first.author().life.clone(), groups)];
        // No start was noted: one may have been made all the same.
        assert_eq!(noted(&directory.open("boot").former), expected);
        let third = directory.open("boot");
        assert_eq!(noted(&third.former), expected);
        third.journal.forget_groups(vec![first.author().life.clone()]);
        third.journal.note_and_wait(started(&third.journal, 1, "web"));
        assert_eq!(noted(&directory.open("boot").former), []);
        third.journal.note_groups(expected[0].1.clone());
        assert_eq!(noted(&directory.open("another boot").former), []);
    }

    #[test]
    fn only_the_first_navigator_of_an_instance_knows_that_nothing_is_left() {
        let directory = Site::new("first");
        let first = directory.open("boot");
        assert!(first.is_first);
        first.journal.note_and_wait(started(&first.journal, 1, "web"));
        assert!(!directory.open("boot").is_first);
        // Its name is lost, and what was noted isn't.
        fs::remove_file(directory.0.join("id")).unwrap();
        assert!(!directory.open("boot").is_first);
        // The other way round: a start may have come to be that was never noted.
        fs::remove_file(directory.0.join("runs")).unwrap();
        assert!(!directory.open("boot").is_first);
    }

    #[test]
    fn with_nothing_left_the_file_goes() {
        let directory = Site::new("nothing");
        let journal = directory.open("boot").journal;
        journal.note_and_wait(started(&journal, 1, "web"));
        assert!(directory.0.join("runs").exists());
        journal.note(Entry::Gone { key: journal.key(1) });
        journal.close();
        assert!(!directory.0.join("runs").exists());
    }

    #[test]
    fn a_file_that_grows_is_written_anew() {
        let directory = Site::new("grows");
        let journal = directory.open("boot").journal;
        for run in 1..=5000 {
            journal.note(started(&journal, run, "web"));
            journal.note(Entry::Gone { key: journal.key(run) });
        }
        journal.note_and_wait(started(&journal, 5001, "last"));
        let size = fs::metadata(directory.0.join("runs")).unwrap().len();
        assert!(size < 1_000_000, "{size} bytes");
        assert_eq!(names(&directory.open("boot").former), ["last"]);
    }

    #[test]
    fn what_is_in_memory_is_written_by_whoever_waits_for_it_and_by_the_thread() {
        let directory = Site::in_memory("direct");
        let journal = directory.open("boot").journal;
        let written = || Record::read(&fs::read(directory.0.join("runs")).unwrap_or_default()).0.runs().count();
        for run in 1..=50 {
            journal.note_and_wait(started(&journal, run, "web"));
            assert!(written() >= 1);
            journal.note(Entry::Gone { key: journal.key(run) });
        }
        journal.note_and_wait(started(&journal, 51, "db"));
        journal.close();
        assert_eq!(names(&directory.open("boot").former), ["db"]);
    }

    #[test]
    fn a_damaged_file_is_set_aside_and_its_good_lines_count() {
        let directory = Site::new("damaged");
        let path = directory.0.join("runs");
        let journal = directory.open("boot").journal;
        journal.note_and_wait(started(&journal, 1, "db"));
        journal.note_and_wait(started(&journal, 2, "web"));
        let damaged = fs::read_to_string(&path).unwrap().replace("\"db\"", "\"dc\"");
        fs::write(&path, &damaged).unwrap();
        let opened = directory.open("boot");
        assert_eq!(names(&opened.former), ["web"]);
        assert_eq!(fs::read_to_string(opened.damaged.unwrap()).unwrap(), damaged);
        // It is whole again.
        assert_eq!(directory.open("boot").damaged, None);
    }

    #[test]
    fn what_cannot_be_written_stops_nothing_and_is_tried_again() {
        for site in [Site::new("refused"), Site::in_memory("refused")] {
            let journal = site.open("boot").journal;
            // With its file gone it has to be written anew, where a directory is in the way.
            fs::remove_file(site.0.join("runs")).unwrap();
            let obstacle = site.0.join("runs.new");
            fs::create_dir(&obstacle).unwrap();
            journal.note_and_wait(started(&journal, 1, "db"));
            assert!(!site.0.join("runs").exists());
            fs::remove_dir(&obstacle).unwrap();
            journal.note_and_wait(started(&journal, 2, "web"));
            assert_eq!(names(&site.open("boot").former), ["db", "web"]);
        }
    }
}
