//! Whose files navigator takes, and whose orders: what decides what root runs must be root's.

use crate::harness::{Ended, Navigator, Signal, Site, client, servers};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;

const NOBODY: u32 = 65534;
const AS_NOBODY: [&str; 3] = ["--reuid=nobody", "--regid=nogroup", "--clear-groups"];

const WITH_OTHERS: &str = "\
include: part.yml
managed_processes:
  - { name: web, command: sleep, args: [1h], env_file: web.env }
";

/// A configuration of three files, in a directory of their own.
fn site() -> Site {
    let site = Site::new();
    site.write("conf/navigator.yml", WITH_OTHERS);
    site.write("conf/part.yml", "managed_processes:\n  - { name: part, command: sleep, args: [1h] }\n");
    site.write("conf/web.env", "A=b\n");
    for name in ["", "navigator.yml", "part.yml", "web.env"] {
        mode(&site.path("conf").join(name), if name.is_empty() { 0o755 } else { 0o644 });
    }
    site
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("it is ours");
}

/// Whether somebody can become `nobody` here, and run navigator then.
fn can_become_nobody(test: &str) -> bool {
    let [user, group, groups] = AS_NOBODY;
    servers::root(test)
        && servers::permitted(test, &["setpriv", user, group, groups, env!("CARGO_BIN_EXE_navigator"), "--version"])
}

#[track_caller]
fn refused(ended: &Ended, expected: &str) {
    assert_eq!(ended.code, Some(1), "{}", ended.description);
    assert!(ended.stderr().contains(expected), "{expected}\n{}", ended.description);
}

