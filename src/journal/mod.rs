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
//!  directory/runs    one entry per line: checksum, space, JSON
//! ```
//!
//! Nothing is flushed to disk: a loss of power ends the processes as well.

mod entry;
mod record;
mod secret;
mod writer;

pub use entry::{Accepted, Definition, GroupDirectory, JournalEntry, RunKey, Started};
pub use record::Record;
pub use secret::InstanceSecret;

use crate::access::Directory;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;
use writer::{Inbox, RUNS, WriteRequest};

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
    /// What earlier navigators of this instance recorded.
    pub former: Record,
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
        let (mut former, bad_lines) = Record::read(&directory.read(RUNS).unwrap_or_default());
        let damaged = (bad_lines > 0).then(|| directory.path().join(DAMAGED));
        if damaged.is_some() {
            // If that fails, too, the good lines are still in memory.
            let _refused = directory.rename(RUNS, DAMAGED);
        }
        let is_first = !has_name && former == Record::default();
        former.forget_other_boots(&boot);
        let mut record = former.clone();
        record.fold(JournalEntry::Life { life: author.life.clone(), boot: boot.clone(), groups: None });
        let inbox = Inbox::open(directory.clone(), record)?;
        Ok(Opened { journal: Journal { inbox, author, secret, boot }, former, is_first, damaged })
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
            self.inbox.send(WriteRequest { entries, written: None });
        }
    }

    /// Writes an entry, and waits until it is written, has failed, or takes too long.
    pub fn record_and_wait(&self, entry: JournalEntry) {
        if let Err(entries) = self.inbox.write_now(vec![entry]) {
            self.wait_for(entries);
        }
    }

    /// Waits until every earlier entry is written. If no run is left, the file is removed.
    pub fn close(&self) {
        self.wait_for(Vec::new());
    }

    fn wait_for(&self, entries: Vec<JournalEntry>) {
        let (written, wait) = mpsc::channel();
        self.inbox.send(WriteRequest { entries, written: Some(written) });
        // Writing late or never is both fine: nothing depends on it.
        let _too_late = wait.recv_timeout(WRITE_TIMEOUT);
    }
}

