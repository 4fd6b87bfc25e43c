//! How long it takes from a save to the exec of the changed process, by that process's own account.

use super::{assert_reloads, assert_untouched, median_and_late, on_directory, started_after, version};
use crate::harness::{Navigator, Signal, Site, report};
use std::fs;
use std::time::{Duration, SystemTime};

#[test]
fn from_a_save_to_the_exec_of_the_changed_process() {
    const ROUNDS: usize = 25;
    let site = Site::new();
    let mut navigator = on_directory(&site, &version(0));
    navigator.journals("version-0 start");
    let (mut renamed, mut in_place) = (Vec::new(), Vec::new());
    // By turns, so that whatever else this machine does slows down both.
    for number in (1..).step_by(2).take(ROUNDS) {
        site.write("conf/tmp", &version(number));
        fs::rename(site.path("conf/tmp"), site.path("conf/navigator.yml")).expect("it is ours");
        renamed.push(until_started(&navigator, &site, number));
        site.write("conf/navigator.yml", &version(number + 1));
        in_place.push(until_started(&navigator, &site, number + 1));
    }
    let figures = [("renamed into place", renamed), ("written in place", in_place)].map(|(way, times)| {
        let (median, late) = median_and_late(times);
        report(&format!("{way}: from the end of the save to the exec: median {median:.1?}, 95% within {late:.1?}"));
        median
    });
    assert!(figures[0] * 2 < figures[1], "what was renamed into place is taken at once: {figures:?}");
    assert_reloads(&navigator, 2 * ROUNDS, "each save is one generation");
    assert_untouched(&navigator, &site, &["kept"]);
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

/// The save has just ended; how long until the process of this version began.
fn until_started(navigator: &Navigator<'_>, site: &Site, number: u32) -> Duration {
    let saved = SystemTime::now();
    navigator.journals(&format!("version-{number} start"));
    started_after(site, &format!("version-{number}"), saved)
}
