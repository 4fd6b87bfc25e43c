//! One navigator for one configuration.

use crate::harness::{Navigator, Signal, Site};

const ONE: &str = "managed_processes:\n  - { name: web, command: \"${FIXTURES}/child.sh\", args: [web] }\n";

#[test]
fn of_many_that_are_started_at_once_one_runs_and_the_others_name_it() {
    let site = Site::new();
    site.write("navigator.yml", ONE);
    let mut all: Vec<Navigator<'_>> = (0..50).map(|_| site.command(["navigator.yml"]).start()).collect();
    let last = all.len() - 1;
    all[last].log().until("all but one to end", || {
        (all.iter().filter(|navigator| navigator.log().has_ended()).count() == last).then_some(())
    });
    let running = all.iter().position(|navigator| !navigator.log().has_ended()).expect("one runs on");
    let mut one = all.swap_remove(running);
    let expected = format!("navigator: `navigator.yml` is already run by the navigator with pid {}\n", one.pid());
    for other in all {
        let ended = other.ended();
        assert_eq!((ended.code, ended.stderr()), (Some(1), expected.clone()), "{}", ended.description);
    }
    one.started("web");
    one.journals("web start");
    assert_eq!(site.journal(), ["web start"], "it was started once");
    let status = site.run(["status"]);
    assert_eq!(status.code, Some(0), "{}", status.description);
    one.signal(Signal::TERM);
    one.exits(0);
}

#[test]
fn the_socket_is_its_owners_alone_and_goes_with_navigator() {
    use std::os::unix::fs::PermissionsExt;
    let site = Site::new();
    let mut navigator = site.start(ONE);
    navigator.started("web");
    let instance = crate::harness::socket::instance(&site);
    let mode = |path: &std::path::Path| path.metadata().expect("it is there").permissions().mode() & 0o7777;
    assert_eq!((mode(&instance), mode(&instance.join("socket"))), (0o700, 0o600));
    navigator.signal(Signal::TERM);
    navigator.exits(0);
    assert!(!instance.join("socket").exists());
}
