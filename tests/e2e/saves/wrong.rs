//! Files that are no configuration: each changes nothing, is told once with its place, and once mended takes effect.

use super::{assert_untouched, fruitless_readings, on_directory, shell, verdicts};
use crate::harness::entry::Event;
use crate::harness::{Navigator, Signal, Site, report};
use dice::Dice;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

#[path = "../../properties/dice.rs"]
#[expect(dead_code, reason = "one throw in here is of no use to these tests")]
mod dice;

/// Something that is wrong.
struct Wrong {
    what: &'static str,
    /// Which of the files in `conf` it takes the place of.
    file: &'static str,
    /// A shell script that makes it, as `wrong`; `None`: the file is taken away.
    made_by: Option<&'static str>,
    /// What navigator says of it.
    says: &'static str,
}

/// The main file, with this text.
const fn wrong(what: &'static str, made_by: &'static str, says: &'static str) -> Wrong {
    Wrong { what, file: "navigator.yml", made_by: Some(made_by), says }
}

const WRONG: [Wrong; 24] = [
    wrong("empty", ": > wrong", "conf/navigator.yml:1:1: this file has no keys"),
    wrong("comments alone", "echo '# nothing' > wrong", "conf/navigator.yml:2:1: this file has no keys"),
    wrong("no list", "echo managed_processes: > wrong", "conf/navigator.yml:1:1: `managed_processes` has no value"),
    wrong(
        "neither list",
        "echo 'env: {}' > wrong",
        "conf/navigator.yml:1:1: this file has neither `managed_processes` nor `applications` nor `include`",
    ),
    wrong(
        "not YAML",
        "echo 'managed_processes: [' > wrong",
        "conf/navigator.yml:1:20: the `[` in `managed_processes` is never closed",
    ),
    wrong("cut off", "head -c 75 good > wrong", "conf/navigator.yml:3:30: the `\"` in `command` of `kept-1` is never closed"),
    wrong(
        "a tab",
        r"printf 'managed_processes:\n\t- x\n' > wrong",
        "conf/navigator.yml:2:1: an item of `managed_processes` is indented with a tab",
    ),
    wrong("UTF-16", r"printf '\377\376m\000' > wrong", "conf/navigator.yml:1:1: this file is not UTF-8 but looks like UTF-16"),
    wrong("zeroes", "head -c 300 /dev/zero > wrong", "conf/navigator.yml:1:1: this file contains a NUL character"),
    wrong(
        "several documents",
        r"printf 'managed_processes: []\n---\nmanaged_processes: []\n' > wrong",
        "conf/navigator.yml:2:1: a second YAML document begins here",
    ),
    wrong(
        "an unknown key",
        r"printf 'managed_processes:\n  - { name: kept-1, comand: x }\n' > wrong",
        "conf/navigator.yml:2:21: unknown key `comand` of `kept-1`",
    ),
    wrong(
        "a name twice",
        r"printf 'managed_processes:\n  - { name: a, command: x }\n  - { name: a, command: y }\n' > wrong",
        "conf/navigator.yml:3:13: duplicate process name `a`",
    ),
    wrong(
        "a key twice",
        r"printf 'managed_processes: []\nmanaged_processes: []\n' > wrong",
        "conf/navigator.yml:2:1: duplicate key `managed_processes`",
    ),
    wrong(
        "an unknown dependency",
        r"printf 'managed_processes:\n  - { name: a, command: x, depends_on: [b] }\n' > wrong",
        "conf/navigator.yml:2:41: unknown process `b` in `depends_on` of `a`",
    ),
    wrong(
        "a missing env file",
        r"printf 'managed_processes:\n  - { name: a, command: x, env_file: missing.env }\n' > wrong",
        "conf/navigator.yml:2:38: env file `missing.env` of `a`: there is no such file",
    ),
    wrong(
        "a missing include",
        "echo 'include: missing.yml' > wrong",
        "conf/navigator.yml:1:10: `conf/missing.yml` in `include`: there is no such file",
    ),
    wrong(
        "an include that is wrong",
        "echo 'include: invalid.yml' > wrong",
        "conf/invalid.yml:1:20: `managed_processes` must be a list of processes, not a single value",
    ),
    wrong(
        "an include that includes",
        "echo 'include: nested.yml' > wrong",
        "conf/nested.yml:1:1: `include` is not allowed in an included file",
    ),
    wrong("a directory", "mkdir wrong", "conf/navigator.yml:1:1: it is a directory, not a file"),
    wrong("a FIFO", "mkfifo wrong", "conf/navigator.yml:1:1: not a regular file but a FIFO"),
    wrong("unreadable", "cp good wrong; chmod 000 wrong", "conf/navigator.yml:1:1: permission to read it is denied"),
    Wrong { what: "missing", file: "navigator.yml", made_by: None, says: "conf/navigator.yml:1:1: there is no such file" },
    Wrong {
        what: "its include wrong",
        file: "part.yml",
        made_by: Some("echo 'managed_processes: 5' > wrong"),
        says: "conf/part.yml:1:20: `managed_processes` must be a list of processes, not a single value",
    },
    Wrong {
        what: "its include missing",
        file: "part.yml",
        made_by: None,
        says: "conf/navigator.yml:1:10: `conf/part.yml` in `include`: there is no such file",
    },
];

