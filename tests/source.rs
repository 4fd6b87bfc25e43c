//! Following files through the public interface: by events, by the poll alone, not at all, and with truncated files.

use navigator::config::Environment;
use navigator::source::{Contents, Delivery, FileFollower, FileSource, Revision, Source as _, WatchMethod};
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

/// The longest that anything may take that must happen.
const DEADLINE: Duration = Duration::from_mins(1);

/// A directory with a configuration that is followed; removed at the end.
struct Followed {
    directory: PathBuf,
    follower: FileFollower,
    /// The processes of each revision, by name; `None` for a rejected one.
    revisions: Receiver<Option<Vec<String>>>,
    /// The files found, at each change of watched files.
    contents: Receiver<Vec<String>>,
    /// The requested checks that are done.
    checks: Receiver<()>,
}

impl Followed {
    fn new(method: WatchMethod) -> Followed {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("navigator-source-{}-{number}", std::process::id()));
        fs::create_dir(&directory).expect("its name is new");
        Followed::within(directory, method, &configuration(&["first"]))
    }

    fn within(directory: PathBuf, method: WatchMethod, first: &str) -> Followed {
        fs::write(directory.join("navigator.yml"), first).expect("it is ours");
        let source = FileSource::new(directory.join("navigator.yml"), Environment::default()).with_watch_method(method);
        let reading = source.read();
        let (revision_sender, revisions) = mpsc::channel();
        let (contents_sender, contents) = mpsc::channel();
        let (check_sender, checks) = mpsc::channel();
        let first_contents = contents_sender.clone();
        let (follower, first) = source
            .follow(&reading, move |delivery| {
                let names = |loaded: Box<navigator::config::Loaded>| {
                    loaded.desired.entries().iter().map(|entry| entry.spec.name.to_string()).collect()
                };
                // Sending fails when the test is over.
                match delivery {
                    Delivery::Revision(Revision { outcome: revision, .. }) => {
                        revision
                            .iter()
                            .filter(|loaded| !loaded.contents.is_empty())
                            .for_each(|loaded| drop(contents_sender.send(file_names(&loaded.contents))));
                        drop(revision_sender.send(revision.ok().map(names)));
                    }
                    Delivery::Contents(contents) => drop(contents_sender.send(file_names(&contents))),
                    Delivery::Checked => drop(check_sender.send(())),
                }
            })
            .expect("a thread can be started");
        if !first.is_empty() {
            first_contents.send(file_names(&first)).expect("it has a receiver");
        }
        Followed { directory, follower, revisions, contents, checks }
    }

    fn save_in_place(&self, names: &[&str]) {
        fs::write(self.directory.join("navigator.yml"), configuration(names)).expect("it is ours");
    }

    fn save_by_rename(&self, names: &[&str]) {
        fs::write(self.directory.join("new"), configuration(names)).expect("it is ours");
        fs::rename(self.directory.join("new"), self.directory.join("navigator.yml")).expect("it is ours");
    }

    #[track_caller]
    fn expect_revision(&self, names: &[&str]) {
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
    let followed = Followed::new(WatchMethod::Poll);
    followed.save_in_place(&["second"]);
    followed.expect_revision(&["second"]);
    followed.save_by_rename(&["third"]);
    followed.expect_revision(&["third"]);
    fs::remove_file(followed.directory.join("navigator.yml")).expect("it was there");
    assert_eq!(followed.revisions.recv_timeout(DEADLINE), Ok(None), "it is missing");
    followed.save_in_place(&["third"]);
    followed.expect_revision(&["third"]);
    // The answer to a request comes after everything found before.
    followed.follower.reload();
    followed.expect_revision(&["third"]);
    assert!(followed.revisions.try_recv().is_err(), "each was delivered once");
}

