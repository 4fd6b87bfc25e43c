//! A host in trouble: a server that hangs, damaged data, a navigator that is killed.

use super::{condition, data, follows, in_force, sleeps, source, waits_for};
use crate::harness::{Repository, Signal, Site};
use crate::taken_over::kill;
use std::collections::BTreeSet;
use std::fs::{self, OpenOptions, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

#[test]
fn a_server_that_hangs_delays_nothing_else() {
    let site = Site::new();
    let repository = Repository::new(&site);
    let first =
        repository.push("first", &[("navigator.yml", &sleeps(3600).replace("name: web,", "name: web, auto_restart: true,"))]);
    let navigator = site.start(&follows(&repository, ""));
    waits_for(&navigator, "Commit applied", &first);
    let web = navigator.started("web");
    let server = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = server.local_addr().expect("it is bound");
    site.write("navigator.yml", &format!("source:\n  git: {{ url: \"https://{address}/hosts.git\", interval: 1h }}\n"));
    let (_connection, _) = server.accept().expect("git connects");
    navigator.kill(web);
    navigator.nth_event("Process started", "web", 1);
    let shown = source(&site);
    assert_eq!(shown["in_force"]["commit"], first.as_str());
    assert_eq!(condition(&shown, "Fetched"), ("Unknown".to_owned(), "NotYet".to_owned()));
    // It doesn't wait for the fetch either.
    navigator.ends();
}

#[test]
fn a_damaged_clone_is_made_anew() {
    let site = Site::new();
    let repository = Repository::new(&site);
    // So many files are fetched as a pack.
    let pages: Vec<(String, String)> = (0..150).map(|page| (format!("pages/{page}"), format!("page {page}\n"))).collect();
    let files = pages.iter().map(|(path, text)| (path.as_str(), text.as_str()));
    let first = repository.push("first", &files.chain([("navigator.yml", &*sleeps(3600))]).collect::<Vec<_>>());
    let navigator = site.start(&follows(&repository, ""));
    waits_for(&navigator, "Commit applied", &first);
    let mirror = data(&site).join("mirror.git");
    let cut = |path: &Path| {
        let length = path.metadata().expect("it is there").len();
        fs::set_permissions(path, Permissions::from_mode(0o600)).expect("it is ours");
        let file = OpenOptions::new().write(true).open(path).expect("it is ours");
        file.set_len(length / 2).expect("it is ours");
    };
    let objects = || files_in(&mirror.join("objects")).into_iter();
    let damages: [(&str, &dyn Fn()); 5] = [
        ("a pack is cut short", &|| {
            objects().filter(|path| path.extension().is_some_and(|kind| kind == "pack")).for_each(|path| cut(&path));
        }),
        ("every object is cut short", &|| objects().for_each(|path| cut(&path))),
        ("the objects are gone", &|| fs::remove_dir_all(mirror.join("objects")).expect("it is ours")),
        ("the ref is empty", &|| fs::write(mirror.join("refs/navigator/newest"), "").expect("it is ours")),
        ("the head is gone", &|| fs::remove_file(mirror.join("HEAD")).expect("it is ours")),
    ];
    for (damage, make) in damages {
        assert!(objects().any(|path| path.extension().is_some_and(|kind| kind == "pack")), "{damage}");
        make();
        let newest = repository.push(damage, &[("README.md", damage)]);
        site.asks(&["reload"], 0);
        assert_eq!(in_force(&site), newest, "{damage}");
    }
    assert_eq!(navigator.count("Process started", "web"), 1);
    navigator.ends();
}

fn files_in(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("it is there").map(|entry| entry.expect("it can be read").path());
    entries.flat_map(|path| if path.is_dir() { files_in(&path) } else { vec![path] }).collect()
}

#[test]
fn a_data_directory_that_cannot_be_used_is_shown_and_tried_again() {
    let site = Site::new();
    let repository = Repository::new(&site);
    let first = repository.push("first", &[("navigator.yml", &sleeps(3600))]);
    let navigator = site.start(&sleeps(3500));
    navigator.started("web");
    site.write("data", "a file\n");
    site.write("navigator.yml", &follows(&repository, ""));
    navigator.wait("the trouble", |event| event.message == "Failed to follow the repository");
    let refused = site.asks(&["reload"], 1).stderr();
    assert!(refused.contains("failed to use data directory"), "{refused}");
    let shown = source(&site);
    assert_eq!(condition(&shown, "Synced"), ("False".to_owned(), "Trouble".to_owned()));
    assert!(!shown["next_at"].is_null(), "{shown}");
    let status = site.asks(&["status"], 3).stdout();
    assert!(status.contains("trouble   failed to use data directory"), "{status}");
    assert_eq!(navigator.count("Process started", "web"), 1);
    fs::remove_file(site.path("data")).expect("it is ours");
    site.asks(&["reload"], 0);
    assert_eq!(in_force(&site), first);
    navigator.ends();
}

#[test]
fn a_commit_that_cannot_be_checked_out_is_not_in_force_and_is_tried_again() {
    let site = Site::new();
    let repository = Repository::new(&site);
    let first = repository.push("first", &[("navigator.yml", &sleeps(3600))]);
    let navigator = site.start(&follows(&repository, ""));
    waits_for(&navigator, "Commit applied", &first);
    let (checkouts, away) = (data(&site).join("checkouts"), site.path("checkouts"));
    fs::rename(&checkouts, &away).expect("it is ours");
    fs::write(&checkouts, "a file\n").expect("it is ours");
    let second = repository.push("second", &[("navigator.yml", &sleeps(3601))]);
    let refused = site.asks(&["reload"], 1).stderr();
    assert!(refused.contains("nothing was judged: failed to check out"), "{refused}");
    let shown = source(&site);
    assert_eq!(condition(&shown, "Fetched").0, "True");
    assert_eq!(condition(&shown, "Synced"), ("Unknown".to_owned(), "Trouble".to_owned()));
    let status = site.asks(&["status"], 3).stdout();
    assert!(status.contains("trouble   failed to check out"), "{status}");
    fs::remove_file(&checkouts).expect("it is ours");
    fs::rename(&away, &checkouts).expect("it is ours");
    site.asks(&["reload"], 0);
    assert_eq!(in_force(&site), second);
    navigator.ends();
}

#[test]
fn unfinished_and_old_checkouts_are_removed() {
    let site = Site::new();
    let repository = Repository::new(&site);
    let first = repository.push("first", &[("navigator.yml", &sleeps(3600))]);
    let navigator = site.start(&follows(&repository, ""));
    waits_for(&navigator, "Commit applied", &first);
    for number in 0..12 {
        repository.push("broken", &[("navigator.yml", &format!("managed_processes: {number}\n"))]);
        site.asks(&["reload"], 1);
    }
    let checkouts = data(&site).join("checkouts");
    let names = || -> BTreeSet<String> {
        let entries = fs::read_dir(&checkouts).expect("it is there").map(|entry| entry.expect("it can be read"));
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    };
    let kept = names();
    assert!(kept.contains(&first) && kept.iter().filter(|name| !name.contains('.')).count() == 10, "{kept:?}");
    navigator.ends();
    for name in ["0123.index", "0123.index.lock", "0123.read", &format!("{first}.index.lock"), "new/file"] {
        fs::create_dir_all(checkouts.join("new")).expect("it is ours");
        fs::write(checkouts.join(name), "").expect("it is ours");
    }
    let navigator = site.command(["navigator.yml"]).start();
    navigator.wait("a look", |event| event.message == "Commit rejected");
    assert_eq!(names(), kept);
    navigator.ends();
}

/// How often the next test kills navigator; `KILLS` asks for more.
fn kills() -> u64 {
    std::env::var("KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(6)
}

#[test]
fn killed_at_any_moment_of_a_look_the_right_commit_is_in_force_next() {
    let site = Site::new();
    let repository = Repository::new(&site);
    let mut last = repository.push("first", &[("navigator.yml", &sleeps(3600))]);
    let mut navigator = site.start(&follows(&repository, ""));
    waits_for(&navigator, "Commit applied", &last);
    let mut dice = u64::from(std::process::id());
    for round in 0..kills() {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let moment = Duration::from_micros((dice >> 33) % 150_000);
        let pages: Vec<(String, String)> = (0..50).map(|page| (format!("pages/{page}"), format!("{page} {dice}\n"))).collect();
        let text = sleeps(3601 + u32::try_from(round % 100).expect("it is small"));
        let files = pages.iter().map(|(path, text)| (path.as_str(), text.as_str()));
        let newest = repository.push("next", &files.chain([("navigator.yml", text.as_str())]).collect::<Vec<_>>());
        let end = Instant::now() + moment;
        navigator.signal(Signal::HUP);
        while Instant::now() < end {
            std::hint::spin_loop();
        }
        kill(navigator);

        navigator = site.command(["navigator.yml"]).start();
        navigator.wait("its start", |event| event.message == "Navigator started");
        site.asks(&["wait"], 0);
        site.asks(&["reload"], 0);
        assert_eq!(in_force(&site), newest, "round {round}, killed after {moment:?}, before it: {last}");
        let file = fs::read_to_string(data(&site).join("current/navigator.yml")).expect("it is there");
        assert_eq!(file, text, "round {round}, killed after {moment:?}");
        let leftover = files_in(&data(&site).join("mirror.git"))
            .into_iter()
            .find(|path| path.extension().is_some_and(|kind| kind == "lock"));
        assert_eq!(leftover, None, "round {round}, killed after {moment:?}");
        last = newest;
    }
    navigator.ends();
}