/// Whether navigators of this instance have recorded runs that may be left.
pub fn has_runs(directory: &Directory) -> bool {
    directory.entry(RUNS).stat().is_ok_and(|stat| stat.is_some())
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
mod tests {
    use super::*;
    use crate::access::Trust;
    use crate::checksum::fnv1a;
    use reconcile::spec::Signal;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    /// A directory for one test, removed at its end.
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

    fn started(journal: &Journal, run: u64, name: &str) -> JournalEntry {
        let (ticks, inode) = (Some(7), None);
        JournalEntry::Started(Started {
            key: journal.key(run),
            name: name.to_owned(),
            pid: 100,
            ticks,
            inode,
            ..Started::default()
        })
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

    /// The names of the processes with recorded runs, sorted: names of lives are random, and so is their order.
    fn names(record: &Record) -> Vec<&str> {
        let mut names: Vec<&str> = record.runs().map(|run| run.name.as_str()).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn the_next_navigator_reads_what_the_earlier_one_recorded() {
        let directory = Site::new("next");
        let first = directory.open("boot");
        assert_eq!((names(&first.former), first.damaged), (vec![], None));
        let journal = first.journal;
        let accepted = Some(Accepted { generation: 3, content: "ab12".to_owned() });
        let processes = vec![definition("db"), definition("web")];
        journal.record(JournalEntry::Wanted { shutdown_ms: 5, processes, accepted: accepted.clone() });
        journal.record_and_wait(started(&journal, 1, "db"));
        journal.record_and_wait(started(&journal, 2, "web"));
        journal.record(JournalEntry::Gone { key: journal.key(1) });
        journal.close();
        let second = directory.open("boot");
        assert_eq!(names(&second.former), ["web"]);
        assert_eq!(second.journal.author().instance, journal.author().instance);
        assert_ne!(second.journal.author().life, journal.author().life);
        assert_eq!(second.former.definition("web").unwrap().signal, Signal::TERM.0);
        assert_eq!(second.former.accepted(), accepted.as_ref());
        // The runs of the first one stay recorded until they are reported gone.
        second.journal.record_and_wait(started(&second.journal, 1, "other"));
        second.journal.close();
        let third = directory.open("boot").former;
        assert_eq!((names(&third), third.accepted()), (vec!["other", "web"], accepted.as_ref()), "also after a rewrite");
        let rebooted = directory.open("another boot");
        assert_eq!(names(&rebooted.former), [""; 0]);
    }

    #[test]
    fn the_configuration_entry_of_an_older_version_is_read() {
        let json = r#"{"wanted":{"shutdown_ms":5,"processes":[]}}"#;
        let (record, bad_lines) = Record::read(format!("{:016x} {json}\n", fnv1a(json.as_bytes())).as_bytes());
        assert_eq!((record.shutdown_timeout(), record.accepted(), bad_lines), (Some(Duration::from_millis(5)), None, 0));
    }

    #[test]
    fn starts_of_other_versions_are_read() {
        let known = r#""key":{"life":"a","run":1},"name":"web","pid":100,"ticks":null,"inode":7"#;
        let key = RunKey { life: "a".to_owned(), run: 1 };
        let older = Started { key, name: "web".to_owned(), pid: 100, inode: Some(7), ..Started::default() };
        let (notify, pipes) = (Some("/tmp/1".to_owned()), Some([8, 9]));
        let own = Started { uid: Some(33), pipes, notify, ..older.clone() };
        let added = r#","uid":33,"pipes":[8,9],"notify":"/tmp/1""#;
        for (further, started) in [("", older), (added, own.clone()), (&format!(r#"{added},"later":1"#), own.clone())] {
            let json = format!(r#"{{"started":{{{known}{further}}}}}"#);
            assert_eq!(serde_json::from_str::<JournalEntry>(&json).unwrap(), JournalEntry::Started(started), "{json}");
        }
        let line = JournalEntry::Started(own).line();
        assert!(line.ends_with(&format!("{added}}}}}\n")), "{line}");
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
    fn a_key_is_bound_to_its_directory_and_made_for_a_name_without_one() {
        let (directory, copy) = (Site::new("key"), Site::new("key-copy"));
        let path = directory.0.join("id");
        let first = directory.open("boot").journal;
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(directory.open("boot").journal.secret(), first.secret());
        fs::copy(&path, copy.0.join("id")).unwrap();
        assert_ne!(copy.open("boot").journal.secret(), first.secret());
        // In the format of an older version.
        let older = format!("{} {}\n", first.author().instance, directory_identity(&directory.held()));
        fs::write(&path, &older).unwrap();
        let second = directory.open("boot");
        assert_eq!(second.journal.author().instance, first.author().instance);
        assert!(second.journal.secret() != first.secret() && !second.is_first);
        assert_eq!(directory.open("boot").journal.secret(), second.journal.secret());
        let key = second.journal.secret().written();
        second.journal.record_and_wait(started(&second.journal, 1, "web"));
        let shown = format!("{:?} {}", second.journal, fs::read_to_string(directory.0.join("runs")).unwrap());
        assert!(!shown.contains(&key) && fs::read_to_string(&path).unwrap().contains(&key), "{shown}");
    }

    #[test]
    fn group_directories_are_recorded_until_none_is_left() {
        let directory = Site::new("groups");
        let first = directory.open("boot").journal;
        let groups = GroupDirectory { path: "/navigator-a.b".to_owned(), inode: 7 };
        first.record_groups(groups.clone());
        let recorded =
            |record: &Record| record.groups().map(|(life, groups)| (life.to_owned(), groups.clone())).collect::<Vec<_>>();
        let expected = [(first.author().life.clone(), groups)];
        // No start was recorded, but one may have been made.
        assert_eq!(recorded(&directory.open("boot").former), expected);
        let third = directory.open("boot");
        assert_eq!(recorded(&third.former), expected);
        third.journal.forget_groups(vec![first.author().life.clone()]);
        third.journal.record_and_wait(started(&third.journal, 1, "web"));
        assert_eq!(recorded(&directory.open("boot").former), []);
        third.journal.record_groups(expected[0].1.clone());
        assert_eq!(recorded(&directory.open("another boot").former), []);
    }

    #[test]
    fn only_the_first_navigator_of_an_instance_is_sure_that_nothing_is_left() {
        let directory = Site::new("first");
        let first = directory.open("boot");
        assert!(first.is_first);
        first.journal.record_and_wait(started(&first.journal, 1, "web"));
        assert!(!directory.open("boot").is_first);
        // Its name is lost; the recorded runs are not.
        fs::remove_file(directory.0.join("id")).unwrap();
        assert!(!directory.open("boot").is_first);
        // Conversely, a start may never have been recorded.
        fs::remove_file(directory.0.join("runs")).unwrap();
        assert!(!directory.open("boot").is_first);
    }

    #[test]
    fn without_runs_the_file_is_removed_on_close() {
        let directory = Site::new("nothing");
        let journal = directory.open("boot").journal;
        journal.record_and_wait(started(&journal, 1, "web"));
        assert!(directory.0.join("runs").exists());
        journal.record(JournalEntry::Gone { key: journal.key(1) });
        journal.close();
        assert!(!directory.0.join("runs").exists());
    }

    #[test]
    fn a_file_with_many_obsolete_lines_is_rewritten() {
        let directory = Site::new("grows");
        let journal = directory.open("boot").journal;
        for run in 1..=5000 {
            journal.record(started(&journal, run, "web"));
            journal.record(JournalEntry::Gone { key: journal.key(run) });
        }
        journal.record_and_wait(started(&journal, 5001, "last"));
        let size = fs::metadata(directory.0.join("runs")).unwrap().len();
        assert!(size < 1_000_000, "{size} bytes");
        assert_eq!(names(&directory.open("boot").former), ["last"]);
    }

    #[test]
    fn a_file_in_memory_is_written_by_the_calling_thread_and_by_the_journals_own() {
        let directory = Site::in_memory("direct");
        let journal = directory.open("boot").journal;
        let written = || Record::read(&fs::read(directory.0.join("runs")).unwrap_or_default()).0.runs().count();
        for run in 1..=50 {
            journal.record_and_wait(started(&journal, run, "web"));
            assert!(written() >= 1);
            journal.record(JournalEntry::Gone { key: journal.key(run) });
        }
        journal.record_and_wait(started(&journal, 51, "db"));
        journal.close();
        assert_eq!(names(&directory.open("boot").former), ["db"]);
    }

    #[test]
    fn a_damaged_file_is_set_aside_and_its_good_lines_count() {
        let directory = Site::new("damaged");
        let path = directory.0.join("runs");
        let journal = directory.open("boot").journal;
        journal.record_and_wait(started(&journal, 1, "db"));
        journal.record_and_wait(started(&journal, 2, "web"));
        let damaged = fs::read_to_string(&path).unwrap().replace("\"db\"", "\"dc\"");
        fs::write(&path, &damaged).unwrap();
        let opened = directory.open("boot");
        assert_eq!(names(&opened.former), ["web"]);
        assert_eq!(fs::read_to_string(opened.damaged.unwrap()).unwrap(), damaged);
        // It is intact again.
        assert_eq!(directory.open("boot").damaged, None);
    }

    #[test]
    fn a_failed_write_stops_nothing_and_is_retried() {
        for site in [Site::new("refused"), Site::in_memory("refused")] {
            let journal = site.open("boot").journal;
            // Its file is gone, and a directory is in the way of a new one.
            fs::remove_file(site.0.join("runs")).unwrap();
            let obstacle = site.0.join("runs.new");
            fs::create_dir(&obstacle).unwrap();
            journal.record_and_wait(started(&journal, 1, "db"));
            assert!(!site.0.join("runs").exists());
            fs::remove_dir(&obstacle).unwrap();
            journal.record_and_wait(started(&journal, 2, "web"));
            assert_eq!(names(&site.open("boot").former), ["db", "web"]);
        }
    }
}
