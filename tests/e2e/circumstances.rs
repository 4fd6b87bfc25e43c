//! Hosts that lack something: `/proc`, room, permission, descriptors. Navigator does what can be done, and says what can't.

use crate::harness::{Navigator, Signal, Site, client, servers};
use crate::killed::keep_from_being_executed;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::process::Command;

/// Two processes, and the way they are checked to have run and stopped.
const PLAIN: &str = r#"
managed_processes:
  - { name: first, command: "${FIXTURES}/child.sh", args: [first] }
  - { name: second, command: "${FIXTURES}/child.sh", args: [second] }
"#;

const PLAIN_STOPS: [&str; 4] = ["second term", "second exit", "first term", "first exit"];

fn both_run(navigator: &Navigator<'_>) {
    navigator.journals("first start");
    navigator.journals("second start");
}

/// As many processes, none of which waits for another one.
fn many(count: u32) -> String {
    let process = |number: u32| format!("  - {{ name: p{number}, command: sleep, args: ['3600'], depends_on: [] }}\n");
    format!("managed_processes:\n{}", (0..count).map(process).collect::<String>())
}

fn what_fits_runs(mut navigator: Navigator<'_>) {
    let exhausted = navigator.wait("one that doesn't fit", |event| event.message == "Process failed");
    assert!(exhausted.field("reason").is_some_and(|reason| reason.starts_with("host exhausted")), "{exhausted:?}");
    navigator.wait("one that fits", |event| event.message == "Process started");
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

/// Whether a mount namespace of one's own can be made.
fn can_mount(test: &str) -> bool {
    servers::root(test) && servers::permitted(test, &["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"])
}

/// A directory that anybody may write to.
fn make_open(site: &Site, name: &str) {
    fs::create_dir(site.path(name)).expect("the site can be written");
    client(Command::new("chmod").arg("1777").arg(site.path(name)));
}

#[test]
fn without_proc_processes_start_and_stop() {
    let test = "circumstances::without_proc_processes_start_and_stop";
    if !can_mount(test) {
        return;
    }
    let site = Site::new();
    site.write("navigator.yml", PLAIN);
    let through = ["--mount", "sh", "-c", "umount -l /proc; exec \"$0\" \"$@\""];
    let mut navigator = site.command_through("unshare", &through, &["navigator.yml"]).start();
    both_run(&navigator);
    navigator.wait("a word about it", |event| event.message.starts_with("Found no `/proc`"));
    navigator.signal(Signal::TERM);
    navigator.exits(0);
    assert_eq!(site.stops(), PLAIN_STOPS);
}

#[test]
fn a_state_directory_that_can_not_be_written_is_named_with_the_way_out() {
    let test = "circumstances::a_state_directory_that_can_not_be_written_is_named_with_the_way_out";
    if !can_mount(test) {
        return;
    }
    let site = Site::new();
    site.write("navigator.yml", PLAIN);
    let through = ["--mount", "sh", "-c", "mkdir state; mount -t tmpfs -o ro,mode=0755 none state; exec \"$0\" \"$@\""];
    let ended = site.command_through("unshare", &through, &["navigator.yml"]).start().ended();
    assert_eq!(ended.code, Some(1), "{}", ended.description);
    assert!(ended.stderr().contains("choose another with `--state-dir`"), "{}", ended.description);
}

#[test]
fn a_record_that_can_not_be_written_stops_nothing_and_is_said_once() {
    let test = "circumstances::a_record_that_can_not_be_written_stops_nothing_and_is_said_once";
    let probe = ["strace", "-qq", "-o", "/dev/null", "-e", "inject=rename:error=EROFS", "true"];
    if !servers::present(test, &["strace"]) || !servers::permitted(test, &probe) {
        return;
    }
    let site = Site::new();
    site.write("navigator.yml", PLAIN);
    let refusing = r#"site=$NAVIGATOR_E2E; unset NAVIGATOR_E2E
        renames=rename,renameat,renameat2
        exec strace -D -f -qq -o /dev/null -e trace=$renames -e inject=$renames:error=EROFS env NAVIGATOR_E2E="$site" "$0" "$@""#;
    let mut navigator = site.command_through("sh", &["-c", refusing], &["navigator.yml"]).start();
    both_run(&navigator);
    navigator.signal(Signal::TERM);
    let ended = navigator.exits(0);
    assert_eq!(site.stops(), PLAIN_STOPS);
    let said = ended.events().iter().filter(|event| event.message == "Failed to write the journal").count();
    assert_eq!(said, 1, "{}", ended.description);
}

#[test]
fn a_state_directory_without_room_stops_nothing_and_is_said_once() {
    let test = "circumstances::a_state_directory_without_room_stops_nothing_and_is_said_once";
    if !can_mount(test) {
        return;
    }
    let site = Site::new();
    // One filler is not enough: where it finds no room while the record is being replaced, the former record's room is free soon.
    site.write(
        "navigator.yml",
        r#"
managed_processes:
  - { name: fill, command: sh, args: [-c, 'while :; do cat /dev/zero >>state/fill; echo full >>"$JOURNAL"; done'] }
  - { name: restless, command: sh, args: [-c, 'echo restless >>"$JOURNAL"; exit 1'], restart: always, backoff: 1ms, max_restarts: 1000000 }
"#,
    );
    let through = ["--mount", "sh", "-c", "mkdir state; mount -t tmpfs -o size=64k,mode=0755 none state; exec \"$0\" \"$@\""];
    let mut navigator = site.command_through("unshare", &through, &["navigator.yml"]).start();
    navigator.journals("full");
    navigator.wait("a word about it", |event| event.message == "Failed to write the journal");
    let restarts = |site: &Site| site.journal().iter().filter(|line| *line == "restless").count();
    let before = restarts(&site);
    navigator.wait("many writes", |_| restarts(&site) > before + 60);
    navigator.signal(Signal::TERM);
    let ended = navigator.exits(0);
    let said = ended.events().iter().filter(|event| event.message == "Failed to write the journal").count();
    assert_eq!(said, 1, "{}", ended.description);
}

/// Made later, it holds whoever opens something for as long as the kernel takes to be sure of every thread.
#[test]
fn room_for_the_descriptors_of_a_thousand_processes_is_made_at_the_start() {
    let site = Site::new();
    let mut navigator = site.start(PLAIN);
    both_run(&navigator);
    let limits = fs::read_to_string(format!("/proc/{}/limits", navigator.pid())).expect("it runs");
    let limit =
        limits.lines().find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next()?.parse::<u64>().ok());
    assert!(navigator.status("FDSize") >= limit.expect("a number").min(4096), "{limits}");
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn with_few_descriptors_what_fits_runs() {
    let site = Site::new();
    site.write("navigator.yml", &many(40));
    let few = ["-c", "ulimit -n 64; exec \"$0\" \"$@\""];
    what_fits_runs(site.command_through("sh", &few, &["navigator.yml"]).start());
}

#[test]
fn with_few_processes_what_fits_runs() {
    let test = "circumstances::with_few_processes_what_fits_runs";
    if !servers::root(test) || !servers::present(test, &["setpriv", "prlimit"]) {
        return;
    }
    let site = Site::new();
    make_open(&site, "open");
    site.write("navigator.yml", &many(60));
    // A user without an account, of whom nobody else runs anything: navigator has its threads, and little beside.
    let few = ["--reuid=54321", "--regid=nogroup", "--clear-groups", "prlimit", "--nproc=30"];
    let launch = site.command_through("setpriv", &few, &["navigator.yml"]);
    let launch = launch.env("NAVIGATOR_STATE_DIR", site.path("open/state")).env("NAVIGATOR_PID_FILE", site.path("open/pid"));
    what_fits_runs(launch.start());
}

#[test]
fn an_unprivileged_user_stops_whole_trees_and_what_was_left() {
    let test = "circumstances::an_unprivileged_user_stops_whole_trees_and_what_was_left";
    if !servers::root(test) || !servers::present(test, &["setpriv"]) {
        return;
    }
    let site = Site::new();
    make_open(&site, "open");
    site.write(
        "navigator.yml",
        r"
managed_processes:
  - name: family
    command: sh
    args: [-c, '(setsid sleep 3601 &) ; exec sleep 3600']
    output: null
",
    );
    let nobody = ["--reuid=nobody", "--regid=nogroup", "--clear-groups"];
    let start = || {
        let launch = site.command_through("setpriv", &nobody, &["navigator.yml"]);
        let launch = launch.env("NAVIGATOR_STATE_DIR", site.path("open/state"));
        launch.env("NAVIGATOR_PID_FILE", site.path("open/pid")).start()
    };
    let mut first = start();
    first.log().until("the family", || {
        (first.command_lines_below().iter().filter(|line| line.contains(" sleep 360")).count() == 2).then_some(())
    });
    first.signal(Signal::KILL);
    first.ended();
    let mut second = start();
    second.wait("the takeover", |event| event.message == "Processes taken over" && event.field("names") == Some("family"));
    second.signal(Signal::TERM);
    second.exits(0);
}

#[test]
fn a_configuration_behind_a_link_is_the_one_that_it_leads_to() {
    let site = Site::new();
    site.write("real/navigator.yml", PLAIN);
    std::os::unix::fs::symlink("real/navigator.yml", site.path("link.yml")).expect("the site can be written");
    let mut navigator = site.command(["link.yml"]).start();
    both_run(&navigator);
    let other = site.run(["real/navigator.yml"]);
    assert_eq!(other.code, Some(1), "{}", other.description);
    assert!(
        other.stderr().contains(&format!("is already run by the navigator with pid {}", navigator.pid())),
        "{}",
        other.description
    );
    navigator.signal(Signal::TERM);
    navigator.exits(0);
    assert_eq!(site.stops(), PLAIN_STOPS);
}

#[test]
fn what_is_told_is_not_held_up_by_a_program_that_hangs_in_its_exec() {
    let site = Site::new();
    let program = site.path("program");
    fs::copy("/bin/sleep", &program).expect("a program of the test's own");
    let mut holder = keep_from_being_executed(&program);
    let mut navigator = site.start(&format!(
        "managed_processes:\n  - {{ name: quick, command: sleep, args: ['3600'] }}\n  - {{ name: slow, command: {}, args: ['3600'] }}\n",
        program.display()
    ));
    navigator.wait("the first start", |event| event.is("Process started", "quick"));
    assert_eq!(navigator.count("Process started", "slow"), 0, "it hangs");
    holder.kill().expect("it is our child");
    holder.wait().expect("it is our child");
    navigator.wait("the second start", |event| event.is("Process started", "slow"));
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

/// A directory may have a name that is no text, which JSON can't hold.
#[test]
fn a_path_that_is_no_text_is_shown_as_far_as_it_is() {
    let site = Site::new();
    let directory = site.path("").join(OsStr::from_bytes(b"caf\xe9"));
    fs::create_dir(&directory).expect("its name is new");
    let path = directory.join("navigator.yml");
    fs::write(&path, PLAIN).expect("it is ours");
    let navigator = site.command([&path]).start();
    both_run(&navigator);
    let ask = |arguments: &[&str]| {
        site.command([OsStr::new("-c"), path.as_os_str()].into_iter().chain(arguments.iter().map(OsStr::new)))
    };
    let status = ask(&["status", "--json"]).start().ended();
    assert_eq!(status.code, Some(0), "{}", status.description);
    assert!(status.stdout().contains("caf\u{fffd}/navigator.yml"), "{}", status.stdout());
    fs::write(&path, PLAIN.replace("command", "comand")).expect("it is ours");
    navigator.wait("its rejection", |event| event.message == "Configuration rejected");
    let check = site.command([OsStr::new("check"), OsStr::new("--format=json"), path.as_os_str()]).start().ended();
    assert_eq!(check.code, Some(1), "{}", check.description);
    let report: serde_json::Value = serde_json::from_str(&check.stdout()).expect("it is JSON");
    assert!(report["diagnostics"][0]["file"].as_str().is_some_and(|file| file.contains("caf\u{fffd}")), "{report}");
    assert_eq!(ask(&["status"]).start().ended().code, Some(3));
    navigator.ends();
}