const KEPT: [&str; 5] = ["kept-1", "kept-2", "kept-3", "kept-4", "in-part"];

/// Five processes that stay, and one that says in its argument which version of the file this is.
fn good(version: usize) -> String {
    let processes = KEPT[..4].iter().map(|name| child(name, name)).chain([child("moved", &format!("version-{version}"))]);
    format!("include: part.yml\nmanaged_processes:\n{}", processes.collect::<String>())
}

fn child(name: &str, argument: &str) -> String {
    format!("  - {{ name: {name}, command: \"${{FIXTURES}}/child.sh\", args: [{argument}], depends_on: [] }}\n")
}

/// Navigator with the processes of [`good`], as a user to whom files can be unreadable.
fn running(site: &Site) -> Navigator<'_> {
    site.write("conf/navigator.yml", &good(1));
    site.write("conf/part.yml", &format!("managed_processes:\n{}", child("in-part", "in-part")));
    site.write("good", &good(1));
    site.write("conf/invalid.yml", "managed_processes: 5\n");
    site.write("conf/nested.yml", "include: part.yml\nmanaged_processes: []\n");
    shell(site, "chmod 1777 .", 0);
    let arguments = ["--verbose", "conf/navigator.yml"];
    // Root may read everything, so somebody else is navigator.
    let nobody = ["--reuid=nobody", "--regid=nogroup", "--clear-groups"];
    let is_root = rustix::process::geteuid().is_root();
    let launch = if is_root { site.command_through("setpriv", &nobody, &arguments) } else { site.command(arguments) };
    let navigator = launch.start();
    for name in KEPT.iter().chain(&["version-1"]) {
        navigator.journals(&format!("{name} start"));
    }
    navigator
}

/// Puts what is wrong in its place at once, whatever kind of thing it is and was; what was there is `aside` then.
fn put_in_place(site: &Site, wrong: &Wrong) {
    let (place, aside) = (site.path("conf").join(wrong.file), site.path("aside"));
    if let Some(script) = wrong.made_by {
        shell(site, &format!("rm -rf aside wrong; {script}; mv wrong aside"), 0);
        renameat_with(CWD, &aside, CWD, &place, RenameFlags::EXCHANGE).expect("both are there");
    } else {
        shell(site, "rm -rf aside", 0);
        fs::rename(&place, &aside).expect("it is there");
    }
}

/// Puts a text in the place of whatever is there, or isn't, at once.
fn mend(site: &Site, file: &str, text: &str) {
    shell(site, "rm -rf mended", 0);
    let (mended, place) = (site.write("mended", text), site.path("conf").join(file));
    let flags = if fs::symlink_metadata(&place).is_ok() { RenameFlags::EXCHANGE } else { RenameFlags::NOREPLACE };
    renameat_with(CWD, &mended, CWD, &place, flags).expect("nobody else is here");
}

#[track_caller]
fn nth_verdict(navigator: &Navigator<'_>, n: usize) -> Event {
    navigator.log().until("a verdict on the file", || verdicts(navigator).into_iter().nth(n))
}

#[track_caller]
fn assert_rejected(verdict: &Event, wrong: &Wrong, navigator: &Navigator<'_>) {
    assert_eq!(verdict.message, "Configuration rejected", "{}\n{}", wrong.what, navigator.log().describe());
    assert_eq!((verdict.field("problems"), verdict.field("diagnostics")), (Some("1"), Some(wrong.says)), "{}", wrong.what);
}