#[track_caller]
fn runs(mut navigator: Navigator<'_>) {
    navigator.started("web");
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn root_runs_only_what_nobody_else_can_write() {
    if !servers::root("ownership::root_runs_only_what_nobody_else_can_write") {
        return;
    }
    let site = site();
    runs(site.command(["conf/navigator.yml"]).start());
    let stranger = "it belongs to user 65534, and navigator runs as root";
    let writable = "its group or others can write to it, and navigator runs as root";
    for (name, at) in [("navigator.yml", "conf/navigator.yml:1:1"), ("part.yml", "`conf/part.yml`: "), ("web.env", "`web.env`: ")]
    {
        let path = site.path("conf").join(name);
        chown(&path, Some(NOBODY), None).expect("the test is root");
        let ended = site.run(["conf/navigator.yml"]);
        refused(&ended, stranger);
        refused(&ended, at);
        refused(&ended, "`chown root` gives it to root");
        chown(&path, Some(0), None).expect("the test is root");
        for open in [0o664, 0o646] {
            mode(&path, open);
            refused(&site.run(["conf/navigator.yml"]), writable);
        }
        // What would be refused can be checked all the same: nothing is run.
        assert_eq!(site.run(["check", "conf/navigator.yml"]).code, Some(0));
        refused(&site.run(["doctor", "conf/navigator.yml"]), writable);
        runs(site.command(["--trust-config", "conf/navigator.yml"]).start());
        mode(&path, 0o644);
    }
}

#[test]
fn root_goes_no_way_that_others_can_change() {
    if !servers::root("ownership::root_goes_no_way_that_others_can_change") {
        return;
    }
    let site = site();
    mode(&site.path("conf"), 0o777);
    let open = format!("everybody can write to the directory `{}` on its way", site.path("conf").display());
    refused(&site.run(["conf/navigator.yml"]), &open);
    symlink("conf", site.path("link")).expect("it is ours");
    refused(&site.run(["link/navigator.yml"]), &open);
    mode(&site.path("conf"), 0o1777);
    runs(site.command(["link/navigator.yml"]).start());
    // Who can change the link itself decides as well.
    fs::create_dir(site.path("open")).expect("it is ours");
    symlink("../conf", site.path("open/link")).expect("it is ours");
    mode(&site.path("open"), 0o777);
    let open = format!("everybody can write to the directory `{}` on its way", site.path("open").display());
    refused(&site.run(["open/link/navigator.yml"]), &open);
}

#[test]
fn a_file_that_becomes_a_strangers_changes_nothing_until_it_is_mended() {
    if !servers::root("ownership::a_file_that_becomes_a_strangers_changes_nothing_until_it_is_mended") {
        return;
    }
    let site = site();
    let navigator = site.command(["conf/navigator.yml"]).start();
    let pid = navigator.started("web");
    let part = site.path("conf/part.yml");
    fs::write(&part, "managed_processes: []\n").expect("it is ours");
    navigator.event("Process stopped", "part");
    chown(&part, Some(NOBODY), None).expect("the test is root");
    let rejected = navigator.wait("its rejection", |event| event.message == "Configuration rejected");
    assert!(rejected.field("diagnostics").is_some_and(|text| text.contains("it belongs to user 65534")), "{rejected:?}");
    chown(&part, Some(0), None).expect("the test is root");
    fs::write(&part, "managed_processes:\n  - { name: again, command: sleep, args: [1h] }\n").expect("it is ours");
    navigator.started("again");
    assert_eq!((navigator.count("Process started", "web"), navigator.started("web")), (1, pid));
    runs(navigator);
}

#[test]
fn a_user_runs_what_is_theirs_or_roots() {
    let test = "ownership::a_user_runs_what_is_theirs_or_roots";
    if !can_become_nobody(test) {
        return;
    }
    let site = site();
    fs::create_dir(site.path("run")).expect("it is ours");
    chown(site.path("run"), Some(NOBODY), None).expect("the test is root");
    let start = || {
        let launch = site.command_through("setpriv", &AS_NOBODY, &["conf/navigator.yml"]);
        launch.env("NAVIGATOR_STATE_DIR", site.path("run/state")).env("NAVIGATOR_PID_FILE", site.path("run/pid")).start()
    };
    runs(start());
    chown(site.path("conf/part.yml"), Some(1234), None).expect("the test is root");
    refused(&start().ended(), "it belongs to user 1234, who is neither root nor the one that navigator runs as");
    chown(site.path("conf/part.yml"), Some(NOBODY), None).expect("the test is root");
    runs(start());
}

#[test]
fn the_first_process_of_a_container_takes_what_is_mounted_there() {
    let test = "ownership::the_first_process_of_a_container_takes_what_is_mounted_there";
    let container = ["--pid", "--fork", "--kill-child"];
    if !servers::root(test) || !servers::permitted(test, &["unshare", container[0], container[1], container[2], "true"]) {
        return;
    }
    let site = site();
    chown(site.path("conf/navigator.yml"), Some(NOBODY), None).expect("the test is root");
    let mut navigator = site.command_through("unshare", &container, &["conf/navigator.yml"]).start();
    navigator.event("Process started", "web");
    navigator.signal(Signal::KILL);
    navigator.ended();
}

/// The socket's directory is closed to others. Where somebody opens it, the kernel still says who asks.
#[test]
fn another_user_is_refused_and_nothing_is_told_to_them() {
    let test = "ownership::another_user_is_refused_and_nothing_is_told_to_them";
    if !can_become_nobody(test) {
        return;
    }
    let site = site();
    let navigator = site.command(["conf/navigator.yml"]).start();
    navigator.started("web");
    let ask = |arguments: &[&str]| site.command_through("setpriv", &AS_NOBODY, arguments).start().ended();
    refused(&ask(&["-c", "conf/navigator.yml", "status"]), "ermission denied");
    let instance = fs::read_dir(site.path("state")).expect("the state directory").next().expect("one instance");
    let instance = instance.expect("an entry").path();
    for (path, open) in [(site.path("state"), 0o755), (instance.clone(), 0o755), (instance.join("socket"), 0o666)] {
        mode(&path, open);
    }
    for arguments in [&["status"][..], &["stop", "web"], &["logs"], &["events"], &["plan"], &["wait"], &["reload"]] {
        let ended = ask(&[&["-c", "conf/navigator.yml"], arguments].concat());
        refused(&ended, "only root and navigator's own user may ask");
        assert_eq!(ended.stdout(), "", "{arguments:?}");
    }
    assert_eq!(navigator.count("Process stopped", "web"), 0);
    runs(navigator);
}

/// Whoever may ask for a plan must not be told of files that navigator wouldn't take.
#[test]
fn a_plan_reads_no_file_that_would_not_be_run() {
    if !servers::root("ownership::a_plan_reads_no_file_that_would_not_be_run") {
        return;
    }
    let site = site();
    let navigator = site.command(["conf/navigator.yml"]).start();
    navigator.started("web");
    let foreign = site.write("foreign", "topmost: hidden\n");
    chown(&foreign, Some(NOBODY), None).expect("the test is root");
    let ended = site.run(["-c", "conf/navigator.yml", "plan", "foreign"]);
    refused(&ended, "it belongs to user 65534, and navigator runs as root");
    assert!(!ended.description.contains("topmost"), "{}", ended.description);
    client(Command::new("chown").arg("0").arg(&foreign));
    refused(&site.run(["-c", "conf/navigator.yml", "plan", "foreign"]), "topmost");
    runs(navigator);
}
