//! Writers that take their time: a beginning of a valid file is valid too, and stops nobody.

use super::{Means, assert_reloads, assert_untouched, shell};
use crate::harness::{Navigator, Signal, Site, client, fixtures, report};
use std::process::Command;

/// The processes that every version of [`ten`] has as they are.
const KEPT: [&str; 9] = ["kept-1", "kept-2", "kept-3", "kept-4", "kept-5", "kept-6", "kept-7", "kept-8", "kept-9"];

/// Ten processes, one a line, of which the first says in its argument which version of the file this is.
fn ten(number: u32) -> String {
    let kept = KEPT.map(|name| format!("  - {{ <<: *child, name: {name}, args: [{name}] }}\n")).concat();
    format!(
        r#"x-child: &child {{ command: "${{FIXTURES}}/child.sh", depends_on: [] }}
managed_processes:
  - {{ <<: *child, name: moved, args: [version-{number}] }}
{kept}"#
    )
}

/// Navigator with the ten running.
fn ten_running(site: &Site, means: Means) -> Navigator<'_> {
    site.write("conf/navigator.yml", &ten(0));
    let navigator = means.start(site);
    for name in KEPT.iter().chain(&["version-0"]) {
        navigator.journals(&format!("{name} start"));
    }
    navigator
}

/// How many saves of a slow writer there are: `SAVES_ROUNDS`, or this.
fn rounds(usual: usize) -> usize {
    let asked = std::env::var("SAVES_ROUNDS").ok();
    asked.map_or(usual, |asked| asked.parse().unwrap_or_else(|_| panic!("`SAVES_ROUNDS` is `{asked}`; it can be a number")))
}

#[test]
fn a_writer_that_opens_the_file_again_and_again_stops_nobody() {
    dribbled(Means::Events, rounds(16));
}

#[test]
fn a_writer_that_opens_the_file_again_and_again_stops_nobody_under_the_poll() {
    if Means::Poll.is_available("saves: a slow writer under the poll") {
        dribbled(Means::Poll, rounds(16) / 4);
    }
}

/// Has the file saved line by line this often; each save counts once, as a whole.
fn dribbled(means: Means, rounds: usize) {
    let site = Site::new();
    let mut navigator = ten_running(&site, means);
    for number in (1..).take(rounds) {
        let new = site.write("new", &ten(number));
        client(Command::new(fixtures().join("dribble.sh")).arg(new).arg(site.path("conf/navigator.yml")));
        navigator.journals(&format!("version-{number} start"));
    }
    assert_reloads(&navigator, rounds, "each save counts once, as a whole");
    assert_untouched(&navigator, &site, &KEPT);
    report(&format!("{rounds} saves of a slow writer, {means:?}: nobody was stopped"));
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

/// Writes the beginning of `new` and, five seconds later, the rest, into a file that is open all the time.
const HELD_OPEN: &str = "exec 3>conf/navigator.yml; head -n 6 new >&3; sleep 5; tail -n +7 new >&3";

/// The same with a file that is renamed into place before it is complete.
const RENAMED_OPEN: &str =
    "exec 3>conf/tmp; head -n 6 new >&3; mv conf/tmp conf/navigator.yml; sleep 0.05; tail -n +7 new >&3; exec 3>&-";

#[test]
fn a_writer_that_keeps_the_file_open_stops_nobody() {
    held_open(Means::Events, HELD_OPEN);
}

#[test]
fn a_writer_that_goes_on_after_its_rename_stops_nobody() {
    held_open(Means::Events, RENAMED_OPEN);
}

#[test]
fn a_writer_that_keeps_the_file_open_stops_nobody_under_the_poll() {
    if Means::Poll.is_available("saves: an open file under the poll") {
        held_open(Means::Poll, HELD_OPEN);
    }
}

fn held_open(means: Means, save: &str) {
    let site = Site::new();
    let mut navigator = ten_running(&site, means);
    let new = site.write("new", &ten(1));
    let whole = std::fs::read_to_string(&new).expect("it was just written");
    let beginning: Vec<&str> = whole.lines().take(6).collect();
    site.write("beginning.yml", &beginning.join("\n"));
    assert_eq!(site.command(["check", "beginning.yml"]).start().ended().code, Some(0), "a beginning that is valid");
    shell(&site, save, 0);
    navigator.journals("version-1 start");
    assert_reloads(&navigator, 1, "the file counts once, as a whole");
    assert_untouched(&navigator, &site, &KEPT);
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn an_include_or_env_file_that_is_kept_open_is_waited_for_too() {
    if !Means::Poll.is_available("saves: open parts under the poll") {
        return;
    }
    let site = Site::new();
    let child = |name: &str, argument: &str| {
        format!("  - {{ name: {name}, command: \"${{FIXTURES}}/child.sh\", args: [\"{argument}\"], depends_on: [] }}\n")
    };
    let part =
        |number: u32| format!("managed_processes:\n{}{}", child("from-part", &format!("part-{number}")), child("kept", "kept"));
    let painted = child("painted", "${COLOUR}-${SHADE:-none}").replace("depends_on", "env_file: paint.env, depends_on");
    site.write("conf/navigator.yml", &format!("include: part.yml\nmanaged_processes:\n{painted}"));
    site.write("conf/part.yml", &part(0));
    site.write("conf/paint.env", "COLOUR=red\nSHADE=dark\n");
    let mut navigator = Means::Poll.start(&site);
    for name in ["part-0", "kept", "red-dark"] {
        navigator.journals(&format!("{name} start"));
    }
    site.write("new", &part(1));
    let held_open = "exec 3>conf/part.yml 4>conf/paint.env; head -n 2 new >&3; echo COLOUR=blue >&4; sleep 5; tail -n +3 new >&3; echo SHADE=light >&4";
    shell(&site, held_open, 0);
    navigator.journals("part-1 start");
    navigator.journals("blue-light start");
    assert_reloads(&navigator, 1, "both files count once, as a whole");
    assert_untouched(&navigator, &site, &["kept"]);
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}
