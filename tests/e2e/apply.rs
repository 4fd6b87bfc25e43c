//! `navigator apply`: what it checks, what it writes, and how it exits.

use crate::harness::{Navigator, Site, servers};
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::thread;

const ONE: &str = "managed_processes:\n  - { name: web, command: sleep, args: [1h] }\n";

fn two() -> String {
    ONE.to_owned() + "  - { name: worker, command: sleep, args: [1h] }\n"
}

/// What is in a directory.
fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("the directory of a site");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn generation(site: &Site) -> u64 {
    let status: serde_json::Value = serde_json::from_str(&site.run(["status", "--json"]).stdout()).expect("it is JSON");
    status["generation"].as_u64().expect("a number")
}

#[track_caller]
fn started(site: &Site) -> Navigator<'_> {
    let navigator = site.start_unwatched(ONE);
    navigator.started("web");
    site.asks(&["wait"], 0);
    navigator
}

#[test]
fn a_file_is_put_in_place_once_with_the_mode_and_the_group_of_the_old_one() {
    let site = Site::new();
    let navigator = started(&site);
    let config = site.path("navigator.yml");
    fs::set_permissions(&config, fs::Permissions::from_mode(0o640)).expect("it is ours");
    let group = servers::is_root().then_some(12_345);
    chown(&config, None, group).expect("root may");
    site.write("new.yml", &two());
    let before = names(&site.path(""));

    assert_eq!(site.asks(&["apply", "new.yml"], 0).stdout(), "changed: generation 2\n");
    navigator.started("worker");
    assert_eq!(site.read("navigator.yml"), two());
    let meta = fs::metadata(&config).expect("it is in its place");
    assert_eq!(meta.mode() & 0o7777, 0o640);
    assert!(group.is_none_or(|group| meta.gid() == group), "the group is kept");
    assert_eq!(names(&site.path("")), before, "no other file is left");

    assert_eq!(site.asks(&["apply", "new.yml"], 0).stdout(), "unchanged: generation 2\n");
    let again = fs::metadata(&config).expect("it is in its place");
    assert_eq!((meta.ino(), meta.mtime_nsec()), (again.ino(), again.mtime_nsec()), "nothing was written");

    site.write("new.yml", &format!("# the same\n{}", two()));
    assert_eq!(site.asks(&["apply", "new.yml"], 0).stdout(), "changed: generation 2, which means the same\n");
    assert_eq!(site.read("navigator.yml"), format!("# the same\n{}", two()));
    navigator.ends();
}

#[test]
fn a_wrong_file_changes_nothing() {
    let site = Site::new();
    let navigator = started(&site);
    site.write("new.yml", &two().replace("command", "comand"));
    let before = names(&site.path(""));
    let ended = site.asks(&["apply", "new.yml"], 1);
    assert_eq!(ended.stdout(), "");
    assert!(ended.stderr().starts_with("new.yml:2:18: error: unknown key `comand` of `web`"), "{}", ended.description);
    assert!(ended.stderr().ends_with("nothing was changed\n"), "{}", ended.description);
    let ended = site.asks(&["apply", "missing.yml"], 2);
    assert!(ended.stderr().contains("missing.yml"), "{}", ended.description);
    assert_eq!((site.read("navigator.yml"), names(&site.path("")), generation(&site)), (ONE.to_owned(), before, 1));
    navigator.ends();
}

#[test]
fn a_file_is_checked_in_the_place_of_the_configuration_with_the_environment_of_navigator() {
    let site = Site::new();
    site.write("etc/navigator.yml", ONE);
    site.write("etc/app.env", "PORT=80\n");
    site.write("elsewhere/app.env", "");
    let navigator = site.command(["--no-watch", "etc/navigator.yml"]).env("ONLY_THERE", "1h").start();
    navigator.started("web");
    let text = "env_file: app.env\nmanaged_processes:\n  - { name: web, command: sleep, args: [\"${ONLY_THERE}\"], \
                env: { A: \"${PORT}\", B: \"${NAVIGATOR_CONFIG_DIR}\" } }\n";
    let path = site.write("elsewhere/new.yml", text);
    let input = || File::open(&path).expect("it was just written").into();
    let arguments = ["-c", "etc/navigator.yml", "apply", "-"];
    let ended = site.command(arguments).with_stdin(input()).start().ended();
    assert_eq!((ended.code, ended.stdout()), (Some(0), "changed: generation 2\n".to_owned()), "{}", ended.description);
    let ended = site.asks(&["-c", "etc/navigator.yml", "apply", "elsewhere/new.yml"], 0);
    assert_eq!(ended.stdout(), "unchanged: generation 2\n");
    assert_eq!(site.read("etc/navigator.yml"), text);
    navigator.ends();
}