#[test]
fn a_check_ends_after_earlier_saves_are_delivered() {
    for method in [WatchMethod::Events, WatchMethod::Poll] {
        let followed = Followed::new(method);
        for name in ["second", "third", "fourth"] {
            followed.save_in_place(&[name]);
            followed.follower.check();
            assert_eq!(followed.checks.recv_timeout(DEADLINE), Ok(()));
            assert_eq!(followed.revisions.try_recv(), Ok(Some(vec![name.to_owned()])), "{method:?}");
        }
        (0..3).for_each(|_| followed.follower.check());
        (0..3).for_each(|_| assert_eq!(followed.checks.recv_timeout(DEADLINE), Ok(())));
    }
    // Without watching, a check has nothing to wait for.
    let followed = Followed::new(WatchMethod::Off);
    followed.save_in_place(&["second"]);
    followed.follower.check();
    assert_eq!(followed.checks.recv_timeout(DEADLINE), Ok(()));
    assert!(followed.revisions.try_recv().is_err());
}

#[test]
fn a_save_in_place_that_loses_most_processes_is_doubted_for_a_second() {
    let followed = Followed::new(WatchMethod::Events);
    followed.save_by_rename(&["a", "b", "c", "d", "e"]);
    followed.expect_revision(&["a", "b", "c", "d", "e"]);
    let begun = Instant::now();
    followed.save_in_place(&["a", "b"]);
    followed.expect_revision(&["a", "b"]);
    // The file is closed, quiet for 200 ms, and doubted for a second more.
    assert!(begun.elapsed() >= Duration::from_millis(1200), "{:?}", begun.elapsed());
}

#[test]
fn without_watching_only_requests_are_answered() {
    for method in [WatchMethod::Off, WatchMethod::Events, WatchMethod::Poll] {
        let followed = Followed::new(method);
        if method != WatchMethod::Off {
            followed.follower.stop_watching();
        }
        followed.follower.reload();
        followed.expect_revision(&["first"]);
        assert_eq!(followed.follower.watch_method(), WatchMethod::Off);
        followed.save_in_place(&["second"]);
        followed.save_by_rename(&["third"]);
        followed.follower.reload();
        followed.expect_revision(&["third"]);
        assert!(followed.revisions.try_recv().is_err(), "nothing else was delivered, {method:?}");
    }
}

/// The files found, by name.
fn file_names(contents: &Contents) -> Vec<String> {
    let files = contents.iter().flat_map(|(_, content)| content.files.keys());
    files.map(|path| path.rsplit('/').next().unwrap_or_default().to_owned()).collect()
}

/// A configuration whose process watches a file and a directory.
const WATCHING: &str = "managed_processes: [{ name: web, command: x, watch: [web.conf, parts] }]\n";

impl Followed {
    /// Follows the files `web.conf` and `parts/a.conf` of a process.
    fn watching(method: WatchMethod) -> Followed {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("navigator-watching-{}-{number}", std::process::id()));
        fs::create_dir_all(directory.join("parts")).expect("its name is new");
        fs::write(directory.join("web.conf"), "one").expect("it is ours");
        fs::write(directory.join("parts/a.conf"), "one").expect("it is ours");
        let followed = Followed::within(directory, method, WATCHING);
        followed.expect_files(&["a.conf", "web.conf"]);
        followed
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.directory.join(name), text).expect("it is ours");
    }

    #[track_caller]
    fn expect_files(&self, names: &[&str]) {
        assert_eq!(self.contents.recv_timeout(DEADLINE).expect("contents in time"), names);
    }
}

