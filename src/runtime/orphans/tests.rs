//! Tests of the search for orphans, with real processes.

use super::*;
use crate::access::{Directory, Trust};
use std::fs;
use std::path::Path;
use std::process::{Child, Command};

/// Executes itself again and again, so that it is often in the middle of an exec.
const RESTLESS: &str = "exec sh -c \"$0\" \"$0\"";

/// A process and a directory, which are removed at the end of the test.
struct OrphanSite(Child, PathBuf);

impl Drop for OrphanSite {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
        let _removed = fs::remove_dir_all(&self.1);
    }
}

/// A journal in a new directory.
fn journal(directory: &Path) -> Journal {
    let held = Directory::open(directory, Trust::everybody()).expect("it was made");
    Journal::open(&held, None).expect("a thread").journal
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the process must be unknown to the reaper")]
async fn a_process_that_ended_during_the_search_does_not_keep_its_run_from_being_held() {
    let directory = std::env::temp_dir().join(format!("navigator-ended-{}", std::process::id()));
    fs::create_dir_all(&directory).expect("a directory");
    let site = OrphanSite(Command::new("sleep").arg("60").spawn().expect("`sleep` can be run"), directory);
    let mut ended = Command::new("true").spawn().expect("`true` can be run");
    ended.wait().expect("it is our child");
    let journal = journal(&site.1);
    let marker = Marker::new(&journal, None);
    let mut orphans = Orphans::new(journal, marker, Record::default()).expect("descriptors");
    let handle = ProcessHandle::from_pidfd(tree::try_open(site.0.id()).expect("it runs"));
    let tree = OrphanTree {
        name: "web".into(),
        held: BTreeMap::from([(site.0.id(), handle)]),
        unheld: BTreeSet::from([ended.id()]),
        group: None,
        is_killing: false,
        has_new: false,
    };
    orphans.trees.insert(RunKey::default(), tree);
    let found = orphans.finish_search();
    assert_eq!(found.iter().map(|run| run.can_be_held).collect::<Vec<_>>(), [true]);
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the process must be unknown to the reaper")]
async fn a_process_in_the_middle_of_an_exec_is_found() {
    let directory = std::env::temp_dir().join(format!("navigator-left-{}", std::process::id()));
    fs::create_dir_all(&directory).expect("a directory");
    let mark = Marker::new(&journal(&directory), None).write("restless", RunId(1));
    // The next life of the same instance.
    let journal = journal(&directory);
    let child = Command::new("sh").args(["-c", RESTLESS, RESTLESS]).env(MARK, mark).spawn().expect("there is a shell");
    let site = OrphanSite(child, directory);
    for round in 0..300 {
        let mut orphans = Orphans::new(journal.clone(), Marker::new(&journal, None), Record::default()).expect("descriptors");
        while orphans.find() {}
        let found: Vec<u32> = orphans.trees.values().flat_map(|tree| tree.held.keys().copied()).collect();
        assert_eq!(found, [site.0.id()], "round {round}");
    }
}
