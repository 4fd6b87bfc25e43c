//! What people do about a followed repository: plans, history, and commits chosen by hand.

use super::{condition, follows, sleeps, source, waits_for};
use crate::harness::{Repository, Site};
use serde_json::Value;

#[test]
fn a_person_may_hold_back_or_choose_commits() {
    let site = Site::new();
    let repository = Repository::new(&site);
    let push = |subject: &str, seconds: u32| repository.push(subject, &[("navigator.yml", &sleeps(seconds))]);
    let first = push("first", 3600);
    let navigator = site.start(&follows(&repository, ""));
    waits_for(&navigator, "Commit applied", &first);
    let in_force = || source(&site)["in_force"]["commit"].as_str().unwrap_or_default().to_owned();

    site.asks(&["suspend", "--reason", "a migration"], 0);
    let second = push("second", 3601);
    let held = site.asks(&["reload"], 3).stderr();
    assert!(held.contains("held (Suspended)") && held.contains("a migration"), "{held}");
    assert_eq!(in_force(), first);
    // It is as a person wants it.
    site.asks(&["status"], 0);
    let plan = site.asks(&["plan", "--rev", "main"], 0).stdout();
    assert!(plan.contains("3601"), "{plan}");
    site.asks(&["resume"], 0);
    assert_eq!(in_force(), second);

    site.asks(&["rollback"], 0);
    assert_eq!(in_force(), first);
    // A page doesn't bring it back.
    repository.push("a page", &[("README.md", "hosts\n")]);
    site.asks(&["reload"], 3);
    assert_eq!((in_force(), condition(&source(&site), "Synced").1), (first.clone(), "RolledBack".to_owned()));
    site.asks(&["source"], 3);
    let third = push("third", 3602);
    site.asks(&["reload"], 0);
    assert_eq!(in_force(), third);
    site.asks(&["source"], 0);

    site.asks(&["pin", &second[..10]], 0);
    push("fourth", 3603);
    site.asks(&["reload"], 3);
    assert_eq!(in_force(), second);
    site.asks(&["resume"], 0);
    navigator.ends();
}

#[test]
fn a_rewritten_branch_is_taken_only_by_hand() {
    let site = Site::new();
    let repository = Repository::new(&site);
    let first = repository.push("first", &[("navigator.yml", &sleeps(3600))]);
    let second = repository.push("second", &[("navigator.yml", &sleeps(3601))]);
    let navigator = site.start(&follows(&repository, ""));
    waits_for(&navigator, "Commit applied", &second);
    repository.git(&["reset", "--quiet", "--hard", &first]);
    let other = repository.push("other", &[("navigator.yml", &sleeps(3602))]);
    site.asks(&["reload"], 1);
    let shown = source(&site);
    assert_eq!(shown["in_force"]["commit"], second.as_str());
    assert_eq!(condition(&shown, "Synced"), ("False".to_owned(), "HistoryRewritten".to_owned()));
    site.asks(&["accept", &other], 0);
    site.asks(&["reload"], 0);
    assert_eq!(source(&site)["in_force"]["commit"], other.as_str());

    let history: Value = serde_json::from_str(&site.asks(&["history", "--json"], 0).stdout()).expect("it is JSON");
    let outcomes: Vec<(&str, &str)> = history
        .as_array()
        .expect("a list")
        .iter()
        .map(|attempt| (attempt["commit"].as_str().unwrap_or_default(), attempt["outcome"].as_str().unwrap_or_default()))
        .collect();
    assert_eq!(outcomes, [(&*other, "good"), (&*other, "rejected"), (&*second, "good")]);
    let shown = site.asks(&["history", "show", "1"], 0).stdout();
    assert!(shown.contains("other") && shown.contains("web"), "{shown}");
    navigator.ends();
}

/// The objects decide what is wanted, not the files of a checkout.
#[test]
fn an_edited_checkout_changes_nothing_and_is_restored() {
    let site = Site::new();
    let repository = Repository::new(&site);
    let first = repository.push("first", &[("navigator.yml", &sleeps(3600))]);
    let navigator = site.start(&follows(&repository, ""));
    waits_for(&navigator, "Commit applied", &first);
    let data = std::fs::read_dir(site.path("data")).expect("it is there").next().expect("one instance").expect("it can be read");
    let file = data.path().join("current/navigator.yml");
    std::fs::write(&file, sleeps(9999)).expect("it is ours");
    site.asks(&["reload"], 0);
    assert_eq!(std::fs::read_to_string(&file).expect("it is there"), sleeps(3600));
    assert_eq!(source(&site)["drift"][0], "navigator.yml was edited, and restored");
    assert_eq!(navigator.count("Process started", "web"), 1);
    navigator.ends();
}