/// Each save without a change is followed by one with a change, which shows that nothing was delivered in between.
#[test]
fn only_changed_content_of_watched_files_is_delivered() {
    let followed = Followed::watching(WatchMethod::Events);
    let path = |name: &str| followed.directory.join(name);
    // As `touch` does, and a save of the same content by rename.
    let now = std::time::SystemTime::now();
    let times = fs::FileTimes::new().set_accessed(now).set_modified(now);
    fs::File::open(path("web.conf")).and_then(|file| file.set_times(times)).expect("it is ours");
    fs::write(path("new"), "one").expect("it is ours");
    fs::rename(path("new"), path("parts/a.conf")).expect("it is ours");
    followed.write("parts/b.conf", "one");
    followed.expect_files(&["a.conf", "b.conf", "web.conf"]);

    followed.write("web.conf", "two");
    followed.expect_files(&["a.conf", "b.conf", "web.conf"]);
    fs::write(path("new"), "three").expect("it is ours");
    fs::rename(path("new"), path("web.conf")).expect("it is ours");
    followed.expect_files(&["a.conf", "b.conf", "web.conf"]);
    fs::remove_file(path("parts/a.conf")).expect("it is ours");
    followed.expect_files(&["b.conf", "web.conf"]);
    fs::remove_file(path("web.conf")).expect("it is ours");
    followed.expect_files(&["b.conf"]);
    assert!(followed.revisions.try_recv().is_err(), "none of this is a change of the configuration");
    assert!(followed.contents.try_recv().is_err(), "each was delivered once");
}

#[test]
fn the_poll_alone_sees_watched_files_too() {
    let followed = Followed::watching(WatchMethod::Poll);
    followed.write("web.conf", "two");
    fs::remove_file(followed.directory.join("parts/a.conf")).expect("it is ours");
    followed.expect_files(&["web.conf"]);
}

#[test]
fn a_burst_of_writes_is_one_change() {
    let followed = Followed::watching(WatchMethod::Events);
    for round in 0..200 {
        followed.write("web.conf", &format!("round {round}"));
        followed.write("parts/a.conf", &format!("round {round}"));
    }
    followed.expect_files(&["a.conf", "web.conf"]);
    followed.write("parts/b.conf", "the end");
    followed.expect_files(&["a.conf", "b.conf", "web.conf"]);
}

#[test]
fn a_swap_of_a_mounted_config_map_is_seen() {
    use std::os::unix::fs::symlink;
    let followed = Followed::watching(WatchMethod::Events);
    let path = |name: &str| followed.directory.join("parts").join(name);
    for version in ["..1", "..2"] {
        fs::create_dir(path(version)).expect("it is ours");
        fs::write(path(version).join("b.conf"), version).expect("it is ours");
    }
    symlink("..1", path("..data")).expect("it is ours");
    symlink("..data/b.conf", path("b.conf")).expect("it is ours");
    followed.expect_files(&["a.conf", "b.conf", "web.conf"]);
    symlink("..2", path("..new")).expect("it is ours");
    fs::rename(path("..new"), path("..data")).expect("it is ours");
    followed.expect_files(&["a.conf", "b.conf", "web.conf"]);
}

#[test]
fn a_configuration_comes_with_the_contents_of_what_it_watches() {
    let followed = Followed::watching(WatchMethod::Events);
    followed.write("other.conf", "one");
    followed.write("navigator.yml", &WATCHING.replace("web.conf, parts", "\"*.conf\""));
    followed.expect_files(&["other.conf", "web.conf"]);
    followed.expect_revision(&["web"]);
    followed.write("other.conf", "two");
    followed.expect_files(&["other.conf", "web.conf"]);
    // The configuration itself may be watched like any other file.
    followed.write("navigator.yml", &WATCHING.replace("web.conf, parts", "navigator.yml"));
    followed.expect_files(&["navigator.yml"]);
    followed.expect_revision(&["web"]);
}

#[test]
fn a_busy_watched_file_does_not_delay_the_configuration() {
    let followed = Followed::watching(WatchMethod::Events);
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (busy, path) = (std::sync::Arc::clone(&stop), followed.directory.join("web.conf"));
    let writer = std::thread::spawn(move || {
        let mut round = 0_u64;
        while !busy.load(Ordering::Relaxed) {
            fs::write(&path, round.to_string()).expect("it is ours");
            round += 1;
        }
    });
    followed.write("navigator.yml", &configuration(&["second"]));
    followed.expect_revision(&["second"]);
    stop.store(true, Ordering::Relaxed);
    writer.join().expect("it could write");
}
