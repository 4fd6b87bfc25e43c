//! What is followed: tags, another repository, a list in the file itself.

use super::{condition, follows, in_force, sleeps, source, waits_for};
use crate::harness::{Repository, Site};
use std::fs;

#[test]
fn the_tag_with_the_highest_version_is_followed() {
    let site = Site::new();
    let repository = Repository::new(&site);
    let tagged = |tag: &str, seconds: u32| {
        let commit = repository.push(tag, &[("navigator.yml", &sleeps(seconds))]);
        repository.git(&["tag", tag]);
        repository.git(&["push", "--quiet", "origin", tag]);
        commit
    };
    let first = tagged("v1.9", 3600);
    let navigator = site.start(&follows(&repository, ", tags: \"v1.*\""));
    waits_for(&navigator, "Commit applied", &first);
    let second = tagged("v1.10", 3601);
    tagged("v2.0", 3602);
    site.asks(&["reload"], 0);
    assert_eq!(in_force(&site), second);
    navigator.ends();
}

#[test]
fn a_moved_tag_is_taken_only_by_hand() {
    for (key, tag) in [(", tag: stable", "stable"), (", tags: \"v*\"", "v1.0")] {
        let site = Site::new();
        let repository = Repository::new(&site);
        let tagged = |seconds: u32| {
            let commit = repository.push("commit", &[("navigator.yml", &sleeps(seconds))]);
            repository.git(&["tag", "--force", tag]);
            repository.git(&["push", "--quiet", "--force", "origin", tag]);
            commit
        };
        let first = tagged(3600);
        let navigator = site.start(&follows(&repository, key));
        waits_for(&navigator, "Commit applied", &first);
        let second = tagged(3601);
        site.asks(&["reload"], 1);
        assert_eq!(in_force(&site), first, "{key}");
        assert_eq!(condition(&source(&site), "Synced"), ("False".to_owned(), "TagMoved".to_owned()), "{key}");
        site.asks(&["accept", tag], 0);
        site.asks(&["reload"], 0);
        assert_eq!(in_force(&site), second, "{key}");
        navigator.ends();
    }
}

#[test]
fn another_repository_is_followed_once_it_is_accepted() {
    let site = Site::new();
    let (repository, other) = (Repository::new(&site), Repository::named(&site, "other"));
    let first = repository.push("first", &[("navigator.yml", &sleeps(3600))]);
    let second = other.push("second", &[("navigator.yml", &sleeps(3601))]);
    let navigator = site.start(&follows(&repository, ""));
    waits_for(&navigator, "Commit applied", &first);
    site.write("navigator.yml", &follows(&other, ""));
    waits_for(&navigator, "Commit held", &second);
    site.asks(&["reload"], 3);
    assert_eq!(in_force(&site), first);
    assert_eq!(condition(&source(&site), "Synced").1, "AwaitingApproval");
    site.asks(&["accept", "main"], 0);
    assert_eq!(in_force(&site), second);
    navigator.ends();
}

/// A list in the file is the way out when the server is gone; back in the repository, the last commit is in force at once.
#[test]
fn a_file_may_leave_the_repository_and_follow_it_again() {
    let site = Site::new();
    let repository = Repository::new(&site);
    let first = repository.push("first", &[("navigator.yml", &sleeps(3600))]);
    let navigator = site.start(&sleeps(3500));
    navigator.started("web");
    site.write("navigator.yml", &follows(&repository, ""));
    waits_for(&navigator, "Commit applied", &first);
    navigator.nth_event("Process started", "web", 1);
    fs::rename(repository.url(), site.path("away.git")).expect("it is ours");
    site.write("navigator.yml", &sleeps(3500));
    navigator.nth_event("Process started", "web", 2);
    navigator.wait("the file alone", |event| event.message == "Following no repository any more");
    assert!(source(&site).is_null());
    site.asks(&["wait"], 0);
    navigator.ends();

    let navigator = site.command(["navigator.yml"]).start();
    navigator.started("web");
    site.write("navigator.yml", &follows(&repository, ""));
    navigator.nth_event("Process started", "web", 1);
    navigator.wait("a failed look", |event| event.message == "Look failed");
    assert_eq!(in_force(&site), first);
    fs::rename(site.path("away.git"), repository.url()).expect("it is ours");
    site.asks(&["reload"], 0);
    assert_eq!(condition(&source(&site), "Synced").0, "True");
    navigator.ends();
}

#[test]
fn the_end_of_a_suspension_looks_at_once() {
    let site = Site::new();
    let repository = Repository::new(&site);
    let first = repository.push("first", &[("navigator.yml", &sleeps(3600))]);
    let navigator = site.start(&follows(&repository, ""));
    waits_for(&navigator, "Commit applied", &first);
    let second = repository.push("second", &[("navigator.yml", &sleeps(3601))]);
    site.asks(&["suspend", "--for", "1s"], 0);
    waits_for(&navigator, "Commit applied", &second);
    site.asks(&["reload"], 0);
    assert!(source(&site)["suspended"].is_null());
    navigator.ends();
}