#[test]
fn the_target_of_a_link_is_replaced_and_paths_go_by_the_link() {
    let site = Site::new();
    site.write("release/navigator.yml", ONE);
    site.write("etc/app.env", "PORT=80\n");
    symlink("../release/navigator.yml", site.path("etc/navigator.yml")).expect("the name is free");
    let navigator = site.command(["--no-watch", "etc/navigator.yml"]).start();
    navigator.started("web");
    site.write("new.yml", &format!("env_file: app.env\n{}", two()));
    site.asks(&["-c", "etc/navigator.yml", "apply", "new.yml"], 0);
    assert!(fs::symlink_metadata(site.path("etc/navigator.yml")).expect("it is there").is_symlink());
    assert_eq!(site.read("release/navigator.yml"), format!("env_file: app.env\n{}", two()));
    assert_eq!(names(&site.path("release")), ["navigator.yml"]);
    navigator.ends();
}

#[test]
fn of_several_that_expect_one_generation_a_single_one_is_applied() {
    let site = Site::new();
    let navigator = started(&site);
    let ended = site.asks(&["apply", "navigator.yml", "--if-generation", "7"], 1);
    assert_eq!(ended.stderr(), "navigator: generation 1 is in force, not 7; nothing was changed\n");
    let codes: Vec<Option<i32>> = thread::scope(|scope| {
        let applied = (2..8).map(|number| {
            let (site, name) = (&site, format!("new-{number}.yml"));
            scope.spawn(move || {
                site.write(&name, &ONE.replace("1h", &format!("{number}h")));
                site.run(["apply", &name, "--if-generation", "1"]).code
            })
        });
        let applied: Vec<_> = applied.collect();
        applied.into_iter().map(|applied| applied.join().expect("it ends")).collect()
    });
    let count = |code| codes.iter().filter(|found| **found == Some(code)).count();
    assert_eq!((count(0), count(1), generation(&site)), (1, 5, 2), "{codes:?}");
    navigator.ends();
}

#[test]
fn a_save_that_is_not_in_force_yet_is_not_overwritten_if_a_generation_is_expected() {
    let site = Site::new();
    let navigator = site.start(ONE);
    navigator.started("web");
    site.asks(&["wait"], 0);
    site.write("new.yml", ONE);
    for number in 1..6 {
        let saved = ONE.replace("1h", &format!("{number}d"));
        site.write("navigator.yml", &saved);
        let expected = number.to_string();
        let ended = site.asks(&["apply", "new.yml", "--if-generation", &expected], 1);
        let in_force = number + 1;
        let message = format!("navigator: generation {in_force} is in force, not {number}; nothing was changed\n");
        assert_eq!((ended.stderr(), site.read("navigator.yml")), (message, saved));
    }
    navigator.ends();
}

#[test]
fn what_is_in_force_and_does_not_converge_exits_3() {
    let site = Site::new();
    let navigator = started(&site);
    site.write("new.yml", &ONE.replace("sleep", "no-such-program"));
    let ended = site.asks(&["apply", "new.yml"], 3);
    assert_eq!(ended.stdout(), "changed: generation 2\n");
    assert!(ended.stderr().contains("web failed"), "{}", ended.description);
    assert_eq!(site.read("navigator.yml"), site.read("new.yml"));
    // The same file again changes nothing, and still does not converge.
    assert_eq!(site.asks(&["apply", "new.yml"], 3).stdout(), "unchanged: generation 2\n");
    site.write("new.yml", ONE);
    assert_eq!(site.asks(&["apply", "new.yml"], 0).stdout(), "changed: generation 3\n");
    navigator.ends();
}

#[test]
fn without_a_navigator_nothing_changes() {
    let site = Site::new();
    site.write("navigator.yml", ONE);
    site.write("new.yml", &two());
    site.asks(&["apply", "new.yml"], 4);
    assert_eq!(site.read("navigator.yml"), ONE);
}

