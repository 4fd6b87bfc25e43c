//! Following files from outside of the loop: by the poll alone, not at all, and with a doubt about what was found.

use navigator::config::Environment;
use navigator::source::{Asker, FileSource, Means};
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

/// How long anything that must happen may take.
const DEADLINE: Duration = Duration::from_mins(1);

/// A directory with a configuration that is followed; removed at the end.
struct Followed {
    directory: PathBuf,
    asker: Asker,
    /// The processes of each revision, by name; `None` where it was rejected.
    revisions: Receiver<Option<Vec<String>>>,
}

impl Followed {
    fn new(means: Means) -> Followed {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("navigator-source-{}-{number}", std::process::id()));
        fs::create_dir(&directory).expect("its name is new");
        fs::write(directory.join("navigator.yml"), configuration(&["first"])).expect("it is ours");
        let source = FileSource::new(directory.join("navigator.yml"), Environment::default()).found_by(means);
        let reading = source.read();
        let (sender, revisions) = mpsc::channel();
        let asker = source
            .follow(&reading, move |revision| {
                let names = |loaded: navigator::config::Loaded| {
                    loaded.desired.entries().iter().map(|entry| entry.spec.name.to_string()).collect()
                };
                // The test is over.
                drop(sender.send(revision.ok().map(names)));
            })
            .expect("a thread can be started");
        Followed { directory, asker, revisions }
    }

    fn save_in_place(&self, names: &[&str]) {
        fs::write(self.directory.join("navigator.yml"), configuration(names)).expect("it is ours");
    }

    fn save_by_rename(&self, names: &[&str]) {
        fs::write(self.directory.join("new"), configuration(names)).expect("it is ours");
        fs::rename(self.directory.join("new"), self.directory.join("navigator.yml")).expect("it is ours");
    }

    #[track_caller]
    fn delivers(&self, names: &[&str]) {
        let revision = self.revisions.recv_timeout(DEADLINE).expect("a revision in time");
        assert_eq!(revision, Some(names.iter().map(ToString::to_string).collect()));
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.directory));
    }
}

fn configuration(names: &[&str]) -> String {
    let processes: Vec<String> = names.iter().map(|name| format!("{{ name: {name}, command: x }}")).collect();
    format!("managed_processes: [{}]\n", processes.join(", "))
}

#[test]
fn the_poll_alone_sees_every_content_once() {
    let followed = Followed::new(Means::Poll);
    followed.save_in_place(&["second"]);
    followed.delivers(&["second"]);
    followed.save_by_rename(&["third"]);
    followed.delivers(&["third"]);
    fs::remove_file(followed.directory.join("navigator.yml")).expect("it was there");
    assert_eq!(followed.revisions.recv_timeout(DEADLINE), Ok(None), "it is missing");
    followed.save_in_place(&["third"]);
    followed.delivers(&["third"]);
    // The answer to a question comes after everything that was found before.
    followed.asker.ask();
    followed.delivers(&["third"]);
    assert!(followed.revisions.try_recv().is_err(), "each was delivered once");
}

#[test]
fn a_save_in_place_that_loses_most_processes_is_doubted_for_a_second() {
    let followed = Followed::new(Means::Events);
    followed.save_by_rename(&["a", "b", "c", "d", "e"]);
    followed.delivers(&["a", "b", "c", "d", "e"]);
    let begun = Instant::now();
    followed.save_in_place(&["a", "b"]);
    followed.delivers(&["a", "b"]);
    // Closed, quiet for 200 ms, and a second more.
    assert!(begun.elapsed() >= Duration::from_millis(1200), "{:?}", begun.elapsed());
}

#[test]
fn without_means_only_a_question_is_answered() {
    let followed = Followed::new(Means::Off);
    followed.asker.ask();
    followed.delivers(&["first"]);
    followed.save_in_place(&["second"]);
    followed.save_by_rename(&["third"]);
    followed.asker.ask();
    followed.delivers(&["third"]);
    assert!(followed.revisions.try_recv().is_err(), "nothing else was delivered");
}
