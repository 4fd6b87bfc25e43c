//! Many updates in a row, with runs that don't end when they are told to.

use super::load::Load;
use super::{rolling, save, tcp};
use crate::harness::Site;

/// One run serves, one gets ready, one ends: there are never more, however fast the file is saved.
#[test]
fn fifty_saves_of_a_server_that_ignores_term_need_at_most_three_runs() {
    let site = Site::new();
    let target = tcp();
    let text = |version| rolling(&target, version, "--ignore-term", "stop: {timeout: 500ms}");
    let navigator = site.start(&text(1));
    navigator.event("Process ready", "web");
    let load = Load::start(&target, false);
    for version in 2..=51 {
        load.expect(version);
        save(&site, &navigator, &text(version));
        // Some take over, and are replaced in their turn. The others are stopped before they are ready.
        if version % 10 == 1 {
            assert!(load.has_answered(1), "{}", navigator.log().describe());
        }
    }
    site.asks(&["wait"], 0);
    let figures = load.end();
    let (mut now, mut most) = (0_usize, 0);
    for event in navigator.events().iter().filter(|event| event.field("name") == Some("web")) {
        match event.message.as_str() {
            "Process started" => now += 1,
            "Process stopped" => now -= 1,
            _ => {}
        }
        most = most.max(now);
    }
    assert!((2..=3).contains(&most), "{most} runs at a time\n{}", navigator.log().describe());
    // A run that is killed may have accepted a connection: that is what ignoring TERM costs, and nothing more.
    let killed = u64::try_from(navigator.count("Process stopped", "web")).expect("a small number");
    assert!(figures.failures() <= killed, "{figures}, {killed} killed\n{}", navigator.log().describe());
    navigator.ends();
}
