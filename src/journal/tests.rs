//! Tests of the journal: what one navigator records, and the next one reads.

use super::*;
use crate::access::Trust;
use crate::checksum::fnv1a;
use reconcile::observed::ProcessFacts;
use reconcile::spec::{Signal, Spec};
use reconcile::take_over::Remembered;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

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
    JournalEntry::Started(Started { key: journal.key(run), name: name.to_owned(), pid: 100, ticks, inode, ..Started::default() })
}

fn definition(name: &str) -> Definition {
    let stop = reconcile::spec::Stop::default();
    Definition {
        name: name.to_owned(),
        application: false,
        after: Vec::new(),
        signal: stop.signal.0.to_owned(),
        timeout_ms: 1,
        position: 0,
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

/// An update about a process that was just added.
fn update(name: &str) -> FactUpdate {
    let facts = ProcessFacts { restarts: 3, ..ProcessFacts::default() };
    let definition = Some(Arc::new(Spec::new(name, name)));
    let known = Remembered { definition, generation: 1, order: None, put_back: None, facts: facts.into() };
    FactUpdate::Process(name.into(), Some(Box::new(known)))
}

fn known(opened: &Opened) -> Vec<&str> {
    opened.facts.iter().flat_map(RecordedFacts::processes).map(|process| process.name.as_str()).collect()
}

/// Waits until everything is written.
fn sync(journal: &Journal) {
    journal.wait_for(WriteRequest::default());
}

#[test]
fn facts_are_there_for_the_next_navigator_until_a_clean_end() {
    let directory = Site::new("facts");
    let first = directory.open("boot");
    assert!(first.facts.is_none());
    first.journal.update(vec![FactUpdate::Generation(4), update("db"), update("web")]);
    first.journal.update(vec![FactUpdate::Process("db".into(), None), update("web")]);
    sync(&first.journal);
    let lines = fs::read_to_string(directory.0.join("facts")).expect("it was written");
    assert_eq!(lines.lines().count(), 8, "what is known is not written again: {lines}");
    let second = directory.open("boot");
    let facts = second.facts.as_ref().expect("they were recorded");
    assert_eq!((known(&second), facts.generation(), second.epoch), (vec!["web"], 4, first.epoch));
    let definition = facts.process("web").and_then(|web| web.definition).expect("it has one");
    assert!(facts.definition(definition).is_some());
    assert_eq!(known(&directory.open("boot")), ["web"], "also after a rewrite");
    assert!(directory.open("another boot").facts.is_none());
    let third = directory.open("boot").journal;
    third.update(vec![update("web")]);
    third.close();
    assert!(directory.open("boot").facts.is_none());
}

#[test]
fn a_main_process_that_took_the_place_of_another_is_the_recorded_one() {
    let directory = Site::new("mains");
    let first = directory.open("boot").journal;
    first.record_and_wait(started(&first, 1, "web"));
    let main = |run, pid| FactUpdate::Main(MainFact { key: first.key(run), pid, ticks: None, inode: Some(9) });
    first.update(vec![main(1, 200), main(2, 300)]);
    sync(&first);
    for opened in [directory.open("boot"), directory.open("boot")] {
        let web = opened.former.run(&first.key(1)).expect("it was recorded");
        assert_eq!((web.pid, web.ticks, web.inode), (200, None, Some(9)));
        assert_eq!(opened.facts.iter().flat_map(RecordedFacts::mains).count(), 1, "the other one is of no recorded run");
    }
}

#[test]
fn a_damaged_line_of_facts_costs_that_line() {
    let directory = Site::new("facts-damaged");
    let journal = directory.open("boot").journal;
    journal.update(vec![update("db"), update("web")]);
    sync(&journal);
    let path = directory.0.join("facts");
    let damaged = fs::read_to_string(&path).expect("it was written").replace("{\"process\":{\"name\":\"db\"", "{");
    fs::write(&path, damaged).expect("it is ours");
    assert_eq!(known(&directory.open("boot")), ["web"]);
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
    let line = entry_line(&JournalEntry::Started(own));
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
    let recorded = |record: &Record| record.groups().map(|(life, groups)| (life.to_owned(), groups.clone())).collect::<Vec<_>>();
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
