//! What becomes of commits: taken, rejected, the same again; and the last good one at a start.

use super::{condition, follows, sleeps, source, waits_for};
use crate::harness::{Repository, Site};
use std::fs;

#[test]
fn a_pushed_commit_is_put_in_force_and_a_broken_one_is_not() {
    let site = Site::new();
    let repository = Repository::new(&site);
    let first = repository.push("web: first", &[("navigator.yml", &sleeps(3600))]);
    let navigator = site.start(&follows(&repository, ""));
    waits_for(&navigator, "Commit applied", &first);
    let web = navigator.started("web");
    site.asks(&["wait"], 0);
    let shown = source(&site);
    assert_eq!((&shown["kind"], &shown["ref"], &shown["path"]), (&"git".into(), &"main".into(), &"navigator.yml".into()));
    assert_eq!(shown["in_force"]["commit"], first.as_str());
    assert_eq!(shown["in_force"]["subject"], "web: first");
    assert_eq!(shown["in_force"]["author"], "Ada <ada@example.com>");
    for kind in ["Fetched", "Synced", "Healthy"] {
        assert_eq!(condition(&shown, kind).0, "True", "{kind}: {shown}");
    }

    // Nothing that the host reads differs.
    let readme = repository.push("A page", &[("README.md", "hosts\n")]);
    site.asks(&["reload"], 0);
    let shown = source(&site);
    assert_eq!((&shown["in_force"]["commit"], &shown["newest"]["outcome"]), (&readme.as_str().into(), &"unchanged".into()));
    assert_eq!(navigator.count("Process started", "web"), 1);

    let broken = repository.push("web: broken", &[("navigator.yml", "managed_processes: [{ name: web, comand: sleep }]\n")]);
    let refused = site.asks(&["reload"], 1);
    assert!(refused.stderr().contains(&format!("navigator.yml@{}:1:34: ", &broken[..7])), "{}", refused.stderr());
    assert!(refused.stderr().contains("unknown key `comand`"), "{}", refused.stderr());
    let shown = source(&site);
    assert_eq!(shown["in_force"]["commit"], readme.as_str());
    assert_eq!(condition(&shown, "Synced"), ("False".to_owned(), "Invalid".to_owned()));
    site.asks(&["status"], 3);
    site.asks(&["wait"], 3);

    // The same mistake with a new page is the same verdict.
    repository.push("Another page", &[("README.md", "more\n")]);
    site.asks(&["reload"], 1);

    let second = repository.push("web: second", &[("navigator.yml", &sleeps(3601))]);
    site.asks(&["reload"], 0);
    site.asks(&["wait"], 0);
    assert_eq!(source(&site)["in_force"]["commit"], second.as_str());
    assert_eq!(navigator.count("Process started", "web"), 2);
    assert_eq!(navigator.started("web"), web, "it is the first start");
    navigator.ends();
}

#[test]
fn the_last_good_commit_is_in_force_at_a_start_without_a_network() {
    let site = Site::new();
    let repository = Repository::new(&site);
    let first = repository.push("web: first", &[("navigator.yml", &sleeps(3600))]);
    let navigator = site.start(&follows(&repository, ""));
    waits_for(&navigator, "Commit applied", &first);
    navigator.started("web");
    navigator.ends();

    fs::rename(repository.url(), site.path("away.git")).expect("it is ours");
    let navigator = site.command(["navigator.yml"]).start();
    navigator.started("web");
    navigator.wait("a failed look", |event| event.message == "Look failed");
    site.asks(&["status"], 3);
    let shown = source(&site);
    assert_eq!(shown["in_force"]["commit"], first.as_str());
    assert_eq!(condition(&shown, "Fetched").1, "FetchFailed");
    site.asks(&["reload"], 1);

    fs::rename(site.path("away.git"), repository.url()).expect("it is ours");
    let second = repository.push("web: second", &[("navigator.yml", &sleeps(3601))]);
    site.asks(&["reload"], 0);
    assert_eq!(source(&site)["in_force"]["commit"], second.as_str());
    navigator.ends();
}