#[test]
fn each_kind_changes_nothing_is_told_once_and_takes_effect_when_mended() {
    let site = Site::new();
    let mut navigator = running(&site);
    let part = site.read("conf/part.yml");
    for (done, wrong) in WRONG.iter().enumerate() {
        put_in_place(&site, wrong);
        assert_rejected(&nth_verdict(&navigator, 2 * done), wrong, &navigator);
        if wrong.made_by.is_some() {
            let before = fruitless_readings(&navigator);
            put_in_place(&site, wrong);
            navigator.log().until("another reading", || (fruitless_readings(&navigator) > before).then_some(()));
        }
        let version = done + 2;
        if wrong.file == "part.yml" {
            mend(&site, "part.yml", &part);
            let same = nth_verdict(&navigator, 2 * done + 1);
            assert_eq!(same.message, "Configuration unchanged", "{}\n{}", wrong.what, navigator.log().describe());
            assert_eq!(same.field("mended"), Some("true"), "{}", wrong.what);
            continue;
        }
        mend(&site, "navigator.yml", &good(version));
        let mended = nth_verdict(&navigator, 2 * done + 1);
        let generation = version.to_string();
        assert_eq!(mended.message, "Configuration reloaded", "{}\n{}", wrong.what, navigator.log().describe());
        assert_eq!(mended.field("generation"), Some(generation.as_str()), "{}", wrong.what);
        navigator.journals(&format!("version-{version} start"));
    }
    assert_eq!(verdicts(&navigator).len(), 2 * WRONG.len(), "{}", navigator.log().describe());
    assert_untouched(&navigator, &site, &KEPT);
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn fifty_wrong_files_in_any_order_touch_nobody() {
    let asked = std::env::var("SAVES_SEED").ok().and_then(|seed| seed.parse().ok());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let seed = asked.unwrap_or(now);
    report(&format!("SAVES_SEED={seed} repeats the order of the wrong files"));
    let mut dice = Dice::of(&[seed]);
    let site = Site::new();
    let mut navigator = running(&site);
    let (main, part) = (site.read("conf/navigator.yml"), site.read("conf/part.yml"));
    let mut told = 0;
    let mut last: Option<&Wrong> = None;
    for _ in 0..50 {
        let next = &WRONG[dice.below(WRONG.len())];
        // One on top of the other, if they can be told from one another; or else mended in between.
        let is_on_top = dice.below(3) > 0
            && last.is_some_and(|last| last.what != next.what && last.file == next.file && last.made_by.is_some());
        if let Some(last) = last.filter(|_| !is_on_top) {
            mend(&site, last.file, if last.file == "part.yml" { &part } else { &main });
            assert_eq!(nth_verdict(&navigator, told).message, "Configuration unchanged", "{}", navigator.log().describe());
            told += 1;
        }
        put_in_place(&site, next);
        assert_rejected(&nth_verdict(&navigator, told), next, &navigator);
        told += 1;
        last = Some(next);
    }
    assert_untouched(&navigator, &site, &KEPT);
    assert_eq!(navigator.count("Stopping process", "moved"), 0, "{}", navigator.log().describe());
    assert_eq!(verdicts(&navigator).len(), told, "each was told once\n{}", navigator.log().describe());
    mend(&site, "part.yml", &part);
    mend(&site, "navigator.yml", &good(2));
    navigator.journals("version-2 start");
    let reloaded = nth_verdict(&navigator, verdicts(&navigator).len() - 1);
    assert_eq!(reloaded.field("generation"), Some("2"), "no generation came of all that: {reloaded:?}");
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn a_person_who_asks_is_told_again() {
    let site = Site::new();
    let mut navigator = on_directory(&site, "managed_processes: []\n");
    navigator.wait("the first configuration", |event| event.message == "Configuration loaded");
    site.write("conf/navigator.yml", "managed_processes:\n");
    assert_eq!(nth_verdict(&navigator, 0).message, "Configuration rejected");
    navigator.signal(Signal::HUP);
    assert_eq!(nth_verdict(&navigator, 1).message, "Configuration rejected");
    site.write("conf/navigator.yml", &format!("managed_processes:\n{}", child("new", "new")));
    navigator.journals("new start");
    assert_eq!(verdicts(&navigator).len(), 3, "{}", navigator.log().describe());
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}