/// What a system call of `apply` does to it, and what that leaves: the new file, or the old one.
const FAULTS: [(&str, &str, bool); 11] = [
    ("unlinkat:error=EROFS", "", false),
    ("write:error=ENOSPC", ".navigator.yml.apply", false),
    ("fchmod:error=EPERM", ".navigator.yml.apply", false),
    ("fsync:error=EIO:when=1", ".navigator.yml.apply", false),
    ("renameat:error=EIO", "", false),
    ("write:signal=KILL", ".navigator.yml.apply", false),
    ("fchmod:signal=KILL", ".navigator.yml.apply", false),
    ("fsync:signal=KILL:when=1", ".navigator.yml.apply", false),
    ("renameat:signal=KILL", "", false),
    ("fsync:signal=KILL:when=2", "", true),
    ("fsync:error=EIO:when=2", "", true),
];

#[test]
fn a_fault_at_any_step_leaves_the_old_file_or_the_new_one_and_the_next_apply_works() {
    let test = "apply::a_fault_at_any_step_leaves_the_old_file_or_the_new_one_and_the_next_apply_works";
    if !servers::present(test, &["strace"]) {
        return;
    }
    let site = Site::new();
    let navigator = started(&site);
    for (number, (fault, file, is_new)) in FAULTS.into_iter().enumerate() {
        let old = site.read("navigator.yml");
        site.write("new.yml", &ONE.replace("1h", &format!("{}h", number + 2)));
        let inject = format!("inject={fault}");
        let path = site.path(file).display().to_string();
        let mut its = vec!["-f", "-qq", "-o", "trace", "-e", &inject];
        its.extend(if file.is_empty() { vec![] } else { vec!["-P", path.as_str()] });
        let ended = site.command_through("strace", &its, &["apply", "new.yml"]).start().ended();
        let trace = site.read("trace");
        assert!(trace.contains("INJECTED") || trace.contains("killed by SIGKILL"), "{fault} never came: {trace}");
        let expected = if is_new { site.read("new.yml") } else { old };
        assert_eq!(site.read("navigator.yml"), expected, "{fault}\n{}", ended.description);
        if !fault.contains("KILL") {
            assert_eq!(ended.code, Some(if is_new { 3 } else { 1 }), "{fault}\n{}", ended.description);
            assert!(!site.path(".navigator.yml.apply").exists(), "{fault}");
            assert!(is_new || ended.stderr().ends_with("nothing was changed\n"), "{fault}\n{}", ended.description);
        }
        site.asks(&["apply", "new.yml"], 0);
        assert_eq!(site.read("navigator.yml"), site.read("new.yml"), "{fault}");
        assert!(!site.path(".navigator.yml.apply").exists(), "{fault}");
    }
    navigator.ends();
}

#[test]
fn a_missing_configuration_is_made_again() {
    let site = Site::new();
    let navigator = started(&site);
    fs::remove_file(site.path("navigator.yml")).expect("it is there");
    site.write("new.yml", &two());
    assert_eq!(site.asks(&["-c", "navigator.yml", "apply", "new.yml"], 0).stdout(), "changed: generation 2\n");
    assert_eq!(site.read("navigator.yml"), two());
    navigator.ends();
}

#[test]
fn a_file_that_is_mounted_by_itself_is_left_alone_and_the_message_says_what_to_do() {
    let test = "apply::a_file_that_is_mounted_by_itself_is_left_alone_and_the_message_says_what_to_do";
    if !servers::permitted(test, &["unshare", "--mount", "true"]) {
        return;
    }
    let site = Site::new();
    let navigator = started(&site);
    site.write("new.yml", &two());
    let script = "mount --bind navigator.yml navigator.yml; exec \"$0\" apply new.yml";
    let ended = site.command_through("unshare", &["--mount", "sh", "-c", script], &[]).start().ended();
    assert_eq!(ended.code, Some(1), "{}", ended.description);
    let expected = "is a mount point and can't be replaced: mount the directory that it is in; nothing was changed\n";
    assert!(ended.stderr().ends_with(expected), "{}", ended.description);
    assert_eq!((site.read("navigator.yml"), generation(&site)), (ONE.to_owned(), 1));
    navigator.ends();
}
