//! Navigator is killed or upgraded under load, and the next one takes over: clients notice nothing, then or at the next update.

use super::load::Load;
use super::{rolling, save, status, targets};
use crate::harness::Site;
use crate::taken_over::{kill, next};

#[test]
fn clients_notice_neither_a_kill_nor_the_updates_around_it() {
    let site = Site::new();
    for target in targets(&site) {
        site.write("navigator.yml", &rolling(&target, 1, "", ""));
        let first = site.command(["navigator.yml"]).start();
        first.event("Process ready", "web");
        let load = Load::start(&target, false);
        load.expect(2);
        save(&site, &first, &rolling(&target, 2, "", ""));
        first.nth_event("Process stopped", "web", 0);
        let (_, before) = status(&site);
        kill(first);
        let (second, taken_over) = next(&site);
        assert_eq!((taken_over.field("names"), taken_over.field("ended")), (Some("web"), Some("0")));
        second.event("Socket taken over", "web");
        let (_, web) = status(&site);
        assert_eq!((&web["pid"], &web["generation"]), (&before["pid"], &before["generation"]));
        load.expect(3);
        save(&site, &second, &rolling(&target, 3, "", ""));
        second.event("Process stopped", "web");
        assert!(target.ask().is_ok_and(|answer| answer.starts_with("version 3 ")));
        let figures = load.end();
        assert!(figures.failed.is_empty(), "{figures}");
        second.ends();
    }
}

#[test]
fn clients_notice_neither_upgrades_nor_the_updates_between_them() {
    let site = Site::new();
    let rounds = std::env::var("UPGRADES").ok().and_then(|text| text.parse().ok()).unwrap_or(4);
    for target in targets(&site) {
        site.write("navigator.yml", &rolling(&target, 1, "", ""));
        let navigator = site.command(["navigator.yml"]).start();
        navigator.event("Process ready", "web");
        let load = Load::start(&target, false);
        for round in 1..=rounds {
            let version = round + 1;
            load.expect(version);
            save(&site, &navigator, &rolling(&target, version, "", ""));
            // In the middle of the replacement, or after it.
            if round % 2 == 0 {
                navigator.nth_event("Process stopped", "web", usize::try_from(round).expect("a small number") - 1);
            }
            site.asks(&["upgrade"], 0);
            site.asks(&["wait"], 0);
            assert!(target.ask().is_ok_and(|answer| answer.starts_with(&format!("version {version} "))));
        }
        let figures = load.end();
        assert!(figures.failed.is_empty(), "{figures}");
        navigator.ends();
    }
}

/// A replacement that was under way goes on, and a broken one is put back.
#[test]
fn a_replacement_that_was_under_way_goes_on() {
    let site = Site::new();
    let target = super::tcp();
    site.write("navigator.yml", &rolling(&target, 1, "", ""));
    let first = site.command(["navigator.yml"]).start();
    first.event("Process ready", "web");
    let old = status(&site).1["pid"].clone();
    let load = Load::start(&target, false);
    save(&site, &first, &rolling(&target, 2, "--never-accept", ""));
    first.nth_event("Process started", "web", 1);
    kill(first);
    let (second, _) = next(&site);
    assert_eq!(status(&site).1["pid"], old);
    load.expect(3);
    save(&site, &second, &rolling(&target, 3, "", ""));
    second.log().until("the new version", || target.ask().ok().filter(|answer| answer.starts_with("version 3 ")));
    second.log().until("the end of both others", || (status(&site).1["runs"].as_array().map(Vec::len) == Some(1)).then_some(()));
    let figures = load.end();
    assert!(figures.failed.is_empty(), "{figures}");
    second.ends();
}
